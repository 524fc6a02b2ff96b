"""Classical methods: what a user would pick instead of a network.

A further method is one function and one entry of `BASELINES`. What can be set of it is tuned on
the validation split for every noise and C. Those that need the strength of the noise are given
the true sigma, which no user could do.
"""

import importlib.util
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from scipy import fft
from scipy.ndimage import gaussian_filter, median_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from temdenoise.judging.metrics import ms_ssim
from temdenoise.learning.bragg import STEPS, local_bragg

Setting = Mapping[str, float]
"""What is set of a method, by the names of its arguments."""


def raw(noisy: np.ndarray, *, sigma: float) -> np.ndarray:
    """Return the noisy image as it is."""
    return noisy


def constant(noisy: np.ndarray, *, sigma: float) -> np.ndarray:
    """Return the mean of the noisy image everywhere."""
    flat: np.ndarray = np.full_like(noisy, noisy.mean())
    return flat


def gaussian_blur(noisy: np.ndarray, *, sigma: float, width: float) -> np.ndarray:
    """Convolve with a Gaussian; width: its standard deviation [pixels]."""
    blurred: np.ndarray = gaussian_filter(noisy, width, mode="reflect")
    return blurred


def median(noisy: np.ndarray, *, sigma: float, side: float) -> np.ndarray:
    """Take the median of a square; side: of the square [pixels]."""
    filtered: np.ndarray = median_filter(noisy, size=int(side), mode="reflect")
    return filtered


def nl_means(
    noisy: np.ndarray, *, sigma: float, h: float, patch: float, search: float
) -> np.ndarray:
    """Non-local means (A. Buades et al., doi:10.1109/CVPR.2005.38).

    h: over sigma; patch: side of the patches; search: largest distance of one along either axis
    [pixels].
    """
    averaged: np.ndarray = denoise_nl_means(
        noisy,
        patch_size=int(patch),
        patch_distance=int(search),
        h=h * sigma,
        sigma=sigma,
        fast_mode=True,
    )
    return averaged


def total_variation(noisy: np.ndarray, *, sigma: float, weight: float) -> np.ndarray:
    """Total variation (A. Chambolle, doi:10.1023/B:JMIV.0000011325.36760.1e); weight over sigma."""
    denoised: np.ndarray = denoise_tv_chambolle(noisy, weight=weight * sigma)
    return denoised


def wavelet(noisy: np.ndarray, *, sigma: float, factor: float) -> np.ndarray:
    """BayesShrink (S. G. Chang et al., doi:10.1109/83.862633); factor: on the true sigma."""
    with warnings.catch_warnings():
        # a level whose threshold exceeds every coefficient becomes 0, as it should
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        shrunk: np.ndarray = denoise_wavelet(
            noisy, sigma=factor * sigma, wavelet="sym8", method="BayesShrink", mode="soft"
        )
    return shrunk


def bragg(noisy: np.ndarray, *, sigma: float, window: float, threshold: float) -> np.ndarray:
    """Local Bragg filter, see `learning.bragg.local_bragg`; window: its side [pixels]."""
    # where the image is smaller, the largest that fits
    side = min(int(window), (min(noisy.shape) - 1) // STEPS * STEPS)
    image = torch.from_numpy(np.ascontiguousarray(noisy, np.float64))[None]
    found = local_bragg(image, window=side, threshold=threshold, variance=sigma**2)
    filtered: np.ndarray = found[0].numpy().astype(noisy.dtype)
    return filtered


def radial_wiener(noisy: np.ndarray, *, sigma: float, factor: float) -> np.ndarray:
    """Wiener filter by the mean power of each ring of the transform; factor: on the variance."""

    def gain(power: np.ndarray, rings: np.ndarray) -> np.ndarray:
        count = np.maximum(np.bincount(rings.ravel()), 1)
        of_ring = np.maximum(np.bincount(rings.ravel(), power.ravel()) / count, 1e-300)
        kept: np.ndarray = (np.maximum(of_ring - factor * sigma**2, 0) / of_ring)[rings]
        return kept

    return _transformed(noisy, gain)


def background_subtraction(noisy: np.ndarray, *, sigma: float, factor: float) -> np.ndarray:
    """Take the noise's amplitude off each coefficient of the transform; factor: on it.

    The average background subtraction filter (R. Kilaas, doi:10.1046/j.1365-2818.1998.3070861.x),
    its background the true noise.
    """
    return _transformed(
        noisy,
        lambda power, _: np.maximum(1 - factor * sigma / np.sqrt(np.maximum(power, 1e-300)), 0),
    )


def _transformed(
    noisy: np.ndarray, gain: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Multiply the cosine transform, all but its mean, by a gain: of its power and its rings."""
    transform = fft.dctn(noisy.astype(np.float64), norm="ortho")
    rows, columns = (np.arange(n) / n for n in noisy.shape)
    # as many rings as coefficients along the shorter side
    rings = (np.hypot(rows[:, None], columns[None]) * min(noisy.shape)).astype(int)
    mean = transform[0, 0]
    transform *= gain(transform**2, rings)
    transform[0, 0] = mean
    filtered: np.ndarray = fft.idctn(transform, norm="ortho").astype(noisy.dtype)
    return filtered


def bm3d(noisy: np.ndarray, *, sigma: float) -> np.ndarray:
    """BM3D (K. Dabov et al., doi:10.1109/TIP.2007.901238), told the true sigma."""
    from bm3d import bm3d as filtered

    denoised: np.ndarray = filtered(noisy, sigma_psd=sigma)
    return denoised


@dataclass(frozen=True)
class Baseline:
    """One classical method.

    Attributes
    ----------
    label
        What to call it.
    apply
        Function of the noisy image, sigma and what is set.
    settings
        What is tried on the validation split; one alone is not tuned.
    requires
        A module it needs that this project does not install.
    """

    label: str
    apply: Callable[..., np.ndarray]
    settings: Sequence[Setting] = ({},)
    requires: str | None = None

    @property
    def available(self) -> bool:
        """Whether it can be used here."""
        return self.requires is None or importlib.util.find_spec(self.requires) is not None


def grid(**values: Sequence[float]) -> tuple[Setting, ...]:
    """List every combination of values.

    Examples
    --------
    >>> grid(window=(32, 64), threshold=(2.5,))
    ({'window': 32, 'threshold': 2.5}, {'window': 64, 'threshold': 2.5})
    """
    combined = itertools.product(*values.values())
    return tuple(dict(zip(values, each, strict=True)) for each in combined)


BASELINES = MappingProxyType(
    {
        "raw": Baseline("no denoising", raw),
        "constant": Baseline("mean of the image", constant),
        "gaussian_blur": Baseline(
            "Gaussian blur",
            gaussian_blur,
            grid(width=(0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)),
        ),
        "median": Baseline("median filter", median, grid(side=(3, 5, 7))),
        # patches as large as a period of graphene, searched over three of its periods: the
        # stronger the noise, the larger the patch and the smaller h
        "nl_means": Baseline(
            "non-local means",
            nl_means,
            (
                {"h": 0.5, "patch": 9, "search": 18},
                {"h": 0.3, "patch": 13, "search": 18},
                {"h": 0.1, "patch": 13, "search": 18},
            ),
        ),
        "total_variation": Baseline(
            "total variation", total_variation, grid(weight=(0.4, 0.7, 1.0, 1.5))
        ),
        "wavelet": Baseline("wavelet shrinkage", wavelet, grid(factor=(0.7, 1.0, 1.4, 2.0))),
        "radial_wiener": Baseline(
            "radial Wiener filter", radial_wiener, grid(factor=(0.7, 1.0, 1.4))
        ),
        "background_subtraction": Baseline(
            "background subtraction filter",
            background_subtraction,
            grid(factor=(1.0, 1.5, 2.0, 3.0)),
        ),
        "local_bragg": Baseline(
            "local Bragg filter", bragg, grid(window=(32, 64, 128), threshold=(1.5, 2.5, 4.0))
        ),
        # its licence forbids commercial use, so the user installs it
        "bm3d": Baseline("BM3D", bm3d, requires="bm3d"),
    }
)
"""Classical methods by name."""


def tune(method: Baseline, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Setting, float]:
    """Choose what is set of a method by the mean MS-SSIM on validation frames.

    Parameters
    ----------
    method
        A row of `BASELINES`.
    pairs
        Noisy and clean image of each validation frame of one noise and C.

    Returns
    -------
    setting : mapping
        The best of those tried.
    sigma : float
        Root mean square of the noise.
    """
    images = [(np.asarray(n, dtype=float), np.asarray(c, dtype=float)) for n, c in pairs]
    sigma = float(np.sqrt(np.mean([np.mean((n - c) ** 2) for n, c in images])))
    if len(method.settings) == 1:
        return method.settings[0], sigma
    scores = [
        np.mean(
            [ms_ssim(denoised=method.apply(n, sigma=sigma, **setting), clean=c) for n, c in images]
        )
        for setting in method.settings
    ]
    return method.settings[int(np.argmax(scores))], sigma
