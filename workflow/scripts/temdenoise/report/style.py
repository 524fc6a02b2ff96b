"""One look for all figures: sizes for a journal's columns, colour-blind safe colours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from temdenoise.foundation.files import atomic
from temdenoise.report.methods import METHODS

mpl.use("Agg")

DOUBLE_COLUMN = 7.0
"""Width of a figure across both columns [inch]."""

DENSITY_MAP = "magma"


class ColourScale(TypedDict):
    """Values of the first and the last colour, and the name of matplotlib's colour map."""

    vmin: float
    vmax: float
    cmap: str


INTENSITY: ColourScale = {"vmin": -0.1, "vmax": 1.1, "cmap": DENSITY_MAP}
"""How images are drawn: normalised intensity."""

ERROR: ColourScale = {"vmin": -0.2, "vmax": 0.2, "cmap": "RdBu_r"}
"""How errors are drawn: normalised intensity, no error is white."""

SIGMA: ColourScale = {"vmin": 0.0, "vmax": 0.2, "cmap": "viridis"}
"""How predicted errors are drawn: normalised intensity."""

COLOURS = {name: method.colour for name, method in METHODS.items()}
"""Colour of each method."""

EXTRAPOLATION = "#F3E3DC"


@contextmanager
def journal() -> Iterator[None]:
    """Set fonts, lines and vector text for the figures made within."""
    with mpl.rc_context(
        {
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 7,
            "axes.titlesize": 7,
            "axes.labelsize": 7,
            "xtick.labelsize": 6,
            "ytick.labelsize": 6,
            "legend.fontsize": 6,
            "axes.linewidth": 0.6,
            "lines.linewidth": 1.2,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "image.cmap": DENSITY_MAP,
            "image.origin": "lower",
            "pdf.fonttype": 42,
            "svg.fonttype": "none",
            "savefig.dpi": 300,
            "savefig.bbox": "tight",
            "savefig.pad_inches": 0.03,
        }
    ):
        yield


def save_figure(
    figure: Figure, *, pdf: str | os.PathLike[str], png: str | os.PathLike[str]
) -> None:
    """Write a figure as PDF and PNG, within `journal`."""
    # a PDF without its date is the same file when made again
    for path, metadata in ((pdf, {"CreationDate": None}), (png, None)):
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=metadata)


def show_image(
    axes: Axes,
    image: np.ndarray,
    *,
    sampling: tuple[float, float],
    bar: bool = False,
    **options: Any,
) -> AxesImage:
    """Draw an image (x, y) true to scale, x to the right, with a scale bar.

    Parameters
    ----------
    axes
        Where to draw.
    image
        Shape (x, y).
    sampling
        Pixel size along x and y [Å].
    bar
        Whether to draw a scale bar; its length is a round number of nm.
    **options
        For ``Axes.imshow``.
    """
    extent = [n * step / 10 for n, step in zip(image.shape, sampling, strict=True)]
    drawn = axes.imshow(
        image.T, extent=(0, extent[0], 0, extent[1]), interpolation="nearest", **options
    )
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if bar:
        length = max(
            n for n in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if n <= max(0.1, extent[0] / 3)
        )
        x, y = 0.06 * extent[0], 0.06 * extent[1]
        for width, colour in ((3.5, "black"), (2, "white")):
            axes.plot([x, x + length], [y, y], color=colour, lw=width, solid_capstyle="butt")
        axes.text(
            x + length / 2,
            y + 0.025 * extent[1],
            f"{length:g} nm",
            color="white",
            ha="center",
            va="bottom",
            fontsize=6,
            path_effects=[withStroke(linewidth=1.2, foreground="black")],
        )
    return drawn


def darkest_window(image: np.ndarray, *, side: int, spot: int = 8) -> tuple[slice, slice]:
    """Frame the darkest spot of an image: a vacancy, if there is one."""
    total = np.pad(image, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
    sums = total[spot:, spot:] - total[:-spot, spot:] - total[spot:, :-spot] + total[:-spot, :-spot]
    centre = np.array(np.unravel_index(sums.argmin(), sums.shape)) + spot // 2
    side = min(side, *image.shape)
    first = np.clip(centre - side // 2, 0, np.array(image.shape) - side)
    return slice(first[0], first[0] + side), slice(first[1], first[1] + side)
