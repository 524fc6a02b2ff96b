"""One function in several processes of this machine, which know of each other.

Lightning's own launchers start the calling program again, or import it; a script of
the workflow would then write its files twice. Here they run one function alone,
which is handed to them in a file.
"""

import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# with the path of this process, so that the same packages are found, wherever they lie
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from temdenoise.learning.processes import work; work(sys.argv[2])"
)


def run_processes(
    function: Callable[..., object], n: int, *, folder: Path, **arguments: Any
) -> None:
    """Run a function in several processes at once and wait for all of them.

    What they need to find each other stands in their environment, as
    ``torch.distributed`` expects it: ``LOCAL_RANK``, ``MASTER_ADDR``, ``MASTER_PORT``.
    They write where this process writes, and end when it ends.

    Parameters
    ----------
    function
        Importable by its name. What it returns is lost.
    n
        Number of processes.
    folder
        For the file with the arguments; a data set goes into it as the names of its files.
    **arguments
        Of the function, which also gets ``rank``, 0 to `n` - 1.

    Raises
    ------
    RuntimeError
        If one of them fails; the others are ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        task = Path(inside) / "task.pickle"
        task.write_bytes(pickle.dumps((function, arguments, os.getpid())))
        command = [sys.executable, "-c", START, json.dumps(sys.path), str(task)]
        running = [
            subprocess.Popen(command, env=given | {"LOCAL_RANK": str(rank)}) for rank in range(n)
        ]
        try:
            while any(code is None for code in _codes(running)):
                if any(_codes(running)):
                    break
                time.sleep(0.1)
            failed = {rank: code for rank, code in enumerate(_codes(running)) if code}
        finally:
            for process in running:
                process.kill()
                process.wait()
    if failed:
        ended = ", ".join(f"{rank} with {code}" for rank, code in failed.items())
        raise RuntimeError(
            f"of {n} processes of one training these failed: {ended} (their number and exit "
            "code, below 0 the signal that killed them); the log says why"
        )


def work(task: str) -> None:
    """Do one process's part; what a process runs that `run_processes` starts."""
    function, arguments, parent = pickle.loads(Path(task).read_bytes())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    function(rank=int(os.environ["LOCAL_RANK"]), **arguments)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, killed or not."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _codes(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    return [process.poll() for process in processes]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
