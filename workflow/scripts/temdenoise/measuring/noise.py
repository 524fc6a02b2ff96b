"""How much noise an image holds, and of which kind."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve, gaussian_filter, median_filter

from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.spectrum import RESOLVED, SMOOTH, Spectrum, middle

CORRELATED = 1.5
"""Fall of the floor over the frequencies that hold noise alone, from which it is not white."""

LINES = 4.0
"""Power in the line of a row or column noise over the floor, from which it is called that."""

DEPENDENT = 1.4
"""Variance in the brighter parts over that in the darker ones, from which it depends on signal."""

IMPULSES = 1e-3
"""Fraction of outlier pixels from which the noise is called impulsive."""

# second differences along both axes: no slope and no bend gets through
_KERNEL = np.outer([1, -2, 1], [1, -2, 1]) / 6.0


@dataclass(frozen=True)
class Noise:
    """The noise of an image.

    Attributes
    ----------
    sigma
        Standard deviation per pixel [intensity of the image].
    kinds
        Of ``white``, ``correlated``, ``rows``, ``columns``, ``signal-dependent``,
        ``impulses``; never empty.
    fall
        Floor at the lowest over that at the highest frequencies that hold noise alone;
        NaN if the pixels are too coarse to tell.
    lines
        Power of row and of column noise over the floor.
    dependence
        Variance in the brighter parts over that in the darker ones.
    impulses
        Fraction of outlier pixels (hot or dead).
    """

    sigma: float
    kinds: tuple[str, ...]
    fall: float
    lines: tuple[float, float]
    dependence: float
    impulses: float

    @property
    def white(self) -> bool:
        """Whether neighbouring pixels have noise of their own."""
        return not {"correlated", "rows", "columns"} & set(self.kinds)


def estimate(
    image: np.ndarray, found: Spectrum, *, sampling: PixelSize, impulses: float = 0.0
) -> Noise:
    """Estimate level and kind of the noise.

    Parameters
    ----------
    image
        Shape (rows, columns), without outlier pixels.
    found
        Its spectrum.
    sampling
        Pixel size [Å].
    impulses
        Fraction of the pixels that were outliers.
    """
    quiet = (found.centres > 1 / RESOLVED) & (found.centres < found.nyquist)
    if quiet.sum() < 6:  # coarse pixels: what is there beyond most of the lattice
        quiet = (found.centres > 0.6 * found.nyquist) & (found.centres < found.nyquist)
    floors = found.floor[quiet]
    third = max(1, len(floors) // 3)
    level = float(np.median(floors[-2 * third :]))
    fall = float(np.median(floors[:third]) / max(np.median(floors[-third:]), 1e-300))
    if found.nyquist < 1.25 / RESOLVED:
        fall = float("nan")
    lines = _lines(found)
    dependence = _dependence(middle(image), blur=max(1.5, 0.5 / float(np.mean(sampling))))
    kinds = []
    if fall > CORRELATED:
        kinds.append("correlated")
        # all frequencies that are no background, the lattice left out by the median
        level = float(np.mean(found.floor_map[found.frequency > 1 / SMOOTH]))
    kinds += [name for name, value in zip(("rows", "columns"), lines, strict=True) if value > LINES]
    if not kinds:
        kinds.append("white")
    if dependence > DEPENDENT:
        kinds.append("signal-dependent")
    if impulses > IMPULSES:
        kinds.append("impulses")
    return Noise(float(np.sqrt(level)), tuple(kinds), fall, lines, dependence, impulses)


def _lines(found: Spectrum) -> tuple[float, float]:
    """Power along the lines that rows and columns of unequal brightness make."""
    ratios = []
    for axis in (0, 1):
        # rows of unequal brightness: any frequency along the rows' axis, none along columns
        centre = int(np.abs(found.vectors[1 - axis]).argmin())
        line, floor = (a.take(centre, 1 - axis) for a in (found.power, found.floor_map))
        far = np.abs(found.vectors[axis]) > 1 / RESOLVED
        if far.sum() < 8:
            far = np.abs(found.vectors[axis]) > 0.5 * found.nyquist
        ratios.append(float(np.median(line[far] / floor[far]) / np.log(2)))
    return ratios[0], ratios[1]


def _dependence(image: np.ndarray, *, blur: float) -> float:
    """Variance of second differences where the image is bright over where it is dark."""
    image = image.astype(np.float64)
    brightness = gaussian_filter(image, blur)
    squares = convolve(image, _KERNEL) ** 2
    low, high = np.quantile(brightness, [0.25, 0.75])
    # the median of squares, which the few steep places of a lattice do not move
    dark, bright = (np.median(squares[where]) for where in (brightness <= low, brightness >= high))
    return float(bright / dark) if dark > 0 else float("nan")


def without_impulses(image: np.ndarray, *, threshold: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """Replace hot, dead and missing pixels by the median around them.

    Parameters
    ----------
    image
        Shape (rows, columns); NaN for a missing pixel.
    threshold
        Distance from the median around it, in robust standard deviations of all such
        distances, from which a pixel is an outlier.

    Returns
    -------
    image, replaced : numpy.ndarray
        float32, and where it was changed.
    """
    image = np.array(image, dtype=np.float32)
    bad = ~np.isfinite(image)
    if bad.any():
        image[bad] = np.median(image[~bad])
    around = median_filter(image, 3, mode="mirror")
    away = image - around
    sample = np.abs(away[:: max(1, away.shape[0] // 1024), :: max(1, away.shape[1] // 1024)])
    spread = 1.4826 * float(np.median(sample))
    if spread == 0:  # most pixels equal their surroundings: single counts, or a flat image
        counted = sample[sample > 0]
        spread = float(sample.std())
        if counted.size > IMPULSES * sample.size:
            spread = max(spread, float(np.median(counted)))
    hot = bad | (np.abs(away) > threshold * spread) if spread > 0 else bad
    image[hot] = around[hot]
    return image, hot
