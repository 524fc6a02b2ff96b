"""Compute one structure in another way than configured (rule validate_dft)."""

import numpy as np
from ase.io import read
from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.density import project_density
from temdenoise.groundtruth.dft import DftSettings
from temdenoise.groundtruth.validation import run_variant
from temdenoise.images.storage import write_images

with job(snakemake) as say:
    params, variant, log = snakemake.params, snakemake.wildcards.variant, snakemake.log.gpaw
    atoms, settings = read(snakemake.input.atoms), DftSettings(**params.dft)
    result = run_variant(atoms, variant, settings, cutoff=params.cutoff, txt=log)
    write_images(
        snakemake.output.map,
        project_density(np.moveaxis(result.n_R, 2, 0), result.spacing[2]),
        sampling=result.spacing[:2],
        quantity=f"projected {settings.density} electron density",
        unit="e/angstrom^2",
    )
    write_json(snakemake.output.summary, result.summary)
    say("{scf_steps} SCF steps, {scf_seconds:.0f} s".format_map(result.summary))
