"""Time the pipeline from structure to map against bare GPAW: `make bench-dft`.

For each size the same structure is computed twice in turn on one core: by the workflow's jobs
(build_structure, run_dft, project_density, their start-up included) and by a plain GPAW script
with the same settings that does nothing but the SCF cycle. Prints a table and writes it as CSV.

    python tests/benchmarks/bench_dft.py [--atoms 32 60 112 200] [--csv bench_dft.csv]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import yaml
from ase.io import read
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.files import read_json, write_table
from temdenoise.groundtruth.dft import kpoints

REPEATS = {32: (4, 2), 60: (5, 3), 112: (7, 4), 200: (10, 5)}
STAGES = ("build_structure", "run_dft", "project_density")

BARE = """
import sys
from ase.io import read
from gpaw import GPAW
atoms = read(sys.argv[1])
atoms.calc = GPAW(mode="lcao", basis={basis!r}, xc={xc!r}, h={grid_spacing}, kpts={kpts},
                  occupations={{"name": "fermi-dirac", "width": {smearing}}},
                  convergence={{"density": {density_convergence}}}, maxiter={max_iterations},
                  symmetry="off", txt=sys.argv[2])
atoms.get_potential_energy()
"""


def pipeline(folder: Path, repeat: tuple[int, int]) -> dict[str, float]:
    """Run the jobs of one structure; seconds and peak memory by stage."""
    overlay = folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"structures": {"repeat": list(repeat)}}))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(overlay), "--cores", "1"]
    command += ["--quiet", "all", "--", "results/maps/train-0000.tif"]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
    found = {}
    for stage in STAGES:
        path = folder / f"results/benchmarks/{stage}/train-0000.tsv"
        names, values = (line.split("\t") for line in path.read_text().splitlines())
        job = dict(zip(names, values, strict=True))
        found[stage] = float(job["s"])
        if stage == "run_dft":
            found["peak_mb"] = float(job["max_rss"])
    summary = read_json(folder / "results/dft/train-0000/summary.json")
    return found | {k: summary[k] for k in ("n_atoms", "scf_seconds", "extraction_seconds")}


def bare(folder: Path) -> float:
    """Run GPAW alone on the same structure; seconds."""
    script = folder / "bare.py"
    atoms = folder / "results/structures/train-0000.extxyz"
    options = checked({})["dft"]
    mesh = (*kpoints(read(atoms).cell.lengths(), density=options["kpt_density"]), 1)
    script.write_text(BARE.format_map(options | {"kpts": {"size": mesh, "gamma": True}}))
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, str(script), str(atoms), str(folder / "bare.txt")],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - start


def main() -> None:
    """Compare every size asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, nargs="+", choices=REPEATS, default=list(REPEATS))
    parser.add_argument("--csv", default="bench_dft.csv")
    arguments = parser.parse_args()
    rows = []
    for atoms in arguments.atoms:
        with tempfile.TemporaryDirectory() as name:
            jobs = pipeline(Path(name), REPEATS[atoms])
            alone = bare(Path(name))
        whole = sum(jobs[stage] for stage in STAGES)
        # what follows the SCF cycle: taking the density out, writing it, projecting it
        after = jobs["extraction_seconds"] + jobs["project_density"]
        rows.append(
            {
                "atoms": jobs["n_atoms"],
                "bare_gpaw_s": round(alone, 1),
                "pipeline_s": round(whole, 1),
                "pipeline_over_bare": round(whole / alone, 3),
                "density_over_scf": round(after / jobs["scf_seconds"], 3),
                "peak_mb": round(jobs["peak_mb"]),
            }
        )
        print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    write_table(arguments.csv, rows)


if __name__ == "__main__":
    main()
