import json

import numpy as np
import pytest
from ase.data import covalent_radii
from ase.io import read, write
from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.disorder import Supercell, fade, rim_distance
from temdenoise.groundtruth.families import FAMILIES
from temdenoise.groundtruth.structures import Disorder, build_structure, table_row

REPEAT = {"graphene": (5, 3), "hbn": (5, 3), "mos2": (4, 2)}
PARAMETERS = {
    "displacements": {},
    "vacancies": {"element": "any", "count": (1, 2), "apart": 0},
    "double_vacancies": {"element": "any", "count": (1, 1)},
    "stone_wales": {"count": (1, 1)},
    "substitution": {"replace": {"C": ["Si", "N", "B"]}, "count": (1, 3)},
    "adatoms": {"element": "C", "site": "bridge", "count": (1, 2)},
    "strain": {"limit": 0.03},
}
# by how many atoms the smallest and the largest structure of each family differ from graphene
CHANGE = dict.fromkeys(PARAMETERS, (0, 0)) | {
    "vacancies": (-2, -1),
    "double_vacancies": (-2, -2),
    "adatoms": (1, 2),
}
DEFECT = {
    "vacancies": "vacancy",
    "double_vacancies": "vacancy",
    "stone_wales": "rotated_bond",
    "substitution": "substitution",
    "adatoms": "adatom",
}


def build(family="vacancies", seed=1, pristine=None, name="train-0000", **changed):
    options = {"displacement": 0.08, "fade_width": 2.5, "defect_margin": 3.0}
    options |= {"family": family, "parameters": PARAMETERS[family]}
    return build_structure(
        pristine or crystal("graphene", repeat=REPEAT["graphene"]),
        generator(seed, "structure", name),
        Disorder(**options | changed),
        name=name,
    )


def test_every_family_is_tested():
    assert set(PARAMETERS) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_stoichiometry_and_sites_of_each_family(family):
    pristine = crystal("graphene", repeat=(5, 3))
    sizes = set()
    for seed in range(12):
        atoms = build(family, seed)
        sizes.add(len(atoms) - len(pristine))
        defects = json.loads(atoms.info["defects"])
        assert {d["kind"] for d in defects} == ({DEFECT[family]} if family in DEFECT else set())
        for defect in defects:
            site = np.array([[defect["x"], defect["y"]]])
            assert rim_distance(site, pristine.cell.lengths()) >= 3.0
            if defect["kind"] != "adatom":
                assert defect["element"] == "C"
                distance = np.linalg.norm(pristine.positions[:, :2] - site, axis=1)
                assert distance.min() < 1e-5
        removed = sum(d["kind"] == "vacancy" for d in defects)
        added = sum(d["kind"] == "adatom" for d in defects)
        assert len(atoms) == 60 - removed + added
        replaced = sorted(d["by"] for d in defects if d["kind"] == "substitution")
        assert sorted(s for s in atoms.symbols if s != "C") == replaced
    assert (min(sizes), max(sizes)) == CHANGE[family]


@pytest.mark.parametrize("name", REPEAT)
@pytest.mark.parametrize("family", ["displacements", "strain", "vacancies", "adatoms"])
def test_rim_is_untouched(name, family):
    pristine = crystal(name, repeat=REPEAT[name])
    distance = rim_distance(pristine.positions, pristine.cell.lengths())
    on_rim = pristine.positions[distance < 1e-6]
    assert len(on_rim)
    parameters = {"strain": {"limit": 0.1}}.get(family, PARAMETERS[family])
    for seed in range(5):
        atoms = build(family, seed, pristine, parameters=parameters)
        gaps = np.linalg.norm(atoms.positions[None] - on_rim[:, None], axis=2).min(axis=1)
        assert gaps.max() < 1e-6


def test_disorder_fades_towards_the_rim():
    pristine = crystal("graphene", repeat=(5, 3))
    moved = build("displacements", pristine=pristine, displacement=0.12)
    shift = np.linalg.norm(moved.positions - pristine.positions, axis=1)
    distance = rim_distance(pristine.positions, pristine.cell.lengths())
    assert shift[distance > 2.5].std() > 0.03
    assert shift[distance < 0.8].max() < 0.15 * shift.max()
    assert (fade(pristine, width=2.5)[distance >= 2.5] == 1).all()


def test_displacement_per_element():
    pristine = crystal("mos2", repeat=(4, 2))
    displacement = {"Mo": 0.0, "S": 0.05}
    moved = build("displacements", pristine=pristine, displacement=displacement)
    shift = np.linalg.norm(moved.positions - pristine.positions, axis=1)
    assert shift[pristine.symbols == "Mo"].max() == 0
    assert shift[pristine.symbols == "S"].max() > 0.05
    with pytest.raises(ConfigurationError, match=r"structures\.displacement.*nothing for S"):
        build("displacements", pristine=pristine, displacement={"Mo": 0.05})


def test_displacements_have_the_stated_spread():
    pristine = crystal("graphene", repeat=(20, 12))
    moved = build("displacements", pristine=pristine, displacement=0.05)
    inside = fade(pristine, width=2.5) == 1
    shift = (moved.positions - pristine.positions)[inside]
    assert shift.std(axis=0) == pytest.approx(0.05, rel=4 / np.sqrt(2 * inside.sum()))


def test_double_vacancy_is_a_bond_of_graphene_and_a_column_of_mos2():
    defects = json.loads(build("double_vacancies").info["defects"])
    (a, b) = [np.array([d["x"], d["y"]]) for d in defects]
    assert np.linalg.norm(a - b) == pytest.approx(2.46 / np.sqrt(3), abs=1e-5)
    parameters = {"element": "S", "count": (1, 1)}
    pristine = crystal("mos2", repeat=(4, 2))
    atoms = build("double_vacancies", pristine=pristine, parameters=parameters)
    (a, b) = json.loads(atoms.info["defects"])
    assert a == b
    assert atoms.symbols.count("S") == pristine.symbols.count("S") - 2


def test_stone_wales_makes_two_fives_and_two_sevens():
    """Rings, counted by Euler: a rotated bond changes neighbours, not their number."""
    atoms = build("stone_wales", displacement=0.0)
    distances = atoms.get_all_distances(mic=True)
    bonded = (distances > 0.1) & (distances < 1.75)
    assert (bonded.sum(axis=1) == 3).all()
    sizes = sorted(ring_sizes(atoms, bonded))
    assert sizes == [5, 5] + [6] * 26 + [7, 7]
    with pytest.raises(ConfigurationError, match=r"stone_wales: expected a flat crystal.*share"):
        build("stone_wales", pristine=crystal("mos2", repeat=(4, 2)))


def ring_sizes(atoms, bonded):
    """Faces of the planar net, walked by always turning left."""
    seen, sizes = set(), []
    for i, j in zip(*np.nonzero(bonded), strict=True):
        if (i, j) in seen:
            continue
        size, (a, b) = 0, (i, j)
        while (a, b) not in seen:
            seen.add((a, b))
            size += 1
            back = atoms.get_distance(b, a, mic=True, vector=True)
            nexts = [c for c in np.flatnonzero(bonded[b]) if c != a]

            def turn(c, b=b, back=back):
                to = atoms.get_distance(b, c, mic=True, vector=True)
                angle = np.arctan2(to[1], to[0]) - np.arctan2(back[1], back[0])
                return angle % (2 * np.pi)

            a, b = b, min(nexts, key=turn)
        sizes.append(size)
    return sizes


def test_vacancies_keep_the_distance_that_is_asked_for():
    nearest = {}
    for apart in (0.0, 2.8, 3.6):
        parameters = {"element": "any", "count": (3, 3), "apart": apart}
        distances = []
        for seed in range(12):
            defects = json.loads(build(seed=seed, parameters=parameters).info["defects"])
            places = np.array([[d["x"], d["y"]] for d in defects])
            gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
            distances.append(gaps[np.triu_indices(3, 1)].min())
        nearest[apart] = min(distances)
        assert nearest[apart] >= apart
    # by themselves some are neighbours
    assert nearest[0.0] < 2.8


def test_vacancies_that_cannot_keep_it_are_refused():
    """The sites of the supercell lie within about 6 x 7 Å."""
    parameters = {"element": "any", "count": (1, 4), "apart": 8.0}
    with pytest.raises(ConfigurationError, match=r"vacancies: up to 4 .*far enough apart"):
        build(parameters=parameters)
    assert build(parameters=parameters | {"apart": 2.8})


@pytest.mark.parametrize(("site", "neighbours"), [("top", 1), ("bridge", 2), ("hollow", 6)])
def test_adatom_sits_at_bonding_distance(site, neighbours):
    parameters = {"element": "C", "site": site, "count": (1, 1)}
    atoms = build("adatoms", displacement=0.0, parameters=parameters)
    distance = np.linalg.norm(atoms.positions[:-1] - atoms.positions[-1], axis=1)
    bond = 2 * covalent_radii[6]
    assert distance.min() == pytest.approx(bond, abs=1e-6)
    assert (distance < bond + 1e-3).sum() == neighbours
    assert atoms.positions[-1, 2] > atoms.positions[:-1, 2].max()
    # with as much vacuum above it as there is below the layer
    heights = atoms.positions[:, 2]
    assert atoms.cell.lengths()[2] - heights.max() == pytest.approx(heights.min())


def test_strain_is_that_of_the_tensor_inside():
    pristine = crystal("graphene", repeat=(5, 3))
    atoms = build("strain", pristine=pristine, displacement=0.0, parameters={"limit": 0.05})
    inside = fade(pristine, width=2.5) == 1
    x = pristine.positions[inside, :2] - pristine.positions[inside, :2].mean(axis=0)
    u = (atoms.positions - pristine.positions)[inside, :2]
    tensor, *_ = np.linalg.lstsq(x, u - u.mean(axis=0), rcond=None)
    assert np.allclose(x @ tensor, u - u.mean(axis=0), atol=1e-9)
    assert tensor[0, 1] == pytest.approx(tensor[1, 0])
    assert 0.001 < np.abs(tensor).max() <= 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_structure_other_seed_another(family):
    first, again, other = (build(family, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.info == again.info
    assert len(first) != len(other) or not np.allclose(first.positions, other.positions)


def test_pristine_is_not_changed():
    pristine = crystal("graphene", repeat=(5, 3))
    before = pristine.copy()
    for family in FAMILIES:
        build(family, pristine=pristine)
    assert pristine == before


def test_row_of_the_table_survives_the_file(tmp_path):
    atoms = build("substitution")
    atoms.info["seed"] = 7
    write(tmp_path / "a.extxyz", atoms)
    row = table_row(read(tmp_path / "a.extxyz"))
    assert row["structure"] == "train-0000"
    assert (row["split"], row["family"], row["seed"]) == ("train", "substitution", 7)
    assert json.loads(row["defects"]) == json.loads(atoms.info["defects"])
    assert json.loads(row["parameters"])["replace"] == {"C": ["Si", "N", "B"]}
    assert row["formula"] == atoms.get_chemical_formula()


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        (
            "vacancies",
            {"element": "any", "count": (30, 30), "apart": 0},
            r"vacancies: up to 30 .*defect_margin",
        ),
        (
            "vacancies",
            {"element": "Mo", "count": (1, 1), "apart": 0},
            r"only 0 sites for them",
        ),
        ("double_vacancies", {"element": "any", "count": (20, 20)}, r"double_vacancies: up to 20"),
        ("stone_wales", {"count": (20, 20)}, r"stone_wales: up to 20"),
        ("substitution", {"replace": {"Mo": ["W"]}, "count": (1, 1)}, r"no Mo in the crystal"),
        ("adatoms", {"element": "C", "site": "hollow", "count": (50, 50)}, r"adatoms: up to 50"),
    ],
)
def test_what_does_not_fit_the_crystal_names_the_keys(family, parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        build(family, parameters=parameters)


def test_overlapping_draws_are_drawn_anew_and_in_the_end_refused(monkeypatch):
    draws = []
    displace = Supercell.displace
    monkeypatch.setattr(
        Supercell, "displace", lambda self, *a: draws.append(1) or displace(self, *a)
    )
    for seed in range(8):
        build("displacements", seed, displacement=0.14)
    assert len(draws) > 8
    with pytest.raises(DataError, match=r"train-0000.*apart.*none of 100 draws.*displacement"):
        build("displacements", displacement=0.6)
