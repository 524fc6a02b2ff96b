"""Pixel sizes, checked against the lattice's own ring in the Fourier transform."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.noise import without_impulses
from temdenoise.measuring.spectrum import Peak, lattice_peaks, middle, spectrum

TOLERANCE = 0.03
"""Relative difference from which on a pixel size is called wrong."""


@dataclass(frozen=True)
class Ring:
    """The lattice's first ring.

    Attributes
    ----------
    spacing
        Of the planes that make it, by the stated pixel size [Å].
    peaks
        How many peaks lie in it (one of each pair of opposite ones).
    spread
        Relative standard deviation of their distances from the centre.
    """

    spacing: float
    peaks: int
    spread: float


def first_ring(peaks: list[Peak]) -> Ring | None:
    """Find the ring of lowest frequency that has peaks in two directions.

    Parameters
    ----------
    peaks
        Lattice peaks of an image.

    Returns
    -------
    Ring or None
        None if there is no lattice to be seen.
    """
    ordered = sorted(peaks, key=lambda peak: peak.frequency)
    for first in ordered:
        # scan distortion makes an ellipse of the ring
        ring = [p for p in ordered if 1 <= p.frequency / first.frequency < 1.15]
        angles = np.array([np.arctan2(p.rows, p.columns) for p in ring])
        apart = np.abs((angles - angles[0] + np.pi / 2) % np.pi - np.pi / 2)
        if (apart > np.deg2rad(15)).any():
            lengths = np.array([p.frequency for p in ring])
            middle = float(np.median(lengths))
            return Ring(1 / middle, peaks=len(ring), spread=float(lengths.std() / middle))
    return None


@dataclass(frozen=True)
class PixelCheck:
    """What the lattice says about the pixel size.

    Attributes
    ----------
    agrees
        Whether it confirms the pixel size; None if it cannot tell.
    text
        In words.
    suggested
        Pixel size along rows and columns [Å] by which the lattice would fit; None if
        the pixel size is right or the crystal not known.
    """

    agrees: bool | None
    text: str
    suggested: PixelSize | None = None


def check(
    ring: Ring | None,
    sampling: PixelSize,
    known: Mapping[str, float],
    *,
    certain: bool,
    taken: bool = False,
) -> PixelCheck:
    """Compare the lattice's ring with those of known crystals.

    Parameters
    ----------
    ring
        First ring at the stated pixel size.
    sampling
        Pixel size [Å].
    known
        Spacing of the first ring by name of the crystal [Å].
    certain
        Whether the user named the crystal; else it may be one not known.
    taken
        Whether the pixel size was itself taken from this ring.

    Examples
    --------
    >>> ring = Ring(spacing=3.0, peaks=3, spread=0.0)
    >>> check(ring, PixelSize(0.1367, 0.1367), {"mos2": 2.7366}, certain=True).suggested
    PixelSize(rows=0.1247, columns=0.1247)
    """
    if taken:
        return PixelCheck(None, "taken from the lattice's first ring, as the file says none")
    if ring is None:
        return PixelCheck(None, "no lattice ring stands out of the noise: nothing to check against")
    if not known:
        return PixelCheck(
            None,
            f"the lattice's first ring lies at {ring.spacing:.3f} Å; no crystal to compare with",
        )
    off = {name: ring.spacing / spacing - 1 for name, spacing in known.items()}
    best = min(off, key=lambda name: abs(off[name]))
    if abs(off[best]) <= TOLERANCE:
        return PixelCheck(
            True,
            f"the lattice's first ring lies at {ring.spacing:.3f} Å, that of {best} at "
            f"{known[best]:.3f} Å: the pixel size is right within {100 * abs(off[best]):.1f} %",
        )
    suggested = PixelSize(*(round(s * known[best] / ring.spacing, 4) for s in sampling))
    if certain:
        return PixelCheck(
            False,
            f"the pixel size disagrees with the lattice: its first ring lies at "
            f"{ring.spacing:.3f} Å, that of {best} at {known[best]:.3f} Å "
            f"({100 * off[best]:+.0f} %); if it is {best}, give --sampling {suggested[0]:.4g}",
            suggested,
        )
    listed = ", ".join(f"{name} {spacing:.2f} Å" for name, spacing in known.items())
    return PixelCheck(
        None,
        f"the lattice's first ring lies at {ring.spacing:.3f} Å, which is none of the crystals "
        f"known here ({listed}): another crystal, or a wrong pixel size; name it with --crystal "
        "or its spacing with --spacing, and the pixel size is checked",
    )


def sampling_from_lattice(frame: np.ndarray, spacing: float) -> float | None:
    """Take the pixel size from the lattice's first ring.

    Parameters
    ----------
    frame
        Shape (rows, columns).
    spacing
        Spacing of the planes that make the ring [Å].

    Returns
    -------
    float or None
        Pixel size [Å]; None if no ring is found.
    """
    part, _ = without_impulses(middle(np.asarray(frame)))
    size = spacing / 16
    for _ in range(6):
        ring = first_ring(lattice_peaks(spectrum(part, PixelSize(size, size))))
        if ring is None:
            return None
        size, last = size * spacing / ring.spacing, size
        if abs(size / last - 1) < 1e-3:
            break
    return size
