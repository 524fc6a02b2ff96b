"""Join and shift the maps of one split (rule join_maps)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from temdenoise.files import write_json
from temdenoise.groundtruth.mosaics import joined_and_shifted
from temdenoise.jobs import job
from temdenoise.seeding import generator
from temdenoise.storage import read_images, write_images


class Maps(Sequence):
    """Maps that are opened when they are used: many would be too many open files."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        return np.array(read_images(self.paths[number]).data)


with job(snakemake) as say:
    params, split = snakemake.params, snakemake.wildcards.split
    paths = snakemake.input.maps
    firsts = [read_images(path) for path in paths[: params.n_crystals]]
    records, joined, worst = [], None, None

    def tile(image):
        """Sides of a map [Å]."""
        return [n * step for n, step in zip(image.data.shape, image.sampling, strict=True)]

    def images():
        """Make the images one by one; keep their records, the first joined and the worst joint."""
        global joined, worst
        for index in range(params.n_images):
            # maps of different crystals cannot be joined: images take turns among them
            crystal = index % params.n_crystals
            own, first = range(crystal, len(paths), params.n_crystals), firsts[crystal]
            shifted, unshifted, record, joint = joined_and_shifted(
                Maps(paths[crystal :: params.n_crystals]),
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
        "quantity": firsts[0].quantity,
        "unit": firsts[0].unit,
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
            "structures": [Path(path).stem for path in paths],
            "tile_angstrom": tile(firsts[0]),
            "worst_joint_ratio": ratio,
            "images": records,
        },
    )
    say(f"{params.n_images} images of {params.size} px; worst joint ratio {ratio:.2f}")
