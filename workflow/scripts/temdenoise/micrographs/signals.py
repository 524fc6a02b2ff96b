"""What the signals of a file are: which are images, and why the others are left out."""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs.formats import (
    Content,
    Kind,
    Stored,
    Values,
    quiet,
    recognise,
    require_stored,
)
from temdenoise.micrographs.patience import OutOfPatienceError, patience
from temdenoise.micrographs.units import believed, dimension

SMALLEST = 32
"""Minimum side of an image [pixels]: less holds no lattice to judge."""

SCAN = 16
"""Minimum length of both scan axes from which data of four axes are no series of series."""

PATIENCE = 7.0
"""Maximum time that the headers of a file may take to read [s of the processor]."""

LISTED = 8
"""Maximum number of signals that a message lists."""

_SPECTRAL = re.compile(r"energy|wavelength|wavenumber|raman|loss\b|x-?ray", re.IGNORECASE)
_SPECTRAL_SIGNALS = ("EELS", "EDS", "EDX", "CL", "Lumi", "Raman", "XRF")

_WHY = {
    Kind.COLOUR: "a colour (RGB) image: expected one number per pixel; export the data itself, "
    "not its display",
    Kind.DISPLAY: "a copy for display of another signal",
    Kind.THUMBNAIL: "a thumbnail of another signal",
    Kind.ELEMENT_MAP: "a map of an element, counts of X-rays",
    Kind.FOUR_D: "4-D data: an image or diffraction pattern at every position of a scan",
    Kind.DIFFRACTION: "a diffraction pattern: expected an image in real space (nm, pm, Å, µm)",
    Kind.TRANSFORM: "a Fourier transform (complex values): expected an image in real space",
    Kind.COMPLEX: "complex values: expected real numbers (integers or floats)",
    Kind.SPECTRUM_IMAGE: "a spectrum image, a spectrum at every pixel: expected an image",
    Kind.SPECTRA: "spectra along a line: expected an image",
    Kind.SPECTRUM: "a spectrum: expected an image",
    Kind.OTHER: "no array of numbers: expected an image",
}
"""Why a signal of a kind is no image to denoise."""

CHOOSABLE = {Kind.IMAGE, Kind.SERIES, Kind.DISPLAY, Kind.THUMBNAIL, Kind.ELEMENT_MAP, Kind.FOUR_D}
"""Kinds that are denoised if the user chooses the signal."""


@dataclass(frozen=True)
class Signal:
    """One signal of a file.

    Attributes
    ----------
    number
        Its place in the file, from 1.
    name
        What the file calls it, made unique; its number if the file gives no name.
    kind
        What it is.
    shape
        Length of every axis, images last.
    dtype
        Type of its values.
    sampling
        Pixel size [Å]; None if none is stored that can be believed.
    left_out
        Why it is not denoised; empty if it is.
    notes
        What the user should know about it.
    content
        Its values, axes and metadata, in the order of `shape`.
    """

    number: int
    name: str
    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sampling: PixelSize | None
    left_out: str
    notes: tuple[str, ...]
    content: Content

    def describe(self) -> str:
        """Describe it in one line."""
        size = " x ".join(map(str, self.shape)) or "size unknown"
        parts = [f"{self.number}", f"{self.kind.value}", f"{size} ({self.dtype})"]
        if self.name != str(self.number):
            parts[0] += f" {self.name!r}"
        if self.sampling is not None:
            steps = dict.fromkeys(f"{size:.4g}" for size in self.sampling)
            parts.append(f"pixels of {' x '.join(steps)} Å")
        elif not self.left_out:
            parts.append("no pixel size")
        return ", ".join(parts) + (f"; left out: {self.left_out}" if self.left_out else "")

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return {
            "number": self.number,
            "name": self.name,
            "kind": self.kind.value,
            "shape": list(self.shape),
            "type": str(self.dtype),
            "sampling_angstrom": None if self.sampling is None else list(self.sampling),
            "left_out": self.left_out or None,
            "notes": list(self.notes),
        }


def signals(path: str | Path, *, frames_axis: int | None = None) -> list[Signal]:
    """Name every signal of a file; values that are many stay in it.

    Parameters
    ----------
    path
        A file in one of `formats.FORMATS`.
    frames_axis
        Axis along which the frames of a stack lie, counted from 0 (or from the end: -1); by
        default told by the names and units of the axes, else the first.

    Returns
    -------
    list of Signal
        In the order of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is empty, damaged, or of an unknown format.
    """
    path = Path(path)
    contents, notes = _contents(path)
    stored = _size_of(path)
    found: list[Signal] = []
    names: dict[str, int] = {}
    for number, content in enumerate(contents, start=1):
        name = content.name or str(number)
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name} ({names[name]})"
        if isinstance(content.data, Stored) and content.kind in (None, Kind.IMAGE, Kind.SERIES):
            _require_stored(path, content.data, stored)
        signal = _signal(replace(content, name=name), number, frames_axis)
        found.append(replace(signal, notes=(*notes, *signal.notes)))
    return found


def choose(found: Sequence[Signal], signal: int | str | None = None) -> list[Signal]:
    """Choose the signals to denoise: all images, or the one that is named.

    Parameters
    ----------
    found
        All signals of a file.
    signal
        Number (from 1) or name of one.

    Raises
    ------
    DataError
        If there is no such signal, it is no image, or none is.
    """
    if signal is None:
        images = [one for one in found if not one.left_out]
        if not images:
            raise DataError(_nothing(found))
        return images
    text = str(signal).strip()
    matches = [one for one in found if text == str(one.number)]
    matches = matches or [one for one in found if text.lower() == one.name.lower()]
    if not matches:
        listed = "; ".join(one.describe() for one in found)
        raise DataError(f"--signal {text}: there is no such signal; the file holds {listed}")
    (chosen, *_) = matches
    if chosen.left_out and (
        chosen.kind not in CHOOSABLE or chosen.left_out != _WHY.get(chosen.kind)
    ):
        raise DataError(f"--signal {text}: holds {chosen.left_out}")
    return [chosen]


def _nothing(found: Sequence[Signal]) -> str:
    if not found:
        return "holds no data"
    if len(found) == 1:
        return f"holds {found[0].left_out}"
    listed = [one.describe() for one in found[:LISTED]]
    if len(found) > LISTED:
        listed.append(f"and {len(found) - LISTED} more")
    return "holds no image that can be denoised: " + "; ".join(listed)


def _contents(path: Path) -> tuple[list[Content], tuple[str, ...]]:
    """Read a file with the reader of its format; every failure says what is wrong."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; copy it again from the microscope")
    entry, notes = recognise(path)
    try:
        with quiet(), patience(PATIENCE):
            return entry.read(path), notes
    except OutOfPatienceError as error:
        raise DataError(
            f"{path}: cannot be read as {entry.title}: reading it does not come to an end (after "
            f"{PATIENCE:g} s); it is damaged: copy or export it again"
        ) from error
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path}: reading {entry.title} needs the package {error.name!r}, which is not "
            f"installed: pip install {error.name}"
        ) from error
    # a damaged file makes the readers fail in every way there is
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read as {entry.title} ({_reason(error)}); it is truncated or "
            "damaged, or not what its ending says: copy or export it again"
        ) from error


def _size_of(path: Path) -> int:
    """Size of a file, or of all files of a folder [bytes]."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def _require_stored(path: Path, data: Stored, stored: int) -> None:
    try:
        require_stored(data.shape, data.dtype, stored)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _reason(error: Exception) -> str:
    """Say in words what a reader stumbled over, where its own words are for programmers."""
    if isinstance(error, struct.error):
        return "it ends too soon"
    if isinstance(error, KeyError):
        return f"an entry {error.args[0]!r} is missing or unknown" if error.args else "KeyError"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _signal(content: Content, number: int, frames_axis: int | None) -> Signal:
    """Tell what a content is, and put its axes in the order (..., rows, columns)."""
    sampling, reason = None, ""
    kind = content.kind
    notes = list(content.notes)
    try:
        if kind not in (None, Kind.DISPLAY, Kind.THUMBNAIL, Kind.ELEMENT_MAP):
            raise _LeftOutError(kind)
        content, more = _without_colours(content)
        notes += more
        _check_values(content)
        _check_spectra(content)
        content, more = _in_order(content, frames_axis)
        notes += more
        kind = kind or _image_kind(content)
        reason = _WHY.get(kind, "")
        sampling, doubt = _pixel_size(content)
        # of what is no image in real space no pixel size is expected
        notes += [doubt] if doubt and not reason else []
    except _LeftOutError as left:
        # of a small image it is known what it is of
        kind = (content.kind if left.kind in (Kind.IMAGE, Kind.SERIES) else None) or left.kind
        reason = left.reason
    return Signal(
        number=number,
        name=content.name,
        kind=kind,
        shape=tuple(content.data.shape),
        dtype=np.dtype(content.data.dtype),
        sampling=sampling,
        left_out=reason,
        notes=tuple(notes),
        content=content,
    )


class _LeftOutError(Exception):
    """A signal is no image to denoise."""

    def __init__(self, kind: Kind, reason: str = "") -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason or _WHY[kind]


_LUMINANCE = np.array([0.299, 0.587, 0.114])


def _without_colours(content: Content) -> tuple[Content, list[str]]:
    """Take colours away where they say nothing, or where a picture has nothing else."""
    data = content.data
    if not content.colours or data.ndim != 3:
        return content, []
    channels = [np.asarray(data[..., i]) for i in range(min(data.shape[-1], 3))]
    if data.shape[-1] == 2:  # grey with opacity
        channels = channels[:1]
    first = channels[0].astype(float)
    axes = content.axes[:2]
    # JPEG's own rounding makes grey channels differ by one or two steps
    if all(np.abs(first - channel).max(initial=0) <= 3 for channel in channels[1:]):
        return replace(content, data=np.ascontiguousarray(channels[0]), axes=axes), []
    if not content.picture:
        raise _LeftOutError(Kind.COLOUR)
    grey = np.stack(channels, axis=-1) @ _LUMINANCE
    return replace(content, data=grey, axes=axes), [
        "a colour picture made grey by luminance: if the colours were a colour scale, its "
        "brightness is not the signal"
    ]


def _check_values(content: Content) -> None:
    data = content.data
    if data.dtype.kind == "c":
        axes = content.axes[-2:]
        transform = "fft" in content.name.lower() or any(
            dimension(axis.get("units")) == "reciprocal" for axis in axes
        )
        raise _LeftOutError(Kind.TRANSFORM if transform else Kind.COMPLEX)
    if data.dtype.kind not in "buif":
        raise _LeftOutError(
            Kind.OTHER,
            f"values of type {data.dtype}: expected real numbers (integers or floats)",
        )


def _check_spectra(content: Content) -> None:
    """Raise if an axis is one of energy or wavelength, or the format says so."""
    data, axes = content.data, content.axes
    signal = content.metadata.get("Signal", {}) if isinstance(content.metadata, Mapping) else {}
    said = str(signal.get("signal_type", "") if isinstance(signal, Mapping) else "")
    spectral = [
        axis
        for axis in axes
        if dimension(axis.get("units")) == "energy" or _SPECTRAL.search(str(axis.get("name") or ""))
    ]
    shown = [axis for axis in axes if not axis.get("navigate", False)]
    if len(shown) == 1 < len(axes):
        # HyperSpy's signals of one dimension
        spectral = spectral or shown
    if not spectral and data.ndim == 1 and said.startswith(_SPECTRAL_SIGNALS):
        spectral = list(axes) or [{}]
    if not spectral:
        return
    kind = {1: Kind.SPECTRUM, 2: Kind.SPECTRA}.get(data.ndim, Kind.SPECTRUM_IMAGE)
    axis = spectral[-1]
    unit = f" in {axis['units']}" if axis.get("units") else ""
    named = f"axis {axis['name']!r}{unit}" if axis.get("name") else f"axis{unit}"
    raise _LeftOutError(kind, f"{_WHY[kind]} (its {named} is no axis of an image)")


def _in_order(content: Content, frames_axis: int | None) -> tuple[Content, list[str]]:
    """Put the axes of the images last."""
    data, axes, notes = content.data, list(content.axes), []
    known = len(axes) == data.ndim
    if 0 in data.shape:
        raise _LeftOutError(Kind.OTHER, f"no image: its shape is {data.shape}")
    if data.ndim > 2 and frames_axis is None:
        single = [n for n in range(data.ndim) if data.shape[n] == 1]
        # a lone frame on another axis than the first, or more axes than a series of stacks has
        if any(n >= data.ndim - 2 for n in single) or data.ndim > 4:
            last = data.ndim - 1 in single and not known
            single = single[: data.ndim - 2]
            data = _squeezed(data, single)
            axes = [axis for n, axis in enumerate(axes) if n not in single] if known else axes
            if last:
                notes.append("its last axis, of one frame, was taken away")
    if not 2 <= data.ndim <= 4:
        kind = Kind.OTHER
        raise _LeftOutError(
            kind,
            f"{data.ndim}-dimensional data of shape {data.shape}: expected an image "
            "(rows, columns), a stack of images, or a series of stacks",
        )
    order = _image_axes(data, axes if known else [], frames_axis)
    if order != list(range(data.ndim)):
        data = np.transpose(np.asarray(data), order)
        axes = [axes[n] for n in order] if known else axes
        notes.append(f"its axes were put in the order {tuple(order)}: frames first")
    if min(data.shape[-2:]) < SMALLEST:
        raise _LeftOutError(
            Kind.IMAGE if math.prod(data.shape[:-2]) == 1 else Kind.SERIES,
            f"images of {data.shape[-2]} x {data.shape[-1]} pixels: expected sides of at least "
            f"{SMALLEST} pixels",
        )
    return replace(content, data=data, axes=axes), notes


def _squeezed(data: Values, single: Sequence[int]) -> Values:
    shape = [n for axis, n in enumerate(data.shape) if axis not in single]
    if isinstance(data, Stored) and data.shape[-2:] != tuple(shape[-2:]):
        data = np.asarray(data)
    return data.reshape(*shape)


def _image_axes(
    data: Values, axes: Sequence[Mapping[str, Any]], frames_axis: int | None
) -> list[int]:
    """Give the order of the axes that puts those of the images last."""
    natural = list(range(data.ndim))
    if data.ndim == 2:
        return natural
    if frames_axis is not None:
        if not -data.ndim <= frames_axis < data.ndim:
            raise DataError(
                f"--frames-axis {frames_axis}: expected an axis of the shape {data.shape}, "
                f"0 to {data.ndim - 1}"
            )
        first = frames_axis % data.ndim
        return [first, *(n for n in natural if n != first)]
    for told in (
        [not axis.get("navigate", True) for axis in axes],
        [dimension(axis.get("units")) in ("length", "reciprocal") for axis in axes],
    ):
        if sum(told) == 2:
            return [n for n in natural if not told[n]] + [n for n in natural if told[n]]
    if data.ndim == 3 and not axes:
        _ask_for_frames(data.shape)
    return natural


def _ask_for_frames(shape: tuple[int, ...]) -> None:
    """Raise if it seems that not the first axis of unnamed ones holds the frames."""
    pairs = {axis: shape[:axis] + shape[axis + 1 :] for axis in range(3)}
    square = [axis for axis, (rows, columns) in pairs.items() if rows == columns]
    if len(square) == 1:
        axis = square[0]
    elif square:
        return
    else:
        axis = int(np.argmin(shape))
        if 2 * shape[axis] > shape[0]:
            return
    if axis:
        rows, columns = pairs[axis]
        which = "last axis" if axis == 2 else "middle axis"
        raise _LeftOutError(
            Kind.SERIES,
            f"an array of shape {shape}, whose order of the axes is not clear: either "
            f"{shape[axis]} frames of {rows} x {columns} pixels on the {which}, or {shape[0]} of "
            f"{shape[1]} x {shape[2]} on the first axis; say which: --frames-axis {axis} or "
            "--frames-axis 0",
        )


def _image_kind(content: Content) -> Kind:
    data, axes = content.data, content.axes
    known = len(axes) == data.ndim
    kinds = [dimension(axis.get("units")) for axis in axes] if known else []
    reciprocal = "reciprocal" in kinds[-2:]
    if data.ndim == 4:
        scan = kinds[:2] == ["length", "length"]
        if reciprocal or scan or (not known and min(data.shape[:2]) >= SCAN):
            return Kind.FOUR_D
    if reciprocal:
        return Kind.DIFFRACTION
    return Kind.IMAGE if math.prod(data.shape[:-2]) == 1 else Kind.SERIES


def _pixel_size(content: Content) -> tuple[PixelSize | None, str]:
    if len(content.axes) != content.data.ndim:
        return None, ""
    rows, columns = content.axes[-2:]
    scales = (rows.get("scale"), columns.get("scale"))
    units = (rows.get("units"), columns.get("units"))
    return believed(scales, units)


def left_out(found: Sequence[Signal], chosen: Sequence[Signal]) -> tuple[str, ...]:
    """Say which signals of a file are not denoised, and why."""
    numbers = {one.number for one in chosen}
    others = [one for one in found if one.number not in numbers]
    said = [f"signal {one.describe()}" for one in others[:LISTED]]
    if len(others) > LISTED:
        said.append(f"left out: {len(others) - LISTED} more signals")
    return tuple(said)
