"""A frame split into two by its own noise: one part is denoised, the other judges.

With z noise like that of the frame y, y + t z and y - z / t have independent noise (data fission;
T. Pang et al., CVPR 2021; J. Leiner et al., J. Am. Stat. Assoc. (2023)). What a method makes of
the first part is compared with the second, pixel by pixel, at full resolution, also where noise is
correlated or depends on the signal. Counts are split by thinning them (A. Neufeld et al.,
J. Mach. Learn. Res. 25, 57 (2024)).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from temdenoise.foundation.seeding import generator
from temdenoise.measuring.noise_model import NoiseModel

STRENGTH = 0.5
"""The factor t. The part that is denoised has 1 + t² = 1.25 times the variance of the frame, and
the part that judges holds t² / (1 + t²) = 20 % of its information: enough for single atoms, while
the network still sees nearly what it would be given."""

SMALLEST = 64
"""Least side of an image that is split [pixels]."""

POISSON = 0.05
"""Distance of the variance over the mean from 1, up to which whole numbers are taken for counts."""

BLOCKS = 8
"""Blocks along either side from which standard errors are taken."""

Denoise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Split:
    """Two images of one scene with independent noise.

    Attributes
    ----------
    given
        What is denoised, shape (rows, columns).
    held
        What judges, likewise.
    noise
        Model of the frame's noise.
    mean
        What the noise was drawn about, shape (rows, columns).
    added
        The noise z; None for counts.
    recorded
        The frame.
    """

    given: np.ndarray
    held: np.ndarray
    noise: NoiseModel
    mean: np.ndarray
    added: np.ndarray | None
    recorded: np.ndarray

    @property
    def held_variance(self) -> np.ndarray:
        """Variance of the part that judges, lines left out, shape (rows, columns)."""
        return self.noise.of_pixels(self.mean) * (1 + STRENGTH**-2)

    def errors(self, given: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
        """Estimate the squared error of a denoised image without the true one.

        Its mean over pixels is, on average, that of the squared difference from the frame
        without noise.

        Parameters
        ----------
        given
            The given part, denoised, shape (rows, columns).
        whole
            The frame itself, denoised alike; the same on average, but much less scatter.
        """
        if self.added is None:
            # the variance of what was counted is its mean
            return np.asarray((given - self.held) ** 2 - self.held * (1 + STRENGTH**-2))
        # |f - y + z/t|², without the terms that are known, or 0 on average
        follows = given - (self.mean if whole is None else whole)
        away = (given - self.recorded) ** 2
        lines = sum(self.noise.lines)
        expected = self.noise.of_pixels(self.mean) + lines
        return np.asarray(away + 2 / STRENGTH * self.added * follows - expected)


def smoothed(image: np.ndarray) -> np.ndarray:
    """Smooth an image enough to tell how much noise counts have where."""
    blurred: np.ndarray = gaussian_filter(image, 2.0, mode="mirror", output=np.float64)
    return blurred


def counted(image: np.ndarray, noise: NoiseModel) -> bool:
    """Tell whether the pixels are counts that can be thinned: variance and mean are the same.

    Over the whole frame either is known better than the slope of one against the other.
    """
    if not (noise.white and image.min() >= 0 and np.array_equal(image, np.rint(image))):
        return False
    mean = max(float(image.mean()), 1e-9)
    return abs(noise.variance / mean - 1) < POISSON and 0.5 < noise.gain < 1.5


def split(
    image: np.ndarray, noise: NoiseModel, mean: np.ndarray, rng: np.random.Generator
) -> Split:
    """Split a frame.

    Parameters
    ----------
    image
        Shape (rows, columns).
    noise
        Model of its noise.
    mean
        An estimate of the frame without noise: how much of it is drawn where.
    rng
        Of the random numbers; not the generator that may have made the frame's own noise.
    """
    image = np.asarray(image, dtype=np.float64)
    if counted(image, noise):
        part = 1 / (1 + STRENGTH**2)
        kept = rng.binomial(image.astype(np.int64), part)
        return Split(kept / part, (image - kept) / (1 - part), noise, mean, None, image)
    added = noise.draw(mean, rng)
    return Split(image + STRENGTH * added, image - added / STRENGTH, noise, mean, added, image)


def split_recorded(recorded: np.ndarray, noise: NoiseModel) -> Split | None:
    """Split what was recorded, always alike; None if it is too small for that."""
    if min(recorded.shape) < SMALLEST:
        return None
    return split(recorded, noise, smoothed(recorded), generator(0, "split"))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean of an image, and its standard error from blocks."""
    rows = np.array_split(values, BLOCKS, axis=0)
    means = [part.mean() for row in rows for part in np.array_split(row, BLOCKS, axis=1)]
    return float(values.mean()), float(np.std(means, ddof=1) / BLOCKS)
