"""What runs before a change lands, with a stand-in for make."""

import os
import re
import subprocess
import tomllib

import pytest
from conftest import ROOT

SUITES = ["lint", "docs", "test-install", "test", "test-slow"]
SUITES += ["test-browser", "test-export", "test-slurm", "test-kill", "test-fuzz"]
# what is installed besides Python packages, and before what
PROGRAMS = {"test-browser": "programs-browser", "test-slurm": "programs-slurm"}


def targets(suites):
    """Targets made for suites, in their order."""
    return [target for suite in suites for target in (PROGRAMS.get(suite), suite) if target]


@pytest.fixture
def ci(tmp_path):
    """Run it; returns the answer, and what was made."""
    (tmp_path / "make").write_text(
        f'#!/bin/sh\necho "$1" >> "{tmp_path}/made"\n'
        'echo "1 passed in 0.01s"\ncase " $FAILS " in *" $1 "*) exit 2;; esac\n'
    )
    (tmp_path / "make").chmod(0o755)

    def run(*, fails="", suites=""):
        (tmp_path / "made").write_text("")
        done = subprocess.run(
            [ROOT / ".ci/run"],
            env={
                **os.environ,
                **{"FAILS": fails, "TEMDENOISE_SUITES": suites},
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done, (tmp_path / "made").read_text().split()

    return run


def seconds(done):
    """Name, and what is said of it, in the table at the end."""
    table = done.stdout.rpartition("\n\n")[2].splitlines()
    return [re.split(r"\s{2,}|\s(?=-)", line, maxsplit=1) for line in table]


def test_the_same_suites_run_every_day_and_their_seconds_are_printed(ci):
    done, made = ci()
    assert done.returncode == 0, done.stderr
    assert made == targets(SUITES)
    assert [name for name, _ in seconds(done)] == [*SUITES, "total"]
    assert all(re.fullmatch(r"\d+ s", said) for _, said in seconds(done))
    # what the suites print stays
    assert done.stdout.count("1 passed in 0.01s") == len(made)
    assert "date" not in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("suite", SUITES)
def test_the_first_failing_suite_fails(ci, suite):
    done, made = ci(fails=suite)
    assert done.returncode == 2
    assert made == targets(SUITES[: SUITES.index(suite) + 1])
    name, said = seconds(done)[-2]
    assert name == suite
    assert said.endswith("FAILED")
    assert seconds(done)[-1][0] == "total"


@pytest.mark.parametrize("suite", PROGRAMS)
def test_a_suite_that_cannot_be_installed_is_named(ci, suite):
    done, made = ci(fails=PROGRAMS[suite])
    assert done.returncode == 0
    assert made == [target for target in targets(SUITES) if target != suite]
    assert f"Left out: make {suite}" in done.stderr
    assert "left out" in dict(seconds(done))[suite]
    # what is asked for by name must run
    done, made = ci(fails=PROGRAMS[suite], suites=suite)
    assert done.returncode == 1
    assert made == [PROGRAMS[suite]]


def test_suites_are_chosen_by_name(ci):
    done, made = ci(suites="test-slurm lint")
    assert done.returncode == 0
    assert made == ["programs-slurm", "test-slurm", "lint"]


def test_an_unknown_suite_is_refused_at_once(ci):
    done, made = ci(suites="lint slum")
    assert done.returncode == 2
    assert f"slum: expected some of {' '.join(SUITES)}" in done.stderr
    assert made == []


def test_every_marker_has_a_suite():
    """What `make test` leaves out is run by another suite; the acceptance judges `make run`."""
    makefile = (ROOT / "Makefile").read_text()
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    left_out = re.findall(r"not (\w+)", options["addopts"][-1])
    for marker in set(left_out) - {"acceptance"}:
        assert f"test-{marker}" in SUITES
        assert re.search(rf"^test-{marker}:.*##.*\n\t.*-m {marker}\b", makefile, re.MULTILINE)


def test_every_suite_is_in_the_guide_and_in_the_help():
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for suite in SUITES:
        assert f"    make {suite} " in guide
        assert re.search(rf"^{suite} +\w", told.stdout, re.MULTILINE)
