"""Electron density of a structure by density functional theory (GPAW).

Arrays of a density carry GPAW's index suffixes here: ``n_R`` on grid points.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Ha
from gpaw import GPAW, KohnShamConvergenceError

from temdenoise.errors import ConvergenceError

RECIPE = 1
"""Version of what this module computes; raise it when a change alters densities."""


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


def run_dft(
    atoms: Atoms,
    *,
    basis: str,
    xc: str,
    grid_spacing: float,
    kpts: tuple[int, int],
    smearing: float,
    density_convergence: float,
    max_iterations: int,
    density: str,
    density_grid_spacing: float,
    txt: str,
) -> Density:
    """Compute the self-consistent electron density of a structure.

    GPAW with a basis of pseudo-atomic orbitals (LCAO), the method nearest to
    the one of the paper.

    Parameters
    ----------
    atoms
        The structure, in an orthogonal cell.
    basis
        Name of the LCAO basis, e.g. ``dzp``.
    xc
        Exchange-correlation functional, e.g. ``PBE``.
    grid_spacing
        Of the real-space grid [Å].
    kpts
        Monkhorst-Pack points along x and y.
    smearing
        Width of the Fermi-Dirac distribution [eV].
    density_convergence
        Largest integral of the density's change [electrons per valence electron].
    max_iterations
        SCF steps before giving up.
    density
        ``pseudo``: smooth PAW valence density (default of the workflow);
        ``valence``: all-electron valence density; ``all_electron``: with the core.
    density_grid_spacing
        Grid spacing on which the density is returned [Å].
    txt
        GPAW's own log.

    Raises
    ------
    ConvergenceError
        If the SCF cycle does not converge; with the last steps and the log's name.

    References
    ----------
    J. J. Mortensen et al., J. Chem. Phys. 160, 092503 (2024), doi:10.1063/5.0182685;
    A. H. Larsen et al., Phys. Rev. B 80, 195112 (2009), doi:10.1103/PhysRevB.80.195112.
    """
    calculator = GPAW(
        mode="lcao",
        basis=basis,
        xc=xc,
        h=grid_spacing,
        kpts=(*kpts, 1),
        occupations={"name": "fermi-dirac", "width": smearing},
        convergence={"density": density_convergence},
        maxiter=max_iterations,
        # disorder leaves no symmetry to use, and one that appears by chance must not matter
        symmetry="off",
        txt=txt,
    )
    history: list[dict[str, float | None]] = []
    start = time.perf_counter()
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
    except KohnShamConvergenceError as error:
        last = ", ".join(
            f"step {s['step']}: E = {s['energy_ev']:.4f} eV, "
            + ("" if s["density_change_e"] is None else f"dn = {s['density_change_e']:.2e} e")
            for s in history[-3:]
        )
        raise ConvergenceError(
            f"the SCF cycle of {atoms.get_chemical_formula()} did not converge within "
            f"dft.max_iterations = {max_iterations} steps ({last}; full log: {txt}); raise "
            f"dft.max_iterations or dft.smearing (now {smearing} eV), or lower "
            "structures.displacement"
        ) from error
    scf_seconds = time.perf_counter() - start

    start = time.perf_counter()
    densities = calculator.dft.densities()
    if density == "pseudo":
        n_sR = densities.pseudo_densities(grid_spacing=density_grid_spacing)
    else:
        n_sR = densities.all_electron_densities(
            grid_spacing=density_grid_spacing, skip_core=density == "valence"
        )
    n_R = np.ascontiguousarray(n_sR.data.sum(axis=0))
    spacing = tuple((atoms.cell.lengths() / n_R.shape).tolist())
    valence = float(calculator.get_number_of_electrons())
    electrons = float(n_R.sum() * np.prod(spacing))
    return Density(
        n_R=n_R,
        spacing=spacing,
        valence_electrons=valence,
        expected_electrons=float(atoms.numbers.sum()) if density == "all_electron" else valence,
        summary={
            "formula": atoms.get_chemical_formula(),
            "n_atoms": len(atoms),
            "density": density,
            "energy_ev": float(calculator.get_potential_energy(atoms)),
            "fermi_level_ev": float(calculator.get_fermi_level()),
            "valence_electrons": valence,
            "electrons_in_density": electrons,
            "scf_steps": len(history),
            "scf_seconds": scf_seconds,
            "extraction_seconds": time.perf_counter() - start,
            "history": history,
        },
    )
