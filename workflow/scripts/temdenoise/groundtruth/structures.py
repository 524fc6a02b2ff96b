"""Disordered supercells whose rim stays pristine, so that their maps can be joined."""

import json

import numpy as np
from ase import Atoms

from temdenoise.errors import ConfigurationError


def graphene(*, lattice_constant: float, repeat: tuple[int, int], vacuum: float) -> Atoms:
    """Build a pristine graphene supercell in an orthogonal cell.

    Parameters
    ----------
    lattice_constant
        a of the hexagonal lattice [Å]; the 4-atom cell is a x a√3.
    repeat
        Number of 4-atom cells along x (zigzag) and y (armchair).
    vacuum
        Empty space on either side of the sheet [Å].

    Returns
    -------
    ase.Atoms
        4 * repeat[0] * repeat[1] carbon atoms, periodic in x and y.

    Examples
    --------
    >>> len(graphene(lattice_constant=2.46, repeat=(5, 3), vacuum=5.0))
    60
    """
    cell = Atoms(
        "C4",
        scaled_positions=[(0, 1 / 6, 0.5), (0.5, 1 / 3, 0.5), (0.5, 2 / 3, 0.5), (0, 5 / 6, 0.5)],
        cell=[lattice_constant, lattice_constant * np.sqrt(3), 2 * vacuum],
        pbc=(True, True, False),
    )
    return cell.repeat((*repeat, 1))


CRYSTALS = {"graphene": graphene}


def fade(atoms: Atoms, *, width: float) -> np.ndarray:
    """Weight of the disorder at each atom: 0 on the rim of the cell, 1 inside.

    w = t³ (10 - 15 t + 6 t²) with t = min(d / width, 1) and d the in-plane
    distance to the nearest edge of the supercell.

    Parameters
    ----------
    atoms
        Atoms in an orthogonal cell.
    width
        Distance from the rim over which the disorder fades in [Å], above 0.

    Returns
    -------
    numpy.ndarray
        Shape (n_atoms,), in [0, 1].
    """
    extent = atoms.cell.lengths()[:2]
    position = atoms.positions[:, :2] % extent
    distance = np.minimum(position, extent - position).min(axis=1)
    t = np.clip(distance / width, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def disordered(
    atoms: Atoms,
    rng: np.random.Generator,
    *,
    displacement: float,
    vacancies: tuple[int, int],
    fade_width: float,
    vacancy_margin: float,
) -> Atoms:
    """Displace atoms at random and take some away, leaving the rim as it was.

    Parameters
    ----------
    atoms
        The pristine supercell (not changed).
    rng
        Where the randomness comes from.
    displacement
        Standard deviation of the displacement along each axis, away from the rim [Å].
    vacancies
        Smallest and largest number of atoms to remove; drawn uniformly.
    fade_width
        Distance from the rim over which displacements fade in [Å].
    vacancy_margin
        Least distance of a vacancy from the rim [Å].

    Returns
    -------
    ase.Atoms
        With ``info["vacancy_sites"]``: JSON list of [element, x, y], the ideal
        sites of the removed atoms [Å].

    Raises
    ------
    ConfigurationError
        If fewer atoms than `vacancies` lie further than `vacancy_margin` from the rim.
    """
    result = atoms.copy()
    weights = fade(atoms, width=fade_width)
    result.positions += weights[:, None] * rng.normal(0, displacement, size=(len(atoms), 3))
    extent = atoms.cell.lengths()[:2]
    inside = np.minimum(atoms.positions[:, :2], extent - atoms.positions[:, :2]).min(axis=1)
    candidates = np.flatnonzero(inside >= vacancy_margin)
    if len(candidates) < vacancies[1]:
        raise ConfigurationError(
            f"structures.vacancies: up to {vacancies[1]} atoms are to be removed, but only "
            f"{len(candidates)} lie at least structures.vacancy_margin = {vacancy_margin} Å from "
            "the rim; lower either, or enlarge structures.repeat"
        )
    count = int(rng.integers(vacancies[0], vacancies[1], endpoint=True))
    removed = sorted(int(i) for i in rng.choice(candidates, size=count, replace=False))
    sites = [
        [atoms.symbols[i], *(round(float(p), 6) for p in atoms.positions[i, :2])] for i in removed
    ]
    del result[removed]
    result.info["vacancy_sites"] = json.dumps(sites)
    return result


def build_structure(
    rng: np.random.Generator,
    *,
    crystal: str,
    lattice_constant: float,
    repeat: tuple[int, int],
    vacuum: float,
    displacement: float,
    vacancies: tuple[int, int],
    fade_width: float,
    vacancy_margin: float,
) -> Atoms:
    """Build one disordered supercell; see `disordered` and the builders in `CRYSTALS`."""
    pristine = CRYSTALS[crystal](lattice_constant=lattice_constant, repeat=repeat, vacuum=vacuum)
    return disordered(
        pristine,
        rng,
        displacement=displacement,
        vacancies=vacancies,
        fade_width=fade_width,
        vacancy_margin=vacancy_margin,
    )
