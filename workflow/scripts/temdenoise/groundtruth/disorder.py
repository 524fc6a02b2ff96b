"""A supercell in the making: what a disorder family can do to it, and what is remembered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from temdenoise.foundation.errors import ConfigurationError

NEAREST = 16
"""Atoms among which one looks for its nearest neighbours."""

STANDS_OUT = 0.5
"""Atoms this far out of the crystal get vacuum of their own; displaced ones do not reach it [Å]."""


def rim_distance(positions: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """In-plane distance of points to the nearest edge of an orthogonal cell [Å].

    Parameters
    ----------
    positions
        Shape (n, 2 or 3) [Å].
    extent
        Sides of the cell [Å].
    """
    inside = positions[:, :2] % extent[:2]
    distance: np.ndarray = np.minimum(inside, extent[:2] - inside).min(axis=1)
    return distance


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
    t = np.clip(rim_distance(atoms.positions, atoms.cell.lengths()) / width, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


@dataclass(frozen=True)
class Change:
    """One defect made of atoms of the pristine crystal.

    Attributes
    ----------
    kind
        ``vacancy`` (of one atom or several), ``substitution`` or ``rotated_bond``.
    sites
        Indices of the atoms.
    by
        Element that takes their place, for a substitution.
    """

    kind: str
    sites: tuple[int, ...]
    by: str | None = None


class Supercell:
    """A pristine supercell and its disordered copy.

    A family changes the copy through `make` and `add`, which note the ideal
    sites they touched, so that defects can be looked for in images later.

    Attributes
    ----------
    pristine
        The crystal as it was.
    atoms
        The copy; indices are those of `pristine` until `finished`, added atoms come last.
    weights
        `fade` of each atom of `pristine`.
    changes
        What `make` has made.
    """

    def __init__(self, pristine: Atoms, *, fade_width: float, defect_margin: float):
        self.pristine = pristine
        self.atoms = pristine.copy()
        self.atoms.info.clear()
        self.weights = fade(pristine, width=fade_width)
        self.defect_margin = defect_margin
        self._inside = self.away_from_rim(pristine.positions)
        self.changes: list[Change] = []
        self._defects: list[dict[str, Any]] = []

    def away_from_rim(self, positions: np.ndarray) -> np.ndarray:
        """Whether points lie at least `defect_margin` from the rim; shape (n,)."""
        return rim_distance(positions, self.pristine.cell.lengths()) >= self.defect_margin

    def displace(
        self, rng: np.random.Generator, standard_deviation: float | Mapping[str, float]
    ) -> None:
        """Displace every atom at random, fading towards the rim.

        Parameters
        ----------
        rng
            Where the randomness comes from.
        standard_deviation
            Along each axis, away from the rim [Å]; one for all or one per element.

        Raises
        ------
        ConfigurationError
            If an element has none.
        """
        if isinstance(standard_deviation, Mapping):
            missing = set(self.pristine.symbols) - set(standard_deviation)
            if missing:
                raise ConfigurationError(
                    f"structures.displacement = {dict(standard_deviation)}: nothing for "
                    f"{', '.join(sorted(missing))}; expected a value [Å] for every element"
                )
            sigma = np.array([standard_deviation[symbol] for symbol in self.pristine.symbols])
        else:
            sigma = np.full(len(self.pristine), standard_deviation)
        self.shift(rng.normal(0, sigma[:, None], size=(len(sigma), 3)))

    def sites(self, element: str = "any") -> np.ndarray:
        """Return the indices of the atoms a defect may still be made of.

        Parameters
        ----------
        element
            Chemical symbol, or ``any``.
        """
        fits = (np.array(list(self.pristine.symbols)) == element) | (element == "any")
        touched = [site for change in self.changes for site in change.sites]
        free = ~np.isin(np.arange(len(self.pristine)), touched)
        return np.flatnonzero(self._inside & fits & free)

    def neighbours(self, element: str = "any") -> list[tuple[int, int]]:
        """Return pairs of `sites` of which one is the nearest of the other in projection.

        Bonded neighbours in a flat crystal; in MoS2 the sulfur atoms of one column.
        """
        kind = np.array(list(self.pristine.symbols))
        candidates = np.flatnonzero((kind == element) | (element == "any"))
        sites = self.sites(element)
        if len(candidates) < 2:
            return []
        sides, flat = self.pristine.cell.lengths()[:2], self.pristine.positions[:, :2]
        inside = flat % sides
        # of a coordinate just below 0 the remainder is rounded to the side itself
        inside[inside >= sides] = 0
        # a column of atoms and the ring around it, at most
        nearest = min(len(candidates), NEAREST)
        distance, index = cKDTree(inside[candidates], boxsize=sides).query(inside[sites], k=nearest)
        pairs = set()
        allowed = set(sites.tolist())
        for i, apart, others in zip(sites.tolist(), distance, candidates[index], strict=True):
            other = others != i
            first = apart[other].min()
            for j in others[other & (apart < first + 0.1)].tolist():
                if j in allowed:
                    pairs.add((min(i, j), max(i, j)))
        return sorted(pairs)

    def make(self, change: Change) -> None:
        """Make one defect."""
        if change.kind == "rotated_bond":
            self._turn(*change.sites)
        elif change.kind == "substitution":
            self.atoms.symbols[list(change.sites)] = change.by
        self.changes.append(change)
        more = {"by": change.by} if change.by else {}
        for site in change.sites:
            x, y = (round(float(p), 6) for p in self.pristine.positions[site, :2])
            element = self.pristine.symbols[site]
            self._defects.append({"kind": change.kind, "element": element, "x": x, "y": y} | more)

    def _turn(self, first: int, second: int) -> None:
        """Turn a bond by 90° in the plane about its middle."""
        middle = (self.atoms.positions[first] + self.atoms.positions[second]) / 2
        for index in (first, second):
            x, y, z = self.atoms.positions[index] - middle
            self.atoms.positions[index] = middle + np.array([-y, x, z])

    def shift(self, displacement: np.ndarray) -> None:
        """Displace the crystal's atoms, fading towards the rim.

        Parameters
        ----------
        displacement
            Of each atom of `pristine`, shape (n, 3) [Å].
        """
        self.atoms.positions[: len(self.pristine)] += self.weights[:, None] * displacement

    def add(self, element: str, position: np.ndarray) -> None:
        """Add an atom."""
        self.atoms.extend(Atoms([element], positions=[position]))
        x, y = (round(float(p), 6) for p in position[:2])
        self._defects.append({"kind": "adatom", "element": element, "x": x, "y": y})

    def finished(self) -> Atoms:
        """Return the disordered atoms, with ``info["defects"]`` and ``info["middle"]``.

        The latter is the height of the middle of the crystal as it was [Å].

        The defects are a JSON list of objects: ``kind`` (vacancy, substitution,
        rotated_bond, adatom), ``element`` (for a substitution also ``by``), and
        ``x``, ``y``, the ideal site [Å].
        """
        result: Atoms = self.atoms.copy()
        # as much vacuum beyond what stands out as beside the crystal
        heights, ideal = result.positions[:, 2], self.pristine.positions[:, 2]
        above, below = heights.max() - ideal.max(), ideal.min() - heights.min()
        above, below = (out if out > STANDS_OUT else 0.0 for out in (above, below))
        result.cell[2, 2] += above + below
        result.positions[:, 2] += below
        gone = [c.sites for c in self.changes if c.kind == "vacancy"]
        del result[sorted(site for sites in gone for site in sites)]
        result.info["middle"] = float((ideal.min() + ideal.max()) / 2 + below)
        order = sorted(self._defects, key=lambda d: (d["kind"], d["x"], d["y"]))
        result.info["defects"] = json.dumps(order)
        return result
