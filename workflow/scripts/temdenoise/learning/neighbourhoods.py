"""Surroundings of atoms: whether a density may be asked about what it has not learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy.spatial import cKDTree

from temdenoise.images.atoms import AtomArrays

SHELLS = np.arange(1.0, 4.01, 0.5)
"""Radii of the shells in which an atom's neighbours are counted [Å]."""

SOFTNESS = 0.3
"""Standard deviation of a shell [Å]."""

REACH = 4.0
"""Distance from which on neighbours count no more [Å]."""

ORDINARY = 0.98
"""Fraction of the atoms learned that is taken for known, each judged by other structures."""

MOST = 20000
"""Most neighbourhoods that are kept of an element."""


def describe(atoms: AtomArrays, species: Sequence[str]) -> np.ndarray:
    """Count the neighbours of each atom by element and distance.

    c_s,k = Σ_j exp(-(r_j - R_k)² / 2 w²) (1 + cos(π r_j / R)) / 2 over the neighbours j of element
    s, with the radii R_k of `SHELLS`, w = `SOFTNESS` and R = `REACH`: the radial functions of
    J. Behler and M. Parrinello, doi:10.1103/PhysRevLett.98.146401.

    Parameters
    ----------
    atoms
        Of a periodic cell.
    species
        The elements that are counted.

    Returns
    -------
    numpy.ndarray
        Shape (n, len(species) * len(SHELLS)).
    """
    sides = np.array(atoms.sides)
    wrapped = atoms.positions.copy()
    wrapped[:, :2] %= sides
    counts = np.ceil(REACH / sides).astype(int)
    copies, owners = [], []
    for i in range(-counts[0], counts[0] + 1):
        for j in range(-counts[1], counts[1] + 1):
            moved = wrapped + np.array([i * sides[0], j * sides[1], 0])
            inside = ((moved[:, :2] > -REACH) & (moved[:, :2] < sides + REACH)).all(axis=1)
            copies.append(moved[inside])
            owners.append(np.flatnonzero(inside))
    around, owner = np.concatenate(copies), np.concatenate(owners)
    pairs = cKDTree(wrapped).sparse_distance_matrix(
        cKDTree(around), REACH, output_type="coo_matrix"
    )
    apart = pairs.data > 1e-6  # not the atom itself
    first, second, distance = pairs.row[apart], pairs.col[apart], pairs.data[apart]
    fades = (1 + np.cos(np.pi * distance / REACH)) / 2
    found = np.zeros((len(atoms.symbols), len(species), len(SHELLS)))
    number = {symbol: n for n, symbol in enumerate(species)}
    kind = np.array([number.get(symbol, -1) for symbol in atoms.symbols.tolist()])[owner[second]]
    for k, radius in enumerate(SHELLS):
        shell = np.exp(-0.5 * ((distance - radius) / SOFTNESS) ** 2) * fades
        for n in range(len(species)):
            own = kind == n
            found[:, n, k] = np.bincount(first[own], shell[own], minlength=len(found))
    return found.reshape(len(found), -1)


@dataclass(frozen=True)
class Neighbourhoods:
    """The surroundings that a density was learned from.

    Attributes
    ----------
    species
        The elements.
    known
        Of each element the descriptions of its atoms, shape (n, features).
    farthest
        Of each element the largest distance to the nearest of them that counts as known.
    """

    species: tuple[str, ...]
    known: tuple[np.ndarray, ...]
    farthest: tuple[float, ...]

    @classmethod
    def of(cls, structures: Sequence[AtomArrays], species: Sequence[str]) -> Self:
        """Gather those of the structures trained on.

        What counts as known is decided by leaving out one structure after the other: how far its
        ordinary atoms are from those of all others.
        """
        described = [describe(atoms, species) for atoms in structures]
        known, farthest = [], []
        for symbol in species:
            own = [d[a.symbols == symbol] for d, a in zip(described, structures, strict=True)]
            distances = []
            for number, left_out in enumerate(own):
                others = np.concatenate([d for n, d in enumerate(own) if n != number] or [left_out])
                if len(left_out) and len(others):
                    distances.append(cKDTree(others).query(left_out)[0])
            usual = np.quantile(np.concatenate(distances), ORDINARY) if distances else 0.0
            every = np.concatenate(own)
            step = -(-len(every) // MOST)
            known.append(every[::step].astype(np.float32))
            farthest.append(float(usual))
        return cls(tuple(species), tuple(known), tuple(farthest))

    def strangeness(self, atoms: AtomArrays) -> np.ndarray:
        """How far each atom's surroundings are from all that was learned, 1 where doubt begins.

        Infinite for elements that were not learned.

        Parameters
        ----------
        atoms
            Of a periodic cell.

        Returns
        -------
        numpy.ndarray
            Shape (n,).
        """
        described = describe(atoms, self.species).astype(np.float32)
        found = np.full(len(described), np.inf)
        for symbol, known, farthest in zip(self.species, self.known, self.farthest, strict=True):
            own = atoms.symbols == symbol
            if own.any() and len(known):
                found[own] = cKDTree(known).query(described[own])[0] / max(farthest, 1e-6)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Write as what a model file may hold."""
        return {
            "species": list(self.species),
            "known": [torch.from_numpy(known) for known in self.known],
            "farthest": list(self.farthest),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read it back."""
        return cls(
            tuple(stored["species"]),
            tuple(known.numpy() for known in stored["known"]),
            tuple(stored["farthest"]),
        )
