"""Try files whose libraries may loop or end the process, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.formats.hdf5_probe import DAMAGED

PATIENCE = 6
"""Maximum time that a process may compute; programs that are run have it as an argument [s]."""

_BUSY = 20  # times the same on the clock, on a machine with other work


def require_sound(path: Path, program: str, library: str) -> None:
    """Raise if a library does not come to an end with a file.

    Parameters
    ----------
    path
        The file.
    program
        Python file that reads it, run with the path and `PATIENCE`.
    library
        What the user knows the format as.

    Raises
    ------
    DataError
        If reading takes longer, or ends the process.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", program, os.fspath(path), str(PATIENCE)],
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
        ended = done.returncode >= 0 and done.returncode != DAMAGED
    if not ended:
        raise DataError(
            f"{path}: cannot be read as {library}: it is damaged so that its library crashes or "
            "does not come to an end; copy it again from the microscope"
        )
