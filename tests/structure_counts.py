"""Count what makes code hard to change, in this checkout or another one.

python tests/structure_counts.py [FOLDER]
"""

import ast
import json
import sys
from pathlib import Path

MOST_PARAMETERS = 7
MOST_LINES = 30


def counts(root: Path) -> dict[str, list[str]]:
    """List the places of each kind: file, or file and name."""
    scripts = root / "workflow/scripts"
    package = scripts / "temdenoise"
    modules = sorted(package.rglob("*.py"))
    found: dict[str, list[str]] = {
        "code naming hrtem": [
            _name(path, root)
            for path in [*modules, *sorted((root / "workflow").rglob("*.smk"))]
            if "hrtem" in path.read_text(encoding="utf-8").lower()
        ],
        "functions with too many parameters": [],
        "about[...] outside loading": [],
        "scripts that are too long": [
            f"{_name(path, root)}: {lines}"
            for path in sorted(scripts.glob("*.py"))
            if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
        ],
    }
    # what was stored by key is read by key: the description of a model, seals, manifests
    loading = {"description.py", "inference.py", "provenance.py", "datasets.py"}
    for path in [*modules, *sorted(scripts.glob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            place = f"{_name(path, root)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.FunctionDef):
                if _is_public(node) and len(_parameters(node)) > MOST_PARAMETERS:
                    found["functions with too many parameters"].append(f"{place} {node.name}")
            elif path.name not in loading and _is_about(node):
                found["about[...] outside loading"].append(place)
    return found


def lines_of_code(root: Path) -> int:
    """Count the lines of the package, the scripts and the rules."""
    paths = [p for p in (root / "workflow").rglob("*") if p.suffix in (".py", ".smk")]
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _is_public(node: ast.FunctionDef) -> bool:
    return node.name == "__init__" or not node.name.startswith("_")


def _parameters(node: ast.FunctionDef) -> list[str]:
    given = node.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def _is_about(node: ast.AST) -> bool:
    if not isinstance(node, ast.Subscript):
        return False
    value = node.value
    return "about" in (getattr(value, "id", ""), getattr(value, "attr", ""))


def main(arguments: list[str]) -> None:
    """Print the numbers, and the places."""
    root = Path(arguments[0] if arguments else Path(__file__).parents[1])
    found = counts(root)
    print(json.dumps({key: len(places) for key, places in found.items()}, indent=1))
    print(f"lines of code in workflow/: {lines_of_code(root)}")
    for key, places in found.items():
        print(f"\n{key}:", *places, sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1:])
