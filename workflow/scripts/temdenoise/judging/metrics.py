"""Figures of merit of a denoised image against the clean one."""

import numpy as np
import pytorch_msssim
import torch


def _pair(denoised: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    denoised, clean = (np.array(a, dtype=np.float64) for a in (denoised, clean))
    if denoised.shape != clean.shape or clean.ndim != 2:
        raise ValueError(
            f"denoised {denoised.shape} and clean {clean.shape}: expected two images (x, y) "
            "of equal shape"
        )
    if not (np.isfinite(denoised).all() and np.isfinite(clean).all()):
        raise ValueError("denoised or clean holds values that are not finite")
    return denoised, clean


def ms_ssim(*, denoised: np.ndarray, clean: np.ndarray) -> float:
    """Multi-scale structural similarity: 5 scales, 11-pixel window, data range 1.

    Negative contrast-structure terms count as 0, so the result is never NaN.

    Parameters
    ----------
    denoised, clean
        Normalised images of equal shape (x, y), sides at least 176 pixels.

    Returns
    -------
    float
        In [0, 1]; 1 for equal images.

    Raises
    ------
    ValueError
        If shapes differ, a side is below 176 pixels, or a value is not finite.

    References
    ----------
    Z. Wang, E. P. Simoncelli, A. C. Bovik, doi:10.1109/ACSSC.2003.1292216.
    """
    denoised, clean = _pair(denoised, clean)
    if min(clean.shape) < 176:
        raise ValueError(
            f"images of {clean.shape} pixels: MS-SSIM with 5 scales and an 11-pixel window "
            "needs sides of at least 176 pixels"
        )
    tensors = (torch.from_numpy(a)[None, None] for a in (denoised, clean))
    return float(pytorch_msssim.ms_ssim(*tensors, data_range=1.0, win_size=11))


def psnr(*, denoised: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio for data range 1: -10 log10(mean squared error) [dB].

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> round(psnr(denoised=np.full((8, 8), 0.1), clean=np.zeros((8, 8))), 3)
    20.0
    """
    denoised, clean = _pair(denoised, clean)
    error = np.mean((denoised - clean) ** 2)
    return float("inf") if error == 0 else float(-10 * np.log10(error))
