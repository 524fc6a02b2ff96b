"""Build one disordered supercell (rule build_structure)."""

from ase.io import write
from temdenoise.files import atomic
from temdenoise.groundtruth.structures import build_structure
from temdenoise.jobs import job
from temdenoise.seeding import generator

with job(snakemake) as say:
    name = snakemake.wildcards.structure
    atoms = build_structure(
        generator(snakemake.params.seed, "structure", name), **snakemake.params.options
    )
    atoms.info |= {"structure": name, "seed": snakemake.params.seed}
    with atomic(snakemake.output.atoms) as path:
        write(path, atoms, format="extxyz")
    say(f"{atoms.get_chemical_formula()}, vacancies {atoms.info['vacancy_sites']}")
