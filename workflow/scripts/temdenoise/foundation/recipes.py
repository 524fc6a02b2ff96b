"""Recipes: digests of the code that shapes a result.

Snakemake notices an edited script but not an edited module. A digest of the script and of all that
it reaches in the package, given as a param, makes it notice: the steps that an edit changes are run
again, and no others. Reached are the functions, classes and constants that the script names, those
that these name, and so on. A digest ignores comments, docstrings, layout, annotations (except those
of the fields of a class) and code that is not reached. The source is parsed, not imported; only the
standard library is needed.
"""

import ast
import hashlib
import re
import symtable
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from temdenoise.foundation.source import PACKAGE, module_file

NEUTRAL: Mapping[str, str] = MappingProxyType(
    {
        "foundation.jobs": "log, messages and seals of a script",
        "foundation.provenance": "describes packages, machine and commit",
        ":__version__": "the release, which is written into files; no number depends on it",
    }
)
"""Modules and names that cannot shape a result, and why: no recipe contains them."""

STATEMENTS = "<statements>"
"""Stands for what a module does when it is imported, besides defining names."""

_WHOLE = "<whole>"

_Key = tuple[str, str]  # a module, named within the package, and a name at its top


def recipe(*entries: str) -> str:
    """Digest code with all that it reaches in the package.

    Parameters
    ----------
    *entries
        Scripts, e.g. ``"run_dft.py"``, or names, e.g. ``"groundtruth.dft:run_dft"``.

    Raises
    ------
    FileNotFoundError
        If there is no such script.
    KeyError
        If the package defines no such name.

    Examples
    --------
    >>> recipe("foundation.errors:DataError") == recipe("foundation.errors:ConfigurationError")
    False
    """
    return _project().recipe(*entries)


def closure(*entries: str) -> dict[str, list[str]]:
    """List what a recipe is made of: names by module; a script counts as a module.

    Parameters
    ----------
    *entries
        As of `recipe`.

    Raises
    ------
    FileNotFoundError
        If there is no such script.
    KeyError
        If the package defines no such name.

    Examples
    --------
    >>> closure("foundation.source:module_file")
    {'foundation.source': ['PACKAGE', 'module_file']}
    """
    return _project().closure(*entries)


def package_digest() -> str:
    """Digest every module of the package, reached or not; ignores what a recipe ignores."""
    return _project().digest()


@cache
def _project() -> "Code":
    return Code(PACKAGE)


@dataclass(frozen=True)
class _Module:
    """The top of a module.

    Attributes
    ----------
    imports
        What each imported name stands for, e.g. ``{"np": "numpy"}``.
    definitions
        The statements that bind or change each name.
    statements
        What is done besides.
    scopes
        Symbols of functions and classes, by name and line.
    """

    imports: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)
    scopes: dict[tuple[str, int], symtable.SymbolTable] = field(default_factory=dict)


class Code:
    """A package and the scripts beside it, as they are on disk when first read.

    Parameters
    ----------
    package
        Folder of the package.
    """

    def __init__(self, package: Path) -> None:
        self.package = package
        self._modules: dict[str, _Module] = {}
        self._known: dict[_Key, tuple[str, frozenset[_Key]]] = {}
        self._recipes: dict[tuple[str, ...], str] = {}

    def recipe(self, *entries: str) -> str:
        """Digest code with all that it reaches, see `recipe`."""
        if entries not in self._recipes:
            texts = (f"{':'.join(key)}={text}" for key, text in self._reached(entries))
            self._recipes[entries] = _sha256(texts)
        return self._recipes[entries]

    def closure(self, *entries: str) -> dict[str, list[str]]:
        """List what a recipe is made of, see `closure`."""
        found: dict[str, list[str]] = {}
        for (module, name), _ in self._reached(entries):
            found.setdefault(module, []).append(name)
        return found

    def digest(self) -> str:
        """Digest every module of the package."""
        paths = {path.relative_to(self.package): path for path in self.package.rglob("*.py")}
        return _sha256(
            f"{name.as_posix()}={_canonical(ast.parse(_text(path)))}"
            for name, path in sorted(paths.items())
        )

    def _reached(self, entries: Iterable[str]) -> list[tuple[_Key, str]]:
        """Keys of a closure, with what a digest sees of each."""
        pending = [key for entry in entries for key in self._entry(entry)]
        seen: set[_Key] = set()
        while pending:
            key = pending.pop()
            if key not in seen and not {key[0], ":".join(key)} & NEUTRAL.keys():
                seen.add(key)
                pending += self._look(key)[1]
        return [(key, text) for key in sorted(seen) if (text := self._look(key)[0])]

    def _entry(self, entry: str) -> set[_Key]:
        if entry.endswith(".py"):
            return {(entry, STATEMENTS)}
        return self._named(f"{self.package.name}.{entry.replace(':', '.')}")

    def _look(self, key: _Key) -> tuple[str, frozenset[_Key]]:
        """Return what a digest sees of a key, and the keys it leads to at once."""
        if key not in self._known:
            self._known[key] = self._read(*key)
        return self._known[key]

    def _read(self, module: str, name: str) -> tuple[str, frozenset[_Key]]:
        owner = self._module(module)
        if name == _WHOLE:
            return "", frozenset((module, each) for each in (*owner.definitions, STATEMENTS))
        keys: set[_Key] = set()
        if name == STATEMENTS:
            nodes = owner.statements
            # a module is run with the package around it and with all that it imports
            around = f"{self.package.name}.{module}".rpartition(".")[0]
            for path in (around, *owner.imports.values()):
                keys |= self._run_by(path)
        else:
            nodes = owner.definitions[name]
            keys.add((module, STATEMENTS))
        # what a name stands for may change where it is imported, and not where it is used
        meanings: set[str] = set()
        for node in nodes:
            for used, path, found in self._used(node, module):
                meanings.add(f"{used}>{','.join(sorted(map(':'.join, found))) or path};")
                keys |= found
            for text in _strings(node):
                keys |= self._named_in(text)
        seen = "".join(map(_canonical, nodes))
        return "".join(sorted(meanings)) + seen if seen else "", frozenset(keys)

    def _used(self, node: ast.stmt, module: str) -> Iterator[tuple[str, str, set[_Key]]]:
        """Yield what a statement uses of its module or imports: as written, in full, its keys."""
        owner = self._module(module)
        visible, local = _visible(node, owner), list(self._imports(node, module))
        for name, path in local:
            # of `try: import ...` at the top, nothing else says what is imported
            yield name, path, self._named(path) if visible is None else self._run_by(path)
        for base, *rest in _uses(node):
            used = ".".join([base, *rest])
            reachable = visible is None or base in visible
            if reachable and base in owner.definitions:
                yield base, "", {(module, base)}
            paths = [path for name, path in local if name == base]
            if reachable and base in owner.imports:
                paths.append(owner.imports[base])
            for path in (".".join([path, *rest]) for path in paths):
                yield used, path, self._named(path)

    def _named(self, path: str) -> set[_Key]:
        """Keys that a path such as ``temdenoise.images.noise.corrupt`` leads to."""
        package, *parts = path.split(".")
        if package != self.package.name:
            return set()
        module = ""
        for number, part in enumerate(parts):
            owner, inner = self._module(module), f"{module}.{part}".lstrip(".")
            if part in owner.definitions:
                return {(module, part)}
            passed_on = owner.imports.get(part, f"{package}.{inner}")
            if passed_on != f"{package}.{inner}":
                return self._named(".".join([passed_on, *parts[number + 1 :]]))
            if not self._exists(inner):
                if "__getattr__" in owner.definitions:
                    return {(module, "__getattr__")}
                if part.startswith("__"):  # such as `__file__`
                    return {(module, STATEMENTS)}
                raise KeyError(f"{module_file(module, self.package)} defines no {part}")
            module = inner
        return {(module, _WHOLE)}

    def _run_by(self, path: str) -> set[_Key]:
        """Keys of what is done when a path is imported."""
        package, *parts = path.split(".")
        if package != self.package.name:
            return set()
        while parts and not self._exists(".".join(parts)):
            parts.pop()
        return {(".".join(parts), STATEMENTS)}

    def _named_in(self, text: str) -> set[_Key]:
        """Keys that a string names: a module, ``module:name``, or code for another process."""
        package = self.package.name
        if not re.search(rf"{package}|:", text):
            return set()
        if found := re.fullmatch(rf"(?:{package}\.)?(\w+(?:\.\w+)*):(\w+)", text):
            module, name = found.groups()
            return self._named(f"{package}.{module}.{name}") if self._exists(module) else set()
        if found := re.fullmatch(rf"{package}\.(\w+)(\.\w+)*", text):
            return self._named(text) if self._exists(found[1]) else set()
        if not re.search(rf"\b(from|import) {package}\b", text):
            return set()
        try:
            code = ast.parse(text)
        except SyntaxError:
            return set()  # a sentence for people
        local = dict(self._imports(code, ""))
        used = (".".join([local[base], *rest]) for base, *rest in _uses(code) if base in local)
        return {key for path in used for key in self._named(path)}

    def _exists(self, module: str) -> bool:
        return module in self._modules or module_file(module, self.package).is_file()

    def _module(self, name: str) -> _Module:
        if name not in self._modules:
            script = name.endswith(".py")
            path = self.package.parent / name if script else module_file(name, self.package)
            self._modules[name] = self._parsed(name, _text(path), script=script)
        return self._modules[name]

    def _parsed(self, name: str, text: str, *, script: bool) -> _Module:
        found = _Module()
        for scope in symtable.symtable(text, name, "exec").get_children():
            found.scopes[scope.get_name(), scope.get_lineno()] = scope
        for node in _run(ast.parse(text).body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.imports.update(self._imports(node, name))
            elif script:
                # nothing uses a part of a script alone
                found.statements.append(node)
            elif _is_main(node):
                # for whoever starts the module as a program, by its `__name__`
                found.definitions.setdefault("__name__", []).append(node)
            else:
                names = set(_bound(node))
                for each in names:
                    found.definitions.setdefault(each, []).append(node)
                # a decorator of the package may enter what it decorates into a table
                decorated = any(
                    base in found.definitions
                    or found.imports.get(base, "").startswith(f"{self.package.name}.")
                    for each in getattr(node, "decorator_list", [])
                    for base, *_ in _uses(each)
                )
                changes = names & found.imports.keys()
                if not isinstance(node, _DEFINING) or changes or decorated:
                    found.statements.append(node)
        return found

    def _imports(self, node: ast.AST, module: str) -> Iterator[tuple[str, str]]:
        """Names that are imported somewhere in a piece of code, and what they stand for."""
        for each in ast.walk(node):
            if isinstance(each, ast.Import):
                for alias in each.names:
                    first = alias.name.partition(".")[0]
                    yield (alias.asname, alias.name) if alias.asname else (first, first)
            elif isinstance(each, ast.ImportFrom):
                if each.level or each.names[0].name == "*":
                    raise ValueError(
                        f"{module}, line {each.lineno}: expected imports by name from "
                        f"{self.package.name}..., not relative ones or all of a module"
                    )
                yield from ((a.asname or a.name, f"{each.module}.{a.name}") for a in each.names)


_DEFINING = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.Assign
    | ast.AnnAssign
    | ast.AugAssign
)
_OWN_SCOPE = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def _run(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that do something when a module is run."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _run(node.orelse)
        elif not isinstance(node, ast.Pass) and not _is_text(node):
            yield node


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a string alone: a docstring, or what is said of a constant."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that a statement at the top binds, or whose contents it changes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        if isinstance(node.ctx, ast.Store):
            while isinstance(node, ast.Attribute | ast.Subscript):
                node = node.value
            if isinstance(node, ast.Name):
                yield node.id
    elif not isinstance(node, _OWN_SCOPE):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _visible(node: ast.stmt, owner: _Module) -> set[str] | None:
    """Names of the module that a function or class can see; None of other statements: all."""
    if isinstance(node, ast.ClassDef):
        outside = [*node.decorator_list, *node.bases, *(each.value for each in node.keywords)]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        outside = [*node.decorator_list, *defaults]
    else:
        return None
    inside = set(_globals(owner.scopes[node.name, node.lineno]))
    return inside | {base for each in outside for base, *_ in _uses(each)}


def _globals(scope: symtable.SymbolTable) -> Iterator[str]:
    for symbol in scope.get_symbols():
        # in a class `x = x` takes the x of the module
        if symbol.is_global() or (scope.get_type() == "class" and symbol.is_referenced()):
            yield symbol.get_name()
    for inner in scope.get_children():
        yield from _globals(inner)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Children of a node, without annotations and docstrings."""
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    yield child


def _uses(node: ast.AST) -> Iterator[list[str]]:
    """Names in a piece of code, each with the attributes that are taken of it."""
    names: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield [inner.id, *reversed(names)]
    else:
        for child in _parts(inner):
            yield from _uses(child)


def _strings(node: ast.AST) -> Iterator[str]:
    """Strings in a piece of code."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in _parts(node):
        yield from _strings(child)


_BLIND = {"ctx", "kind", "type_comment", "returns"}


def _canonical(node: object, in_class: bool = False) -> str:
    """Write a syntax tree so that Python versions agree on it, without what changes nothing."""
    if isinstance(node, list):
        return f"[{','.join(filter(None, (_canonical(each, in_class) for each in node)))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if _is_text(node):
        return ""
    if isinstance(node, ast.AnnAssign) and not in_class:
        if node.value is None:
            return ""
        node = ast.Assign(targets=[node.target], value=node.value)
    if isinstance(node, ast.ClassDef):
        in_class = True
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        in_class = False
    parts = []
    for name, value in ast.iter_fields(node):
        if value in (None, []) or name in _BLIND or (name == "annotation" and not in_class):
            continue
        parts.append(f"{name}={_canonical(value, in_class)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _sha256(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
