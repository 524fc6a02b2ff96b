"""The summary of a denoised micrograph: one picture, and one page around it."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from temdenoise.foundation.modes import IMAGE_MODES
from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.spectrum import RESOLVED, Spectrum
from temdenoise.micrographs.evidence import FoundFeatures, Score
from temdenoise.micrographs.sites import OUTCOMES, SiteEvidence
from temdenoise.micrographs.stack import Judged, Shown
from temdenoise.micrographs.verdict import TITLES
from temdenoise.report.pages import templates
from temdenoise.report.style import COLOURS, DOUBLE_COLUMN, journal, show_image


def summarise(judged: Judged, summary: Mapping[str, Any]) -> tuple[bytes, str]:
    """Draw the picture and write the page.

    Parameters
    ----------
    judged
        What was found out about the frame that is shown.
    summary
        What was found out about its file (`micrographs.results.summary_of`).

    Returns
    -------
    tuple of bytes and str
        PNG and HTML.
    """
    buffer = io.BytesIO()
    with journal():
        drawn = figure(judged)
        drawn.savefig(buffer, format="png", dpi=150)
        plt.close(drawn)
    picture = buffer.getvalue()
    numbers = next(n for n in summary["frames"] if n["frame"] == judged.frame.number)
    page = (
        templates()
        .get_template("micrograph.html.j2")
        .render(
            summary=summary,
            frame=numbers,
            titles=TITLES,
            modes=IMAGE_MODES,
            png=base64.b64encode(picture).decode(),
        )
    )
    return picture, page


MARKERS = {
    "cannot be told": (".", COLOURS["raw"], 1.6),
    "supported": ("o", COLOURS["best_classical"], 2.2),
    "contradicted": ("x", COLOURS["paper_like"], 4.5),
}
"""Form, colour and size of a site by its outcome, the most frequent drawn first."""

CROWD = 400
"""Sites in a picture from which their marks are drawn smaller."""

LARGEST = 2048
"""Largest side of the picture for eyes [pixels]."""

SMALLEST = 512
"""Smallest side of it that is not enlarged [pixels]."""


def for_eyes(image: np.ndarray, sigma: np.ndarray, sampling: PixelSize) -> bytes:
    """Draw a denoised image alone, with a scale bar.

    Parameters
    ----------
    image, sigma
        Shape (rows, columns); where sigma is NaN there are no data.
    sampling
        Pixel size [Å].

    Returns
    -------
    bytes
        PNG in grey; black and white are the 0.2 and 99.8 % quantiles of the data.
    """
    step = -(-max(image.shape) // LARGEST)
    rows, columns = (n // step * step for n in image.shape)
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step)
    shown = blocks.mean(axis=(1, 3))
    low, high = np.quantile(image[np.isfinite(sigma)], [0.002, 0.998])
    pixel = PixelSize(sampling.rows * step, sampling.columns * step)
    height, width = (n * size / pixel.side for n, size in zip(shown.shape, pixel, strict=True))
    enlarged = max(1, round(SMALLEST / max(height, width)))
    buffer = io.BytesIO()
    with journal():
        drawn = plt.figure(figsize=(enlarged * width / 150, enlarged * height / 150))
        picture(drawn.add_axes((0, 0, 1, 1)), shown, pixel, "", vmin=low, vmax=high, bar=True)
        drawn.savefig(buffer, format="png", dpi=150, bbox_inches=None, pad_inches=0)
        plt.close(drawn)
    grey = io.BytesIO()
    Image.open(buffer).convert("L").save(grey, format="png", optimize=True)
    return grey.getvalue()


def figure(judged: Judged) -> Figure:
    """Draw one frame: before and after, their transforms, features and scores.

    Parameters
    ----------
    judged
        See `summarise`.
    """
    shown, sampling = judged.shown, judged.frame.sampling
    before, after, sigma = shown.before, shown.after, shown.sigma
    figure, axes = plt.subplots(
        3, 4, figsize=(1.6 * DOUBLE_COLUMN, 1.24 * DOUBLE_COLUMN), layout="compressed"
    )
    limits = np.quantile(before, [0.002, 0.998])
    inner = np.quantile(after, [0.002, 0.998])
    picture(axes[0, 0], before, sampling, "Before", vmin=limits[0], vmax=limits[1], bar=True)
    drawn = picture(axes[0, 1], after, sampling, "After", vmin=inner[0], vmax=inner[1])
    figure.colorbar(drawn, ax=axes[0, 1], shrink=0.7)
    rest = before - after
    limit = float(np.quantile(np.abs(rest), 0.998))
    drawn = picture(axes[0, 2], rest, sampling, "Difference", cmap="gray", vmin=-limit, vmax=limit)
    figure.colorbar(drawn, ax=axes[0, 2], shrink=0.7)
    drawn = picture(axes[0, 3], sigma, sampling, "Sigma (68 %)", cmap="viridis", vmin=0)
    figure.colorbar(drawn, ax=axes[0, 3], shrink=0.7)

    for column, (title, found) in enumerate(_spectra(shown).items()):
        transform(axes[1, column], found, f"Fourier transform, {title}", like=shown.spectrum_before)
    radial(axes[1, 3], _spectra(shown))

    side = min(*before.shape, max(64, round(40 / min(sampling))))
    corner = [(n - side) // 2 for n in before.shape]
    window = tuple(slice(c, c + side) for c in corner)
    picture(
        axes[2, 0],
        before[window],
        sampling,
        "Enlarged, before",
        vmin=limits[0],
        vmax=limits[1],
        bar=True,
    )
    picture(axes[2, 1], after[window], sampling, "Enlarged, after", vmin=inner[0], vmax=inner[1])
    _features(axes[2, 1], judged.features, corner, side, sampling)
    # darker, so that the marks stand out
    dark = {"vmin": inner[0], "vmax": 2 * inner[1] - inner[0]}
    picture(axes[2, 2], after, sampling, "Evidence at each site", **dark)
    middle = (slice(0, after.shape[0]), slice(0, after.shape[1]))
    draw_sites(axes[2, 2], judged.sites, middle, sampling)
    _score(axes[2, 3], judged.score)
    return figure


def _spectra(shown: Shown) -> dict[str, Spectrum]:
    return {
        "before": shown.spectrum_before,
        "after": shown.spectrum_after,
        "difference": shown.spectrum_difference,
    }


def picture(
    axes: Axes, image: np.ndarray, sampling: PixelSize, title: str, **options: Any
) -> AxesImage:
    """Draw (rows, columns) with the first row on top, as image viewers do."""
    options.setdefault("cmap", "gray")
    axes.set_title(title)
    return show_image(axes, image[::-1].T, sampling=(sampling[1], sampling[0]), **options)


def transform(axes: Axes, found: Spectrum, title: str, *, like: Spectrum) -> None:
    """Draw a transform in the greys of another, so that spots can be compared."""
    rows, columns = found.vectors
    keep = [np.abs(v) <= 1 / RESOLVED for v in (rows, columns)]
    power = np.log10(found.power[np.ix_(*keep)] + 1e-300)
    low, high = np.log10(np.quantile(like.power[np.ix_(*keep)] + 1e-300, [0.3, 0.9995]))
    extent = (columns[keep[1]][0], columns[keep[1]][-1], rows[keep[0]][-1], rows[keep[0]][0])
    axes.imshow(
        power,
        extent=extent,
        origin="upper",
        cmap="gray",
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axes.set(title=title, xlabel="1/Å")


def radial(axes: Axes, spectra: Mapping[str, Spectrum]) -> None:
    """Draw radial averages of three spectra: input, output, difference; and the input's floor."""
    for (name, found), method in zip(
        spectra.items(), ("raw", "cnn", "best_classical"), strict=True
    ):
        inside = (found.centres > 0.03) & (found.centres < found.nyquist)
        colour = COLOURS[method]
        axes.semilogy(found.centres[inside], found.mean[inside], color=colour, label=name, lw=0.9)
    found = next(iter(spectra.values()))
    inside = (found.centres > 0.03) & (found.centres < found.nyquist)
    axes.semilogy(
        found.centres[inside],
        found.floor[inside],
        color="black",
        ls=":",
        lw=0.8,
        label="noise floor",
    )
    bottom = float(np.median(found.floor[inside])) * 1e-3
    axes.set(title="Radial power spectrum", xlabel="Spatial frequency (1/Å)")
    axes.set_ylim(bottom=bottom)
    axes.legend(frameon=False)


def _features(
    axes: Axes, features: FoundFeatures, corner: Sequence[int], side: int, sampling: PixelSize
) -> None:
    centres = features.centres - corner
    inside = ((centres >= 0) & (centres < side)).all(axis=1)
    certain = features.certain
    # told apart by their form as well as their colour
    for chosen, colour, marker, edge, label in (
        (inside & certain, COLOURS["best_classical"], "o", 0.0, "certain"),
        (inside & ~certain, COLOURS["paper_like"], "x", 0.7, "uncertain"),
    ):
        rows, columns = centres[chosen].T
        axes.plot(
            (columns + 0.5) * sampling[1] / 10,
            (side - rows - 0.5) * sampling[0] / 10,
            ls="",
            ms=2.4,
            color=colour,
            marker=marker,
            mew=edge,
            label=f"{features.feature}, {label}: {len(rows)}",
        )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncol=2, frameon=False)


def autocorrelation(axes: Axes, rest: np.ndarray, reach: int = 8) -> None:
    """Draw how a pixel of an image goes with its neighbours; of white noise, not at all."""
    rest = rest - rest.mean()
    power = np.abs(np.fft.rfft2(rest)) ** 2
    correlation = np.fft.fftshift(np.fft.irfft2(power, s=rest.shape))
    middle = [n // 2 for n in rest.shape]
    part = correlation[tuple(slice(m - reach, m + reach + 1) for m in middle)]
    part = part / max(part.max(), 1e-300)
    low, high = -reach - 0.5, reach + 0.5
    drawn = axes.imshow(part, extent=(low, high, low, high), cmap="RdBu_r", vmin=-0.2, vmax=0.2)
    axes.set(title="Autocorrelation of the difference", xlabel="Pixels apart")
    axes.figure.colorbar(drawn, ax=axes, shrink=0.7)


def draw_sites(
    axes: Axes,
    sites: SiteEvidence | None,
    window: tuple[slice, slice],
    sampling: PixelSize,
    *,
    large: bool = False,
) -> None:
    """Mark the sites of a part of an image by what the data say of them.

    Parameters
    ----------
    axes
        With the picture of the part.
    sites
        None: that there are none is written instead.
    window
        The part, in the image that the positions are counted in.
    sampling
        Pixel size [Å].
    large
        Whether the part is an enlarged one.
    """
    if sites is None:
        axes.text(0.5, -0.06, "no sites to look at", ha="center", transform=axes.transAxes)
        return
    limits = axes.get_xlim(), axes.get_ylim()
    side = window[0].stop - window[0].start
    places = sites.positions - [part.start for part in window]
    inside = (places >= 0).all(axis=1) & (places[:, 0] < side)
    inside &= places[:, 1] < window[1].stop - window[1].start
    # of many sites those that are supported must leave something of the picture to be seen
    crowded = min(1.0, np.sqrt(CROWD / max(int(inside.sum()), 1)))
    for outcome, (marker, colour, size) in MARKERS.items():
        rows, columns = places[inside & (sites.outcome == OUTCOMES.index(outcome))].T
        axes.plot(
            (columns + 0.5) * sampling.columns / 10,
            (side - rows - 0.5) * sampling.rows / 10,
            ls="",
            marker=marker,
            ms=size * (2.5 if large else 1) * (1 if outcome == "contradicted" else crowded),
            mew=1.2 if marker == "x" else 0,
            color=colour,
            label=f"{outcome}: {len(rows)}",
        )
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncol=3, frameon=False)


def _score(axes: Axes, score: Score | None) -> None:
    axes.set_title("Variance explained (%)")
    if score is None:
        axes.text(0.5, 0.5, "too small to score", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    values = [0.0, 100 * score.gaussian, 100 * score.network]
    bars = axes.bar(
        ["mean", "best\nGaussian", "network"],
        values,
        color=[COLOURS["raw"], COLOURS["best_classical"], COLOURS["cnn"]],
    )
    axes.bar_label(bars, [f"{v:.2f}" for v in values], label_type="center", fontsize=6)
    axes.errorbar([2], values[2:], yerr=100 * score.error, color="black", lw=0.8, capsize=2)
    axes.margins(y=0.15)
    if score.valid:
        axes.axhline(100 * score.ceiling, color="black", lw=0.8, ls="--")
        axes.text(-0.4, 100 * score.ceiling, "noise ceiling", va="bottom", fontsize=6)
    else:
        axes.text(0.5, 0.9, "says nothing: filtered noise", ha="center", transform=axes.transAxes)
