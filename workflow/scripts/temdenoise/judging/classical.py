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
from skimage.restoration import denoise_tv_chambolle, denoise_wavelet

from temdenoise.judging.block_matching import (
    average_over_translations,
    bm3d,
    bm3d_anscombe,
    lattice_translations,
    nl_means,
)
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


def periodic_nl_means(
    noisy: np.ndarray, *, sigma: float, h: float, patch: float, number: float
) -> np.ndarray:
    """Non-local means over lattice translations, see `average_over_translations`.

    The first estimate is that of the radial Wiener filter. Where no lattice is found, ordinary
    non-local means are taken. h: over sigma; patch: standard deviation of its weights [pixels];
    number: of translations.
    """
    translations = lattice_translations(noisy, sigma=sigma, number=int(number))
    if translations is None:
        return nl_means(noisy, sigma=sigma, **NL_MEANS[1])
    estimate = radial_wiener(noisy, sigma=sigma, factor=1.0)
    return average_over_translations(noisy, estimate, translations, h=h * sigma, patch=patch)


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


def mixture(noisy: np.ndarray, *, sigma: float, **setting: float) -> np.ndarray:
    """Add up what other methods make of an image, see `mix`.

    Of the setting ``name`` is the weight of a method, ``name.argument`` what is set of it.
    """
    parts = [
        weight * BASELINES[name].apply(noisy, sigma=sigma, **_setting_of(name, setting))
        for name, weight in setting.items()
        if "." not in name and weight
    ]
    mixed: np.ndarray = np.sum(parts, axis=0)
    return mixed


def _setting_of(name: str, setting: Setting) -> Setting:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in setting.items() if k.startswith(prefix)}


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
        What is tried on the validation split. Empty: it is made of other methods after these
        are tuned.
    requires
        A module it needs that this project does not install.
    slow
        Whether a frame takes it seconds, so that the benchmark judges it on some frames alone.
    """

    label: str
    apply: Callable[..., np.ndarray]
    settings: Sequence[Setting] = ({},)
    requires: str | None = None
    slow: bool = False

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


# patches as large as a period of graphene, searched over three of its periods: the stronger the
# noise, the larger the patch and the smaller h
NL_MEANS = (
    {"h": 0.5, "patch": 9, "search": 18},
    {"h": 0.3, "patch": 13, "search": 18},
    {"h": 0.1, "patch": 13, "search": 18},
)

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
        "nl_means": Baseline("non-local means", nl_means, NL_MEANS),
        # the stronger the noise, the larger the patch and the smaller h; few translations where
        # the lattice does not reach far. In graphene 80 reach 12 Å: farther on, joined maps repeat
        # the very same structure, which no micrograph does
        "periodic_nl_means": Baseline(
            "non-local means over lattice translations",
            periodic_nl_means,
            (
                {"h": 0.4, "patch": 1.0, "number": 30},
                {"h": 0.5, "patch": 1.0, "number": 80},
                {"h": 0.4, "patch": 1.0, "number": 80},
                {"h": 0.3, "patch": 2.0, "number": 80},
                {"h": 0.2, "patch": 3.0, "number": 80},
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
        "bm3d": Baseline("BM3D", bm3d, grid(factor=(1.0, 1.25, 1.5)), requires="bm3d", slow=True),
        "bm3d_anscombe": Baseline(
            "BM3D with the generalised Anscombe transform",
            bm3d_anscombe,
            grid(pedestal=(0.0, 1.0), factor=(1.0, 1.25)),
            requires="bm3d",
            slow=True,
        ),
        "best_two": Baseline("mixture of the best two", mixture, settings=()),
    }
)
"""Classical methods by name."""


REFERENCES = ("raw", "constant")
"""Rows to compare with that denoise nothing, so they are not mixed."""

WEIGHTS = (0.25, 0.5, 0.75, 1.0)
"""Weights of the best method in a mixture; 1: the second best brings nothing."""

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Trial:
    """A method with its best setting on validation frames.

    Attributes
    ----------
    name, setting
        The method and what is set of it.
    score
        Mean MS-SSIM.
    denoised
        What it makes of each frame, float32.
    """

    name: str
    setting: Setting
    score: float
    denoised: Sequence[np.ndarray]


def tune_all(
    methods: Mapping[str, Baseline], pairs: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, tuple[Setting, float]]:
    """Tune every method that is installed, and the mixture of the best two.

    Parameters
    ----------
    methods
        By name, as `BASELINES`; those without settings are given the mixture.
    pairs
        Noisy and clean image of each validation frame of one noise and C.

    Returns
    -------
    dict
        By name: what is set of the method, and the noise's root mean square.
    """
    images, sigma = _prepared(pairs)
    found: dict[str, tuple[Setting, float]] = {}
    best: list[Trial] = []
    for name, method in methods.items():
        if not method.available or not method.settings:
            continue
        if name in REFERENCES:
            found[name] = method.settings[0], sigma
            continue
        trial = _tried(name, method, images, sigma)
        found[name] = trial.setting, sigma
        # the images of no more than two methods are kept, which bounds memory
        best = sorted([*best, trial], key=lambda one: -one.score)[:2]
    if len(best) == 2:
        mixed = mix(best[0], best[1], images)
        found |= {name: (mixed, sigma) for name, method in methods.items() if not method.settings}
    return found


def mix(best: Trial, second: Trial, images: Pairs) -> Setting:
    """Choose the weights w and 1 - w of two methods by the mean MS-SSIM, see `mixture`.

    Parameters
    ----------
    best, second
        The two, tuned on the images.
    images
        Noisy and clean images.
    """

    def score(weight: float) -> float:
        mixed = (
            weight * one + (1 - weight) * other
            for one, other in zip(best.denoised, second.denoised, strict=True)
        )
        return _mean_ms_ssim(mixed, images)

    weight = max(WEIGHTS, key=score)
    setting: dict[str, float] = {}
    for trial, part in ((best, weight), (second, 1 - weight)):
        setting[trial.name] = part
        setting |= {f"{trial.name}.{key}": value for key, value in trial.setting.items()}
    return setting


def _prepared(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Pairs, float]:
    """Noisy and clean images as float64, and the root mean square of their noise."""
    images = [(np.asarray(n, dtype=float), np.asarray(c, dtype=float)) for n, c in pairs]
    return images, float(np.sqrt(np.mean([np.mean((n - c) ** 2) for n, c in images])))


def _mean_ms_ssim(denoised: Iterable[np.ndarray], images: Pairs) -> float:
    scores = [ms_ssim(denoised=d, clean=c) for d, (_, c) in zip(denoised, images, strict=True)]
    return float(np.mean(scores))


def _tried(name: str, method: Baseline, images: Pairs, sigma: float) -> Trial:
    """Try every setting of a method."""
    best: Trial | None = None
    for setting in method.settings:
        denoised = [
            np.asarray(method.apply(n, sigma=sigma, **setting), np.float32) for n, _ in images
        ]
        score = _mean_ms_ssim(denoised, images)
        if best is None or score > best.score:
            best = Trial(name, setting, score, denoised)
    if best is None:
        raise ValueError(f"{name}: no settings to try")
    return best


def tune(method: Baseline, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Setting, float]:
    """Tune one method, see `tune_all`."""
    return tune_all({method.label: method}, pairs)[method.label]
