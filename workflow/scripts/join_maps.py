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
    records, joined, worst = [], None, None

    def tile(image):
        """Sides of a map [Å]."""
        return [n * step for n, step in zip(image.data.shape, image.sampling, strict=True)]

    def images():
        """Make the images one by one; keep their records, the first joined and the worst joint."""
        global joined, worst
        for index in range(params.n_images):
            # maps of different crystals cannot be joined: images take turns among them
            own = range(index % params.n_crystals, len(maps), params.n_crystals)
            first = maps[own[0]]
            shifted, unshifted, record, joint = joined_and_shifted(
                [maps[number].data for number in own],
                generator(params.seed, "mosaic", split, index),
                map_sampling=first.sampling,
                size=params.size,
                sampling=params.sampling,
            )
            joined = unshifted if joined is None else joined
            if not records or record["joint_ratio"] > max(r["joint_ratio"] for r in records):
                worst = (*joint, first.sampling)
            if params.n_crystals > 1:
                record["layout"] = [[own[n] for n in row] for row in record["layout"]]
                record["tile_angstrom"] = tile(first)
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
    ratio = max(record["joint_ratio"] for record in records)
    write_images(
        snakemake.output.worst,
        worst[0],
        **about | {"sampling": worst[2]},
        axis=worst[1],
        joint_ratio=ratio,
    )
    write_json(
        snakemake.output.joints,
        {
            "structures": [Path(path).stem for path in snakemake.input.maps],
            "tile_angstrom": tile(maps[0]),
            "worst_joint_ratio": ratio,
            "images": records,
        },
    )
    say(f"{params.n_images} images of {params.size} px; worst joint ratio {ratio:.2f}")
