"""A trained denoiser: its file, and its application to an image."""

import io
import os
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from temdenoise.errors import DataError
from temdenoise.files import atomic, intact_archive
from temdenoise.learning.augmentation import standardisation
from temdenoise.learning.networks import ONE_SIGMA, SIGMA_UNIT, UNet

FORMAT = "temdenoise-denoiser-3"
FORMAT_OF_NOISE = "temdenoise-denoiser-2"
"""Of the networks that predicted the noise; they are read, too."""

TILE = 768
"""Side of the tiles a large image is worked on in [pixels]: decides memory, not the result."""


@dataclass
class Denoiser:
    """A network with what is needed to apply it.

    Attributes
    ----------
    network
        In evaluation mode, on the CPU.
    about
        Plain values: ``trained_on`` (noise), ``c_noise_train``, ``sampling`` [Å],
        ``scale`` (offset and range [e/Å²] of the normalisation), ``sigma_factor`` and
        ``sigma_growth`` (see `calibration`), ... With ``patch`` [pixels] the image is
        predicted in patches that are put side by side, as the paper does. With
        ``standardised`` the network sees the image with mean 0 and deviation 1, so that
        its unit does not matter.
    """

    network: UNet
    about: dict[str, Any]

    def __call__(self, noisy: np.ndarray) -> np.ndarray:
        """Denoise a normalised image; see `denoise`, of which this is the first result."""
        return self.denoise(noisy)[0]

    def denoise(self, noisy: np.ndarray, *, tile: int = TILE) -> tuple[np.ndarray, np.ndarray]:
        """Denoise a normalised image and say how far off each pixel may be.

        Tiles overlap by what a pixel can act on, and only the part that nothing
        outside the tile acts on is kept: the result is that of the whole image.

        Parameters
        ----------
        noisy
            Shape (x, y), any size of at least 16 x 16 pixels, finite; any real type.
        tile
            Side of the tiles [pixels]; bounds the memory needed.

        Returns
        -------
        denoised, sigma : numpy.ndarray
            float32, same shape: the image, and the error that holds for 68 % of the
            pixels (calibrated on the validation split, inside the trained range).

        Raises
        ------
        ValueError
            If the image is not two-dimensional, too small, or not finite, or
            the tile is smaller than one pixel.
        """
        noisy = _checked(noisy)
        noisy, mean, deviation = self._seen(noisy)
        if tile < 1:
            raise ValueError(f"tile = {tile}: expected at least 1 pixel")
        block = self.network.block
        tile, margin = (-(-side // block) * block for side in (tile, self.network.reach))
        if "patch" in self.about:
            tile, margin = self.about["patch"], 0
        # mirrored here as the network itself would, so that tiles end as the image does
        pad = [-side % block for side in noisy.shape]
        if any(pad):
            noisy = np.pad(noisy, [(0, p) for p in pad], mode="reflect")
        results = np.empty((2, *noisy.shape), np.float32)
        for corner in product(*(range(0, side, tile) for side in noisy.shape)):
            core = [slice(c, min(c + tile, n)) for c, n in zip(corner, noisy.shape, strict=True)]
            read = [
                slice(max(c.start - margin, 0), min(c.stop + margin, n))
                for c, n in zip(core, noisy.shape, strict=True)
            ]
            inner = [
                slice(c.start - r.start, c.stop - r.start) for c, r in zip(core, read, strict=True)
            ]
            window = np.ascontiguousarray(noisy[tuple(read)], dtype=np.float32)
            with torch.inference_mode():
                outputs = self.network(torch.from_numpy(window)[None, None])
            for result, output in zip(results, outputs, strict=True):
                result[tuple(core)] = output[0, 0][tuple(inner)].numpy()
        denoised, sigma = results[:, : noisy.shape[0] - pad[0], : noisy.shape[1] - pad[1]]
        if growth := self.about.get("sigma_growth", 0.0):
            sigma *= np.float32(np.exp(growth * _level(sigma)))
        sigma *= np.float32(self.about.get("sigma_factor", 1.0))
        if self.about.get("standardised"):
            denoised, sigma = denoised * deviation + mean, sigma * deviation
        return denoised, sigma

    def at_once(self, noisy: np.ndarray, *, part_of: np.ndarray | None = None) -> np.ndarray:
        """Denoise a normalised image in one piece, without tiles or patches.

        What `denoise` is compared with: memory grows with the image.

        Parameters
        ----------
        noisy
            Shape (x, y).
        part_of
            The image it is a window of, which decides the standardisation; None: itself.
        """
        noisy, mean, deviation = self._seen(_checked(noisy), part_of=part_of)
        noisy = np.ascontiguousarray(noisy, dtype=np.float32)
        with torch.inference_mode():
            denoised = self.network(torch.from_numpy(noisy)[None, None])[0][0, 0].numpy()
        return denoised * deviation + mean if self.about.get("standardised") else denoised

    def _seen(
        self, noisy: np.ndarray, *, part_of: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.float32, np.float32]:
        """Give the image as the network wants it, and what brings its answer back."""
        if not self.about.get("standardised"):
            return noisy, np.float32(0), np.float32(1)
        mean, deviation = standardisation(noisy if part_of is None else part_of)
        seen = ((noisy - mean) / deviation).astype(np.float32)
        return seen, np.float32(mean), np.float32(deviation)

    def calibration(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Find what makes 68.27 % of the errors smaller than sigma, in images of all noise levels.

        A network is too sure of itself where noise is strong and too little where it is weak,
        and within an image hardly at all. So the network's sigma s becomes

            factor s (level / 0.05)^growth

        with the level of an image, the geometric mean of s, in what the network sees.

        Parameters
        ----------
        pairs
            Noisy and clean image of each validation frame within the trained range.

        Returns
        -------
        dict
            ``sigma_factor`` and ``sigma_growth``, as `about` has them. The growth is from 0, where
            the factor is all, to `_FASTEST`.

        Raises
        ------
        ValueError
            If there are no pairs.
        """
        bare = Denoiser(
            self.network, {k: v for k, v in self.about.items() if not k.startswith("sigma_")}
        )
        ratios, levels, needed = [], [], []
        for noisy, clean in pairs:
            denoised, sigma = bare.denoise(noisy)
            ratio = np.abs(denoised - clean) / np.maximum(sigma, _TINY)
            ratios.append(ratio.ravel())
            levels.append(_level(sigma / self._seen(noisy)[2]))
            needed.append(np.log(max(np.quantile(ratio, ONE_SIGMA), _TINY)))
        if not ratios:
            raise ValueError("no pairs: expected at least one frame within the trained range")
        # a straight line, and none at all through images of one level
        away = np.array(levels) - np.mean(levels)
        slope = np.dot(away, needed) / (np.dot(away, away) + len(levels) * _SPREAD**2)
        growth = float(np.clip(slope, 0.0, _FASTEST))
        for ratio, level in zip(ratios, levels, strict=True):
            ratio *= np.float32(np.exp(-growth * level))
        factor = float(np.quantile(np.concatenate(ratios), ONE_SIGMA))
        return {"sigma_factor": factor, "sigma_growth": growth}

    def save(self, path: str | os.PathLike) -> None:
        """Write network and description into one file that loads without running code."""
        content = {
            "format": FORMAT,
            "about": self.about,
            "network": self.network.options,
            "state_dict": self.network.state_dict(),
        }
        buffer = io.BytesIO()  # a file name would end up inside the archive
        torch.save(content, buffer)
        with atomic(path) as temporary:
            temporary.write_bytes(buffer.getvalue())


_TINY = np.finfo(np.float32).tiny
_SPREAD = 0.1  # standard deviation of the levels' logarithms that is next to none
_FASTEST = 1.0  # growth of sigma beyond its own


def _level(sigma: np.ndarray) -> float:
    """Logarithm of the level of an image's sigma, as the network gives it, over its unit."""
    # row by row, so that no copy of a large image is needed
    rows = [np.log(np.maximum(row, _TINY)).mean(dtype=np.float64) for row in sigma]
    return float(np.mean(rows) - np.log(SIGMA_UNIT))


def _checked(noisy: np.ndarray) -> np.ndarray:
    noisy = np.asarray(noisy)
    if noisy.ndim != 2 or min(noisy.shape) < 16 or noisy.dtype.kind not in "buif":
        raise ValueError(
            f"noisy has shape {noisy.shape} and type {noisy.dtype}: expected a real image "
            "(x, y) of at least 16 x 16 pixels"
        )
    # the largest number is not finite if any is not; no copy of a large image is needed
    if not (np.isfinite(noisy.max()) and np.isfinite(noisy.min())):
        raise ValueError("noisy holds values that are not finite; replace them first")
    return noisy


def load(path: str | os.PathLike) -> Denoiser:
    """Load a denoiser.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is damaged, truncated, of an unknown format, or no denoiser.
    """
    remedy = "run its training again, or name a model made by this version"
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such model; {remedy}")
    if not intact_archive(path):
        raise DataError(f"{path}: damaged, truncated or not a model file; {remedy}")
    try:
        content = torch.load(Path(path), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"{path}: truncated or not a model file ({error}); {remedy}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found not in (FORMAT, FORMAT_OF_NOISE):
        raise DataError(f"{path}: format {found!r}, expected {FORMAT!r}; {remedy}")
    network, weights = UNet(**content["network"]), content["state_dict"]
    if found == FORMAT_OF_NOISE:
        weights = _of_the_image(weights, network)
    network.load_state_dict(weights)
    return Denoiser(network.eval(), content["about"])


def _of_the_image(weights: Mapping[str, torch.Tensor], network: UNet) -> dict[str, torch.Tensor]:
    """Give the weights with which a UNet answers as one did that subtracted predicted noise.

    The noisy image is not blurred, the correction is the noise with its sign turned, nothing
    more is kept, and sigma does not see how far the noisy pixel lies from the estimate.
    """
    weights, own = dict(weights), network.state_dict()
    blur = torch.zeros_like(own["blur.weight"])
    blur[range(4), range(4), 1, 1] = 1
    weights["blur.weight"] = blur
    for kind in ("weight", "bias"):
        weights[f"correction.{kind}"] = -weights.pop(f"head.{kind}")
    weights |= {key: torch.zeros_like(value) for key, value in own.items() if "kept" in key}
    weights["kept.2.bias"] -= 100.0
    seen = weights["doubt.0.weight"]
    unseen = own["doubt.0.weight"].shape[1] - seen.shape[1]
    weights["doubt.0.weight"] = torch.nn.functional.pad(seen, (0, 0, 0, 0, 0, unseen))
    return weights
