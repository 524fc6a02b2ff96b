"""Write denoised micrographs: calibrated, in the format and depth that is asked for."""

import copy
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs.formats import Content, Values, each_image, written_as
from temdenoise.micrographs.readers import Micrograph
from temdenoise.micrographs.result_formats import RESULT_FORMATS, WRITTEN_AS

ROUNDING = 1e-3
"""Maximum rounding of 32-bit numbers, over the standard deviation of the image."""


@dataclass(frozen=True)
class Scale:
    """How whole numbers that are stored stand for values: value = offset + step * stored.

    Attributes
    ----------
    offset, step
        In the unit of the image.
    bits
        Of the whole numbers: 16 or 8.
    least
        The least whole number: 0, or below it if they have a sign.
    """

    offset: float
    step: float
    bits: int
    least: int = 0

    @property
    def signed(self) -> "Scale":
        """The same by whole numbers with a sign."""
        least = -(2 ** (self.bits - 1))
        return Scale(self.offset - least * self.step, self.step, self.bits, least)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the whole numbers."""
        return np.dtype(f"{'i' if self.least else 'u'}{self.bits // 8}")

    def stored(self, image: np.ndarray) -> np.ndarray:
        """Return the whole numbers for values; NaN becomes the least."""
        counted = np.round((image.astype(np.float64) - self.offset) / self.step)
        most = self.least + 2**self.bits - 1
        return np.clip(np.nan_to_num(counted, nan=self.least), self.least, most).astype(self.dtype)


def write_image(
    path: str | os.PathLike[str],
    data: Values,
    *,
    sampling: PixelSize,
    quantity: str,
    scale: Scale | None = None,
) -> None:
    """Write an image or a stack in the format of the ending, calibrated.

    Parameters
    ----------
    path
        The file to write, with an ending of `WRITTEN_AS`.
    data
        Shape (..., rows, columns). Values of 64 bits stay so where 32 would round them.
    sampling
        Pixel size along rows and columns [Å]; stored in nm (MRC: in Å).
    quantity
        What the values are.
    scale
        How whole numbers stand for values (`scale_of`), which is stored as well where the format
        has a place for it (not in .npy); None: floating-point numbers.

    Raises
    ------
    DataError
        If the format is none that can be written.
    """
    path = Path(path)
    format = WRITTEN_AS.get(path.suffix.lower())
    entry = written_as(path.with_suffix(RESULT_FORMATS[format])) if format else None
    if entry is None or entry.write is None:
        raise DataError(
            f"{path}: results are not written in this format; expected an ending of "
            f"{', '.join(WRITTEN_AS)}"
        )
    frames = data.reshape(-1, *data.shape[-2:])
    metadata: dict[str, Any] = {
        "General": {"title": quantity},
        "Signal": {"quantity": quantity, "signal_type": ""},
    }
    if scale is None:
        values = _floats(frames)
        if values.dtype.itemsize > 4 and entry.name == "mrc":
            raise DataError(
                f"{path}: the values need 64 bits ({ROUNDING:g} of their variation would be "
                "rounded away), which MRC does not have; write TIFF or .npy"
            )
    else:
        values = each_image(frames, scale.dtype, scale.stored)
        metadata["Signal"]["Noise_properties"] = {
            "Variance_linear_model": {"gain_factor": scale.step, "gain_offset": scale.offset}
        }
    if len(frames) == 1:
        values = values.reshape(*frames.shape[1:])
    names = ("time", "y", "x")[-values.ndim :]
    scales = (1.0, sampling.rows / 10, sampling.columns / 10)[-values.ndim :]
    axes = [
        {
            "name": name,
            "size": size,
            "scale": step,
            "offset": 0.0,
            "units": "" if name == "time" else "nm",
            "navigate": name == "time",
            "index_in_array": index,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for index, (name, size, step) in enumerate(zip(names, values.shape, scales, strict=True))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entry.write(path, Content(values, axes=axes, metadata=metadata))


def _floats(frames: Values) -> Values:
    """Give 32-bit numbers, unless they would round away what the image shows."""
    dtype: type[np.floating[Any]] = np.float32
    if frames.dtype.itemsize > 4 or (frames.dtype.kind in "iu" and frames.dtype.itemsize == 4):
        for frame in frames:
            finite = np.asarray(frame, np.float64)
            finite = finite[np.isfinite(finite)]
            if finite.size and np.spacing(np.float32(np.abs(finite).max())) > (
                ROUNDING * finite.std() or np.inf
            ):
                dtype = np.float64
                break
    return each_image(frames, dtype, lambda frame: frame.astype(dtype, copy=False))


def scale_of(values: Values, sigma: Values, bits: int) -> Scale:
    """Choose how whole numbers stand for values: linearly, their range filled.

    Parameters
    ----------
    values
        Shape (..., rows, columns).
    sigma
        Likewise; where it is NaN the values are no data, and may be cut off.
    bits
        16 or 8.
    """
    low, high = np.inf, -np.inf
    for index in np.ndindex(*values.shape[:-2]):
        frame = values[index]
        finite = frame[np.isfinite(frame) & np.isfinite(sigma[index])]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        low = high = 0.0
    return Scale(offset=low, step=(high - low) / (2**bits - 1) or 1.0, bits=bits)


def own_format(micrograph: Micrograph) -> str | None:
    """Give the ending of the input's own format, if it can be written; else None."""
    entry = written_as(micrograph.path)
    # of a TIFF the result is the same as the one that is written anyway
    return None if entry is None or entry.name == "tif" else f".{entry.endings[0]}"


def write_own(
    path: str | os.PathLike[str],
    micrograph: Micrograph,
    data: Values,
    *,
    sampling: PixelSize,
) -> None:
    """Write the input's own format with its axes and metadata.

    Parameters
    ----------
    path
        The file to write, with the ending of a format that can be written.
    micrograph
        The input.
    data
        The denoised data, shape and order of the input's.
    sampling
        Pixel size along rows and columns [Å], used where the input says none or
        the user has another.
    """
    entry = written_as(Path(path))
    if entry is None or entry.write is None:
        raise DataError(f"{path}: files with this ending are not written; expected .npy or .hspy")
    content = Content(
        data=_floats(data),
        axes=_axes(micrograph, data.shape, sampling),
        metadata=_titled(micrograph.metadata, micrograph.name),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entry.write(Path(path), content)


def _axes(
    micrograph: Micrograph, shape: tuple[int, ...], sampling: PixelSize
) -> list[dict[str, Any]]:
    axes = copy.deepcopy([dict(axis) for axis in micrograph.axes])
    if len(axes) != len(shape):
        names = (*("time", "stack")[: len(shape) - 2], "y", "x")
        axes = [{"name": n, "offset": 0.0, "units": None, "scale": 1.0} for n in names]
    for number, axis in enumerate(axes):
        axis.update(
            size=shape[number],
            index_in_array=number,
            navigate=number < len(shape) - 2,
            _type="UniformDataAxis",
            is_binned=False,
        )
        for key, value in list(axis.items()):
            if isinstance(value, np.generic):
                axis[key] = value.item()
    for axis, step in zip(axes[-2:], sampling, strict=True):
        axis.update(scale=step / 10, units="nm")
        if micrograph.sampling is None:
            axis["offset"] = 0.0
    return axes


def _titled(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = copy.deepcopy(dict(metadata))
    general = kept.setdefault("General", {})
    general["title"] = f"{general.get('title') or name} (denoised)"
    kept.setdefault("Signal", {}).setdefault("signal_type", "")
    return kept
