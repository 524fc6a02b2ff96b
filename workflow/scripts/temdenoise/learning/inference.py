"""A trained model: its file, and its application to an image."""

import copy
import io
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from temdenoise import __version__
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.learning.augmentation import standardisation
from temdenoise.learning.description import ModelDescription, SigmaCalibration, shown
from temdenoise.learning.devices import exact_convolutions
from temdenoise.learning.networks import ONE_SIGMA, SIGMA_UNIT, name_of, network_of

FORMATS = {
    "temdenoise-denoiser-2": "of networks that predicted the noise",
    "temdenoise-denoiser-3": "without the name of its network, which is a U-Net",
    "temdenoise-denoiser-4": "with the name of its network, and the version that wrote it",
}
"""Formats of model files that are read; the last one is written."""

FORMAT_OF_NOISE, _, FORMAT = FORMATS

TILE = 768
"""Side of the tiles a large image is worked on in [pixels]: decides memory, not the result."""


@dataclass(frozen=True)
class Model:
    """A network with what is needed to apply it.

    Attributes
    ----------
    network
        A `networks.DenoisingNetwork` in evaluation mode.
    description
        What it was trained on, and how its answers are meant.
    """

    network: Any
    description: ModelDescription

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        device: torch.device = next(self.network.parameters()).device
        return device

    def to(self, device: torch.device | str) -> "Model":
        """Return the model with its network on a device, itself if it lies there already."""
        wanted, own = torch.device(device), self.device
        if wanted.type == own.type and wanted.index in (None, own.index):
            return self
        return replace(self, network=copy.deepcopy(self.network).to(device))

    def describe(self) -> str:
        """Say in a few lines what the model was trained on.

        Examples
        --------
        >>> import temdenoise
        >>> print(temdenoise.load_model("density").describe().splitlines()[0])
        density: a projected density (dark pores in a bright net)
        """
        about = self.description
        crystals = ", ".join(f"{name} ({d:.2f} Å)" for name, d in about.spacings.items())
        sizes = ", ".join(f"{key} {value}" for key, value in self.network.options.items())
        weights = sum(value.numel() for value in self.network.parameters())
        return "\n".join(
            [
                f"{about.name or about.method or 'model'}: {about.mode.title}",
                f"pixels of {about.pixels.finest:.3f} to {about.pixels.coarsest:.3f} Å",
                f"noise up to {about.noise_over_contrast:.1f} times the lattice's contrast "
                f"({about.trained_on or 'kind not stated'})",
                f"crystals (spacing of the first ring): {crystals or 'not stated'}",
                f"network: {name_of(self.network)} ({sizes}), {weights / 1e6:.2f} million weights",
            ]
        )

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
        if self.description.patch is not None:
            tile, margin = self.description.patch, 0
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
            for result, output in zip(results, self._passed(window), strict=True):
                result[tuple(core)] = output[tuple(inner)]
        denoised, sigma = results[:, : noisy.shape[0] - pad[0], : noisy.shape[1] - pad[1]]
        calibration = self.description.calibration
        if calibration.growth:
            sigma *= np.float32(np.exp(calibration.growth * _level(sigma)))
        sigma *= np.float32(calibration.factor)
        if self.description.standardised:
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
        denoised = self._passed(np.ascontiguousarray(noisy, dtype=np.float32))[0]
        return denoised * deviation + mean if self.description.standardised else denoised

    def _passed(self, window: np.ndarray) -> list[np.ndarray]:
        """Pass an image (x, y) through the network, on the device it lies on."""
        with torch.inference_mode(), exact_convolutions():
            outputs = self.network(torch.from_numpy(window)[None, None].to(self.device))
        return [output[0, 0].cpu().numpy() for output in outputs]

    def _seen(
        self, noisy: np.ndarray, *, part_of: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.float32, np.float32]:
        """Give the image as the network wants it, and what brings its answer back."""
        if not self.description.standardised:
            return noisy, np.float32(0), np.float32(1)
        mean, deviation = standardisation(noisy if part_of is None else part_of)
        seen = ((noisy - mean) / deviation).astype(np.float32)
        return seen, np.float32(mean), np.float32(deviation)

    def calibration(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> SigmaCalibration:
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
        SigmaCalibration
            The growth is from 0, where the factor is all, to `_FASTEST`.

        Raises
        ------
        ValueError
            If there are no pairs.
        """
        bare = replace(self, description=replace(self.description, calibration=SigmaCalibration()))
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
        return SigmaCalibration(factor, growth)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network and description into one file that loads without running code."""
        with atomic(path) as temporary:
            temporary.write_bytes(self.content())

    def content(self, weights: Mapping[str, torch.Tensor] | None = None) -> bytes:
        """Return what a model file holds.

        Parameters
        ----------
        weights
            To store in the place of the network's own, such as the same in 16 bits.
        """
        weights = self.network.state_dict() if weights is None else weights
        content = {
            "format": FORMAT,
            "version": __version__,
            "about": self.description.to_dict(),
            "network": {"name": name_of(self.network), **self.network.options},
            "state_dict": {key: value.cpu() for key, value in weights.items()},
        }
        buffer = io.BytesIO()  # a file name would end up inside the archive
        torch.save(content, buffer)
        return buffer.getvalue()


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


def load(path: str | os.PathLike[str]) -> Model:
    """Load a model, without executing anything the file says.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is damaged or truncated, holds anything but plain values and weights,
        was written by a later version, or does not fit the network it names.
    """
    path, remedy = Path(path), "run its training again, or name a model made by this version"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such model; {remedy}")
    try:
        content = _read(path)
        _check_format(content)
        return _assembled(content, most=path.stat().st_size)
    except KeyError as error:
        raise DataError(f"{path}: lacks {error}, which every model holds; {remedy}") from error
    except _LaterVersion as error:
        raise DataError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {error}; {remedy}") from error


class _LaterVersion(ValueError):
    """A file is of a format that this version does not know yet."""


_DAMAGED = "damaged, truncated or not a model file"
_LARGEST_PICKLE = 4_000_000  # bytes; the names of 100 000 structures need half of it
_PLAIN_GLOBALS = re.compile(
    r"torch\._utils _rebuild_tensor_v2|torch \w+Storage|collections OrderedDict"
)
"""What the pickle of weights and plain values may name."""


def _read(path: Path) -> Any:
    """Read the content of a model file after a look at what reading it would do."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if any(entry.compress_type for entry in entries) or size > path.stat().st_size:
                raise DataError(
                    f"would unpack to {size / 1e6:.0f} MB from "
                    f"{path.stat().st_size / 1e6:.2f} MB, and models are not compressed"
                )
            if archive.testzip() is not None:
                raise DataError(_DAMAGED)
            for entry in entries:
                # PyTorch finds its pickle in any case of letters
                if entry.filename.lower().endswith(".pkl"):
                    _check_pickle(archive, entry)
        return torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        # PyTorch's own message advises to execute the file
        raise DataError(f"{_DAMAGED} (its description is no plain pickle)") from error
    # what a file made to harm makes zipfile and PyTorch raise can be anything
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{_DAMAGED} ({reason})") from error


def _check_pickle(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Refuse a pickle that names more than weights and plain values.

    PyTorch refuses most of it, too, but would make a ``bytearray`` of any size.
    """
    if entry.file_size > _LARGEST_PICKLE:
        raise DataError(f"a description of {entry.file_size / 1e6:.0f} MB")
    for operation, argument, _ in pickletools.genops(archive.read(entry)):
        named = operation.name == "GLOBAL" and _PLAIN_GLOBALS.fullmatch(str(argument))
        if operation.name in _NAMING and not named:
            raise DataError(
                f"holds code or objects, which are not loaded ({shown(argument or operation.name)})"
            )


_NAMING = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def _check_format(content: Any) -> None:
    """Refuse what is no model, or one of a version that is not read here."""
    found = content.get("format") if isinstance(content, dict) else None
    number = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if number is None:
        raise DataError("not a model of this project")
    if found in FORMATS:
        return
    writer = content.get("version")
    by = f"temdenoise {writer[:20]}" if isinstance(writer, str) else "another version"
    said = f"format {found!r}, written by {by}; this is {__version__}, which reads "
    said += ", ".join(FORMATS)
    if int(number[1]) > int(FORMAT.rpartition("-")[2]):
        raise _LaterVersion(f"{said}: install the version that wrote it")
    raise DataError(said)


_FORMAT = re.compile(r"temdenoise-denoiser-([0-9]{1,6})")


def _assembled(content: Mapping[str, Any], *, most: int) -> Model:
    """Make a model of what a file holds; its weights must not need more than `most` bytes."""
    description = ModelDescription.from_dict(content["about"])
    options, weights = dict(content["network"]), dict(content["state_dict"])
    name = options.pop("name", "unet")
    if not isinstance(name, str):
        raise DataError(f"the name of its network is {shown(name)}, expected text")
    for key, value in options.items():
        if type(value) is not int or abs(value) > _LARGEST_NUMBER:
            raise DataError(f"{shown(key)} of its network is {shown(value)}, expected a number")
    _check_weights(weights, most=most)
    with torch.device("meta"):  # takes no memory
        expected = network_of(name, options).state_dict()
    if content["format"] == FORMAT_OF_NOISE:
        weights = _of_the_image(weights, expected)
    _check_shapes(weights, expected)
    network = network_of(name, options)
    network.load_state_dict(weights)
    return Model(network.eval(), description)


def _check_weights(weights: Mapping[str, Any], *, most: int) -> None:
    """Refuse what are no weights, and those that the file does not hold in full."""
    size = 0
    for key, value in weights.items():
        plain = isinstance(value, torch.Tensor) and value.layout is torch.strided
        if not plain or value.device.type != "cpu" or value.dtype not in _WEIGHT_TYPES:
            raise DataError(f"weight {shown(key)} is no tensor of floating-point numbers")
        size += value.numel() * value.element_size()
        if size > most:
            raise DataError(
                f"weight {shown(key)} has the shape {tuple(value.shape)}, which the file "
                f"of {most / 1e6:.2f} MB cannot hold"
            )
        if not torch.isfinite(value).all():
            raise DataError(f"weight {shown(key)} holds values that are not finite")


_LARGEST_NUMBER = 2**63
_WEIGHT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _check_shapes(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    """Refuse weights that are not those of the network, before it takes memory."""
    if set(weights) != set(expected):
        lacking, other = set(expected) - set(weights), set(weights) - set(expected)
        raise DataError(
            "its weights are not those of its network: without "
            f"{shown(sorted(lacking))}, with {shown(sorted(map(str, other)))}"
        )
    for key, value in weights.items():
        if value.shape != expected[key].shape:
            raise DataError(
                f"weight {key} has the shape {tuple(value.shape)}, expected "
                f"{tuple(expected[key].shape)}"
            )


def _of_the_image(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give the weights with which a UNet answers as one did that subtracted predicted noise.

    The noisy image is not blurred, the correction is the noise with its sign turned, nothing
    more is kept, and sigma does not see how far the noisy pixel lies from the estimate.
    """
    weights = dict(weights)
    blur = torch.zeros(expected["blur.weight"].shape)
    blur[range(4), range(4), 1, 1] = 1
    weights["blur.weight"] = blur
    for kind in ("weight", "bias"):
        weights[f"correction.{kind}"] = -weights.pop(f"head.{kind}")
    weights |= {key: torch.zeros(value.shape) for key, value in expected.items() if "kept" in key}
    weights["kept.2.bias"] -= 100.0
    seen, wanted = weights["doubt.0.weight"], expected["doubt.0.weight"].shape
    # other shapes are refused by whoever compares them
    if seen.ndim == len(wanted) and seen.shape[1] <= wanted[1]:
        lacking = wanted[1] - seen.shape[1]
        weights["doubt.0.weight"] = torch.nn.functional.pad(seen, (0, 0, 0, 0, 0, lacking))
    return weights
