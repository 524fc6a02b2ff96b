"""The project's own source, read without importing it.

The Snakefile runs where neither NumPy nor PyTorch is installed, and still checks names that
stand in tables of modules which need them.
"""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def module_file(module: str, package: Path = PACKAGE) -> Path:
    """Name the file of a module, whether it exists or not.

    Parameters
    ----------
    module
        Named within the package, e.g. ``"groundtruth.density"``; ``""`` is the package itself.
    package
        Folder of the package.

    Examples
    --------
    >>> module_file("images.noise").name, module_file("images").name, module_file("").name
    ('noise.py', '__init__.py', '__init__.py')
    """
    path = package.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


@cache
def tree(module: str) -> ast.Module:
    """Parse a module of the package, named within it, e.g. ``"groundtruth.density"``.

    Raises
    ------
    FileNotFoundError
        If there is no such module.
    """
    return ast.parse(module_file(module).read_text(encoding="utf-8"))


def assigned(module: str, name: str) -> ast.expr:
    """Return what is assigned to a name at the top of a module.

    Raises
    ------
    KeyError
        If the module assigns no such name.
    """
    for node in tree(module).body:
        if isinstance(node, ast.AnnAssign):
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        if node.value and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return node.value
    raise KeyError(f"temdenoise/{module.replace('.', '/')}.py assigns no {name}")


def module_constant(module: str, name: str) -> object:
    """Return a literal assigned at the top of a module.

    Raises
    ------
    KeyError
        If the module assigns no such name.

    Examples
    --------
    >>> module_constant("images.noise", "SCAN_ROW") > 0
    True
    """
    return ast.literal_eval(assigned(module, name))


def table_keys(table: str) -> list[str]:
    """List the keys of a table, a dictionary at the top of a module, in their order.

    Parameters
    ----------
    table
        Module and name, e.g. ``"images.noise:NOISES"``.

    Raises
    ------
    KeyError
        If the module assigns no such table.

    Examples
    --------
    >>> table_keys("foundation.modes:IMAGE_MODES")
    ['density', 'adf', 'hrtem']
    """
    module, _, name = table.partition(":")
    for node in ast.walk(assigned(module, name)):
        if isinstance(node, ast.Dict):
            return [ast.literal_eval(key) for key in node.keys if key is not None]
    raise KeyError(f"{name} of temdenoise/{module.replace('.', '/')}.py is no table")
