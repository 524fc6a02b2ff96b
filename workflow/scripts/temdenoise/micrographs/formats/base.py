"""What a format is, and what its reader gives for each signal of a file."""

import itertools
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError

EMPTY = 500
"""Ratio of the values claimed to the size of their file that no compression of images reaches."""

_SMALL = 2**14  # size of a file below which it does not matter what is claimed [bytes / EMPTY]


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


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the readers' libraries say to programmers from the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("rsciio", "tifffile", "mrcfile", "PIL")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


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
            with quiet():
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
        if not all(isinstance(i, int | np.integer | slice) for i in index):
            return np.asarray(np.asarray(self)[index])
        number = self.ndim - 2
        leading = (*index[:number], *(slice(None),) * (number - len(index)))
        chosen = [
            range(n)[i] if isinstance(i, slice) else (range(n)[int(i)],)
            for n, i in zip(self.shape[:number], leading, strict=True)
        ]
        images = [self._read(at)[index[number:]] for at in itertools.product(*chosen)]
        counts = [len(c) for c, i in zip(chosen, leading, strict=True) if isinstance(i, slice)]
        if not counts:
            return np.asarray(images[0])
        if not images:
            return np.empty((*counts, *self.shape[-2:]), self.dtype)
        return np.stack(images).reshape(*counts, *images[0].shape)

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


def each_image(values: Values, dtype: Any, change: Callable[[np.ndarray], np.ndarray]) -> Values:
    """Change images one by one, each when it is asked for; a single one in memory at once.

    Parameters
    ----------
    values
        Shape (..., rows, columns).
    dtype
        Type of the changed values.
    change
        Makes of an image, or of several, as many of the same shape.
    """
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return np.asarray(change(values))
    return Stored(values.shape, dtype, lambda index: np.asarray(change(np.asarray(values[index]))))


def require_stored(shape: Sequence[int], dtype: Any, stored: int) -> None:
    """Raise if a header claims many times the values that its file can hold.

    Parameters
    ----------
    shape, dtype
        Of the values.
    stored
        Size of the file [bytes].

    Raises
    ------
    DataError
        With what is claimed and what there is.
    """
    claimed = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize
    if claimed > EMPTY * max(stored, _SMALL):
        values = " x ".join(map(str, shape))
        raise DataError(
            f"its header claims {values} values, {claimed / 2**20:.0f} MB, in a file of {stored} "
            "bytes; it is damaged: copy or export it again"
        )


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
    library
        What reads it.
    reads, pixel_size, refuses
        For the documents: signals and values that are read, where the pixel size is taken from,
        and what is refused, with what converts it.
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
    library: str = ""
    reads: str = ""
    pixel_size: str = ""
    refuses: str = ""

    def signed(self, head: bytes) -> bool:
        """Tell whether the first bytes of a file are those of this format."""
        return any(head[at : at + len(text)] == text for at, text in self.signatures)
