"""One DFT calculation on several MPI processes, for large cells."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms
from ase.io import read, write
from gpaw import cgpaw

from temdenoise.foundation.errors import ConfigurationError, ConvergenceError
from temdenoise.groundtruth.dft import Density, DftSettings, run_dft

LAUNCHER = ("mpiexec", "-n")
"""How processes are started; their number follows."""


def run_dft_on(
    processes: int, atoms: Atoms, settings: DftSettings, *, txt: str, program: str = LAUNCHER[0]
) -> Density:
    """Do what `run_dft` does: here, or on several processes if that is asked for.

    Parameters
    ----------
    processes
        Number of MPI processes; 1: this one.
    atoms, settings, txt
        See `run_dft`.
    program
        What starts several processes, e.g. ``mpiexec`` or ``srun``.
    """
    if processes == 1:
        return run_dft(atoms, settings, txt=txt)
    launcher = (program, *LAUNCHER[1:])
    return run_dft_parallel(atoms, settings, txt=txt, processes=processes, launcher=launcher)


def run_dft_parallel(
    atoms: Atoms,
    settings: DftSettings,
    *,
    txt: str,
    processes: int,
    launcher: Sequence[str] = LAUNCHER,
) -> Density:
    """Do what `run_dft` does, on several processes.

    Parameters
    ----------
    atoms, settings, txt
        See `run_dft`.
    processes
        Number of MPI processes.
    launcher
        Command that starts them; their number and the program follow.

    Raises
    ------
    ConfigurationError
        If there is no such launcher, or GPAW was built without MPI.
    ConvergenceError
        As `run_dft` does.
    """
    check_mpi(processes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "atoms.json", atoms)
        options = {"processes": processes, "txt": txt, "settings": asdict(settings)}
        (folder / "options.json").write_text(json.dumps(options))
        (folder / "info.json").write_text(json.dumps(atoms.info))
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        if cgpaw.have_mpi:
            # else GPAW wants to be started by its own `gpaw python`
            environment["GPAW_MPI_BACKEND"] = "cgpaw"
        command = [*launcher, str(processes), sys.executable, "-m", __name__, name]
        try:
            subprocess.run(command, check=False, env=environment)
        except FileNotFoundError as error:
            raise ConfigurationError(
                f"run_dft is to run on {processes} MPI processes (its threads, or its `tasks`, in "
                f"the profile), but there is no {launcher[0]}; install MPI, or give run_dft one "
                "thread (set-threads in the profile)"
            ) from error
        failure = folder / "failure.json"
        if failure.exists():
            kind, message = json.loads(failure.read_text())
            known = {"ConvergenceError": ConvergenceError}
            raise known.get(kind, ConfigurationError)(message)
        if not (folder / "density.npy").exists():
            raise ConfigurationError(
                f"{' '.join(command[:3])} ended without a result; its output stands above"
            )
        rest = json.loads((folder / "result.json").read_text())
        rest["spacing"] = tuple(rest["spacing"])
        return Density(n_R=np.load(folder / "density.npy"), **rest)


def check_mpi(processes: int) -> None:
    """Refuse several processes if GPAW was built for one."""
    if processes > 1 and not cgpaw.have_mpi:
        raise ConfigurationError(
            f"run_dft is to run on {processes} MPI processes (its threads, or its `tasks`, in the "
            "profile), but GPAW was built without MPI; build it with an MPI compiler, or give "
            "run_dft one thread (set-threads in the profile)"
        )


def main(name: str) -> None:
    """Work as one of the processes; the first writes what came out."""
    from gpaw.mpi import world

    folder = Path(name)
    options = json.loads((folder / "options.json").read_text())
    atoms = cast(Atoms, read(folder / "atoms.json"))
    atoms.info |= json.loads((folder / "info.json").read_text())
    processes = options["processes"]
    try:
        if world.size != processes:
            raise ConfigurationError(
                f"run_dft was to run on {processes} MPI processes, but GPAW sees {world.size}; "
                "expected the launcher of the MPI that GPAW was built with"
            )
        result = run_dft(atoms, DftSettings(**options["settings"]), txt=options["txt"])
    except (ConfigurationError, ConvergenceError) as error:
        if world.rank == 0:
            (folder / "failure.json").write_text(json.dumps([type(error).__name__, str(error)]))
        return
    if world.rank == 0:
        rest = {key: getattr(result, key) for key in Density.__dataclass_fields__ if key != "n_R"}
        (folder / "result.json").write_text(json.dumps(rest))
        np.save(folder / "density.npy", result.n_R)


if __name__ == "__main__":
    main(sys.argv[1])
