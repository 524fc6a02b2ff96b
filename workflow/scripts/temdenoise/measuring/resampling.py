"""Images on other grids of the same area."""

import numpy as np
from scipy import fft

from temdenoise.foundation.quantities import PixelSize


def resample(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return an image with more or fewer pixels on the same area.

    Its cosine transform is cut or filled up: nothing that both grids can hold is changed,
    white noise stays white on the coarser grid, and back from a finer grid is exact.

    Parameters
    ----------
    image
        Shape (rows, columns).
    shape
        New shape.
    """
    if image.shape == tuple(shape):
        return image
    coefficients = fft.dctn(image.astype(np.float32, copy=False), norm="ortho")
    kept = [slice(0, min(old, new)) for old, new in zip(image.shape, shape, strict=True)]
    filled = np.zeros(shape, np.float32)
    filled[tuple(kept)] = coefficients[tuple(kept)]
    filled *= np.float32(np.sqrt(np.prod(shape) / np.prod(image.shape)))
    return fft.idctn(filled, norm="ortho", overwrite_x=True)


def shape_at(shape: tuple[int, int], sampling: PixelSize, target: float) -> tuple[int, int]:
    """Return the shape of an image of the same area with pixels of about `target` [Å].

    Parameters
    ----------
    shape, sampling
        Of the image as it is.
    target
        Pixel size wanted [Å]; the image stays as it is where it has that within 1 %.
    """
    if all(abs(step / target - 1) < 0.01 for step in sampling):
        return shape
    rows, columns = (max(16, round(n * s / target)) for n, s in zip(shape, sampling, strict=True))
    return rows, columns


def stretched(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate linearly to another number of pixels on the same area; stays positive."""
    for axis, new in enumerate(shape):
        old = image.shape[axis]
        if old == new:
            continue
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        left = np.minimum(places.astype(int), old - 2)
        share = (places - left).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        image = image.take(left, axis) * (1 - share) + image.take(left + 1, axis) * share
    return image.astype(np.float32, copy=False)
