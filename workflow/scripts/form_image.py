"""Image one structure through a microscope (rule form_image)."""

from ase.io import read
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.density import project_density
from temdenoise.groundtruth.microscope import IMAGING, bonding_potential, form_image
from temdenoise.images.storage import read_images, write_images

with job(snakemake) as say:
    given, microscope = snakemake.input, snakemake.params.microscope
    atoms, bonding = read(given.atoms), None
    if "bonded" in dict(given.items()):
        stacks = [read_images(path) for path in (given.bonded, given.free)]
        maps = [project_density(s.data, s.metadata["spacing_z"]) for s in stacks]
        bonding = bonding_potential(*maps, extent=tuple(atoms.cell.lengths()[:2]))
    image, sampling = form_image(atoms, microscope, bonding=bonding)
    mode = microscope["mode"]
    write_images(
        snakemake.output.map,
        image,
        sampling=sampling,
        quantity=f"{mode.upper()} intensity",
        unit=IMAGING[mode].unit,
        microscope=microscope,
    )
    say(f"{mode.upper()}: {image.min():.3g} to {image.max():.3g} of the beam")
