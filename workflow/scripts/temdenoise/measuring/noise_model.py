"""A model of a frame's noise from which more noise of the same kind can be drawn.

The variance of a pixel is linear in its mean (read-out noise and counts times gain), and the
noise has a power spectrum, lines for rows and columns among them. It is measured where the
microscope passes nothing, beyond `spectrum.RESOLVED`, and carried to lower frequencies by the
model of the detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.optimize import least_squares

from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.noise import Noise
from temdenoise.measuring.spectrum import RESOLVED

TAPER = 0.075
"""Part of an image at each rim over which it is faded for its transform."""

HIGHEST = 8.0
"""Power over the noise's mean from which a frequency is a peak and is left out."""

BLUR = 0.35
"""Standard deviation over which mean and variance are compared [Å]."""

SMALLEST = 32
"""Least side of an image whose noise has a model of its own [pixels]."""

FIELDS, LEAST, FEWEST = 12, 40, 8
"""Fields of the frequencies along either axis that are fitted, powers in each at least, and fields
at least."""

UNFILTERED = 0.05
"""Power at the highest frequencies over the mean, from which noise is not filtered."""

SEEN = 3.0
"""Standard errors from which a dependence on the signal is believed."""


Shape = tuple[float, float, float, float]
"""White part, height of a Gaussian part and its widths along both axes [1/pixel]."""


@dataclass(frozen=True)
class NoiseModel:
    """Noise that has a variance and a spectrum.

    Attributes
    ----------
    variance
        Mean over the frame [intensity²], lines included.
    readout, gain
        Variance of a pixel without lines: readout + gain * mean [intensity², intensity].
    gain_error
        Standard error of the gain.
    lines
        Variance that rows and columns have of their own [intensity²].
    spectrum
        The power spectrum over the variance without lines, so that its mean is 1: a white part, and
        height and widths along rows' and columns' axis [1/pixel] of a Gaussian part.
    variance_error
        Standard error of the variance [intensity²].
    """

    variance: float
    readout: float
    gain: float
    gain_error: float
    lines: tuple[float, float]
    spectrum: Shape
    variance_error: float

    @property
    def white(self) -> bool:
        """Whether all pixels have noise of their own."""
        return self.spectrum[1] == 0 and not any(self.lines)

    @property
    def known(self) -> bool:
        """Whether it is known at all frequencies.

        Interpolation and filters leave nothing at the highest, and what there was cannot be told.
        """
        return self.spectrum[0] > UNFILTERED

    def times(self, factor: float) -> "NoiseModel":
        """Return the model of noise with so many times the variance."""
        return replace(
            self,
            variance=factor * self.variance,
            readout=factor * self.readout,
            gain=factor * self.gain,
            gain_error=factor * self.gain_error,
            lines=(factor * self.lines[0], factor * self.lines[1]),
            variance_error=factor * self.variance_error,
        )

    def under(self, widths: Sequence[float]) -> float:
        """Give the noise's power under a Gaussian of these widths [pixels] over its variance."""
        rows, columns = (fft.fftfreq(64) * 2 * np.pi * width for width in widths)
        weight = np.exp(-(rows[:, None] ** 2 + columns**2))
        profile = _profile(fft.fftfreq(64)[:, None], fft.fftfreq(64), self.spectrum)
        return float((weight * profile).sum() / weight.sum())

    def power(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Give the power spectrum at frequencies along both axes [1/pixel], lines left out."""
        return (self.variance - sum(self.lines)) * _profile(rows, columns, self.spectrum)

    def left(self, ratio: float) -> float:
        """Give the part of the noise that coarser pixels leave [standard deviations].

        Parameters
        ----------
        ratio
            Side of a pixel over that of the coarser one; from 1 on all is left.
        """
        if ratio >= 1 or self.variance <= 0:
            return 1.0
        frequency = (np.arange(64) + 0.5) / 128 * ratio
        kept = ratio**2 * float(_profile(frequency[:, None], frequency, self.spectrum).mean())
        lines = sum(self.lines) / self.variance
        # lines are averaged along one axis alone
        return float(np.sqrt(min(kept, 1.0) * (1 - lines) + ratio * lines))

    def of_pixels(self, mean: np.ndarray) -> np.ndarray:
        """Give the variance of pixels without lines, of the mean image's shape [intensity²]."""
        least = 0.05 * max(self.variance - sum(self.lines), 0.0)
        return np.maximum(self.readout + self.gain * mean, least)

    def draw(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw noise.

        Parameters
        ----------
        mean
            What the frame would be without noise, or an estimate of it; shape (rows, columns).
        rng
            Of the random numbers.
        """
        noise = rng.standard_normal(mean.shape)
        if self.spectrum[1] > 0:
            rows, columns = fft.fftfreq(mean.shape[0]), fft.rfftfreq(mean.shape[1])
            power = _profile(rows[:, None], columns, self.spectrum)
            transform = fft.rfft2(noise) * np.sqrt(power)
            noise = fft.irfft2(transform, s=mean.shape)
        noise = noise * np.sqrt(self.of_pixels(mean))
        for axis, variance in enumerate(self.lines):
            if variance > 0:
                line = rng.normal(0.0, np.sqrt(variance), mean.shape[axis])
                noise = noise + np.expand_dims(line, 1 - axis)
        return np.asarray(noise)


def _profile(rows: np.ndarray, columns: np.ndarray, spectrum: Shape) -> np.ndarray:
    """Power at frequencies along both axes [1/pixel]."""
    white, height, *widths = spectrum
    return np.asarray(
        white + height * np.exp(-((rows / widths[0]) ** 2) - (columns / widths[1]) ** 2)
    )


def measure(image: np.ndarray, noise: Noise, sampling: PixelSize) -> NoiseModel:
    """Measure the noise of a frame.

    Parameters
    ----------
    image
        Shape (rows, columns), finite, without outlier pixels.
    noise
        What is known of it: whether rows or columns have noise of their own (`noise.estimate`).
    sampling
        Pixel size [Å].
    """
    image = image.astype(np.float64)
    windows = [_faded(n) for n in image.shape]
    window = np.outer(*windows)
    centred = (image - (image * window).sum() / window.sum()) * window
    power = np.abs(fft.fft2(centred)) ** 2 / (window**2).sum()
    vectors = [fft.fftfreq(n) for n in image.shape]
    resolved = np.hypot(vectors[0][:, None] / sampling.rows, vectors[1] / sampling.columns)
    limit = 1 / RESOLVED
    if (resolved > limit).mean() < 0.15:  # coarse pixels: what is beyond most of the lattice
        limit = float(np.quantile(resolved, 0.8))
    quiet = resolved > limit
    # noise of rows and columns stands on the axes; the window widens it
    off_axes = quiet.copy()
    for axis, n in enumerate(image.shape):
        off_axes &= np.expand_dims(np.abs(vectors[axis]) > 2.5 / n, 1 - axis)
    if off_axes.sum() < LEAST or min(image.shape) < SMALLEST:
        return NoiseModel(noise.sigma**2, noise.sigma**2, 0.0, 0.0, (0.0, 0.0), _WHITE, 0.0)
    values = power[off_axes]
    at = np.array([v[off_axes] for v in np.broadcast_arrays(vectors[0][:, None], vectors[1])])
    spectrum, pixels = _WHITE, _mean(values)
    if any(_falls(values, frequency) for frequency in (*np.abs(at), np.hypot(*at))):
        spectrum, pixels = _fitted(values, at)
    profile = _profile(vectors[0][:, None], vectors[1], spectrum)
    lines = []
    for axis, kind in enumerate(("rows", "columns")):
        line, across = power.take(0, 1 - axis), windows[1 - axis]
        far = quiet.take(0, 1 - axis)
        if kind not in noise.kinds or not far.any():
            lines.append(0.0)
            continue
        beyond = _mean(line[far]) - pixels * float(profile.take(0, 1 - axis)[far].mean())
        # a line of length n holds n times its variance in one place of the transform
        found = beyond / (across.sum() ** 2 / (across**2).sum())
        lines.append(max(found, 0.0))
    peaks = power > HIGHEST * pixels * profile
    noise_alone = off_axes & ~maximum_filter(peaks, 5, mode="wrap")
    gain, error, mean = _dependence(image, noise_alone, pixels, sampling)
    if not gain > SEEN * error:
        gain = 0.0
    return NoiseModel(
        variance=pixels + sum(lines),
        readout=pixels - gain * mean,
        gain=gain,
        gain_error=error,
        lines=(lines[0], lines[1]),
        spectrum=spectrum,
        # each frequency and its opposite are the same one; of a window's places not all are its own
        variance_error=float(pixels * np.sqrt(2 / len(values)) * 1.1),
    )


_WHITE = (1.0, 0.0, 1.0, 1.0)


def _faded(number: int) -> np.ndarray:
    """Window that is 1 but for its ends, where it rises and falls as a cosine does."""
    # not from scipy.signal, which takes long to import
    rise = np.minimum((np.arange(number) + 0.5) / (TAPER * number), 1)
    rise = 0.5 - 0.5 * np.cos(np.pi * rise)
    return np.asarray(rise * rise[::-1])


def _mean(values: np.ndarray) -> float:
    """Mean of exponentially distributed powers, the peaks of a lattice among them left out."""
    mean = float(np.median(values)) / np.log(2)
    # what the part of an exponential distribution below the limit has for a mean
    below = 1 - HIGHEST * np.exp(-HIGHEST) / (1 - np.exp(-HIGHEST))
    for _ in range(3):
        mean = float(values[values < HIGHEST * mean].mean()) / below
    return mean


def _falls(values: np.ndarray, at: np.ndarray) -> bool:
    """Tell whether noise is weaker at higher frequencies, by more than chance."""
    limits = np.quantile(at, [1 / 3, 2 / 3])
    low, high = values[at < limits[0]], values[at > limits[1]]
    ratio = _mean(low) / _mean(high)
    # a frequency and its opposite are the same
    error = np.sqrt(2 / len(low) + 2 / len(high))
    return bool(ratio - 1 > max(SEEN * error, 0.01))


def _fitted(values: np.ndarray, at: np.ndarray) -> tuple[Shape, float]:
    """Fit white noise and a Gaussian part to powers at some frequencies; also give its mean.

    The Gaussian may be wider along one axis than along the other: what a scan leaves behind
    correlates the pixels of a row, a camera's spread all neighbours.
    """
    fields = np.minimum((np.abs(at) * 2 * FIELDS).astype(int), FIELDS - 1)
    number = fields[0] * FIELDS + fields[1]
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    groups = [group for group in np.split(order, starts[1:]) if len(group) >= LEAST]
    if len(groups) < FEWEST:
        return _WHITE, _mean(values)
    x = np.array([np.abs(at[:, group]).mean(axis=1) for group in groups]).T
    y = np.array([_mean(values[group]) for group in groups])
    weight = np.sqrt([len(group) for group in groups])

    def away(logarithms: np.ndarray) -> np.ndarray:
        white, height, along, across = np.exp(logarithms)
        profile = _profile(x[0], x[1], (white, height, along, across))
        return np.asarray(weight * np.log(profile / y))

    low, high = y.min(), y.max()
    limits = np.log([[1e-4 * low, 1e-4 * low, 0.03, 0.03], [2 * high, 1e3 * high, 20.0, 20.0]])
    starting = [(0.1, 0.1), (0.2, 0.2), (0.4, 0.4), (2.0, 0.2), (0.2, 2.0)]
    fits = [least_squares(away, np.log([low, high, *widths]), bounds=limits) for widths in starting]
    white, height, *widths = map(float, np.exp(min(fits, key=lambda fit: float(fit.cost)).x))
    rows, columns = fft.fftfreq(256)[:, None], fft.fftfreq(256)
    mean = float(_profile(rows, columns, (white, height, widths[0], widths[1])).mean())
    return (white / mean, height / mean, widths[0], widths[1]), mean


def _dependence(
    image: np.ndarray, quiet: np.ndarray, pixels: float, sampling: PixelSize
) -> tuple[float, float, float]:
    """Fit the variance by a straight line in the mean: slope, its error, mean of all."""
    transform = fft.fft2(image)
    fast = fft.ifft2(np.where(quiet, transform, 0)).real
    slow = fft.ifft2(np.where(quiet, 0, transform)).real
    inner = tuple(slice(n // 16, n - n // 16) for n in image.shape)
    squares = fast**2 * (pixels / (fast[inner] ** 2).mean())
    # both are blurred alike, so that blurring does not change the slope
    widths = [BLUR / step for step in sampling]
    variance, mean = (gaussian_filter(part, widths)[inner] for part in (squares, slow))
    left, skew = _shares(quiet, widths)
    centred = mean - mean.mean()
    spread = float((centred**2).mean()) - left * pixels
    if spread < 0.1 * left * pixels:  # nothing but noise
        return 0.0, float("inf"), float(mean.mean())
    # counts have a third moment of gain times variance, by which squares follow the noise itself
    spread += skew * pixels
    slope = float((variance * centred).mean()) / spread
    rest = (variance - variance.mean() - slope * centred) * centred / spread
    blocks = [part.mean() for row in np.array_split(rest, 8) for part in np.array_split(row, 8, 1)]
    return slope, float(np.std(blocks, ddof=1) / 8), float(mean.mean())


def _shares(quiet: np.ndarray, widths: Sequence[float]) -> tuple[float, float]:
    """Part of a pixel's variance in the blurred mean, and of its third moment in both together."""
    blur = np.exp(
        -2
        * np.pi**2
        * sum(
            np.expand_dims((fft.fftfreq(n) * width) ** 2, 1 - axis)
            for axis, (n, width) in enumerate(zip(quiet.shape, widths, strict=True))
        )
    )
    slow = fft.ifft2(np.where(quiet, 0, blur)).real
    squares = fft.ifft2(quiet).real ** 2
    squares = fft.ifft2(fft.fft2(squares / squares.sum()) * blur).real
    return float((slow**2).sum()), float((slow * squares).sum())
