"""Scenes: atoms of large images, at any angle, with defects, grain boundaries, edges and pores.

A scene is made as the structures that are computed are (`structures`), but as large as an image and
with no rim: its disorder does not fade. Its density is drawn by one that was learned
(`learning.density`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.spatial import cKDTree

from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.disorder import Supercell
from temdenoise.groundtruth.families import FAMILIES
from temdenoise.groundtruth.relaxation import Defect, apply

TOO_CLOSE = 0.8
"""Atoms of two grains nearer than this are one too many [sum of their covalent radii]."""

BONDED = 1.25
"""Atoms nearer than this are neighbours [sum of their covalent radii]."""

_NO_RIM = 1e-6


@dataclass(frozen=True)
class SceneOptions:
    """What scenes are composed of: the section `scenes` of the configuration.

    Attributes
    ----------
    size
        Side of the image [Å].
    margin
        Width of the rim of atoms around the image, which act on its pixels [Å]; see `margin_of`.
    disorder
        Range of the factor on the displacements of a scene.
    rotation
        Whether the crystal lies at any angle.
    strain
        Largest component of the strain of a grain in the plane.
    grain_boundaries, edges, pores
        Fractions of the scenes with a boundary between two grains, with an edge of the layer, and
        with pores.
    """

    size: float
    margin: float
    disorder: tuple[float, float] = (1.0, 1.0)
    rotation: bool = False
    strain: float = 0.0
    grain_boundaries: float = 0.0
    edges: float = 0.0
    pores: float = 0.0


@dataclass(frozen=True)
class Ingredients:
    """One crystal of the scenes.

    Attributes
    ----------
    pristine
        Its supercell, as of the structures that are computed.
    displacement
        See `structures.Disorder`.
    families
        Options of its families of disorder.
    relaxed
        The relaxed defects of each family; a family that is not in it is not relaxed.
    """

    pristine: Atoms
    displacement: float | Mapping[str, float]
    families: Mapping[str, Mapping[str, Any]]
    relaxed: Mapping[str, Sequence[Defect]]

    def displaced(self, factor: float) -> float | dict[str, float]:
        """Give the displacements times a factor."""
        if isinstance(self.displacement, Mapping):
            return {element: factor * own for element, own in self.displacement.items()}
        return factor * self.displacement

    @classmethod
    def of(
        cls,
        pristine: Atoms,
        options: Mapping[str, Any],
        relaxed: Mapping[str, Sequence[Defect]],
        *,
        number: int,
    ) -> "Ingredients":
        """Gather them.

        Parameters
        ----------
        pristine
            See `Ingredients`.
        options
            ``displacement`` and ``families``.
        relaxed
            Relaxed defects of all crystals by the name of their file,
            ``results/defects/{number}/{family}.extxyz``.
        number
            Of the crystal.
        """
        own = {
            Path(path).stem: defects
            for path, defects in relaxed.items()
            if Path(path).parent.name == str(number)
        }
        return cls(pristine, options["displacement"], options["families"], own)


def compose_scenes(
    crystals: Sequence[Ingredients],
    families: Sequence[Sequence[str]],
    options: SceneOptions,
    *,
    seed: int,
) -> Iterator[Atoms]:
    """Compose scenes of each crystal alternately, see `compose_scene`.

    Parameters
    ----------
    crystals
        What they are of.
    families
        For each crystal the family of disorder of each of its scenes.
    options
        What is in them.
    seed
        Of the run; each scene has a random stream of its own.
    """
    for number in range(sum(map(len, families))):
        crystal, turn = number % len(crystals), number // len(crystals)
        name = f"scene-{number:04d}"
        rng = generator(seed, "scene", number)
        yield compose_scene(crystals[crystal], families[crystal][turn], rng, options, name=name)


def margin_of(sampling: float) -> float:
    """Width of the rim that a density learned at a pixel size needs, or a little more [Å].

    Examples
    --------
    >>> margin_of(0.2)
    14.0
    """
    return 8.0 + 30 * sampling


def compose_scene(
    crystal: Ingredients, family: str, rng: np.random.Generator, options: SceneOptions, *, name: str
) -> Atoms:
    """Compose one scene.

    Parameters
    ----------
    crystal
        What it is of.
    family
        A key of `families.FAMILIES`; its defects are as dense as in the structures.
    rng
        Where the randomness comes from.
    options
        What is in it.
    name
        What to call it.

    Returns
    -------
    ase.Atoms
        In a cell of the image and the margin around it, with ``structure``, ``family``, ``middle``
        (height of its plane [Å]) and ``grains`` (the angle of each [degrees]) in its ``info``.
        The cell is not periodic: at its rim atoms are missing or too close.
    """
    side = options.size + 2 * options.margin
    boundary = rng.random() < options.grain_boundaries
    angles = [
        float(rng.uniform(0, 360)) if options.rotation or n else 0.0 for n in range(1 + boundary)
    ]
    grains = [_grain(crystal, family, rng, options, side, angle) for angle in angles]
    atoms = grains[0]
    if boundary:
        line = _curve(rng, side, within=0.3 * options.size)
        atoms = _joined(
            *(
                grain[sign * line(grain.positions) > 0]
                for grain, sign in zip(grains, (1, -1), strict=True)
            )
        )
    holes = np.zeros(len(atoms), dtype=bool)
    if rng.random() < options.edges:
        holes |= _curve(rng, side, within=0.3 * options.size)(atoms.positions) > 0
    if rng.random() < options.pores:
        for _ in range(int(rng.integers(1, 4))):
            centre, radius = (
                rng.uniform(options.margin, side - options.margin, 2),
                rng.uniform(2.5, 8),
            )
            holes |= np.linalg.norm(atoms.positions[:, :2] - centre, axis=1) < radius
    if holes.any():
        atoms = _without_loose_ends(atoms[~holes])
    height = crystal.pristine.cell.lengths()[2]
    whole = Atoms(atoms.symbols, positions=atoms.positions, cell=[side, side, height])
    whole.info |= {"structure": name, "family": family, "grains": angles, "defects": "[]"}
    heights = crystal.pristine.positions[:, 2]
    whole.info["middle"] = float((heights.min() + heights.max()) / 2)
    return whole


def _grain(
    crystal: Ingredients,
    family: str,
    rng: np.random.Generator,
    options: SceneOptions,
    side: float,
    angle: float,
) -> Atoms:
    """Make a sheet that covers the scene at an angle [degrees], disordered, and cut it to size."""
    heights = crystal.pristine.positions[:, 2]
    middle_height = (heights.min() + heights.max()) / 2
    turned = np.radians(angle)
    cosine, sine = np.cos(turned), np.sin(turned)
    needed = side * (abs(cosine) + abs(sine)) * (1 + options.strain)
    extent = crystal.pristine.cell.lengths()[:2]
    repeats = np.ceil(needed / extent).astype(int) + 1
    sheet = Supercell(crystal.pristine.repeat((*repeats, 1)), fade_width=_NO_RIM, defect_margin=0.0)
    sheet.displace(rng, crystal.displaced(float(rng.uniform(*options.disorder))))
    parameters = dict(crystal.families[family])
    if "count" in parameters:
        low, high = parameters["count"]
        count = int(rng.integers(low, high, size=repeats.prod(), endpoint=True).sum())
        parameters["count"] = (count, count)
    FAMILIES[family](sheet, rng, **parameters)
    if family in crystal.relaxed:
        apply(sheet, crystal.relaxed[family], rng)
    atoms = sheet.finished()
    # grains lie in one plane, whatever stands out of them
    atoms.positions[:, 2] += middle_height - atoms.info["middle"]
    xx, yy, xy = options.strain * rng.uniform(-1, 1, size=3)
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1 + xx, xy], [xy, 1 + yy]])
    # any point of a unit of the pristine supercell may lie in the middle
    middle = (repeats - rng.uniform(size=2)) * extent / 2
    atoms.positions[:, :2] = (atoms.positions[:, :2] - middle) @ matrix.T + side / 2
    inside = ((atoms.positions[:, :2] >= 0) & (atoms.positions[:, :2] < side)).all(axis=1)
    cut: Atoms = atoms[inside]
    return cut


def _curve(rng: np.random.Generator, side: float, *, within: float) -> Any:
    """Draw a line through the scene that bends; a function that is positive on one side of it.

    Parameters
    ----------
    rng
        Where the randomness comes from.
    side
        Of the scene [Å].
    within
        Largest distance from the middle [Å].
    """
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-within, within)
    along = np.array([np.cos(angle), np.sin(angle)])
    waves = [
        (side / n, rng.normal(0, 0.02 * side / n), rng.uniform(0, 2 * np.pi)) for n in range(1, 6)
    ]

    def beyond(positions: np.ndarray) -> np.ndarray:
        u, v = np.array([along, [-along[1], along[0]]]) @ (positions[:, :2] - side / 2).T
        bend = sum(high * np.sin(2 * np.pi * u / length + at) for length, high, at in waves)
        above: np.ndarray = v - offset - bend
        return above

    return beyond


def _joined(first: Atoms, second: Atoms) -> Atoms:
    """Put two grains together; of two atoms too close, that of the second is left out."""
    if not len(first) or not len(second):
        return first + second
    radii = [TOO_CLOSE * covalent_radii[grain.numbers] for grain in (first, second)]
    reach = 2 * max(own.max() for own in radii)
    pairs = cKDTree(first.positions).sparse_distance_matrix(
        cKDTree(second.positions), reach, output_type="coo_matrix"
    )
    close = pairs.data < radii[0][pairs.row] + radii[1][pairs.col]
    kept = np.ones(len(second), dtype=bool)
    kept[pairs.col[close]] = False
    return first + second[kept]


def _without_loose_ends(atoms: Atoms) -> Atoms:
    """Take away atoms with fewer than two neighbours, which an edge would not keep."""
    while len(atoms) > 2:
        radii = BONDED * covalent_radii[atoms.numbers]
        pairs = cKDTree(atoms.positions).query_pairs(2 * radii.max(), output_type="ndarray")
        first, second = atoms.positions[pairs.T]
        distance = np.linalg.norm(first - second, axis=1)
        bonds = pairs[distance < radii[pairs].sum(axis=1)]
        kept = np.bincount(bonds.ravel(), minlength=len(atoms)) >= 2
        # a bare column or a monatomic crystal of large spacing has no bonds to count
        if kept.all() or not kept.any():
            break
        atoms = atoms[kept]
    return atoms
