"""Classical methods: what a user would pick instead of a network.

A further method is one function and one entry of `BASELINES`. Each has at most one
parameter, which is tuned on the validation split for every noise and C. Those that need the
strength of the noise are given the true sigma, which no user could do.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from temdenoise.judging.metrics import ms_ssim


def raw(noisy: np.ndarray, *, parameter: None, sigma: float) -> np.ndarray:
    """Return the noisy image as it is."""
    return noisy


def constant(noisy: np.ndarray, *, parameter: None, sigma: float) -> np.ndarray:
    """Return the mean of the noisy image everywhere."""
    flat: np.ndarray = np.full_like(noisy, noisy.mean())
    return flat


def gaussian_blur(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian; the parameter is its standard deviation [pixels]."""
    blurred: np.ndarray = gaussian_filter(noisy, parameter, mode="reflect")
    return blurred


def median(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """Take the median of a square; the parameter is its side [pixels]."""
    filtered: np.ndarray = median_filter(noisy, size=int(parameter), mode="reflect")
    return filtered


def nl_means(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """Non-local means (A. Buades et al., doi:10.1109/CVPR.2005.38); parameter: h over sigma."""
    averaged: np.ndarray = denoise_nl_means(
        noisy, patch_size=5, patch_distance=9, h=parameter * sigma, sigma=sigma, fast_mode=True
    )
    return averaged


def total_variation(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """Total variation (A. Chambolle, doi:10.1023/B:JMIV.0000011325.36760.1e); weight over sigma."""
    denoised: np.ndarray = denoise_tv_chambolle(noisy, weight=parameter * sigma)
    return denoised


def wavelet(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """BayesShrink (S. G. Chang et al., doi:10.1109/83.862633); parameter: over true sigma."""
    with warnings.catch_warnings():
        # a level whose threshold exceeds every coefficient becomes 0, as it should
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        shrunk: np.ndarray = denoise_wavelet(
            noisy, sigma=parameter * sigma, wavelet="sym8", method="BayesShrink", mode="soft"
        )
    return shrunk


def bm3d(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """BM3D (K. Dabov et al., doi:10.1109/TIP.2007.901238); parameter: over true sigma."""
    from bm3d import bm3d as filtered

    denoised: np.ndarray = filtered(noisy, sigma_psd=parameter * sigma)
    return denoised


@dataclass(frozen=True)
class Baseline:
    """One classical method.

    Attributes
    ----------
    label
        What to call it.
    apply
        Function of (noisy, parameter, sigma).
    parameters
        What is tried on the validation split; one value is not tuned.
    requires
        A module it needs that this project does not install.
    """

    label: str
    apply: Callable[..., np.ndarray]
    parameters: Sequence[float | None] = (None,)
    requires: str | None = None

    @property
    def available(self) -> bool:
        """Whether it can be used here."""
        return self.requires is None or importlib.util.find_spec(self.requires) is not None


BASELINES = MappingProxyType(
    {
        "raw": Baseline("no denoising", raw),
        "constant": Baseline("mean of the image", constant),
        "gaussian_blur": Baseline(
            "Gaussian blur",
            gaussian_blur,
            (0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0),
        ),
        "median": Baseline("median filter", median, (3, 5, 7)),
        "nl_means": Baseline("non-local means", nl_means, (0.3, 0.5, 0.8)),
        "total_variation": Baseline("total variation", total_variation, (0.4, 0.7, 1.0, 1.5)),
        "wavelet": Baseline("wavelet shrinkage", wavelet, (0.7, 1.0, 1.4, 2.0)),
        # its licence forbids commercial use, so the user installs it
        "bm3d": Baseline("BM3D", bm3d, (1.0,), requires="bm3d"),
    }
)
"""Classical methods by name."""


def tune(
    method: Baseline, pairs: Iterable[tuple[np.ndarray, np.ndarray]]
) -> tuple[float | None, float]:
    """Choose a method's parameter by the mean MS-SSIM on validation frames.

    Parameters
    ----------
    method
        A row of `BASELINES`.
    pairs
        Noisy and clean image of each validation frame of one noise and C.

    Returns
    -------
    parameter : float or None
        The best of those tried.
    sigma : float
        Root mean square of the noise.
    """
    images = [(np.asarray(n, dtype=float), np.asarray(c, dtype=float)) for n, c in pairs]
    sigma = float(np.sqrt(np.mean([np.mean((n - c) ** 2) for n, c in images])))
    if len(method.parameters) == 1:
        return method.parameters[0], sigma
    scores = [
        np.mean(
            [
                ms_ssim(denoised=method.apply(n, parameter=parameter, sigma=sigma), clean=c)
                for n, c in images
            ]
        )
        for parameter in method.parameters
    ]
    return method.parameters[int(np.argmax(scores))], sigma
