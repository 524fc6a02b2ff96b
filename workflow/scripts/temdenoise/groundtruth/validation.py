"""How far the ground truth can be trusted: against plane waves, grids, bases and experiment."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from gpaw import setup_paths
from gpaw.atom.basis import BasisMaker
from scipy import ndimage, optimize

from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.dft import Density, DftSettings, run_dft

VARIANTS = {
    "as_configured": "As configured",
    "plane_waves": "Plane waves (reference)",
    "plane_waves_lower": "Plane waves, 80 % of the cutoff",
    "smaller_basis": "Basis szp",
    "larger_basis": "Basis tzdp",
    "finer_grid": "Grid spacing x 3/4",
    "more_k_points": "k-point density x 2",
    "superposition": "Free atoms added up",
}
"""Calculations of the same structure that are compared, with their titles."""

LATTICE_STRAINS = (-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03)

LATTICE_KPT_DENSITY = 4.0
"""The small cell needs as many k-points as a large one has by folding [Å]."""


def variant_settings(variant: str, dft: DftSettings, *, cutoff: float) -> DftSettings:
    """Return the settings of one of `VARIANTS`.

    Parameters
    ----------
    variant
        A key of `VARIANTS`.
    dft
        The settings as configured.
    cutoff
        Of the plane waves [eV].
    """
    changes: dict[str, dict[str, Any]] = {
        "as_configured": {},
        "plane_waves": {"mode": {"name": "pw", "ecut": cutoff}},
        "plane_waves_lower": {"mode": {"name": "pw", "ecut": 0.8 * cutoff}},
        "smaller_basis": {"basis": "szp(dzp)"},
        "larger_basis": {"basis": "tzdp"},
        "finer_grid": {"grid_spacing": 0.75 * dft.grid_spacing},
        "more_k_points": {"kpt_density": 2 * dft.kpt_density},
        "superposition": {"ground_truth": "superposition"},
    }
    return replace(dft, **{"ground_truth": "dft", **changes[variant]})


def run_variant(
    atoms: Atoms, variant: str, dft: DftSettings, *, cutoff: float, txt: str
) -> Density:
    """Compute a structure in one of the `VARIANTS`.

    Parameters
    ----------
    atoms
        The structure.
    variant, dft, cutoff
        See `variant_settings`.
    txt
        GPAW's log.
    """
    settings = variant_settings(variant, dft, cutoff=cutoff)
    with tempfile.TemporaryDirectory() as folder:
        if variant == "larger_basis":
            for symbol in sorted(set(atoms.symbols)):
                generate_basis(symbol, xc=settings.xc, folder=folder)
        return run_dft(atoms, settings, txt=txt)


def generate_basis(symbol: str, *, xc: str, folder: str) -> None:
    """Make the basis ``tzdp`` (triple zeta, doubly polarised) of an element.

    GPAW's data come with bases up to dzp. The file is found by GPAW in this process.

    Parameters
    ----------
    symbol
        Chemical symbol.
    xc
        Exchange-correlation functional.
    folder
        Where to write ``{symbol}.tzdp.basis``.
    """
    basis = BasisMaker.from_symbol(symbol, xc=xc, gtxt=None).generate(
        zetacount=3, polarizationcount=2, txt=None
    )
    with (Path(folder) / f"{symbol}.tzdp.basis").open("w", encoding="utf-8") as file:
        basis.write_to(file)
    if folder not in setup_paths:
        setup_paths.insert(0, folder)


def difference(projected: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare two maps of the same structure.

    Parameters
    ----------
    projected, reference
        Projected densities [e/Å²], equal shape (x, y).

    Returns
    -------
    dict
        ``rms_over_std``: RMS difference over the standard deviation of the
        reference; ``largest_over_range``: largest difference over its range.

    Examples
    --------
    >>> import numpy as np
    >>> reference = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> round(difference(reference + 0.1, reference)["rms_over_std"], 6)
    0.2
    """
    error = projected - reference
    return {
        "rms_over_std": float(np.sqrt(np.mean(error**2)) / reference.std()),
        "largest_over_range": float(np.abs(error).max() / np.ptp(reference)),
    }


def accuracy(
    maps: Mapping[str, np.ndarray], summaries: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Compare every variant's map with that of plane waves.

    Parameters
    ----------
    maps
        Projected densities [e/Å²] by variant.
    summaries
        Summaries of `run_dft` by variant.

    Returns
    -------
    list of dict
        One row per variant, in order.
    """
    return [
        {
            "variant": variant,
            **difference(projected, maps["plane_waves"]),
            "valence_electrons": summaries[variant]["electrons_in_density"],
            "scf_steps": summaries[variant]["scf_steps"],
            "seconds": summaries[variant]["scf_seconds"] + summaries[variant]["extraction_seconds"],
        }
        for variant, projected in maps.items()
    ]


def lattice(name: str, dft: DftSettings, *, txt: str) -> dict[str, Any]:
    """Compute the lattice constant and the bond charge of a built-in crystal.

    Parameters
    ----------
    name
        Built-in crystal.
    dft
        How its density is computed; k-points and symmetry are those of a small crystal.
    txt
        GPAW's log.

    Returns
    -------
    dict
        ``curve``: lattice constants [Å] and energies [eV/atom];
        ``equilibrium_angstrom``; what `bond_density` returns, of the
        all-electron density at the built-in lattice constant.
    """
    settings = replace(dft, ground_truth="dft", kpt_density=LATTICE_KPT_DENSITY, symmetry=True)
    ideal = float(crystal(name).cell.lengths()[0])
    constants = [ideal * (1 + strain) for strain in LATTICE_STRAINS]
    energies = []
    for constant in constants:
        atoms = crystal(name, lattice_constant=constant)
        result = run_dft(atoms, settings, txt=txt)
        energies.append(result.summary["energy_ev"] / len(atoms))
    atoms = crystal(name)
    fine = replace(settings, density="all_electron", density_grid_spacing=0.05)
    density = run_dft(atoms, fine, txt=txt)
    return {
        "curve": [
            {"lattice_constant_angstrom": a, "energy_ev_per_atom": e}
            for a, e in zip(constants, energies, strict=True)
        ],
        "equilibrium_angstrom": equilibrium(np.array(constants), np.array(energies)),
        **bond_density(atoms, density),
    }


def equilibrium(a: np.ndarray, energy: np.ndarray) -> float:
    """Find the lattice constant of lowest energy, from a cubic through the points.

    Parameters
    ----------
    a, energy
        Lattice constants [Å] and energies [eV], shape (n,), n >= 4.

    Raises
    ------
    ValueError
        If the points enclose no minimum.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.linspace(2.4, 2.52, 7)
    >>> round(equilibrium(a, (a - 2.45) ** 2), 6)
    2.45
    """
    cubic = np.polynomial.Polynomial.fit(a, energy, 3)
    low, high = float(a.min()), float(a.max())
    found = float(
        optimize.minimize_scalar(
            cubic, bounds=(low, high), method="bounded", options={"xatol": 1e-9}
        ).x
    )
    if min(found - low, high - found) < 1e-3 * (high - low):
        raise ValueError(f"no minimum of the energy between {low} and {high} Å")
    return found


def bond_density(atoms: Atoms, density: Density) -> dict[str, float]:
    """Read the density in the middle of the shortest bond.

    Parameters
    ----------
    atoms
        The crystal.
    density
        Its density.

    Returns
    -------
    dict
        ``bond_length_angstrom`` and ``bond_density_e_per_angstrom3``.
    """
    distances = atoms.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    i, j = np.unravel_index(np.argmin(distances), distances.shape)
    middle = atoms.positions[i] + atoms.get_distance(i, j, mic=True, vector=True) / 2
    indices = (middle / density.spacing)[:, None]
    value = ndimage.map_coordinates(density.n_R, indices, order=3, mode="grid-wrap")
    return {
        "bond_length_angstrom": float(distances[i, j]),
        "bond_density_e_per_angstrom3": float(value[0]),
    }
