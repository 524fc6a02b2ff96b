"""Store the maps of one crystal of the reference test set (rule store_reference)."""

from pathlib import Path

import numpy as np
from ase.io import read
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.structures import stored_structure
from temdenoise.images.storage import read_images
from temdenoise.judging.reference import ReferenceMaps, write_reference

with job(snakemake) as say:
    params, given = snakemake.params, snakemake.input
    images = [read_images(path) for path in given.maps]
    maps = np.stack([image.data for image in images])
    structures = [stored_structure(read(path)) for path in given.atoms]
    name = Path(snakemake.output.reference).stem
    write_reference(
        snakemake.output.reference,
        ReferenceMaps(name, params.crystal, maps, images[0].sampling, structures, params.about),
    )
    size = Path(snakemake.output.reference).stat().st_size / 1e6
    say(f"{len(maps)} maps of {name}, {size:.2f} MB")
