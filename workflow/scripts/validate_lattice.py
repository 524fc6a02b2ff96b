"""Compute the lattice constant and bond charge of the crystal (rule validate_lattice)."""

from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.dft import DftSettings
from temdenoise.groundtruth.validation import lattice

with job(snakemake) as say:
    params = snakemake.params
    result = lattice(params.crystal, DftSettings(**params.dft), txt=snakemake.log.gpaw)
    write_json(snakemake.output.lattice, result)
    say(
        "a = {equilibrium_angstrom:.4f} Å, {bond_density_e_per_angstrom3:.3f} e/Å³ in the middle "
        "of the bond".format_map(result)
    )
