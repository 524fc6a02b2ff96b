"""The tiny workflow with `--sdm conda`, each step in its own environment alone."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

STAGES = {"driver", "dft", "torch", "report"}


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """A driver environment that holds Snakemake alone, and a stand-in conda."""
    home = tmp_path_factory.mktemp("standin")
    (home / "bin").mkdir()
    shutil.copy(Path(__file__).with_name("conda_standin.py"), home / "bin/conda_standin.py")
    conda = home / "bin/conda"
    conda.write_text(f'#!/bin/sh\nexec {sys.executable} {home}/bin/conda_standin.py "$@"\n')
    conda.chmod(0o755)
    (home / "bin/activate").write_text('. "$1/bin/activate"\n')
    pip = next(
        line.split('"')[1]
        for line in (ROOT / "Makefile").read_text().splitlines()
        if '"pip==' in line
    )
    environment = os.environ | {
        "STANDIN_PYTHON": sys._base_executable,
        "STANDIN_PIP": pip,
        "STANDIN_CONSTRAINTS": str(ROOT / "envs/constraints.txt"),
        "CC": os.environ.get("CC", "g++"),
        "PATH": f"{home / 'bin'}:/usr/local/bin:/usr/bin:/bin",
    }
    driver = home / "driver"
    subprocess.run([sys._base_executable, "-m", "venv", driver], check=True)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    install = [driver / "bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, pip], check=True, env=environment)
    constraints = ["-c", ROOT / "envs/constraints.txt"]
    subprocess.run([*install, *constraints, *groups["driver"]], check=True, env=environment)
    return driver, environment


def test_tiny_workflow_with_one_environment_per_step(commands, tmp_path):
    driver, environment = commands
    done = subprocess.run(
        [
            *(driver / "bin/python", "-m", "snakemake", "--sdm", "conda", "--cores", "2"),
            *("--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config/tiny.yaml"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert (tmp_path / "results/report.html").exists()
    made = {path.with_suffix("") for path in (tmp_path / ".snakemake/conda").glob("*.yaml")}
    assert len(made) == len(STAGES)
    holds = {}
    for prefix in made:
        listed = subprocess.run(
            [prefix / "bin/python", "-m", "pip", "list", "--format", "json"],
            capture_output=True,
            text=True,
            check=True,
        )
        names = {package["name"].lower() for package in json.loads(listed.stdout)}
        holds[prefix] = names & {"snakemake", "gpaw", "torch", "matplotlib", "jinja2"}
    # each environment holds its own packages and not those of the others
    stages = {
        frozenset({"snakemake", "jinja2"}),
        frozenset({"gpaw", "matplotlib"}),  # ASE needs matplotlib
        frozenset({"torch", "jinja2"}),
        frozenset({"matplotlib", "jinja2"}),
    }
    assert {frozenset(names) for names in holds.values()} == stages
