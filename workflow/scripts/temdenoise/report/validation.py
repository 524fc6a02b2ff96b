"""The accuracy of the ground truth, as a figure and a page."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from temdenoise.foundation.lattices import LATTICES
from temdenoise.images.storage import Images
from temdenoise.report.pages import templates
from temdenoise.report.style import COLOURS, DOUBLE_COLUMN, show_image

Rows = Sequence[Mapping[str, Any]]

SHOWN = ("as_configured", "plane_waves", "superposition")
"""Variants whose maps are drawn."""


def figure(
    maps: Mapping[str, Images],
    rows: Rows,
    lattice: Mapping[str, Any] | None,
    *,
    variants: Mapping[str, str],
) -> Figure:
    """Draw the map, what it differs by, and how it converges.

    Parameters
    ----------
    maps
        Projected densities [e/Å²] of the variants in `SHOWN`.
    rows
        Rows of ``accuracy.csv``.
    lattice
        Energy against lattice constant and the bond charge; None for a crystal from a file.
    variants
        Titles.
    """
    figure = plt.figure(figsize=(DOUBLE_COLUMN, 4.4), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[1.25, 1])
    top, bottom = halves
    configured = maps["as_configured"]
    panels: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("a  As configured", configured.data, {})
    ]
    for letter, other, title in (
        ("b", "plane_waves", "minus plane waves"),
        ("c", "superposition", "minus free atoms"),
    ):
        change = configured.data - maps[other].data
        limit = float(np.abs(change).max())
        panels.append(
            (f"{letter}  {title}", change, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit})
        )
    for axes, (title, image, options) in zip(top.subplots(1, 3), panels, strict=True):
        drawn = show_image(axes, image, sampling=configured.sampling, bar=True, **options)
        axes.set_title(title)
        top.colorbar(drawn, ax=axes, label="e/Å²", shrink=0.85)

    columns = bottom.subplots(1, 2 if lattice else 1, width_ratios=[1.3, 1] if lattice else None)
    axes = np.atleast_1d(columns)
    shown = [row for row in rows if row["variant"] != "plane_waves"]
    axes[0].barh(
        [variants[row["variant"]] for row in shown],
        [100 * row["rms_over_std"] for row in shown],
        color=[COLOURS["cnn" if r["variant"] == "as_configured" else "raw"] for r in shown],
    )
    for position, row in enumerate(shown):
        value = 100 * row["rms_over_std"]
        axes[0].text(value, position, f" {value:.2g}", va="center", fontsize=6)
    axes[0].invert_yaxis()
    axes[0].margins(x=0.12)
    axes[0].set(title="d  Difference from plane waves", xlabel="RMS / standard deviation (%)")
    if lattice:
        a = [point["lattice_constant_angstrom"] for point in lattice["curve"]]
        energy = np.array([point["energy_ev_per_atom"] for point in lattice["curve"]])
        minimum = lattice["equilibrium_angstrom"]
        axes[1].plot(a, 1e3 * (energy - energy.min()), "o-", ms=3, color=COLOURS["cnn"])
        axes[1].axvline(minimum, color=COLOURS["cnn"], lw=0.6, ls=":", label=f"{minimum:.3f} Å")
        axes[1].legend(frameon=False)
        axes[1].set(
            title="e  Lattice constant",
            xlabel="Lattice constant (Å)",
            ylabel="Energy (meV/atom)",
        )
    return figure


def page(
    rows: Rows,
    lattice: Mapping[str, Any] | None,
    *,
    variants: Mapping[str, str],
    config: Mapping[str, Any],
    png: str | Path,
) -> str:
    """Compose the page; see `figure` for the parameters."""
    crystal = LATTICES.get(config["structures"]["crystal"])
    return (
        templates()
        .get_template("validation.html.j2")
        .render(
            rows=rows,
            superposition=next(row for row in rows if row["variant"] == "superposition"),
            lattice=lattice,
            variants=variants,
            measured=crystal.measured if crystal else None,
            config=config,
            png=base64.b64encode(Path(png).read_bytes()).decode(),
        )
    )
