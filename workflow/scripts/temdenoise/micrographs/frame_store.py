"""Frames of a stack that are made one after the other: in memory, or on the disk until written."""

import math
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.formats import Stored, Values


class FrameStore:
    """A stack of 32-bit images, empty (NaN) at first.

    Parameters
    ----------
    shape
        Shape (..., rows, columns).
    folder
        Where a file without a name holds the images, which vanishes with the program; None: they
        are held in memory.
    """

    def __init__(self, shape: Sequence[int], folder: Path | None = None) -> None:
        self.shape = tuple(shape)
        self._frame = self.shape[-2:]
        self._bytes = 4 * math.prod(self._frame)
        self._memory = None if folder else np.full(self.shape, np.nan, np.float32)
        self._file = None
        if folder:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            # as long as anyone looks at the images
            weakref.finalize(self, self._file.close)
        self._there: set[int] = set()

    def put(self, number: int, image: np.ndarray) -> None:
        """Store an image.

        Parameters
        ----------
        number
            Of the image in the stack, from 0.
        image
            Shape (rows, columns).
        """
        if self._memory is not None:
            self._memory.reshape(-1, *self._frame)[number] = image
        elif self._file is not None:
            self._file.seek(number * self._bytes)
            self._file.write(np.ascontiguousarray(image, np.float32).data)
            self._there.add(number)

    def get(self, number: int) -> np.ndarray:
        """Return an image, shape (rows, columns), by its number in the stack, from 0."""
        if self._memory is not None:
            return self._memory.reshape(-1, *self._frame)[number]
        if self._file is None or number not in self._there:
            return np.full(self._frame, np.nan, np.float32)
        self._file.seek(number * self._bytes)
        return np.frombuffer(self._file.read(self._bytes), np.float32).reshape(self._frame)

    @property
    def values(self) -> Values:
        """The images, shape as given."""
        if self._memory is not None:
            return self._memory
        leading = self.shape[:-2]

        def image(index: tuple[int, ...]) -> np.ndarray:
            return self.get(int(np.ravel_multi_index(index, leading)) if leading else 0)

        return Stored(self.shape, np.float32, image)


def require_space(folder: Path, needed: float) -> None:
    """Raise if results do not fit on a disk.

    Parameters
    ----------
    folder
        To be written to.
    needed
        Size of what is written [bytes].

    Raises
    ------
    DataError
        With what is needed, what there is, and what helps.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: the results need {needed / 2**30:.1f} GB on the disk, {free / 2**30:.1f} "
            "GB are free: write to another folder with -o, or split the stack"
        )
