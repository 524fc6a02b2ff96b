"""Electron density of a structure by density functional theory (GPAW).

Arrays of a density carry GPAW's index suffixes here: ``n_R`` on grid points.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.units import Ha
from gpaw import GPAW, KohnShamConvergenceError
from gpaw.mpi import world

from temdenoise.foundation.errors import ConvergenceError

LADDER: tuple[dict[str, Any], ...] = (
    {"mixer": {}, "smearing_factor": 1},
    {"mixer": {"name": "pulay", "beta": 0.03, "weight": 100.0}, "smearing_factor": 1},
    {"mixer": {"name": "pulay", "beta": 0.03, "weight": 100.0}, "smearing_factor": 2},
)
"""What is tried in turn when the SCF cycle stalls: GPAW's own mixer, a gentler one, warmer."""

MAGNETIC_MOMENT = 1.0
"""Initial moment of the atoms around a defect in a spin-polarised calculation [µB]."""


@dataclass(frozen=True)
class DftSettings:
    """How a density is computed: the section `dft` of the configuration.

    Attributes
    ----------
    basis
        Name of the LCAO basis, e.g. ``dzp``.
    xc
        Exchange-correlation functional, e.g. ``PBE``.
    grid_spacing
        Of the real-space grid [Å].
    kpt_density
        See `kpoints` [Å]; the mesh contains Γ.
    smearing
        Width of the Fermi-Dirac distribution [eV].
    spin
        Whether to treat spin; the atoms around the defects that
        ``atoms.info["defects"]`` lists start with `MAGNETIC_MOMENT`.
    density_convergence
        Largest integral of the density's change [electrons per valence electron].
    max_iterations
        SCF steps before an attempt is given up.
    density
        ``pseudo``: smooth PAW valence density (default of the workflow);
        ``valence``: all-electron valence density; ``all_electron``: with the core.
    density_grid_spacing
        Grid spacing on which the density is returned [Å].
    ground_truth
        ``dft``, or ``superposition``: the densities of free atoms added up,
        without any SCF cycle (what a bond adds is then missing).
    mode
        GPAW's mode; other than LCAO for validation only.
    symmetry
        Whether to use the symmetry of the structure; for pristine crystals only.
    """

    basis: str
    xc: str
    grid_spacing: float
    kpt_density: float
    smearing: float
    spin: bool
    density_convergence: float
    max_iterations: int
    density: str
    density_grid_spacing: float
    ground_truth: str = "dft"
    mode: str | dict[str, Any] = "lcao"
    symmetry: bool = False


@dataclass(frozen=True)
class Density:
    """The outcome of one calculation.

    Attributes
    ----------
    n_R
        Electron density [e/Å³], shape (x, y, z).
    spacing
        Grid spacing along x, y, z [Å].
    valence_electrons
        Number of electrons the calculation treated.
    expected_electrons
        Number of electrons `n_R` should hold (with `all_electron`, the core too).
    summary
        Energies [eV], electron counts, times [s], convergence history.
    """

    n_R: np.ndarray
    spacing: tuple[float, float, float]
    valence_electrons: float
    expected_electrons: float
    summary: dict[str, Any]


def kpoints(extent: Sequence[float] | np.ndarray, *, density: float) -> tuple[int, int]:
    """Count the k-points along x and y: n = max(1, ceil(density 2π / side)).

    Parameters
    ----------
    extent
        Sides of the cell [Å]; the first two count.
    density
        Points per Å⁻¹ of the reciprocal cell [Å].

    Examples
    --------
    >>> kpoints([12.3, 12.8], density=1.5), kpoints([2.46, 4.26], density=1.5)
    ((1, 1), (4, 3))
    """
    nx, ny = (max(1, int(np.ceil(density * 2 * np.pi / side - 1e-9))) for side in extent[:2])
    return nx, ny


def run_dft(atoms: Atoms, settings: DftSettings, *, txt: str) -> Density:
    """Compute the self-consistent electron density of a structure.

    GPAW with a basis of pseudo-atomic orbitals (LCAO), the method nearest to
    the one of the paper. An SCF cycle that stalls is tried again as `LADDER` says.

    Parameters
    ----------
    atoms
        The structure, in an orthogonal cell.
    settings
        How it is computed.
    txt
        GPAW's own log; a new attempt goes on in the same file.

    Raises
    ------
    ConvergenceError
        If no attempt converges; with the last steps and the log's name.

    References
    ----------
    J. J. Mortensen et al., J. Chem. Phys. 160, 092503 (2024), doi:10.1063/5.0182685;
    A. H. Larsen et al., Phys. Rev. B 80, 195112 (2009), doi:10.1103/PhysRevB.80.195112.
    """
    if settings.spin:
        atoms = atoms.copy()
        atoms.set_initial_magnetic_moments(initial_moments(atoms))
    start = time.perf_counter()
    with Path(txt if world.rank == 0 else os.devnull).open("w", encoding="utf-8") as log:
        calculator, attempts = _self_consistent(atoms, settings, log=log, txt=txt)
    scf_seconds = time.perf_counter() - start

    start = time.perf_counter()
    densities = calculator.dft.densities()
    if settings.density == "pseudo":
        n_sR = densities.pseudo_densities(grid_spacing=settings.density_grid_spacing)
    else:
        n_sR = densities.all_electron_densities(
            grid_spacing=settings.density_grid_spacing, skip_core=settings.density == "valence"
        )
    # from the processes that share it (see parallel.py) to every one of them
    n_sR = n_sR.gather(broadcast=True)
    n_R = np.ascontiguousarray(n_sR.data.sum(axis=0))
    x, y, z = (atoms.cell.lengths() / n_R.shape).tolist()
    spacing = (x, y, z)
    valence = float(calculator.get_number_of_electrons())
    extraction_seconds = time.perf_counter() - start
    summary = {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "ground_truth": settings.ground_truth,
        "density": settings.density,
        "energy_ev": None,
        "fermi_level_ev": None,
        "magnetic_moment_bohr": None,
        "valence_electrons": valence,
        "electrons_in_density": float(n_R.sum() * np.prod(spacing)),
        "scf_steps": sum(len(attempt["history"]) for attempt in attempts),
        "scf_seconds": scf_seconds,
        "extraction_seconds": extraction_seconds,
        "attempts": attempts,
    }
    if settings.ground_truth == "dft":
        summary["energy_ev"] = float(calculator.get_potential_energy(atoms))
        summary["fermi_level_ev"] = float(calculator.get_fermi_level())
        if settings.spin:
            summary["magnetic_moment_bohr"] = float(calculator.get_magnetic_moment(atoms))
    with_core = settings.density == "all_electron"
    return Density(
        n_R=n_R,
        spacing=spacing,
        valence_electrons=valence,
        expected_electrons=float(atoms.numbers.sum()) if with_core else valence,
        summary=summary,
    )


def calculator_of(atoms: Atoms, settings: DftSettings) -> Any:
    """Make what computes energy and forces of a structure as its density is computed."""
    return _calculator(atoms, settings, LADDER[0], log=None)


def _calculator(
    atoms: Atoms, settings: DftSettings, rung: Mapping[str, Any], *, log: TextIO | None
) -> Any:
    mesh = (*kpoints(atoms.cell.lengths(), density=settings.kpt_density), 1)
    return GPAW(
        mode=settings.mode,
        basis=settings.basis,
        xc=settings.xc,
        # plane waves choose their own grid
        h=settings.grid_spacing if settings.mode == "lcao" else None,
        kpts={"size": mesh, "gamma": True},
        occupations={
            "name": "fermi-dirac",
            "width": settings.smearing * rung["smearing_factor"],
        },
        spinpol=settings.spin,
        mixer=rung["mixer"] or None,
        convergence={"density": settings.density_convergence},
        maxiter=settings.max_iterations,
        # disorder leaves no symmetry to use, and one that appears by chance must not matter
        symmetry={} if settings.symmetry else "off",
        txt=log,
    )


def _self_consistent(
    atoms: Atoms, settings: DftSettings, *, log: TextIO, txt: str
) -> tuple[Any, list[dict[str, Any]]]:
    """Run the SCF cycle, or add up free atoms; the calculator, and what was tried."""
    attempts: list[dict[str, Any]] = []
    for rung in LADDER:
        smearing = settings.smearing * rung["smearing_factor"]
        calculator = _calculator(atoms, settings, rung, log=log)
        if settings.ground_truth == "superposition":
            calculator.create_new_calculation(atoms)
            return calculator, attempts
        converged, history = _converge(calculator, atoms)
        attempts.append({**rung, "smearing_ev": smearing, "history": history})
        if converged:
            return calculator, attempts
    raise ConvergenceError(
        f"the SCF cycle of {atoms.get_chemical_formula()} did not converge within "
        f"dft.max_iterations = {settings.max_iterations} steps in any of {len(LADDER)} attempts "
        f"({'; '.join(_last_steps(a['history']) for a in attempts)}; full log: {txt}); "
        f"raise dft.max_iterations or dft.smearing (now {settings.smearing} eV), or lower "
        "structures.displacement"
    )


def _converge(calculator: Any, atoms: Atoms) -> tuple[bool, list[dict[str, float | None]]]:
    """Run an SCF cycle; whether it converged, and its steps."""
    history: list[dict[str, float | None]] = []
    try:
        for step in calculator.iconverge(atoms):
            error = float(step.dens.error)
            history.append(
                {
                    "step": step.niter,
                    "energy_ev": float(step.energies.total_extrapolated * Ha),
                    # undefined before the first mixing
                    "density_change_e": error if np.isfinite(error) and history else None,
                }
            )
    except KohnShamConvergenceError:
        return False, history
    return True, history


def _last_steps(history: list[dict[str, float | None]]) -> str:
    return ", ".join(
        f"step {s['step']}: E = {s['energy_ev']:.4f} eV"
        + ("" if s["density_change_e"] is None else f", dn = {s['density_change_e']:.2e} e")
        for s in history[-2:]
    )


def initial_moments(atoms: Atoms) -> np.ndarray:
    """Moments to start a spin-polarised calculation with: around the defects, 0 elsewhere.

    Parameters
    ----------
    atoms
        With ``info["defects"]``, see `Supercell.finished`.

    Returns
    -------
    numpy.ndarray
        Shape (n_atoms,) [µB].
    """
    moments = np.zeros(len(atoms))
    radii = covalent_radii[atoms.numbers]
    for defect in json.loads(atoms.info.get("defects", "[]")):
        beside = np.linalg.norm(atoms.positions[:, :2] - (defect["x"], defect["y"]), axis=1)
        bonded = 1.2 * (radii + covalent_radii[atomic_numbers[defect["element"]]])
        moments[beside < bonded] = MAGNETIC_MOMENT
    return moments
