"""The reference test set: structures computed by DFT once, on which every method is judged.

Its maps lie in the folder `FOLDER`, one file for each crystal and size of cell, as whole numbers of
16 bits; `make test-set` computes them anew from config/test_set.yaml. Each structure stands once in
the image of its crystal.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.foundation.seeding import generator
from temdenoise.foundation.source import PACKAGE
from temdenoise.groundtruth.mosaics import cut, draw_tiles, join
from temdenoise.images.datasets import IntensityScale, intensity_scale

FOLDER = PACKAGE / "reference"
"""Where the stored maps lie."""

SAMPLING = 0.2
"""Pixel size of the images [Å]."""

MARGIN = 32
"""Width of the rim of an image, in which the structures repeat and nothing is counted [pixels]."""

LEVELS = 65535
"""Largest whole number of the stored maps."""

REPEATED = 3
"""Tiles along either side where a split has too few structures to fill an image."""


@dataclass(frozen=True)
class ReferenceMaps:
    """Maps of one crystal and size of cell.

    Attributes
    ----------
    name
        Crystal and cell, e.g. ``graphene_6x4``.
    crystal
        Name of the crystal.
    maps
        Projected densities, shape (n, x, y) [e/Å²], periodic.
    sampling
        Pixel size along x and y [Å].
    structures
        Of each map: ``name``, ``family``, ``defects``, ``symbols``, ``cell`` and ``positions`` [Å].
    provenance
        Where they come from: seed, configuration, recipe, packages.
    """

    name: str
    crystal: str
    maps: np.ndarray
    sampling: tuple[float, float]
    structures: list[dict[str, Any]]
    provenance: Mapping[str, Any]

    def of_split(self, split: str) -> "ReferenceMaps":
        """Return the part of one split: ``val`` or ``test``."""
        kept = [n for n, own in enumerate(self.structures) if own["name"].startswith(f"{split}-")]
        return ReferenceMaps(
            self.name,
            self.crystal,
            self.maps[kept],
            self.sampling,
            [self.structures[n] for n in kept],
            self.provenance,
        )


def write_reference(path: str | Path, reference: ReferenceMaps) -> None:
    """Store maps as whole numbers, to a 65535th of their range."""
    low, high = float(reference.maps.min()), float(reference.maps.max())
    whole = np.rint((reference.maps - low) / (high - low) * LEVELS).astype(np.uint16)
    about = {
        "name": reference.name,
        "crystal": reference.crystal,
        "sampling": list(reference.sampling),
        "sampling_unit": "angstrom",
        "quantity": "projected electron density",
        "unit": "e/angstrom^2",
        "low": low,
        "high": high,
        "structures": list(reference.structures),
        "provenance": dict(reference.provenance),
    }
    with atomic(path) as temporary:
        # each row as differences from pixel to pixel, which take half the space
        tifffile.imwrite(
            temporary,
            np.diff(whole.swapaxes(1, 2), axis=2, prepend=np.uint16(0)),
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 9},
            software=False,
            metadata=None,
            description=json.dumps(about, separators=(",", ":")),
        )


def read_reference(path: str | Path) -> ReferenceMaps:
    """Read what `write_reference` wrote.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            known = json.loads(tiff.pages.first.description)
            stored = tiff.asarray().reshape(len(known["structures"]), *tiff.pages.first.shape)
    except (tifffile.TiffFileError, LookupError, ValueError) as error:
        raise DataError(
            f"{path}: no readable file of the reference test set ({error}); make it with "
            "`make test-set`, or install the package again"
        ) from error
    whole = np.cumsum(stored, axis=2, dtype=np.uint16).swapaxes(1, 2)
    x, y = known["sampling"]
    return ReferenceMaps(
        known["name"],
        known["crystal"],
        known["low"] + whole / LEVELS * (known["high"] - known["low"]),
        (x, y),
        known["structures"],
        known["provenance"],
    )


def reference_files(folder: Path = FOLDER) -> list[Path]:
    """List the files of the test set.

    Raises
    ------
    DataError
        If there are none.
    """
    found = sorted(folder.glob("*.tif"))
    if not found:
        raise DataError(f"{folder} holds no reference test set; make it with `make test-set`")
    return found


@dataclass(frozen=True)
class ReferenceImage:
    """One image of the test set, all structures of one crystal side by side.

    Attributes
    ----------
    clean
        Normalised, shape (x, y); periodic but for a rim of `MARGIN`.
    labels
        Number of the structure of each pixel, -1 in the rim, shape (x, y).
    sites
        Known defects: ``kind``, ``element``, ``x``, ``y`` [pixels], with those of the rim.
    atoms
        Where atoms are, shape (n, 2) [pixels].
    scale
        Of the intensities.
    """

    clean: np.ndarray
    labels: np.ndarray
    sites: Sequence[Mapping[str, Any]]
    atoms: np.ndarray
    scale: IntensityScale

    def label_of(self, points: np.ndarray) -> np.ndarray:
        """Give the structure at some points (n, 2) [pixels]; -1 in the rim and outside."""
        last = np.array(self.labels.shape) - 1
        nearest = np.clip(np.rint(points).astype(int).reshape(-1, 2), 0, last)
        found: np.ndarray = self.labels[nearest[:, 0], nearest[:, 1]]
        return found


def reference_image(
    reference: ReferenceMaps, split: str, *, seed: int, scale: IntensityScale | None = None
) -> ReferenceImage:
    """Put the structures of a split side by side, each once if there are enough of them.

    Parameters
    ----------
    reference
        The maps of a crystal.
    split
        ``val`` or ``test``.
    seed
        Of their order.
    scale
        Of the intensities; None: that of the maps of the validation split.
    """
    own = reference.of_split(split)
    sides = np.array(own.maps.shape[1:]) * own.sampling
    tiles = _tiles(len(own.maps), sides)
    layout = draw_tiles(generator(seed, "reference", reference.name, split), len(own.maps), tiles)
    extent = sides * layout.shape
    nx, ny = (int(np.ceil(side / SAMPLING - 1e-9)) + 2 * MARGIN for side in extent)
    image = cut(
        join(list(own.maps), layout),
        mosaic_sampling=own.sampling,
        origin=(-MARGIN * SAMPLING, -MARGIN * SAMPLING),
        size=(nx, ny),
        sampling=SAMPLING,
    )
    if scale is None:
        scale = intensity_scale(list(reference.of_split("val").maps))
    points: list[np.ndarray] = []
    sites: list[dict[str, Any]] = []
    for place in np.ndindex(layout.shape):
        structure = own.structures[layout[place]]
        corner = np.array(place) * sides
        points.append(np.array(structure["positions"])[:, :2] + corner)
        sites += [
            site | {"x": site["x"] + corner[0], "y": site["y"] + corner[1]}
            for site in structure["defects"]
        ]
    atoms = _repeated(np.concatenate(points), extent, (nx, ny))[0]
    at, which = _repeated(np.array([(s["x"], s["y"]) for s in sites]), extent, (nx, ny))
    return ReferenceImage(
        clean=scale.normalise(image),
        labels=_labels(layout, sides, (nx, ny)),
        sites=[
            sites[n] | {"x": float(x), "y": float(y)} for (x, y), n in zip(at, which, strict=True)
        ],
        atoms=atoms,
        scale=scale,
    )


def _tiles(count: int, sides: np.ndarray) -> tuple[int, int]:
    """Choose how many tiles there are along x and y so that the image is almost square."""
    if count < REPEATED**2:
        return REPEATED, REPEATED
    pairs = [(n, count // n) for n in range(1, count + 1) if count % n == 0]
    return min(pairs, key=lambda pair: abs(np.log(pair[0] * sides[0] / (pair[1] * sides[1]))))


def _labels(layout: np.ndarray, sides: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Give each pixel the number of its structure, -1 in the rim."""
    labels = np.full(shape, -1)
    along = []
    for axis in (0, 1):
        place = np.floor((np.arange(shape[axis]) - MARGIN) * SAMPLING / sides[axis]).astype(int)
        along.append(place)
    inside = [(a >= 0) & (a < n) for a, n in zip(along, layout.shape, strict=True)]
    within = np.ix_(*inside)
    labels[within] = layout[np.ix_(along[0][inside[0]], along[1][inside[1]])]
    return labels


def _repeated(
    points: np.ndarray, extent: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Find all periodic images of points [Å] within an image: place [pixels], number of each."""
    shifts = [np.array([i, j]) * extent for i in (-1, 0, 1) for j in (-1, 0, 1)]
    every = np.concatenate([points.reshape(-1, 2) % extent + shift for shift in shifts])
    number = np.tile(np.arange(len(points)), len(shifts))
    pixels = every / SAMPLING + MARGIN
    within = ((pixels >= 0) & (pixels <= np.array(shape) - 1)).all(axis=1)
    return pixels[within], number[within]
