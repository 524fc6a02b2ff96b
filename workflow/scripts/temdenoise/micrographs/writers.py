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
from temdenoise.micrographs.formats import Content, Stored, Values, written_as
from temdenoise.micrographs.readers import Micrograph

RESULT_FORMATS: Mapping[str, str] = {
    "tiff": ".tif",
    "mrc": ".mrc",
    "npy": ".npy",
    "hspy": ".hspy",
}
"""Formats that a result can be asked for in, and their endings."""

BITS = (32, 16, 8)
"""Depths that a result can be asked for in."""

ROUNDING = 1e-3
"""Maximum rounding of 32-bit numbers, over the standard deviation of the image."""


@dataclass(frozen=True)
class Scale:
    """How whole numbers that are stored stand for values: value = offset + step * stored.

    Attributes
    ----------
    offset, step
        In the unit of the image.
    """

    offset: float
    step: float

    @property
    def text(self) -> str:
        """The scale in words."""
        return f"value = {self.offset:.9g} + {self.step:.9g} * stored"


def write_tiff(
    path: str | os.PathLike[str], data: Values, *, sampling: PixelSize, quantity: str
) -> None:
    """Write TIFF that ImageJ, HyperSpy and Gatan's programs open calibrated.

    Parameters
    ----------
    path
        The TIFF to write.
    data
        Shape (..., rows, columns).
    sampling
        Pixel size along rows and columns [Å]; stored in nm.
    quantity
        What the values are, for the labels of the slices.
    """
    write_image(path, data, sampling=sampling, quantity=quantity)


def write_image(
    path: str | os.PathLike[str],
    data: Values,
    *,
    sampling: PixelSize,
    quantity: str,
    bits: int = 32,
) -> Scale | None:
    """Write an image or a stack in the format of the ending, calibrated.

    Parameters
    ----------
    path
        The file to write, with an ending of `RESULT_FORMATS`.
    data
        Shape (..., rows, columns). Values of 64 bits stay so where 32 would round them.
    sampling
        Pixel size along rows and columns [Å]; stored in nm (MRC: in Å).
    quantity
        What the values are.
    bits
        One of `BITS`: 32 for floating-point numbers; 16 or 8 for whole ones, scaled linearly
        so that their range is filled. NaN becomes the least of them.

    Returns
    -------
    Scale or None
        How whole numbers stand for values; None for floating-point ones.

    Raises
    ------
    DataError
        If the format or the depth is none that can be written.
    """
    path = Path(path)
    entry = written_as(path)
    if entry is None or entry.write is None or path.suffix.lower() not in RESULT_FORMATS.values():
        raise DataError(
            f"{path}: results are not written in this format; expected an ending of "
            f"{', '.join(RESULT_FORMATS.values())}"
        )
    if bits not in BITS:
        raise DataError(f"--bits {bits}: expected one of {', '.join(map(str, BITS))}")
    frames = data.reshape(-1, *data.shape[-2:])
    metadata: dict[str, Any] = {
        "General": {"title": quantity},
        "Signal": {"quantity": quantity, "signal_type": ""},
    }
    scale = None
    if bits == 32:
        values = _floats(frames)
        if values.dtype.itemsize > 4 and entry.name == "mrc":
            raise DataError(
                f"{path}: the values need 64 bits ({ROUNDING:g} of their variation would be "
                "rounded away), which MRC does not have; write TIFF or .npy"
            )
    else:
        values, scale = _whole_numbers(frames, bits, signed=entry.name == "mrc" and bits == 8)
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
    return scale


def _converted(frames: Values, dtype: Any, change: Any) -> Values:
    """Convert image by image; a stack that stays in its file stays there."""
    if isinstance(frames, np.ndarray) and not isinstance(frames, np.memmap):
        return np.asarray(change(frames))
    return Stored(frames.shape, dtype, lambda index: np.asarray(change(np.asarray(frames[index]))))


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
    return _converted(frames, dtype, lambda frame: frame.astype(dtype, copy=False))


def _whole_numbers(frames: Values, bits: int, *, signed: bool) -> tuple[Values, Scale]:
    low, high = np.inf, -np.inf
    for frame in frames:
        finite = frame[np.isfinite(frame)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        low = high = 0.0
    dtype = np.dtype(f"{'i' if signed else 'u'}{bits // 8}")
    most = 2**bits - 1
    step = (high - low) / most or 1.0
    least = int(np.iinfo(dtype).min)

    def change(frame: np.ndarray) -> np.ndarray:
        counted = np.nan_to_num(np.round((frame.astype(np.float64) - low) / step), nan=0.0)
        return (np.clip(counted, 0, most) + least).astype(dtype)

    return _converted(frames, dtype, change), Scale(offset=low - least * step, step=step)


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
