"""The workflow through a real Slurm that runs on this machine alone (`make test-slurm`)."""

import re
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from one_machine_slurm import missing, slurm
from temdenoise.foundation.files import read_table

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing()), reason=f"Slurm is not installed: {missing()}"),
]

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
# what differs on one machine without accounting: no database to ask, and no need to wait long
HERE = {
    "slurm-status-command": "squeue",
    "slurm-init-seconds-before-status-checks": 2,
    "seconds-between-status-checks": 2,
    "latency-wait": 5,
}
SLOW = """
rule slow:
    output: "out.txt"
    shell: "echo begun >> begun.txt && sleep {seconds} && touch {{output}}"
"""


@pytest.fixture(scope="module")
def cluster():
    # sockets lie in it, so its path must be short
    with (
        tempfile.TemporaryDirectory(prefix="slurm") as folder,
        # promises of a larger node; the jobs of the tests need little of it
        slurm(Path(folder), cpus=16, memory_mb=64_000) as environment,
    ):
        yield environment


def profile(folder, **changes):
    """Write the profile of the project with the changes that the test is about; None: left out."""
    folder.mkdir()
    options = {k: v for k, v in (PROFILE | HERE | changes).items() if v is not None}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    return folder


def snakemake(cluster, folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--directory", folder, *arguments],
        cwd=folder,
        env=cluster,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    return done.returncode, done.stdout + done.stderr


def without_gpus(**changes):
    resources = deepcopy(PROFILE["set-resources"])
    for options in resources.values():
        options.pop("gpu", None)
    return resources | changes


def one_slow_job(folder, *, seconds, minutes):
    """Write a workflow of one job, and a profile for it."""
    (folder / "Snakefile").write_text(SLOW.format(seconds=seconds))
    return profile(
        folder / "profile",
        **{"default-resources": {"mem_mb": 500, "runtime": minutes}},
        **dict.fromkeys(("groups", "group-components", "set-resources", "set-threads")),
    )


def test_tiny_workflow_on_slurm(cluster, tmp_path):
    """End to end; the first training is killed for its memory and gets more."""
    training = PROFILE["set-resources"]["train_gaussian"]
    little = {**training, "mem_mb": "450 if attempt == 1 else 4000"}
    little.pop("gpu")
    chosen = profile(tmp_path / "profile", **{"set-resources": without_gpus(train_gaussian=little)})
    code, said = snakemake(
        cluster,
        tmp_path,
        *("--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "config/tiny.yaml"),
        *("--workflow-profile", chosen),
    )
    print(said)
    assert code == 0, said[-5000:]
    assert (tmp_path / "results/report.html").exists()
    rows = read_table(tmp_path / "results/evaluation/quality.csv")
    assert {row["method"] for row in rows} >= {"raw", "cnn", "universal", "paper_like"}
    # the one failure was mended by a second attempt of that job alone
    assert len(re.findall(r"Trying to restart job", said)) == 1
    assert "train_gaussian" in said.split("Trying to restart job")[0][-3000:]


def test_time_out_is_followed_by_an_attempt_with_more(cluster, tmp_path):
    chosen = one_slow_job(tmp_path, seconds=90, minutes="1 * attempt")
    code, said = snakemake(cluster, tmp_path, "--workflow-profile", chosen)
    print(said)
    assert code == 0, said[-5000:]
    assert "TIMEOUT" in said
    assert len(re.findall(r"Trying to restart job", said)) == 1
    assert (tmp_path / "begun.txt").read_text().split() == ["begun"] * 2


def test_a_job_whose_node_vanishes_is_run_again(cluster, tmp_path):
    chosen = one_slow_job(tmp_path, seconds=20, minutes=5)

    def vanish():
        """Once the job runs, give its only node up for lost; it returns by itself."""
        begun = tmp_path / "begun.txt"
        while not begun.exists():
            time.sleep(0.5)
        node = f"nodename={socket.gethostname().split('.')[0]}"
        down = ["scontrol", "update", node, "state=down", "reason=vanished"]
        subprocess.run(down, env=cluster, check=True)

    with ThreadPoolExecutor(1) as pool:
        vanished = pool.submit(vanish)
        code, said = snakemake(cluster, tmp_path, "--workflow-profile", chosen)
        print(said)
        assert code == 0, said[-5000:]
        vanished.result(timeout=10)
    assert (tmp_path / "begun.txt").read_text().split() == ["begun"] * 2
    assert (tmp_path / "out.txt").exists()
