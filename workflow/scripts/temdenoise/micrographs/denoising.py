"""The network's answer to an image, on the image's own grid and scale."""

from dataclasses import dataclass, replace

import numpy as np

from temdenoise.foundation.quantities import NoiseLevel, PixelSize
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.inference import TILE, Model
from temdenoise.measuring.background import background
from temdenoise.measuring.noise_model import NoiseModel
from temdenoise.measuring.resampling import resample, shape_at, stretched
from temdenoise.measuring.spectrum import RESOLVED

INSIDE = 0.85
"""Coarsest pixels that are used, over the coarsest of the trained range."""

STRONGEST = 0.8
"""Noise that is aimed at, at most, over the strongest of the trained range: not its very edge."""


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
    mean
        Mean of the training images, which the image is shifted to [normalised intensity].
    """

    sampling: float
    gain: float
    c_noise: float
    mean: float

    def scaled(self, factor: float) -> "Fit":
        """Return the fit with another intensity scale."""
        return replace(self, gain=self.gain * factor, c_noise=self.c_noise * factor)


@dataclass(frozen=True)
class Answer:
    """What a network makes of an image, float32, in the intensity of the image.

    Attributes
    ----------
    image
        The image it saw, shape (rows, columns).
    sampling
        Its pixel size [Å].
    slow
        The slow background, which the network did not see.
    shown
        What the network shows, without the slow background.
    sigma
        The error it predicts.
    seam
        Largest difference, around a corner of tiles, from the image denoised in
        one piece; NaN where one tile was enough, or it was not asked for.
    """

    image: np.ndarray
    sampling: PixelSize
    slow: np.ndarray
    shown: np.ndarray
    sigma: np.ndarray
    seam: float


def fit(
    level: NoiseLevel, noise: NoiseModel, trained: ModelDescription, sampling: PixelSize
) -> Fit:
    """Choose pixel size and intensity scale for an image.

    Pixels finer than the middle of the trained range are made as coarse as that, which
    loses nothing a microscope resolves, averages noise and saves time; if that leaves more
    noise than the model was trained on, as coarse as the range allows. The
    scale gives the lattice the contrast of the training images. Noise that is still
    too strong is scaled down to the most the model knows, so that it is at
    least taken for noise.

    Parameters
    ----------
    level
        Of the image's noise.
    noise
        Model of it.
    trained
        What the model was trained on.
    sampling
        Pixel size of the image [Å].
    """
    own, ratio = sampling.side, level.over_contrast
    low, high = trained.pixels
    # networks are at their worst at the coarse edge of what they know
    high = max(np.sqrt(low * high), INSIDE * high)
    # half of what a microscope resolves is the coarsest grid that holds it
    enough = max(low, min(np.sqrt(low * high), RESOLVED / 2))
    step = float(np.clip(own, enough, high))
    most = STRONGEST * trained.noise.high
    averaged = ratio * trained.clean_std * noise.left(own / step)
    if averaged > most:
        step = float(min(high, step * min(averaged / most, 1e3)))
        averaged = ratio * trained.clean_std * noise.left(own / step)
    if not np.isfinite(averaged) or averaged > trained.noise.high:
        c_noise = trained.noise.high
    else:
        c_noise = averaged
    here = level.sigma * noise.left(own / step)
    noiseless = here == 0 and level.contrast > 0
    gain = trained.clean_std / level.contrast if noiseless else c_noise / max(here, 1e-300)
    return Fit(step, float(gain), float(c_noise), trained.clean_mean)


def answer(
    model: Model,
    image: np.ndarray,
    fitted: Fit,
    sampling: PixelSize,
    *,
    check_seam: bool = False,
) -> Answer:
    """Pass an image through the network: onto the model's grid and scale, and back.

    The slow background is taken off before.

    Parameters
    ----------
    model
        The model.
    image
        Shape (rows, columns), float32, without outlier pixels.
    fitted
        How the image is fitted to the model.
    sampling
        Pixel size of the image [Å].
    check_seam
        Whether to measure what tiles change, which takes a further pass for a large image.
    """
    slow = background(image, sampling)
    seen = image - slow
    shape = shape_at(image.shape, sampling, fitted.sampling)
    seen = resample(seen, shape)
    seen *= np.float32(fitted.gain)
    seen += np.float32(fitted.mean)
    denoised, sigma = model.denoise(seen)
    seam = _seam(model, seen, denoised) / fitted.gain if check_seam else float("nan")
    del seen
    denoised -= np.float32(fitted.mean)
    denoised = resample(denoised, image.shape)
    denoised /= np.float32(fitted.gain)
    sigma = stretched(sigma, image.shape) / np.float32(fitted.gain)
    return Answer(image, sampling, slow, denoised, sigma, seam)


def _seam(model: Model, seen: np.ndarray, denoised: np.ndarray) -> float:
    """Compare with the network's answer in one piece around the first corner of four tiles."""
    if max(seen.shape) <= TILE or model.description.patch is not None:
        return float("nan")
    block, reach = model.network.block, model.network.reach
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
    whole = model.at_once(seen[tuple(window)], part_of=seen)
    return float(np.abs(whole - denoised[tuple(window)])[tuple(inner)].max())
