"""The slow background of an image: what varies over more than any lattice does."""

import numpy as np
from scipy import fft

from temdenoise.foundation.quantities import PixelSize

BACKGROUND = 8.0
"""Standard deviation of the Gaussian that takes the slow background [Å]."""

KEPT = 3.0
"""Standard deviation of the Gaussian whose part of the image is kept as recorded [Å].

At the planes of a lattice, 4 Å apart at most, it passes 1e-5; the noise it lets through is that
of the mean over some 100 Å², a hundredth of what a pixel has.
"""


def background(image: np.ndarray, sampling: PixelSize, *, width: float = BACKGROUND) -> np.ndarray:
    """Smooth an image until no lattice is left.

    What differs from a slope and a bow along either axis is mirrored at the rim; were they
    mirrored too, they would be flattened there.

    Parameters
    ----------
    image
        Shape (rows, columns), without outlier pixels.
    sampling
        Pixel size [Å].
    width
        Standard deviation of the Gaussian [Å].
    """
    bent = _bent(image)
    coefficients = fft.dctn(image - bent, norm="ortho")
    for axis, (n, step) in enumerate(zip(image.shape, sampling, strict=True)):
        pixels = min(width / step, n / 4)
        damp = np.exp(-0.5 * (np.pi * np.arange(n) / n * pixels) ** 2).astype(np.float32)
        coefficients *= damp.reshape((-1, 1) if axis == 0 else (1, -1))
    return fft.idctn(coefficients, norm="ortho", overwrite_x=True) + bent


def _bent(image: np.ndarray) -> np.ndarray:
    """Fit a parabola along either axis (least squares), float32."""
    mean = image.mean(dtype=np.float64)
    total = np.full(image.shape, mean, np.float32)
    for axis, n in enumerate(image.shape):
        along = np.linspace(-1, 1, n)
        profile = image.mean(axis=1 - axis, dtype=np.float64) - mean
        parabola = np.polynomial.Polynomial.fit(along, profile, min(2, n - 1))(along)
        total += parabola.astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    return total


def recorded(image: np.ndarray, sampling: PixelSize) -> np.ndarray:
    """Return the part of an image that is kept as recorded, whatever a network says of it.

    Parameters
    ----------
    image
        Shape (rows, columns), float32.
    sampling
        Pixel size [Å].
    """
    slow = background(image, sampling)
    return slow + background(image - slow, sampling, width=KEPT)
