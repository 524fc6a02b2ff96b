"""The learned density: against a made-up DFT, whose electrons are known, and symmetry."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.structures import Disorder, build_structure, stored_structure
from temdenoise.images.atoms import AtomArrays
from temdenoise.images.storage import read_images, write_images
from temdenoise.learning import density, density_training
from temdenoise.learning.density import BORDER, FORMAT, DensityModel
from temdenoise.learning.density_training import (
    NEAR_DEFECT,
    KnownMap,
    compared,
    farthest_off,
    judge_density,
    overall,
    sites_of,
    train_density,
)
from temdenoise.learning.neighbourhoods import REACH

PIXEL = 0.2  # Å
SIDES = (12.4, 12.8)  # Å, even numbers of pixels, as graphene's but for a per cent
SHAPE = (62, 64)
ROUNDING = 1e-3  # e/Å², of densities up to some 4
ELECTRONS = {"C": 4.0, "B": 3.0, "N": 5.0, "Si": 4.0}
WIDTHS = {"C": 0.45, "B": 0.5, "N": 0.4, "Si": 0.6}  # Å
BONDED = 1.6  # Å
BOND = 1.0  # electrons that two bonded atoms put in their middle
BOND_WIDTH = 0.3  # Å
PARAMETERS = {
    "displacements": {},
    "vacancies": {"element": "any", "count": (0, 2), "apart": 0},
    "double_vacancies": {"element": "any", "count": (1, 1)},
    "stone_wales": {"count": (1, 1)},
    "substitution": {"replace": {"C": ["Si"]}, "count": (1, 1)},
    "strain": {"limit": 0.03},
}
HELD_OUT = (
    ("vacancies", {"count": (2, 2), "apart": 4.0}),
    ("double_vacancies", {}),
    ("strain", {}),
    ("displacements", {}),
)


def periodic(offsets, sides):
    """The shortest of all periodic copies."""
    offsets = offsets.copy()
    offsets[..., :2] -= np.array(sides) * np.round(offsets[..., :2] / sides)
    return offsets


def made_up_density(atoms, *, spacing=0.1):
    """A Gaussian at every atom, one in the middle of every bond, and the electrons of the atoms."""
    shape = np.round(np.array(atoms.sides) / spacing).astype(int)
    sampling = np.array(atoms.sides) / shape
    points = np.stack(np.indices(shape), axis=-1) * sampling

    def gaussian(place, width):
        apart = periodic(points - place[:2], atoms.sides)
        return np.exp(-0.5 * (apart**2).sum(axis=-1) / width**2) / (2 * np.pi * width**2)

    own = np.array([ELECTRONS[symbol] for symbol in atoms.symbols])
    apart = periodic(atoms.positions[:, None] - atoms.positions, atoms.sides)
    total = np.zeros(shape)
    for i, j in np.argwhere(np.triu(np.linalg.norm(apart, axis=-1) < BONDED, 1)):
        own[[i, j]] -= BOND / 2
        total += BOND * gaussian(atoms.positions[i] - apart[i, j] / 2, BOND_WIDTH)
    for place, symbol, electrons in zip(atoms.positions, atoms.symbols, own, strict=True):
        total += electrons * gaussian(place, WIDTHS[symbol])
    return total, tuple(sampling.tolist())


def structure(family="vacancies", *, name="graphene", seed=1, number=0, **changed):
    pristine = crystal(name, repeat=(5, 3))
    pristine.set_cell([*SIDES, pristine.cell.lengths()[2]], scale_atoms=True)
    atoms = build_structure(
        pristine,
        generator(seed, family, number),
        Disorder(family, PARAMETERS[family] | changed, 0.05, fade_width=2.5, defect_margin=3.0),
        name=f"{family}-{number:04d}",
    )
    return stored_structure(atoms)


def known_map(*arguments, **options):
    stored = structure(*arguments, **options)
    return KnownMap.of(*made_up(stored))


def made_up(stored):
    total, sampling = made_up_density(AtomArrays.stored(stored))
    return total, stored, sampling


def without_map(stored):
    """What sites are sorted of, where the density does not matter."""
    return KnownMap.of(np.zeros((62, 64)), stored, (PIXEL, PIXEL))


@pytest.fixture(scope="module", autouse=True)
def small():
    """One thread and small images: windows, tiles and what is beside them cost seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density_training, "WINDOW", 64)
        patch.setattr(density, "TILE", 64)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def maps():
    return [known_map(number=number) for number in range(6)]


@pytest.fixture(scope="module")
def model(maps):
    """Learned in seconds."""
    about = {"quantity": "projected density", "unit": "e/angstrom^2"}
    return train_density(maps, sampling=PIXEL, steps=220, seed=1, about=about)


@pytest.fixture(scope="module")
def held_out():
    return [known_map(family, seed=2, **changed) for family, changed in HELD_OUT]


@pytest.fixture
def pristine():
    stored = structure("displacements")
    cell = crystal("graphene", repeat=(5, 3))
    return AtomArrays(
        np.array(stored["symbols"].split()),
        cell.positions * (SIDES[0] / cell.cell[0, 0], SIDES[1] / cell.cell[1, 1], 1),
        SIDES,
    )


@pytest.fixture(scope="module")
def clusters():
    """Two flat clusters 20 Å apart, and each alone."""
    rng = np.random.default_rng(3)
    cell = crystal("graphene", repeat=(2, 1)).positions
    first, second = (
        cell[:n] + rng.normal(0, 0.05, (n, 3)) * (1, 1, 0) + (x, 9, 0)
        for n, x in ((8, 7.0), (6, 30.0))
    )
    return [
        AtomArrays(np.array(["C"] * len(p)), p, (40.0, 20.0))
        for p in (np.concatenate([first, second]), first, second)
    ]


def spread(model):
    """Standard deviation of what was learned [e/Å²]."""
    return float(model.draw(AtomArrays.stored(structure(number=1)), SHAPE).std())


def shifted(atoms, x, y, z=0.0):
    middle = None if atoms.middle is None else atoms.middle + z
    return replace(atoms, positions=atoms.positions + np.array([x, y, z]), middle=middle)


def bonding_alone(model):
    return replace(model, round_density=np.zeros_like(model.round_density))


def test_the_made_up_maps_hold_the_electrons_of_their_atoms(maps):
    for known in maps:
        electrons = known.density.sum() * np.prod(known.sampling)
        assert electrons == pytest.approx(4 * len(known.atoms.symbols), rel=1e-6)


@pytest.mark.parametrize("number", range(3))
def test_no_electron_is_lost_or_made(model, number):
    atoms = AtomArrays.stored(structure(seed=2, number=number))
    drawn = model.draw(atoms, SHAPE)
    assert drawn.sum() * PIXEL**2 == pytest.approx(4 * len(atoms.symbols), rel=1e-3)


def test_bonding_moves_charge_and_makes_none(model):
    atoms = AtomArrays.stored(structure(seed=2))
    change = bonding_alone(model).draw(atoms, SHAPE).astype(float)
    assert change.std() > 0.1 * spread(model)
    assert abs(change.sum()) < 1e-5 * np.abs(change).sum()


def test_charge_goes_from_the_atoms_to_the_bonds(model, pristine):
    change = bonding_alone(model)
    places = pristine.positions[:, :2]
    apart = periodic(places[:, None] - places, SIDES)
    pairs = np.argwhere(np.triu(np.linalg.norm(apart, axis=-1) < BONDED, 1))
    middles = places[pairs[:, 0]] - apart[tuple(pairs.T)] / 2

    def mean_at(points):
        return np.mean([change.draw(pristine, (1, 1), origin=tuple(p))[0, 0] for p in points[:6]])

    assert mean_at(middles) > 0.3 * spread(model)
    assert mean_at(places) < 0


def test_what_lies_far_apart_is_added_up(model, clusters):
    both, first, second = (model.draw(atoms, (200, 100)) for atoms in clusters)
    assert both.max() > 1
    assert both == pytest.approx(first + second, abs=ROUNDING)
    # electrons of clusters, whose bonds are not those of the crystal
    for drawn, atoms in zip((both, first, second), clusters, strict=True):
        assert drawn.sum() * PIXEL**2 == pytest.approx(4 * len(atoms.symbols), rel=1e-3)


def test_vacuum_is_empty(model, clusters):
    atoms = clusters[1]
    drawn = model.draw(atoms, (200, 100))
    points = np.stack(np.indices(drawn.shape), axis=-1) * PIXEL
    nearest = np.min(
        [
            np.linalg.norm(periodic(points - p, atoms.sides), axis=-1)
            for p in atoms.positions[:, :2]
        ],
        axis=0,
    )
    assert nearest.max() > BORDER
    assert np.abs(drawn[nearest > 5]).max() < 1e-2 * drawn.max()
    assert np.abs(drawn[nearest > BORDER]).max() < 1e-4 * drawn.max()


def test_an_image_without_atoms_is_black(model, clusters):
    drawn = model.draw(clusters[1], (20, 20), origin=(28.0, 10.0))
    assert np.abs(drawn).max() < 1e-6


def test_shifted_atoms_are_drawn_shifted(model):
    """By whole blocks of 2 x 2 pixels exactly."""
    atoms = AtomArrays.stored(structure(seed=2))
    before = model.draw(atoms, SHAPE)
    for pixels in ((2, 0), (-4, 6), (31 * 2, 10)):
        moved = shifted(atoms, *np.multiply(pixels, PIXEL))
        assert model.draw(moved, SHAPE) == pytest.approx(
            np.roll(before, pixels, (0, 1)), abs=ROUNDING
        )


def test_height_of_the_layer_does_not_matter(model):
    atoms = AtomArrays.stored(structure(seed=2))
    lifted = shifted(atoms, 0, 0, 3.3)
    drawn = (model.draw(own, SHAPE) for own in (atoms, lifted))
    assert next(drawn) == pytest.approx(next(drawn), abs=ROUNDING)


def test_a_vacancy_does_not_lift_the_other_atoms(model):
    """Of a crystal of two planes, as gold along [110] is."""
    planes = 5.0 + np.arange(60) % 2
    flat = AtomArrays.stored(structure("displacements"))
    planar = np.column_stack([flat.positions[:, :2], planes])
    atoms = replace(flat, positions=planar, middle=5.5)
    without = replace(atoms, symbols=atoms.symbols[1:], positions=atoms.positions[1:])
    heights = [
        set(model.view(own, np.array(SIDES) / 2, 64).offsets[:, 2].round(6).tolist())
        for own in (atoms, without)
    ]
    assert heights[0] == heights[1] == {-0.5, 0.5}


def test_order_of_the_atoms_does_not_matter(model, rng):
    atoms = AtomArrays.stored(structure(seed=2))
    order = rng.permutation(len(atoms.symbols))
    shuffled = replace(atoms, positions=atoms.positions[order])
    drawn = (model.draw(own, SHAPE) for own in (atoms, shuffled))
    assert next(drawn) == pytest.approx(next(drawn), abs=ROUNDING)


def test_parts_and_tiles_are_those_of_the_whole(model, monkeypatch):
    atoms = AtomArrays.stored(structure(seed=2))
    whole = model.draw(atoms, (90, 70))
    assert (whole.shape, whole.dtype) == ((90, 70), np.float32)
    # the cell is periodic
    assert whole[:28] == pytest.approx(whole[62:], abs=ROUNDING)
    part = model.draw(atoms, (31, 17), origin=(40 * PIXEL, 22 * PIXEL))
    assert part == pytest.approx(whole[40:71, 22:39], abs=ROUNDING)
    for tile in (32, 128):
        monkeypatch.setattr(density, "TILE", tile)
        assert model.draw(atoms, (90, 70)) == pytest.approx(whole, abs=ROUNDING)


def test_the_perfect_crystal_has_the_period_of_its_lattice(model, pristine):
    """In Fourier space: five orthogonal, centred cells along x and three along y."""
    power = np.abs(np.fft.fft2(model.draw(pristine, SHAPE))) ** 2
    power[0, 0] = 0
    i, j = (np.fft.fftfreq(n, 1 / n).round().astype(int) for n in SHAPE)
    row, column = np.meshgrid(i, j, indexing="ij")
    bragg = (row % 5 == 0) & (column % 3 == 0) & ((row // 5 + column // 3) % 2 == 0)
    assert bragg.sum() < power.size / 25
    assert power[~bragg].sum() < 0.05**2 * power.sum()


@pytest.mark.parametrize("image", ["turned", "mirrored", "turned over", "one pixel on"])
def test_symmetric_atoms_have_a_symmetric_density(model, image):
    """As far as the network has learned it."""
    atoms = AtomArrays.stored(structure(seed=2))
    before, (x, y, z) = model.draw(atoms, SHAPE), atoms.positions.T
    nx, ny = (-np.arange(n) % n for n in SHAPE)
    wanted, positions, sides = {
        "turned": (before[:, ny].T, (-y, x, z), SIDES[::-1]),
        "mirrored": (before[nx], (-x, y, z), SIDES),
        "turned over": (before, (x, y, -z), SIDES),
        "one pixel on": (np.roll(before, (1, 1), (0, 1)), (x + PIXEL, y + PIXEL, z), SIDES),
    }[image]
    drawn = model.draw(AtomArrays(atoms.symbols, np.stack(positions, 1), sides), wanted.shape)
    assert (drawn - wanted).std() < 0.08 * before.std()


def test_other_structures_are_drawn_better_than_by_round_atoms(model, held_out):
    rows = judge_density(model, held_out)
    for site, rms, superposition in overall(rows):
        assert rms < 0.6 * superposition, site
    (_, rms, superposition), *_ = overall(rows)
    assert 0.1 < superposition < 0.5
    assert rms < superposition / 2


def test_rows_are_what_the_drawn_image_says(model, held_out):
    deviation = np.concatenate([known.density.ravel() for known in held_out]).std()
    rows = judge_density(model, held_out)
    (row,) = (r for r in rows if (r["family"], r["site"]) == ("strain", "all"))
    known = next(k for k in held_out if k.family == "strain")
    drawn = model.draw(known.atoms, SHAPE)
    # every second point of the map
    error = np.sqrt(((drawn - known.density[::2, ::2]) ** 2).mean()) / deviation
    assert row["rms_over_std"] == pytest.approx(error, rel=1e-3)
    assert row["pixels"] == 62 * 64
    assert row["structure"] == known.name
    assert 0 <= row["unlike"] < 0.2


def test_surroundings_that_were_not_learned_are_counted(model, maps):
    squeezed = structure("displacements")
    squeezed["positions"] = (np.array(squeezed["positions"]) * (0.9, 0.9, 1)).tolist()
    squeezed["cell"] = [0.9 * SIDES[0], 0.9 * SIDES[1], 10.0]
    rows = judge_density(model, [maps[0], KnownMap.of(*made_up(squeezed))])
    unlike = {row["structure"]: row["unlike"] for row in rows if row["site"] == "all"}
    assert unlike == {"vacancies-0000": 0.0, "displacements-0000": 1.0}


def test_kinds_of_sites_are_told_apart_in_what_is_judged(model, held_out):
    found = {(row["family"], row["site"]) for row in judge_density(model, held_out)}
    assert found == {
        *((known.family, "all") for known in held_out),
        ("vacancies", "vacancy"),
        ("vacancies", "bulk"),
        ("double_vacancies", "double_vacancy"),
        ("double_vacancies", "bulk"),
        ("strain", "strained"),
        ("displacements", "bulk"),
    }


@pytest.mark.parametrize(
    ("family", "kind", "atoms"),
    [
        # the three neighbours of the one that is gone; four of two
        ("vacancies", "vacancy", 3),
        ("double_vacancies", "double_vacancy", 4),
        ("substitution", "Si for C", 4),
        ("stone_wales", "rotated_bond", 6),
    ],
)
def test_pixels_and_atoms_of_a_defect(family, kind, atoms):
    changed = {"count": (1, 1)} if family == "vacancies" else {}
    known = without_map(structure(family, seed=4, **changed))
    points = np.stack(np.indices(SHAPE), axis=-1) * PIXEL
    sites = {site: (pixels, owners) for site, pixels, owners in sites_of(known, points)}
    assert set(sites) == {"all", kind, "bulk"}
    assert sites["all"][0].all()
    assert sites["all"][1].all()
    pixels, owners = sites[kind]
    assert owners.sum() == atoms
    distance = np.min(
        [
            np.linalg.norm(periodic(points - (d["x"], d["y"]), SIDES), axis=-1)
            for d in known.defects
        ],
        axis=0,
    )
    assert (pixels == (distance <= NEAR_DEFECT)).all()
    for own, rest in zip(sites[kind], sites["bulk"], strict=True):
        assert (own ^ rest).all()


def test_a_defect_at_the_rim_reaches_over_it():
    stored = structure("displacements")
    stored["defects"] = [{"kind": "vacancy", "element": "C", "x": 0.1, "y": 12.75}]
    points = np.stack(np.indices(SHAPE), axis=-1) * PIXEL
    pixels = next(p for site, p, _ in sites_of(without_map(stored), points) if site == "vacancy")
    assert pixels[[0, 61, 0, 61], [0, 0, 63, 63]].all()
    assert pixels.mean() == pytest.approx(np.pi * NEAR_DEFECT**2 / np.prod(SIDES), rel=0.05)


def test_vacancies_that_are_no_neighbours_are_single_ones():
    stored = structure("displacements")
    places = [(3.0, 3.0), (3.0, 5.5), (9.0, 9.0), (9.0, 10.4)]
    stored["defects"] = [{"kind": "vacancy", "element": "C", "x": x, "y": y} for x, y in places]
    points = np.stack(np.indices(SHAPE), axis=-1) * PIXEL
    sites = {site: pixels for site, pixels, _ in sites_of(without_map(stored), points)}
    assert sites["vacancy"][15, 15]
    assert not sites["vacancy"][45, 48]
    assert sites["double_vacancy"][45, 48]
    assert not sites["double_vacancy"][15, 15]


@pytest.mark.parametrize("shift", [0.0, 3.0, 7.5, 11.5])
@pytest.mark.parametrize("along", [0, 1])
def test_where_the_layer_ends_is_an_edge(along, shift):
    """A strip of the layer, wherever it lies in the cell."""
    stored = structure("displacements")
    positions = np.array(stored["positions"])
    kept = positions[:, along] < 7.9
    low, high = positions[kept, along].min(), positions[kept, along].max()
    positions[:, along] += shift
    stored |= {
        "positions": positions[kept].tolist(),
        "symbols": " ".join(np.array(stored["symbols"].split())[kept]),
    }
    points = np.stack(np.indices(SHAPE), axis=-1) * PIXEL
    known = without_map(stored)
    sites = {site: (pixels, owners) for site, pixels, owners in sites_of(known, points)}
    assert set(sites) == {"all", "edge", "bulk"}
    pixels, owners = sites["edge"]
    own = positions[kept, along] - shift
    assert owners[(own < low + 1) | (own > high - 1)].all()
    assert not owners[(own > low + 3.1) & (own < high - 3.1)].any()
    across = points[:, :, along]
    middle = (low + high) / 2 + shift
    far = np.abs(periodic(np.stack([across - middle] * 2, -1), [SIDES[along]] * 2)[..., 0])
    assert not pixels[far < 0.05].any()
    assert not pixels[np.abs(far - SIDES[along] / 2) < 0.05].any()
    assert pixels[np.abs(far - (high - low) / 2) < 0.5].all()


def test_layers_without_an_end_have_no_edge():
    points = np.stack(np.indices(SHAPE), axis=-1) * PIXEL
    names = [site for site, _, _ in sites_of(without_map(structure("displacements")), points)]
    assert names == ["all", "bulk"]


def test_sites_are_pooled_by_their_pixels():
    def row(site, pixels, rms, superposition):
        return {
            "site": site,
            "pixels": pixels,
            "rms_over_std": rms,
            "superposition": superposition,
        }

    rows = [row("all", 100, 0.1, 0.4), row("vacancy", 10, 0.2, 0.5), row("all", 300, 0.3, 0.2)]
    assert overall(rows) == [
        ("all", pytest.approx(np.sqrt(0.07)), pytest.approx(np.sqrt(0.07))),
        ("vacancy", pytest.approx(0.2), pytest.approx(0.5)),
    ]


def test_a_planted_error_is_found(model, held_out):
    planted = list(held_out)
    known = planted[2]
    points = np.stack(np.indices(known.density.shape), axis=-1) * np.array(known.sampling)
    apart = periodic(points - (0.6, 9.0), SIDES)
    bump = known.density.max() * np.exp(-0.5 * (apart**2).sum(axis=-1) / 0.5**2)
    stored = structure("strain", seed=2)
    planted[2] = KnownMap.of(known.density + bump, stored, known.sampling)
    images, place = farthest_off(model, planted, side=6.0)
    assert place["structure"] == "strain-0000"
    assert np.linalg.norm(periodic(np.array([place["x"] - 0.6, place["y"] - 9.0]), SIDES)) < 0.5
    assert images.shape == (3, 30, 30)
    dft, drawn, difference = images
    assert difference == pytest.approx(drawn - dft, abs=1e-6)
    # in the middle of what is cut out
    lowest = np.unravel_index(np.argmin(difference), difference.shape)
    assert np.abs(np.array(lowest) - 15).max() <= 3
    assert difference.min() < -0.6 * known.density.max()


def test_map_and_drawn_image_are_compared_in_the_same_places(model, maps):
    drawn, target, points = compared(model, maps[0])
    assert drawn.shape == target.shape == points.shape[:2] == SHAPE
    assert target == pytest.approx(maps[0].density[::2, ::2], abs=1e-6)
    assert np.corrcoef(drawn.ravel(), target.ravel())[0, 1] > 0.98


def test_maps_are_read_between_their_pixels(maps):
    known = maps[0]
    coarse = KnownMap.of(
        known.density[::2, ::2], structure(number=0), tuple(2 * s for s in known.sampling)
    )
    points = np.stack(np.indices(known.density.shape), axis=-1) * np.array(known.sampling)
    beyond = points + np.array([SIDES[0], -SIDES[1]])
    assert coarse.at(beyond) == pytest.approx(known.density, abs=5e-3 * known.density.max())


def test_maps_are_read_as_the_workflow_writes_them(tmp_path, maps):
    total, stored, sampling = made_up(structure(number=0))
    write_images(
        tmp_path / "map.tif",
        total,
        sampling=sampling,
        quantity="projected density",
        unit="e/angstrom^2",
        structure=stored,
    )
    known = KnownMap.read(read_images(tmp_path / "map.tif"))
    assert (known.name, known.family) == ("vacancies-0000", "vacancies")
    assert known.density == pytest.approx(maps[0].density, rel=1e-6)
    assert known.sampling == pytest.approx(maps[0].sampling)
    assert (known.atoms.positions == maps[0].atoms.positions).all()
    assert known.defects == maps[0].defects


@pytest.fixture(scope="module")
def two_elements():
    """Boron nitride that lacks atoms of either kind, learned in one step: the round densities."""
    maps = [
        known_map(name="hbn", number=number, element=element, count=(count, count))
        for number, (element, count) in enumerate([("B", 1), ("N", 1), ("B", 2), ("N", 3)])
    ]
    return train_density(maps, sampling=PIXEL, steps=1, seed=1), maps


def test_round_densities_hold_the_valence_electrons_of_each_element(two_elements):
    model, _ = two_elements
    assert model.species == ("B", "N")
    assert model.round_density.sum(axis=1) == pytest.approx([3.0, 5.0], rel=1e-4)


def test_round_densities_are_drawn_with_their_electrons(two_elements):
    model, maps = two_elements
    for known in maps:
        boron, nitrogen = ((known.atoms.symbols == symbol).sum() for symbol in "BN")
        drawn = model.draw(known.atoms, SHAPE)
        assert drawn.sum() * PIXEL**2 == pytest.approx(3 * boron + 5 * nitrogen, rel=1e-3)


def test_one_stoichiometry_tells_only_the_sum():
    maps = [known_map("displacements", name="hbn", number=number) for number in range(4)]
    model = train_density(maps, sampling=PIXEL, steps=1, seed=1)
    assert model.round_density.sum() == pytest.approx(8.0, rel=1e-4)


def test_a_round_density_without_bonds_is_found(monkeypatch):
    """Gaussians at the atoms and nothing else need no network."""
    monkeypatch.setattr(f"{__name__}.BONDED", 0.0)
    maps = [known_map(number=number) for number in range(4)]
    model = train_density(maps, sampling=PIXEL, steps=1, seed=1)
    (_, rms, superposition), *_ = overall(judge_density(model, maps))
    assert superposition < 0.01
    assert rms < 0.01


def test_what_was_learned_survives_the_file(model, tmp_path):
    model.save(tmp_path / "a.pt")
    back = DensityModel.load(tmp_path / "a.pt")
    for key, weights in model.network.state_dict().items():
        assert (back.network.state_dict()[key] == weights).all()
    assert (back.round_density == model.round_density).all()
    assert (back.scale == model.scale).all()
    assert (back.species, back.sampling, back.about) == (model.species, PIXEL, model.about)
    assert back.about["structures"] == [f"vacancies-{n:04d}" for n in range(6)]
    atoms = AtomArrays.stored(structure(seed=2))
    assert (back.draw(atoms, SHAPE) == model.draw(atoms, SHAPE)).all()
    assert (back.neighbourhoods.strangeness(atoms) == model.neighbourhoods.strangeness(atoms)).all()
    back.save(tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def damaged(path):
    path.write_bytes(path.read_bytes()[:-1000])


def other_format(path):
    torch.save(torch.load(path, weights_only=True) | {"format": "temdenoise-density-0"}, path)


def other_network(path):
    known = torch.load(path, weights_only=True)
    known["network"]["width"] = 8
    torch.save(known, path)


def no_archive(path):
    path.write_text("no archive")


def some_weights(path):
    torch.save({"weights": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (damaged, ""),
        (other_format, "ValueError: format 'temdenoise-density-0'"),
        (other_network, "RuntimeError"),
        (no_archive, ""),
        (some_weights, "KeyError: 'format'"),
    ],
)
def test_a_file_that_is_no_learned_density_is_named_with_the_remedy(model, tmp_path, spoil, what):
    path = tmp_path / "model.pt"
    model.save(path)
    spoil(path)
    message = rf"(?s)model\.pt: no readable learned density \(.*{what}.*{FORMAT}.*run that rule"
    with pytest.raises(DataError, match=message):
        DensityModel.load(path)


def test_a_file_that_lacks_a_part_is_named(model, tmp_path):
    model.save(tmp_path / "model.pt")
    known = torch.load(tmp_path / "model.pt", weights_only=True)
    del known["neighbourhoods"]
    torch.save(known, tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"no readable learned density \(KeyError"):
        DensityModel.load(tmp_path / "model.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.pt: no readable .*rule train_density"):
        DensityModel.load(tmp_path / "none.pt")


def test_too_few_structures_are_refused(maps):
    message = r"from 3 structures \(vacancies-0000, vacancies-0001, .*at least 4;.*count\.train"
    with pytest.raises(DataError, match=message):
        train_density(maps[:3], sampling=PIXEL, steps=1, seed=1)


def test_structures_that_are_all_the_same_are_refused(maps):
    same = [replace(maps[0], name=f"train-{number:04d}") for number in range(4)]
    message = r"all the same \(train-0000, .*train-0003\).*structures\.displacement"
    with pytest.raises(DataError, match=message):
        train_density(same, sampling=PIXEL, steps=1, seed=1)


def test_cells_in_which_atoms_are_their_own_neighbours_are_refused(rng):
    maps = []
    for number in range(4):
        atoms = crystal("graphene", repeat=(1, 2 if number else 3))
        atoms.positions += rng.normal(0, 0.05, size=atoms.positions.shape)
        atoms.info = {"structure": f"train-{number:04d}", "family": "none", "defects": "[]"}
        maps.append(KnownMap.of(*made_up(stored_structure(atoms))))
    message = (
        r"its own neighbour \(train-0000: 2\.46 Å, train-0001: .*train-0003.*"
        rf"at least {REACH:g} Å; raise structures\.repeat"
    )
    with pytest.raises(DataError, match=message):
        train_density(maps, sampling=PIXEL, steps=1, seed=1)


def test_unknown_elements_are_named(model):
    atoms = AtomArrays.stored(structure("substitution"))
    message = r"of C, not of Si; add structures with them .*density\.source to dft"
    with pytest.raises(DataError, match=message):
        model.draw(atoms, SHAPE)


def test_same_seed_same_weights(maps):
    first, again, other = (
        train_density(maps[:4], sampling=PIXEL, steps=3, seed=seed) for seed in (1, 1, 2)
    )
    pairs = itertools.zip_longest(
        *(own.network.state_dict().values() for own in (first, again, other))
    )
    same = [(bool((a == b).all()), bool((a == c).all())) for a, b, c in pairs]
    assert all(own for own, _ in same)
    assert not all(other for _, other in same)


@pytest.mark.parametrize(
    "steps",
    [1, 2, 5],
)
def test_a_few_steps_are_enough_to_run(maps, steps):
    model = train_density(maps[:4], sampling=PIXEL, steps=steps, seed=1)
    assert np.isfinite(model.draw(maps[0].atoms, SHAPE)).all()


def test_progress_is_told(maps):
    told = []
    train_density(maps[:4], sampling=PIXEL, steps=10, seed=1, say=told.append)
    assert [line.split(":")[0] for line in told] == [f"step {n}" for n in (2, 4, 6, 8, 10)]
