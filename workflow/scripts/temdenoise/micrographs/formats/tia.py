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
    return _series(path, _description_of(path))


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
        contents += _series(other, path, name=other.stem)
    return contents


def _series(path: Path, description: Path | None, **more: Any) -> list[Content]:
    """Read a series with its description, or without it where that is damaged."""
    from rsciio.tia._api import get_xml_info_from_emi, ser_reader

    _check_counts(path)
    if description is not None:
        try:
            # a description without objects says nothing
            objects = list(get_xml_info_from_emi(str(description))) or None
            entries = list(ser_reader(str(path), objects=objects))
        # damaged, it makes the reader fail in every way there is; so does a damaged series below
        except Exception:
            more["notes"] = (
                f"its description {description.name} cannot be read, it is damaged: what it says "
                "of the unit is not known; copy it again from the microscope",
            )
        else:
            return [_with_unit(entry, **more) for entry in entries]
    try:
        return [_with_unit(entry, **more) for entry in ser_reader(str(path), objects=None)]
    except ValueError as error:
        if "setting an array element" not in str(error):
            raise
        raise ValueError("its elements differ in size, as in a file that was cut off") from error


def _description_of(path: Path) -> Path | None:
    stem = re.sub(r"_\d+$", "", path.stem)
    for ending in (".emi", ".EMI"):
        beside = path.with_name(stem + ending)
        if stem != path.stem and beside.is_file():
            return beside
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
