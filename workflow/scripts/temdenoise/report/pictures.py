"""Pictures of the report that are no figures: thumbnails, atoms, enlarged images.

All are small enough to stand inside the page: images as PNG data URIs with 8 bits a
pixel, atoms as SVG, figures as WebP.
"""

import base64
import io
import json
import os
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from PIL import Image

from temdenoise.foundation.sequences import evenly_spaced
from temdenoise.images.storage import Images
from temdenoise.micrographs.marked import MarkedFrame
from temdenoise.report.examples import Examples
from temdenoise.report.style import (
    DENSITY_MAP,
    ERROR,
    INTENSITY,
    SIGMA,
    ColourScale,
    darkest_window,
)

SIDE = 128
"""Side of an enlarged image [pixels]."""

SCENE = 512
"""Maximum side of the scene that is shown [pixels]."""

LEVELS = 12
"""Maximum number of C at which enlarged images are kept."""

QUALITY = 90
"""Quality of figures in the page; text of 5 points has no visible rim at 90."""


def data_uri(image: np.ndarray, *, vmin: float, vmax: float, cmap: str) -> str:
    """Colour an image and put it into a data URI.

    Parameters
    ----------
    image
        Shape (x, y); x points to the right and y up.
    vmin, vmax
        Values of the first and the last colour.
    cmap
        Name of matplotlib's colour map.

    Returns
    -------
    str
        A PNG with a palette of 256 colours.
    """
    scaled = np.clip((np.asarray(image, dtype=np.float64) - vmin) / (vmax - vmin), 0, 1)
    picture = Image.fromarray(np.flipud(np.rint(255 * scaled).astype(np.uint8).T))
    palette = mpl.colormaps[cmap](np.linspace(0, 1, 256))[:, :3]
    picture.putpalette(np.rint(255 * palette).astype(np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def embedded(path: str | os.PathLike[str], *, width: int = 1400) -> str:
    """Put a figure's PNG into a data URI, at most so many pixels wide.

    As WebP of high quality: figures are full of noise, which a PNG keeps at several times
    the size without showing more.
    """
    with Image.open(path) as picture:
        shown = picture.convert("RGB")
    if shown.width > width:
        shown = shown.resize(
            (width, round(shown.height * width / shown.width)), Image.Resampling.LANCZOS
        )
    file = io.BytesIO()
    shown.save(file, "WEBP", quality=QUALITY, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def atoms_svg(atoms: Atoms, *, fade_width: float) -> str:
    """Draw a structure from above: atoms, defect sites and where displacements fade.

    Parameters
    ----------
    atoms
        The supercell; ``info["defects"]`` lists its defects as JSON.
    fade_width
        Rim over which displacements fade [Å].

    Returns
    -------
    str
        An SVG element, one unit per Å, y up.
    """
    width, height = atoms.cell.lengths()[:2]
    parts = [
        f'<rect x="{fade_width}" y="{fade_width}" width="{width - 2 * fade_width:.3f}" '
        f'height="{height - 2 * fade_width:.3f}" class="rim"/>'
    ]
    # what lies higher is drawn later
    for index in np.argsort(atoms.positions[:, 2], kind="stable"):
        number, (x, y, _) = atoms.numbers[index], atoms.positions[index]
        red, green, blue = np.rint(255 * jmol_colors[number]).astype(int)
        parts.append(
            f'<circle cx="{x:.3f}" cy="{height - y:.3f}" r="{0.6 * covalent_radii[number]:.2f}" '
            f'fill="rgb({red},{green},{blue})"/>'
        )
    defects = json.loads(atoms.info.get("defects", "[]"))
    parts += [
        f'<circle cx="{site["x"]:.3f}" cy="{height - site["y"]:.3f}" r="0.9" class="defect"/>'
        for site in defects
    ]
    kinds = ", ".join(f"{site['kind']} ({site['element']})" for site in defects) or "no defect"
    return (
        f'<svg class="atoms" role="img" viewBox="0 0 {width:.3f} {height:.3f}" '
        f'aria-label="{len(atoms)} atoms seen from above; {kinds}">{"".join(parts)}</svg>'
    )


def structure_cards(
    atoms: Mapping[str, Atoms], maps: Mapping[str, Images], *, fade_width: float
) -> list[dict[str, Any]]:
    """Draw the atoms and the maps of structures, all maps on one scale.

    Parameters
    ----------
    atoms, maps
        Structures and their maps (projected density [e/Å²] or image), by name.
    fade_width
        Rim over which displacements fade [Å].

    Returns
    -------
    list of dict
        name, formula, n_atoms, atoms (SVG), map (data URI), quantity, unit, low and high (of
        the scale), electrons (None if the map is no density), width and height [Å], family,
        defects.
    """
    low = min(float(image.data.min()) for image in maps.values())
    high = max(float(image.data.max()) for image in maps.values())
    return [
        {
            "name": name,
            "formula": atoms[name].get_chemical_formula(),
            "n_atoms": len(atoms[name]),
            "quantity": maps[name].quantity or "map",
            "unit": maps[name].unit.replace("angstrom^2", "Å²"),
            "atoms": atoms_svg(atoms[name], fade_width=fade_width),
            "map": data_uri(maps[name].data, vmin=low, vmax=high, cmap=DENSITY_MAP),
            "low": low,
            "high": high,
            "electrons": maps[name].metadata.get("electrons"),
            "width": float(atoms[name].cell.lengths()[0]),
            "height": float(atoms[name].cell.lengths()[1]),
            "family": atoms[name].info.get("family", ""),
            "defects": json.loads(atoms[name].info.get("defects", "[]")),
        }
        for name in maps
    ]


def worst_density(images: Images) -> dict[str, Any]:
    """Show where the learned density is farthest from DFT.

    Parameters
    ----------
    images
        DFT, the learned density and their difference, shape (3, x, y) [e/Å²]; ``place`` in the
        metadata says where.

    Returns
    -------
    dict
        ``structure``, ``x`` and ``y`` of the middle and ``width`` [Å], ``low`` and ``high`` of the
        scale of the densities, ``largest`` difference, ``unit``, and the data URIs ``dft``,
        ``learned`` and ``difference``.
    """
    dft, learned, difference = images.data
    low, high = (float(limit(images.data[:2])) for limit in (np.min, np.max))
    largest = float(np.abs(difference).max())
    scale: ColourScale = {"vmin": low, "vmax": high, "cmap": DENSITY_MAP}
    return {
        **images.metadata["place"],
        "width": dft.shape[0] * images.sampling[0],
        "low": low,
        "high": high,
        "largest": largest,
        "unit": images.unit.replace("angstrom^2", "Å²"),
        "dft": data_uri(dft, **scale),
        "learned": data_uri(learned, **scale),
        "difference": data_uri(difference, vmin=-largest, vmax=largest, cmap=ERROR["cmap"]),
    }


def first_scene(images: Images) -> dict[str, Any]:
    """Show the first scene, or a corner of it: ``picture`` (data URI) and ``nm``, its width."""
    picture = images.data[0, :SCENE, :SCENE]
    return {
        "picture": data_uri(picture, **INTENSITY),
        "nm": picture.shape[0] * images.sampling[0] / 10,
    }


def enlarged(shown: Examples) -> dict[str, dict[str, Any]]:
    """Enlarge the first test image around its darkest spot, for every noise and C.

    Parameters
    ----------
    shown
        The images. The values of C that it is to show are among the levels in any case; of all,
        at most `LEVELS` more are.

    Returns
    -------
    dict
        By noise: ``clean`` (data URI), ``nm`` (side of the window), ``levels``: by C as
        text, data URIs by method, of which ``raw`` is the noisy image.
    """
    result = {}
    for noise, images in shown.data.items():
        window = darkest_window(images.clean[0], side=SIDE)
        noisy = shown.noisy[noise]
        levels = sorted({*evenly_spaced(sorted(noisy), LEVELS), *shown.c_noise})
        crop = images.clean[0][window]
        result[noise] = {
            "clean": data_uri(crop, **INTENSITY),
            "nm": crop.shape[0] * images.sampling[0] / 10,
            "levels": {
                f"{c:g}": {"raw": data_uri(noisy[c][window], **INTENSITY)}
                | {
                    method: data_uri(by[noise][c][window], **INTENSITY)
                    for method, by in shown.denoised.items()
                }
                for c in levels
            },
        }
    return result


def worst_cases(worst: Mapping[str, Images]) -> list[dict[str, Any]]:
    """Enlarge our networks' worst frames around their largest error.

    Parameters
    ----------
    worst
        By noise: noisy, denoised, sigma and clean of some frames, shape (n, 4, x, y);
        ``frames`` in the metadata says of which method, C, image and MS-SSIM.

    Returns
    -------
    list of dict
        What the metadata says, noise, nm, and the data URIs noisy, denoised, clean, error
        and sigma.
    """
    cases = []
    for noise, images in worst.items():
        for stack, about in zip(images.data, images.metadata["frames"], strict=True):
            noisy, denoised, sigma, clean = stack
            window = darkest_window(-np.abs(denoised - clean), side=SIDE, spot=24)
            pictures = {
                "noisy": data_uri(noisy[window], **INTENSITY),
                "denoised": data_uri(denoised[window], **INTENSITY),
                "clean": data_uri(clean[window], **INTENSITY),
                "error": data_uri((denoised - clean)[window], **ERROR),
                "sigma": data_uri(sigma[window], **SIGMA),
            }
            nm = noisy[window].shape[0] * images.sampling[0] / 10
            cases.append({"noise": noise, "nm": nm} | about | pictures)
    return cases


def micrograph_cards(
    marked: Mapping[str, Images], numbers: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Show the middle of denoised micrographs, and what is to be made of them.

    Parameters
    ----------
    marked
        What figure 3 shows of each, see `marked.figure_3`.
    numbers
        The description of each (``_summary.json``).

    Returns
    -------
    list of dict
        name, file, model, verdict, feature, certain and suspected (numbers of features),
        nm, and the data URIs before, after and sigma.
    """
    cards = []
    for name, images in marked.items():
        window = tuple(
            slice((n - min(n, 2 * SIDE)) // 2, (n + min(n, 2 * SIDE)) // 2)
            for n in images.data.shape[1:]
        )
        # stored with the first row on top
        before, after, sigma = (layer[window][:, ::-1] for layer in images.data[:3])
        pictures = {}
        for key, image, cmap in (
            ("before", before, "gray"),
            ("after", after, "gray"),
            ("sigma", sigma, SIGMA["cmap"]),
        ):
            low, high = np.quantile(image, [0.002, 0.998])
            low, high = (0.0 if key == "sigma" else float(low)), float(high)
            pictures[key] = data_uri(image, vmin=low, vmax=max(high, low + 1e-30), cmap=cmap)
        found = MarkedFrame.from_dict(images.metadata)
        frames = numbers[name]["frames"]
        cards.append(
            {
                "name": name,
                "file": found.file,
                "model": numbers[name]["model"],
                "verdict": next(f for f in frames if f["frame"] == found.frame)["verdict"],
                "feature": found.feature,
                "certain": found.count("certain"),
                "suspected": found.count("suspected"),
                "nm": after.shape[0] * images.sampling[0] / 10,
            }
            | pictures
        )
    return cards
