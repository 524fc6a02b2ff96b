"""How the command is started: from cron, with closed streams, without a home, in a pipe."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from made_up_frames import counts

SCRIPTS = ROOT / "workflow/scripts"
START = f"{shlex.quote(sys.executable)} -W ignore -m temdenoise.cli"


@pytest.fixture
def frame(rng, tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, counts(rng)[:80, :90])
    return path


def started(command, folder="/", **variables):
    """Start a command by a shell, with nothing but these variables."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SCRIPTS), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def written(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "variables",
    [
        # cron, and no place of its own
        {"HOME": "/nonexistent", "MPLCONFIGDIR": "/nonexistent", "TMPDIR": "/nonexistent"},
        {
            "MPLBACKEND": "module://no_such_backend",
            "LC_ALL": "C",
            "PYTHONIOENCODING": "cp437",
            "COLUMNS": "1",
        },
    ],
)
def test_it_works_without_home_and_with_foreign_settings(variables, frame, tmp_path):
    out = tmp_path / "out"
    done = started(f"{START} denoise {frame} --sampling 15pm -o {out}", **variables)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert "scan_denoised.tif" in written(out)


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-"])
def test_closed_streams_do_no_harm(closed, frame, tmp_path):
    out = tmp_path / "out"
    done = started(f"{START} denoise {frame} --sampling 15pm -o {out} {closed}")
    assert done.returncode == 0
    summary = json.loads((out / "scan_summary.json").read_text())
    # nothing that was meant for a stream went into a result
    assert written(out) == set(summary["files"].values())
    assert np.load(out / "scan_denoised.npy").shape == (80, 90)
    assert started(f"{START} denoise {tmp_path}/missing.npy {closed}").returncode == 1


def test_a_pipe_that_is_closed_early_is_no_error_to_be_told(frame):
    done = started(f"{START} inspect --json {frame} {frame}x | true; {START} --help | head -1")
    assert b"Traceback" not in done.stderr
    assert b"usage: temdenoise" in done.stdout


def test_a_folder_that_cannot_be_written_to_is_named_before_the_work(frame):
    if not Path("/proc/self").is_dir():
        pytest.skip("needs a folder that not even root can write to: /proc")
    done = started(f"{START} denoise {frame} --sampling 15pm -o /proc/results")
    assert done.returncode == 1
    assert b"cannot write to /proc/results" in done.stderr
    assert b"name another folder with -o" in done.stderr
    assert b"Traceback" not in done.stderr
