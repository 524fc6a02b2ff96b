"""Join and shift the maps of one split (rule join_maps)."""

from pathlib import Path

from temdenoise.files import write_json
from temdenoise.groundtruth.mosaics import joined_and_shifted
from temdenoise.jobs import job
from temdenoise.seeding import generator
from temdenoise.storage import read_images, write_images

with job(snakemake) as say:
    params, split = snakemake.params, snakemake.wildcards.split
    maps = [read_images(path) for path in snakemake.input.maps]
    records, joined = [], None

    def images():
        """Make the images one by one; keep their records and the first joined one."""
        global joined
        for index in range(params.n_images):
            shifted, unshifted, record = joined_and_shifted(
                [m.data for m in maps],
                generator(params.seed, "mosaic", split, index),
                map_sampling=maps[0].sampling,
                size=params.size,
                sampling=params.sampling,
            )
            joined = unshifted if joined is None else joined
            records.append(record)
            yield shifted

    about = {
        "sampling": (params.sampling, params.sampling),
        "quantity": maps[0].quantity,
        "unit": maps[0].unit,
    }
    shape = (params.n_images, params.size, params.size)
    write_images(snakemake.output.images, images(), shape=shape, **about)
    write_images(snakemake.output.joined, joined, **about)
    worst = max(record["joint_ratio"] for record in records)
    write_json(
        snakemake.output.joints,
        {
            "structures": [Path(path).stem for path in snakemake.input.maps],
            "worst_joint_ratio": worst,
            "images": records,
        },
    )
    say(f"{params.n_images} images of {params.size} px; worst joint ratio {worst:.2f}")
