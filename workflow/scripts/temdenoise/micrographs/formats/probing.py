"""Try files whose libraries may loop or end the process, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.formats import probe

PATIENCE = 6
"""Maximum time that a process may compute [s]."""

_TITLES = {"hdf5": "HDF5", "zarr": "Zarr"}

_BUSY = 20  # times the same on the clock, on a machine with other work


def require_sound(path: Path, library: str) -> None:
    """Raise if a library does not come to an end with a file.

    Parameters
    ----------
    path
        The file.
    library
        One of `probe.PROBES`.

    Raises
    ------
    DataError
        If reading takes longer, or ends the process.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", probe.__file__, library, os.fspath(path), str(PATIENCE)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # where a process can limit itself, its own time counts
            timeout=PATIENCE * (1 if sys.platform == "win32" else _BUSY),
            check=False,
        )
    except subprocess.TimeoutExpired:
        ended = False
    except OSError:  # no further process can be started: go without
        return
    else:
        ended = done.returncode >= 0 and done.returncode != probe.DAMAGED
    if not ended:
        raise DataError(
            f"{path}: cannot be read as {_TITLES[library]}: it is damaged so that its library "
            "crashes or does not come to an end; copy it again from the microscope"
        )
