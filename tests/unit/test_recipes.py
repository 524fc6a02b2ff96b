import ast
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from temdenoise.foundation.recipes import NEUTRAL, Code, closure, recipe
from temdenoise.foundation.source import PACKAGE, module_file
from temdenoise.report.catalogue import FIGURES

STAGES = {
    "DFT": "run_dft.py",
    "density map": "project_density.py",
    "data set": "make_dataset.py",
    "training": "train.py",
}
# modules that import others by a name put together from parts, and what gives their closure
PUT_TOGETHER = {"report/drawing.py": "`figure_code` of common.smk, by the table of figures"}

MODULES = {
    "__init__.py": "",
    "plain.py": """
        import numpy as np
        LIMIT = 3
        def first(x):
            return second(x) + LIMIT
        def second(x):
            return np.abs(x)
        def unused(x):
            return x
    """,
    "sub/__init__.py": "from temdenoise.sub.inner import passed_on",
    "sub/inner.py": """
        def passed_on():
            return 1
        def other():
            return 2
    """,
    "classes.py": """
        from temdenoise.plain import second
        class Base:
            def method(self):
                return helper()
        class Derived(Base):
            value = second(1)
        def helper():
            return 1
    """,
    "lazy.py": """
        def __getattr__(name):
            from temdenoise import plain
            return getattr(plain, name)
    """,
    "tables.py": """
        from temdenoise.plain import first, unused
        TABLE = {"first": first}
        TABLE["unused"] = unused
        NAMED = {"other": "sub.inner:other"}
        START = "import sys; from temdenoise.sub.inner import other; other(sys.argv)"
    """,
    "registry.py": """
        KNOWN = {}
        def register(function):
            KNOWN[function.__name__] = function
            return function
        @register
        def entered():
            return 1
        def not_entered():
            return 2
    """,
    "program.py": """
        from temdenoise.plain import LIMIT
        def start():
            return ["-m", __name__]
        def quiet():
            return 0
        def main():
            return LIMIT
        if __name__ == "__main__":
            main()
    """,
    "settings.py": """
        from temdenoise.plain import unused
        import library
        library.options["x"] = unused
        def quiet():
            return 0
    """,
    "inside.py": """
        class Both:
            def one(self):
                from temdenoise.sub.inner import passed_on as f
                return f()
            def two(self):
                from temdenoise.sub.inner import other as f
                return f()
    """,
    "imports.py": """
        from temdenoise.settings import quiet
        def loud():
            return 1
    """,
    "optional.py": """
        try:
            from temdenoise.sub.inner import other
        except ImportError:
            other = None
    """,
    "shadows.py": """
        from typing import TYPE_CHECKING
        from temdenoise.plain import first, second, unused
        if TYPE_CHECKING:
            from temdenoise.classes import Base
        def parameter(first, *, second=None):
            return first(second)
        def variable(x: unused) -> "unused":
            '''See first.'''
            unused: Base = x
            return [first for first in unused]
        def mixed(x):
            return first(x) + sum(second for second in x)
    """,
}
PLAIN = {"first", "second", "LIMIT"}


def write(folder, **scripts):
    """Write the package above and scripts beside it."""
    files = {f"temdenoise/{name}": text for name, text in MODULES.items()}
    for name, text in (files | {f"{name}.py": text for name, text in scripts.items()}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        indent = min((len(li) - len(li.lstrip()) for li in lines if li.strip()), default=0)
        path.write_text("\n".join(li[indent:] for li in lines) + "\n")
    return folder / "temdenoise"


def reached(folder, script):
    found = Code(write(folder, script=script)).closure("script.py")
    return {module: set(names) for module, names in found.items() if module != "script.py"}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("from temdenoise.plain import first\nfirst(1)", {"plain": PLAIN}),
        ("from temdenoise.plain import second as s\nprint(s)", {"plain": {"second"}}),
        ("from temdenoise import plain\nplain.second(1)", {"plain": {"second"}}),
        ("import temdenoise.plain as p\np.second(1)", {"plain": {"second"}}),
        ("import temdenoise.plain\ntemdenoise.plain.second(1)", {"plain": {"second"}}),
        ("from temdenoise.sub import inner\ninner.other()", {"sub.inner": {"other"}}),
        ("from temdenoise.sub import passed_on\npassed_on()", {"sub.inner": {"passed_on"}}),
        ("from temdenoise import plain\nvars(plain)", {"plain": PLAIN | {"unused"}}),
        ("from temdenoise.plain import first", {}),
        ("def f():\n    from temdenoise.plain import second\n    second(1)", {"plain": {"second"}}),
        ("def f():\n    from temdenoise import plain\n    plain.LIMIT", {"plain": {"LIMIT"}}),
        (
            "from temdenoise.classes import Derived\nDerived()",
            {"classes": {"Derived", "Base", "helper"}, "plain": {"second"}},
        ),
        (
            "from temdenoise.lazy import anything\nanything()",
            {"lazy": {"__getattr__"}, "plain": PLAIN | {"unused"}},
        ),
        ("load('temdenoise.plain')", {"plain": PLAIN | {"unused"}}),
        ("load('temdenoise.plain:second')", {"plain": {"second"}}),
        ("print('temdenoise.log', 'pip: import temdenoise', 'no:such', 'a: b')", {}),
        (
            "from temdenoise.tables import TABLE\nTABLE",
            {"tables": {"TABLE"}, "plain": PLAIN | {"unused"}},
        ),
        (
            "from temdenoise import tables\ntables.NAMED",
            {"tables": {"NAMED"}, "sub.inner": {"other"}},
        ),
        (
            "from temdenoise import tables\ntables.START",
            {"tables": {"START"}, "sub.inner": {"other"}},
        ),
        (
            "from temdenoise.inside import Both\nBoth()",
            {"inside": {"Both"}, "sub.inner": {"passed_on", "other"}},
        ),
        # what a module does when it is imported, here by another
        (
            "from temdenoise.imports import loud\nloud()",
            {"imports": {"loud"}, "settings": {"library", "<statements>"}, "plain": {"unused"}},
        ),
        (
            "from temdenoise.optional import other\nother()",
            {"optional": {"other", "<statements>"}, "sub.inner": {"other"}},
        ),
        # what a decorator of the package enters somewhere is part of running its module
        (
            "from temdenoise.registry import KNOWN\nKNOWN",
            {"registry": {"KNOWN", "register", "<statements>"}},
        ),
        (
            "from temdenoise.program import start\nstart()",
            {"program": {"start", "main", "__name__"}, "plain": {"LIMIT"}},
        ),
        ("from temdenoise.program import quiet\nquiet()", {"program": {"quiet"}}),
        ("from temdenoise.shadows import parameter\nparameter()", {"shadows": {"parameter"}}),
        ("from temdenoise.shadows import variable\nvariable()", {"shadows": {"variable"}}),
        (
            "from temdenoise.shadows import mixed\nmixed()",
            {"shadows": {"mixed"}, "plain": {"first", "second", "LIMIT"}},
        ),
    ],
)
def test_what_a_script_reaches(tmp_path, script, expected):
    assert reached(tmp_path, script) == expected


SCRIPT = """
from temdenoise.plain import first
from temdenoise.sub.inner import other, passed_on
with job() as say:
    say(first(other()) + passed_on())
"""


def edited(folder, file, *pairs):
    """Recipe of the script above after an edit."""
    package = write(folder, script=SCRIPT)
    path = package.parent / file
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return Code(package).recipe("script.py")


SECOND = "def second(x):\n    return np.abs(x)"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("temdenoise/plain.py", "second(x) + LIMIT", "second(x) - LIMIT"),
        ("temdenoise/plain.py", "LIMIT = 3", "LIMIT = 4"),
        ("temdenoise/plain.py", "np.abs(x)", "np.abs(-x)"),
        ("temdenoise/plain.py", "import numpy as np", "import scipy as np"),
        ("temdenoise/plain.py", "def second(x)", "def second(x, y=1)"),
        ("temdenoise/plain.py", "LIMIT = 3", "LIMIT = 3\nnp.seterr(all='raise')"),
        ("temdenoise/sub/__init__.py", "from", "print()\nfrom"),
        ("temdenoise/plain.py", "LIMIT = 3", "LIMIT = 3\nfrom temdenoise.settings import quiet"),
        ("script.py", "first(other())", "first(1 + other())"),
        # both are reached before and after
        ("script.py", "import other, passed_on", "import other as passed_on, passed_on as other"),
    ],
)
def test_a_recipe_sees(tmp_path, file, old, new):
    before = edited(tmp_path / "before", "script.py")
    assert edited(tmp_path / "after", file, (old, new)) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("temdenoise/plain.py", "return second", "# why\n\n    return  (second)"),
        ("temdenoise/plain.py", "def second(x):", 'def second(x):\n    """Say what."""'),
        ("temdenoise/plain.py", "LIMIT = 3", 'LIMIT = 3\n"""What it is."""'),
        ("temdenoise/plain.py", "LIMIT = 3", "LIMIT: int = 3"),
        ("temdenoise/plain.py", "def second(x):", "def second(x: int) -> int:\n    y: int"),
        ("temdenoise/plain.py", "def unused(x):", "def unused(x, y):"),
        ("temdenoise/plain.py", SECOND, f"def further():\n    pass\n{SECOND}"),
        ("temdenoise/plain.py", "import numpy", "import json\nimport numpy"),
        ("temdenoise/plain.py", "LIMIT = 3", "LIMIT = 3\nfrom temdenoise.program import quiet"),
        ("temdenoise/registry.py", "return 1", "return 2"),
        ("script.py", "with job", '"""Say what."""\nimport json\nwith job'),
    ],
)
def test_a_recipe_is_blind_to(tmp_path, file, old, new):
    before = edited(tmp_path / "before", "script.py")
    assert edited(tmp_path / "after", file, (old, new)) == before


def test_fields_of_a_class_are_seen_with_their_annotations(tmp_path):
    recipes = []
    for number, kind in enumerate(("int", "ClassVar[int]")):
        package = write(tmp_path / str(number))
        (package / "fields.py").write_text(f"class A:\n    x: {kind} = 0\n")
        recipes.append(Code(package).recipe("fields:A"))
    assert recipes[0] != recipes[1]


def test_neutral_modules_and_names_are_left_out(tmp_path):
    assert all(NEUTRAL.values())
    package = write(tmp_path, script="from temdenoise import __version__\nprint(__version__)")
    recipes = []
    for version in ("1", "2"):
        (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
        recipes.append(Code(package).recipe("script.py"))
    assert recipes[0] == recipes[1]


def test_what_cannot_be_found_is_an_error(tmp_path):
    package = write(
        tmp_path,
        wrong="from temdenoise.plain import third\nthird()",
        relative="from .plain import first",
        all="from temdenoise.plain import *",
    )
    code = Code(package)
    with pytest.raises(KeyError, match=r"plain\.py defines no third"):
        code.recipe("wrong.py")
    with pytest.raises(KeyError, match="defines no nowhere"):
        code.recipe("nowhere:f")
    with pytest.raises(FileNotFoundError):
        code.recipe("no_such.py")
    for script in ("relative.py", "all.py"):
        with pytest.raises(ValueError, match=r"line 1: expected imports by name from temdenoise"):
            code.recipe(script)


def test_digest_of_the_package_sees_every_module_and_no_comment(tmp_path):
    package = write(tmp_path)
    before = Code(package).digest()
    path = package / "plain.py"
    path.write_text(path.read_text() + "# why\n")
    assert Code(package).digest() == before
    path.write_text(path.read_text() + "further = 1\n")
    assert Code(package).digest() != before


# the workflow's own recipes


@pytest.fixture
def copied(tmp_path):
    """A copy of the package and the scripts."""
    scripts = PACKAGE.parent
    for path in [*scripts.glob("*.py"), *PACKAGE.rglob("*.py")]:
        target = tmp_path / path.relative_to(scripts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path / "temdenoise"


DEFINITION = ast.FunctionDef | ast.ClassDef


def definitions(path, names=None):
    """Functions and classes at the top of a module, or those of them that are named."""
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, DEFINITION)]
    return [node for node in top if names is None or node.name in names]


def with_statements(text, nodes):
    """Insert a statement at the end of functions or classes."""
    lines = text.splitlines()
    for node in reversed(nodes):
        last = node.body[-1]
        lines.insert(last.end_lineno, f"{' ' * last.col_offset}inserted = 0")
    return "\n".join(lines) + "\n"


def with_comments(text, nodes):
    """Change the docstrings of functions and classes, and insert comments into them."""
    lines = text.splitlines()
    inside = [n for node in nodes for n in ast.walk(node) if isinstance(n, DEFINITION)]
    for first in (node.body[0] for node in inside if ast.get_docstring(node) is not None):
        opening = lines[first.lineno - 1]
        lines[first.lineno - 1] = opening.replace('"""', '"""Also: ', 1)
    for number in sorted({node.body[-1].lineno for node in inside}, reverse=True):
        lines.insert(number - 1, "# inserted")
    return "\n".join(["# inserted", *lines]) + "\n"


@pytest.mark.parametrize("script", STAGES.values(), ids=STAGES)
def test_an_edit_of_what_a_stage_reaches_makes_it_stale(copied, script):
    before, found = Code(copied).recipe(script), Code(copied).closure(script)
    assert len(found) > 3
    for module in found.keys() - {script}:
        path = module_file(module, copied)
        text, nodes = path.read_text(), definitions(path, found[module])
        constant = found[module][-1]
        path.write_text(
            with_statements(text, nodes[:1]) if nodes else f"{text}{constant} = {constant}\n"
        )
        assert Code(copied).recipe(script) != before, module
        path.write_text(with_comments(text, nodes))
    assert Code(copied).recipe(script) == before


def test_an_edit_of_the_report_makes_no_other_stage_stale(copied):
    scripts = (*STAGES.values(), "report_ms_ssim.py")
    before = {script: Code(copied).recipe(script) for script in scripts}
    for path in (copied / "report").glob("*.py"):
        path.write_text(with_statements(path.read_text(), definitions(path)))
    after = {script: Code(copied).recipe(script) for script in before}
    assert after.pop("report_ms_ssim.py") != before.pop("report_ms_ssim.py")
    assert after == before


@pytest.mark.parametrize(
    ("script", "packages"),
    [
        ("run_dft.py", {"foundation", "groundtruth", "images"}),
        ("project_density.py", {"foundation", "groundtruth", "images"}),
        ("make_dataset.py", {"foundation", "images"}),
        ("train.py", {"foundation", "images", "learning", "measuring"}),
    ],
)
def test_no_later_package_is_in_the_recipe_of_a_stage(script, packages):
    modules = closure(script).keys() - {script}
    assert {module.partition(".")[0] for module in modules} <= packages


def test_what_other_processes_run_is_in_the_recipe():
    assert {"main", "__name__"} <= set(closure("run_dft.py")["groundtruth.parallel"])
    assert {"work", "_end_with"} <= set(closure("train.py")["learning.processes"])


def test_what_shapes_a_model_is_in_its_recipe():
    found = closure("train.py")
    assert "hardware" in found["learning.devices"]
    assert "generator" in found["foundation.seeding"]
    assert "UNet" in found["learning.networks"]
    assert {"DataSet", "read_dataset"} <= set(found["images.datasets"])


def test_modules_imported_by_a_name_put_together_are_known():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("import_module", "__import__")
            ):
                asked = ast.unparse(node.args[0])
                plain = re.fullmatch(r"'[\w.]+'|f'(?!temdenoise)\w+\..*'", asked)
                assert plain or name in PUT_TOGETHER, f"{name}: {asked}"


def test_a_figure_has_the_recipe_of_what_draws_it():
    recipes = set()
    for entry in FIGURES.values():
        module, _, function = entry.draw.partition(":")
        assert function in closure("plot_figure.py", f"report.{entry.draw}")[f"report.{module}"]
        recipes.add(recipe("plot_figure.py", f"report.{entry.draw}"))
    assert len(recipes) == len(FIGURES)


# their code comes from elsewhere: all of the package, the table of figures; files alone
OTHERWISE = {"record_provenance.py", "plot_figure.py", "collect_tables.py"}


def test_each_rule_has_the_recipe_of_its_own_script():
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    scripts = set()
    for rule in re.split(r"^(?= *(?:(?:use )?rule|checkpoint) )", text, flags=re.MULTILINE)[1:]:
        used = re.search(r'"\.\./scripts/(\w+\.py)"', rule)
        given = re.search(r'\b(?:code|recipe)=recipe_of\("(\w+\.py)"\)', rule)
        if used and used[1] not in OTHERWISE:
            assert given, rule
            assert given[1] == used[1]
            scripts.add(used[1])
    assert scripts | OTHERWISE == {path.name for path in PACKAGE.parent.glob("*.py")}


def test_nothing_is_imported_to_read_it():
    code = (
        "import sys; from temdenoise.foundation.recipes import recipe; recipe('train.py'); "
        "print(*(name for name in sys.modules if name.partition('.')[0] "
        "in ('numpy', 'torch', 'scipy') or name.startswith('temdenoise.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {
        "temdenoise.foundation",
        "temdenoise.foundation.recipes",
        "temdenoise.foundation.source",
    }
