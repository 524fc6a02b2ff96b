"""Tell how far a learned density is from DFT on the reference test set, by kind of site.

    python tests/benchmarks/bench_density.py [--run results] [--output docs/results]

Needs the learned density of a run (results/density/model.pt); structures of the test set with
elements that it has not learned are left out. Writes docs/results/density.csv: the RMS error over
the standard deviation of the maps, with its interval over structures, beside that of the round
densities alone, and which part of the atoms has surroundings that were not learned.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from temdenoise.benchmarking import SEED, about
from temdenoise.foundation.files import write_json, write_table
from temdenoise.judging.reference import read_reference, reference_files
from temdenoise.learning.density import DensityModel
from temdenoise.learning.density_training import KnownMap, judge_density
from temdenoise.report.tables import density_accuracy


def maps_of(path: Path, species: Sequence[str]) -> list[KnownMap]:
    """Structures of one file of the test set whose elements were learned."""
    reference = read_reference(path).of_split("test")
    return [
        KnownMap.of(density, structure, reference.sampling)
        for density, structure in zip(reference.maps, reference.structures, strict=True)
        if set(structure["symbols"].split()) <= set(species)
    ]


def rows_of(crystal: str, judged: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each kind of site; no interval where there are few structures."""
    for row in density_accuracy(judged, seed=SEED):
        low, high = row["interval"] or ("", "")
        yield {
            "crystal": crystal,
            "site": row["site"],
            "n_structures": row["structures"],
            "rms_over_std": row["rms"],
            "rms_over_std_low": low,
            "rms_over_std_high": high,
            "superposition": row["superposition"],
            "unlike": row["unlike"],
        }


def main() -> None:
    """Judge, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=ROOT / "results")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results")
    arguments = parser.parse_args()
    start, made = time.perf_counter(), about(0, 1)
    torch.set_num_threads(1)
    model = DensityModel.load(arguments.run / "density/model.pt")
    by_crystal: dict[str, list[dict[str, Any]]] = {}
    for path in reference_files():
        if maps := maps_of(path, model.species):
            crystal = read_reference(path).crystal
            by_crystal.setdefault(crystal, []).extend(judge_density(model, maps))
    rows = [row for crystal, judged in by_crystal.items() for row in rows_of(crystal, judged)]
    for row in rows:
        print(
            f"{row['crystal']}, {row['site']}: {row['rms_over_std']:.2%} of the maps' deviation "
            f"({row['superposition']:.1%} without bonding), {row['n_structures']} structures, "
            f"{row['unlike']:.1%} unlike"
        )
    write_table(arguments.output / "density.csv", rows)
    command = ["python", "tests/benchmarks/bench_density.py", *sys.argv[1:]]
    known = {"command": shlex.join(command), "structures_learned": model.about["structures"]}
    seconds = round(time.perf_counter() - start)
    write_json(arguments.output / "density.json", made | known | {"seconds": seconds})


if __name__ == "__main__":
    main()
