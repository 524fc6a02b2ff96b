"""The report of a run: one HTML file that needs no other file and no network."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from temdenoise.images.noise import NOISES
from temdenoise.showing.comparison import compared
from temdenoise.showing.style import LABELS

Rows = Sequence[Mapping[str, Any]]

CAPTIONS = {
    "1": "From structures to noisy images: (a) disordered structures (dashed: inside it the "
    "displacements are full, outside they fade to a pristine rim) and their projected densities, "
    "(b) maps of different structures joined, (c) the same image shifted, (d) the noises.",
    "2": "(a) The first test image enlarged around its darkest spot: clean, corrupted, and "
    "denoised by the paper-like baseline, by the network trained for that noise and by the "
    "universal network; (b) the similarity still missing at these C; (c) MS-SSIM against C, "
    "beyond the specialists' trained range shaded.",
    "4": "The first test image in full size: corrupted, denoised, and the error left.",
    "S1": "The worst joint of each split: the place where the jump from one map to the next is "
    "largest, between the two arrows. The ratio compares it with the largest jump between "
    "neighbouring pixels inside the maps; at 1 or less a joint cannot be told from the inside.",
    "S2": "Circles and borders. Where four patches of the paper-like baseline meet (dashed), with "
    "the outline of the pores halfway down to the darkest (blue) beside that of the clean image "
    "(white, dotted).",
    "S3": "Where our own networks are worst: of every noise the test image with the least MS-SSIM, "
    "for its specialist within the trained range and for the universal network beyond that, "
    "enlarged around its largest error, with the error that the network expected.",
    "5": "The workflow, drawn from its own graph of rules; what follows from other arrows is left "
    "out (the CSV has it).",
}

COMPARED = ("raw", "best_classical", "paper_like", "cnn", "universal")
"""Columns of the summary."""

FIDELITY = {
    "pore_centre_rmse_pm": ("Pore centre RMSE (pm)", "%.1f"),
    "roundness_bias": ("Roundness bias", "%+.3f"),
    "defect_f1": ("Defect F1", "%.2f"),
    "seam_ratio": ("Seam ratio", "%.2f"),
    "invented_per_nm2": ("Invented per nm²", "%.2f"),
    "coverage_68": ("Within ±1 sigma", "%.2f"),
}
"""Columns of the fidelity table: heading and format."""


def summary(quality: Rows, c_noise: float) -> list[dict[str, Any]]:
    """Compare the networks with the noisy image and their best rival at one C.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    c_noise
        Noise coefficient C.

    Returns
    -------
    list of dict
        One per noise: MS-SSIM of each of `COMPARED`, ``rival`` (which classical method
        is the best), and ``ratio``, (1 - MS-SSIM) of the specialist over that of the rival.
    """
    rows = [row for row in compared(quality) if row["c_noise"] == c_noise]
    result = []
    for noise in dict.fromkeys(row["noise"] for row in rows):
        here = {row["method"]: row for row in rows if row["noise"] == noise}
        values = {method: here[method]["ms_ssim"] for method in COMPARED}
        ratio = (1 - values["cnn"]) / (1 - values["best_classical"])
        rival = here["best_classical"]["trained_on"].replace("_", " ")
        result.append({"noise": NOISES[noise].title, **values, "rival": rival, "ratio": ratio})
    return result


def fidelity_table(fidelity: Rows, c_noise: float) -> list[dict[str, Any]]:
    """Write the fidelity of every method at one C as text, by noise.

    Parameters
    ----------
    fidelity
        Rows of ``fidelity.csv``.
    c_noise
        Noise coefficient C.

    Returns
    -------
    list of dict
        ``noise``, ``method`` and ``cells``, in the order of `FIDELITY`.
    """
    return [
        {
            "noise": NOISES[row["noise"]].title,
            "method": LABELS.get(row["method"], row["method"].replace("_", " ").capitalize()),
            "cells": [
                "–" if row[key] == "" else form % row[key] for key, (_, form) in FIDELITY.items()
            ],
        }
        for row in fidelity
        if row["c_noise"] == c_noise
    ]


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
    fidelity: Rows,
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
    fidelity
        Rows of ``fidelity.csv``.
    figures
        PNG file of each figure.
    structures
        DFT summary of each structure.
    joints
        Record of the joined images of each split.
    trainings
        Rows of ``metrics.csv`` of each model.
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
            labels=[LABELS[method] for method in COMPARED],
            compared=COMPARED,
            cross=cross_table(quality, c_noise),
            fidelity=fidelity_table(fidelity, c_noise),
            fidelity_headings=[heading for heading, _ in FIDELITY.values()],
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
            trainings={name.replace("_", " "): rows[-1] for name, rows in trainings.items()},
            config=config,
            c_noise=c_noise,
        )
    )
