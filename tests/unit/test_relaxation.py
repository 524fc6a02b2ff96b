"""Relaxed defects: against springs, whose forces are known, and symmetry; twice by GFN1-xTB."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.fd import calculate_numerical_forces
from ase.io import read, write
from ase.neighborlist import neighbor_list
from temdenoise.foundation.errors import ConvergenceError, DataError
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth import relaxation
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.disorder import STANDS_OUT, Change, Supercell, fade, rim_distance
from temdenoise.groundtruth.families import CHANGES
from temdenoise.groundtruth.relaxation import (
    FORCE,
    REACH,
    RELAXED,
    RIM,
    THEORIES,
    Defect,
    Theory,
    apply,
    fitted,
    kinds,
    placed,
    relax,
    relax_family,
    surroundings,
)
from temdenoise.groundtruth.structures import Disorder, build_structure

REPEAT = {"graphene": (5, 3), "hbn": (5, 3), "mos2": (4, 2)}
BOND = 2.46 / np.sqrt(3)  # Å
ANY = {"element": "any"}
CASES = [
    ("graphene", "vacancies", ANY, 1),
    ("graphene", "double_vacancies", ANY, 1),
    ("graphene", "stone_wales", {}, 1),
    ("graphene", "substitution", {"replace": {"C": ["Si", "N"]}}, 2),
    ("hbn", "vacancies", ANY, 2),
    ("hbn", "vacancies", {"element": "B"}, 1),
    ("hbn", "double_vacancies", ANY, 1),
    ("mos2", "vacancies", {"element": "S"}, 1),
    ("mos2", "vacancies", ANY, 2),
]


class Springs(Calculator):
    """Springs between first and second neighbours of graphene, and each atom to a plane.

    Those between first neighbours are stretched and those between second ones compressed by so
    much that graphene is in equilibrium at `size` times 2.46 Å, but not what surrounds a vacancy.
    `rise` is the height of the plane above the middle of the cell [Å], `silicon` how much longer
    bonds of silicon are.
    """

    implemented_properties = ("energy", "forces")
    STIFF = (30.0, 10.0, 5.0)  # eV/Å²
    TENSION = 0.06  # Å

    def __init__(self, *, size=1.0, rise=0.0, silicon=1.0):
        super().__init__()
        first, second, _ = self.STIFF
        # no force on the lattice constant: 3 and 6 neighbours
        pressed = first * BOND * self.TENSION / (2 * second * 2.46)
        self.rest = size * np.array([BOND - self.TENSION, 2.46 + pressed])
        self.rise, self.silicon = rise, silicon

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        first, second, plane = self.STIFF
        i, j, vector = neighbor_list("ijD", atoms, 2.64)
        length = np.linalg.norm(vector, axis=1)
        near = length < 1.95
        strength = np.where(near, first, second)
        foreign = near & ((atoms.symbols == "Si")[i] | (atoms.symbols == "Si")[j])
        rest = np.where(near, *self.rest) * np.where(foreign, self.silicon, 1.0)
        lift = atoms.positions[:, 2] - atoms.cell[2, 2] / 2 - self.rise
        pull = (strength * (length - rest) / length)[:, None] * vector
        forces = np.zeros_like(atoms.positions)
        np.add.at(forces, i, pull)
        forces[:, 2] -= plane * lift
        stored = (strength * (length - rest) ** 2).sum() / 4 + plane * (lift**2).sum() / 2
        self.results = {"energy": stored, "forces": forces}


def cell_of(name="graphene", repeat=None, margin=3.0):
    pristine = crystal(name, repeat=repeat or REPEAT[name])
    return Supercell(pristine, fade_width=2.5, defect_margin=margin)


def first_of(cell, family, parameters):
    """One defect of a family, in the middle."""
    return kinds(cell, family, parameters)[0]


def springy(monkeypatch, **options):
    """Make springs a theory of the configuration."""
    theory = Theory(lambda atoms, _: Springs(**options), fits=True)
    monkeypatch.setitem(THEORIES, "springs", theory)


def relaxed_by_springs(cell, family="vacancies", parameters=ANY):
    return relax_family(cell, family, parameters, theory="springs", options={}, seed=1)


def radial(place):
    """Displace every atom away from the defect: what all symmetries leave as it is."""
    far = np.linalg.norm(place.offsets, axis=1, keepdims=True)
    return replace(place, displacement=0.1 * np.exp(-far) * place.offsets)


def lopsided(cell, change):
    """One defect, of whose neighbours one moves: the symmetry is broken."""
    place = surroundings(cell.pristine, change)
    displacement = np.zeros_like(place.offsets)
    distance = np.linalg.norm(place.offsets, axis=1)
    neighbour = int(np.argmin(np.where(place.changed, np.inf, distance)))
    displacement[neighbour] = 0.2 * place.offsets[neighbour] / distance[neighbour]
    return replace(place, displacement=displacement)


def test_forces_of_the_springs_are_those_of_their_energy():
    """The reference of the tests below; against differences, and at rest in the crystal."""
    atoms = crystal("graphene", repeat=(3, 2))
    atoms.calc = Springs()
    assert np.abs(atoms.get_forces()).max() < 1e-9
    atoms.rattle(0.03, seed=1)
    atoms.symbols[3] = "Si"
    atoms.calc = Springs(rise=0.1, silicon=1.05)
    wanted = calculate_numerical_forces(atoms, eps=1e-4)
    assert atoms.get_forces() == pytest.approx(wanted, abs=1e-5)


def test_families_that_are_relaxed_are_those_that_list_their_defects():
    assert set(CHANGES) == set(RELAXED)


@pytest.mark.parametrize(("name", "family", "parameters", "number"), CASES)
def test_number_of_kinds(name, family, parameters, number):
    cell = cell_of(name)
    found = kinds(cell, family, parameters)
    assert len(found) == number
    # each as near the middle as it occurs
    middle = cell.pristine.cell.lengths()[:2] / 2
    for change in found:
        place = cell.pristine.positions[list(change.sites), :2].mean(axis=0)
        assert np.linalg.norm(place - middle) < 4.0


def test_pairs_of_two_kinds_of_neighbours_are_two_kinds():
    """In a stretched sheet the bonds along one axis are others."""
    cell = cell_of()
    stretched = cell.pristine.copy()
    stretched.set_cell(stretched.cell.lengths() * (1.0, 1.12, 1.0), scale_atoms=True)
    bonds = [Change("rotated_bond", pair) for pair in cell.neighbours()]
    places = [surroundings(stretched, change) for change in bonds]
    fits = {bool(placed(places[0], place)) for place in places}
    assert fits == {True, False}


@pytest.mark.parametrize(("name", "family", "parameters", "number"), CASES)
def test_displacement_away_from_the_defect_is_so_at_every_other_one(
    name, family, parameters, number
):
    cell = cell_of(name)
    known = [radial(surroundings(cell.pristine, c)) for c in kinds(cell, family, parameters)]
    for change in CHANGES[family](cell, **parameters):
        place = surroundings(cell.pristine, change)
        ways = [placed(defect, place) for defect in known]
        # of one kind alone
        assert sorted(map(bool, ways)) == [False] * (number - 1) + [True]
        wanted = radial(place).displacement
        near = np.linalg.norm(place.offsets[:, :2], axis=1) < REACH - 0.5
        for way in itertools.chain(*ways):
            assert way[near] == pytest.approx(wanted[near], abs=2e-3)


def test_broken_symmetry_fits_in_three_ways():
    cell = cell_of()
    one, other = (Change("vacancy", (site,)) for site in cell.sites()[[3, 10]].tolist())
    defect, place = lopsided(cell, one), surroundings(cell.pristine, other)
    ways = placed(defect, place)
    movers = [np.flatnonzero(np.linalg.norm(way, axis=1) > 1e-6) for way in ways]
    assert all(len(mover) == 1 for mover in movers)
    for way, (mover,) in zip(ways, movers, strict=True):
        # away from the vacancy, whichever neighbour it is
        outwards = place.offsets[mover] / np.linalg.norm(place.offsets[mover])
        assert way[mover] == pytest.approx(0.2 * outwards, abs=1e-4)
    distance = np.linalg.norm(place.offsets, axis=1)
    assert {int(m) for (m,) in movers} == set(np.argsort(distance)[1:4].tolist())


@pytest.mark.parametrize(
    "other",
    [
        Change("substitution", (25,), "N"),
        Change("substitution", (25, 26), "Si"),
        Change("vacancy", (25,)),
    ],
)
def test_another_kind_or_element_does_not_fit(other):
    cell = cell_of()
    silicon = radial(surroundings(cell.pristine, Change("substitution", (25,), "Si")))
    assert placed(silicon, surroundings(cell.pristine, Change("substitution", (26,), "Si")))
    assert placed(silicon, surroundings(cell.pristine, other)) == []


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("vacancies", ANY),
        ("double_vacancies", ANY),
        ("substitution", {"replace": {"C": ["Si"]}}),
    ],
)
def test_placed_agrees_with_relaxing_that_one_itself(family, parameters):
    cell = cell_of(repeat=(7, 4), margin=6.0)
    pristine, still = cell.pristine, np.zeros((len(cell.pristine), 3))

    def solved(change):
        return relax(pristine, change, lambda atoms: Springs(silicon=1.06), without=still, seed=1)

    changes = CHANGES[family](cell, **parameters)
    first = changes[0]
    defect = replace(surroundings(pristine, first), displacement=solved(first))
    largest = np.linalg.norm(defect.displacement, axis=1).max()
    assert largest > 0.03
    # the other sublattice, or a pair along another axis
    along = np.sort(pristine.positions[list(first.sites), 0])
    turned = [
        c
        for c in changes
        if abs(np.ptp(pristine.positions[list(c.sites), 0]) - np.ptp(along)) > 0.5
    ]
    for other in (turned or changes[1:2])[:1]:
        place, own = surroundings(pristine, other), solved(other)
        near = np.linalg.norm(place.offsets[:, :2], axis=1) < REACH
        for way in placed(defect, place):
            assert np.linalg.norm((way - own)[near], axis=1).max() < 0.02
        # and not because little moves, or the same way in both
        assert np.linalg.norm((defect.displacement - own)[near], axis=1).max() > 0.02


def test_rim_is_fixed_and_hardly_a_force_is_left():
    cell = cell_of()
    pristine, change = cell.pristine, first_of(cell, "vacancies", ANY)
    moved = relax(
        pristine, change, lambda atoms: Springs(), without=np.zeros((len(pristine), 3)), seed=1
    )
    rim = rim_distance(pristine.positions, pristine.cell.lengths()) <= RIM
    assert rim.any()
    assert (moved[rim] == 0).all()
    assert (moved[list(change.sites)] == 0).all()
    kept = np.delete(np.arange(len(pristine)), change.sites)
    atoms = pristine[kept]
    atoms.calc = Springs()
    before = np.linalg.norm(atoms.get_forces(), axis=1).max()
    atoms.positions += moved[kept]
    after = np.linalg.norm(atoms.get_forces(), axis=1)[~rim[kept]].max()
    assert after <= FORCE < before / 10
    # the tension of the missing bonds is gone: its neighbours move away
    place = surroundings(pristine, change)
    around = np.argsort(np.linalg.norm(place.offsets, axis=1))[1:4]
    assert ((moved * place.offsets)[around].sum(axis=1) > 0).all()


def test_what_the_pristine_crystal_does_by_itself_is_not_the_defects(monkeypatch):
    """A sheet whose plane lies 0.3 Å higher rises between its fixed rims, defect or none."""
    cell = cell_of(repeat=(7, 4), margin=6.0)
    springy(monkeypatch, rise=0.3)
    (defect,) = relaxed_by_springs(cell)
    pristine = cell.pristine
    far = np.linalg.norm(defect.offsets[:, :2], axis=1) > 5.0
    alone = relaxation._relaxed(pristine, pristine, lambda atoms: Springs(rise=0.3), 1)
    assert (alone - pristine.positions)[far, 2].max() > 0.15
    assert np.abs(defect.displacement[far]).max() < 0.02


@pytest.mark.parametrize("size", [0.97, 1.0, 1.04])
def test_lattice_constant_of_the_calculator_is_found(size):
    pristine = crystal("graphene", repeat=(4, 3))
    own = fitted(pristine, lambda atoms: Springs(size=size))
    stretch = own.cell.lengths() / pristine.cell.lengths()
    assert stretch[:2] == pytest.approx(size, rel=3e-3)
    assert stretch[2] == 1
    assert np.ptp(own.get_distances(0, [1, 2, 3], mic=True)) == pytest.approx(
        stretch[0] * np.ptp(pristine.get_distances(0, [1, 2, 3], mic=True))
    )


@pytest.mark.parametrize("size", [0.90, 1.10])
def test_lattice_constant_far_away_is_refused(size):
    with pytest.raises(ConvergenceError, match=r"C48 is not lowest within 6 %.*relaxation to none"):
        fitted(crystal("graphene", repeat=(4, 3)), lambda atoms: Springs(size=size))


def test_size_of_the_calculator_is_no_displacement(monkeypatch):
    """Relaxed in a lattice 3 % larger, a vacancy moves its neighbours as in one that fits."""
    cell = cell_of(repeat=(5, 3))
    found = []
    for size in (1.0, 1.03):
        springy(monkeypatch, size=size)
        (defect,) = relaxed_by_springs(cell)
        found.append(defect.displacement)
    assert np.abs(found[1] - found[0]).max() < 0.01


def test_what_does_not_converge_names_the_remedy(monkeypatch):
    monkeypatch.setattr(relaxation, "STEPS", 1)
    springy(monkeypatch)
    with pytest.raises(
        ConvergenceError, match=r"force of .* eV/Å after 1 steps; .*structures\.relaxation to none"
    ):
        relaxed_by_springs(cell_of())


def test_same_seed_same_relaxation(monkeypatch):
    springy(monkeypatch)
    (first,), (again,) = (relaxed_by_springs(cell_of(repeat=(4, 3))) for _ in range(2))
    assert (first.displacement == again.displacement).all()


def test_defects_survive_the_file(tmp_path, rng):
    cell = cell_of("hbn")
    changes = [Change("vacancy", (25, 26)), Change("substitution", (26,), "Si")]
    defects = [surroundings(cell.pristine, change) for change in changes]
    defects = [replace(d, displacement=rng.normal(0, 0.1, size=d.offsets.shape)) for d in defects]
    write(tmp_path / "a.extxyz", [defect.to_atoms() for defect in defects], format="extxyz")
    found = [Defect.from_atoms(atoms) for atoms in read(tmp_path / "a.extxyz", ":")]
    for back, defect in zip(found, defects, strict=True):
        assert (back.kind, back.by) == (defect.kind, defect.by)
        assert (back.symbols == defect.symbols).all()
        assert (back.changed == defect.changed).all()
        assert back.changed.dtype == bool
        assert back.offsets == pytest.approx(defect.offsets, abs=1e-6)
        assert back.displacement == pytest.approx(defect.displacement, abs=1e-6)
        assert placed(back, defect)


def build(relaxed, *, displacement=0.0, seed=1, family="vacancies", name="graphene", **parameters):
    parameters = {"element": "any", "count": (1, 1), "apart": 0} | parameters
    if family == "substitution":
        parameters = {"replace": {"C": ["N"]}, "count": (1, 1)}
    disorder = Disorder(family, parameters, displacement, fade_width=2.5, defect_margin=3.0)
    pristine = crystal(name, repeat=REPEAT[name])
    rng = generator(seed, "structure", "train-0000")
    return build_structure(pristine, rng, disorder, name="train-0000", relaxed=relaxed)


def known_vacancy():
    cell = cell_of()
    return radial(surroundings(cell.pristine, first_of(cell, "vacancies", ANY)))


def test_rim_stays_pristine_around_relaxed_defects():
    pristine = crystal("graphene", repeat=REPEAT["graphene"])
    distance = rim_distance(pristine.positions, pristine.cell.lengths())
    on_rim = pristine.positions[distance < 1e-6]
    for seed in range(4):
        atoms = build([known_vacancy()], seed=seed, count=(2, 3), displacement=0.05)
        gaps = np.linalg.norm(atoms.positions[None] - on_rim[:, None], axis=2).min(axis=1)
        assert gaps.max() < 1e-6


def test_relaxation_is_added_to_the_static_displacements():
    relaxed = [known_vacancy()]
    moves = []
    for displacement in (0.0, 0.05):
        ideal, moved = (build(r, displacement=displacement) for r in (None, relaxed))
        assert moved.info == ideal.info
        moves.append(moved.positions - ideal.positions)
    assert np.abs(moves[0]).max() > 0.02
    assert moves[1] == pytest.approx(moves[0], abs=1e-9)


def test_displacements_of_several_defects_are_added_and_fade():
    cell = cell_of(repeat=(6, 4), margin=2.0)
    defect = radial(surroundings(cell.pristine, first_of(cell, "vacancies", ANY)))
    sites = cell.sites()[[0, 30]].tolist()
    for site in sites:
        cell.make(Change("vacancy", (site,)))
    apply(cell, [defect], np.random.default_rng(1))
    moved = cell.atoms.positions - cell.pristine.positions
    places = [surroundings(cell.pristine, Change("vacancy", (site,))) for site in sites]
    wanted = sum(radial(place).displacement for place in places)
    weights = fade(cell.pristine, width=2.5)[:, None]
    # what is far from either is not known to the last digit
    assert moved == pytest.approx(weights * wanted, abs=4e-3)
    assert np.abs(moved).max() > 0.02


def test_kind_that_was_not_relaxed_is_named():
    cell = cell_of("hbn")
    boron = surroundings(cell.pristine, first_of(cell, "vacancies", {"element": "B"}))
    assert build([boron], name="hbn", element="B")
    with pytest.raises(DataError, match=r"a vacancy of atoms \(\d+,\) of B30N30 .*\(1 were\)"):
        build([boron], name="hbn", element="N")
    with pytest.raises(DataError, match=r"a substitution of .* of C60 is of a kind that was not"):
        build([known_vacancy()], family="substitution")


def test_which_way_is_drawn_depends_on_the_seed_alone():
    cell = cell_of()
    defect = lopsided(cell, first_of(cell, "vacancies", ANY))
    directions = set()
    for seed in range(12):
        ideal = build(None, seed=seed)
        first, again = (build([defect], seed=seed) for _ in range(2))
        assert (first.positions == again.positions).all()
        move = (first.positions - ideal.positions)[:, :2]
        x, y = move[np.argmax(np.linalg.norm(move, axis=1))]
        directions.add(round(float(np.degrees(np.arctan2(y, x)))) % 360)
    # three ways around the vacancies of either sublattice
    assert len(directions) > 3
    # along bonds all
    assert {direction % 60 for direction in directions} <= {30}


@pytest.mark.parametrize(("lift", "added"), [(1.2, 1.2), (-1.2, 1.2), (STANDS_OUT / 2, 0.0)])
def test_what_stands_out_gets_vacuum_of_its_own(lift, added):
    cell = cell_of()
    site = int(np.argmax(cell.weights))
    assert cell.weights[site] == 1
    displacement = np.zeros((len(cell.pristine), 3))
    displacement[site, 2] = lift
    cell.shift(displacement)
    before, after = cell.pristine, cell.finished()
    height = after.cell.lengths()[2]
    assert height == pytest.approx(before.cell.lengths()[2] + added)
    if added:
        vacuum = before.positions[:, 2].min()
        assert after.positions[:, 2].min() == pytest.approx(vacuum)
        assert height - after.positions[:, 2].max() == pytest.approx(vacuum)
    # nothing else moves
    rest = np.delete(after.positions - before.positions, site, axis=0)
    assert np.ptp(rest, axis=0) == pytest.approx(0)
    assert rest[:, :2] == pytest.approx(0)


@pytest.fixture(scope="module")
def silicon():
    """Silicon in a small sheet of graphene, by tight binding."""
    cell = cell_of(repeat=(4, 2), margin=3.0)
    parameters = {"replace": {"C": ["Si"]}}
    (defect,) = relax_family(
        cell, "substitution", parameters, theory="gfn1", options={"smearing": 0.1}, seed=1
    )
    return cell, defect


@pytest.mark.slow
def test_silicon_in_graphene_stands_out_by_tight_binding(silicon):
    """Its bonds are 1.7 to 1.85 Å long, too long for the plane."""
    _, defect = silicon
    places = defect.offsets + defect.displacement
    (foreign,) = np.flatnonzero(defect.changed)
    neighbours = np.argsort(np.linalg.norm(defect.offsets, axis=1))[1:4]
    bonds = np.linalg.norm(places[neighbours] - places[foreign], axis=1)
    assert ((bonds > 1.7) & (bonds < 1.85)).all()
    outwards = (defect.displacement * defect.offsets)[neighbours, :2].sum(axis=1)
    assert (outwards > 0).all()
    height = abs(places[foreign, 2] - places[neighbours, 2].mean())
    assert height > 0.5
    rim = np.linalg.norm(defect.displacement, axis=1) == 0
    assert rim.any()


@pytest.mark.slow
def test_silicon_of_tight_binding_has_vacuum_on_either_side(silicon):
    cell, defect = silicon
    foreign = Change("substitution", (first_of(cell, "vacancies", ANY).sites[0],), "Si")
    fresh = cell_of(repeat=(4, 2), margin=3.0)
    fresh.make(foreign)
    apply(fresh, [defect], np.random.default_rng(1))
    atoms = fresh.finished()
    heights = atoms.positions[:, 2]
    vacuum = cell.pristine.positions[:, 2].min()
    assert atoms.cell.lengths()[2] > cell.pristine.cell.lengths()[2] + 0.5
    assert atoms.cell.lengths()[2] - heights.max() == pytest.approx(vacuum, abs=STANDS_OUT)
    assert heights.min() == pytest.approx(vacuum, abs=STANDS_OUT)


def nearest_pairs(cell, element):
    """Atoms of which one is the nearest of the other in projection, by all distances of ASE."""
    sites, flat = set(cell.sites(element).tolist()), cell.pristine.copy()
    flat.positions[:, 2] = 0
    kind = np.array(list(flat.symbols))
    candidates = np.flatnonzero((kind == element) | (element == "any"))
    pairs = set()
    for i in sites:
        others = candidates[candidates != i]
        distance = flat.get_distances(i, others, mic=True)
        near = set(others[distance < distance.min() + 0.1].tolist())
        pairs |= {(min(i, j), max(i, j)) for j in near & sites}
    return sorted(pairs)


@pytest.mark.parametrize("margin", [0.0, 3.0])
@pytest.mark.parametrize(
    ("name", "element", "repeat"),
    [
        ("graphene", "any", (5, 3)),
        ("graphene", "any", (2, 1)),
        ("hbn", "any", (5, 3)),
        ("hbn", "B", (5, 3)),
        ("mos2", "any", (4, 2)),
        ("mos2", "S", (4, 2)),
        ("mos2", "Mo", (4, 2)),
        ("mos2", "S", (7, 4)),
    ],
)
def test_neighbours_are_the_nearest_of_all_distances(name, element, repeat, margin):
    cell = cell_of(name, repeat=repeat, margin=margin)
    wanted = nearest_pairs(cell, element)
    assert cell.neighbours(element) == wanted
    if margin == 0:
        assert wanted
    for site in cell.sites(element)[:3].tolist():
        cell.make(Change("vacancy", (site,)))
    assert cell.neighbours(element) == nearest_pairs(cell, element)


def test_neighbours_of_a_crystal_that_lies_across_its_cell():
    cell = cell_of(margin=0.0)
    moved = cell.pristine.copy()
    moved.positions += (-7.3, 20.1, 0)
    across = Supercell(moved, fade_width=2.5, defect_margin=0.0)
    assert across.neighbours() == cell.neighbours()


def test_neighbours_of_an_atom_at_the_origin_but_for_rounding():
    cell = cell_of(margin=0.0)
    moved = cell.pristine.copy()
    moved.positions[0, 0] = -1e-17
    rounded = Supercell(moved, fade_width=2.5, defect_margin=0.0)
    assert rounded.neighbours() == cell.neighbours()


def test_where_there_is_no_other_atom_there_is_no_neighbour():
    cell = cell_of("hbn", margin=0.0)
    assert cell.neighbours("Mo") == []
    alone = cell.pristine[[0]]
    assert Supercell(alone, fade_width=1.0, defect_margin=0.0).neighbours() == []
    # none is far enough from the rim
    assert cell_of(margin=50.0).neighbours() == []


@pytest.mark.parametrize(
    ("name", "family", "parameters"),
    [
        ("graphene", "vacancies", ANY),
        ("graphene", "stone_wales", {}),
        ("mos2", "vacancies", {"element": "S"}),
        ("mos2", "double_vacancies", {"element": "S"}),
    ],
)
def test_a_large_crystal_around_a_defect_changes_nothing(name, family, parameters):
    """Nor does what lies farther away than the relaxed supercell reaches."""
    small = cell_of(name)
    change = first_of(small, family, parameters)
    place = surroundings(small.pristine, change)
    rng = np.random.default_rng(5)
    defect = replace(place, displacement=rng.normal(0, 0.1, size=place.offsets.shape))
    large = cell_of(name, repeat=(14, 9))
    middle = large.pristine.cell.lengths()[:2] / 2
    places = large.pristine.positions[:, :2]
    central = min(
        CHANGES[family](large, **parameters),
        key=lambda change: np.linalg.norm(places[list(change.sites)].mean(axis=0) - middle),
    )
    target = surroundings(large.pristine, central)
    reach = np.linalg.norm(defect.offsets[:, :2], axis=1).max()
    distance = np.linalg.norm(target.offsets[:, :2], axis=1)
    assert distance.max() > 1.5 * reach
    kept = distance < reach + 1.0
    parts = {
        part: getattr(target, part)[kept]
        for part in ("symbols", "offsets", "changed", "displacement")
    }
    cropped = replace(target, **parts)
    ways, of_cropped = placed(defect, target), placed(defect, cropped)
    assert len(ways) == len(of_cropped) > 0
    for way, own in zip(ways, of_cropped, strict=True):
        assert way.shape == target.offsets.shape
        assert (way[kept] == own).all()
        assert (way[~kept] == 0).all()
        assert np.abs(way).max() > 0.1
