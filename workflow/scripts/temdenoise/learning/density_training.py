"""Learn a density from maps of density functional theory, and judge it by kind of site."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.ndimage import map_coordinates, spline_filter, uniform_filter

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.seeding import generator
from temdenoise.images.atoms import AtomArrays
from temdenoise.images.storage import Images
from temdenoise.learning.density import (
    ROUND,
    SEEN,
    ChargeNetwork,
    DensityModel,
    View,
    channels,
    displaced,
)
from temdenoise.learning.neighbourhoods import REACH, Neighbourhoods

FEWEST = 4
"""Structures that a density can be learned from, at least."""

WINDOW = 112
"""Side of what the network is shown [pixels]."""

MARGIN = 16
"""Rim of it in which nothing is judged, since atoms beyond are not seen [pixels]."""

BATCH = 2
"""Windows per step."""

RATE = 3e-3
"""Peak of the one-cycle learning rate."""

FEW = 10
"""Steps up to which the learning rate rises for longer: it must not do so in exactly one."""

AT_DEFECTS = 0.5
"""Fraction of the windows that lie about a defect, where there are any."""

NEAR_DEFECT = 2.0
"""Distance up to which a pixel belongs to a defect [Å]."""

_TINY_RIDGE = 1e-4


@dataclass(frozen=True)
class KnownMap:
    """A map of density functional theory, and the atoms it is of.

    Attributes
    ----------
    name, family
        Of the structure.
    atoms
        Its atoms.
    defects
        Each with ``kind``, ``element``, ``x`` and ``y`` [Å].
    density
        Periodic, shape (x, y) [e/Å²].
    sampling
        Pixel size along x and y [Å].
    spline
        Coefficients of the cubic spline through the density, shape (x, y).
    """

    name: str
    family: str
    atoms: AtomArrays
    defects: Sequence[Mapping[str, Any]]
    density: np.ndarray
    sampling: tuple[float, float]
    spline: np.ndarray = field(repr=False)

    @classmethod
    def of(
        cls, density: np.ndarray, structure: Mapping[str, Any], sampling: tuple[float, float]
    ) -> "KnownMap":
        """Take a map and a stored structure, see `groundtruth.structures.stored_structure`."""
        density = np.asarray(density, dtype=np.float64)
        return cls(
            structure["name"],
            structure["family"],
            AtomArrays.stored(structure),
            structure["defects"],
            density,
            sampling,
            spline_filter(density, order=3, mode="grid-wrap"),
        )

    @classmethod
    def read(cls, images: Images) -> "KnownMap":
        """Take a map as the rule project_density wrote it."""
        return cls.of(images.data, images.metadata["structure"], images.sampling)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Give the density at points, shape (..., 2) [Å], by cubic splines; shape (...)."""
        where = np.moveaxis(points / np.array(self.sampling), -1, 0)
        found: np.ndarray = map_coordinates(
            self.spline, where, order=3, mode="grid-wrap", prefilter=False
        )
        return found


def train_density(
    maps: Sequence[KnownMap],
    *,
    sampling: float,
    steps: int,
    seed: int,
    about: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> DensityModel:
    """Learn a density.

    Parameters
    ----------
    maps
        Of the training structures.
    sampling
        Pixel size to draw at [Å].
    steps
        Optimiser steps.
    seed
        Of the run.
    about
        What the model is to say of its origin.
    say
        Told how it goes.

    Raises
    ------
    DataError
        If there are too few structures, all are the same, or a cell is too small.
    """
    _check(maps)
    species = tuple(sorted({symbol for known in maps for symbol in known.atoms.symbols.tolist()}))
    atoms = [known.atoms for known in maps]
    torch.manual_seed(int(generator(seed, "density", "weights").integers(2**31)))
    network = ChargeNetwork(len(species) * (len(SEEN) + 1))
    model = DensityModel(
        network,
        species,
        np.zeros((len(species), len(ROUND))),
        np.ones(len(species) * (len(SEEN) + 1), np.float32),
        sampling,
        Neighbourhoods.of(atoms, species),
        {"structures": [known.name for known in maps], "seed": seed, **(about or {})},
    )
    model.round_density[:] = _round_densities(model, maps)
    model.scale[:] = np.mean(
        [channels(_whole(model, known), len(species)).std(axis=(1, 2)) for known in maps], axis=0
    )
    model.scale[model.scale < 1e-3] = 1.0
    deviation = float(np.concatenate([known.density.ravel() for known in maps]).std())
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=0.2 if steps > FEW else 0.3
    )
    scale, inner, start = torch.from_numpy(model.scale), slice(MARGIN, -MARGIN), time.monotonic()
    losses: list[float] = []
    network.train()
    for step in range(steps):
        rng = generator(seed, "density", "step", step)
        drawn = [_window(model, maps[int(rng.integers(len(maps)))], rng) for _ in range(BATCH)]
        seen, missing = (torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True))
        seen = seen.contiguous(memory_format=torch.channels_last)
        change = displaced(network, seen, scale, sampling)
        # of each window its own RMS error, so that none counts for many
        error = (change - missing)[:, inner, inner] / deviation
        loss = error.square().mean(dim=(1, 2)).sqrt().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if (step + 1) % max(steps // 5, 1) == 0:
            rms = np.mean(losses[-max(steps // 20, 1) :])
            say(
                f"step {step + 1}: {rms:.2%} of the maps' standard deviation, "
                f"{time.monotonic() - start:.0f} s"
            )
    network.eval()
    return model


def _check(maps: Sequence[KnownMap]) -> None:
    names = ", ".join(known.name for known in maps)
    if len(maps) < FEWEST:
        raise DataError(
            f"a density cannot be learned from {len(maps)} structures ({names}): expected at least "
            f"{FEWEST}; raise structures.count.train, or set density.source to dft"
        )
    first = maps[0]
    if all(
        known.density.shape == first.density.shape
        and np.allclose(known.density, first.density, atol=1e-3 * float(first.density.std()))
        for known in maps
    ):
        raise DataError(
            f"a density cannot be learned from structures that are all the same ({names}): "
            "expected displacements or defects; raise structures.displacement or choose other "
            "structures.families, or set density.source to dft"
        )
    small = [known for known in maps if min(known.atoms.sides) < REACH]
    if small:
        raise DataError(
            "a density cannot be learned from cells in which an atom is its own neighbour ("
            + ", ".join(f"{k.name}: {min(k.atoms.sides):.2f} Å" for k in small)
            + f"): expected sides of at least {REACH:g} Å; raise structures.repeat, or set "
            "density.source to dft"
        )


def _whole(model: DensityModel, known: KnownMap) -> View:
    """Look at all of a cell."""
    pixels = 2 * int(np.ceil(max(known.atoms.sides) / model.sampling / 2))
    return model.view(known.atoms, np.array(known.atoms.sides) / 2, pixels)


def _points(centre: np.ndarray, axis: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Places of a turned window's pixels in the cell, shape (n, n, 2) [Å]."""
    points: np.ndarray = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1) @ turn + centre
    return points


def _window(
    model: DensityModel, known: KnownMap, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a window of any place, angle and handedness: what is seen, what is to be answered."""
    centre = rng.uniform(size=2) * known.atoms.sides
    if known.defects and rng.random() < AT_DEFECTS:
        defect = known.defects[int(rng.integers(len(known.defects)))]
        centre = np.array([defect["x"], defect["y"]]) + rng.uniform(-3, 3, size=2)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[1] *= 1 if rng.random() < 0.5 else -1
    view = model.view(known.atoms, centre, WINDOW, turn)
    target = known.at(_points(centre, view.axes[0], turn))
    missing = (target - model.superposed(view)).astype(np.float32)
    return channels(view, len(model.species)), missing


def _round_densities(model: DensityModel, maps: Sequence[KnownMap]) -> np.ndarray:
    """Fit the round density of each element; its integral is the element's valence electrons.

    Least squares over the maps, with the electrons of every element as a condition; those come from
    the electrons of the maps.
    """
    n_species, n_widths = model.round_density.shape
    counts = np.stack(
        [[(known.atoms.symbols == symbol).sum() for symbol in model.species] for known in maps]
    )
    electrons = np.array([k.density.sum() * k.sampling[0] * k.sampling[1] for k in maps])
    valence = np.linalg.lstsq(counts.astype(float), electrons, rcond=1e-6)[0]
    # unknown: how the electrons are spread over the widths, beyond an even start
    start = np.repeat(valence / n_widths, n_widths)
    free = np.vstack([np.eye(n_widths - 1), -np.ones(n_widths - 1)])
    products = np.zeros((n_species * (n_widths - 1),) * 2)
    right = np.zeros(len(products))
    for known in maps:
        view = _whole(model, known)
        images = []
        for number in range(n_species):
            own = (view.species == number).astype(np.float64)
            images.append(view.gaussians(ROUND, np.stack([own] * n_widths)).reshape(n_widths, -1))
        design = np.concatenate([free.T @ own for own in images]).astype(np.float64)
        target = known.at(_points(np.array(known.atoms.sides) / 2, view.axes[0], np.eye(2))).ravel()
        target -= start @ np.concatenate(images)
        products += design @ design.T / design.shape[1]
        right += design @ target / design.shape[1]
    ridge = _TINY_RIDGE * np.trace(products) / len(products) * np.eye(len(products))
    solved = np.linalg.solve(products + ridge, right).reshape(n_species, -1)
    return start.reshape(n_species, n_widths) + solved @ free.T


def judge_density(model: DensityModel, maps: Sequence[KnownMap]) -> list[dict[str, Any]]:
    """Compare with maps that were not learned, by kind of site.

    Parameters
    ----------
    model
        The learned density.
    maps
        Of other structures.

    Returns
    -------
    list of dict
        One row for each structure and kind of site: ``structure``, ``family``, ``site`` (all,
        bulk, vacancy, ...), ``pixels``, ``rms_over_std`` (of the model, over the standard deviation
        of all maps), ``superposition`` (the same of the round densities alone), ``unlike``
        (fraction of the atoms there whose surroundings were not learned).
    """
    deviation = float(np.concatenate([known.density.ravel() for known in maps]).std())
    rows = []
    for known in maps:
        drawn, target, points = compared(model, known)
        alone = _superposition(model, known, points.shape[:2])
        strange = model.neighbourhoods.strangeness(known.atoms) > 1
        for site, here, owners in sites_of(known, points):
            error, without = (((a - target)[here] ** 2).mean() for a in (drawn, alone))
            rows.append(
                {
                    "structure": known.name,
                    "family": known.family,
                    "site": site,
                    "pixels": int(here.sum()),
                    "rms_over_std": float(np.sqrt(error)) / deviation,
                    "superposition": float(np.sqrt(without)) / deviation,
                    "unlike": float(strange[owners].mean()) if owners.any() else 0.0,
                }
            )
    return rows


def overall(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """Pool the rows of `judge_density` by kind of site.

    Returns
    -------
    list of tuple
        Site, RMS error of the model and of the round densities alone, each over the standard
        deviation of the maps.
    """
    sites = dict.fromkeys(row["site"] for row in rows)
    pooled = []
    for site in sites:
        own = [row for row in rows if row["site"] == site]
        pixels = sum(row["pixels"] for row in own)
        of_model, without = (
            float(np.sqrt(sum(row[key] ** 2 * row["pixels"] for row in own) / pixels))
            for key in ("rms_over_std", "superposition")
        )
        pooled.append((site, of_model, without))
    return pooled


def farthest_off(
    model: DensityModel, maps: Sequence[KnownMap], *, side: float = 8.0
) -> tuple[np.ndarray, dict[str, Any]]:
    """Cut out where the model is farthest from DFT.

    Parameters
    ----------
    model, maps
        See `judge_density`.
    side
        Of what is cut out [Å].

    Returns
    -------
    images : numpy.ndarray
        DFT, the learned density, and the latter minus the former, shape (3, n, n) [e/Å²].
    place : dict
        ``structure``, and ``x`` and ``y`` of the middle [Å].
    """
    worst: list[tuple[float, int, tuple[int, ...]]] = []
    for number, known in enumerate(maps):
        drawn, target, _ = compared(model, known)
        error = uniform_filter((drawn - target) ** 2, int(1 / model.sampling), mode="wrap")
        where = np.unravel_index(int(error.argmax()), error.shape)
        worst.append((float(error.max()), number, tuple(map(int, where))))
    _, number, pixel = max(worst)
    known, pixels = maps[number], int(side / model.sampling)
    x, y = (model.sampling * own for own in pixel)
    origin = (x - pixels // 2 * model.sampling, y - pixels // 2 * model.sampling)
    drawn = model.draw(known.atoms, (pixels, pixels), origin=origin)
    target = known.at(_grid((pixels, pixels), model.sampling) + np.array(origin))
    place = {"structure": known.name, "x": round(x, 2), "y": round(y, 2)}
    return np.stack([target, drawn, drawn - target]), place


def compared(model: DensityModel, known: KnownMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a cell whose map is known: the drawn and the known map, and the places of the pixels."""
    shape = tuple(int(side / model.sampling) for side in known.atoms.sides)
    drawn = model.draw(known.atoms, (shape[0], shape[1]))
    points = _grid(shape, model.sampling)
    return drawn, known.at(points), points


def _grid(shape: Sequence[int], sampling: float) -> np.ndarray:
    """Places of the pixels of an image, shape (x, y, 2) [Å]."""
    x, y = (np.arange(n) * sampling for n in shape)
    points: np.ndarray = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    return points


def _superposition(model: DensityModel, known: KnownMap, shape: tuple[int, ...]) -> np.ndarray:
    pixels = 2 * -(-max(shape) // 2)
    view = model.view(known.atoms, np.full(2, pixels // 2 * model.sampling), pixels)
    return model.superposed(view)[: shape[0], : shape[1]]


def sites_of(known: KnownMap, points: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Sort pixels and atoms of a cell by the kind of site they belong to.

    Returns
    -------
    list of tuple
        Name, which pixels (x, y), and which atoms (n,): ``all``; ``bulk``, whatever is no defect
        and no edge; each kind of defect; ``edge``, where the layer ends; ``strained`` instead of
        bulk for a structure of the family strain.
    """
    sides = np.array(known.atoms.sides)
    everything = np.ones(points.shape[:2], dtype=bool), np.ones(len(known.atoms.symbols), bool)
    found: list[tuple[str, np.ndarray, np.ndarray]] = [("all", *everything)]
    special = [np.zeros_like(own) for own in everything]
    by_kind: dict[str, list[np.ndarray]] = {}
    for place, kind in _kinds(known):
        by_kind.setdefault(kind, []).append(place)
    by_kind["edge"] = list(_edge(known))
    for kind, places in by_kind.items():
        if not len(places):
            continue
        here = [
            np.any([_apart(where - place, sides) <= NEAR_DEFECT for place in places], axis=0)
            for where in (points, known.atoms.positions[:, :2])
        ]
        found.append((kind, here[0], here[1]))
        special = [one | other for one, other in zip(special, here, strict=True)]
    rest = "strained" if known.family == "strain" else "bulk"
    if not special[0].all():
        found.append((rest, ~special[0], ~special[1]))
    return found


def _apart(offsets: np.ndarray, sides: np.ndarray) -> np.ndarray:
    offsets = offsets - sides * np.round(offsets / sides)
    distance: np.ndarray = np.linalg.norm(offsets, axis=-1)
    return distance


def _kinds(known: KnownMap) -> list[tuple[np.ndarray, str]]:
    """Place and kind of each defect; vacancies of neighbouring atoms are a double vacancy."""
    sides, kinds = np.array(known.atoms.sides), []
    places = np.array([[defect["x"], defect["y"]] for defect in known.defects]).reshape(-1, 2)
    vacant = np.array([defect["kind"] == "vacancy" for defect in known.defects], dtype=bool)
    for place, defect in zip(places, known.defects, strict=True):
        kind = defect["kind"]
        if kind == "vacancy" and (_apart(places[vacant] - place, sides) < _BONDED).sum() > 1:
            kind = "double_vacancy"
        if kind == "substitution":
            kind = f"{defect['by']} for {defect['element']}"
        kinds.append((place, kind))
    return kinds


_BONDED = 2.0  # Å in the plane: vacancies nearer than this are of neighbours


def _edge(known: KnownMap) -> np.ndarray:
    """Places of the atoms at an edge: those beyond which a strip of the cell is empty."""
    sides, places = np.array(known.atoms.sides), known.atoms.positions[:, :2] % known.atoms.sides
    at_edge = np.zeros(len(places), dtype=bool)
    for axis in (0, 1):
        levels = np.sort(places[:, axis])
        gaps = np.diff([*levels, levels[0] + sides[axis]])
        widest = int(np.argmax(gaps))
        if gaps[widest] < _EMPTY:
            continue
        for level in (levels[widest], levels[(widest + 1) % len(levels)]):
            at_edge |= np.abs(places[:, axis] - level) < 1.0
    edge: np.ndarray = places[at_edge]
    return edge


_EMPTY = 4.0  # Å without any atom across the cell: vacuum beside an edge
