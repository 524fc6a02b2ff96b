"""What a user would pick instead of a network."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from temdenoise.judging.metrics import ms_ssim


def raw(noisy: np.ndarray) -> np.ndarray:
    """Return the noisy image as it is."""
    return noisy


def constant(noisy: np.ndarray) -> np.ndarray:
    """Return the mean of the noisy image everywhere."""
    return np.full_like(noisy, noisy.mean())


def gaussian_blur(noisy: np.ndarray, *, width: float) -> np.ndarray:
    """Convolve with a Gaussian of standard deviation `width` [pixels]."""
    return gaussian_filter(noisy, width, mode="reflect")


def tune_blur(pairs: Iterable[tuple[np.ndarray, np.ndarray]], widths: Sequence[float]) -> float:
    """Choose the blur with the best mean MS-SSIM on validation frames.

    Parameters
    ----------
    pairs
        Noisy and clean image of each validation frame.
    widths
        Standard deviations to try [pixels].
    """
    pairs = list(pairs)
    scores = [
        np.mean([ms_ssim(denoised=gaussian_blur(n, width=width), clean=c) for n, c in pairs])
        for width in widths
    ]
    return widths[int(np.argmax(scores))]
