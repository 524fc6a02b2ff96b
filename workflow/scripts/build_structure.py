"""Build one disordered supercell (rule build_structure)."""

import json

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
    sites = json.loads(atoms.info["defects"])
    told = "; ".join("{kind} ({element}) at {x:.2f}, {y:.2f} Å".format_map(site) for site in sites)
    family = f"{atoms.get_chemical_formula()}, family {atoms.info['family']}"
    say(f"{family}: {told or 'no defect'}".replace("_", " "))
