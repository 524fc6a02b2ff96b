"""What stands around every script: log, seals, errors that name a remedy."""

import os
import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT
from temdenoise.foundation.seals import check, read_seal, seal

SCRIPT = """
import sys
from types import SimpleNamespace

sys.path.insert(0, {package!r})
from temdenoise.foundation.files import atomic
from temdenoise.foundation.jobs import job

snakemake = SimpleNamespace(
    rule="copy", wildcards=["a"], log=["logs/copy.log"], input=["in.txt"], output=["out.txt"]
)
{before}
with job(snakemake) as say:
{inside}
"""
COPY = """
with atomic("out.txt") as path:
    path.write_text(open("in.txt").read() * 1000)
print("in the log")
say("said")
"""


def run(folder, inside=COPY, before=""):
    code = SCRIPT.format(
        package=str(ROOT / "workflow/scripts"),
        before=before,
        inside=textwrap.indent(inside, "    "),
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in.txt").write_text("content")
    return tmp_path


def test_a_job_seals_what_it_made(folder):
    done = run(folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "[copy:a] said\n")
    log = (folder / "logs/copy.log").read_text()
    assert "in the log" in log
    assert "finished in" in log
    check(folder / "out.txt")
    found = read_seal(folder / "out.txt")
    assert found["rule"] == "copy"
    assert found["python"] == sys.version.split()[0]


def test_a_damaged_input_stops_the_job_before_it_starts(folder):
    seal(folder / "in.txt", {"rule": "make"})
    (folder / "in.txt").write_text("c0ntent")
    done = run(folder)
    assert done.returncode == 1
    assert "[copy:a] failed: DataError: in.txt: not what its job wrote" in done.stderr
    assert "delete it and run the workflow again" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (folder / "logs/copy.log").read_text()
    assert not (folder / "out.txt").exists()


def test_a_failed_job_leaves_no_seal(folder):
    seal(folder / "in.txt", {"rule": "make"})
    assert run(folder).returncode == 0
    done = run(folder, inside='raise ValueError("wrong")')
    assert done.returncode == 1
    assert "[copy:a] failed: ValueError: wrong (log: logs/copy.log)" in done.stderr
    assert not (folder / ".out.txt.seal").exists()
    assert (folder / ".in.txt.seal").exists()


def test_a_limit_on_the_size_of_files_is_named(folder):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    done = run(folder, before=limit)
    assert done.returncode == 1
    assert "failed: OSError: [Errno 27] File too large" in done.stderr
    assert "raise the limit (`ulimit -f`)" in done.stderr
    assert not [path for path in folder.iterdir() if "out.txt" in path.name]


def test_a_folder_that_may_not_be_written_is_named(folder):
    """Also when not even the log can be opened; root may write anywhere."""
    logs = folder / "logs"
    logs.mkdir()
    logs.chmod(0o555)
    folder.chmod(0o755)
    # paths are relative, so the user nobody needs to see no more than this folder
    before = "import os; os.setuid(65534)" if os.getuid() == 0 else ""
    done = run(folder, before=before)
    assert done.returncode == 1
    assert "failed: PermissionError: [Errno 13] Permission denied: 'logs/copy.log'" in done.stderr
    assert "choose another folder with --directory" in done.stderr


@pytest.fixture
def small_disk(folder):
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    (disk / "in.txt").write_text("content")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_named_and_mended_by_making_room(small_disk):
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(100_000))
    done = run(small_disk)
    assert done.returncode != 0
    assert "failed: OSError: [Errno 28] No space left on device" in done.stderr
    assert "make room and run the workflow again" in done.stderr
    ballast.unlink()
    assert run(small_disk).returncode == 0
    check(small_disk / "out.txt")
