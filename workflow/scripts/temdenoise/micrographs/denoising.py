"""From one frame of a micrograph to the denoised frame, on the frame's own scale."""

from dataclasses import dataclass, replace

import numpy as np

from temdenoise.errors import DataError
from temdenoise.learning.inference import TILE, Denoiser
from temdenoise.micrographs import memory
from temdenoise.micrographs.fitting import (
    KEPT,
    Fit,
    Range,
    background,
    fit,
    lattice_contrast,
    resample,
    shape_at,
)
from temdenoise.micrographs.noise_estimate import Noise, estimate, without_impulses
from temdenoise.micrographs.spectrum import Spectrum, middle, spectrum
from temdenoise.micrographs.stein import KNOTS, combined, supported

LARGEST = 1e12
"""Largest intensity: sums of squares must stay within the range of 32-bit numbers."""


@dataclass(frozen=True)
class Prepared:
    """A frame ready to be denoised.

    Attributes
    ----------
    image
        float32, shape (rows, columns), without pixels out of all proportion.
    sampling
        Pixel size [Å].
    spectrum, noise, fit
        What was found in it, and how it is fitted to the model.
    replaced
        Number of pixels that were out of all proportion or missing.
    saturated
        Share of the pixels at the largest value, if that looks like a limit; else 0.
    """

    image: np.ndarray
    sampling: tuple[float, float]
    spectrum: Spectrum
    noise: Noise
    fit: Fit
    replaced: int
    saturated: float


@dataclass(frozen=True)
class Applied:
    """A denoised image, float32, in the intensity of the image.

    Attributes
    ----------
    denoised, sigma
        The image and its predicted error.
    slow
        The slow background, which was kept as it is.
    seam
        Largest difference, around a corner of tiles, from the image denoised in
        one piece; NaN where one tile was enough.
    """

    denoised: np.ndarray
    sigma: np.ndarray
    slow: np.ndarray
    seam: float


def prepare(frame: np.ndarray, trained: Range, *, sampling: tuple[float, float]) -> Prepared:
    """Clean a frame of outliers, measure its noise and fit it to the model.

    Parameters
    ----------
    frame
        Shape (rows, columns), any real type.
    trained
        What the model was trained on.
    sampling
        Pixel size [Å].

    Raises
    ------
    DataError
        If the frame holds no picture: no finite value, one value alone, mostly
        missing or saturated; values above `LARGEST`; or needs more memory than there is.
    """
    memory.require(*frame.shape)
    frame = np.ascontiguousarray(frame, dtype=np.float32)
    missing = 1 - np.count_nonzero(np.isfinite(frame)) / frame.size
    if missing == 1:
        raise DataError("every pixel is missing (NaN or infinite)")
    if missing > 0.2:
        raise DataError(
            f"{100 * missing:.0f} % of the pixels are missing (NaN or infinite), expected at most "
            "20 %: cut the image to where it holds data"
        )
    finite = frame if missing == 0 else frame[np.isfinite(frame)]
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        raise DataError(f"every pixel has the same value, {low:g}: there is no picture in it")
    if max(-low, high) > LARGEST:
        raise DataError(
            f"values from {low:g} to {high:g}, expected at most {LARGEST:g} either way: divide the "
            "image by a constant"
        )
    share = float(np.mean(finite == high))
    # values pile up at a limit; without one the largest is as rare as those just below it
    below = np.mean((finite >= high - (high - low) / 100) & (finite < high))
    saturated = share if share > max(5 * below, 1e-3) else 0.0
    if saturated > 0.3:
        raise DataError(
            f"{100 * saturated:.0f} % of the pixels are saturated (at {high:g}), expected at most "
            "30 %: the signal there was never recorded; take the image with less gain"
        )
    image, hot = without_impulses(frame)
    if image.min() == image.max():
        raise DataError("every pixel but single ones has the same value: no picture in it")
    found = spectrum(image, sampling)
    noise = estimate(image, found, sampling=sampling, impulses=float(hot.mean()))
    fitted = fit(lattice_contrast(found), noise, trained, sampling=sampling)
    return Prepared(image, sampling, found, noise, fitted, int(hot.sum()), saturated)


def apply(
    denoiser: Denoiser,
    image: np.ndarray,
    fitted: Fit,
    trained: Range,
    *,
    sampling: tuple[float, float],
) -> Applied:
    """Denoise an image on its own grid and scale.

    The slow background is taken off, kept, and put back. What the network takes away besides
    that varies more slowly than any lattice is put back, too: a network that knows
    contamination takes off what may be thickness. Apart from them, the network and the image
    itself are weighed by what the image bears out, if the fit says how much that is; sigma is
    no smaller than what that changes.

    Parameters
    ----------
    denoiser
        The model.
    image
        Shape (rows, columns), float32, without pixels out of all proportion.
    fitted, trained
        How the image is fitted, and what the model was trained on.
    sampling
        Pixel size of the image [Å].

    Returns
    -------
    Applied
    """
    slow = background(image, sampling)
    seen = image - slow
    shape = shape_at(image.shape, sampling, fitted.sampling)
    seen = resample(seen, shape)
    seen *= np.float32(fitted.gain)
    seen += np.float32(trained.mean)
    denoised, sigma = denoiser.denoise(seen)
    seam = _seam(denoiser, seen, denoised) / fitted.gain
    del seen
    denoised -= np.float32(trained.mean)
    denoised = resample(denoised, image.shape)
    denoised /= np.float32(fitted.gain)
    sigma = stretched(sigma, image.shape) / np.float32(fitted.gain)
    shown = denoised
    denoised = combined(shown, image - slow, fitted.support, sampling=sampling)
    # what had to be changed the network was wrong about, whatever error it expected
    np.maximum(sigma, np.std(shown - denoised, dtype=np.float64), out=sigma)
    del shown
    denoised += slow
    denoised += background(image - denoised, sampling, width=KEPT)
    return Applied(denoised, sigma, slow, seam)


def borne_out(
    denoiser: Denoiser,
    image: np.ndarray,
    fitted: Fit,
    trained: Range,
    noise: Noise,
    *,
    sampling: tuple[float, float],
) -> Fit:
    """Complete a fit with how much of what the network shows the image bears out.

    Parameters
    ----------
    denoiser, image, fitted, trained, sampling
        As `apply` takes them; the middle of the image is looked at.
    noise
        Of the image. If it is correlated nothing can be told, and the fit is as before.

    Returns
    -------
    Fit
    """
    if "correlated" in noise.kinds:
        return fitted
    image = middle(image)

    def shown(image: np.ndarray) -> np.ndarray:
        applied = apply(denoiser, image, fitted, trained, sampling=sampling)
        return applied.denoised - recorded(image, sampling)

    def rest(image: np.ndarray) -> np.ndarray:
        return image - recorded(image, sampling)

    rings = spectrum(image, sampling)
    floor = np.interp(KNOTS, rings.centres, rings.floor)
    if not noise.white:  # lines are in no ring's floor: take nothing of the image itself
        floor[:] = np.square(image).sum()
    found = supported(image, shown, rest, sigma=noise.sigma, floor=floor, sampling=sampling)
    return replace(fitted, support=found)


def recorded(image: np.ndarray, sampling: tuple[float, float]) -> np.ndarray:
    """Give the part of an image that `apply` keeps whatever the network says.

    Parameters
    ----------
    image
        Shape (rows, columns), float32.
    sampling
        Pixel size [Å].
    """
    slow = background(image, sampling)
    return slow + background(image - slow, sampling, width=KEPT)


def _seam(denoiser: Denoiser, seen: np.ndarray, denoised: np.ndarray) -> float:
    """Compare with the network's answer in one piece around the first corner of four tiles."""
    if max(seen.shape) <= TILE or "patch" in denoiser.about:
        return float("nan")
    block, reach = denoiser.network.block, denoiser.network.reach
    around = -(-(reach + 64) // block) * block
    tile = -(-TILE // block) * block
    corner = [tile if n > tile else n // 2 // block * block for n in seen.shape]
    window = [
        slice(max(0, c - around), min(c + around, n // block * block))
        for c, n in zip(corner, seen.shape, strict=True)
    ]
    inner = [
        slice(reach if w.start else 0, w.stop - w.start - (reach if w.stop < n else 0))
        for w, n in zip(window, seen.shape, strict=True)
    ]
    if any(i.stop - i.start < 2 for i in inner):
        return float("nan")
    whole = denoiser.at_once(seen[tuple(window)], part_of=seen)
    return float(np.abs(whole - denoised[tuple(window)])[tuple(inner)].max())


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
