"""Compare displacements around defects by tight binding with those by DFT forces.

python tests/benchmarks/bench_relaxation.py [CRYSTAL:FAMILY ...]
Writes docs/results/relaxation.csv: one row for each kind of defect, its rms difference over the
atoms within 2.5 Å of it, in the plane, where images are made.
"""

import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from temdenoise.foundation.configuration import checked
from temdenoise.foundation.files import write_table
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.disorder import Supercell
from temdenoise.groundtruth.relaxation import Defect, relax_family

NEAR = 2.5  # Å
CASES = {
    "graphene:vacancies": ((5, 3), {"element": "any"}),
    "graphene:double_vacancies": ((5, 3), {"element": "any"}),
    "graphene:stone_wales": ((5, 3), {}),
    "graphene:substitution": ((5, 3), {"replace": {"C": ["Si", "N"]}}),
    "hbn:vacancies": ((5, 3), {"element": "any"}),
    "mos2:vacancies": ((4, 2), {"element": "S"}),
}


def row(name: str, theory: str, own: Defect, reference: Defect, seconds: dict[str, float]) -> dict:
    distance = np.linalg.norm(own.offsets[:, :2], axis=1)
    near = (distance < NEAR) & ~(own.changed & (own.kind == "vacancy"))
    moved, wanted = own.displacement[near, :2], reference.displacement[near, :2]
    rms = {
        "difference": np.sqrt(((moved - wanted) ** 2).sum(axis=1).mean()),
        "displacement": np.sqrt((moved**2).sum(axis=1).mean()),
        "dft_displacement": np.sqrt((wanted**2).sum(axis=1).mean()),
    }
    material, family = name.split(":")
    return {
        "crystal": material,
        "family": family,
        "kind": own.kind,
        "of": "".join(own.symbols[own.changed]),
        "by": own.by or "",
        "theory": theory,
        **{f"rms_{key}_pm": round(100 * float(value), 2) for key, value in rms.items()},
        "seconds": round(seconds[theory], 1),
        "dft_seconds": round(seconds["dft"], 1),
    }


def main(names: list[str]) -> None:
    config = checked({}, files=[])
    target = ROOT / "docs/results/relaxation.csv"
    rows: list[dict] = []
    for name in names or list(CASES):
        repeat, parameters = CASES[name]
        material, family = name.split(":")
        cell = Supercell(
            crystal(material, repeat=repeat, vacuum=4.0), fade_width=2.5, defect_margin=3.0
        )
        relaxed, seconds = {}, {}
        for theory in ("gfn1", "dft"):
            start = time.perf_counter()
            relaxed[theory] = relax_family(
                cell, family, parameters, theory=theory, options=config["dft"], seed=1
            )
            seconds[theory] = time.perf_counter() - start
        pairs = zip(relaxed["gfn1"], relaxed["dft"], strict=True)
        rows += [row(name, "gfn1", own, reference, seconds) for own, reference in pairs]
        print(rows[-1], flush=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_table(target, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
