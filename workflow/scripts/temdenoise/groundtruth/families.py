"""Families of disorder.

To add one, write a function here, name it in `FAMILIES`, and describe its
options in workflow/schemas/config.schema.yaml under structures.families. One
whose defects are made of the crystal's own atoms also lists all that it may
make in `CHANGES`, so that the atoms around them can be relaxed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from scipy.spatial import Voronoi

from temdenoise.foundation.errors import ConfigurationError
from temdenoise.groundtruth.disorder import Change, Supercell

Choice = TypeVar("Choice")

SPREADS = 100
"""How often atoms that keep a distance are drawn anew while too few find room."""


def _draw(
    rng: np.random.Generator, choices: Sequence[Choice], count: tuple[int, int], what: str
) -> list[Choice]:
    """Draw between count[0] and count[1] of the choices, none twice."""
    if len(choices) < count[1]:
        raise ConfigurationError(
            f"structures.families.{what}: up to {count[1]} are asked for, but only "
            f"{len(choices)} sites for them lie at least structures.defect_margin from the rim "
            "and far enough apart; lower any of these, or enlarge structures.repeat"
        )
    n = int(rng.integers(count[0], count[1], endpoint=True))
    return [choices[int(i)] for i in rng.choice(len(choices), size=n, replace=False)]


def displacements(cell: Supercell, rng: np.random.Generator) -> None:
    """No defect: displaced atoms only."""


def vacancies(
    cell: Supercell,
    rng: np.random.Generator,
    *,
    element: str,
    count: tuple[int, int],
    apart: float,
) -> None:
    """Take single atoms away, no two of them nearer than `apart` [Å]."""
    changes = _vacancies(cell, element=element)
    if apart:
        changes = _spread(rng, cell, changes, apart, most=count[1])
    for change in _draw(rng, changes, count, "vacancies"):
        cell.make(change)


def double_vacancies(
    cell: Supercell, rng: np.random.Generator, *, element: str, count: tuple[int, int]
) -> None:
    """Take pairs of neighbouring atoms away; in MoS2 the two sulfur atoms of a column."""
    for change in _apart(rng, _pairs(cell, element=element), count, "double_vacancies"):
        cell.make(change)


def stone_wales(cell: Supercell, rng: np.random.Generator, *, count: tuple[int, int]) -> None:
    """Rotate bonds of a flat honeycomb by 90° (Stone-Wales defects)."""
    for change in _apart(rng, _bonds(cell), count, "stone_wales"):
        cell.make(change)


def substitution(
    cell: Supercell,
    rng: np.random.Generator,
    *,
    replace: Mapping[str, Sequence[str]],
    count: tuple[int, int],
) -> None:
    """Put other elements in the place of atoms.

    `replace` names for each element of the crystal those that may take its
    place; sites and elements are drawn uniformly.
    """
    sites = sorted({change.sites[0] for change in _substitutions(cell, replace=replace)})
    for site in _draw(rng, sites, count, "substitution"):
        by = str(rng.choice(replace[cell.pristine.symbols[site]]))
        cell.make(Change("substitution", (site,), by))


def adatoms(
    cell: Supercell,
    rng: np.random.Generator,
    *,
    element: str,
    site: str,
    count: tuple[int, int],
) -> None:
    """Put atoms on top of the layer, at bonding distance from their neighbours.

    `site` is ``top`` (over an atom), ``bridge`` (between two) or ``hollow``
    (over the widest pore).
    """
    ideal = cell.pristine.positions
    if site == "top":
        points = ideal[cell.sites(), :2]
    elif site == "bridge":
        pairs = [ideal[list(pair), :2] for pair in cell.neighbours()]
        # atoms of one column have no bridge
        between = [pair.mean(axis=0) for pair in pairs if np.ptp(pair, axis=0).max() > 0.5]
        points = _distinct(np.array(between).reshape(-1, 2))
    else:
        points = _pores(cell)
    drawn = _draw(rng, points.tolist(), count, "adatoms")
    for x, y in drawn:
        reach = covalent_radii[cell.atoms.numbers] + covalent_radii[atomic_numbers[element]]
        beside = ((cell.atoms.positions[:, :2] - (x, y)) ** 2).sum(axis=1)
        near = beside < reach**2
        touching = cell.atoms.positions[near, 2] + np.sqrt(reach[near] ** 2 - beside[near])
        height = touching.max() if near.any() else cell.atoms.positions[:, 2].max()
        cell.add(element, np.array([x, y, height]))


def strain(cell: Supercell, rng: np.random.Generator, *, limit: float) -> None:
    """Strain the inside in the plane; each component uniform within ± `limit`."""
    xx, yy, xy = rng.uniform(-limit, limit, size=3)
    middle = cell.pristine.cell.lengths()[:2] / 2
    shift = (cell.pristine.positions[:, :2] - middle) @ np.array([[xx, xy], [xy, yy]])
    cell.atoms.positions[:, :2] += cell.weights[:, None] * shift


def _vacancies(cell: Supercell, *, element: str, **_: Any) -> list[Change]:
    return [Change("vacancy", (site,)) for site in cell.sites(element).tolist()]


def _pairs(cell: Supercell, *, element: str, **_: Any) -> list[Change]:
    return [Change("vacancy", pair) for pair in cell.neighbours(element)]


def _bonds(cell: Supercell, **_: Any) -> list[Change]:
    if np.ptp(cell.pristine.positions[:, 2]) > 0.5:
        raise ConfigurationError(
            "structures.families.stone_wales: expected a flat crystal such as graphene or hBN, "
            f"got one {np.ptp(cell.pristine.positions[:, 2]):.2f} Å thick; set its share to 0"
        )
    return [Change("rotated_bond", pair) for pair in cell.neighbours()]


def _substitutions(
    cell: Supercell, *, replace: Mapping[str, Sequence[str]], **_: Any
) -> list[Change]:
    own = set(cell.pristine.symbols)
    if foreign := set(replace) - own:
        raise ConfigurationError(
            f"structures.families.substitution.replace: no {', '.join(sorted(foreign))} in the "
            f"crystal; expected keys among {', '.join(sorted(own))}"
        )
    return [
        Change("substitution", (site,), by)
        for element, others in replace.items()
        for site in cell.sites(element).tolist()
        for by in others
    ]


def _spread(
    rng: np.random.Generator, cell: Supercell, changes: list[Change], apart: float, *, most: int
) -> list[Change]:
    """Draw changes of one atom each that keep a distance, in the best of `SPREADS` attempts."""
    places = cell.pristine.positions[[change.sites[0] for change in changes], :2]
    best: list[int] = []
    for _ in range(SPREADS):
        kept: list[int] = []
        for i in map(int, rng.permutation(len(changes))):
            if (np.linalg.norm(places[kept] - places[i], axis=1) >= apart).all():
                kept.append(i)
        best = max(best, kept, key=len)
        if len(best) >= most:
            break
    return [changes[i] for i in best]


def _apart(
    rng: np.random.Generator, changes: list[Change], count: tuple[int, int], what: str
) -> list[Change]:
    """Draw changes that share no atom."""
    order = [changes[int(i)] for i in rng.permutation(len(changes))]
    apart: list[Change] = []
    used: set[int] = set()
    for change in order:
        if used.isdisjoint(change.sites):
            apart.append(change)
            used.update(change.sites)
    return _draw(rng, apart, count, what)


def _pores(cell: Supercell) -> np.ndarray:
    """Centres of the widest empty circles of the projected crystal, away from the rim [Å]."""
    extent = cell.pristine.cell.lengths()[:2]
    points = _distinct(cell.pristine.positions[:, :2])
    images = [points + np.array([i, j]) * extent for i in (-1, 0, 1) for j in (-1, 0, 1)]
    corners = Voronoi(np.concatenate(images)).vertices
    corners = corners[((corners >= 0) & (corners < extent)).all(axis=1)]
    radius = np.sqrt(((corners[:, None] - np.concatenate(images)[None]) ** 2).sum(2).min(1))
    widest = _distinct(corners[radius > 0.98 * radius.max()])
    pores: np.ndarray = widest[cell.away_from_rim(widest)]
    return pores


def _distinct(points: np.ndarray) -> np.ndarray:
    """Points that lie more than about 1 pm apart; shape (n, 2)."""
    return points[np.unique(points.round(2), axis=0, return_index=True)[1]]


FAMILIES = {
    function.__name__: function
    for function in (
        displacements,
        vacancies,
        double_vacancies,
        stone_wales,
        substitution,
        adatoms,
        strain,
    )
}

CHANGES: dict[str, Callable[..., list[Change]]] = {
    "vacancies": _vacancies,
    "double_vacancies": _pairs,
    "stone_wales": _bonds,
    "substitution": _substitutions,
}
"""Of the families whose defects are relaxed: all that one may make, of a cell and its options."""
