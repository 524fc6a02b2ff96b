"""Relax every kind of defect of one family (rule relax_defect)."""

from ase.io import read, write
from temdenoise.foundation.files import atomic
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.disorder import Supercell
from temdenoise.groundtruth.relaxation import relax_family

with job(snakemake) as say:
    params = snakemake.params
    defects = relax_family(
        Supercell(read(snakemake.input.pristine), **params.cell),
        snakemake.wildcards.family,
        params.parameters,
        theory=params.theory,
        options=params.options,
        seed=params.seed,
    )
    with atomic(snakemake.output.defects) as path:
        write(path, [defect.to_atoms() for defect in defects], format="extxyz")
    moved = (f"{100 * abs(defect.displacement).max():.1f} pm" for defect in defects)
    say(f"{len(defects)} kinds of defect; largest displacement {', '.join(moved)}")
