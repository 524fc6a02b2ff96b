"""List the images of a file of `micrographs.images` (checkpoint list_images)."""

from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.micrographs.listing import list_images

with job(snakemake) as say:
    file = snakemake.input.file
    listing = list_images(file, others=snakemake.params.others)
    write_json(snakemake.output.images, listing.to_dict())
    for line in listing.left_out:
        say(f"{file}: {line}")
    say(f"{file}: {', '.join(listing.images)}")
