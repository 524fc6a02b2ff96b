"""Units of length as programs and people write them, made Å; pixel sizes that can be believed."""

import math
import re
import unicodedata
from typing import Literal

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize

COARSEST = 2.0
"""Maximum pixel size at which a lattice can be resolved [Å]: two pixels to a spacing of 4 Å."""

FINEST_TYPED = 0.02
"""Minimum pixel size taken for one in Å where it is typed without a unit [Å]."""

BELIEVED = (1e-3, 1e5)
"""Range of pixel sizes that an electron microscope can have [Å]: 0.1 pm to 10 µm."""

ASPECT = 5.0
"""Maximum ratio of the sides of a pixel that is believed."""

Dimension = Literal["length", "reciprocal", "energy", "time", "none", "unknown"]

_ANGSTROM = {
    "m": 1e10,
    "mm": 1e7,
    "cm": 1e8,
    "μm": 1e4,
    "um": 1e4,
    "nm": 10.0,
    "å": 1.0,
    "a": 1.0,
    "pm": 0.01,
}
_SPELLINGS = {
    "meter": "m",
    "metre": "m",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "micron": "μm",
    "micrometer": "μm",
    "micrometre": "μm",
    "nanometer": "nm",
    "nanometre": "nm",
    "picometer": "pm",
    "picometre": "pm",
    "ang": "å",
    "angstrom": "å",
    "angstroem": "å",
    "ångstrom": "å",
    "ångström": "å",
    "\ufffdm": "μm",  # the micro sign, lost in a file of ASCII
}
_NO_UNIT = {"", "none", "undefined", "px", "pixel", "unknown", "scalar", "inch", "-", "1", "arb"}
_ENERGY = {"ev", "kev", "mev"}
_TIME = {"s", "sec", "second", "ms", "μs", "us", "ns", "min", "minute", "h", "hour"}
_RECIPROCAL = re.compile(r"^1?/|^inverse|\^\(?-1\)?$|⁻¹$|-1$|^[mμu]?rad$|^deg(ree)?$")


def plain_unit(unit: str | None) -> str:
    r"""Give a unit without the decorations of programs, in one spelling.

    Examples
    --------
    >>> [plain_unit(text) for text in ("n_m", "[n_m]", "Nanometers", "\\u00B5m", "Âµm")]
    ['nm', 'nm', 'nm', 'μm', 'μm']
    """
    text = str(unit or "").strip("\0 \t\r\n")
    # ImageJ's escapes, by some programs escaped once more
    text = re.sub(
        r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))", lambda m: chr(int(m[1] or m[2], 16)), text
    )
    if re.search("[ÂÃÎâ]", text):  # UTF-8 that was read as Latin-1
        for encoding in ("cp1252", "latin-1"):
            try:
                text = text.encode(encoding).decode("utf-8")
                break
            except UnicodeError:
                continue
    text = unicodedata.normalize("NFC", text).replace("\u212b", "å").replace("\u00b5", "μ").lower()
    text = re.sub(r"[\s_\[\]<>{}$.]", "", text)
    text = re.sub(r"(?<=.)(/|per)(px|pixel)s?$", "", text)
    if text not in _ANGSTROM and text.endswith("s") and text[:-1] in (_SPELLINGS | {"pixel": ""}):
        text = text[:-1]
    return _SPELLINGS.get(text, text)


def dimension(unit: str | None) -> Dimension:
    """Tell what a unit measures.

    Examples
    --------
    >>> [dimension(text) for text in ("nm", "1/nm", "eV", None, "furlong")]
    ['length', 'reciprocal', 'energy', 'none', 'unknown']
    """
    text = plain_unit(unit)
    if text in _NO_UNIT:
        return "none"
    if text in _ANGSTROM:
        return "length"
    if text in _ENERGY:
        return "energy"
    if text in _TIME:
        return "time"
    return "reciprocal" if _RECIPROCAL.search(text) else "unknown"


def sampling_in_angstrom(scale: float | None, unit: str | None) -> float | None:
    """Give a pixel size in Å, or None if there is none.

    Parameters
    ----------
    scale
        Pixel size in `unit`; its sign is the direction of the axis and of no interest.
    unit
        As written in the file: nm, `n_m`, [n_m], µm, pm, Å, ...

    Raises
    ------
    DataError
        If the unit is one of reciprocal space, or none of length.

    Examples
    --------
    >>> sampling_in_angstrom(0.0125, "n_m")
    0.125
    >>> sampling_in_angstrom(12.5, "pm")
    0.125
    >>> sampling_in_angstrom(1.0, None) is None
    True
    """
    measured = dimension(unit)
    if measured == "none" or scale is None:
        return None
    if measured == "reciprocal":
        raise DataError(
            f"pixel size in {unit}: this is a diffraction pattern or a Fourier transform, "
            "expected an image in real space (nm, pm, Å, µm)"
        )
    if measured != "length":
        raise DataError(
            f"pixel size in {unit!r}: expected a unit of length (nm, pm, Å, µm); "
            "give the pixel size with --sampling, in Å"
        )
    size = abs(float(scale)) * _ANGSTROM[plain_unit(unit)]
    return size if math.isfinite(size) and size > 0 else None


def believed(
    scales: tuple[float | None, float | None], units: tuple[str | None, str | None]
) -> tuple[PixelSize | None, str]:
    """Give the pixel size that a file states, if it can be one.

    Parameters
    ----------
    scales, units
        Along rows and columns, as the file states them.

    Returns
    -------
    PixelSize or None, str
        The pixel size, and why that which is stored is not believed; empty if it is, or if
        none is stored.

    Examples
    --------
    >>> believed((0.012, 0.012), ("nm", "nm"))
    (PixelSize(rows=0.12, columns=0.12), '')
    >>> believed((1.0, 1.0), ("nm", "nm"))
    (None, 'the file states a pixel size of 1 nm, which programs write where they know none')
    >>> believed((1.0, 1.0), (None, None))
    (None, '')
    """
    kinds = [dimension(unit) for unit in units]
    if "none" in kinds or None in scales:
        return None, ""
    stated = " x ".join(
        dict.fromkeys(f"{scale:.4g} {unit}" for scale, unit in zip(scales, units, strict=True))
    )
    start = f"the file states a pixel size of {stated}"
    if kinds != ["length", "length"]:
        return None, f"{start}, which is no length; give the right one with --sampling"
    sizes = [
        float(scale or 0.0) * _ANGSTROM[plain_unit(unit)]
        for scale, unit in zip(scales, units, strict=True)
    ]
    if min(sizes) < 0 < max(sizes) and math.isclose(sizes[0], -sizes[1], rel_tol=1e-3):
        sizes = [abs(size) for size in sizes]  # an axis that points upwards
    if not all(math.isfinite(size) for size in sizes) or min(sizes) <= 0:
        return None, f"{start}, which is none: expected a number above 0"
    if all(scale is not None and math.isclose(scale, 1.0, rel_tol=1e-6) for scale in scales):
        return None, f"{start}, which programs write where they know none"
    if not BELIEVED[0] <= min(sizes) <= max(sizes) <= BELIEVED[1]:
        return None, f"{start}, which no electron microscope has (expected 0.1 pm to 10 µm)"
    if max(sizes) > ASPECT * min(sizes):
        return None, f"{start}, which no image has: expected pixels that are about square"
    return PixelSize(*sizes), ""


def require_resolving(sampling: PixelSize, spacing: float | None = None) -> None:
    """Raise if no lattice can be resolved at a pixel size.

    Parameters
    ----------
    sampling
        Pixel size.
    spacing
        Lattice spacing that is looked for [Å]; default: `COARSEST` is the limit.

    Raises
    ------
    DataError
        If the larger side of a pixel exceeds half the spacing.
    """
    limit = COARSEST if spacing is None else spacing / 2
    size = max(sampling)
    if size > limit:
        raise DataError(
            f"pixel size {_readable(size)}: an overview image, in which no lattice can be "
            f"resolved; expected pixels of at most {limit:.3g} Å. If the pixel size is wrong, "
            "give the right one with --sampling"
        )


def _readable(size: float) -> str:
    for unit, angstrom in (("µm", 1e4), ("nm", 10.0), ("Å", 1.0)):
        if size >= angstrom:
            return f"{size / angstrom:.4g} {unit}"
    return f"{size:.4g} Å"


def parse_length(text: str, *, finest: float = FINEST_TYPED, coarsest: float = COARSEST) -> float:
    """Read a length that was typed, in Å.

    Parameters
    ----------
    text
        A number, in Å if no unit follows: ``0.12``, ``12pm``, ``0.012nm``, ``0.12A``,
        ``0.12 Å``.
    finest, coarsest
        Range of lengths that are plausible without a unit [Å]; outside of it a unit was
        forgotten.

    Raises
    ------
    DataError
        If the text is no length above 0, or its unit seems forgotten.

    Examples
    --------
    >>> [parse_length(text) for text in ("0.12", "12pm", "0.012nm", "0.12A", "0.12 Å")]
    [0.12, 0.12, 0.12, 0.12, 0.12]
    """
    expected = "expected a length such as 0.12 (in Å), 12pm or 0.012nm"
    found = re.fullmatch(
        r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", text, flags=re.DOTALL
    )
    if found is None:
        raise DataError(f"{text!r}: {expected}")
    number, unit = found.groups()
    if unit.startswith(","):
        fixed = text.strip().replace(",", ".", 1)
        raise DataError(f"{text!r}: {expected}; with a decimal point: {fixed}")
    measured = dimension(unit) if unit else "length"
    if measured != "length":
        raise DataError(f"{text!r}: the unit {unit!r} is no unit of length; {expected}")
    factor = _ANGSTROM[plain_unit(unit)] if unit else 1.0
    # of two decimal numbers the product is meant, without the rounding of binary ones
    length = float(f"{float(number) * factor:.15g}")
    if not (math.isfinite(length) and length > 0):
        raise DataError(f"{text!r}: {expected}, above 0")
    if not unit and length > coarsest:
        raise DataError(
            f"{text!r}: {length:g} Å is too large to resolve a lattice; was {length:g} pm meant, "
            f"which is {length / 100:g} Å? Give the unit with it: {number}pm, or {number}A"
        )
    if not unit and length < finest:
        raise DataError(
            f"{text!r}: {length:g} Å is smaller than any pixel; was {length:g} nm meant, which "
            f"is {length * 10:g} Å? Give the unit with it: {number}nm, or {number}A"
        )
    return length
