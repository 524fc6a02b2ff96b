"""List the images of a file under the names of their results, before any is denoised."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.readers import label_of, name_of
from temdenoise.micrographs.signals import choose, left_out, signals


@dataclass(frozen=True)
class Listing:
    """The images of a file.

    Attributes
    ----------
    file
        Name of the file.
    images
        Number of the signal (from 1) of each image, by the name its results get.
    left_out
        What of the file is no image to denoise, and why; a line each.
    """

    file: str
    images: Mapping[str, int]
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return {"file": self.file, "images": dict(self.images), "left_out": list(self.left_out)}


def list_images(path: str | Path, *, others: Mapping[str, str] | None = None) -> Listing:
    """List every image of a file; those of `readers.read`, without the memory they take.

    Parameters
    ----------
    path
        A file in one of `formats.FORMATS`.
    others
        Further files whose results lie in the same folder, by the names of their results.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is empty, damaged, of an unknown format, holds no image of real space, or if
        an image would get the name of another file's.
    """
    path = Path(path)
    found = signals(path)
    try:
        chosen = choose(found)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    names = {name_of(path, label_of(one, found)): one.number for one in chosen}
    for name in names.keys() & (others or {}).keys():
        raise DataError(
            f"{path}: the results of its image {names[name]} would be named {name}, as those of "
            f"{(others or {})[name]}: expected different names; rename one of the files"
        )
    return Listing(file=path.name, images=names, left_out=left_out(found, chosen))
