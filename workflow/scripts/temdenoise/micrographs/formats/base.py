"""What a format is, and what its reader gives for each signal of a file."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError


class Kind(Enum):
    """What a signal is; the value is its title."""

    IMAGE = "image"
    SERIES = "series of images"
    COLOUR = "colour picture"
    DISPLAY = "display copy"
    THUMBNAIL = "thumbnail"
    ELEMENT_MAP = "element map"
    FOUR_D = "4-D data"
    DIFFRACTION = "diffraction pattern"
    TRANSFORM = "Fourier transform"
    COMPLEX = "complex image"
    SPECTRUM_IMAGE = "spectrum image"
    SPECTRA = "spectra along a line"
    SPECTRUM = "spectrum"
    OTHER = "other data"


class Stored:
    """Images that stay in their file; each is read when it is asked for.

    Parameters
    ----------
    shape
        Shape (..., rows, columns).
    dtype
        Type of the values.
    image
        Reads the image at an index into all axes but the last two.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: Any,
        image: Callable[[tuple[int, ...]], np.ndarray],
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self._image = image

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def _read(self, index: tuple[int, ...]) -> np.ndarray:
        try:
            return self._image(index)
        except (DataError, MemoryError, NotImplementedError):
            raise
        # a file that is damaged half way makes the readers fail in every way there is
        except Exception as error:
            counted = ", ".join(str(i + 1) for i in index)
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"image {counted} of the file cannot be read ({reason}); it is truncated or "
                "damaged: copy or export it again"
            ) from error

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any, /) -> np.ndarray:
        index = index if isinstance(index, tuple) else (index,)
        leading = index[: self.ndim - 2]
        if len(leading) == self.ndim - 2 and all(isinstance(i, int | np.integer) for i in leading):
            counted = (range(n)[int(i)] for n, i in zip(self.shape, leading, strict=False))
            return np.asarray(self._read(tuple(counted))[index[len(leading) :]])
        return np.asarray(np.asarray(self)[index])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.empty(self.shape, self.dtype)
        for index in np.ndindex(*self.shape[:-2]):
            whole[index] = self._read(index)
        return whole if dtype is None else whole.astype(dtype)

    def reshape(self, *shape: int) -> "Stored":
        """Count the images in another way; the last two axes stay."""
        leading = self.shape[:-2]
        new = shape[:-2]
        if -1 in new:
            others = math.prod(n for n in new if n != -1)
            new = tuple(math.prod(leading) // others if n == -1 else n for n in new)
        if tuple(shape[-2:]) != self.shape[-2:] or math.prod(new) != math.prod(leading):
            raise ValueError(f"images of shape {self.shape} cannot be counted as {shape}")

        def image(index: tuple[int, ...]) -> np.ndarray:
            number = np.ravel_multi_index(index, new) if new else 0
            return self._read(tuple(map(int, np.unravel_index(number, leading))))

        return Stored((*new, *self.shape[-2:]), self.dtype, image)


Values = np.ndarray | Stored
"""Values of a signal: an array, a memory map, or images that stay in their file."""


def unread(shape: Sequence[int] = (), dtype: Any = np.float32) -> Stored:
    """Stand for values that are not read, as they are no image."""

    def refuse(_: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError("these values are not read")

    return Stored(shape, dtype, refuse)


@dataclass(frozen=True)
class Content:
    """One signal of a file as the reader of its format gives it.

    Attributes
    ----------
    data
        Shape (..., rows, columns) for images.
    axes
        Description of every axis: name, scale, offset, units, size, navigate; empty if the
        format knows no axes.
    metadata
        What the reader says besides, in HyperSpy's tree.
    name
        What the file calls it; empty if it does not.
    kind
        What it is, if the reader knows; None to tell it by axes and values.
    colours
        Whether the last of three axes holds colours (red, green, blue; or grey and opacity).
    picture
        Whether it is a picture for eyes, whose colours may be made grey.
    notes
        What the user should know about how it was read.
    """

    data: Values
    axes: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    kind: Kind | None = None
    colours: bool = False
    picture: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes
    ----------
    name
        Short name.
    title
        Name in sentences.
    endings
        Endings of file names, without the dot, in lower case.
    read
        Gives the signals of a file; large values stay in the file.
    signatures
        Bytes that begin such a file, each with its position.
    signature_needed
        Whether every file has one of `signatures`; otherwise the ending is enough.
    claims
        Tells formats with the same signature apart by the content; None: the signature is enough.
    folder
        Whether it is a folder instead of a file.
    write
        Writes a signal; None if the format is only read.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    read: Callable[[Path], list[Content]]
    signatures: tuple[tuple[int, bytes], ...] = ()
    signature_needed: bool = True
    claims: Callable[[Path], bool] | None = None
    folder: bool = False
    write: Callable[[Path, Content], None] | None = None

    def signed(self, head: bytes) -> bool:
        """Tell whether the first bytes of a file are those of this format."""
        return any(head[at : at + len(text)] == text for at, text in self.signatures)
