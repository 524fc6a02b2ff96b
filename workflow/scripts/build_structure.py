"""Build one disordered supercell (rule build_structure)."""

from ase.io import read, write
from temdenoise.files import atomic
from temdenoise.groundtruth.structures import build_structure
from temdenoise.jobs import job
from temdenoise.seeding import generator

with job(snakemake) as say:
    name, seed = snakemake.wildcards.structure, snakemake.params.seed
    atoms = build_structure(
        read(snakemake.input.pristine),
        generator(seed, "structure", name),
        name=name,
        **snakemake.params.options,
    )
    atoms.info["seed"] = seed
    with atomic(snakemake.output.atoms) as path:
        write(path, atoms, format="extxyz")
    say(f"{atoms.get_chemical_formula()}, {atoms.info['family']}: {atoms.info['defects']}")
