"""Pristine crystals one layer or slab thick: of `LATTICES`, or read from any file ASE knows."""

import itertools
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.data import covalent_radii
from ase.io import read
from ase.neighborlist import neighbor_list

from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.foundation.lattices import LATTICES

SMALLEST_GAP = 5.0
"""Vacuum between periodic images along c that distinguishes a layer from a bulk crystal [Å]."""

CLOSEST = 0.6
"""Smallest distance of two atoms in units of the sum of their covalent radii."""

LARGEST_CELL = 4
"""How many primitive cells an orthogonal one may hold."""


def honeycomb(
    first: Mapping[float, str], second: Mapping[float, str], *, lattice_constant: float
) -> Atoms:
    """Build the orthogonal a x a√3 cell of a crystal with a honeycomb of two sites.

    Parameters
    ----------
    first, second
        Element at each height above the middle of the layer [Å] on either site.
    lattice_constant
        a of the hexagonal lattice [Å].

    Returns
    -------
    ase.Atoms
        Periodic in the plane; x is the zigzag, y the armchair direction.

    Examples
    --------
    >>> str(honeycomb({0.0: "B"}, {0.0: "N"}, lattice_constant=2.504).symbols)
    'BNBN'
    """
    a, b = lattice_constant, lattice_constant * np.sqrt(3)
    symbols: list[str] = []
    positions: list[tuple[float, float, float]] = []
    sites = (
        ((0, 1 / 6), first),
        ((1 / 2, 1 / 3), second),
        ((1 / 2, 2 / 3), first),
        ((0, 5 / 6), second),
    )
    for (x, y), column in sites:
        for height, symbol in column.items():
            symbols.append(symbol)
            positions.append((x * a, y * b, height))
    return Atoms(symbols, positions=positions, cell=[a, b, 0], pbc=(True, True, False))


def crystal(
    name: str,
    *,
    lattice_constant: float | None = None,
    repeat: tuple[int, int] = (1, 1),
    vacuum: float = 5.0,
) -> Atoms:
    """Build a pristine supercell.

    Parameters
    ----------
    name
        One of `lattices.BUILT_IN`, or the path of a file that ASE reads.
    lattice_constant
        In-plane lattice constant of a built-in crystal [Å]; None: its own.
    repeat
        Number of orthogonal cells along x and y.
    vacuum
        Empty space above and below [Å].

    Returns
    -------
    ase.Atoms
        In an orthogonal cell, periodic in x and y, centred along z.

    Raises
    ------
    DataError
        If a file cannot be read or does not hold a layer; see `layer`.

    Examples
    --------
    >>> len(crystal("graphene", repeat=(5, 3)))
    60
    """
    known = LATTICES.get(name)
    if known is not None and known.sites is not None and known.lattice_constant is not None:
        a = known.lattice_constant if lattice_constant is None else lattice_constant
        cell = honeycomb(*known.sites, lattice_constant=a)
    else:
        cell = layer(read_crystal(name), source=name)
    check_distances(cell, source=f"structures.crystal: {name}")
    supercell: Atoms = cell.repeat((*repeat, 1))
    supercell.center(vacuum=vacuum, axis=2)
    return supercell


def read_crystal(path: str | Path) -> Atoms:
    """Read the last structure of a file in any of ASE's formats.

    Raises
    ------
    DataError
        If ASE cannot read it, or sites are only partly occupied.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of readers, about settings that do not matter here
            atoms = cast(Atoms, read(path))
    # the readers of some fifty formats raise errors of any type
    except Exception as error:
        raise DataError(
            f"structures.crystal: ASE cannot read {path} ({type(error).__name__}: {error}); "
            "expected a CIF, POSCAR, extended XYZ or another format of ASE"
        ) from error
    for site, occupancies in (atoms.info.get("occupancy") or {}).items():
        if any(occupancy < 1 for occupancy in occupancies.values()):
            raise DataError(
                f"structures.crystal: site {site} of {path} is only partly occupied "
                f"({occupancies}); expected whole atoms; write one of its ordered structures to a "
                "file"
            )
    return atoms


def layer(atoms: Atoms, *, source: str) -> Atoms:
    """Put a layer read from a file into the smallest orthogonal cell it fits.

    Parameters
    ----------
    atoms
        One or more layers in the plane of the first two cell vectors, with
        vacuum along the third.
    source
        What to name in errors.

    Returns
    -------
    ase.Atoms
        Periodic in x and y.

    Raises
    ------
    DataError
        If there are no atoms, no cell, no vacuum, or no orthogonal cell.
    """

    def refuse(what: str, remedy: str) -> DataError:
        return DataError(f"structures.crystal: {source} {what}; {remedy}")

    if len(atoms) == 0:
        raise refuse("holds no atoms", "expected at least one")
    lengths = atoms.cell.lengths()
    if min(lengths[:2]) == 0 or not all(atoms.pbc[:2]):
        raise refuse(
            f"is not periodic in the plane (cell lengths {lengths.round(3).tolist()} Å, "
            f"pbc {atoms.pbc.tolist()})",
            "expected a crystal with its plane along the first two cell vectors",
        )
    normal = np.cross(atoms.cell[0], atoms.cell[1])
    normal /= np.linalg.norm(normal)
    if normal @ (atoms.cell[2] if lengths[2] > 0 else (0, 0, 1)) < 0:
        # seen from the other side the layer would be its mirror image
        atoms = atoms.copy()
        atoms.set_cell(atoms.cell[[1, 0, 2]])
        normal = -normal
    if lengths[2] > 0 and abs(atoms.cell[2] @ normal) < lengths[2] * (1 - 1e-6):
        raise refuse(
            f"has a third cell vector that is not normal to the plane (angles "
            f"{atoms.cell.angles().round(2).tolist()}°)",
            "expected one with right angles to the first two",
        )
    height = atoms.positions @ normal
    if atoms.pbc[2] and lengths[2] > 0:
        height = _unwrapped(height % lengths[2], lengths[2])
        gap = lengths[2] - np.ptp(height)
        if gap < SMALLEST_GAP:
            raise refuse(
                f"is a bulk crystal: only {gap:.2f} Å are empty between the layers along its "
                f"third cell vector of {lengths[2]:.2f} Å",
                f"expected at least {SMALLEST_GAP} Å of vacuum there; cut one layer or slab out "
                "(ase.build.surface) and write it to a file",
            )
    flat = atoms.copy()
    flat.positions += np.outer(height - atoms.positions @ normal, normal)
    # of any length now: the layer is what matters along z
    tall = np.ptp(height) + SMALLEST_GAP
    flat.set_cell([*atoms.cell[:2], normal * tall])
    flat.pbc = (True, True, False)
    transform = _orthogonal_transform(flat.cell[:2])
    if transform is None:
        raise refuse(
            f"has an oblique plane ({lengths[0]:.4f} x {lengths[1]:.4f} Å, "
            f"{atoms.cell.angles()[2]:.3f}°) without an orthogonal cell of at most {LARGEST_CELL} "
            "of its own",
            "expected a rectangular, hexagonal or centred rectangular lattice",
        )
    big = make_supercell(flat, [[*transform[0], 0], [*transform[1], 0], [0, 0, 1]], wrap=False)
    axes = big.cell / big.cell.lengths()[:, None]
    result = Atoms(
        big.symbols,
        positions=big.positions @ axes.T,
        cell=[*big.cell.lengths()[:2], 0],
        pbc=(True, True, False),
    )
    result.positions[:, :2] %= result.cell.lengths()[:2]
    return result


def _unwrapped(height: np.ndarray, period: float) -> np.ndarray:
    """Shift heights by periods so that the largest gap lies outside."""
    levels = np.sort(height)
    gaps = np.diff([*levels, levels[0] + period])
    start = levels[(int(np.argmax(gaps)) + 1) % len(levels)]
    return np.where(height < start, height + period, height)


def _orthogonal_transform(plane: np.ndarray) -> tuple[list[int], list[int]] | None:
    """Integer combinations of two vectors that make the smallest orthogonal cell."""
    reach = range(-6, 7)
    best: tuple[tuple[float, ...], tuple[list[int], list[int]]] | None = None
    area = np.linalg.norm(np.cross(*plane))
    vectors = [(n, n @ plane) for n in map(np.array, itertools.product(reach, reach)) if n.any()]
    for (n, v), (m, w) in itertools.product(vectors, vectors):
        v_length, w_length = np.linalg.norm(v), np.linalg.norm(w)
        turn = n[0] * m[1] - n[1] * m[0]
        if not 0 < turn <= LARGEST_CELL or abs(v @ w) > 1e-3 * v_length * w_length:
            continue
        # the smallest cell, its shorter side along x, turned as little as possible
        sides = (round(length / np.sqrt(area), 6) for length in (v_length + w_length, v_length))
        key = (turn, *sides, *-n, *-m)
        if best is None or key < best[0]:
            best = (key, (n.tolist(), m.tolist()))
    return None if best is None else best[1]


def check_distances(atoms: Atoms, *, source: str) -> None:
    """Refuse atoms that overlap.

    Raises
    ------
    DataError
        If two atoms are closer than `CLOSEST` times the sum of their covalent radii.
    """
    radii = CLOSEST * covalent_radii[atoms.numbers]
    first, second, distance = neighbor_list("ijd", atoms, radii)
    if len(first):
        worst = int(np.argmin(distance / (radii[first] + radii[second])))
        i, j = int(first[worst]), int(second[worst])
        x, y, z = atoms.positions[i].round(3).tolist()
        raise DataError(
            f"{source}: atoms {i} ({atoms.symbols[i]} at {x}, {y}, {z} Å) and {j} "
            f"({atoms.symbols[j]}) are {distance[worst]:.3f} Å apart; expected at least "
            f"{radii[i] + radii[j]:.3f} Å ({CLOSEST} of the sum of their covalent radii)"
        )


def check_elements(elements: Iterable[str], *, basis: str, xc: str) -> None:
    """Refuse elements that GPAW has no dataset or no basis for.

    Parameters
    ----------
    elements
        Chemical symbols.
    basis
        LCAO basis, e.g. ``dzp`` or ``sz(dzp)``.
    xc
        Exchange-correlation functional.

    Raises
    ------
    ConfigurationError
        Naming every element and the file it lacks.
    """
    from gpaw.setup_data import search_for_file  # not needed to build structures

    lacking = []
    for element in dict.fromkeys(elements):
        for file in (f"{element}.{xc}", f"{element}.{basis.split('(')[-1].rstrip(')')}.basis"):
            try:
                search_for_file(file)
            except FileNotFoundError:
                lacking.append(file)
    if lacking:
        raise ConfigurationError(
            f"structures: no GPAW dataset or basis {', '.join(lacking)} is installed; expected "
            "elements with both (gpaw-data has most up to Rn); choose other elements, dft.xc or "
            "dft.basis"
        )
