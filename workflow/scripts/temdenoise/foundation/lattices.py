"""Crystals this project knows by name: lattice constants, spacings, and how they are built.

The one place that names them. A further crystal is one entry of `LATTICES`; any other is
given as a file that ASE reads, and its spacing on the command line.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from temdenoise.foundation.errors import DataError


@dataclass(frozen=True)
class Measured:
    """A published lattice constant: value with its uncertainty [Å], what was measured, DOI."""

    value: str
    what: str
    doi: str


@dataclass(frozen=True)
class Lattice:
    """A crystal seen along one direction.

    Attributes
    ----------
    name
        In configurations, on the command line and in model files.
    title
        What it is.
    spacing
        Spacing of the planes that make the first ring of its Fourier transform [Å].
    lattice_constant
        a of the hexagonal lattice that the workflow builds by name [Å]; None for a crystal that
        is read from a file.
    sites
        Of such a honeycomb: element at each height above the middle of the layer [Å], on
        either site of the cell.
    file
        Where the crystal lies in the project's folder, if it is read from a file; its models
        call it by the file's name.
    measured
        A published lattice constant to compare with.
    """

    name: str
    title: str
    spacing: float
    lattice_constant: float | None = None
    sites: tuple[Mapping[float, str], Mapping[float, str]] | None = None
    file: str | None = None
    measured: Measured | None = None

    @property
    def cell(self) -> tuple[float, float] | None:
        """Sides of its orthogonal cell along x and y [Å], if it is built by name."""
        a = self.lattice_constant
        return None if a is None else (a, a * math.sqrt(3))


_SULFUR = {1.565: "S", -1.565: "S"}  # the sulfur planes of MoS2 lie 3.13 Å apart

LATTICES: Mapping[str, Lattice] = MappingProxyType(
    {
        "graphene": Lattice(
            name="graphene",
            title="graphene",
            spacing=2.1319,
            lattice_constant=2.46,
            sites=({0.0: "C"}, {0.0: "C"}),
            # J. Y. Howe et al., Powder Diffr. 18, 150 (2003)
            measured=Measured(
                "2.4617(2)", "graphite, X-ray powder diffraction", "10.1154/1.1536926"
            ),
        ),
        "hbn": Lattice(
            name="hbn",
            title="hexagonal boron nitride, one layer",
            spacing=2.1685,
            lattice_constant=2.504,
            sites=({0.0: "B"}, {0.0: "N"}),
        ),
        "mos2": Lattice(
            name="mos2",
            title="molybdenum disulfide, one trigonal prismatic (2H) layer",
            spacing=2.7366,
            lattice_constant=3.18,
            sites=({0.0: "Mo"}, _SULFUR),
        ),
        "srtio3": Lattice(
            name="srtio3",
            title="strontium titanate along [001]",
            spacing=3.905,
            file="config/crystals/srtio3_001.cif",
        ),
        "cdte": Lattice(
            name="cdte",
            title="cadmium telluride along [110]",
            spacing=3.7412,
            file="config/crystals/cdte_110.cif",
        ),
        "au": Lattice(
            name="au",
            title="gold along [110]",
            spacing=2.3544,
            file="config/crystals/au_110.cif",
        ),
    }
)
"""Crystals by name."""

BUILT_IN = tuple(name for name, lattice in LATTICES.items() if lattice.sites)
"""Names of the crystals that need no file."""


def spacing_of(name: str, others: Mapping[str, float] = MappingProxyType({})) -> float:
    """Return the spacing of a crystal's first ring [Å].

    Parameters
    ----------
    name
        Of the crystal, in any case; ``srtio3_001``, as models call a crystal that was read from
        a file, is known, too.
    others
        Spacings by name of the crystals a model was trained on [Å], which are known besides.

    Raises
    ------
    DataError
        If there is none of that name.

    Examples
    --------
    >>> spacing_of("MoS2"), spacing_of("srtio3_001"), spacing_of("wse2", {"wse2": 2.85})
    (2.7366, 3.905, 2.85)
    """
    wanted = name.lower()
    for lattice in LATTICES.values():
        stem = lattice.file.rpartition("/")[2].removesuffix(".cif") if lattice.file else None
        if wanted in (lattice.name, stem):
            return lattice.spacing
    for other, spacing in others.items():
        if wanted == other.lower():
            return spacing
    known = ", ".join(dict.fromkeys([*LATTICES, *others]))
    raise DataError(
        f"crystal {name!r}: expected one of {known}; for another give the spacing of its first "
        "ring with --spacing, in Å"
    )
