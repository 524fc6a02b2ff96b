"""Build one disordered supercell (rule build_structure)."""

import json

from ase.io import read, write
from temdenoise.foundation.files import atomic
from temdenoise.foundation.jobs import job
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.relaxation import Defect
from temdenoise.groundtruth.structures import Disorder, build_structure

with job(snakemake) as say:
    name, seed = snakemake.wildcards.structure, snakemake.params.seed
    relaxed = [Defect.from_atoms(a) for path in snakemake.input.relaxed for a in read(path, ":")]
    atoms = build_structure(
        read(snakemake.input.pristine),
        generator(seed, "structure", name),
        Disorder(**snakemake.params.options),
        name=name,
        relaxed=relaxed or None,
    )
    atoms.info["seed"] = seed
    with atomic(snakemake.output.atoms) as path:
        write(path, atoms, format="extxyz")
    sites = json.loads(atoms.info["defects"])
    found = "; ".join("{kind} ({element}) at {x:.2f}, {y:.2f} Å".format_map(site) for site in sites)
    family = f"{atoms.get_chemical_formula()}, family {atoms.info['family']}"
    say(f"{family}: {found or 'no defect'}".replace("_", " "))
