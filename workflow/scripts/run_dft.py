"""Compute the electron density of one structure (rule run_dft)."""

import numpy as np
from ase.io import read
from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.dft import DftSettings
from temdenoise.groundtruth.parallel import LAUNCHER, run_dft_on
from temdenoise.images.storage import write_images

with job(snakemake) as say:
    atoms, settings = read(snakemake.input.atoms), DftSettings(**snakemake.params.options)
    # a profile may hand the processes of MPI to the scheduler: `mpi: srun`, `tasks: 8`
    processes = snakemake.resources.get("tasks", snakemake.threads)
    program = snakemake.resources.get("mpi", LAUNCHER[0])
    result = run_dft_on(processes, atoms, settings, txt=snakemake.log.gpaw, program=program)
    write_images(
        snakemake.output.density,
        np.moveaxis(result.n_R, 2, 0),
        sampling=result.spacing[:2],
        spacing_z=result.spacing[2],
        quantity=f"{settings.density} electron density",
        unit="e/angstrom^3",
        expected_electrons=result.expected_electrons,
    )
    write_json(snakemake.output.summary, result.summary)
    found = result.summary
    energy = "free atoms" if found["energy_ev"] is None else f"{found['energy_ev']:.3f} eV"
    say(f"{energy} after {found['scf_steps']} SCF steps, {found['scf_seconds']:.0f} s")
