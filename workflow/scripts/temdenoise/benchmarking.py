"""The command `temdenoise benchmark`: every method on the reference test set, as tables."""

import math
import multiprocessing
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import write_json, write_table
from temdenoise.foundation.modes import image_mode
from temdenoise.foundation.provenance import commit, environment
from temdenoise.foundation.source import PACKAGE
from temdenoise.images.noise import NOISES
from temdenoise.judging.benchmark import (
    Judged,
    Task,
    figures_table,
    judge,
    kinds_table,
    paired_table,
    rings_table,
    tuned_table,
)
from temdenoise.judging.programs import Program
from temdenoise.judging.reference import FOLDER, reference_files
from temdenoise.micrographs import index, models

PAPER_NOISES = ("gaussian", "salt_pepper", "poisson", "background_gaussian")
"""The four noises of the paper."""

C_NOISE = (0.1, 0.2, 0.25, 0.5)
"""C that are judged unless others are asked for."""

SEED = 48271
"""Of the order of the structures, the noise and the bootstrap."""


TRIAL = np.random.default_rng(0).normal(0.5, 0.1, (192, 192)).astype(np.float32)
"""Image that every program is tried on first."""


@dataclass(frozen=True)
class Benchmark:
    """What is judged.

    Attributes
    ----------
    runs
        Folders ``results`` of finished runs, whose models are judged.
    programs
        Other people's programs.
    noises, c_noise
        Of the frames.
    crystals
        Names of files of the test set, without ending; none: all.
    classical
        Whether the classical methods are judged.
    reference
        Folder of the test set.
    """

    runs: Sequence[Path] = ()
    programs: Sequence[Program] = ()
    noises: Sequence[str] = PAPER_NOISES
    c_noise: Sequence[float] = C_NOISE
    crystals: Sequence[str] = ()
    classical: bool = True
    reference: Path = FOLDER

    def tasks(self) -> list[Task]:
        """List what is to be done, the longest first.

        Raises
        ------
        DataError
            If a C is not above 0, or a noise, a crystal or a run's models are not there.
        """
        if low := [c for c in self.c_noise if not 0 < c < math.inf]:
            raise DataError(f"C = {low[0]}: expected finite numbers above 0")
        if unknown := set(self.noises) - set(NOISES):
            raise DataError(
                f"noise {', '.join(sorted(unknown))}: expected some of {', '.join(NOISES)}"
            )
        files = {path.stem: path for path in reference_files(self.reference)}
        if missing := set(self.crystals) - set(files):
            raise DataError(
                f"crystal {', '.join(sorted(missing))}: expected some of {', '.join(files)}"
            )
        found = tuple(self._models())
        every = [
            Task(files[crystal], noise, c_noise, SEED, found, tuple(self.programs), self.classical)
            for crystal in self.crystals or files
            for noise in self.noises
            for c_noise in self.c_noise
        ]
        return sorted(every, key=lambda task: not task.slow)

    def _models(self) -> Iterator[tuple[str, Path]]:
        """Name and file of every network: those of the package for densities, those of runs."""
        for name, model in models.available():
            if model.description.mode == image_mode("density"):
                yield f"pretrained_{name}", index.FOLDER / f"{name}.pt"
        for run in self.runs:
            own = sorted((run / "models").glob("*/model.pt"))
            if not own:
                raise DataError(
                    f"{run}: no models/*/model.pt in it; expected the folder `results` of a "
                    "finished run"
                )
            yield from (("", path) for path in own)


def run(benchmark: Benchmark, output: Path, *, jobs: int) -> str:
    """Judge everything and write the tables.

    Parameters
    ----------
    benchmark
        What is judged.
    output
        Folder of the tables.
    jobs
        Processes at once.

    Returns
    -------
    str
        What was done.

    Raises
    ------
    DataError
        If `jobs` is below 1 or `output` is a file; see also `Benchmark.tasks` and
        `programs.Program`.
    OSError
        If the folder cannot be made.
    """
    if jobs < 1:
        raise DataError(f"{jobs} processes: expected at least 1 (--jobs)")
    start, tasks = time.perf_counter(), benchmark.tasks()
    # what would fail at the end is tried first
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file; expected a folder for the tables (--output)")
    output.mkdir(parents=True, exist_ok=True)
    for program in benchmark.programs:
        program.denoise(TRIAL)
    judged: list[Judged] = []
    # a process of its own each: forking one that has used torch may hang
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawned, initializer=_one_thread) as pool:
        for number, parts in enumerate(pool.map(judge, tasks), 1):
            judged += parts
            if 20 * number // len(tasks) > 20 * (number - 1) // len(tasks):
                sys.stderr.write(f"{number} of {len(tasks)} images\n")
    tables = {
        "benchmark": figures_table(judged, seed=SEED),
        "paired": paired_table(judged, seed=SEED),
        "kinds": kinds_table(judged),
        "rings": rings_table(judged),
        "tuned": tuned_table(judged),
    }
    for name, rows in tables.items():
        if rows:
            write_table(output / f"{name}.csv", rows)
    seconds = time.perf_counter() - start
    write_json(output / "benchmark.json", about(seconds, jobs))
    return f"{len(tasks)} images judged in {seconds / 60:.0f} minutes: {output}/benchmark.csv"


def _one_thread() -> None:
    torch.set_num_threads(1)


def about(seconds: float, jobs: int) -> dict[str, Any]:
    """Say how a table was made: command, commit, machine and time."""
    machine = environment()
    names = {"torch", "numpy", "scipy", "skimage", "bm3d"}
    return {
        "command": shlex.join(["temdenoise", *sys.argv[1:]]),
        "commit": commit(PACKAGE),
        "seed": SEED,
        "seconds": round(seconds),
        "processes": jobs,
        "python": machine["python"],
        "processor": machine["processor"],
        "packages": {name: v for name, v in machine["packages"].items() if name in names},
    }
