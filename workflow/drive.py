"""Run Snakemake, going on where a killed run stopped; a second driver is refused.

Snakemake leaves a lock behind when it is killed. Whether another driver is at
work in the run's folder is known here from a lock that the system itself drops when
its holder ends, so a stale lock of Snakemake can be removed without asking.

    python workflow/drive.py [arguments of snakemake]
"""

import argparse
import fcntl
import os
import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Become ``snakemake`` with the arguments given, or return why not."""
    place = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    place.add_argument("--directory", "-d", type=Path, default=Path())
    directory = place.parse_known_args(arguments)[0].directory
    folder = directory / ".snakemake"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "driver.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(
            f"Another run is at work in {directory.resolve()}; wait for it, or stop it, then try "
            "again.\n"
        )
        return 1
    command = [sys.executable, "-m", "snakemake", *arguments]
    if any((folder / "locks").glob("*.lock")):
        sys.stderr.write("An earlier run was killed; going on where it stopped.\n")
        # before the arguments: behind a `--` it would be taken for a target
        unlock = [*command[:3], "--unlock", *arguments]
        unlocked = subprocess.run(unlock, check=False)
        if unlocked.returncode:
            return unlocked.returncode
    # Snakemake keeps the lock as long as it lives; its jobs do not get it
    os.set_inheritable(lock, True)
    return os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
