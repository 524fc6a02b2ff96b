"""Figure 3: an experimental image, with the places marked that its predicted error doubts."""

import textwrap
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from temdenoise.foundation.files import atomic, write_table
from temdenoise.images.storage import Images
from temdenoise.micrographs.marked import MarkedFrame
from temdenoise.report.style import COLOURS, DOUBLE_COLUMN, darkest_window, journal, show_image

Rows = list[dict[str, Any]]

LOOKS = {
    "low brightness": (COLOURS["cnn"], "////"),
    "nothing certain": (COLOURS["best_classical"], "...."),
}
"""Colour and hatching of the areas marked; told apart without the colour."""

MARKERS: Mapping[str, Mapping[str, Any]] = {
    "certain": {"marker": ".", "color": COLOURS["universal"]},
    "uncertain": {"marker": "x", "color": COLOURS["best_classical"], "mew": 0.7},
    "suspected": {"marker": "o", "mec": COLOURS["paper_like"], "mfc": "none", "mew": 0.8},
}
"""How features are drawn; told apart without the colour."""

ENLARGED = 3
"""The shorter side of the image over that of the part enlarged."""


def figure_3(*, marked: Images) -> tuple[Figure, Rows]:
    """Draw a micrograph as recorded, denoised, its predicted error, and what that doubts.

    Parameters
    ----------
    marked
        As recorded, denoised, sigma and marks, shape (4, x, y) with y downwards; its metadata
        are those of a `micrographs.marks.MarkedFrame`.

    Returns
    -------
    tuple of Figure and list
        Rows: every feature and every marked area with its place [nm, from the left and the
        top], confidence, evidence and area [nm²].
    """
    found = MarkedFrame.from_dict(marked.metadata)
    # images are drawn with y upwards, micrographs have their first row on top
    before, after, sigma, areas = (np.asarray(layer)[:, ::-1] for layer in marked.data)
    sampling = marked.sampling
    step = np.array(sampling) / 10
    places = found.places
    masks = {name: (areas.astype(int) & value).astype(bool) for value, name in found.areas.items()}
    side = max(32, min(before.shape) // ENLARGED)
    window = darkest_window(-sigma, side=side, spot=min(side, *sigma.shape) // 2)

    figure, axes = plt.subplots(2, 4, figsize=(DOUBLE_COLUMN, 4.5), layout="compressed")
    limits = np.quantile(before, [0.002, 0.998])
    inner = np.quantile(after, [0.002, 0.998])
    span = {"vmin": limits[0], "vmax": limits[1], "cmap": "gray"}
    result = {"vmin": inner[0], "vmax": inner[1], "cmap": "gray"}
    error = {"vmin": 0, "vmax": float(np.quantile(sigma, 0.998)), "cmap": "viridis"}
    whole = (slice(None), slice(None))
    for line, part in zip(axes, (whole, window), strict=True):
        for column, (image, options) in enumerate(
            ((before, span), (after, result), (sigma, error), (after, result))
        ):
            drawn = show_image(
                line[column], image[part], sampling=sampling, bar=column == 0, **options
            )
            if column == 2:
                bar = figure.colorbar(drawn, ax=line[column], shrink=0.75, aspect=15)
                bar.ax.tick_params(labelsize=5)
        _areas(line[3], {name: mask[part] for name, mask in masks.items()}, step)
    titles = ("a  As recorded", "b  Denoised", "c  Predicted error", "d  Marked by that error")
    for column, title in enumerate(titles):
        axes[0, column].set_title(title)
    axes[1, 0].set_title("Enlarged where the error is largest", loc="left")
    _frame(axes[0], window, step)
    corner = np.array([w.start for w in window]) * step
    height = before.shape[1] * step[1]
    _features(axes[0, 3], places, step, height, np.zeros(2), {"suspected": 2.6})
    sizes = {"certain": 2.5, "uncertain": 2.5, "suspected": 5.0}
    _features(axes[1, 3], places, step, height, corner, sizes)
    figure.legend(
        handles=_legend(found),
        loc="outside lower center",
        ncols=5,
        handletextpad=0.3,
        columnspacing=1.2,
        frameon=False,
    )
    headline = f"{found.file}: {found.headline}"
    figure.suptitle("\n".join(textwrap.wrap(headline, 130)), fontsize=7)
    return figure, _rows(found, step)


def _areas(axes: Axes, masks: Mapping[str, np.ndarray], step: np.ndarray) -> None:
    for name, mask in masks.items():
        if not mask.any():
            continue
        colour, hatch = LOOKS[name]
        x, y = ((np.arange(n) + 0.5) * s for n, s in zip(mask.shape, step, strict=True))
        with plt.rc_context({"hatch.color": colour, "hatch.linewidth": 0.5}):
            axes.contourf(x, y, mask.T, [0.5, 1.5], colors="none", hatches=[hatch])
        if not mask.all():
            axes.contour(x, y, mask.T, [0.5], colors=[colour], linewidths=0.9)


def _frame(line: Sequence[Axes], window: tuple[slice, slice], step: np.ndarray) -> None:
    (left, width), (bottom, height) = (
        (w.start * s, (w.stop - w.start) * s) for w, s in zip(window, step, strict=True)
    )
    for axes in line:
        for colour, line_width in (("white", 1.4), ("black", 0.5)):
            axes.add_patch(
                Rectangle((left, bottom), width, height, fill=False, ec=colour, lw=line_width)
            )


def _features(
    axes: Axes,
    places: Sequence[Mapping[str, Any]],
    step: np.ndarray,
    height: float,
    origin: np.ndarray,
    sizes: Mapping[str, float],
) -> None:
    limits = axes.get_xlim(), axes.get_ylim()
    for mark, size in sizes.items():
        chosen = [place for place in places if place["mark"] == mark]
        x = np.array([(place["column"] + 0.5) * step[0] for place in chosen]) - origin[0]
        y = height - np.array([(place["row"] + 0.5) * step[1] for place in chosen]) - origin[1]
        axes.plot(x, y, ls="none", ms=size, **MARKERS[mark])
    axes.set(xlim=limits[0], ylim=limits[1])


def _legend(found: MarkedFrame) -> list[Artist]:
    lines = []
    for mark, options in MARKERS.items():
        name = "suspected inventions" if mark == "suspected" else mark
        label = f"{found.feature}, {name}: {found.count(mark)}"
        lines.append(Line2D([], [], ls="none", label=label, **options))
    patches = [
        Patch(fc="none", ec=colour, hatch=2 * hatch, label=name)
        for name, (colour, hatch) in LOOKS.items()
    ]
    return [*lines, *patches]


def _rows(found: MarkedFrame, step: np.ndarray) -> Rows:
    rows = [
        {
            "file": found.file,
            "what": "area" if place["area"] is not None else found.feature,
            "mark": place["mark"],
            "x_nm": (place["column"] + 0.5) * step[0],
            "y_nm": (place["row"] + 0.5) * step[1],
            **{key: "" if place[key] is None else place[key] for key in ("confidence", "evidence")},
            "area_nm2": "" if place["area"] is None else place["area"] * float(np.prod(step)),
        }
        for place in found.places
    ]
    # a table needs its head even where there is nothing to mark
    empty = dict.fromkeys(("x_nm", "y_nm", "confidence", "evidence", "area_nm2"), "")
    return rows or [{"file": found.file, "what": found.feature, "mark": "none found", **empty}]


def write_figure_3(marked: Images, files: Mapping[str, str | PathLike[str]]) -> None:
    """Draw figure 3 into the files given by ``pdf``, ``png`` and ``csv``."""
    with journal():
        figure, rows = figure_3(marked=marked)
        # a PDF without its date is the same file when made again
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", None)):
            with atomic(files[kind]) as temporary:
                figure.savefig(temporary, metadata=metadata)
        plt.close(figure)
    write_table(files["csv"], rows)
