"""Pins, and which part of the package needs which environment."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from conftest import ROOT

PACKAGE = ROOT / "workflow/scripts/temdenoise"
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
STAGES = ("driver", "dft", "imaging", "torch", "report", "micrographs")
PYPI_NAMES = {"snakemake-minimal": "snakemake", "pytorch": "torch"}

# what each module may not import, since its environment does not hold it
FORBIDDEN = {
    "groundtruth.crystals": "gpaw torch pytorch_lightning matplotlib",
    "groundtruth.structures": "gpaw torch pytorch_lightning matplotlib",
    "groundtruth.dft": "torch pytorch_lightning matplotlib",
    "groundtruth.density": "ase gpaw scipy torch matplotlib tifffile",
    "groundtruth.microscope": "gpaw torch pytorch_lightning tifffile",
    "groundtruth.mosaics": "ase gpaw torch matplotlib tifffile",
    "images.noise": "ase gpaw scipy torch matplotlib tifffile",
    "images.datasets": "ase gpaw torch matplotlib",
    "learning.training": "ase gpaw",
    "learning.inference": "ase gpaw matplotlib pytorch_lightning",
    "judging.evaluation": "ase gpaw matplotlib pytorch_lightning",
    "showing.figures": "gpaw torch",
    "showing.supplement": "ase gpaw torch",
    "showing.pictures": "gpaw torch",
    "showing.report": "ase gpaw scipy torch",
    "showing.captions": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    "showing.micrograph": "ase gpaw scipy torch",
    "showing.model_card": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    "showing.marked": "ase gpaw scipy torch",
    "micrographs.denoise_file": "ase gpaw matplotlib pytorch_lightning pytorch_msssim skimage",
    "micrographs.marks": "ase gpaw torch matplotlib",
    "micrographs.readers": "ase gpaw scipy torch matplotlib",
    "micrographs.writers": "ase gpaw scipy torch matplotlib",
    # other programs' packages are no part of any run
    "sharing.export": "onnx onnxscript onnxruntime pytorch_lightning yaml",
    "sharing.publishing": "onnx yaml matplotlib pytorch_lightning pytorch_msssim skimage",
    "sharing.signals": "hyperspy dask pytorch_lightning pytorch_msssim skimage",
    "sharing.zoo": "onnx onnxscript onnxruntime bioimageio pytorch_lightning yaml",
    # the command answers at once, before anything heavy is imported
    "commands": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    # used where Snakemake itself runs
    "optics": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    "configuration": "numpy ase gpaw scipy torch matplotlib tifffile",
    "provenance": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    "showing.workflow_graph": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    "files": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
    "jobs": "numpy ase gpaw scipy torch matplotlib tifffile yaml",
}

# the wings each wing may use; none may use what comes later
WINGS = {
    "groundtruth": set(),
    "images": set(),
    "learning": {"images"},
    "judging": {"images", "learning"},
    "showing": {"images"},
    "micrographs": {"images", "learning", "judging"},
    "sharing": {"images", "learning", "judging", "micrographs"},
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


@pytest.mark.parametrize("module", FORBIDDEN)
def test_module_runs_in_its_environment(module):
    block = "".join(f"sys.modules[{name!r}] = None; " for name in FORBIDDEN[module].split())
    code = f"import sys; {block}import temdenoise.{module}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_wings_use_only_those_before_them():
    for wing, allowed in WINGS.items():
        for path in (PACKAGE / wing).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("temdenoise."):
                    used = node.module.split(".")[1]
                    assert used not in WINGS or used in {wing, *allowed}, f"{path} uses {used}"
    assert set(WINGS) == {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
