"""Units of length as the makers of microscopes write them, made Å."""

import math
import re

from temdenoise.errors import DataError

_ANGSTROM = {
    "m": 1e10,
    "mm": 1e7,
    "um": 1e4,
    "µm": 1e4,
    "μm": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "nm": 10.0,
    "nanometer": 10.0,
    "nanometers": 10.0,
    "å": 1.0,
    "a": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ångström": 1.0,
    "pm": 0.01,
    "picometer": 0.01,
}
_NO_UNIT = {"", "none", "undefined", "px", "pixel", "pixels", "unknown", "scalar", "inch"}
_RECIPROCAL = re.compile(r"^1/|^/|\^-1$|\^\(-1\)$|⁻¹$|-1$|^m?rad$|^(mrad|deg|degree|degrees)$")


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
    text = re.sub(r"[\s_\[\]<>]", "", str(unit or "")).lower().replace("\u212b", "å")
    if text in _NO_UNIT or scale is None:
        return None
    if _RECIPROCAL.search(text):
        raise DataError(
            f"pixel size in {unit}: this is a diffraction pattern or a Fourier transform, "
            "expected an image in real space (nm, pm, Å, µm)"
        )
    if text not in _ANGSTROM:
        raise DataError(
            f"pixel size in {unit!r}: expected a unit of length (nm, pm, Å, µm); "
            "give the pixel size with --sampling, in Å"
        )
    size = abs(float(scale)) * _ANGSTROM[text]
    return size if math.isfinite(size) and size > 0 else None
