"""Twenty kills of single processes of a run; its numbers stay those of an undisturbed one.

`make test-kill` prints a table of the kills. They are drawn from a seed, what they
hit depends on the machine's speed.
"""

import random
import subprocess
import time

import psutil
import pytest
from conftest import DRIVE, drive
from temdenoise.images.noise import PAPER_NOISES as NOISES

pytestmark = pytest.mark.kill

KILLS = 20
SEED = 7
FILES = ["evaluation/quality.csv", "evaluation/fidelity.csv", "structures/structures.csv"]
FILES += [f"figures/figure_{n}.csv" for n in ("1", "2", "4", "5", "S1", "S2", "S3")]
FILES += [f"models/{name}/model.pt" for name in (*NOISES, "universal", "paper_like_poisson")]
FILES += [f"datasets/{noise}/{split}/noisy.tif" for noise in NOISES for split in ("train", "test")]
FILES += [f"maps/{name}-0000.tif" for name in ("train", "val", "test")]
# of a round over a fresh folder, in the order in which data flows; "driver" is killed
# while such a job runs, and the job goes on as an orphan beside its successor
PLAN = ["run_dft", "driver:run_dft", "run_dft", "make_dataset", "train", "driver:train"]
PLAN += ["train", "train", "evaluate", "driver:evaluate", "evaluate", "plot_figure"]


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


def kill_one(folder, victim, rng):
    """Start or continue the run, kill one process of it and let the rest end; None: too late."""
    kind, _, script = victim.rpartition(":")
    with (folder / "driver.txt").open("a") as output:
        process = subprocess.Popen(DRIVE, cwd=folder, stdout=output, stderr=output)
        driver = psutil.Process(process.pid)
        while process.poll() is None and not (found := jobs_of(driver, script)):
            time.sleep(0.02)
        if process.poll() is None:
            delay = rng.uniform(0, 4)
            time.sleep(delay)
            found = [job for job in found if job.is_running()]
        if process.poll() is not None or not found:
            process.kill()
            process.wait()
            return None
        target = driver if kind else rng.choice(found)
        target.kill()
        if kind:
            process.wait()
        else:
            # the driver tells of the job's end and starts no more
            process.terminate()
            process.wait(timeout=300)
    return {"victim": victim, "seconds after its start": f"{delay:.2f}"}


def test_twenty_kills_change_no_number(run, tmp_path):
    results, _ = run
    rng, table, rounds = random.Random(SEED), [], 0
    while len(table) < KILLS:
        rounds += 1
        assert rounds <= 10, "jobs end before they can be killed"
        folder = tmp_path / f"round{rounds}"
        folder.mkdir()
        for victim in PLAN[: KILLS - len(table)]:
            killed = kill_one(folder, victim, rng)
            if killed:
                table.append({"round": rounds, **killed})
        done = drive(folder)
        # an orphan and its successor may have stood in each other's way once more
        again = 0
        while done.returncode and again < 2:
            again += 1
            done = drive(folder)
        assert done.returncode == 0, done.stderr[-5000:]
        differ = [
            f for f in FILES if (folder / "results" / f).read_bytes() != (results / f).read_bytes()
        ]
        assert not differ
        left = [path for path in (folder / "results").rglob("*") if ".part" in path.name]
        assert not left
        table[-1]["same files"] = f"{len(FILES)} of {len(FILES)}, after {again + 1} run(s)"
    print()
    print("| kill | round | process | seconds after its start | result of the round |")
    print("|---|---|---|---|---|")
    for number, row in enumerate(table, 1):
        print(f"| {number} | {row['round']} | {row['victim'].replace(':', ' during ')} ", end="")
        print(f"| {row['seconds after its start']} | {row.get('same files', '')} |")
