"""Join maps of different structures into large images and shift them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from temdenoise.foundation.seeding import generator


def tiles_needed(image_extent: float, tile_extent: Sequence[float]) -> tuple[int, int]:
    """Return how many tiles along x and y cover an image without repeating.

    Parameters
    ----------
    image_extent
        Side of the square image [Å].
    tile_extent
        Sides of one map [Å].

    Examples
    --------
    >>> tiles_needed(51.2, (12.3, 12.8))
    (5, 4)
    """
    counts = [int(np.ceil(image_extent / side - 1e-9)) for side in tile_extent]
    return counts[0], counts[1]


def draw_tiles(rng: np.random.Generator, n_maps: int, tiles: tuple[int, int]) -> np.ndarray:
    """Draw which map stands where; every map is used before any comes again.

    Returns
    -------
    numpy.ndarray
        Indices of maps, shape `tiles`.
    """
    count = tiles[0] * tiles[1]
    rounds = [rng.permutation(n_maps) for _ in range(-(-count // n_maps))]
    return rng.permutation(np.concatenate(rounds)[:count]).reshape(tiles)


def join(maps: Sequence[np.ndarray], layout: np.ndarray) -> np.ndarray:
    """Join maps side by side.

    Parameters
    ----------
    maps
        Maps of equal shape (x, y).
    layout
        Indices into `maps`, shape (tiles along x, tiles along y).

    Returns
    -------
    numpy.ndarray
        Shape (tiles along x * x, tiles along y * y).
    """
    return np.block([[maps[index] for index in row] for row in layout])


def joint_ratio(mosaic: np.ndarray, tile_shape: tuple[int, int]) -> float:
    """Largest jump across a joint over the largest neighbour-pixel jump inside the maps.

    Joints between the mosaic's opposite edges count, since it is used as periodic.
    About 1 or less means that a joint does not stand out from the inside of a map.

    Parameters
    ----------
    mosaic
        Joined maps, shape (x, y).
    tile_shape
        Shape of one map.

    Examples
    --------
    >>> import numpy as np
    >>> wave = np.cos(2 * np.pi * np.arange(64) / 16)
    >>> smooth = np.add.outer(wave, wave)
    >>> joint_ratio(smooth, (16, 16)) <= 1
    True
    >>> smooth[:16] += 1
    >>> joint_ratio(smooth, (16, 16)) > 2
    True
    """
    across, inside = [], []
    for axis, period in enumerate(tile_shape):
        jump, is_joint = _jumps(mosaic, axis, period)
        across.append(jump.compress(is_joint, axis).max())
        inside.append(jump.compress(~is_joint, axis).max())
    return float(max(across) / max(inside))


def _jumps(mosaic: np.ndarray, axis: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Jump from each pixel to the next along an axis, and which of them cross a joint."""
    jump = np.abs(np.roll(mosaic, -1, axis) - mosaic)
    return jump, np.arange(mosaic.shape[axis]) % period == period - 1


def worst_joint(
    mosaic: np.ndarray, tile_shape: tuple[int, int], *, size: int
) -> tuple[np.ndarray, int]:
    """Cut out where the jump across a joint is largest.

    Parameters
    ----------
    mosaic
        Joined maps, shape (x, y), periodic.
    tile_shape
        Shape of one map.
    size
        Side of the patch [pixels], even.

    Returns
    -------
    patch : numpy.ndarray
        Shape (size, size); the joint lies in its middle, between size/2 - 1 and size/2.
    axis : int
        The axis the joint is crossed along.

    Examples
    --------
    >>> import numpy as np
    >>> mosaic = np.zeros((32, 32))
    >>> mosaic[16:] = 1
    >>> patch, axis = worst_joint(mosaic, (16, 16), size=8)
    >>> axis, float(abs(patch[4] - patch[3]).max())
    (0, 1.0)
    """
    worst, where = -1.0, (0, 0, 0)
    for axis, period in enumerate(tile_shape):
        jump, is_joint = _jumps(mosaic, axis, period)
        jump = np.where(np.expand_dims(is_joint, 1 - axis), jump, -1.0)
        place = np.unravel_index(int(np.argmax(jump)), jump.shape)
        if jump[place] > worst:
            worst, where = float(jump[place]), (axis, int(place[0]), int(place[1]))
    axis, x, y = where
    half = size // 2
    centred = np.roll(mosaic, (half - 1 - x, half - 1 - y), axis=(0, 1))
    return centred[:size, :size], axis


def cut(
    mosaic: np.ndarray,
    *,
    mosaic_sampling: tuple[float, float],
    origin: tuple[float, float],
    size: int | tuple[int, int],
    sampling: float,
) -> np.ndarray:
    """Cut an image with square pixels out of a periodic mosaic.

    Pixel (i, j) is the mosaic's value at origin + (i, j) * sampling, wrapped
    around its edges, by cubic spline interpolation: a random `origin` is the
    paper's shifted image.

    Parameters
    ----------
    mosaic
        Shape (x, y), periodic.
    mosaic_sampling
        Its pixel size along x and y [Å].
    origin
        Position of the image's first pixel in the mosaic [Å].
    size
        Side of the image, or both of its sides [pixels].
    sampling
        Pixel size of the image [Å].

    Returns
    -------
    numpy.ndarray
        float64, shape (size, size), or `size`.
    """
    sides = (size, size) if isinstance(size, int) else size
    axes = [
        (o + np.arange(side) * sampling) / step
        for o, side, step in zip(origin, sides, mosaic_sampling, strict=True)
    ]
    image: np.ndarray = ndimage.map_coordinates(
        mosaic, np.meshgrid(*axes, indexing="ij"), order=3, mode="grid-wrap"
    )
    return image


def defects_by_structure(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Read the defects of each structure out of the rows of ``structures.csv``.

    Examples
    --------
    >>> defects_by_structure([{"structure": "a", "defects": '[{"kind": "vacancy"}]'}])
    {'a': [{'kind': 'vacancy'}]}
    """
    return {row["structure"]: json.loads(row["defects"]) for row in rows}


def sites_in_images(
    joints: Mapping[str, Any],
    sites: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    size: int,
    sampling: float,
) -> list[list[dict[str, Any]]]:
    """Find where the atomic sites of the joined structures lie in the shifted images.

    Parameters
    ----------
    joints
        Record of the images (``joints.json``): ``structures``, ``tile_angstrom``, and of
        each of the ``images`` its ``layout`` and ``origin_angstrom``.
    sites
        Sites of each structure, with ``x``, ``y`` [Å].
    size, sampling
        Of the images [pixels, Å].

    Returns
    -------
    list of list of dict
        The sites within each image, with ``x``, ``y`` in pixels.

    Examples
    --------
    >>> joints = {
    ...     "structures": ["a", "b"],
    ...     "tile_angstrom": [4.0, 8.0],
    ...     "images": [{"layout": [[0], [1]], "origin_angstrom": [3.0, 0.0]}],
    ... }
    >>> sites_in_images(joints, {"a": [], "b": [{"x": 1.0, "y": 2.0}]}, size=16, sampling=0.5)
    [[{'x': 4.0, 'y': 4.0}]]
    """
    images: list[list[dict[str, Any]]] = []
    for record in joints["images"]:
        layout, found = np.asarray(record["layout"]), list[dict[str, Any]]()
        tile = record.get("tile_angstrom", joints["tile_angstrom"])
        for place in np.ndindex(layout.shape):
            for site in sites[joints["structures"][layout[place]]]:
                x, y = (
                    (n * side + site[axis] - origin) % (count * side) / sampling
                    for axis, n, count, side, origin in zip(
                        "xy",
                        place,
                        layout.shape,
                        tile,
                        record["origin_angstrom"],
                        strict=True,
                    )
                )
                if max(x, y) <= size - 1:
                    found.append({**site, "x": x, "y": y})
        images.append(found)
    return images


def joined_and_shifted(
    maps: Sequence[np.ndarray],
    rng: np.random.Generator,
    *,
    map_sampling: tuple[float, float],
    size: int,
    sampling: float,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any], tuple[np.ndarray, int]]:
    """Make one image: draw maps, join them, shift them.

    Parameters
    ----------
    maps
        Maps of equal shape (x, y) to draw from.
    rng
        Where the randomness comes from.
    map_sampling
        Pixel size of the maps along x and y [Å].
    size
        Side of the image [pixels].
    sampling
        Pixel size of the image [Å].

    Returns
    -------
    shifted : numpy.ndarray
        The image, shape (size, size).
    joined : numpy.ndarray
        The same mosaic before the shift, shape (size, size).
    record : dict
        Layout of the maps, origin of the shift [Å] and joint ratio.
    worst : tuple of numpy.ndarray and int
        See `worst_joint`.
    """
    shape = maps[0].shape
    tile_extent = [n * step for n, step in zip(shape, map_sampling, strict=True)]
    layout = draw_tiles(rng, len(maps), tiles_needed(size * sampling, tile_extent))
    mosaic = join(maps, layout)
    x, y = (n * side for n, side in zip(layout.shape, tile_extent, strict=True))
    origin = (float(rng.uniform(0, x)), float(rng.uniform(0, y)))
    images = [
        cut(mosaic, mosaic_sampling=map_sampling, origin=o, size=size, sampling=sampling)
        for o in (origin, (0.0, 0.0))
    ]
    record = {
        "layout": layout.tolist(),
        "origin_angstrom": list(origin),
        "joint_ratio": joint_ratio(mosaic, shape),
    }
    return images[0], images[1], record, worst_joint(mosaic, shape, size=min(80, *shape) // 2 * 2)


@dataclass(frozen=True)
class Joint:
    """The surroundings of one joint.

    Attributes
    ----------
    patch
        Shape (size, size), see `worst_joint`.
    axis
        The axis the joint is crossed along.
    sampling
        Pixel size along x and y [Å].
    ratio
        See `joint_ratio`.
    """

    patch: np.ndarray
    axis: int
    sampling: tuple[float, float]
    ratio: float


class Mosaics:
    """The joined and shifted images of one split, made one by one.

    Maps of different crystals cannot be joined: with several crystals both the maps and the
    images are of each alternately.

    Parameters
    ----------
    maps
        Maps of the split's structures, shape (x, y) each.
    samplings
        Pixel size along x and y of the maps of each crystal [Å].
    size
        Side of the images [pixels].
    sampling
        Pixel size of the images [Å].

    Attributes
    ----------
    joined
        The first image before its shift; None until it is made.
    worst
        The joint with the largest ratio among the images made so far; None before the first.
    """

    def __init__(
        self,
        maps: Sequence[np.ndarray],
        samplings: Sequence[tuple[float, float]],
        *,
        size: int,
        sampling: float,
    ):
        self.maps, self.samplings, self.size, self.sampling = maps, samplings, size, sampling
        self.tiles = [
            [n * step for n, step in zip(maps[number].shape, steps, strict=True)]
            for number, steps in enumerate(samplings)
        ]
        self.joined: np.ndarray | None = None
        self.worst: Joint | None = None
        self._records: list[dict[str, Any]] = []

    def images(self, count: int, *, seed: int, split: str) -> Iterator[np.ndarray]:
        """Make the images, each from a random stream of its own.

        Parameters
        ----------
        count
            How many.
        seed, split
            Name the random streams.

        Yields
        ------
        numpy.ndarray
            float64, shape (size, size).
        """
        n_crystals = len(self.samplings)
        for index in range(count):
            crystal = index % n_crystals
            steps = self.samplings[crystal]
            shifted, joined, record, (patch, axis) = joined_and_shifted(
                self.maps[crystal::n_crystals],
                generator(seed, "mosaic", split, index),
                map_sampling=steps,
                size=self.size,
                sampling=self.sampling,
            )
            if self.joined is None:
                self.joined = joined
            if self.worst is None or record["joint_ratio"] > self.worst.ratio:
                self.worst = Joint(patch, axis, steps, record["joint_ratio"])
            if n_crystals > 1:
                own = range(crystal, len(self.maps), n_crystals)
                record["layout"] = [[own[n] for n in row] for row in record["layout"]]
                record["tile_angstrom"] = self.tiles[crystal]
            self._records.append(record)
            yield shifted

    def record(self, structures: Sequence[str]) -> dict[str, Any]:
        """Describe the images made so far, for ``joints.json`` (see `sites_in_images`).

        Parameters
        ----------
        structures
            Names of the structures whose maps were joined, in the order of the maps.
        """
        return {
            "structures": list(structures),
            "tile_angstrom": self.tiles[0],
            "worst_joint_ratio": max(record["joint_ratio"] for record in self._records),
            "images": self._records,
        }
