"""Scenes: what is composed, against the lattice and by counting; and what is drawn and written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from scipy.spatial import cKDTree
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_json
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import CLOSEST, crystal
from temdenoise.groundtruth.disorder import Change
from temdenoise.groundtruth.relaxation import surroundings
from temdenoise.groundtruth.scenes import (
    BONDED,
    TOO_CLOSE,
    Ingredients,
    SceneOptions,
    compose_scene,
    compose_scenes,
    margin_of,
)
from temdenoise.groundtruth.structures import stored_structure
from temdenoise.images.atoms import AtomArrays
from temdenoise.images.datasets import DataSetPlan, IntensityScale, read_dataset, write_scenes
from temdenoise.images.storage import read_images
from temdenoise.learning import density
from temdenoise.learning.density import BORDER, ROUND, SEEN, ChargeNetwork, DensityModel
from temdenoise.learning.neighbourhoods import Neighbourhoods
from temdenoise.learning.scenes import MOST_UNLIKE, Scenes
from temdenoise.learning.training import read_noises

REPEAT = {"graphene": (5, 3), "hbn": (5, 3), "mos2": (4, 2)}
SIDE = 60.0  # Å
BOND = 2.46 / np.sqrt(3)  # Å
ONE = {"element": "any", "count": (1, 1), "apart": 0}
PIXEL = 0.2  # Å
MARGIN = margin_of(PIXEL)


def ingredients(name="graphene", *, displacement=0.0, relaxed=None, **families):
    families = families or {"displacements": {}}
    return Ingredients(crystal(name, repeat=REPEAT[name]), displacement, families, relaxed or {})


def compose(of=None, *, family=None, seed=1, size=SIDE, **options):
    of = of or ingredients()
    family = family or next(iter(of.families))
    rng = generator(seed, "scene", 0)
    return compose_scene(of, family, rng, SceneOptions(size, MARGIN, **options), name="scene-0000")


def side_of(scene):
    return scene.cell.lengths()[0]


def inside(scene, margin=MARGIN):
    """Which atoms lie away from the rim."""
    places = scene.positions[:, :2]
    return ((places > margin) & (places < side_of(scene) - margin)).all(axis=1)


def per_area(scene):
    """Atoms per Å², counted with weights that fade towards the rim, so that rows do not matter."""
    side = side_of(scene)
    weights = np.sin(np.pi * scene.positions[:, :2] / side) ** 2
    return weights.prod(axis=1).sum() / (side / 2) ** 2


def of_lattice(pristine):
    return len(pristine) / np.prod(pristine.cell.lengths()[:2])


def distances(scene):
    """Pairs of atoms, and how far they are apart in units of the sum of their covalent radii."""
    radii = covalent_radii[scene.numbers]
    pairs = cKDTree(scene.positions).query_pairs(2 * BONDED * radii.max(), output_type="ndarray")
    first, second = scene.positions[pairs.T]
    return pairs, np.linalg.norm(first - second, axis=1) / radii[pairs].sum(axis=1)


def neighbours(scene):
    """How many neighbours each atom has."""
    pairs, distance = distances(scene)
    return np.bincount(pairs[distance < BONDED].ravel(), minlength=len(scene))


def directions(scene, kept=slice(None)):
    """Directions of the bonds of graphene, modulo its 60° [degrees]."""
    pairs, distance = distances(scene)
    first, second = scene.positions[pairs[distance < BONDED][kept].T]
    x, y, _ = (first - second).T
    return np.degrees(np.arctan2(y, x)) % 60


def widest_gap(scene, margin=MARGIN):
    """Radius of the largest circle in the image without an atom [Å]."""
    axis = np.arange(margin, side_of(scene) - margin, 0.5)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return cKDTree(scene.positions[:, :2]).query(points)[0].max()


@pytest.mark.parametrize("name", REPEAT)
@pytest.mark.parametrize("rotation", [False, True])
def test_a_plain_scene_is_the_lattice_without_a_gap(name, rotation):
    of = ingredients(name)
    for seed in range(3):
        scene = compose(of, seed=seed, rotation=rotation)
        assert side_of(scene) == SIDE + 2 * MARGIN
        assert per_area(scene) == pytest.approx(of_lattice(of.pristine), rel=0.01)
        counts = {symbol: (scene.symbols == symbol).mean() for symbol in set(scene.symbols)}
        wanted = {s: (of.pristine.symbols == s).mean() for s in set(of.pristine.symbols)}
        assert counts == pytest.approx(wanted, abs=0.02)
        # covered to the very rim
        pristine = compose(of, seed=99, size=10.0)
        assert widest_gap(scene, margin=0.5) < widest_gap(pristine) + 2.0
        assert widest_gap(scene, margin=5.0) < widest_gap(pristine) + 0.3


@pytest.mark.parametrize("name", REPEAT)
def test_no_two_atoms_overlap(name):
    scene = compose(ingredients(name, displacement=0.05), rotation=True)
    pairs, distance = distances(scene)
    assert distance[inside(scene)[pairs].all(axis=1)].min() > CLOSEST


def test_atoms_are_displaced_by_as_much_as_asked():
    still, moved = (compose(ingredients(displacement=d), seed=3) for d in (0.0, 0.08))
    spread = moved.positions[:, 2].std()
    assert spread == pytest.approx(0.08, rel=4 / np.sqrt(2 * len(moved)))
    assert still.positions[:, 2].std() < 1e-9


@pytest.mark.parametrize("count", [1, 4])
def test_defects_are_as_dense_as_in_the_structures(count):
    """And as dense in the middle as at the rim, where structures have none."""
    of = ingredients(vacancies=ONE | {"count": (count, count)})
    found = [
        1 - per_area(compose(of, seed=seed, size=100.0)) / of_lattice(of.pristine)
        for seed in range(3)
    ]
    # of some 6000 places
    assert np.mean(found) == pytest.approx(count / 60, abs=3 * np.sqrt(count / 60 / 10000))


def test_number_of_defects_varies_as_in_the_structures():
    of = ingredients(vacancies=ONE | {"count": (0, 2)})
    mean = np.mean([per_area(compose(of, seed=seed, size=100.0)) for seed in range(3)])
    assert 1 - mean / of_lattice(of.pristine) == pytest.approx(1 / 60, abs=0.004)


def test_foreign_atoms_are_as_many_as_in_the_structures():
    of = ingredients(substitution={"replace": {"C": ["Si", "N"]}, "count": (3, 3)})
    scene = compose(of, size=100.0)
    assert set(scene.symbols) == {"C", "Si", "N"}
    assert 1 - (scene.symbols == "C").mean() == pytest.approx(3 / 60, abs=0.01)


def test_a_scene_says_what_it_is():
    of = ingredients(vacancies=ONE)
    scene = compose(of)
    assert scene.info["structure"] == "scene-0000"
    assert scene.info["family"] == "vacancies"
    assert scene.info["grains"] == [0.0]
    stored = stored_structure(scene)
    assert stored["defects"] == []
    assert stored["cell"] == [SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 10.0]
    atoms = AtomArrays.stored(stored)
    assert atoms.positions == pytest.approx(scene.positions, abs=1e-5)


def test_without_rotation_the_lattice_lies_as_it_is_built():
    along = directions(compose())
    assert along == pytest.approx(30.0, abs=1e-6)


def test_with_rotation_it_lies_at_the_angle_that_is_told():
    told = []
    for seed in range(6):
        scene = compose(seed=seed, rotation=True)
        (angle,) = scene.info["grains"]
        assert directions(scene) == pytest.approx((30 + angle) % 60, abs=1e-6)
        told.append(angle)
    assert np.ptp(told) > 60


def test_any_place_of_the_lattice_may_lie_in_the_middle():
    scenes_of = [compose(seed=seed) for seed in range(5)]
    nearest = [np.linalg.norm(s.positions[:, :2] - 44.0, axis=1).min() for s in scenes_of]
    assert np.ptp(nearest) > 0.1


def test_strain_stretches_the_lattice_by_no_more_than_asked():
    lengths = []
    for seed in range(6):
        _, distance = distances(compose(seed=seed, strain=0.03))
        lengths += [2 * covalent_radii[6] * distance[distance < BONDED] / BOND - 1]
        # one strain for the whole grain: three kinds of bonds
        assert len(np.unique(lengths[-1].round(5))) <= 3
    assert 0.01 < np.abs(np.concatenate(lengths)).max() < 0.06


def test_two_grains_lie_at_two_angles_and_do_not_overlap():
    for seed in range(4):
        scene = compose(seed=seed, grain_boundaries=1.0, rotation=seed % 2 == 1)
        first, second = scene.info["grains"]
        assert first != second
        if seed % 2 == 0:
            assert first == 0.0
        along = directions(scene)
        of_either = [
            np.abs((along - 30 - angle + 30) % 60 - 30) < 1e-3 for angle in (first, second)
        ]
        assert all(own.mean() > 0.1 for own in of_either)
        # the few others are bonds across the boundary
        assert (of_either[0] | of_either[1]).mean() > 0.9
        _, distance = distances(scene)
        assert distance.min() >= TOO_CLOSE


def test_grains_lie_in_one_plane():
    for seed in range(8):
        scene = compose(ingredients(displacement=0.15), seed=seed, grain_boundaries=1.0)
        axis = np.arange(8.0, 80.0, 6.0)
        points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        around = cKDTree(scene.positions[:, :2]).query_ball_point(points, 6.0)
        heights = [np.median(scene.positions[own, 2]) for own in around]
        assert np.ptp(heights) < 0.3


def test_grains_meet_without_a_gap():
    for seed in range(4):
        scene = compose(seed=seed, grain_boundaries=1.0)
        assert widest_gap(scene) < 2.5
        assert per_area(scene) == pytest.approx(of_lattice(ingredients().pristine), rel=0.05)


@pytest.mark.parametrize("name", REPEAT)
def test_an_edge_leaves_vacuum_and_no_loose_ends(name):
    for seed in range(4):
        scene = compose(ingredients(name), seed=seed, edges=1.0, rotation=True)
        assert widest_gap(scene) > 5.0
        assert 0.05 < per_area(scene) / of_lattice(ingredients(name).pristine) < 0.95
        assert neighbours(scene)[inside(scene, 4.0)].min() >= 2


def test_pores_leave_holes_of_their_size_and_no_loose_ends():
    for seed in range(4):
        scene = compose(seed=seed, pores=1.0)
        # up to 8 Å, and what hung loose; three may run together
        assert 2.3 < widest_gap(scene) < 26.0
        assert 0.85 < per_area(scene) / of_lattice(ingredients().pristine) < 1
        assert neighbours(scene)[inside(scene, 4.0)].min() >= 2


def test_fractions_are_those_of_the_scenes():
    options = SceneOptions(20.0, MARGIN, grain_boundaries=0.3, edges=0.0)
    made = list(compose_scenes([ingredients()], [["displacements"] * 60], options, seed=2))
    two = np.mean([len(scene.info["grains"]) == 2 for scene in made])
    assert two == pytest.approx(0.3, abs=0.18)


def test_relaxed_defects_move_the_atoms_around_them():
    """Neighbours of a vacancy that move 0.2 Å away from it are 2.81 Å apart, not 2.46 Å."""
    of = ingredients(vacancies=ONE | {"apart": 6.0})
    place = surroundings(of.pristine, Change("vacancy", (25,)))
    distance = np.linalg.norm(place.offsets, axis=1)
    nearest = np.argsort(distance)[1:4]
    displacement = np.zeros_like(place.offsets)
    displacement[nearest] = 0.2 * place.offsets[nearest] / BOND
    defect = replace(place, displacement=displacement)

    def around_vacancies(relaxed):
        scene = compose(replace(of, relaxed=relaxed))
        few = np.flatnonzero((neighbours(scene) == 2) & inside(scene, 6.0))
        places = scene.positions[few]
        pairs = cKDTree(places).query_pairs(3.2, output_type="ndarray")
        assert len(pairs) > 60
        return np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)

    assert around_vacancies({}) == pytest.approx(2.46, abs=1e-6)
    wanted = 2.46 * (BOND + 0.2) / BOND
    assert around_vacancies({"vacancies": [defect]}) == pytest.approx(wanted, abs=1e-3)


def test_a_defect_that_was_not_relaxed_is_named():
    of = ingredients(vacancies=ONE)
    silicon = surroundings(of.pristine, Change("substitution", (25,), "Si"))
    with pytest.raises(DataError, match=r"a vacancy of atoms .* is of a kind that was not relaxed"):
        compose(replace(of, relaxed={"vacancies": [silicon]}))


def test_each_crystal_has_its_own_relaxed_defects():
    pristine = crystal("graphene", repeat=(5, 3))
    defects = [surroundings(pristine, Change("vacancy", (site,))) for site in (25, 26)]
    relaxed = {
        "results/defects/0/vacancies.extxyz": defects[:1],
        "results/defects/1/vacancies.extxyz": defects[1:],
        "results/defects/1/stone_wales.extxyz": [],
    }
    about = {"displacement": 0.05, "families": {"vacancies": ONE}}
    first, second, third = (
        Ingredients.of(pristine, about, relaxed, number=number) for number in range(3)
    )
    assert first.relaxed == {"vacancies": defects[:1]}
    assert second.relaxed == {"vacancies": defects[1:], "stone_wales": []}
    assert third.relaxed == {}
    assert (first.displacement, first.families) == (0.05, {"vacancies": ONE})


EVERYTHING = SceneOptions(
    20.0, 14.0, rotation=True, strain=0.01, grain_boundaries=0.5, edges=0.5, pores=0.5
)


def many(numbers, *, seed=5):
    crystals = [
        ingredients(displacement=0.05, vacancies=ONE, displacements={}),
        ingredients("mos2", displacement=0.05),
    ]
    families = [
        ["vacancies", "displacements", "vacancies"][: numbers[0]],
        ["displacements"] * numbers[1],
    ]
    return list(compose_scenes(crystals, families, EVERYTHING, seed=seed))


def test_crystals_come_alternately_with_their_families():
    made = many((3, 2))
    assert [scene.info["structure"] for scene in made] == [f"scene-{n:04d}" for n in range(5)]
    assert ["Mo" in scene.symbols for scene in made] == [False, True] * 2 + [False]
    assert [scene.info["family"] for scene in made] == [
        *("vacancies", "displacements", "displacements", "displacements", "vacancies")
    ]


def test_same_seed_same_scenes_and_more_leave_the_others_as_they_are():
    few, more, other = many((2, 1)), many((3, 2)), many((2, 1), seed=6)
    for one, same, another in zip(few, more, other, strict=False):
        assert one == same
        assert one.info == same.info
        assert len(one) != len(another) or not np.allclose(one.positions, another.positions)
    assert len(more) == 5


def test_pristine_and_options_are_not_changed():
    of = ingredients(vacancies=ONE)
    before = of.pristine.copy()
    compose(of, edges=1.0, pores=1.0, grain_boundaries=1.0)
    assert of.pristine == before
    assert of.families == {"vacancies": ONE}


def test_rim_is_wide_enough_for_the_density_of_the_image():
    """As the default of the configuration draws it."""
    network = ChargeNetwork(5)
    assert BORDER + (network.reach + 2) * PIXEL < MARGIN


@pytest.fixture(scope="module", autouse=True)
def small():
    """One thread and small tiles."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density, "TILE", 32)
        yield
    torch.set_num_threads(threads)


def drawn_by(structures, species=("C",)):
    """A density that knows structures, and whose network has learned nothing."""
    torch.manual_seed(1)
    network = ChargeNetwork(len(species) * (len(SEEN) + 1), width=8, dilations=(1,))
    torch.nn.init.normal_(network.last.weight, std=0.01)
    round_density = np.zeros((len(species), len(ROUND)))
    round_density[:, 3] = 4.0
    return DensityModel(
        network.eval(),
        tuple(species),
        round_density,
        np.ones(len(species) * (len(SEEN) + 1), np.float32),
        PIXEL,
        Neighbourhoods.of(structures, species),
        {
            "quantity": "projected density",
            "unit": "e/angstrom^2",
            "structures": ["train-0000", "train-0001"],
        },
    )


def arrays(scene):
    return AtomArrays.stored(stored_structure(scene))


@pytest.fixture(scope="module")
def composed():
    of = ingredients(displacement=0.05)
    return [arrays(compose(of, seed=seed, size=9.6)) for seed in range(8)]


@pytest.fixture(scope="module")
def model(composed):
    """Learned of scenes whose rims are cut off: of what is ordinary in them."""
    learned = Neighbourhoods.of(
        [arrays(compose(ingredients(displacement=0.05), seed=s)) for s in (20, 21)], ["C"]
    )
    return replace(drawn_by(composed), neighbourhoods=learned)


def test_scenes_are_drawn_without_their_margin(model, composed):
    found = Scenes(model, composed[:2], size=48, margin=MARGIN)
    images = list(found)
    assert len(found) == len(images) == 2
    for image, atoms in zip(images, composed, strict=False):
        assert (image.shape, image.dtype) == ((48, 48), np.float32)
        places = (atoms.positions[:, :2] - MARGIN) / PIXEL
        shown = ((places > 3) & (places < 44)).all(axis=1)
        # an atom is bright where it lies, and a pore is not
        at_atoms = image[tuple(places[shown].round().astype(int).T)]
        assert at_atoms.mean() > image.mean() + image.std()
        electrons = 4 / (2.46**2 * np.sqrt(3) / 4)
        assert image.mean() == pytest.approx(electrons, rel=0.1)
    # drawn anew each time, and the same
    assert (next(iter(found)) == images[0]).all()


def test_a_margin_does_not_count_once_it_is_wide_enough(model):
    of = ingredients(displacement=0.05)
    scene = arrays(compose(of, size=20.0))
    wide = Scenes(model, [scene], size=20, margin=MARGIN + 8.0)
    (image,) = wide
    outer = MARGIN + 8.0 - (BORDER + (model.network.reach + 2) * PIXEL) - 1.0
    kept = (scene.positions[:, :2] > outer).all(axis=1)
    cut = replace(scene, symbols=scene.symbols[kept], positions=scene.positions[kept])
    (without,) = replace_atoms(wide, cut)
    assert without == pytest.approx(image, abs=1e-3)


def replace_atoms(found, atoms):
    return Scenes(found.model, [atoms], size=found.size, margin=found.margin)


def test_a_narrow_margin_is_refused(model, composed):
    needed = BORDER + (model.network.reach + 2) * PIXEL
    message = rf"margin of 5 Å, expected at least {needed:.1f}.*compose them again"
    with pytest.raises(DataError, match=message):
        Scenes(model, composed, size=48, margin=5.0)


def test_elements_that_were_not_learned_are_named(model, composed):
    symbols = composed[1].symbols.astype("<U2")
    symbols[0] = "Si"
    foreign = replace(composed[1], symbols=symbols)
    with pytest.raises(DataError, match=r"of C, not of Si; add structures"):
        Scenes(model, [composed[0], foreign], size=48, margin=MARGIN)


def test_what_was_learned_is_hardly_unlike_and_the_rim_does_not_count(model, composed):
    found = Scenes(model, composed, size=48, margin=MARGIN)
    assert len(found.unlike) == len(composed)
    assert np.mean(found.unlike) < 0.05
    # at the rim, atoms lack neighbours
    strange = np.concatenate([model.neighbourhoods.strangeness(atoms) for atoms in composed])
    assert (strange > 1).mean() > 0.1
    assert found.remark() == (
        f"surroundings unlike all that was learned: {np.mean(found.unlike):.2%} of their atoms, "
        f"{max(found.unlike):.2%} in one scene"
    )


def test_scenes_unlike_all_that_was_learned_are_refused(model, composed):
    of = ingredients(displacement=0.05)
    small = replace(of, pristine=crystal("graphene", repeat=(5, 3), lattice_constant=2.25))
    strange = arrays(compose(small, size=9.6))
    message = (
        rf"scenes 1, 3: up to .*% of their atoms .* at most {MOST_UNLIKE:.0%}; .*scenes\.strain"
    )
    with pytest.raises(DataError, match=message):
        Scenes(model, [composed[0], strange, composed[1], strange], size=48, margin=MARGIN)


def test_a_scene_of_nothing_but_vacuum_is_not_unlike(model, composed):
    atoms = composed[0]
    places = atoms.positions[:, :2]
    beside = (places < 5.0).any(axis=1)
    empty = replace(atoms, symbols=atoms.symbols[beside], positions=atoms.positions[beside])
    found = Scenes(model, [empty], size=48, margin=MARGIN)
    assert found.unlike == [0.0]
    assert np.abs(next(iter(found))[10:38, 10:38]).max() < 1e-2


@pytest.fixture
def written(model, composed, tmp_path):
    found = Scenes(model, composed[:3], size=48, margin=MARGIN)
    files = {"clean": str(tmp_path / "clean.tif"), "manifest": str(tmp_path / "manifest.json")}
    scales = [IntensityScale(0.5, 4.0), IntensityScale(0.0, 8.0)]
    plan = DataSetPlan("", "train", 7, (), 0.25, False)
    return found, files, scales, write_scenes(found, scales, plan, **files)


def test_written_scenes_are_normalised(written):
    found, files, scales, data = written
    for opened in (data, read_dataset(**files)):
        assert opened.clean.shape == (3, 48, 48)
        for number, image in enumerate(found):
            wanted = scales[number % 2].normalise(image)
            assert opened.clean[number] == pytest.approx(wanted, abs=1e-6)
        assert opened.sampling == (PIXEL, PIXEL)
        assert opened.noisy.shape == (0, 48, 48)
        assert list(opened.frames) == []
        assert opened.c_noise == []
    assert read_images(files["clean"]).quantity == "normalised projected density, learned"


def test_the_manifest_of_scenes_says_what_they_are(written):
    found, files, _, data = written
    manifest = read_json(files["manifest"])
    assert data.manifest == manifest
    assert manifest["unlike"] == pytest.approx(found.unlike, abs=1e-6)
    assert manifest["structures"] == ["train-0000", "train-0001"]
    assert manifest["sampling_angstrom"] == [PIXEL, PIXEL]
    assert manifest["scale"] == {"offset": 0.5, "range": 4.0, "unit": "e/angstrom^2"}
    assert manifest["scales"][1] == {"offset": 0.0, "range": 8.0}
    assert (manifest["split"], manifest["seed"], manifest["clip"]) == ("train", 7, False)
    assert manifest["background_correlation"] == 0.25
    assert set(manifest["sha256"]) == {"clean"}


def test_scenes_are_parted_by_crystal(written):
    _, _, _, data = written
    second = data.of_crystal(1, 2)
    assert second.clean.shape == (1, 48, 48)
    assert second.manifest["scale"] == {"offset": 0.0, "range": 8.0}


def test_scenes_are_the_same_for_every_noise(written):
    _, files, _, data = written
    listed = {f"train_{kind}": path for kind, path in files.items()}
    found = read_noises(listed, "train", ["gaussian", "poisson"])
    assert list(found) == ["gaussian", "poisson"]
    for own in found.values():
        assert (own.clean == data.clean).all()
        assert own.noisy.shape[0] == len(own.frames) == 0
        assert own.manifest == data.manifest
