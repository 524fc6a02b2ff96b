"""Fit an image to what a model was trained on, and its answer back to the image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft

from temdenoise.micrographs.calibration import first_ring
from temdenoise.micrographs.noise_estimate import Noise
from temdenoise.micrographs.spectrum import (
    RESOLVED,
    Spectrum,
    lattice_peaks,
    lattice_variance,
    spectrum,
)
from temdenoise.micrographs.stein import PLAIN, Support
from temdenoise.storage import one_by_one

BACKGROUND = 8.0
"""Standard deviation of the Gaussian that takes the slow background [Å]."""

INSIDE = 0.85
"""Coarsest pixels that are used, over the coarsest of the trained range."""

KEPT = 3.0
"""Standard deviation of the Gaussian whose part of the image is kept as recorded [Å].

At the planes of a lattice, 4 Å apart at most, it passes 1e-5; the noise it lets through is that
of the mean over some 100 Å², a hundredth of what a pixel has.
"""


@dataclass(frozen=True)
class Range:
    """What a model was trained on, as far as its file says.

    Attributes
    ----------
    kind
        ``density`` or ``adf``.
    sampling
        Finest and coarsest pixel size [Å].
    c_noise
        Least and most noise [normalised intensity].
    mean, contrast
        Mean and standard deviation of the clean training images [normalised intensity].
    spacings
        Spacing of the first ring of the crystals trained on, by name [Å].
    """

    kind: str
    sampling: tuple[float, float]
    c_noise: tuple[float, float]
    mean: float
    contrast: float
    spacings: Mapping[str, float]


def trained_range(about: Mapping[str, Any]) -> Range:
    """Read what a model was trained on from its description.

    Keys a model may carry, and what stands for those it does not:

    - ``image_kind``: ``density``;
    - ``sampling_range_angstrom``: its ``sampling_angstrom`` within 5 %;
    - ``clean_mean``, ``clean_std``: 0.5 and 0.25, about those of a lattice sent to [0, 1];
    - ``spacings_angstrom``: none, so that its crystal is not known.

    Parameters
    ----------
    about
        `learning.inference.Denoiser.about`.
    """
    step = about.get("sampling_angstrom", 0.2)
    step = float(np.mean(step))
    low, high = about.get("sampling_range_angstrom", (0.95 * step, 1.05 * step))
    return Range(
        kind=about.get("image_kind", "density"),
        sampling=(float(low), float(high)),
        c_noise=tuple(map(float, about["c_noise_train"])),
        mean=float(about.get("clean_mean", 0.5)),
        contrast=float(about.get("clean_std", 0.25)),
        spacings=dict(about.get("spacings_angstrom", {})),
    )


def _floored(images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Add a little white noise, since peaks are judged by the noise floor around them."""
    rng = np.random.default_rng(0)
    return [a + 0.1 * a.std() * rng.standard_normal(a.shape) for a in images]


def described(
    clean: Mapping[str, Iterable[np.ndarray]],
    *,
    mode: str,
    sampling: tuple[float, float],
    samplings: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Describe training images, so that a micrograph can be fitted to the model.

    Parameters
    ----------
    clean
        Clean, normalised training images by crystal, shape (x, y); in memory one at a time.
    mode
        What they show: ``density``, ``adf`` or ``hrtem``.
    sampling
        Pixel size [Å].
    samplings
        Range of pixel sizes they were resampled to in training [Å]; None: they were not.

    Returns
    -------
    dict
        Keys of a model's description that `trained_range` reads.
    """
    means, variances, spacings = [], [], {}
    for name, images in clean.items():
        first = []
        for image in one_by_one(images):
            means.append(image.mean())
            variances.append(image.var())
            if len(first) < 4:
                first.append(np.array(image))
        rings = [first_ring(lattice_peaks(spectrum(a, sampling))) for a in _floored(first)]
        found = [ring.spacing for ring in rings if ring is not None]
        if found:
            spacings[name] = float(np.median(found))
    return {
        "image_kind": mode,
        "clean_mean": float(np.mean(means)),
        "clean_std": float(np.sqrt(np.mean(variances))),
        "spacings_angstrom": spacings,
        **({"sampling_range_angstrom": list(samplings)} if samplings else {}),
    }


@dataclass(frozen=True)
class Fit:
    """How an image is fitted to a model.

    Attributes
    ----------
    sampling
        Pixel size the model sees [Å].
    gain
        Normalised intensity per intensity of the image.
    c_noise
        Noise the model sees [normalised intensity].
    contrast
        Standard deviation of the lattice [intensity of the image]; 0 if none is seen.
    noise_over_contrast
        In the image as it came; infinite if no lattice is seen.
    support
        How much of what the network shows is taken, see `stein.supported`.
    """

    sampling: float
    gain: float
    c_noise: float
    contrast: float
    noise_over_contrast: float
    support: Support = PLAIN


def lattice_contrast(found: Spectrum) -> float:
    """Give the standard deviation of the lattice [intensity of the image]; 0 if none is seen."""
    return float(np.sqrt(lattice_variance(found, lattice_peaks(found))))


def fit(contrast: float, noise: Noise, trained: Range, *, sampling: tuple[float, float]) -> Fit:
    """Choose pixel size and intensity scale for an image.

    Pixels finer than the middle of the trained range are made as coarse as that, which
    loses nothing a microscope resolves, averages noise and saves time; if that leaves more
    noise than the model was trained on, as coarse as the range allows. The
    scale gives the lattice the contrast of the training images. Noise that is still
    too strong is scaled down to the most the model knows, so that it is at
    least taken for noise.

    Parameters
    ----------
    contrast
        Of the lattice, see `lattice_contrast`.
    noise
        Of the image.
    trained
        Of the model.
    sampling
        Pixel size of the image [Å].
    """
    own = float(np.sqrt(sampling[0] * sampling[1]))
    ratio = noise.sigma / contrast if contrast > 0 else float("inf")
    low, high = trained.sampling
    # networks are at their worst at the coarse edge of what they know
    high = max(np.sqrt(low * high), INSIDE * high)
    # half of what a microscope resolves is the coarsest grid that holds it
    enough = max(low, min(np.sqrt(low * high), RESOLVED / 2))
    step = float(np.clip(own, enough, high))
    most = 0.8 * trained.c_noise[1]  # not at the very edge of what it knows
    averaged = ratio * trained.contrast * min(1.0, own / step)
    if noise.white and averaged > most:
        step = float(min(high, step * min(averaged / most, 1e3)))
        averaged = ratio * trained.contrast * min(1.0, own / step)
    if not np.isfinite(averaged) or averaged > trained.c_noise[1]:
        c_noise = trained.c_noise[1]
    else:
        c_noise = averaged
    here = noise.sigma * (min(1.0, own / step) if noise.white else 1.0)
    gain = trained.contrast / contrast if here == 0 and contrast else c_noise / max(here, 1e-300)
    return Fit(step, float(gain), float(c_noise), contrast, float(ratio))


def background(
    image: np.ndarray, sampling: tuple[float, float], *, width: float = BACKGROUND
) -> np.ndarray:
    """Smooth an image until no lattice is left.

    What differs from a slope and a bow along either axis is mirrored at the rim; were they
    mirrored too, they would be flattened there.

    Parameters
    ----------
    image
        Shape (rows, columns), without pixels out of all proportion.
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


def resample(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Give an image more or fewer pixels on the same area.

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


def shape_at(
    shape: tuple[int, int], sampling: tuple[float, float], target: float
) -> tuple[int, int]:
    """Give the shape of an image of the same area with pixels of about `target` [Å].

    Parameters
    ----------
    shape, sampling
        Of the image as it is.
    target
        Pixel size wanted [Å]; the image stays as it is where it has that within 1 %.
    """
    if all(abs(step / target - 1) < 0.01 for step in sampling):
        return shape
    new = (max(16, round(n * s / target)) for n, s in zip(shape, sampling, strict=True))
    return tuple(new)
