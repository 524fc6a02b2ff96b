"""Compute the electron density of one structure (rule run_dft)."""

import numpy as np
from ase.io import read
from temdenoise.files import write_json
from temdenoise.groundtruth.dft import run_dft
from temdenoise.groundtruth.parallel import LAUNCHER, run_dft_parallel
from temdenoise.jobs import job
from temdenoise.storage import write_images

with job(snakemake) as say:
    atoms = read(snakemake.input.atoms)
    options = {**snakemake.params.options, "txt": snakemake.log.gpaw}
    # a profile may hand the processes of MPI to the scheduler: `mpi: srun`, `tasks: 8`
    processes = snakemake.resources.get("tasks", snakemake.threads)
    if processes > 1:
        launcher = (snakemake.resources.get("mpi", LAUNCHER[0]), *LAUNCHER[1:])
        result = run_dft_parallel(atoms, processes=processes, launcher=launcher, **options)
    else:
        result = run_dft(atoms, **options)
    write_images(
        snakemake.output.density,
        np.moveaxis(result.n_R, 2, 0),
        sampling=result.spacing[:2],
        spacing_z=result.spacing[2],
        quantity=f"{snakemake.params.options['density']} electron density",
        unit="e/angstrom^3",
        expected_electrons=result.expected_electrons,
    )
    write_json(snakemake.output.summary, result.summary)
    about = result.summary
    energy = "free atoms" if about["energy_ev"] is None else f"{about['energy_ev']:.3f} eV"
    say(f"{energy} after {about['scf_steps']} SCF steps, {about['scf_seconds']:.0f} s")
