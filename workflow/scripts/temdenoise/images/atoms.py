"""Atoms as arrays: what a density is learned from and drawn of, without ASE."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class AtomArrays:
    """Atoms of a cell that is orthogonal and periodic in the plane.

    Attributes
    ----------
    symbols
        Chemical symbols, shape (n,).
    positions
        Shape (n, 3) [Å].
    sides
        Sides of the cell along x and y [Å].
    middle
        Height of the middle of the crystal [Å]; None: between its lowest and its highest atom.
    """

    symbols: np.ndarray
    positions: np.ndarray
    sides: tuple[float, float]
    middle: float | None = None

    @classmethod
    def stored(cls, structure: Mapping[str, Any]) -> Self:
        """Take them from a stored structure, see `groundtruth.structures.stored_structure`.

        Examples
        --------
        >>> known = {"symbols": "C C", "positions": [[0, 0, 5], [1.4, 0, 5]], "cell": [4, 4, 10]}
        >>> AtomArrays.stored(known).symbols.tolist()
        ['C', 'C']
        """
        return cls(
            np.array(structure["symbols"].split()),
            np.asarray(structure["positions"], dtype=np.float64).reshape(-1, 3),
            (float(structure["cell"][0]), float(structure["cell"][1])),
            # of structures stored before, between equal vacuum on either side
            float(structure.get("middle", structure["cell"][2] / 2)),
        )

    @property
    def heights(self) -> np.ndarray:
        """Heights above the middle of the crystal, shape (n,) [Å]."""
        z = self.positions[:, 2]
        middle = self.middle
        if middle is None:
            middle = (z.min() + z.max()) / 2 if len(z) else 0.0
        found: np.ndarray = z - middle
        return found

    def around(self, centre: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Give all atoms, periodic images included, up to a distance from a point in the plane.

        Parameters
        ----------
        centre
            Shape (2,) [Å].
        reach
            Largest distance along x and along y [Å].

        Returns
        -------
        indices : numpy.ndarray
            Which atom each is an image of, shape (m,).
        offsets : numpy.ndarray
            From the point in the plane, and above the middle, shape (m, 3) [Å].
        """
        sides = np.array(self.sides)
        # each atom's image nearest to the point, and those beyond
        apart = self.positions.copy()
        apart[:, :2] -= centre
        apart[:, 2] = self.heights
        apart[:, :2] -= sides * np.round(apart[:, :2] / sides)
        counts = np.ceil(reach / sides + 0.5).astype(int)
        shifts = list(product(*(range(-count, count + 1) for count in counts)))
        found = []
        for shift in shifts:
            moved = apart[:, :2] + sides * shift
            found.append(np.flatnonzero((np.abs(moved) <= reach).all(axis=1)))
        indices = np.concatenate(found)
        offsets = apart[indices]
        repeats = [len(own) for own in found]
        offsets[:, :2] += np.repeat(np.array(shifts) * sides, repeats, axis=0)
        return indices, offsets
