"""Digests of the code behind a result, so that an edit re-runs what it changes.

Snakemake notices an edited script but not an edited module. A digest given as
a param makes it notice; it is blind to comments, docstrings and formatting.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

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
