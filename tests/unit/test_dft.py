import numpy as np
import pytest
from temdenoise.errors import ConvergenceError
from temdenoise.groundtruth.density import check_electrons, project_density
from temdenoise.groundtruth.dft import run_dft
from temdenoise.groundtruth.structures import graphene

OPTIONS = {
    "basis": "sz(dzp)",
    "xc": "PBE",
    "grid_spacing": 0.3,
    "kpts": (1, 1),
    "smearing": 0.1,
    "density_convergence": 1e-3,
    "max_iterations": 60,
    "density_grid_spacing": 0.1,
}


@pytest.fixture(scope="module")
def atoms():
    return graphene(lattice_constant=2.46, repeat=(2, 1), vacuum=4.0)


@pytest.mark.parametrize(
    ("density", "electrons"), [("pseudo", 32), ("valence", 32), ("all_electron", 48)]
)
def test_density_holds_all_electrons(atoms, tmp_path, density, electrons):
    result = run_dft(atoms.copy(), **OPTIONS, density=density, txt=str(tmp_path / "gpaw.txt"))
    assert result.expected_electrons == electrons
    assert result.n_R.sum() * np.prod(result.spacing) == pytest.approx(electrons, rel=1e-3)
    projected = project_density(np.moveaxis(result.n_R, 2, 0), result.spacing[2])
    check_electrons(projected, sampling=result.spacing[:2], expected=electrons)
    # pores are dark, bonds bright
    assert projected.min() < 0.4 * projected.mean()
    summary = result.summary
    assert summary["scf_steps"] == len(summary["history"])
    assert summary["history"][-1]["energy_ev"] == pytest.approx(summary["energy_ev"], abs=0.1)
    assert -15 < summary["fermi_level_ev"] < 0


def test_moving_all_atoms_moves_the_map(atoms, tmp_path):
    """Shift equivariance: a translation by half a cell translates the density."""
    # cell / 48 x 48 points: half a cell is a whole number of points
    spacing = atoms.cell.lengths()[0] / 48 * 1.0001
    options = OPTIONS | {"density": "pseudo", "density_grid_spacing": spacing}
    here = run_dft(atoms.copy(), **options, txt=str(tmp_path / "here.txt"))
    there = atoms.copy()
    there.positions[:, 0] += atoms.cell.lengths()[0] / 2
    there.wrap()
    moved = run_dft(there, **options, txt=str(tmp_path / "there.txt"))
    maps = [r.n_R.sum(axis=2) * r.spacing[2] for r in (here, moved)]
    assert here.n_R.shape[0] == 48
    assert np.abs(np.roll(maps[0], 24, axis=0) - maps[1]).max() < 5e-3 * maps[0].max()


def test_no_convergence_is_an_error_with_the_reason(atoms, tmp_path):
    options = OPTIONS | {"max_iterations": 2, "density": "pseudo"}
    log = tmp_path / "gpaw.txt"
    with pytest.raises(ConvergenceError, match=r"C8 did not converge.*max_iterations = 2") as error:
        run_dft(atoms.copy(), **options, txt=str(log))
    assert str(log) in str(error.value)
    assert "step 2: E = " in str(error.value)
