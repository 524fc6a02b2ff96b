"""Build the pristine supercell and check that it can be computed (rule build_crystal)."""

from ase.io import write
from temdenoise.foundation.files import atomic
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.crystals import check_elements, crystal

with job(snakemake) as say:
    params = snakemake.params
    atoms = crystal(params.name, **params.options)
    if params.basis:
        check_elements([*atoms.symbols, *params.elements], basis=params.basis, xc=params.xc)
    with atomic(snakemake.output.atoms) as path:
        write(path, atoms, format="extxyz")
    x, y, _ = atoms.cell.lengths()
    say(f"{atoms.get_chemical_formula()} in {x:.2f} x {y:.2f} Å")
