"""Where a result comes from: packages, machine, commit; the code is in `recipes`.

Needs the standard library only.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from temdenoise.foundation.seals import read_seal


def environment() -> dict[str, Any]:
    """Name the packages this process has loaded, with their versions, and its machine.

    Examples
    --------
    >>> sorted(environment())
    ['host', 'packages', 'processor', 'python', 'system']
    """
    loaded = {
        name: vars(module).get("__version__")
        for name, module in sorted(sys.modules.items())
        if not name.startswith("_") and "." not in name and name not in sys.stdlib_module_names
    }
    return {
        "python": platform.python_version(),
        "packages": {k: v for k, v in loaded.items() if isinstance(v, str)},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "host": platform.node(),
    }


def commit(folder: Path) -> dict[str, Any] | None:
    """Name the commit of the git repository that holds a folder; None where there is none.

    Returns
    -------
    dict or None
        ``commit``, and ``changed``: whether tracked files differ from it.
    """
    if not shutil.which("git"):
        return None

    def git(*arguments: str) -> str | None:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    found = git("rev-parse", "HEAD")
    if found is None:
        return None
    return {"commit": found, "changed": bool(git("status", "--porcelain", "-uno"))}


def record(paths: Iterable[str | os.PathLike[str]], *, root: str) -> dict[str, Any]:
    """Collect what the seals of a run's files say.

    Parameters
    ----------
    paths
        The files. Those of single structures are digested together, by kind.
    root
        Folder that their names are given relative to.

    Returns
    -------
    dict
        ``rules``: for each rule the number of files and all versions and machines that
        were met (one, unless the run moved); ``files``: SHA-256 of each file, or of the
        list of SHA-256 of each kind.

    Raises
    ------
    DataError
        If a seal is not readable.
    """
    rules: dict[str, Any] = {}
    files: dict[str, list[str]] = {}
    for path in sorted(map(str, paths)):
        about = read_seal(path)
        name = os.path.relpath(path, root)
        kind = re.sub(r"(train|val|test)-[0-9]+", "*", name)
        files.setdefault(kind, []).append(about["sha256"])
        if "rule" not in about:
            continue
        met = rules.setdefault(about["rule"], {"files": 0, "python": [], "packages": {}})
        met["files"] += 1
        machine = {key: about[key] for key in ("host", "processor", "system")}
        seen = [(met, "python", about["python"]), (met, "machines", machine)]
        seen += [(met["packages"], name, version) for name, version in about["packages"].items()]
        for where, key, value in seen:
            if value not in where.setdefault(key, []):
                where[key].append(value)
    return {
        "rules": rules,
        "files": {
            kind: found[0]
            if "*" not in kind
            else {"n": len(found), "sha256": hashlib.sha256("\n".join(found).encode()).hexdigest()}
            for kind, found in files.items()
        },
    }


@cache
def _processor() -> str:
    about = Path("/proc/cpuinfo")
    if about.exists():
        for line in about.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
