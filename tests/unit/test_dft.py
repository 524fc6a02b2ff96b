from dataclasses import replace

import numpy as np
import pytest
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.errors import ConvergenceError
from temdenoise.groundtruth import dft
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.density import check_electrons, project_density
from temdenoise.groundtruth.dft import DftSettings, initial_moments, kpoints, run_dft

COARSE = DftSettings(
    basis="sz(dzp)",
    xc="PBE",
    grid_spacing=0.3,
    kpt_density=0.5,
    smearing=0.1,
    spin=False,
    density_convergence=1e-3,
    max_iterations=60,
    density="pseudo",
    density_grid_spacing=0.1,
)


@pytest.fixture(scope="module")
def atoms():
    return crystal("graphene", repeat=(2, 1), vacuum=4.0)


@pytest.mark.parametrize(
    ("density", "electrons"), [("pseudo", 32), ("valence", 32), ("all_electron", 48)]
)
def test_density_holds_all_electrons(atoms, tmp_path, density, electrons):
    settings = replace(COARSE, density=density)
    result = run_dft(atoms.copy(), settings, txt=str(tmp_path / "gpaw.txt"))
    assert result.expected_electrons == electrons
    assert result.n_R.sum() * np.prod(result.spacing) == pytest.approx(electrons, rel=1e-3)
    projected = project_density(np.moveaxis(result.n_R, 2, 0), result.spacing[2])
    check_electrons(projected, sampling=result.spacing[:2], expected=electrons)
    # pores are dark, bonds bright
    assert projected.min() < 0.4 * projected.mean()
    summary = result.summary
    (attempt,) = summary["attempts"]
    assert summary["scf_steps"] == len(attempt["history"])
    assert attempt["history"][-1]["energy_ev"] == pytest.approx(summary["energy_ev"], abs=0.1)
    assert -15 < summary["fermi_level_ev"] < 0


def test_moving_all_atoms_moves_the_map(atoms, tmp_path):
    """Shift equivariance: a translation by half a cell translates the density."""
    # cell / 48 x 48 points: half a cell is a whole number of points
    spacing = atoms.cell.lengths()[0] / 48 * 1.0001
    settings = replace(COARSE, density_grid_spacing=spacing)
    here = run_dft(atoms.copy(), settings, txt=str(tmp_path / "here.txt"))
    there = atoms.copy()
    there.positions[:, 0] += atoms.cell.lengths()[0] / 2
    there.wrap()
    moved = run_dft(there, settings, txt=str(tmp_path / "there.txt"))
    maps = [r.n_R.sum(axis=2) * r.spacing[2] for r in (here, moved)]
    assert here.n_R.shape[0] == 48
    assert np.abs(np.roll(maps[0], 24, axis=0) - maps[1]).max() < 5e-3 * maps[0].max()


def test_no_convergence_is_an_error_with_the_reason(atoms, tmp_path):
    settings = replace(COARSE, max_iterations=2)
    log = tmp_path / "gpaw.txt"
    with pytest.raises(
        ConvergenceError, match=r"C8 did not converge.*max_iterations = 2.*any of 3 attempts"
    ) as error:
        run_dft(atoms.copy(), settings, txt=str(log))
    assert str(log) in str(error.value)
    assert str(error.value).count("step 2: E = ") == 3


def test_stalled_cycle_is_tried_again_more_gently(atoms, tmp_path, monkeypatch):
    stuck = {"mixer": {"name": "pulay", "beta": 1e-6, "nmaxold": 1}, "smearing_factor": 1}
    monkeypatch.setattr(dft, "LADDER", (stuck, *dft.LADDER[1:]))
    settings = replace(COARSE, max_iterations=25)
    result = run_dft(atoms.copy(), settings, txt=str(tmp_path / "gpaw.txt"))
    first, second = result.summary["attempts"]
    assert len(first["history"]) == 25
    assert second["mixer"] == dft.LADDER[1]["mixer"]
    assert result.summary["scf_steps"] == 25 + len(second["history"])
    assert second["history"][-1]["density_change_e"] < 8 * 4 * COARSE.density_convergence


def test_superposition_needs_no_cycle_and_lacks_the_bonds(atoms, tmp_path):
    maps = {}
    for truth in ("dft", "superposition"):
        settings = replace(COARSE, basis="dzp", ground_truth=truth)
        result = run_dft(atoms.copy(), settings, txt=str(tmp_path / truth))
        maps[truth] = result.n_R.sum(axis=2) * result.spacing[2]
        assert result.n_R.sum() * np.prod(result.spacing) == pytest.approx(32, rel=1e-3)
    assert result.summary["scf_steps"] == 0
    assert result.summary["energy_ev"] is None
    # charge piles up between the atoms: the middle of the bond along y gains it
    nx, ny = maps["dft"].shape
    bond = (0, 0)  # atoms at y = 1/6 and -1/6 of the cell
    gain = maps["dft"] - maps["superposition"]
    assert gain[bond] > 0.05 * maps["dft"][bond]
    assert gain[0, ny // 2] < 0  # the pore
    assert nx > 0


def test_spin_starts_around_the_defects(atoms, tmp_path):
    magnetic = atoms.copy()
    del magnetic[2]
    x, y = atoms.positions[2, :2]
    magnetic.info["defects"] = f'[{{"kind": "vacancy", "element": "C", "x": {x}, "y": {y}}}]'
    moments = initial_moments(magnetic)
    assert 1 <= np.count_nonzero(moments) < len(magnetic)
    assert not initial_moments(atoms).any()
    result = run_dft(magnetic, replace(COARSE, spin=True), txt=str(tmp_path / "gpaw.txt"))
    assert result.n_R.sum() * np.prod(result.spacing) == pytest.approx(28, rel=1e-3)
    assert result.summary["magnetic_moment_bohr"] is not None


def test_the_section_of_the_configuration_is_what_the_settings_take():
    section = checked({})["dft"]
    assert {key: getattr(DftSettings(**section), key) for key in section} == section


def test_k_points_keep_their_density():
    assert kpoints([10.0, 10.0], density=1.5) == (1, 1)
    assert kpoints([2.46, 4.26], density=1.5) == (4, 3)
    for side in (2.5, 5.0, 7.5, 20.0):
        assert kpoints([side, side], density=1.5)[0] * side / (2 * np.pi) >= 1.5
