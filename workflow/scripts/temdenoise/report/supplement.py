"""Figures the paper does not have: joints (S1), circles and patch borders (S2), failures (S3).

Like those of `figures`: each returns the figure and tidy rows for the CSV beside it.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from temdenoise.images.noise import NOISES
from temdenoise.images.storage import Images
from temdenoise.report.examples import Examples
from temdenoise.report.methods import METHODS
from temdenoise.report.style import (
    COLOURS,
    DOUBLE_COLUMN,
    ERROR,
    INTENSITY,
    SIGMA,
    darkest_window,
    show_image,
)

Rows = list[dict[str, Any]]


def figure_s2(*, shown: Examples, patch: int) -> tuple[Figure, Rows]:
    """Circles and the border between two patches, enlarged; see `figure_2`.

    Parameters
    ----------
    shown
        The first test image of each noise, at one C.
    patch
        Side of the patches of the paper-like baseline [pixels].
    """
    rows: Rows = []
    data, denoised, c_noise = shown.data, shown.denoised, shown.c_noise[0]
    figure, axes = plt.subplots(
        len(data),
        2 + len(denoised),
        figsize=(DOUBLE_COLUMN, 1.45 * len(data)),
        layout="constrained",
        squeeze=False,
    )
    for row, (noise, images) in enumerate(data.items()):
        clean = images.clean[0]
        edge = patch * max(1, clean.shape[0] // patch // 2)
        window = (slice(edge - 20, edge + 20),) * 2
        level = (float(clean.min()) + float(np.median(clean))) / 2
        panels = [("clean", clean), (f"noisy, C = {c_noise:g}", shown.noisy[noise][c_noise])]
        panels += [(METHODS[m].short, by[noise][c_noise]) for m, by in denoised.items()]
        for column, (title, image) in enumerate(panels):
            panel = axes[row, column]
            show_image(
                panel,
                image[window],
                sampling=images.sampling,
                bar=column == 0,
                **INTENSITY,
            )
            x, y = (
                (np.arange(n) + 0.5) * step / 10
                for n, step in zip(image[window].shape, images.sampling, strict=True)
            )
            if column != 1:
                panel.contour(x, y, image[window].T, [level], colors="#56B4E9", linewidths=0.9)
            if column > 1:
                panel.contour(
                    x, y, clean[window].T, [level], colors="white", linewidths=0.6, linestyles=":"
                )
                middle = 20 * images.sampling[0] / 10
                for draw in (panel.axvline, panel.axhline):
                    draw(middle, color="white", lw=0.4, ls=(0, (1, 3)))
                error = image[window] - clean[window]
                rows.append(
                    {
                        "noise": noise,
                        "c_noise": c_noise,
                        "method": list(denoised)[column - 2],
                        "contour_level": level,
                        "rms_error_in_panel": float(np.sqrt(np.mean(error**2))),
                    }
                )
            if row == 0:
                panel.set_title(title)
            if column == 0:
                panel.set_ylabel(NOISES[noise].title.replace(" + ", " +\n"))
    return figure, rows


def figure_s3(*, worst: Mapping[str, Images]) -> tuple[Figure, Rows]:
    """Failure gallery: the worst test images of our networks, where they are worst.

    Parameters
    ----------
    worst
        By noise: noisy, denoised, sigma and clean of some frames, shape (n, 4, x, y);
        ``frames`` in the metadata says of which method, C, image and MS-SSIM.
    """
    shown = [
        (noise, images, number)
        for noise, images in worst.items()
        for number in range(len(images.data))
    ]
    figure, axes = plt.subplots(
        len(shown),
        5,
        figsize=(DOUBLE_COLUMN, 1.12 * len(shown)),
        layout="constrained",
        squeeze=False,
    )
    rows: Rows = []
    drawn: dict[str, AxesImage] = {}
    for line, (noise, images, number) in zip(axes, shown, strict=True):
        noisy, denoised, sigma, clean = images.data[number]
        chosen = images.metadata["frames"][number]
        window = darkest_window(-np.abs(denoised - clean), side=64, spot=24)
        panels = [
            ("noisy", noisy, INTENSITY),
            ("denoised", denoised, INTENSITY),
            ("clean", clean, INTENSITY),
            ("error", denoised - clean, ERROR),
            ("predicted sigma", sigma, SIGMA),
        ]
        for column, (axis, (title, image, options)) in enumerate(zip(line, panels, strict=True)):
            drawn[title] = show_image(
                axis, image[window], sampling=images.sampling, bar=column == 0, **options
            )
            if not rows:
                axis.set_title(title)
        line[0].set_ylabel(
            f"{NOISES[noise].symbol}, C = {chosen['c_noise']:g}\n"
            f"{METHODS[chosen['method']].label}\n"
            f"MS-SSIM {chosen['ms_ssim']:.3f}",
            fontsize=5.5,
        )
        rows.append(
            {"noise": noise}
            | chosen
            | {"x_px": window[0].start, "y_px": window[1].start, "side_px": noisy[window].shape[0]}
        )
    for column, title, label in ((3, "error", "Error"), (4, "predicted sigma", "Sigma")):
        figure.colorbar(
            drawn[title], ax=axes[-1, column], location="bottom", label=label, aspect=12
        )
    return figure, rows


def figure_s1(*, worst: Mapping[str, Images]) -> tuple[Figure, Rows]:
    """Draw the joint with the largest jump of each split.

    Parameters
    ----------
    worst
        Patch [e/Å²] with the joint in its middle, by split; ``axis`` and
        ``joint_ratio`` in its metadata.
    """
    figure, columns = plt.subplots(1, len(worst), figsize=(DOUBLE_COLUMN, 2.5), squeeze=False)
    figure.set_layout_engine("constrained", wspace=0.15)
    low = min(float(image.data.min()) for image in worst.values())
    high = max(float(image.data.max()) for image in worst.values())
    rows: Rows = []
    for axes, (split, image) in zip(columns[0], worst.items(), strict=True):
        ratio, axis = image.metadata["joint_ratio"], image.metadata["axis"]
        drawn = show_image(axes, image.data, sampling=image.sampling, bar=True, vmin=low, vmax=high)
        axes.set_title(f"{split}: ratio {ratio:.2f}")
        # as markers, which count when the figure is cut to what is drawn; arrows do not
        for marker, beside in zip("^v" if axis == 0 else "><", (-0.04, 1.04), strict=True):
            place = (0.5, beside) if axis == 0 else (beside, 0.5)
            axes.plot(*place, marker, color=COLOURS["cnn"], transform=axes.transAxes, clip_on=False)
        rows.append({"split": split, "worst_joint_ratio": ratio, "crossed_along": "xy"[axis]})
    figure.colorbar(drawn, ax=columns[0], label="Projected density (e/Å²)", shrink=0.8)
    return figure, rows
