"""What runs before a change lands, with a stand-in for make."""

import os
import subprocess

import pytest
from conftest import ROOT

ALWAYS = ["test", "lint", "docs", "test-slow"]
SUITES = ["browser", "export", "slurm"]


@pytest.fixture
def ci(tmp_path):
    """Run it on the given day; returns the answer, and what was made."""
    programs = {
        "make": f'echo "$1" >> "{tmp_path}/made"; case " $FAILS " in *" $1 "*) exit 2;; esac',
        "date": 'echo "$DAY"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run(*, day="008", fails="", suite=""):
        (tmp_path / "made").write_text("")
        done = subprocess.run(
            [ROOT / ".ci/run"],
            env={
                **os.environ,
                **{"DAY": day, "FAILS": fails, "TEMDENOISE_SUITE": suite},
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done, (tmp_path / "made").read_text().split()

    return run


def test_every_day_runs_another_suite(ci):
    last = []
    for day in ("008", "009", "010"):
        done, made = ci(day=day)
        assert done.returncode == 0, done.stderr
        assert made[:4] == ALWAYS
        assert made[4].removeprefix("programs-") == made[5].removeprefix("test-")
        assert f"make {made[5]}" in done.stdout
        last += made[5:]
    assert sorted(last) == sorted(f"test-{suite}" for suite in SUITES)


@pytest.mark.parametrize("suite", [*SUITES, "kill"])
def test_a_suite_is_chosen(ci, suite):
    done, made = ci(suite=suite)
    assert done.returncode == 0
    assert made == [*ALWAYS, f"programs-{suite}", f"test-{suite}"]
    # what is chosen must run
    done, made = ci(suite=suite, fails=f"programs-{suite}")
    assert done.returncode == 1
    assert made[-1] == f"programs-{suite}"


def test_an_unknown_suite_is_refused_at_once(ci):
    done, made = ci(suite="slum")
    assert done.returncode == 2
    assert "TEMDENOISE_SUITE=slum: expected one of browser export slurm kill" in done.stderr
    assert made == []


def test_a_suite_that_cannot_be_installed_is_named_and_replaced(ci):
    _, usual = ci()
    done, made = ci(fails=usual[4])
    assert done.returncode == 0
    assert f"Left out: make {usual[5]}" in done.stderr
    assert made[-1] != usual[-1]


@pytest.mark.parametrize("target", [*ALWAYS, *(f"test-{suite}" for suite in SUITES)])
def test_what_fails_fails(ci, target):
    suite = target.removeprefix("test-") if target not in ALWAYS else ""
    done, made = ci(fails=target, suite=suite)
    assert done.returncode != 0
    assert made[-1] == target
