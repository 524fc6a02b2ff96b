import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.foundation.lattices import BUILT_IN, LATTICES
from temdenoise.groundtruth.crystals import check_elements, crystal, layer


def neighbours(atoms, cutoff):
    distances = atoms.get_all_distances(mic=True)
    return [sorted(d[(d > 0.1) & (d < cutoff)].round(6)) for d in distances]


@pytest.mark.parametrize(("name", "a"), [("graphene", 2.46), ("hbn", 2.504)])
def test_flat_honeycombs_have_their_bond_length_and_three_neighbours(name, a):
    atoms = crystal(name, repeat=(5, 3))
    for bonds in neighbours(atoms, 1.6):
        assert bonds == pytest.approx([a / np.sqrt(3)] * 3, abs=1e-6)
    if name == "hbn":
        assert atoms.symbols.count("B") == atoms.symbols.count("N") == 30


def test_mos2_is_trigonal_prismatic():
    atoms = crystal("mos2", repeat=(4, 2))
    assert atoms.get_chemical_formula() == "Mo16S32"
    bond = np.sqrt(3.18**2 / 3 + 1.565**2)
    for symbol, bonds in zip(atoms.symbols, neighbours(atoms, 2.6), strict=True):
        assert bonds == pytest.approx([bond] * (6 if symbol == "Mo" else 3), abs=1e-6)


@pytest.mark.parametrize("name", BUILT_IN)
def test_vacuum_and_lattice_constant_are_as_asked(name):
    atoms = crystal(name, lattice_constant=3.0, repeat=(2, 1), vacuum=6.0)
    assert atoms.cell.angles() == pytest.approx([90, 90, 90])
    assert atoms.cell.lengths()[:2] == pytest.approx([6.0, 3 * np.sqrt(3)])
    heights = atoms.positions[:, 2]
    assert heights.min() == pytest.approx(6.0)
    assert atoms.cell.lengths()[2] - heights.max() == pytest.approx(6.0)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_crystals_have_the_cell_of_the_table(name):
    assert crystal(name).cell.lengths()[:2] == pytest.approx(LATTICES[name].cell, abs=1e-12)


def vasp_mos2():
    return ase.build.mx2(vacuum=8)


@pytest.mark.parametrize("file", ["crystal.cif", "POSCAR", "crystal.extxyz"])
@pytest.mark.parametrize(
    ("atoms", "like"), [(ase.build.graphene(vacuum=8), "graphene"), (vasp_mos2(), "mos2")]
)
def test_a_hexagonal_file_becomes_the_built_in_crystal(tmp_path, file, atoms, like):
    atoms = atoms.copy()
    atoms.pbc = True
    # a layer that sticks out of the cell at the top comes in at the bottom, as many files have it
    atoms.positions[:, 2] -= atoms.positions[:, 2].mean()
    write(tmp_path / file, atoms)
    found = crystal(str(tmp_path / file), repeat=(2, 2))
    expected = crystal(like, repeat=(2, 2))
    assert found.get_chemical_formula() == expected.get_chemical_formula()
    assert found.cell.lengths()[:2] == pytest.approx(expected.cell.lengths()[:2], rel=1e-4)
    for ours, theirs in zip(
        neighbours(found, 2.2), neighbours(atoms.repeat((4, 4, 1)), 2.2), strict=False
    ):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_any_orthogonal_orientation_is_found_and_its_handedness_kept():
    # a chiral decoration of a rhombic lattice, written with its first vector along y
    cell = [[0, 3.0, 0], [2.5, 1.5, 0], [0, 0, 20]]
    atoms = Atoms("CNO", cell=cell, pbc=True, positions=[(0, 0, 9), (0.3, 1.3, 9), (1.1, 0.2, 10)])
    found = layer(atoms, source="file")
    assert found.cell.lengths()[:2] == pytest.approx([3.0, 5.0])
    assert len(found) == 6

    def chirality(a):
        i, j, k = (list(a.symbols).index(s) for s in "CNO")
        u, v = (a.get_distance(i, n, mic=True, vector=True) for n in (j, k))
        return np.cross(u, v)[2]

    assert chirality(found) == pytest.approx(chirality(atoms))


def bulk_graphite():
    return Atoms(
        "C4",
        scaled_positions=[(0, 0, 0.25), (0, 0, 0.75), (1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75)],
        cell=[2.46, 2.46, 6.71, 90, 90, 120],
        pbc=True,
    )


def sheet(cell, positions=((0.0, 0.0, 5.0),), symbols="C", **options):
    return Atoms(symbols, positions=positions, cell=cell, **({"pbc": True} | options))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(cell=[3, 3, 10], pbc=True), r"holds no atoms"),
        (bulk_graphite(), r"bulk crystal: only 3\.3\d Å are empty.*ase\.build\.surface"),
        (ase.build.bulk("Cu", cubic=True), r"bulk crystal"),
        (sheet([3, 3, 10], pbc=False), r"not periodic in the plane"),
        (sheet([0, 0, 0]), r"not periodic in the plane"),
        (
            sheet([3, 3, 10, 80, 90, 90]),
            r"not normal to the plane \(angles \[80\.0, 90\.0, 90\.0\]",
        ),
        (sheet([3, 4.1, 10, 90, 90, 83]), r"oblique plane .*83\.000°.*rectangular, hexagonal"),
    ],
)
def test_what_is_no_layer_is_refused_with_the_remedy(atoms, message):
    with pytest.raises(DataError, match=rf"structures\.crystal: my\.cif {'.*' + message}"):
        layer(atoms, source="my.cif")


def test_unreadable_files_are_named(tmp_path):
    file = tmp_path / "broken.cif"
    file.write_text("no crystal")
    with pytest.raises(DataError, match=r"structures\.crystal: ASE cannot read .*broken\.cif"):
        crystal(str(file))


def test_partly_occupied_sites_are_refused(tmp_path):
    file = tmp_path / "alloy.cif"
    atoms = ase.build.graphene(vacuum=8)
    atoms.pbc = True
    write(file, atoms)
    text = file.read_text()
    assert " 1.0000" in text
    file.write_text(text.replace(" 1.0000", " 0.5000", 1))
    with pytest.raises(DataError, match=r"alloy\.cif is only partly occupied"):
        crystal(str(file))


def test_overlapping_atoms_are_named(tmp_path):
    file = tmp_path / "POSCAR"
    write(file, sheet([3, 3, 12], [(0, 0, 5), (0.5, 0, 5)], "C2"))
    with pytest.raises(
        DataError, match=r"POSCAR: atoms 0 \(C at 0\.0, 0\.0, .*1 \(C\) are 0\.500 Å"
    ):
        crystal(str(file))


def test_elements_without_dataset_or_basis_are_named():
    check_elements(["C", "Mo", "S"], basis="dzp", xc="PBE")
    check_elements(["C"], basis="sz(dzp)", xc="PBE")
    with pytest.raises(ConfigurationError, match=r"U\.PBE, U\.dzp\.basis.*dft\.basis"):
        check_elements(["C", "U"], basis="dzp", xc="PBE")
