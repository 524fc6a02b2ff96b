"""The power spectrum of an image: lattice peaks over a floor of noise.

The floor is the median over a ring of the Fourier transform, which the few pixels of
a lattice peak do not move; for noise the power of a pixel is exponentially
distributed, so its mean is the median over ln 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import maximum_filter

from temdenoise.foundation.quantities import PixelSize

SIDE = 1024
"""Largest side of the part of an image that is transformed [pixels]; the middle is taken."""

SMOOTH = 12.0
"""Periods longer than this [Å] count as background, not as lattice."""

RESOLVED = 0.8
"""Periods shorter than this [Å] hold noise alone: no microscope passes them with contrast."""


@dataclass(frozen=True)
class Spectrum:
    """Power of an image by spatial frequency.

    Attributes
    ----------
    power
        Shape (rows, columns), zero frequency in the middle; normalised so that white noise
        of standard deviation s has a mean of s².
    frequency
        Spatial frequency of each pixel [1/Å].
    vectors
        Components of it along rows and columns [1/Å].
    rings
        Number of the ring each pixel lies in.
    centres
        Mean frequency of each ring [1/Å].
    mean, floor
        Mean power of each ring, and its floor.
    """

    power: np.ndarray
    frequency: np.ndarray
    vectors: tuple[np.ndarray, np.ndarray]
    rings: np.ndarray
    centres: np.ndarray
    mean: np.ndarray
    floor: np.ndarray

    @property
    def floor_map(self) -> np.ndarray:
        """The floor at every pixel."""
        return self.floor[self.rings]

    @property
    def nyquist(self) -> float:
        """Largest frequency along both axes [1/Å]."""
        return float(min(np.abs(v).max() for v in self.vectors))


@dataclass(frozen=True)
class Peak:
    """A lattice peak: its frequency along rows and columns [1/Å] and its height over the floor."""

    rows: float
    columns: float
    height: float

    @property
    def frequency(self) -> float:
        """Length of its vector [1/Å]."""
        return float(np.hypot(self.rows, self.columns))


def middle(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Cut the middle of an image, sides at most `side`."""
    return image[tuple(middle_of(slice(0, n), side) for n in image.shape)]


def middle_of(part: slice, side: int = SIDE) -> slice:
    """Give the middle of a range of pixels, at most `side` of them."""
    number = part.stop - part.start
    start = part.start + max(0, (number - side) // 2)
    return slice(start, start + min(number, side))


def spectrum(image: np.ndarray, sampling: PixelSize) -> Spectrum:
    """Transform the middle of an image under a Hann window.

    Parameters
    ----------
    image
        Shape (rows, columns), finite.
    sampling
        Pixel size [Å].
    """
    part = middle(image).astype(np.float64)
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in part.shape))
    # the mean under the window, so that nothing of it leaks
    part = (part - (part * window).sum() / window.sum()) * window
    power = fft.fftshift(np.abs(fft.fft2(part)) ** 2) / (window**2).sum()
    vectors = tuple(
        fft.fftshift(fft.fftfreq(n, step)) for n, step in zip(part.shape, sampling, strict=True)
    )
    frequency = np.hypot(vectors[0][:, None], vectors[1][None])
    # rings as wide as the coarser pixel of the transform, so that each holds enough of them
    width = 2 * max(v[1] - v[0] for v in vectors)
    rings = (frequency / width).astype(int)
    count = np.bincount(rings.ravel())
    mean = np.bincount(rings.ravel(), power.ravel()) / np.maximum(count, 1)
    centres = np.bincount(rings.ravel(), frequency.ravel()) / np.maximum(count, 1)
    return Spectrum(power, frequency, vectors, rings, centres, mean, _medians(power, rings, count))


def _medians(power: np.ndarray, rings: np.ndarray, count: np.ndarray) -> np.ndarray:
    order = np.lexsort((power.ravel(), rings.ravel()))
    ends = np.cumsum(count)
    middles = np.minimum(ends - count + count // 2, power.size - 1)
    floor = power.ravel()[order][middles] / np.log(2)
    return np.maximum(floor, np.finfo(float).tiny)


def lattice_peaks(found: Spectrum, *, most: int = 24) -> list[Peak]:
    """Find the peaks of a lattice, one of each pair of opposite ones.

    A peak is a pixel higher than its neighbours and higher than the noise reaches
    anywhere in the transform once in a thousand images. Lines through
    the centre, which rows and columns of unequal brightness make, hold none.

    Parameters
    ----------
    found
        The spectrum of the image.
    most
        How many at most, the highest first.
    """
    height = found.power / found.floor_map
    rows, columns = found.vectors
    steps = [v[1] - v[0] for v in found.vectors]
    off_axes = (np.abs(rows)[:, None] > 2.5 * steps[0]) & (np.abs(columns)[None] > 2.5 * steps[1])
    # a true peak on an axis stands out of the line it lies in, too
    off_axes |= _out_of_line(found.power, steps, found.vectors)
    allowed = off_axes & (found.frequency > 1 / SMOOTH) & (found.frequency < 1 / RESOLVED)
    least = np.log(found.power.size) + np.log(1000)
    top = allowed & (height > least) & (height == maximum_filter(height, 5, mode="wrap"))
    top &= (rows[:, None] > 0) | ((rows[:, None] == 0) & (columns[None] > 0))
    places = np.argwhere(top)
    places = places[np.argsort(-height[top])][:most]
    return [
        Peak(*_refined(found.power, (int(i), int(j)), found.vectors), height=float(height[i, j]))
        for i, j in places
    ]


def _out_of_line(
    power: np.ndarray, steps: Sequence[float], vectors: Sequence[np.ndarray]
) -> np.ndarray:
    out = np.zeros(power.shape, bool)
    for axis in (0, 1):
        near = np.abs(vectors[1 - axis]) <= 2.5 * steps[1 - axis]
        lines = power.compress(near, 1 - axis)
        typical = np.median(lines, axis=axis, keepdims=True) / np.log(2)
        bright = lines > 30 * typical
        if axis == 0:
            out[:, near] = bright
        else:
            out[near, :] = bright
    return out


def _refined(
    power: np.ndarray, place: tuple[int, int], vectors: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Frequency of a peak to a fraction of a pixel: a parabola through the logarithms."""
    refined = []
    for axis, vector in enumerate(vectors):
        i = place[axis]
        value = float(vector[i])
        if 0 < i < power.shape[axis] - 1:
            around = [
                np.log(power[tuple(np.add(place, step * (np.arange(2) == axis)))] + 1e-300)
                for step in (-1, 0, 1)
            ]
            bend = around[0] - 2 * around[1] + around[2]
            if bend < 0:
                shift = 0.5 * (around[0] - around[2]) / bend
                value += float(np.clip(shift, -0.5, 0.5)) * float(vector[1] - vector[0])
        refined.append(value)
    return refined[0], refined[1]


def height_at(found: Spectrum, peak: Peak) -> float:
    """Give the power over the floor at the place of a peak of another image of that size."""
    i, j = (
        int(np.abs(v - p).argmin())
        for v, p in zip(found.vectors, (peak.rows, peak.columns), strict=True)
    )
    around = (slice(max(i - 1, 0), i + 2), slice(max(j - 1, 0), j + 2))
    return float((found.power[around] / found.floor_map[around]).max())


def lattice_variance(found: Spectrum, peaks: list[Peak]) -> float:
    """Sum up what the lattice peaks hold above the floor: the lattice's variance.

    Parameters
    ----------
    found, peaks
        The spectrum and its peaks.
    """
    if not peaks:
        return 0.0
    excess = np.zeros(found.power.shape, bool)
    for peak in peaks:
        i, j = (
            int(np.abs(v - p).argmin())
            for v, p in zip(found.vectors, (peak.rows, peak.columns), strict=True)
        )
        excess[max(i - 3, 0) : i + 4, max(j - 3, 0) : j + 4] = True
    over = (found.power - found.floor_map)[excess].sum()
    # both of each pair of opposite peaks
    return float(max(2 * over, 0.0) / found.power.size)


def lattice_contrast(found: Spectrum, peaks: list[Peak]) -> float:
    """Return the standard deviation of the lattice [intensity of the image]; 0 without peaks."""
    return float(np.sqrt(lattice_variance(found, peaks)))
