"""MRC of all modes, signs and byte orders: its header read by mrcfile."""

import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.micrographs.formats.base import Content, Kind, unread
from temdenoise.micrographs.formats.rosettasciio import content_of, read_with

TYPES = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2"}
"""Type of the values by the mode of the header, where NumPy has one."""

_IMOD = 1146047817  # IMOD's stamp; bit 0 of the next word says that bytes are signed
_EXTENDED = 4096  # of an extended header that is looked at [bytes]
_FEI_OLD = 131072  # size of an extended header of FEI before it had a name [bytes]


def read_mrc(path: Path) -> list[Content]:
    """Read an image or a stack; its values stay in the file."""
    if _described_beside(path):
        return [content_of(entry) for entry in read_with("mrc", path)]
    header, extended = _headers(path)
    mode = int(header.mode)
    columns, rows, frames = (int(header[name]) for name in ("nx", "ny", "nz"))
    if min(columns, rows, frames) < 1:
        raise ValueError(f"the header claims {frames} images of {rows} x {columns} pixels")
    shape = tuple(n for n in (frames, rows, columns) if n > 1)
    if mode == 101:
        raise DataError(
            "holds 4-bit values (MRC mode 101), two to a byte: expected whole bytes; convert it "
            "first, e.g. with IMOD: newstack -mode 6 in.mrc out.mrc"
        )
    if mode == 3:
        return [Content(unread(shape, np.complex64), kind=Kind.TRANSFORM)]
    if mode == 16:
        return [Content(unread(shape, np.uint8), kind=Kind.COLOUR)]
    if mode not in TYPES:
        raise ValueError(f"the header says mode {mode}: expected 0, 1, 2, 4, 6 or 12")
    order = _order(header)
    dtype = np.dtype(order + TYPES[mode])
    notes: tuple[str, ...] = ()
    if mode == 0:
        dtype, notes = _sign_of_bytes(header, order)
    start = 1024 + int(header.nsymbt)
    claimed = math.prod((frames, rows, columns)) * dtype.itemsize
    if not 1024 <= start <= start + claimed <= path.stat().st_size:
        raise ValueError(
            f"the header claims {frames} images of {rows} x {columns} pixels, {claimed} bytes, in "
            f"a file of {path.stat().st_size} bytes"
        )
    values = np.memmap(path, dtype, "r", offset=start, shape=(frames, rows, columns)).squeeze()
    return [Content(values, axes=_axes(header, values.shape, extended), notes=notes)]


def _headers(path: Path) -> tuple[Any, bytes]:
    """Read the header, and the start of the extended one, which may claim any length."""
    from mrcfile.mrcinterpreter import MrcInterpreter

    with path.open("rb") as file:
        head, extended = file.read(1024), file.read(_EXTENDED)
    alone = head[:92] + bytes(4) + head[96:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = MrcInterpreter(io.BytesIO(alone), permissive=True, header_only=True).header.copy()
    header.nsymbt = np.frombuffer(head, _order(header) + "i4", 1, 92)[0]
    return header, extended[: max(0, int(header.nsymbt))]


def _order(header: Any) -> str:
    return "<" if header.mode.dtype == np.dtype("<i4") else ">"


def _described_beside(path: Path) -> bool:
    """Tell whether a movie of Direct Electron has its description beside it."""
    if not path.name.endswith("_movie.mrc"):
        return False
    start = "_".join(path.name.split("_")[:2])
    return any(
        other.name.startswith(start) and other.name.endswith("info.txt")
        for other in path.parent.iterdir()
    )


def _sign_of_bytes(header: Any, order: str) -> tuple[np.dtype[Any], tuple[str, ...]]:
    """Tell whether bytes are signed: by the range stored, IMOD's flag, or the version.

    The standard of 2014 says signed; older programs wrote unsigned ones, and IMOD either.
    """
    signed, unsigned = np.dtype("i1"), np.dtype("u1")
    low, high = float(header.dmin), float(header.dmax)
    if -128 <= low < high <= 255 and (low < 0) != (high > 127):
        return (signed if low < 0 else unsigned), ()
    stamp, flags = np.frombuffer(header.extra2.tobytes()[40:48], order + "i4")
    if stamp == _IMOD:
        return (signed if flags & 1 else unsigned), ()
    if int(header.nversion) >= 20140:
        return signed, ()
    return unsigned, (
        "the header does not say whether its bytes are signed; taken as unsigned, as programs "
        "before 2014 wrote them",
    )


def _axes(header: Any, shape: tuple[int, ...], extended: bytes) -> list[dict[str, Any]]:
    """Describe the axes; pixel sizes in nm, None where the header has none."""
    cell = [float(header.cella[name]) for name in "xyz"]
    grid = [int(header[name]) for name in ("mx", "my", "mz")]
    order = [int(header[name]) - 1 for name in ("mapc", "mapr")]
    if sorted(order) not in ([0, 1], [0, 2], [1, 2]):
        order = [0, 1]
    steps = [cell[i] / grid[i] / 10 if grid[i] else None for i in order]
    if not all(steps):
        steps = [_of_fei(header, extended)] * 2
    elif int(header.nsymbt) == _FEI_OLD:
        # FEI wrote the pixel size there, and a cell of no meaning
        steps = [_of_fei(header, extended) or step for step in steps]
    names, scales = ("z", "y", "x"), (1.0, steps[1], steps[0])
    return [
        {
            "name": name,
            "size": size,
            "scale": scale,
            "offset": 0.0,
            "units": None if name == "z" or scale is None else "nm",
            "navigate": name == "z",
            "index_in_array": index,
        }
        for index, (name, scale, size) in enumerate(
            zip(names[-len(shape) :], scales[-len(shape) :], shape, strict=True)
        )
    ]


def _of_fei(header: Any, extended: bytes) -> float | None:
    """Read the pixel size of an extended header of FEI [nm]; None if it has none."""
    from mrcfile.dtypes import get_ext_header_dtype

    size = 0.0
    if bytes(header.exttyp) in (b"FEI1", b"FEI2"):
        fields = get_ext_header_dtype(header.exttyp, header.mode.dtype.byteorder)
        if len(extended) >= fields.itemsize:
            size = float(np.frombuffer(extended, fields, 1)["Pixel size X"][0])
    elif int(header.nsymbt) == _FEI_OLD and len(extended) >= 48:
        size = float(np.frombuffer(extended, _order(header) + "f4", 12)[11])
    # metres; anything else in these bytes is another program's
    return size * 1e9 if 1e-13 < size < 1e-4 else None


def write_mrc(path: Path, content: Content) -> None:
    """Write MRC of the standard of 2014, image by image."""
    import mrcfile

    data = content.data
    frames = data.reshape(-1, *data.shape[-2:]) if data.ndim > 2 else data
    rows, columns = (axis.get("scale") for axis in content.axes[-2:])
    scale = content.metadata.get("Signal", {}).get("Noise_properties")
    with atomic(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mode = mrcfile.utils.mode_from_dtype(np.dtype(data.dtype))
        with mrcfile.new_mmap(str(temporary), frames.shape, mode, overwrite=True) as file:
            if frames.ndim > 2:
                file.set_image_stack()
                for number, frame in enumerate(frames):
                    file.data[number] = frame
            else:
                file.data[:] = frames
            file.update_header_stats()
            if rows and columns:
                file.voxel_size = (10 * columns, 10 * rows, 0.0)
            if scale:
                gain = scale["Variance_linear_model"]
                file.add_label(
                    f"value = {gain['gain_offset']:.9g} + {gain['gain_factor']:.9g} * stored"
                )
