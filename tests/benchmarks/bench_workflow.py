"""What the workflow itself costs: a dry run of many structures, and the overhead per job.

make bench-workflow ARGS="--structures 10000"
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]

EMPTY = """
rule all:
    input: expand("{{i}}.txt", i=range({n}))

rule empty:
    output: "{{i}}.txt"
    log: "logs/{{i}}.log"
    benchmark: "benchmarks/{{i}}.tsv"
    script: "empty.py"
"""
# one chain of three for each structure, as in the workflow, and nothing else
BARE = """
rule all:
    input: expand("c/{{i}}.txt", i=range({n}))

rule a:
    output: "a/{{i}}.txt"
    shell: "touch {{output}}"

rule b:
    input: "a/{{i}}.txt"
    output: "b/{{i}}.txt"
    shell: "touch {{output}}"

rule c:
    input: "b/{{i}}.txt"
    output: "c/{{i}}.txt"
    shell: "touch {{output}}"
"""
JOB = """
import sys
sys.path.insert(0, {package!r})
from temdenoise.foundation.files import write_table
from temdenoise.foundation.jobs import job
{imports}
with job(snakemake) as say:
    write_table(snakemake.output[0], [dict(i=1)])
    say("done")
"""


def measured(command: list, folder: Path) -> tuple[float, float, float]:
    """Seconds by the clock and of processors, and GB, of a command; its output goes to a file."""
    with (folder / "said.txt").open("w") as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    if status:
        sys.exit((folder / "said.txt").read_text()[-3000:])
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def planned(what: str, command: list, folder: Path) -> None:
    """Time a dry run."""
    seconds, cpu, gigabytes = measured([*command, "--dry-run", "--quiet", "rules"], folder)
    jobs = re.search(r"^total +(\d+)$", (folder / "said.txt").read_text(), re.MULTILINE).group(1)
    print(
        f"dry run, {what}, {jobs} jobs: {seconds:.0f} s "
        f"({cpu:.0f} s of processor time), {gigabytes:.2f} GB",
        flush=True,
    )


def dry_run(structures: int, folder: Path) -> None:
    """Plan everything for so many structures, and as many chains of empty rules."""
    train = structures * 8 // 10
    rest = structures - train
    count = {"train": train, "val": rest // 2, "test": rest - rest // 2}
    config = folder / "many.yaml"
    config.write_text(f"structures: {{count: {count}}}\n".replace("'", ""))
    command = [*SNAKEMAKE, "--snakefile", ROOT / "Snakefile", "--configfile", config]
    planned(f"{structures} structures", command, folder)
    bare = folder / "bare.smk"
    bare.write_text(BARE.format(n=structures))
    planned("empty rules", [*SNAKEMAKE, "--snakefile", bare], folder)


def overhead(n: int, folder: Path) -> None:
    """Run jobs that do nothing, one after another, with and without the packages of a stage."""
    for name, imports in (
        ("standard library", ""),
        ("ASE, GPAW", "import ase, gpaw"),
        ("PyTorch, Lightning", "import torch, pytorch_lightning"),
    ):
        inside = folder / name.split()[0]
        inside.mkdir()
        seconds, cpu = {}, {}
        for jobs in (1, n + 1):
            work = inside / str(jobs)
            work.mkdir()
            (work / "Snakefile").write_text(EMPTY.format(n=jobs))
            package = str(ROOT / "workflow/scripts")
            (work / "empty.py").write_text(JOB.format(package=package, imports=imports))
            seconds[jobs], cpu[jobs], _ = measured([*SNAKEMAKE, "--cores", "1"], work)
        each, used = ((t[n + 1] - t[1]) / n for t in (seconds, cpu))
        print(f"an empty job that imports {name}: {each:.2f} s ({used:.2f} s of processor time)")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        dry_run(options.structures, Path(name))
        overhead(options.jobs, Path(name))


if __name__ == "__main__":
    main()
