"""Compare the learned density with DFT maps it has not seen (rule judge_density)."""

import torch
from temdenoise.foundation.files import write_table
from temdenoise.foundation.jobs import job
from temdenoise.images.storage import read_images, write_images
from temdenoise.learning.density import DensityModel
from temdenoise.learning.density_training import KnownMap, farthest_off, judge_density, overall

with job(snakemake) as say:
    given, output = snakemake.input, snakemake.output
    torch.set_num_threads(snakemake.threads)
    model = DensityModel.load(given.model)
    images = [read_images(path) for path in given.maps]
    maps = [KnownMap.read(image) for image in images]
    rows = judge_density(model, maps)
    write_table(output.table, rows)
    worst, place = farthest_off(model, maps)
    about = {"quantity": images[0].quantity, "unit": images[0].unit}
    sampling = (model.sampling, model.sampling)
    write_images(output.worst, worst, sampling=sampling, **about, place=place)
    for site, rms, superposition in overall(rows):
        say(f"{site}: {rms:.2%} of the maps' deviation ({superposition:.1%} without bonding)")
