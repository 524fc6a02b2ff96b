"""Where a result comes from: code, packages, machine.

Snakemake notices an edited script but not an edited module. A digest of the code
given as a param makes it notice, so that an edit re-runs what it changes; it is
blind to comments, docstrings and formatting. Needs the standard library only.
"""

import ast
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

from temdenoise.seals import read_seal

PACKAGE = Path(__file__).parent


def code_digest(*modules: str) -> str:
    """Digest some of the package's modules and all they import from the package.

    Parameters
    ----------
    *modules
        Names within the package, e.g. ``"groundtruth.density"``.

    Raises
    ------
    FileNotFoundError
        If there is no such module.

    Examples
    --------
    >>> code_digest("errors") == code_digest("errors")
    True
    """
    pending, seen = list(modules), set()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += _imports(name)
    joined = "".join(f"{name}:{module_digest(name)};" for name in sorted(seen))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


@cache
def module_digest(module: str) -> str:
    """Digest one module, blind to comments, docstrings and formatting."""
    return hashlib.sha256(_canonical(_tree(module)).encode()).hexdigest()[:16]


def module_constant(module: str, name: str) -> object:
    """Read a literal assigned at the top of a module, without importing it.

    Raises
    ------
    KeyError
        If the module assigns no such name.

    Examples
    --------
    >>> module_constant("groundtruth.dft", "RECIPE") >= 1
    True
    """
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return ast.literal_eval(node.value)
    raise KeyError(f"temdenoise/{module.replace('.', '/')}.py assigns no {name}")


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


def record(paths: Iterable[str | os.PathLike], *, root: str) -> dict[str, Any]:
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


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> tuple[str, ...]:
    found = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("temdenoise"):
            inside = node.module.removeprefix("temdenoise").lstrip(".")
            for name in [inside, *(f"{inside}.{a.name}".lstrip(".") for a in node.names)]:
                if name and (PACKAGE / (name.replace(".", "/") + ".py")).is_file():
                    found.append(name)
    return tuple(found)


def _canonical(node: object) -> str:
    """Write a syntax tree so that Python versions agree on it."""
    if isinstance(node, list):
        return "[" + ",".join(map(_canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for field, value in ast.iter_fields(node):
        if field == "body" and isinstance(value, list) and _is_docstring(value[:1]):
            value = value[1:]
        if value not in (None, []) and field not in ("ctx", "kind", "type_comment"):
            parts.append(f"{field}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _is_docstring(statements: list) -> bool:
    return (
        bool(statements)
        and isinstance(statements[0], ast.Expr)
        and isinstance(statements[0].value, ast.Constant)
        and isinstance(statements[0].value.value, str)
    )
