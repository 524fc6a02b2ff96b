"""One function in several processes."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from temdenoise.learning.processes import run_processes


def note(rank, target):
    (target / f"{rank}.txt").write_text(f"{os.environ['LOCAL_RANK']} {os.environ['MASTER_PORT']}")


def wait(rank, target, ends=None):
    (target / f"{rank}.pid").write_text(str(os.getpid()))
    while ends is None or len(list(target.glob("*.pid"))) < 2:
        time.sleep(0.05)
    if rank == 1:
        ends()
    time.sleep(600)


def leave():
    raise SystemExit(3)


def be_killed():
    os.kill(os.getpid(), signal.SIGKILL)


def alive(target):
    return [path for path in target.glob("*.pid") if psutil.pid_exists(int(path.read_text()))]


def test_each_has_its_rank_and_all_meet_at_one_place(tmp_path):
    run_processes(note, 3, folder=tmp_path / "work", target=tmp_path)
    ranks, ports = zip(*(p.read_text().split() for p in tmp_path.glob("*.txt")), strict=True)
    assert sorted(ranks) == ["0", "1", "2"]
    assert len(set(ports)) == 1
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize(("ends", "code"), [(leave, 3), (be_killed, -9)])
def test_when_one_fails_the_others_end_and_it_is_named(tmp_path, ends, code):
    with pytest.raises(RuntimeError, match=f"of 2 processes .* failed: 1 with {code} "):
        run_processes(wait, 2, folder=tmp_path / "work", target=tmp_path, ends=ends)
    assert len(list(tmp_path.glob("*.pid"))) == 2
    assert not alive(tmp_path)


def test_they_end_when_the_job_is_killed(tmp_path):
    code = "import json, sys; from pathlib import Path; sys.path[:] = json.loads(sys.argv[1]); "
    code += (
        "from temdenoise.learning.processes import run_processes; from test_processes import wait; "
    )
    code += "path = Path(sys.argv[2]); run_processes(wait, 2, folder=path / 'work', target=path)"
    command = [sys.executable, "-c", code, json.dumps(sys.path), str(tmp_path)]
    with subprocess.Popen(command) as job:
        while len(list(tmp_path.glob("*.pid"))) < 2:
            assert job.poll() is None
            time.sleep(0.05)
        job.kill()
    end = time.monotonic() + 60
    while alive(tmp_path):
        assert time.monotonic() < end
        time.sleep(0.05)
