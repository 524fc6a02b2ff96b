"""Pins, the order of the packages, and which part of the project needs which environment."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache

import pytest
import yaml
from conftest import ROOT
from temdenoise.foundation.extras import EXTRAS, install_hint

SCRIPTS = ROOT / "workflow/scripts"
PACKAGE = SCRIPTS / "temdenoise"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
STAGES = ("driver", "dft", "imaging", "torch", "report", "micrographs")
PYPI_NAMES = {"snakemake-minimal": "snakemake", "pytorch": "torch", "tblite-python": "tblite"}

# each may import those before it; modules beside the packages included
ORDER = [
    *("foundation", "measuring", "images", "groundtruth", "learning", "judging", "micrographs"),
    *(
        "report",
        "api",
        "denoise_files",
        "inspecting",
        "implanting",
        "second_opinion",
        "benchmarking",
        "sharing",
        "project",
        "cli",
    ),
]
APART = [{"groundtruth", "learning"}]  # of these neither imports the other
NEVER = {
    "groundtruth": {"torch", "pytorch_lightning"},
    "learning": {"ase", "gpaw", "abtem"},
}

# names under which packages are imported, where they differ from those on PyPI
IMPORTED = {
    "gpaw-data": (),
    "pillow": ("PIL",),
    "pytorch-lightning": ("pytorch_lightning", "lightning_fabric"),
    "pytorch-msssim": ("pytorch_msssim",),
    "pywavelets": ("pywt",),
    "pyyaml": ("yaml",),
    "rosettasciio": ("rsciio",),
    "scikit-image": ("skimage",),
    "snakemake": ("snakemake", "jsonschema", "yaml"),  # the latter two as packages it needs
    "vl-convert-python": ("vl_convert",),
}


def conda_pins(stage):
    environment = yaml.safe_load((ROOT / f"envs/{stage}.yaml").read_text())
    pins = {}
    for entry in environment["dependencies"]:
        for package in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, _, version = re.sub("=+", "=", package).partition("=")
            if name not in ("python", "pip"):
                pins[PYPI_NAMES.get(name, name)] = version
    return pins


@pytest.mark.parametrize("stage", STAGES)
def test_conda_and_pip_have_the_same_pins(stage):
    assert conda_pins(stage) == dict(requirement.split("==") for requirement in GROUPS[stage])


def test_every_environment_is_a_stage():
    assert {path.stem for path in (ROOT / "envs").glob("*.yaml")} == set(STAGES)


def test_constraints_agree_with_the_pins():
    lines = (ROOT / "envs/constraints.txt").read_text().splitlines()
    constraints = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    for group in GROUPS.values():
        for name, version in (requirement.lower().split("==") for requirement in group):
            assert constraints.get(name, version) == version


def test_lock_file_has_the_pinned_versions_and_a_hash_for_each():
    def plain(name):
        return re.sub("[-_.]+", "-", name.lower())

    constraints = (ROOT / "envs/constraints.txt").read_text()
    pinned = {plain(n): v for n, v in re.findall(r"^([\w.-]+)==(\S+)$", constraints, re.MULTILINE)}
    pinned |= {plain(r.split("==")[0]): r.split("==")[1] for g in GROUPS.values() for r in g}
    lock = (ROOT / "envs/lock-linux-x86_64-cpu.txt").read_text().replace(" \\\n", "")
    entry = r"^([\w.-]+)==([^\s+]+)\S*(?: +--hash=sha256:[0-9a-f]{64})+$"
    locked = re.findall(entry, lock, re.MULTILINE)
    assert len(locked) == lock.count("==") > 90
    assert "://" not in lock
    versions = {plain(name): version for name, version in locked}
    # which `pip freeze` does not list
    del versions["setuptools"]
    # what only other platforms need is not in the lock file
    assert versions.items() <= pinned.items()
    assert {plain(r.split("==")[0]) for g in GROUPS.values() for r in g} <= set(versions)


def test_snakemake_is_one_version_everywhere():
    version = dict(requirement.split("==") for requirement in GROUPS["driver"])["snakemake"]
    required = re.search(r'min_version\("(.*)"\)', (ROOT / "Snakefile").read_text()).group(1)
    assert version.startswith(required + ".")
    assert f"Snakemake {required}" in (ROOT / "README.md").read_text()


def import_names(requirements):
    """Names under which the packages of some requirements are imported."""
    names = [re.match(r"[\w.-]+", requirement).group() for requirement in requirements]
    return {imported for name in names for imported in IMPORTED.get(name, (name,))}


def test_extras_are_those_of_the_project():
    declared = PROJECT["project"]["optional-dependencies"]
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == {
        extra: import_names(requirements) for extra, requirements in declared.items()
    }
    for extra, packages in EXTRAS.items():
        assert all(package in EXTRAS[hinted(package)] for package in packages), extra
    core = import_names(PROJECT["project"]["dependencies"])
    assert {install_hint(package) for package in core} == {"pip install ."}


def hinted(package):
    return re.fullmatch(r"pip install '\.\[(\w+)\]'", install_hint(package)).group(1)


def imports(node, *, when_called):
    """Yield the modules that a piece of source imports, as (module, names taken from it)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, ()) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module, [alias.name for alias in child.names]
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif when_called or not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from imports(child, when_called=when_called)
        if isinstance(child, ast.Constant) and str(child.value).startswith("temdenoise."):
            yield child.value.rstrip("."), ()  # for importlib


@cache
def used(path, *, when_called):
    """Modules that a file imports, those of this project as paths; without the standard library."""
    found = set()
    for module, names in imports(ast.parse(path.read_text()), when_called=when_called):
        top, *parts = module.split(".")
        if top == "temdenoise":
            place = PACKAGE.joinpath(*parts)
            places = [place.with_suffix(".py"), *(place / f"{name}.py" for name in names)]
            # a package runs its __init__
            places += [parent / "__init__.py" for parent in [place, *place.parents]]
            found |= {p for p in places if p.exists() and p.is_relative_to(PACKAGE)}
        elif top not in sys.stdlib_module_names:
            found.add(top)
    return found


def needed(path):
    """Packages without which a file cannot be imported, for all that it imports in turn."""
    seen, waiting, packages = set(), {path}, set()
    while waiting:
        seen.add(this := waiting.pop())
        for module in used(this, when_called=False):
            if isinstance(module, str):
                packages.add(module)
            elif module not in seen:
                waiting.add(module)
    return packages


def level(path):
    """Package of a module, or the module itself where it lies beside the packages."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = [path for path in PACKAGE.rglob("*.py") if level(path) != "__init__"]


def test_packages_import_only_those_before_them():
    assert {level(path) for path in MODULES} == set(ORDER)
    for path in MODULES:
        own = level(path)
        allowed = set(ORDER[: ORDER.index(own) + 1])
        for apart in APART:
            allowed -= apart - {own} if own in apart else set()
        modules = used(path, when_called=True)
        names = {level(module) for module in modules if not isinstance(module, str)}
        assert names <= {"__init__", *allowed}, f"{path} imports {names - allowed}"
        assert not modules & NEVER.get(own, set()), path


def scripts_by_environment():
    """Scripts of the rules, each with its environment."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        rules = re.split(r"^ *(?:rule|checkpoint) \w+:$", path.read_text(), flags=re.MULTILINE)
        for rule in rules[1:]:
            script = re.search(r'"\.\./scripts/(\w+\.py)"', rule).group(1)
            yield script, re.search(r'"\.\./\.\./envs/(\w+)\.yaml"', rule).group(1)


BY_ENVIRONMENT = list(scripts_by_environment())


def test_every_script_has_an_environment():
    assert {script for script, _ in BY_ENVIRONMENT} == {path.name for path in SCRIPTS.glob("*.py")}
    assert {stage for _, stage in BY_ENVIRONMENT} == set(STAGES)


@pytest.mark.parametrize(("script", "stage"), BY_ENVIRONMENT)
def test_script_needs_only_its_environment(script, stage):
    assert needed(SCRIPTS / script) <= import_names(GROUPS[stage])


def test_snakefile_needs_only_snakemake(tmp_path):
    for path in [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]:
        found = re.findall(r"^((?:from|import) \S[^(\n]*(?:\([^)]*\))?)", path.read_text(), re.M)
        (tmp_path / "imports.py").write_text("\n".join(found))
        used.cache_clear()
        assert needed(tmp_path / "imports.py") <= {"snakemake", "jsonschema", "yaml"}, path


@pytest.mark.parametrize("own", ["api", "cli", "project", "micrographs", "sharing"])
def test_installed_package_needs_only_its_dependencies(own):
    """What is imported when a function is called may also be of an extra."""
    core = import_names(PROJECT["project"]["dependencies"])
    optional = {package for packages in EXTRAS.values() for package in packages}
    for path in (path for path in MODULES if level(path) == own):
        assert needed(path) <= core, path
        later = {module for module in used(path, when_called=True) if isinstance(module, str)}
        assert later <= core | optional, path


@pytest.mark.parametrize("module", ["temdenoise", "temdenoise.cli"])
def test_answers_before_anything_heavy_is_imported(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"numpy", "torch", "scipy", "matplotlib", "yaml"}
