"""Read micrographs: one plain description for all formats of `formats.FORMATS`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats import Values
from temdenoise.micrographs.signals import Signal, choose, left_out, signals


@dataclass(frozen=True)
class Micrograph:
    """One image, stack or time series of a file.

    Attributes
    ----------
    path
        The file.
    label
        Which data set of the file this is; empty if there is one alone.
    data
        Shape (..., rows, columns), of the file's own type and in its own order. An array or
        a memory map; what can be neither is read image by image where it is indexed.
    sampling
        Pixel size [Å]; None if the file does not say, or says what cannot be.
    axes
        Description of every axis: name, scale, offset, units, size.
    metadata
        What the reader says besides; empty for plain images.
    notes
        What the user should know about how it was read.
    """

    path: Path
    label: str
    data: Values
    sampling: PixelSize | None
    axes: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> Values:
        """The images one after the other, shape (n, rows, columns)."""
        return self.data.reshape(-1, *self.data.shape[-2:])

    @property
    def name(self) -> str:
        """The file's name without its ending, with the label."""
        return name_of(self.path, self.label)


def read(
    path: str | Path, *, signal: int | str | None = None, frames_axis: int | None = None
) -> list[Micrograph]:
    """Read every image of a file.

    Parameters
    ----------
    path
        A file in one of `formats.FORMATS`.
    signal
        Number (from 1) or name of the one signal to read; default all images.
    frames_axis
        Axis along which the frames of a stack lie; see `signals`.

    Returns
    -------
    list of Micrograph
        One, or several labelled 1, 2, ... if the file holds several data sets. The notes of
        the first say what of the file is left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is empty, damaged, of an unknown format, or holds no image of
        real space.
    """
    path = Path(path)
    found = signals(path, frames_axis=frames_axis)
    try:
        chosen = choose(found, signal)
        for one in chosen:
            memory.require(*one.shape[-2:])
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    others = () if signal is not None else left_out(found, chosen)
    return [
        Micrograph(
            path=path,
            label=label_of(one, found),
            data=one.content.data,
            sampling=one.sampling,
            axes=one.content.axes,
            metadata=one.content.metadata,
            notes=(*one.notes, *(others if one is chosen[0] else ())),
        )
        for one in chosen
    ]


def label_of(signal: Signal, found: Sequence[Signal]) -> str:
    """Return what tells a signal from the others of its file; empty if there is one alone."""
    return str(signal.number) if len(found) > 1 else ""


def name_of(path: Path, label: str) -> str:
    """Return the name of what belongs to a signal: the file's without its ending, with the label.

    Examples
    --------
    >>> name_of(Path("scan.v2.dm4"), ""), name_of(Path("scan.v2.dm4"), "2")
    ('scan.v2', 'scan.v2_2')
    """
    stem = path.name.removesuffix("".join(path.suffixes[-1:]))
    return stem + (f"_{label}" if label else "")
