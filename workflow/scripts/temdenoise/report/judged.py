"""The page on another program's result: one picture, and one page around it."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from temdenoise.micrographs.foreign_results import ForeignEvidence
from temdenoise.micrographs.foreign_verdict import Opinion
from temdenoise.micrographs.sites import OUTCOMES
from temdenoise.micrographs.verdict import TITLES
from temdenoise.report.micrograph import autocorrelation, draw_sites, picture, radial, transform
from temdenoise.report.pages import templates
from temdenoise.report.style import DOUBLE_COLUMN, journal

ENLARGED = 24.0
"""Side of the enlarged part [Å]."""


def summarise(judged: Opinion, numbers: Mapping[str, Any]) -> tuple[bytes, str]:
    """Draw the picture and write the page.

    Parameters
    ----------
    judged
        What is to be shown.
    numbers
        The same in plain values, with the names of the files.

    Returns
    -------
    tuple of bytes and str
        PNG and HTML.
    """
    buffer = io.BytesIO()
    with journal():
        drawn = figure(judged.seen)
        drawn.savefig(buffer, format="png", dpi=150)
        plt.close(drawn)
    png = buffer.getvalue()
    page = (
        templates()
        .get_template("judged.html.j2")
        .render(found=numbers, titles=TITLES, png=base64.b64encode(png).decode())
    )
    return png, page


def figure(seen: ForeignEvidence) -> Figure:
    """Draw frame, result, difference and sites, an enlarged part of them, and their spectra.

    Parameters
    ----------
    seen
        What was looked at.
    """
    frame, sampling = seen.frame, seen.frame.sampling
    before, after = frame.image[frame.centre], seen.result
    rest = before - after
    images = {"Frame": before, "Result": after, "Difference": rest}
    limit = float(np.quantile(np.abs(rest), 0.998)) or 1.0
    limits = [tuple(np.quantile(image, [0.002, 0.998])) for image in (before, after)]
    limits.append((-limit, limit))
    drawn, axes = plt.subplots(
        3, 4, figsize=(1.6 * DOUBLE_COLUMN, 1.24 * DOUBLE_COLUMN), layout="compressed"
    )
    window = _enlarged(seen)
    for column, ((title, image), (low, high)) in enumerate(
        zip(images.items(), limits, strict=True)
    ):
        for row, (part, words) in enumerate(
            ((image, title), (image[window], f"Enlarged, {title.lower()}"))
        ):
            bar = column == 0
            picture(axes[row, column], part, sampling, words, vmin=low, vmax=high, bar=bar)
    low, high = limits[1]
    whole = (slice(0, after.shape[0]), slice(0, after.shape[1]))
    for row, part in enumerate((whole, window)):
        title = "Sites of the lattice" if row == 0 else "Enlarged, sites"
        picture(axes[row, 3], after[part], sampling, title, vmin=low, vmax=high)
        draw_sites(axes[row, 3], seen.sites, part, sampling, large=row == 1)
    names = ("frame", "result", "difference")
    spectra = dict(zip(names, seen.spectra, strict=True))
    transform(axes[2, 0], spectra["frame"], "Fourier transform, frame", like=spectra["frame"])
    transform(axes[2, 1], spectra["result"], "Fourier transform, result", like=spectra["frame"])
    autocorrelation(axes[2, 2], rest)
    radial(axes[2, 3], spectra)
    return drawn


def _enlarged(seen: ForeignEvidence) -> tuple[slice, slice]:
    """Choose the part that is enlarged: about what is contradicted most clearly, or the middle."""
    shape = seen.result.shape
    middle = np.array(shape) / 2
    sites = seen.sites
    if sites is not None and sites.count("contradicted"):
        against = sites.outcome == OUTCOMES.index("contradicted")
        middle = sites.positions[np.argmin(np.where(against, sites.p_contradict, 2.0))]
    side = min(*shape, max(48, round(ENLARGED / min(seen.frame.sampling))))
    first = np.clip(np.rint(middle).astype(int) - side // 2, 0, np.array(shape) - side)
    return slice(first[0], first[0] + side), slice(first[1], first[1] + side)
