"""Project one density along z and check its electrons (rule project_density)."""

from ase.io import read
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.density import blur_periodic, check_electrons, project_density
from temdenoise.groundtruth.structures import stored_structure
from temdenoise.images.storage import read_images, write_images

with job(snakemake) as say:
    density = read_images(snakemake.input.density)
    projected = project_density(density.data, density.metadata["spacing_z"])
    expected = density.metadata["expected_electrons"]
    electrons = check_electrons(projected, sampling=density.sampling, expected=expected)
    write_images(
        snakemake.output.map,
        blur_periodic(projected, sampling=density.sampling, **snakemake.params.options),
        sampling=density.sampling,
        quantity=f"projected {density.quantity}",
        unit="e/angstrom^2",
        electrons=electrons,
        structure=stored_structure(read(snakemake.input.atoms)),
    )
    say(f"{electrons:.3f} of {expected:.3f} electrons in the map")
