import itertools

import numpy as np
import pytest
from temdenoise.images.atoms import AtomArrays


def atoms_in(sides, n, rng, *, spread=1.0):
    """Atoms anywhere in a cell; with a larger spread, outside of it too."""
    positions = rng.uniform(-spread + 1, spread, size=(n, 3)) * (*sides, 3.0)
    return AtomArrays(np.array(["C"] * n), positions, sides, middle=0.0)


def all_images(atoms, centre, reach, *, cells=12):
    """Every image within reach, from far more cells than can matter."""
    found = []
    for number, place in enumerate(atoms.positions):
        for shift in itertools.product(range(-cells, cells + 1), repeat=2):
            offset = place[:2] + np.array(shift) * atoms.sides - centre
            if (np.abs(offset) <= reach).all():
                found.append((number, *offset, place[2]))
    return np.array(sorted(found)).reshape(-1, 4)


def around(atoms, centre, reach):
    indices, offsets = atoms.around(np.array(centre), reach)
    assert offsets.shape == (len(indices), 3)
    return np.array(sorted(np.column_stack([indices, offsets]).tolist())).reshape(-1, 4)


@pytest.mark.parametrize(
    ("sides", "centre", "reach"),
    [
        ((12.3, 12.8), (6.0, 6.4), 4.0),
        ((12.3, 12.8), (0.1, 12.7), 5.0),
        ((12.3, 12.8), (6.1, 6.3), 25.0),
        ((12.3, 3.1), (3.0, 1.0), 6.4),
        ((2.46, 4.26), (1.0, 2.0), 14.0),
        ((9.0, 9.0), (-31.0, 52.5), 6.0),
        ((8.0, 9.0), (24.0, -9.0), 4.0),
    ],
    ids=["inside", "corner", "large", "narrow", "small cell", "far outside", "half a side"],
)
def test_all_images_within_reach_are_found_and_no_other(rng, sides, centre, reach):
    atoms = atoms_in(sides, 7, rng)
    wanted = all_images(atoms, centre, reach)
    assert len(wanted)
    assert around(atoms, centre, reach) == pytest.approx(wanted, abs=1e-9)


def test_any_cell_centre_and_reach(rng):
    for _ in range(30):
        sides = tuple(rng.uniform(2.5, 15, size=2).tolist())
        # atoms may lie outside of their cell
        atoms = atoms_in(sides, int(rng.integers(1, 6)), rng, spread=2.0)
        centre, reach = rng.uniform(-2, 2, size=2) * sides, float(rng.uniform(0.5, 12))
        wanted = all_images(atoms, centre, reach)
        assert around(atoms, centre, reach) == pytest.approx(wanted, abs=1e-9)


def test_number_of_images_is_that_of_the_area(rng):
    atoms = atoms_in((2.5, 4.0), 3, rng)
    indices, _ = atoms.around(np.array([0.3, 0.9]), 20.0)
    assert np.bincount(indices).tolist() == [40 * 40 / 10] * 3


def test_neither_cell_nor_atoms_are_changed(rng):
    atoms = atoms_in((5.0, 6.0), 4, rng)
    before = atoms.positions.copy()
    atoms.around(np.array([9.0, 9.0]), 8.0)
    assert (atoms.positions == before).all()


def test_no_atoms_have_no_images():
    empty = AtomArrays(np.array([], dtype=str), np.empty((0, 3)), (5.0, 6.0))
    indices, offsets = empty.around(np.zeros(2), 9.0)
    assert (indices.shape, offsets.shape) == ((0,), (0, 3))
    indices, _ = AtomArrays(np.array(["C"]), np.full((1, 3), 5.0), (20.0, 20.0)).around(
        np.array([14.0, 5.0]), 3.0
    )
    assert len(indices) == 0


def test_stored_structures_are_read():
    known = {"symbols": "Mo S", "positions": [[0, 1, 2], [3, 4, 5]], "cell": [6, 7, 20]}
    atoms = AtomArrays.stored(known)
    assert atoms.symbols.tolist() == ["Mo", "S"]
    assert atoms.positions.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert atoms.positions.dtype == np.float64
    assert atoms.sides == (6.0, 7.0)
    assert AtomArrays.stored(known | {"symbols": "", "positions": []}).positions.shape == (0, 3)
