"""Arrays of NumPy: one (.npy), or several by name (.npz)."""

import zipfile
from pathlib import Path

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats.base import Content


def read_npy(path: Path) -> list[Content]:
    """Read an array as a memory map."""
    return [Content(np.load(path, mmap_mode="r", allow_pickle=False))]


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
            contents.append(Content(arrays[name], name=name))
    return contents


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
