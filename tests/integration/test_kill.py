"""Kills of single processes of a run; its numbers stay those of an undisturbed one.

`make test-kill` kills five, spread over the run, and prints a table of them;
TEMDENOISE_KILLS asks for more. The moments are drawn from a seed, what they hit
depends on the machine's speed. With TEMDENOISE_KILL_FOLDER set to a folder the test
keeps there what it has done and goes on with it; with TEMDENOISE_KILL_SECONDS it pauses
after so many, between jobs.
"""

import json
import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import DRIVE
from temdenoise.foundation.files import read_benchmarks, read_json, write_json

pytestmark = pytest.mark.kill

KILLS = int(os.environ.get("TEMDENOISE_KILLS", "5"))
MOST_ROUNDS = 10
SEED = 7
NOISES = ("gaussian", "poisson")
OVERLAY = "datasets: {noises: [gaussian, poisson]}"  # half of the tiny run, and nothing less
MODELS = (*NOISES, "universal", *(f"paper_like_{noise}" for noise in NOISES))
FILES = ["evaluation/quality.csv", "evaluation/fidelity.csv", "structures/structures.csv"]
FILES += [f"figures/figure_{n}.csv" for n in ("1", "2", "4", "5", "S1", "S2", "S3")]
FILES += [f"models/{name}/{file}" for name in MODELS for file in ("model.pt", "metrics.csv")]
FILES += [f"datasets/{noise}/{split}/noisy.tif" for noise in NOISES for split in ("train", "test")]
FILES += [f"maps/{name}-0000.tif" for name in ("train", "val", "test")]
# in the order in which data flows; "driver" is killed while such a job runs, and the job goes on as
# an orphan beside its successor
SPREAD = ["run_dft", "make_dataset", "driver:train", "evaluate", "report_ms_ssim"]
# of every further round over a fresh folder
FURTHER = ["run_dft", "driver:run_dft", "run_dft", "make_dataset", "train", "driver:train"]
FURTHER += ["train", "train", "evaluate", "driver:evaluate", "evaluate", "plot_figure"]


def planned(kills):
    """Processes to kill in the next round: those of `SPREAD` that ended too soon, then others."""
    killed = {kill["process"] for kill in kills}
    return [victim for victim in SPREAD if victim not in killed] or FURTHER


def jobs_of(driver, script):
    """Processes of a driver that run a script, oldest first; not what was started for them."""
    found = []
    for process in driver.children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if command and command[-1].endswith(f".{script}.py") and "python" in command[0]:
            found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def started(folder):
    """Start or continue a run."""
    (folder / "two_noises.yaml").write_text(OVERLAY)
    with (folder / "driver.txt").open("a") as output:
        command = [*DRIVE, str(folder / "two_noises.yaml")]
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)


def kill_one(folder, victim, *, longest, rng):
    """Start or continue the run, kill one process of it and let the rest end; None: too late."""
    kind, _, script = victim.rpartition(":")
    with started(folder) as process:
        driver = psutil.Process(process.pid)
        while process.poll() is None and not (found := jobs_of(driver, script)):
            time.sleep(0.02)
        if process.poll() is None:
            delay = rng.uniform(0, longest)
            time.sleep(delay)
            found = [job for job in found if job.is_running()]
        if process.poll() is not None or not found:
            process.terminate()
            process.wait(timeout=300)
            return None
        target = driver if kind else rng.choice(found)
        target.kill()
        if kind:
            process.wait()
        else:
            # the driver tells of the job's end and starts no more
            process.terminate()
            process.wait(timeout=300)
    return {"process": victim, "after_seconds": round(delay, 2)}


def finish(folder, pause):
    """Run to the end; False: it was time to pause."""
    # an orphan and its successor may have stood in each other's way once more
    for _ in range(3):
        with started(folder) as process:
            while process.poll() is None and time.monotonic() < pause:
                time.sleep(0.2)
            if process.poll() is None:
                process.terminate()  # it waits for the running jobs
                process.wait()
                return False
        if process.returncode == 0:
            return True
    raise AssertionError((folder / "driver.txt").read_text()[-5000:])


def compared(folder, undisturbed):
    """Check that a run ended as the undisturbed one."""
    differ = [
        name
        for name in FILES
        if (folder / "results" / name).read_bytes() != (undisturbed / "results" / name).read_bytes()
    ]
    assert not differ
    assert (folder / "results/report.html").exists()
    left = [path for path in (folder / "results").rglob("*") if ".part" in path.name]
    left += list((folder / "results/models").glob("*/work-*"))
    assert not left


def printed(kills, ends):
    """Markdown."""
    lines = ["| kill | round | process | seconds after its start | end of the round |"]
    lines += ["|---|---|---|---|---|"]
    for number, kill in enumerate(kills, 1):
        last = number == len(kills) or kills[number]["round"] != kill["round"]
        process = kill["process"].replace(":", " during ")
        lines.append(
            f"| {number} | {kill['round']} | {process} | {kill['after_seconds']:.2f} | "
            f"{ends[str(kill['round'])] if last else ''} |"
        )
    return "\n".join(lines)


def test_kills_change_no_number(tmp_path, capsys):
    place = Path(os.environ.get("TEMDENOISE_KILL_FOLDER", tmp_path)).resolve()
    pause = time.monotonic() + float(os.environ.get("TEMDENOISE_KILL_SECONDS", "inf"))
    undisturbed, record = place / "undisturbed", place / "kills.json"
    undisturbed.mkdir(parents=True, exist_ok=True)
    state = read_json(record) if record.exists() else {"plan": SPREAD, "kills": [], "ends": {}}
    kills, ends = state["kills"], state["ends"]

    def keep(*, goes_on=True, **changes):
        state.update(changes)
        write_json(record, state)
        if not goes_on or time.monotonic() > pause:
            pytest.skip(f"paused after {len(kills)} of {KILLS} kills; run it again to go on")

    keep(goes_on=finish(undisturbed, pause))
    took = read_benchmarks(undisturbed / "results/benchmarks")

    while len(kills) < KILLS or str(kills[-1]["round"]) not in ends:
        number = len(ends) + 1
        assert number <= MOST_ROUNDS, f"jobs end before they can be killed: {json.dumps(kills)}"
        folder = place / f"round{number}"
        folder.mkdir(exist_ok=True)
        while state["plan"] and len(kills) < KILLS:
            victim, *rest = state["plan"]
            seconds = [row["s"] for row in took[victim.rpartition(":")[2]]]
            killed = kill_one(
                folder,
                victim,
                longest=0.8 * min(seconds),
                rng=random.Random(f"{SEED} {number} {len(rest)}"),
            )
            if killed:
                kills.append({"round": number, **killed})
            keep(plan=rest)
        keep(goes_on=finish(folder, pause))
        compared(folder, undisturbed)
        ends[str(number)] = f"{len(FILES)} of {len(FILES)} files the same"
        keep(plan=planned(kills))
    assert len(kills) == KILLS
    with capsys.disabled():
        print(f"\n{printed(kills, ends)}")
