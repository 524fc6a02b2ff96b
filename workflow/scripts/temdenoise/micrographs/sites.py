"""Each atom's evidence: whether data that the denoiser has not seen support what it shows.

For every site of the lattice, and for what the result shows beside it, the strength of the atom
in the held-out data is compared with that in the result and with that of the alternative: an
empty site where an atom is shown, an atom where none is, the lattice's own atom where another is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.spatial import cKDTree
from scipy.special import ndtr

from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.spectrum import Peak
from temdenoise.measuring.unit_cell import Cells, Motif, cells_of
from temdenoise.micrographs.fission import Split

RATE = 0.02
"""False-discovery rate (Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57, 289 (1995))."""

EMPTY = 0.2
"""Strength that an empty site may have: tails of its neighbours, which move towards it."""

STRONG = 1.5
"""Strength from which a site shows another atom than the lattice's."""

AROUND = 2.2
"""Width of what an atom is compared with, over its own."""

KINDS = ("atom", "empty", "other")
"""What a site may show: the lattice's atom, none, or one much stronger or beside the lattice."""

OUTCOMES = ("supported", "contradicted", "cannot be told")


@dataclass(frozen=True)
class SiteEvidence:
    """Sites of a frame, one entry each.

    Attributes
    ----------
    positions
        Where [pixels], shape (n, 2).
    species
        Number of the atom in the cell's motif; -1 beside the lattice.
    shown
        Number in `KINDS` of what the result shows.
    strength
        Strength in the result over that of the lattice's atom.
    measured, error
        The same in the held-out data, and its standard error.
    p_support
        How likely data at least as favourable are if the alternative is true.
    p_contradict
        How likely data at least as unfavourable are if the result is true.
    outcome
        Number in `OUTCOMES`.
    """

    positions: np.ndarray
    species: np.ndarray
    shown: np.ndarray
    strength: np.ndarray
    measured: np.ndarray
    error: np.ndarray
    p_support: np.ndarray
    p_contradict: np.ndarray
    outcome: np.ndarray

    def numbers(self, start: Sequence[int] = (0, 0)) -> dict[str, Any]:
        """Return the counts, and the sites that are contradicted, as plain values.

        Parameters
        ----------
        start
            First row and column of the part that was looked at.
        """
        against = self.outcome == OUTCOMES.index("contradicted")
        return {
            "sites": len(self.outcome),
            **{outcome.replace(" ", "_"): number for outcome, number in self.counts.items()},
            "false_discovery_rate": RATE,
            "contradicted_sites": [
                {
                    "row": round(float(row), 1),
                    "column": round(float(column), 1),
                    "shown": KINDS[kind],
                    "strength": round(float(strength), 2),
                    "measured": round(float(measured), 2),
                    "error": round(float(error), 2),
                }
                for (row, column), kind, strength, measured, error in zip(
                    self.positions[against] + start,
                    self.shown[against],
                    self.strength[against],
                    self.measured[against],
                    self.error[against],
                    strict=True,
                )
            ],
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many sites have each outcome."""
        return {outcome: self.count(outcome) for outcome in OUTCOMES}

    def count(self, outcome: str) -> int:
        """How many sites have an outcome."""
        return int(np.sum(self.outcome == OUTCOMES.index(outcome)))


@dataclass(frozen=True)
class Atoms:
    """The lattice's atoms in a frame: where they are, and what one looks like.

    Attributes
    ----------
    cells, motif
        Of the frame's lattice.
    sampling
        Pixel size [Å].
    """

    cells: Cells
    motif: Motif
    sampling: PixelSize

    @property
    def widths(self) -> list[float]:
        """Standard deviation of an atom [pixels]."""
        return [self.motif.width / step for step in self.sampling]

    @property
    def energy(self) -> float:
        """Sum of squares of an atom of height 1."""
        return float(np.pi * np.prod(self.widths))

    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """All sites [pixels], shape (n, 2), and the number of each in the motif."""
        found = [self.cells.sites(place) for place in self.motif.places]
        species = [np.full(len(points), n) for n, points in enumerate(found)]
        return np.concatenate(found), np.concatenate(species)

    def matched(self, image: np.ndarray) -> np.ndarray:
        """Height of an atom at every place, by least squares, of an image without background."""
        blurred: np.ndarray = gaussian_filter(image, self.widths, mode="mirror", truncate=5)
        return 2 * blurred  # a Gaussian blurred by itself has half of its height

    def prominent(self, image: np.ndarray) -> np.ndarray:
        """Height of an atom at every place above what is around it."""
        wide = [AROUND * width for width in self.widths]
        blurred: np.ndarray = gaussian_filter(image, self.widths, mode="mirror")
        # what a Gaussian of height 1 answers in its middle
        answer = 1 / 2 - 1 / (1 + AROUND**2)
        return (blurred - gaussian_filter(image, wide, mode="mirror")) / answer


def atoms_of(
    image: np.ndarray, peaks: Sequence[Peak], sampling: PixelSize, *, noise: float
) -> Atoms | None:
    """Find the lattice's atoms in a frame.

    Parameters
    ----------
    image
        The frame, shape (rows, columns).
    peaks
        Of its lattice.
    sampling
        Pixel size [Å].
    noise
        Standard deviation of its noise.

    Returns
    -------
    Atoms or None
        None if there is no lattice with two directions, or no atom stands out of its cell.
    """
    cells = cells_of(image, peaks, sampling, noise=noise)
    if cells is None:
        return None
    motif = cells.motif(cells.average(image), sampling)
    return Atoms(cells, motif, sampling) if len(motif.heights) else None


def evidence_at_sites(
    parts: Split, given: np.ndarray, atoms: Atoms, *, whole: np.ndarray | None = None
) -> SiteEvidence:
    """Weigh what a result shows at every site by data that it has not seen.

    Parameters
    ----------
    parts
        The frame, split.
    given
        What a denoiser makes of the part it is given, shape (rows, columns).
    atoms
        The lattice's atoms.
    whole
        What it makes of the frame. Where it shows something else than `given`, nothing is told.
    """
    # what all cells have too much or too little of, as a sharper or weaker result has, is no matter
    # of single sites: the residual tells of it
    alike = atoms.cells.lay(atoms.cells.average(parts.held - given))
    given = given + np.where(atoms.cells.inside, alike, 0)
    seen = _shown(given, atoms)
    heights = atoms.motif.heights[np.maximum(seen.species, 0)]
    power = parts.held_variance * parts.noise.under(atoms.widths)
    spread = np.sqrt(gaussian_filter(power, atoms.widths, mode="mirror") / atoms.energy)
    away = atoms.matched(parts.held - given)
    spread = spread * _inflation(away / spread, seen.points)
    measured = seen.strength + values_at(away, seen.points) / heights
    error = values_at(spread, seen.points) / heights
    other = KINDS.index("other")
    to_empty = (seen.kind == KINDS.index("atom")) | (seen.species < 0)
    alternative = np.where(to_empty, EMPTY, 1.0)
    sign = np.where(seen.strength > alternative, 1.0, -1.0)
    p_support = ndtr(-sign * (measured - alternative) / error)
    p_contradict = ndtr(sign * (measured - seen.strength) / error)
    against = np.abs(measured - alternative) < np.abs(measured - seen.strength)
    outcome = np.full(len(seen.points), OUTCOMES.index("cannot be told"))
    outcome[_discoveries(p_support) & ~against] = OUTCOMES.index("supported")
    outcome[_discoveries(p_contradict) & against] = OUTCOMES.index("contradicted")
    if whole is not None:
        strength = _strength(_departures(whole, atoms), seen.points, seen.species, atoms)
        changed = _kind(strength, seen.species) != seen.kind
        # what lies beside the lattice may have moved a little
        changed &= (seen.species >= 0) | (strength < 0.3)
        outcome[changed & (seen.kind != other)] = OUTCOMES.index("cannot be told")
    return SiteEvidence(
        positions=seen.points,
        species=seen.species,
        shown=seen.kind,
        strength=seen.strength,
        measured=measured,
        error=error,
        p_support=p_support,
        p_contradict=p_contradict,
        outcome=outcome,
    )


@dataclass(frozen=True)
class _Shown:
    """What a result shows: see `SiteEvidence`."""

    points: np.ndarray
    species: np.ndarray
    strength: np.ndarray
    kind: np.ndarray


def _shown(result: np.ndarray, atoms: Atoms) -> _Shown:
    departs = _departures(result, atoms)
    points, species = atoms.positions()
    beside = _beside(departs, points, atoms)
    points = np.concatenate([points, beside])
    species = np.concatenate([species, np.full(len(beside), -1)])
    strength = _strength(departs, points, species, atoms)
    return _Shown(points, species, strength, _kind(strength, species))


def _departures(result: np.ndarray, atoms: Atoms) -> np.ndarray:
    """Height of what a result shows beyond the averaged cell, as of an atom there."""
    return atoms.prominent(result - atoms.cells.lay(atoms.cells.average(result)))


def _strength(
    departs: np.ndarray, points: np.ndarray, species: np.ndarray, atoms: Atoms
) -> np.ndarray:
    """Strength of a result's atoms over that of the lattice's own; beside it, of its brightest."""
    beyond = values_at(departs, points)
    heights = atoms.motif.heights
    on_lattice = 1 + beyond / heights[np.maximum(species, 0)]
    return np.where(species >= 0, on_lattice, beyond / heights.max())


def _kind(strength: np.ndarray, species: np.ndarray) -> np.ndarray:
    other = (species < 0) | (strength > STRONG)
    return np.where(other, 2, np.where(strength < (1 + EMPTY) / 2, 1, 0))


def values_at(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read an image at points, shape (n, 2) [pixels], between its pixels linearly: shape (n,)."""
    if not len(points):
        return np.empty(0)
    read: np.ndarray = map_coordinates(field, points.T, order=1, mode="nearest")
    return read


def _beside(departs: np.ndarray, points: np.ndarray, atoms: Atoms) -> np.ndarray:
    """Find what looks like an atom where the lattice has none, shape (n, 2) [pixels]."""
    if len(points) < 2:
        return np.empty((0, 2))
    tree = cKDTree(points)
    spacing = float(np.median(tree.query(points, k=2)[0][:, 1]))
    size = max(3, 2 * round(0.4 * spacing) + 1)
    top = departs == maximum_filter(departs, size)
    top &= departs > 0.5 * atoms.motif.heights.max()
    found = np.argwhere(top).astype(float)
    if not len(found):
        return found
    inside = atoms.cells.inside[tuple(found.astype(int).T)]
    return found[inside & (tree.query(found)[0] > 0.5 * spacing)]


def _inflation(scaled: np.ndarray, points: np.ndarray) -> float:
    """How much more the data scatter about the result than their noise: its own error."""
    values = values_at(scaled, points)
    if len(values) < 20:
        return 1.0
    return max(1.0, 1.4826 * float(np.median(np.abs(values - np.median(values)))))


def _discoveries(p: np.ndarray) -> np.ndarray:
    """Tell which p-values are discoveries at the false-discovery rate `RATE`."""
    if not len(p):
        return np.zeros(0, bool)
    order = np.sort(p)
    below = order <= RATE * np.arange(1, len(p) + 1) / len(p)
    return np.asarray(p <= order[below].max()) if below.any() else np.zeros(len(p), bool)
