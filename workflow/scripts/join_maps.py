"""Join and shift the maps of one split (rule join_maps)."""

from pathlib import Path

from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.mosaics import Mosaics
from temdenoise.images.storage import StoredImages, read_images, write_images

with job(snakemake) as say:
    params, output, paths = snakemake.params, snakemake.output, snakemake.input.maps
    firsts = [read_images(path) for path in paths[: params.n_crystals]]
    size, sampling = params.size, params.sampling
    samplings = [first.sampling for first in firsts]
    mosaics = Mosaics(StoredImages(paths), samplings, size=size, sampling=sampling)
    about = {"quantity": firsts[0].quantity, "unit": firsts[0].unit}
    square = about | {"sampling": (sampling, sampling)}
    images = mosaics.images(params.n_images, seed=params.seed, split=snakemake.wildcards.split)
    write_images(output.images, images, shape=(params.n_images, size, size), **square)
    write_images(output.joined, mosaics.joined, **square)
    worst = mosaics.worst
    about |= {"sampling": worst.sampling, "axis": worst.axis, "joint_ratio": worst.ratio}
    write_images(output.worst, worst.patch, **about)
    write_json(output.joints, mosaics.record([Path(path).stem for path in paths]))
    say(f"{params.n_images} images of {size} px; worst joint ratio {worst.ratio:.2f}")
