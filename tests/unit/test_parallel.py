import shutil
from dataclasses import replace

import numpy as np
import pytest
from gpaw import cgpaw
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.errors import ConfigurationError, ConvergenceError
from temdenoise.groundtruth import parallel
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.dft import DftSettings, run_dft
from temdenoise.groundtruth.parallel import run_dft_on, run_dft_parallel

COARSE = {"basis": "sz(dzp)", "grid_spacing": 0.3, "kpt_density": 0.5, "density_convergence": 1e-3}


@pytest.fixture
def settings():
    return DftSettings(**checked({})["dft"] | COARSE)


@pytest.fixture
def txt(tmp_path):
    return str(tmp_path / "gpaw.txt")


@pytest.fixture
def one_process(tmp_path):
    """A launcher that starts one process, however many are asked for."""
    launcher = tmp_path / "launch"
    launcher.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    launcher.chmod(0o755)
    return (str(launcher), "-n")


def test_what_the_process_found_comes_back(settings, txt, one_process):
    atoms = crystal("graphene", vacuum=3.0)
    here = run_dft(atoms, settings, txt=txt)
    there = run_dft_parallel(atoms, settings, txt=txt, processes=1, launcher=one_process)
    assert here.n_R == pytest.approx(there.n_R, abs=1e-9)
    assert here.spacing == there.spacing
    assert here.summary["energy_ev"] == pytest.approx(there.summary["energy_ev"], abs=1e-9)
    assert here.expected_electrons == there.expected_electrons


def test_one_process_needs_no_launcher(settings, txt):
    atoms = crystal("graphene", vacuum=3.0)
    here = run_dft(atoms, settings, txt=txt)
    there = run_dft_on(1, atoms, settings, txt=txt, program="nompi")
    assert (here.n_R == there.n_R).all()


def test_several_processes_are_started_by_the_program_that_is_named(settings, txt, monkeypatch):
    monkeypatch.setattr(parallel, "check_mpi", lambda processes: None)
    with pytest.raises(ConfigurationError, match=r"2 MPI processes.*there is no nompi"):
        run_dft_on(2, crystal("graphene"), settings, txt=txt, program="nompi")


def test_its_errors_come_back(settings, txt, one_process):
    atoms = crystal("graphene", vacuum=3.0)
    with pytest.raises(ConvergenceError, match=r"did not converge within dft\.max_iterations = 2"):
        run_dft_parallel(
            atoms,
            replace(settings, max_iterations=2),
            txt=txt,
            processes=1,
            launcher=one_process,
        )


def test_gpaw_without_mpi_is_named(settings, txt, monkeypatch):
    monkeypatch.setattr(parallel.cgpaw, "have_mpi", False)
    with pytest.raises(ConfigurationError, match=r"built without MPI.*one thread"):
        run_dft_parallel(crystal("graphene"), settings, txt=txt, processes=2)


def test_the_wrong_launcher_is_named(settings, txt, one_process, monkeypatch):
    monkeypatch.setattr(parallel, "check_mpi", lambda processes: None)
    with pytest.raises(ConfigurationError, match=r"2 MPI processes, but GPAW sees 1.*launcher"):
        run_dft_parallel(crystal("graphene"), settings, txt=txt, processes=2, launcher=one_process)


def test_a_missing_launcher_is_named(settings, txt, monkeypatch):
    monkeypatch.setattr(parallel, "check_mpi", lambda processes: None)
    with pytest.raises(ConfigurationError, match=r"there is no nompi; install MPI.*one thread"):
        run_dft_parallel(
            crystal("graphene"), settings, txt=txt, processes=2, launcher=("nompi", "-n")
        )


def test_a_launcher_that_does_nothing_is_named(settings, txt, monkeypatch):
    monkeypatch.setattr(parallel, "check_mpi", lambda processes: None)
    with pytest.raises(ConfigurationError, match=r"true -n 2 ended without a result"):
        run_dft_parallel(
            crystal("graphene"), settings, txt=txt, processes=2, launcher=("true", "-n")
        )


@pytest.mark.skipif(
    not (cgpaw.have_mpi and shutil.which("mpiexec")),
    reason="GPAW was built without MPI here (the pinned set-up needs no MPI compiler)",
)
def test_two_processes_find_what_one_finds(settings, txt):
    atoms = crystal("graphene", repeat=(2, 1), vacuum=3.0)
    one = run_dft(atoms, settings, txt=txt)
    two = run_dft_parallel(atoms, settings, txt=txt, processes=2)
    assert two.summary["energy_ev"] == pytest.approx(one.summary["energy_ev"], abs=1e-4)
    assert np.abs(two.n_R - one.n_R).max() < 1e-3 * one.n_R.max()
