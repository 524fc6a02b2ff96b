"""Microscopes: presets, and what can be checked of one before anything is computed.

Angles in mrad, lengths in Å, energies in keV. Needs the standard library only,
since the Snakefile checks with it. Defocus is positive for underfocus and Cs for
an uncorrected lens (abTEM's signs): χ(k) = π λ k² (Cs λ² k² / 2 - defocus).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from temdenoise.foundation.modes import image_mode

PRESETS: dict[str, dict[str, Any]] = {
    # Krivanek et al., doi:10.1038/nature08879: 60 kV, 31 mrad, medium angles
    "adf_60kv_medium": {
        "mode": "adf",
        "energy": 60.0,
        "aperture": 31.0,
        "inner": 58.0,
        "outer": 200.0,
        "cs": 0.0,
        "defocus": 0.0,
        "focal_spread": 28.0,
        "source_size": 0.5,
    },
    "adf_60kv_high": {
        "mode": "adf",
        "energy": 60.0,
        "aperture": 31.0,
        "inner": 86.0,
        "outer": 200.0,
        "cs": 0.0,
        "defocus": 0.0,
        "focal_spread": 28.0,
        "source_size": 0.5,
    },
    # Cs slightly negative and overfocus: atoms are bright (Jia et al., doi:10.1126/science.1079121)
    "hrtem_80kv": {
        "mode": "hrtem",
        "energy": 80.0,
        "aperture": 25.0,
        "inner": 0.0,
        "outer": 0.0,
        "cs": -2.0e5,
        "defocus": -90.0,
        "focal_spread": 40.0,
        "source_size": 0.6,
    },
}
"""Presets. Mode; energy [keV]; aperture: convergence of the probe, or of the objective lens, and
inner and outer edge of the annular detector [mrad]; Cs, defocus and focal spread (standard
deviation) [Å]; source size: width of the Gaussian for source and vibration (FWHM) [Å]."""

PARAMETERS = tuple(key for key in next(iter(PRESETS.values())) if key != "mode")
"""What describes a microscope beside its mode."""


def wavelength(energy: float) -> float:
    """Relativistic wavelength of electrons [Å].

    λ = h c / sqrt(E (E + 2 m c²))

    Parameters
    ----------
    energy
        [keV]

    Examples
    --------
    >>> round(wavelength(60), 5), round(wavelength(80), 5), round(wavelength(300), 5)
    (0.04866, 0.04176, 0.01969)
    """
    return 12.398419843 / math.sqrt(energy * (energy + 2 * 510.99895))


def microscope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the section `microscope` with its preset.

    Parameters
    ----------
    config
        A configuration whose defaults are filled in.

    Returns
    -------
    dict
        ``mode``, every one of `PARAMETERS`, and ``sampling`` [Å]; for a mode that needs no
        microscope the mode alone.
    """
    chosen, mode = config["microscope"], config["image"]["mode"]
    usual = image_mode(mode).preset
    if usual is None:
        return {"mode": mode}
    preset = PRESETS[chosen["preset"] or usual]
    opened = {key: chosen[key] for key in PARAMETERS if chosen[key] is not None}
    return {**preset, **opened, "mode": mode, "sampling": chosen["sampling"]}


def probe_diameter(microscope: Mapping[str, Any]) -> float:
    """Diameter of what one point of the object (or of the probe) spreads over [Å].

    The Airy disc 1.22 λ/α, and twice the radius that defocus (at thrice its spread)
    and Cs blur to: |Cs α³ - defocus α| at its largest within the aperture.

    Parameters
    ----------
    microscope
        See `microscope_of`.

    Examples
    --------
    >>> 1.9 < probe_diameter(PRESETS["adf_60kv_medium"] | {"focal_spread": 0}) < 2.0
    True
    """
    alpha = microscope["aperture"] * 1e-3
    airy = 1.22 * wavelength(microscope["energy"]) / alpha
    reach = 3 * microscope["focal_spread"]
    angles = [alpha * step / 20 for step in range(21)]
    blur = max(
        abs(microscope["cs"] * a**3 - (microscope["defocus"] + sign * reach) * a)
        for a in angles
        for sign in (-1, 1)
    )
    return float(airy + 2 * blur)


def largest_angle(microscope: Mapping[str, Any]) -> float:
    """Largest scattering angle a sampling can hold, free of aliasing: λ / (3 sampling) [mrad]."""
    return float(1e3 * wavelength(microscope["energy"]) / (3 * microscope["sampling"]))


def annular(mode: str) -> bool:
    """Tell whether a mode scans a probe and collects with an annular detector.

    Examples
    --------
    >>> annular("adf"), annular("hrtem"), annular("density")
    (True, False, False)
    """
    usual = image_mode(mode).preset
    return usual is not None and PRESETS[usual]["outer"] > 0


def impossible(microscope: Mapping[str, Any], cell: tuple[float, float] | None) -> Iterator[str]:
    """Tell what cannot be computed, with value, bound and why.

    Parameters
    ----------
    microscope
        See `microscope_of`.
    cell
        Sides of the supercell [Å], if they are known.
    """
    scanned, aperture = annular(microscope["mode"]), microscope["aperture"]
    inner, outer = microscope["inner"], microscope["outer"]
    needed = ("microscope.aperture", aperture)
    if scanned:
        needed = ("microscope.outer", outer)
        if not inner < outer:
            yield (
                f"`microscope.inner` = {inner:g} mrad: expected less than `microscope.outer` = "
                f"{outer:g} mrad, since the annular detector lies between the two"
            )
        if inner < aperture:
            yield (
                f"`microscope.inner` = {inner:g} mrad: expected at least `microscope.aperture` = "
                f"{aperture:g} mrad; below it the detector would see the bright-field disc"
            )
    limit = largest_angle(microscope)
    if limit < needed[1]:
        finest = microscope["sampling"] * limit / needed[1]
        yield (
            f"`microscope.sampling` = {microscope['sampling']:g} Å: expected at most "
            f"{math.floor(finest * 1e4) / 1e4:g} Å, since it holds angles up to "
            f"{limit:.0f} mrad and `{needed[0]}` = {needed[1]:g} mrad"
        )
    if cell is not None:
        side, diameter = min(cell), probe_diameter(microscope)
        if diameter > side:
            what = "the probe is" if scanned else "a point of the object spreads over"
            yield (
                f"`microscope`: with aperture {aperture:g} mrad, Cs {microscope['cs']:g} Å, "
                f"defocus {microscope['defocus']:g} Å and focal spread "
                f"{microscope['focal_spread']:g} Å {what} {diameter:.1f} Å wide; expected at most "
                f"the supercell's shorter side, {side:.1f} Å, since it is imaged periodically "
                "(raise `structures.repeat`)"
            )
