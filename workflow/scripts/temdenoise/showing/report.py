"""The report of a run: one HTML file that needs no other file and no network."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from temdenoise.images.noise import NOISES

Rows = Sequence[Mapping[str, Any]]

CAPTIONS = {
    "1": "From structures to noisy images: (a) disordered structures (dashed: inside it the "
    "displacements are full, outside they fade to a pristine rim) and their projected densities, "
    "(b) maps of different structures joined, (c) the same image shifted, (d) the noises.",
    "2": "(a) The first test image enlarged around its darkest spot: clean, corrupted, and "
    "denoised by the network trained for that noise; (b) the similarity still missing at these "
    "C; (c) MS-SSIM against C, "
    "beyond the trained range shaded.",
    "4": "The first test image in full size: corrupted, denoised, and the error left.",
    "S1": "The worst joint of each split: the place where the jump from one map to the next is "
    "largest, between the two arrows. The ratio compares it with the largest jump between "
    "neighbouring pixels inside the maps; at 1 or less a joint cannot be told from the inside.",
    "5": "The workflow, drawn from its own graph of rules; what follows from other arrows is left "
    "out (the CSV has it).",
}


def summary(quality: Rows, c_noise: float) -> list[dict[str, Any]]:
    """Compare each specialist with the noisy image and the tuned blur at one C.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    c_noise
        Noise coefficient C.

    Returns
    -------
    list of dict
        One per noise: MS-SSIM of ``raw``, ``gaussian_blur`` and ``cnn``, and
        ``ratio``, (1 - MS-SSIM) of the network over that of the blur.
    """
    result = []
    for noise in dict.fromkeys(row["noise"] for row in quality):
        values = {
            row["method"]: row["ms_ssim"]
            for row in quality
            if row["noise"] == noise
            and row["c_noise"] == c_noise
            and row["trained_on"] in ("", noise)
        }
        ratio = (1 - values["cnn"]) / (1 - values["gaussian_blur"])
        result.append({"noise": NOISES[noise].title, **values, "ratio": ratio})
    return result


def cross_table(quality: Rows, c_noise: float) -> dict[str, Any]:
    """MS-SSIM of every network (rows) on every noise (columns) at one C."""
    chosen = [row for row in quality if row["method"] == "cnn" and row["c_noise"] == c_noise]
    noises = list(dict.fromkeys(row["noise"] for row in chosen))
    value = {(row["trained_on"], row["noise"]): row["ms_ssim"] for row in chosen}
    return {
        "columns": [NOISES[noise].title for noise in noises],
        "rows": [
            (NOISES[trained].title, [value[trained, noise] for noise in noises])
            for trained in noises
        ],
    }


def templates() -> jinja2.Environment:
    """Give the templates of the pages; a value they miss is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def report(
    *,
    quality: Rows,
    figures: Mapping[str, Path],
    structures: Mapping[str, Mapping[str, Any]],
    joints: Mapping[str, Mapping[str, Any]],
    trainings: Mapping[str, Rows],
    config: Mapping[str, Any],
    c_noise: float,
) -> str:
    """Compose the page.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    figures
        PNG file of each figure.
    structures
        DFT summary of each structure.
    joints
        Record of the joined images of each split.
    trainings
        Rows of ``metrics.csv`` of each noise.
    config
        The configuration of the run.
    c_noise
        C of the summary tables.

    Returns
    -------
    str
        HTML.
    """
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            quality=quality,
            summary=summary(quality, c_noise),
            cross=cross_table(quality, c_noise),
            figures=[
                {
                    "number": number,
                    "caption": CAPTIONS[number],
                    "png": base64.b64encode(path.read_bytes()).decode(),
                }
                for number, path in figures.items()
            ],
            structures=structures,
            joints=joints,
            trainings={NOISES[noise].title: rows[-1] for noise, rows in trainings.items()},
            config=config,
            c_noise=c_noise,
        )
    )
