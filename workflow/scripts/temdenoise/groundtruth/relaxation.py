"""Relaxed defects: how the atoms around a defect move, computed once for each kind of it."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.optimize import BFGS
from scipy.optimize import minimize_scalar
from scipy.spatial import cKDTree

from temdenoise.foundation.errors import ConvergenceError, DataError
from temdenoise.groundtruth.disorder import Change, Supercell, rim_distance
from temdenoise.groundtruth.families import CHANGES

RELAXED = ("vacancies", "double_vacancies", "stone_wales", "substitution")
"""Families whose defects are relaxed: those of `families.CHANGES`."""

REACH = 5.0
"""Two defects are of one kind if their surroundings agree up to this distance in the plane [Å]."""

AGREES = 0.1
"""How far two atoms may be apart that are taken for the same one [Å]."""

RIM = 1.5
"""Atoms at most this far from the rim of the supercell are fixed [Å]."""

FORCE = 0.05
"""Largest force left on an atom [eV/Å]."""

STEPS = 300
"""Steps after which a relaxation is given up."""

START = 0.02
"""Standard deviation of the displacements it starts from, so that symmetry can break [Å]."""

LARGEST_MISFIT = 0.06
"""How far a calculator's lattice constant may be from the crystal's, as a fraction."""

Calculator = Callable[[Atoms], Any]
"""Makes what computes energy and forces of some atoms."""


@dataclass(frozen=True)
class Defect:
    """One kind of defect and its surroundings.

    Attributes
    ----------
    kind, by
        See `disorder.Change`.
    symbols
        Of the pristine crystal's atoms around it.
    offsets
        Their ideal places, from the middle of the defect, shape (n, 3) [Å].
    changed
        Which of them the defect is made of, shape (n,).
    displacement
        How far each moves from its ideal place (of a rotated bond, from the place it is turned
        to), shape (n, 3) [Å]; zeros for the atoms of a vacancy.
    """

    kind: str
    by: str | None
    symbols: np.ndarray
    offsets: np.ndarray
    changed: np.ndarray
    displacement: np.ndarray

    def to_atoms(self) -> Atoms:
        """Write it as atoms at their ideal places, the rest in arrays and ``info``."""
        atoms = Atoms(list(self.symbols), positions=self.offsets)
        atoms.set_array("changed", self.changed)
        atoms.set_array("displacement", self.displacement)
        atoms.info["kind"] = self.kind
        if self.by:
            atoms.info["by"] = self.by
        return atoms

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> "Defect":
        """Read it back."""
        return cls(
            kind=atoms.info["kind"],
            by=atoms.info.get("by"),
            symbols=np.array(list(atoms.symbols)),
            offsets=atoms.positions,
            changed=atoms.arrays["changed"].astype(bool),
            displacement=atoms.arrays["displacement"],
        )


def surroundings(pristine: Atoms, change: Change) -> Defect:
    """Describe a defect that is not relaxed.

    Parameters
    ----------
    pristine
        The supercell, orthogonal and periodic in the plane.
    change
        The defect in it.

    Returns
    -------
    Defect
        With every atom of the supercell, seen from the defect, and no displacement.
    """
    positions, sides = pristine.positions, pristine.cell.lengths()[:2]
    sites = list(change.sites)
    # the other atoms of the defect as neighbours of its first
    apart = positions[sites] - positions[sites[0]]
    apart[:, :2] -= sides * np.round(apart[:, :2] / sides)
    offsets = positions - (positions[sites[0]] + apart.mean(axis=0))
    offsets[:, :2] -= sides * np.round(offsets[:, :2] / sides)
    offsets[:, 2] = positions[:, 2] - (positions[:, 2].min() + positions[:, 2].max()) / 2
    changed = np.zeros(len(pristine), dtype=bool)
    changed[sites] = True
    symbols = np.array(list(pristine.symbols))
    return Defect(change.kind, change.by, symbols, offsets, changed, np.zeros_like(offsets))


def _symmetries() -> list[np.ndarray]:
    """Make turns by multiples of 30° in the plane, mirrors, and both with the layer turned over."""
    turns = []
    for k, mirror, over in itertools.product(range(12), (1, -1), (1, -1)):
        cosine, sine = np.cos(np.pi * k / 6), np.sin(np.pi * k / 6)
        turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
        turns.append(turn @ np.diag([mirror, 1.0, over]))
    return turns


SYMMETRIES = _symmetries()
"""Orthogonal matrices that may send a defect to another of its kind."""


def placed(defect: Defect, target: Defect) -> list[np.ndarray]:
    """Find how a defect fits in another place, in every way that its surroundings allow.

    Parameters
    ----------
    defect
        The relaxed one.
    target
        The place, see `surroundings`.

    Returns
    -------
    list of numpy.ndarray
        Displacement of each atom of the target, shape (n, 3) [Å]; empty if they are of
        different kinds.
    """
    if (defect.kind, defect.by) != (target.kind, target.by):
        return []
    found, distances = list[np.ndarray](), np.linalg.norm(defect.offsets[:, :2], axis=1)
    near = distances <= REACH
    # of a large scene the part that the defect can cover
    within = np.linalg.norm(target.offsets[:, :2], axis=1) <= distances.max() + AGREES
    covered = np.flatnonzero(within)
    tree = cKDTree(target.offsets[covered])
    for matrix in SYMMETRIES:
        distance, index = tree.query(defect.offsets @ matrix.T, distance_upper_bound=AGREES)
        met = np.isfinite(distance)
        # cells may differ in size, so an atom far off need not be there
        if not met[near].all():
            continue
        own, other = np.flatnonzero(met), covered[index[met]]
        close = near[own]
        same = (defect.symbols[own] == target.symbols[other]) & (
            defect.changed[own] == target.changed[other]
        )
        if not same[close].all():
            continue
        displacement = np.zeros_like(target.offsets)
        displacement[other[same]] = defect.displacement[own[same]] @ matrix.T
        found.append(displacement)
    return found


def kinds(cell: Supercell, family: str, parameters: Mapping[str, Any]) -> list[Change]:
    """List the different defects that a family may make, each as near the middle as it occurs.

    Parameters
    ----------
    cell
        The supercell.
    family
        One of `RELAXED`.
    parameters
        Its options; those that say how many and where do not matter.
    """
    middle = cell.pristine.cell.lengths()[:2] / 2
    changes = sorted(
        CHANGES[family](cell, **parameters),
        key=lambda change: float(
            np.linalg.norm(cell.pristine.positions[list(change.sites), :2].mean(axis=0) - middle)
        ),
    )
    kept: list[tuple[Change, Defect]] = []
    for change in changes:
        place = surroundings(cell.pristine, change)
        if not any(placed(place, known) for _, known in kept):
            kept.append((change, place))
    return [change for change, _ in kept]


def fitted(pristine: Atoms, calculator: Calculator) -> Atoms:
    """Scale a supercell to the calculator's own lattice constant.

    The crystal of the configuration may be some per cent larger or smaller than a calculator's
    (GFN1-xTB has 3.29 Å for MoS2 instead of 3.16), which would buckle the sheet between fixed rims.

    Parameters
    ----------
    pristine
        The supercell.
    calculator
        See `THEORIES`.

    Raises
    ------
    ConvergenceError
        If its energy is lowest more than 6 % away.
    """

    def scaled(factor: float) -> Atoms:
        atoms = pristine.copy()
        atoms.info.clear()
        sides = pristine.cell.lengths() * (factor, factor, 1)
        middle = (pristine.positions[:, 2].min() + pristine.positions[:, 2].max()) / 2
        atoms.set_cell(sides)
        atoms.positions = (pristine.positions - (0, 0, middle)) * factor + (0, 0, middle)
        return atoms

    def energy(factor: float) -> float:
        atoms = scaled(factor)
        atoms.calc = calculator(atoms)
        return float(atoms.get_potential_energy())

    low, high = 1 - LARGEST_MISFIT, 1 + LARGEST_MISFIT
    best = float(
        minimize_scalar(energy, bounds=(low, high), method="bounded", options={"xatol": 2e-3}).x
    )
    if min(best - low, high - best) < 5e-3:
        raise ConvergenceError(
            f"the energy of {pristine.get_chemical_formula()} is not lowest within "
            f"{100 * LARGEST_MISFIT:.0f} % of its lattice constant; look at the crystal, or set "
            "structures.relaxation to none"
        )
    return scaled(best)


def relax(
    pristine: Atoms, change: Change, calculator: Calculator, *, without: np.ndarray, seed: int
) -> np.ndarray:
    """Relax one defect, the rim of the supercell fixed.

    Parameters
    ----------
    pristine
        The supercell, see `fitted`.
    change
        The defect in it.
    calculator
        See `THEORIES`.
    without
        How far the atoms move in the crystal without a defect, shape (n, 3) [Å]; taken off, so
        that a surface does not count as the defect's.
    seed
        Of the small displacements that the relaxation starts from.

    Returns
    -------
    numpy.ndarray
        Displacement of every atom, shape (n, 3) [Å]; zeros for those of a vacancy.

    Raises
    ------
    ConvergenceError
        If forces above `FORCE` are left after `STEPS` steps.
    """
    cell = Supercell(pristine, fade_width=1.0, defect_margin=0.0)
    cell.make(change)
    kept = np.ones(len(pristine), dtype=bool)
    if change.kind == "vacancy":
        kept[list(change.sites)] = False
    start = cell.atoms.positions
    displacement = np.zeros_like(start)
    relaxed = _relaxed(cell.finished(), pristine[kept], calculator, seed)
    displacement[kept] = relaxed - start[kept] - without[kept]
    return displacement


def _relaxed(atoms: Atoms, ideal: Atoms, calculator: Calculator, seed: int) -> np.ndarray:
    """Relax atoms; those whose ideal places lie at the rim are fixed. Their positions [Å]."""
    atoms = atoms.copy()
    atoms.info.clear()
    fixed = rim_distance(ideal.positions, ideal.cell.lengths()) <= RIM
    start = np.random.default_rng(seed).normal(0, START, size=(len(atoms), 3))
    atoms.positions += np.where(fixed[:, None], 0, start)
    atoms.set_constraint(FixAtoms(np.flatnonzero(fixed)))
    atoms.calc = calculator(atoms)
    optimiser = BFGS(atoms, logfile=None)
    if not optimiser.run(fmax=FORCE, steps=STEPS):
        force = np.linalg.norm(atoms.get_forces(), axis=1).max()
        raise ConvergenceError(
            f"the relaxation of {atoms.get_chemical_formula()} left a force of {force:.3f} eV/Å "
            f"after {STEPS} steps; expected at most {FORCE}; set structures.relaxation to none, or "
            "choose other defects"
        )
    positions: np.ndarray = atoms.positions
    return positions


def gfn1(atoms: Atoms, options: Mapping[str, Any]) -> Any:
    """Tight binding: GFN1-xTB (S. Grimme et al., doi:10.1021/acs.jctc.7b00118), by tblite."""
    from tblite.ase import TBLite  # needed where something is relaxed only

    kelvin = 11604.5 * options["smearing"]
    return TBLite(method="GFN1-xTB", electronic_temperature=kelvin, verbosity=0)


def dft(atoms: Atoms, options: Mapping[str, Any]) -> Any:
    """Density functional theory as in the section `dft` of the configuration."""
    from temdenoise.groundtruth.dft import DftSettings, calculator_of

    return calculator_of(atoms, DftSettings(**options))


@dataclass(frozen=True)
class Theory:
    """What energy and forces are computed by.

    Attributes
    ----------
    calculator
        Function of some atoms and the section `dft`.
    fits
        Whether the supercell is scaled to its own lattice constant first.
    """

    calculator: Callable[[Atoms, Mapping[str, Any]], Any]
    fits: bool


THEORIES = {"gfn1": Theory(gfn1, fits=True), "dft": Theory(dft, fits=False)}
"""What `structures.relaxation` names."""


def relax_family(
    cell: Supercell,
    family: str,
    parameters: Mapping[str, Any],
    *,
    theory: str,
    options: Mapping[str, Any],
    seed: int,
) -> list[Defect]:
    """Relax every kind of defect that a family may make.

    Parameters
    ----------
    cell
        The supercell; its `defect_margin` says where defects may lie.
    family, parameters
        See `kinds`.
    theory
        One of `THEORIES`.
    options
        The section `dft` of the configuration; tight binding takes its smearing alone.
    seed
        See `relax`.
    """
    found = THEORIES[theory]

    def calculator(atoms: Atoms) -> Any:
        return found.calculator(atoms, options)

    pristine = cell.pristine
    own = fitted(pristine, calculator) if found.fits else pristine
    without = _relaxed(own, own, calculator, seed) - own.positions
    relaxed = []
    for change in kinds(cell, family, parameters):
        moved = relax(own, change, calculator, without=without, seed=seed)
        relaxed.append(replace(surroundings(pristine, change), displacement=moved))
    return relaxed


def apply(cell: Supercell, defects: Iterable[Defect], rng: np.random.Generator) -> None:
    """Displace the atoms around every defect of a supercell.

    Where a defect fits in several ways (around a vacancy whose threefold symmetry is broken, in
    three), one of them is drawn. Displacements around several defects are added.

    Parameters
    ----------
    cell
        With its defects made.
    defects
        The relaxed ones.
    rng
        Where the randomness comes from.

    Raises
    ------
    DataError
        If a defect is of a kind that was not relaxed.
    """
    known: Sequence[Defect] = list(defects)
    for change in cell.changes:
        place = surroundings(cell.pristine, change)
        ways = [way for defect in known for way in placed(defect, place)]
        if not ways:
            raise DataError(
                f"a {change.kind.replace('_', ' ')} of atoms {change.sites} of "
                f"{cell.pristine.get_chemical_formula()} is of a kind that was not relaxed "
                f"({len(known)} were); expected one of them"
            )
        cell.shift(ways[int(rng.integers(len(ways)))])
