"""Series of FEI's TIA (.ser), with the unit of their description (.emi) where there is one."""

import re
import struct
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats.base import Content
from temdenoise.micrographs.formats.rosettasciio import LARGE, content_of

LONGEST = 1.0
"""Pixel size from which TIA's metres are none [m]: those of diffraction patterns are in 1/m."""


def read_ser(path: Path) -> list[Content]:
    """Read a series, and its unit from the description beside it."""
    _check_counts(path)
    description = _description_of(path)
    return [_with_unit(entry) for entry in _entries(path, description)]


def read_emi(path: Path) -> list[Content]:
    """Read all series that belong to a description."""
    number = re.compile(re.escape(path.stem) + r"_(\d+)\.ser", re.IGNORECASE)
    found = [(number.fullmatch(other.name), other) for other in path.parent.iterdir()]
    series = sorted((int(match[1]), other) for match, other in found if match)
    if not series:
        raise DataError(
            f"the values are in {path.stem}_1.ser beside it, which is missing: copy both from the "
            "microscope"
        )
    contents = []
    for _, other in series:
        _check_counts(other)
        contents += [_with_unit(entry, name=other.stem) for entry in _entries(other, _texts(path))]
    return contents


def _entries(path: Path, description: list[str] | None) -> list[dict[str, Any]]:
    from rsciio.tia._api import ser_reader

    # a description without objects says nothing
    return list(ser_reader(str(path), objects=description or None))


def _description_of(path: Path) -> list[str] | None:
    stem = re.sub(r"_\d+$", "", path.stem)
    for ending in (".emi", ".EMI"):
        beside = path.with_name(stem + ending)
        if stem != path.stem and beside.is_file():
            return _texts(beside)
    return None


def _texts(path: Path) -> list[str] | None:
    from rsciio.tia._api import get_xml_info_from_emi

    try:
        return list(get_xml_info_from_emi(str(path)))
    except (OSError, UnicodeDecodeError):
        return None


def _with_unit(entry: dict[str, Any], **more: Any) -> Content:
    """Name the unit of a diffraction pattern, which TIA writes as if it were metres."""
    for axis in entry["axes"]:
        if axis.get("units") == "nm" and abs(axis["scale"]) > 1e9 * LONGEST:
            axis.update(units="1/nm", scale=axis["scale"] / 1e18)
    return content_of(entry, **more)


def _check_counts(path: Path) -> None:
    """Raise if a header counts more elements than the file can hold, or memory is short."""
    size = path.stat().st_size
    if size > LARGE:
        memory.require_bytes(2 * size, "a file that is read whole")
    with path.open("rb") as file:
        head = file.read(22)
    if len(head) < 22:
        raise ValueError("the header is cut off")
    valid = struct.unpack_from("<I", head, 18)[0]
    if valid * 4 > size:
        raise ValueError(f"the header counts {valid} elements in a file of {size} bytes")
