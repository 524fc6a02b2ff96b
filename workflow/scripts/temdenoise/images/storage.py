"""TIFF images that carry their sampling and unit."""

import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import tifffile

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic

ANGSTROM_PER_CM = 1e8


@dataclass(frozen=True)
class Images:
    """Images read from a TIFF.

    Attributes
    ----------
    data
        float32, shape (..., x, y); a read-only memory map where the file allows it.
    sampling
        Pixel size along x and y [Å].
    unit
        Unit of the pixel values.
    quantity
        What the pixel values are, in words.
    metadata
        Whatever else was stored.
    """

    data: np.ndarray
    sampling: tuple[float, float]
    unit: str
    quantity: str
    metadata: Mapping[str, Any]


def write_images(
    path: str | os.PathLike[str],
    data: np.ndarray | Iterable[np.ndarray],
    *,
    sampling: tuple[float, float],
    quantity: str,
    unit: str,
    shape: tuple[int, ...] | None = None,
    **metadata: Any,
) -> None:
    """Write images as a float32 TIFF that knows its pixel size.

    In the file the rows run along y and the columns along x, as image viewers
    expect; the pixel size stands in the resolution tags and, exactly, in the
    JSON of the image description.

    Parameters
    ----------
    path
        The TIFF to write.
    data
        Shape (..., x, y), or an iterable of images (x, y), written one by one.
    sampling
        Pixel size along x and y [Å].
    quantity, unit
        What the pixel values are, and their unit.
    shape
        Shape (n, x, y) of the whole; needed if `data` is an iterable.
    **metadata
        Further JSON values to store.
    """
    if isinstance(data, np.ndarray):
        shape = data.shape
        frames: Any = np.ascontiguousarray(data.swapaxes(-1, -2), dtype=np.float32)
    else:
        if shape is None:
            raise TypeError("write_images needs `shape` when the images come one by one")
        frames = (np.ascontiguousarray(image.T, dtype=np.float32) for image in data)
    with atomic(path) as temporary:
        tifffile.imwrite(
            temporary,
            frames,
            shape=(*shape[:-2], shape[-1], shape[-2]),
            dtype=np.float32,
            photometric="minisblack",
            resolution=(ANGSTROM_PER_CM / sampling[0], ANGSTROM_PER_CM / sampling[1]),
            resolutionunit="CENTIMETER",
            software=False,
            metadata={
                "sampling": [float(s) for s in sampling],
                "sampling_unit": "angstrom",
                "quantity": quantity,
                "unit": unit,
                **metadata,
            },
        )


def read_images(path: str | os.PathLike[str]) -> Images:
    """Read what `write_images` wrote.

    Raises
    ------
    DataError
        If the file is no TIFF, is truncated, or does not carry its sampling.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            metadata = dict((tiff.shaped_metadata or ({},))[0])
            expected = (tiff.series[0].dataoffset or 0) + tiff.series[0].nbytes
        if "sampling" not in metadata:
            raise DataError(
                f"{path}: the TIFF carries no sampling, so it is not one of this "
                "workflow's; delete it and run the workflow again"
            )
        size = Path(path).stat().st_size
        if size < expected:
            raise DataError(
                f"{path}: truncated ({size} bytes, expected at least {expected}); "
                "delete it and run the workflow again"
            )
        data = tifffile.memmap(path, mode="r")
    except tifffile.TiffFileError as error:
        raise DataError(
            f"{path}: not a readable TIFF ({error}); delete it and run the workflow again"
        ) from error
    x, y = metadata.pop("sampling")
    return Images(
        data=data.swapaxes(-1, -2),
        sampling=(x, y),
        unit=metadata.pop("unit"),
        quantity=metadata.pop("quantity"),
        metadata=metadata,
    )


class StoredImages(Sequence[np.ndarray]):
    """Images in files of their own, opened when they are used: together they may be too many.

    Parameters
    ----------
    paths
        TIFF files of one image (x, y) each, see `write_images`.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, place: slice) -> "StoredImages": ...

    def __getitem__(self, place: int | slice) -> "np.ndarray | StoredImages":
        if isinstance(place, slice):
            return StoredImages(self.paths[place])
        return np.array(read_images(self.paths[place]).data)


def forget(array: np.ndarray) -> None:
    """Let go of what was read of a memory map; it is read again where it is needed.

    The system would free these pages only when memory gets short, and counts them as
    the process's until then, as does a scheduler that kills for memory. Of an array that is
    no memory map nothing is changed.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def one_by_one(stack: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the images of a stack, shape (n, x, y); of a memory map one at a time is in memory.

    Examples
    --------
    >>> [float(image.max()) for image in one_by_one(np.arange(8).reshape(2, 2, 2))]
    [3.0, 7.0]
    """
    for image in stack:
        yield image
        if isinstance(stack, np.ndarray):
            forget(stack)
