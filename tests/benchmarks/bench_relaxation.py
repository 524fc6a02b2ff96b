"""Tell how far atoms around defects move by tight binding, and how that differs from DFT forces.

python tests/benchmarks/bench_relaxation.py [--dft CRYSTAL:FAMILY ...]
Writes docs/results/relaxation.csv, one row for each kind of defect: the displacements of the atoms
within 2.5 Å of it, in the plane (rms) and out of it (largest), and the lattice constant of the
calculation over that of the crystal. By DFT forces only what `--dft` names; each takes minutes.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from temdenoise.foundation.configuration import checked
from temdenoise.foundation.files import write_table
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.disorder import Supercell
from temdenoise.groundtruth.relaxation import THEORIES, Defect, fitted, relax_family

NEAR = 2.5  # Å
CASES = {
    "graphene:vacancies": ((5, 3), {"element": "any"}),
    "graphene:double_vacancies": ((5, 3), {"element": "any"}),
    "graphene:stone_wales": ((5, 3), {}),
    "graphene:substitution": ((5, 3), {"replace": {"C": ["Si", "N"]}}),
    "hbn:vacancies": ((5, 3), {"element": "any"}),
    "mos2:vacancies": ((4, 2), {"element": "S"}),
}


def rms_pm(moved: np.ndarray) -> float:
    return round(100 * float(np.sqrt((moved**2).sum(axis=1).mean())), 1)


def row(name: str, own: Defect, reference: Defect | None) -> dict:
    distance = np.linalg.norm(own.offsets[:, :2], axis=1)
    near = (distance < NEAR) & ~(own.changed & (own.kind == "vacancy"))
    moved = own.displacement[near]
    material, family = name.split(":")
    wanted = None if reference is None else reference.displacement[near]
    return {
        "crystal": material,
        "family": family,
        "kind": own.kind,
        "of": "".join(own.symbols[own.changed]),
        "by": own.by or "",
        "gfn1_rms_pm": rms_pm(moved[:, :2]),
        "gfn1_out_of_plane_pm": round(100 * float(np.abs(moved[:, 2]).max()), 1),
        "dft_rms_pm": "" if wanted is None else rms_pm(wanted[:, :2]),
        "difference_rms_pm": "" if wanted is None else rms_pm((moved - wanted)[:, :2]),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dft", nargs="*", default=[], choices=list(CASES), metavar="CASE")
    named = parser.parse_args().dft
    dft = checked({}, files=[])["dft"]
    rows: list[dict] = []
    for name, (repeat, parameters) in CASES.items():
        material, family = name.split(":")
        pristine = crystal(material, repeat=repeat, vacuum=4.0)
        cell = Supercell(pristine, fade_width=2.5, defect_margin=3.0)
        relaxed = partial(relax_family, cell, family, parameters, options=dft, seed=1)
        start = time.perf_counter()
        own = relaxed(theory="gfn1")
        seconds = (time.perf_counter() - start) / len(own)
        reference = relaxed(theory="dft") if name in named else [None] * len(own)
        calculator = partial(THEORIES["gfn1"].calculator, options=dft)
        scale = fitted(pristine, calculator).cell.lengths()[0] / pristine.cell.lengths()[0]
        about = {"gfn1_seconds": round(seconds, 1), "gfn1_lattice_over_ours": round(scale, 3)}
        rows += [row(name, *pair) | about for pair in zip(own, reference, strict=True)]
        print(rows[-1], flush=True)
    target = ROOT / "docs/results/relaxation.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_table(target, rows)


if __name__ == "__main__":
    main()
