"""Surroundings of atoms: against symmetry, explicit copies and a count by hand."""

import json

import numpy as np
import pytest
import torch
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.structures import Disorder, build_structure, stored_structure
from temdenoise.images.atoms import AtomArrays
from temdenoise.learning.neighbourhoods import (
    MOST,
    REACH,
    SHELLS,
    SOFTNESS,
    Neighbourhoods,
    describe,
)

VACANCIES = {"element": "any", "count": (1, 2), "apart": 0}


def structure(name="graphene", *, seed=0, family="vacancies", parameters=VACANCIES, repeat=(5, 3)):
    atoms = build_structure(
        crystal(name, repeat=repeat),
        generator(seed, "structure"),
        Disorder(family, parameters, 0.05, fade_width=2.5, defect_margin=3.0),
        name=f"train-{seed:04d}",
    )
    return AtomArrays.stored(stored_structure(atoms))


def scaled(atoms, factor):
    x, y = atoms.sides
    return AtomArrays(atoms.symbols, atoms.positions * factor, (x * factor, y * factor))


@pytest.fixture
def mixed(rng):
    """Two elements at random, in a small cell."""
    positions = rng.uniform(0, 1, size=(9, 3)) * (6.3, 5.1, 2.0)
    return AtomArrays(np.array(list("BNBBNNBNB")), positions, (6.3, 5.1))


@pytest.fixture(scope="module")
def learned():
    """What ten structures with vacancies hold."""
    return Neighbourhoods.of([structure(seed=seed) for seed in range(10)], ["C"])


def test_two_atoms_are_described_as_the_formula_says():
    atoms = AtomArrays(np.array(["B", "N"]), np.array([[1, 1, 0], [1, 2, 1.0]]), (20.0, 20.0))
    found = describe(atoms, ["B", "N"]).reshape(2, 2, -1)
    distance = np.sqrt(2)
    fade = (1 + np.cos(np.pi * distance / REACH)) / 2
    wanted = fade * np.exp(-((distance - SHELLS) ** 2) / (2 * SOFTNESS**2))
    assert found[0, 1] == pytest.approx(wanted)
    assert found[1, 0] == pytest.approx(wanted)
    assert (found[0, 0] == 0).all()
    assert (found[1, 1] == 0).all()


def test_an_atom_sees_its_own_images():
    atoms = AtomArrays(np.array(["C"]), np.array([[0.1, 2.9, 0]]), (2.5, 3.0))
    distances = np.array([2.5, 2.5, 3.0, 3.0, *[np.hypot(2.5, 3.0)] * 4])[:, None]
    fades = (1 + np.cos(np.pi * distances / REACH)) / 2
    wanted = (fades * np.exp(-((distances - SHELLS) ** 2) / (2 * SOFTNESS**2))).sum(axis=0)
    assert describe(atoms, ["C"])[0] == pytest.approx(wanted)


def test_periodic_cell_is_described_like_its_copies_side_by_side(mixed):
    alone = describe(mixed, ["B", "N"])
    x, y = mixed.sides
    copies = [mixed.positions + np.array([i * x, j * y, 0]) for i in range(2) for j in range(3)]
    tiled = AtomArrays(np.tile(mixed.symbols, 6), np.concatenate(copies), (2 * x, 3 * y))
    assert describe(tiled, ["B", "N"]) == pytest.approx(np.tile(alone, (6, 1)))


@pytest.mark.parametrize("degrees", [13.0, 90.0, 200.0])
@pytest.mark.parametrize("mirror", [1, -1])
def test_rotation_and_reflection_change_nothing(mixed, degrees, mirror):
    """Of a cluster, far from its images."""
    cluster = AtomArrays(mixed.symbols, mixed.positions, (40.0, 40.0))
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    positions = cluster.positions.copy()
    positions[:, :2] = positions[:, :2] @ (turn @ np.diag([1, mirror])).T
    turned = AtomArrays(cluster.symbols, positions, cluster.sides)
    assert describe(turned, ["B", "N"]) == pytest.approx(describe(cluster, ["B", "N"]))


def test_a_turned_cell_and_a_layer_turned_over_are_the_same(mixed):
    before = describe(mixed, ["B", "N"])
    x, y, z = mixed.positions.T
    turned = AtomArrays(mixed.symbols, np.stack([-y, x, z], axis=1), mixed.sides[::-1])
    over = AtomArrays(mixed.symbols, np.stack([x, y, -z], axis=1), mixed.sides)
    assert describe(turned, ["B", "N"]) == pytest.approx(before)
    assert describe(over, ["B", "N"]) == pytest.approx(before)


def test_translation_and_order_change_nothing(mixed, rng):
    before = describe(mixed, ["B", "N"])
    moved = AtomArrays(mixed.symbols, mixed.positions + np.array([31.7, -2.9, 5.0]), mixed.sides)
    assert describe(moved, ["B", "N"]) == pytest.approx(before)
    order = rng.permutation(len(before))
    shuffled = AtomArrays(mixed.symbols[order], mixed.positions[order], mixed.sides)
    assert describe(shuffled, ["B", "N"]) == pytest.approx(before[order])


def test_neighbours_fade_where_they_stop_to_count():
    found = []
    for distance in (REACH - 1e-3, REACH + 1e-3):
        positions = np.array([[5, 5, 0], [5 + distance, 5, 0]])
        found.append(describe(AtomArrays(np.array(["C", "C"]), positions, (20.0, 20.0)), ["C"]))
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert (found[1] == 0).all()


def test_elements_are_told_apart_and_unknown_ones_not_counted(mixed):
    swapped = AtomArrays(np.where(mixed.symbols == "B", "N", "B"), mixed.positions, mixed.sides)
    both = describe(mixed, ["B", "N"])
    n = len(SHELLS)
    assert describe(swapped, ["B", "N"]) == pytest.approx(np.hstack([both[:, n:], both[:, :n]]))
    assert describe(mixed, ["B"]) == pytest.approx(both[:, :n])


def test_what_is_like_the_learned_is_not_strange(learned):
    strange = np.concatenate(
        [learned.strangeness(structure(seed=seed)) for seed in range(100, 106)]
    )
    assert (strange > 1).mean() < 0.05
    assert np.median(strange) < 0.5
    # what was learned itself is known to the last digit
    assert learned.strangeness(structure(seed=3)).max() < 1e-3


def test_a_turned_and_shifted_structure_is_no_stranger(learned):
    atoms = structure(seed=100)
    x, y, z = atoms.positions.T
    moved = np.stack([3.0 - y, x + 7.7, z], axis=1)
    turned = AtomArrays(atoms.symbols, moved, atoms.sides[::-1])
    assert learned.strangeness(turned) == pytest.approx(learned.strangeness(atoms), abs=1e-3)


@pytest.mark.parametrize("factor", [0.92, 1.08])
def test_another_lattice_constant_is_strange(learned, factor):
    pristine = structure(seed=100, family="displacements", parameters={})
    assert (learned.strangeness(pristine) < 1).all()
    assert (learned.strangeness(scaled(pristine, factor)) > 1).mean() > 0.95


def test_another_coordination_is_strange_where_it_is(learned):
    pristine = structure(seed=100, family="displacements", parameters={})
    site = int(np.argmin(np.linalg.norm(pristine.positions[:, :2] - (6, 6), axis=1)))
    above = pristine.positions[site] + (0, 0, 1.5)
    atoms = AtomArrays(
        np.append(pristine.symbols, "C"), np.vstack([pristine.positions, above]), pristine.sides
    )
    strange = learned.strangeness(atoms)
    assert strange[-1] > 1
    assert strange[site] > 1
    far = np.linalg.norm(atoms.positions[:, :2] - above[:2], axis=1) > REACH
    assert strange[far] == pytest.approx(learned.strangeness(pristine)[far[:-1]], abs=1e-6)
    assert (strange[far] < 1).all()


def test_unknown_elements_are_infinitely_strange(learned):
    atoms = structure(seed=100)
    symbols = atoms.symbols.astype("<U2")
    symbols[[3, 17]] = "Si"
    strange = learned.strangeness(AtomArrays(symbols, atoms.positions, atoms.sides))
    assert np.flatnonzero(np.isinf(strange)).tolist() == [3, 17]


def test_an_element_of_one_structure_is_known_there_alone():
    """Nobody can tell how far from it is ordinary."""
    foreign = {"replace": {"C": ["Si"]}, "count": (1, 1)}
    one = structure(seed=1, family="substitution", parameters=foreign)
    known = Neighbourhoods.of([structure(seed=0), one], ["C", "Si"])
    silicon = one.symbols == "Si"
    assert known.strangeness(one)[silicon] < 1
    other = structure(seed=2, family="substitution", parameters=foreign)
    assert known.strangeness(other)[other.symbols == "Si"] > 1


def test_no_more_are_kept_than_needed(monkeypatch):
    assert MOST > 1000
    atoms = [structure(seed=seed) for seed in range(4)]
    monkeypatch.setattr("temdenoise.learning.neighbourhoods.MOST", 50)
    thin = Neighbourhoods.of(atoms, ["C"])
    assert 25 <= len(thin.known[0]) <= 50


def test_they_survive_a_model_file(learned, tmp_path):
    stored = learned.to_dict()
    json.dumps({key: stored[key] for key in ("species", "farthest")})
    torch.save(stored, tmp_path / "a.pt")
    back = Neighbourhoods.from_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    assert back.species == learned.species
    assert back.farthest == learned.farthest
    for ours, theirs in zip(back.known, learned.known, strict=True):
        assert ours.dtype == theirs.dtype == np.float32
        assert (ours == theirs).all()
    atoms = structure(seed=100)
    assert (back.strangeness(atoms) == learned.strangeness(atoms)).all()
