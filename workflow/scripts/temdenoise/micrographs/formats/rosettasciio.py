"""Files read by RosettaSciIO, their values left in the file where they are many."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.micrographs import memory
from temdenoise.micrographs.formats.base import Content, Kind, Stored, Values

LARGE = 2**27
"""Size of a file from which the values stay in it until they are asked for [bytes]."""


def read_with(plugin: str, path: Path, **options: Any) -> list[dict[str, Any]]:
    """Read a file with a plugin of RosettaSciIO; large values become dask arrays."""
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    if path.is_dir() or path.stat().st_size > LARGE:
        try:
            return list(reader(str(path), lazy=True, **options))
        except (NotImplementedError, ValueError):
            # some kinds of values cannot stay in the file
            memory.require_bytes(2 * path.stat().st_size, "a file that is read whole")
    return list(reader(str(path), **options))


def content_of(entry: Mapping[str, Any], **more: Any) -> Content:
    """Make a content of what a plugin gives for a signal."""
    metadata = entry.get("metadata") or {}
    title = metadata.get("General", {}).get("title") if isinstance(metadata, Mapping) else ""
    kept: dict[str, Any] = {"name": str(title or ""), **more}
    data = in_file(entry["data"])
    return Content(data=data, axes=list(entry.get("axes", ())), metadata=metadata, **kept)


def in_file(data: Any) -> Values:
    """Make what can be indexed by image of a dask array; arrays stay as they are."""
    if isinstance(data, Stored):
        return data
    if not hasattr(data, "dask"):
        array: np.ndarray = np.asanyarray(data)
        return array
    return Stored(data.shape, data.dtype, lambda index: np.asarray(data[index]))


def _big_endian(path: Path) -> bool:
    """Tell whether a file of Gatan has the byte order of old Macintoshes."""
    with path.open("rb") as file:
        head = file.read(16)
    return head[8:12] == bytes(4) if head[3] == 3 else head[12:16] == bytes(4)


def read_gatan(path: Path) -> list[Content]:
    """Read a file of Gatan's DigitalMicrograph."""
    contents = []
    swapped = _big_endian(path)
    for entry in read_with("digitalmicrograph", path):
        data = entry["data"]
        kind, colours = None, False
        if swapped and not data.dtype.names:
            # the plugin heeds the order of the bytes in the tags, not in the values
            data = data.view(data.dtype.newbyteorder(">"))
        # the plugin moves the energy of a spectrum image to the end only afterwards
        if len(entry.get("post_process", ())) > 1:
            kind = Kind.SPECTRUM_IMAGE
        if data.dtype.names:
            data = np.stack([data[name] for name in "RGB"], axis=-1)
            colours = True
        contents.append(content_of({**entry, "data": data}, kind=kind, colours=colours))
    return contents
