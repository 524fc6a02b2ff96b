"""Arrays of NumPy: one (.npy), or several by name (.npz)."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats.base import Content, Kind, unread


def read_npy(path: Path) -> list[Content]:
    """Read an array as a memory map."""
    try:
        return [Content(np.load(path, mmap_mode="r", allow_pickle=False))]
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        raise DataError(
            "holds Python objects, which are not loaded since they may run programs: expected an "
            "array of numbers; save the image with numpy.save alone"
        ) from error


def is_npz(path: Path) -> bool:
    """Tell whether an archive holds arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return path.suffix.lower() == ".npz"


def read_npz(path: Path) -> list[Content]:
    """Read all arrays of an archive."""
    with zipfile.ZipFile(path) as archive:
        memory.require_bytes(
            sum(entry.file_size for entry in archive.infolist()), "an archive that is read whole"
        )
    contents = []
    with np.load(path, allow_pickle=False) as arrays:
        if isinstance(arrays, np.ndarray) or not arrays.files:
            raise DataError("holds no arrays: expected a .npz as numpy.savez writes it")
        for name in arrays.files:
            contents.append(_member(arrays, name))
    return contents


def _member(arrays: Any, name: str) -> Content:
    """Read an array of an archive; objects of Python and other files in it are named only."""
    try:
        value = arrays[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        value = None
    if isinstance(value, np.ndarray):
        return Content(value, name=name)
    return Content(unread((), np.object_), name=name, kind=Kind.OTHER)


def write_npy(path: Path, content: Content) -> None:
    """Write an array."""
    data = content.data
    with atomic(path) as temporary:
        if isinstance(data, np.ndarray):
            np.save(temporary, data)
            return
        stored = np.lib.format.open_memmap(temporary, "w+", data.dtype, data.shape)
        for index in np.ndindex(*data.shape[:-2]):
            stored[index] = data[index]
        stored.flush()
