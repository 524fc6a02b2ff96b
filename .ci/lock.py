"""Write envs/lock-*.txt, every package with its SHA-256, from what `pip lock` found (`make lock`).

python .ci/lock.py pylock.toml > envs/lock-linux-x86_64-cpu.txt
"""

import sys
import tomllib
from pathlib import Path

HEAD = """\
# The whole pip set-up with hashes, for CPython 3.11 on Linux x86_64 with the CPU build of
# PyTorch; other platforms and CUDA take the same versions from constraints.txt, without hashes.
#   python -m pip install --require-hashes -r envs/lock-linux-x86_64-cpu.txt
# (PyTorch's CPU packages have an index of their own: PIP_EXTRA_INDEX_URL.)
# Written by `make lock`.
"""


def main(path: str) -> None:
    """Print the lock file."""
    sys.stdout.write(HEAD)
    for package in tomllib.loads(Path(path).read_text(encoding="utf-8"))["packages"]:
        files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
        hashes = "".join(f" \\\n    --hash=sha256:{file['hashes']['sha256']}" for file in files)
        sys.stdout.write(f"{package['name']}=={package['version']}{hashes}\n")


if __name__ == "__main__":
    main(sys.argv[1])
