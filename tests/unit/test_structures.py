import json

import numpy as np
import pytest
from temdenoise.errors import ConfigurationError
from temdenoise.groundtruth.structures import CRYSTALS, build_structure, disordered, fade, graphene
from temdenoise.seeding import generator

OPTIONS = {
    "crystal": "graphene",
    "lattice_constant": 2.46,
    "repeat": (5, 3),
    "vacuum": 5.0,
    "displacement": 0.1,
    "vacancies": (1, 2),
    "fade_width": 2.5,
    "vacancy_margin": 3.0,
}


def test_graphene_has_its_bond_length_and_three_neighbours():
    atoms = graphene(lattice_constant=2.46, repeat=(5, 3), vacuum=5.0)
    distances = atoms.get_all_distances(mic=True)
    bonds = distances[(distances > 0.1) & (distances < 1.6)]
    assert bonds == pytest.approx(2.46 / np.sqrt(3), abs=1e-9)
    assert len(bonds) == 3 * len(atoms)


def test_disorder_fades_to_nothing_at_the_rim():
    pristine = graphene(lattice_constant=2.46, repeat=(5, 3), vacuum=5.0)
    options = {"vacancies": (0, 0), "fade_width": 2.5, "vacancy_margin": 3.0}
    moved = disordered(pristine, generator(1, "a"), displacement=0.2, **options)
    shift = np.linalg.norm(moved.positions - pristine.positions, axis=1)
    extent = pristine.cell.lengths()[:2]
    distance = np.minimum(pristine.positions[:, :2], extent - pristine.positions[:, :2]).min(axis=1)
    assert shift[distance < 1e-9].max() < 1e-6
    assert shift[distance > 2.5].std() > 0.05
    assert (fade(pristine, width=2.5)[distance >= 2.5] == 1).all()


def test_vacancies_are_counted_recorded_and_away_from_the_rim():
    pristine = CRYSTALS["graphene"](lattice_constant=2.46, repeat=(5, 3), vacuum=5.0)
    for index in range(10):
        atoms = build_structure(generator(3, "structure", index), **OPTIONS)
        sites = json.loads(atoms.info["vacancy_sites"])
        assert len(atoms) == 60 - len(sites)
        assert 1 <= len(sites) <= 2
        for element, x, y in sites:
            assert element == "C"
            assert min(x, y, *(pristine.cell.lengths()[:2] - [x, y])) >= 3.0
            assert np.abs(pristine.positions[:, :2] - [x, y]).sum(axis=1).min() < 1e-5


def test_same_seed_same_structure_other_seed_another():
    first, again, other = (
        build_structure(generator(seed, "structure", "train-0000"), **OPTIONS) for seed in (1, 1, 2)
    )
    assert (first.positions == again.positions).all()
    assert len(first) != len(other) or not np.allclose(first.positions, other.positions)


def test_too_many_vacancies_name_the_keys():
    options = OPTIONS | {"repeat": (2, 1), "vacancies": (3, 3)}
    with pytest.raises(ConfigurationError, match=r"structures\.vacancies.*vacancy_margin"):
        build_structure(generator(1, "a"), **options)
