"""Compute one structure in another way than configured (rule validate_dft)."""

import tempfile

import numpy as np
from ase.io import read
from temdenoise.files import write_json
from temdenoise.groundtruth.density import project_density
from temdenoise.groundtruth.dft import run_dft
from temdenoise.groundtruth.validation import generate_basis, variant_options
from temdenoise.jobs import job
from temdenoise.storage import write_images

with job(snakemake) as say, tempfile.TemporaryDirectory() as folder:
    params, variant = snakemake.params, snakemake.wildcards.variant
    atoms = read(snakemake.input.atoms)
    options = variant_options(variant, params.dft, cutoff=params.cutoff)
    if variant == "larger_basis":
        for symbol in sorted(set(atoms.symbols)):
            generate_basis(symbol, xc=options["xc"], folder=folder)
    result = run_dft(atoms, **options, txt=snakemake.log.gpaw)
    write_images(
        snakemake.output.map,
        project_density(np.moveaxis(result.n_R, 2, 0), result.spacing[2]),
        sampling=result.spacing[:2],
        quantity=f"projected {options['density']} electron density",
        unit="e/angstrom^2",
    )
    write_json(snakemake.output.summary, result.summary)
    say("{scf_steps} SCF steps, {scf_seconds:.0f} s".format_map(result.summary))
