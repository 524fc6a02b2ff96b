"""Tell how much trainings differ by seed, by images trained on, and by noises.

Needs the data sets and scenes of `make run`. Trains with several seeds, which decide the initial
weights, the patches and their noise; all start from random weights:

- specialist: the network for Gaussian noise, trained on the joined DFT maps for training.steps;
- specialist_scenes: the same on the scenes that the learned density draws;
- specialist_scenes_half: the same for half the steps;
- universal_equal: one for all noises on equal terms: the range of C, the steps, the size, the
  images and every other option of the specialist, so that only the noises differ;
- universal_equal_scenes: the same on the scenes.

Each is judged on graphene of the reference test set, on equal noisy frames. After every network
docs/results/training.csv is written: MS-SSIM by network, seed, noise and C with its interval over
structures. Rows whose seed is `mean` hold the mean over the seeds (n_seeds), the standard
deviation between them (sd_between_seeds), and the loss, 1 - MS-SSIM, over that of the
specialist: the ratio of the means, with its interval over structures for these very networks, and
the standard deviation of the ratio of two networks of equal seed (loss_ratio_sd).

What was trained before with equal options, images and code is not trained again, and what was
interrupted goes on; training.json counts the seconds of both, without those before interruptions.

    python tests/benchmarks/bench_training.py [--results results] [--work build/training]
        [--seeds 2025 2026 2027] [--noises gaussian ...] [--steps 20]
"""

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

os.environ["OMP_NUM_THREADS"] = "1"  # as in the workflow's trainings

import numpy as np
import torch
import yaml
from temdenoise.benchmarking import C_NOISE, PAPER_NOISES, SEED, about
from temdenoise.foundation.configuration import checked, models_of
from temdenoise.foundation.files import read_json, write_json, write_table
from temdenoise.foundation.recipes import recipe
from temdenoise.images.datasets import DataSet, read_dataset
from temdenoise.judging.benchmark import FIGURES, Judged, Task, judge
from temdenoise.judging.merits import EMPTY
from temdenoise.judging.reference import read_reference, reference_files
from temdenoise.judging.statistics import interval, paired_difference
from temdenoise.learning.devices import Resources
from temdenoise.learning.inference import load
from temdenoise.learning.training import discard_checkpoints, train_model

NOISE = "gaussian"
"""Of the specialist."""

MS_SSIM = next(figure for figure in FIGURES if figure.name == "ms_ssim")

RATIOS = ("loss_ratio", "loss_ratio_low", "loss_ratio_high", "loss_ratio_sd")
"""Columns of the comparison with the specialist."""


@dataclass(frozen=True)
class Network:
    """A trained and judged network: a name of `plans`, and what the table says of it."""

    name: str
    seed: int
    about: dict[str, Any]
    parts: list[Judged]

    def at(self, noise: str, c_noise: float) -> list[Judged]:
        """What was judged at one noise and C."""
        return [p for p in self.parts if (p.noise, p.c_noise) == (noise, c_noise)]


def plans(config: dict[str, Any], *, steps: int | None) -> dict[str, dict[str, Any]]:
    """What `train_model` is to know of each network; `steps` None: as many as configured."""
    models = models_of(config)
    names = {key: models["universal"][key] for key in ("name", "method", "trained_on", "noises")}
    specialist, every = (
        models[NOISE] | {"images": "mosaics"},
        config["training"]["checkpoint_every"],
    )
    steps = steps or specialist["options"]["steps"]

    def trained_for(steps: int) -> dict[str, Any]:
        return {
            "options": specialist["options"]
            | {"steps": steps, "checkpoint_every": min(steps, every)}
        }

    specialist |= trained_for(steps)
    scenes = {"images": "scenes"}
    return {
        "specialist": specialist,
        "specialist_scenes": specialist | scenes,
        "specialist_scenes_half": specialist | scenes | trained_for(steps // 2),
        "universal_equal": specialist | names,
        "universal_equal_scenes": specialist | names | scenes,
    }


def read_data(results: Path, noise: str, split: str) -> DataSet:
    """One split of the data set of one noise."""
    folder = results / "datasets" / noise / split
    names = {"clean": "clean.tif", "noisy": "noisy.tif", "manifest": "manifest.json"}
    return read_dataset(**{kind: str(folder / name) for kind, name in names.items()})


def read_scenes(results: Path) -> DataSet:
    """The scenes that the learned density drew."""
    folder = results / "scenes"
    return read_dataset(clean=str(folder / "clean.tif"), manifest=str(folder / "manifest.json"))


def trained(
    name: str, plan: dict[str, Any], results: Path, *, code: str, work: Path
) -> tuple[Path, float]:
    """Train a network unless it is there; its file, and the seconds of its training."""
    splits = [
        {noise: read_data(results, noise, split) for noise in plan["noises"]}
        for split in ("train", "val")
    ]
    if plan["images"] == "scenes":
        splits[0] = dict.fromkeys(plan["noises"], read_scenes(results))
    digests = [data.manifest["sha256"] for split in splits for data in split.values()]
    decides = hashlib.sha256(json.dumps([plan, digests, code]).encode()).hexdigest()
    folder = work / f"{name}_{plan['seed']}_{decides[:12]}"
    path = folder / "model.pt"
    if not path.exists():
        start = time.perf_counter()
        result = train_model(plan, *splits, recipe=code, resources=Resources(1), folder=folder)
        write_table(folder / "metrics.csv", result.history)
        write_json(folder / "training.json", {"seconds": time.perf_counter() - start, "plan": plan})
        result.model.save(path)
        discard_checkpoints(folder)
        for message in result.messages:
            print(f"{name}, seed {plan['seed']}: {message}", flush=True)
    return path, read_json(folder / "training.json")["seconds"]


def frames(noises: Sequence[str], c_noise: Sequence[float]) -> list[Task]:
    """Frames of the benchmark that are judged: graphene of the reference test set."""
    files = [file for file in reference_files() if read_reference(file).crystal == "graphene"]
    return [
        Task(file, noise, c, SEED, classical=False)
        for noise in noises
        for c in c_noise
        for file in files
    ]


def judged(name: str, path: Path, tasks: Sequence[Task]) -> Network:
    """Judge a network on some frames."""
    model = load(path)
    known = model.description
    about = {
        "steps": known.options["steps"],
        "c_noise_low": known.noise.low,
        "c_noise_high": known.noise.high,
        "parameters": sum(weights.numel() for weights in model.network.parameters()),
    }
    parts = [part for task in tasks for part in judge(replace(task, models=[(name, path)]))]
    return Network(name, known.seed, about, parts)


def rows_of(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Rows of each network, and of the mean over its seeds."""
    rows = []
    specialists = [network for network in networks if network.name == "specialist"]
    for name in dict.fromkeys(network.name for network in networks):
        mine = [network for network in networks if network.name == name]
        for noise, c in dict.fromkeys((part.noise, part.c_noise) for part in mine[0].parts):
            place = {"network": name, **mine[0].about, "noise": noise, "c_noise": c}
            strata = strata_of(mine[0].at(noise, c))
            own, other = (
                {each.seed: sums_of(each.at(noise, c)) for each in group if each.at(noise, c)}
                for group in (mine, specialists)
            )
            for seed, sums in own.items():
                rows.append(place | {"seed": seed} | figures({seed: sums}, {}, strata))
            compared = other if name != "specialist" else {}
            rows.append(place | {"seed": "mean"} | figures(own, compared, strata))
    return rows


def sums_of(parts: Sequence[Judged]) -> np.ndarray:
    """What MS-SSIM is made of, one row for each structure."""
    return np.concatenate([np.hstack([p.sums[name] for name in MS_SSIM.columns]) for p in parts])


def strata_of(parts: Sequence[Judged]) -> list[str]:
    """Crystal and size of cell of each structure."""
    return [part.reference for part in parts for _ in part.sums[MS_SSIM.columns[0]]]


def figures(
    own: Mapping[int, np.ndarray], other: Mapping[int, np.ndarray], strata: Sequence[str]
) -> dict[str, Any]:
    """Mean MS-SSIM over seeds, and its loss over that of another network.

    Parameters
    ----------
    own, other
        Sums of the structures by seed; compared are the seeds of both.
    strata
        Of the structures.
    """
    found = interval(np.hstack(list(own.values())), mean_of(len(own)), strata=strata, seed=SEED)
    row = {
        "n_seeds": len(own),
        "n_structures": len(strata),
        "ms_ssim": found.value,
        "ms_ssim_low": found.low,
        "ms_ssim_high": found.high,
        "sd_between_seeds": deviation([loss(sums) for sums in own.values()]),
    } | dict.fromkeys(RATIOS, EMPTY)
    if shared := [seed for seed in own if seed in other]:
        pair = [np.hstack([group[seed] for seed in shared]) for group in (own, other)]
        statistic = mean_of(len(shared))
        found = paired_difference(*pair, statistic, best=1.0, strata=strata, seed=SEED).loss_ratio
        single = deviation([loss(own[seed]) / loss(other[seed]) for seed in shared])
        row |= dict(zip(RATIOS, (*found, single), strict=True))
    return row


def loss(sums: np.ndarray) -> float:
    """1 - MS-SSIM of all structures together."""
    return 1 - float(MS_SSIM.statistic(sums.sum(axis=0, keepdims=True))[0])


def mean_of(n: int) -> Callable[[np.ndarray], np.ndarray]:
    """Mean MS-SSIM of n networks whose sums stand side by side."""

    def statistic(sums: np.ndarray) -> np.ndarray:
        return np.mean([MS_SSIM.statistic(own) for own in np.split(sums, n, axis=1)], axis=0)

    return statistic


def deviation(values: Sequence[float]) -> float | str:
    """Standard deviation of a few values; nothing of one alone."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else EMPTY


def main() -> None:
    """Train and judge, and write the table after every network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--work", type=Path, default=ROOT / "build/training")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2025, 2026, 2027])
    parser.add_argument("--noises", nargs="+", default=[NOISE], choices=PAPER_NOISES)
    parser.add_argument("--c-noise", type=float, nargs="+", default=C_NOISE)
    parser.add_argument("--steps", type=int, help="of every network, for a trial")
    arguments = parser.parse_args()

    # of the code as it was loaded
    start, made, code = time.perf_counter(), about(0, 1), recipe("train.py")
    command = ["python", "tests/benchmarks/bench_training.py", *sys.argv[1:]]
    torch.set_num_threads(1)
    config = checked(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")))
    every = plans(config, steps=arguments.steps)
    wanted = [(name, seed) for seed in arguments.seeds for name in every]
    tasks = frames(arguments.noises, arguments.c_noise)
    networks, before = [], 0.0
    for name, seed in wanted:
        began = time.perf_counter()
        plan = every[name] | {"seed": seed}
        path, seconds = trained(name, plan, arguments.results, code=code, work=arguments.work)
        # of a training in an earlier call
        before += max(seconds - (time.perf_counter() - began), 0.0)
        networks.append(judged(name, path, tasks))
        rows = rows_of(networks)
        write_table(arguments.output / "training.csv", rows)
        seconds = round(before + time.perf_counter() - start)
        write_json(
            arguments.output / "training.json",
            made | {"command": shlex.join(command), "seconds": seconds, "processes": 1},
        )
        lost = [
            f"{row['noise']} {row['c_noise']:g}: {1 - row['ms_ssim']:.4f}"
            for row in rows
            if (row["network"], row["seed"]) == (name, seed)
        ]
        print(f"{name}, seed {seed}: 1 - MS-SSIM {', '.join(lost)}", flush=True)


if __name__ == "__main__":
    main()
