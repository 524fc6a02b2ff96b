"""Plot one of the paper's figures from this run (rule plot_figure)."""

from pathlib import Path

import numpy as np
from ase.io import read
from temdenoise.files import atomic, read_json, read_table, write_table
from temdenoise.jobs import job
from temdenoise.showing import figures
from temdenoise.showing.style import journal
from temdenoise.storage import read_images

given, params = snakemake.input, snakemake.params


def first_image(file):
    """Read, by noise and C, the first test image from stacks of frames."""
    found = {}
    for noise in noises:
        listed = [f for f in read_json(given[f"{noise}_manifest.json"])["frames"] if not f["image"]]
        stack = read_images(given[f"{noise}_{file}"]).data
        found[noise] = {
            f["c_noise"]: np.asarray(stack[f["index"] if file == "noisy.tif" else place])
            for place, f in enumerate(listed)
        }
    return found


with job(snakemake) as say, journal():
    noises = [k.removesuffix("_clean.tif") for k, _ in given.items() if k.endswith("_clean.tif")]
    clean = {noise: read_images(given[f"{noise}_clean.tif"]) for noise in noises}
    number = snakemake.wildcards.figure
    if number == "1":
        names = [Path(path).stem for path in given.maps]
        c = params.c_noise[0]
        figure, rows = figures.figure_1(
            atoms=dict(zip(names, map(read, given.atoms), strict=True)),
            maps=dict(zip(names, map(read_images, given.maps), strict=True)),
            joined=read_images(given.joined),
            shifted=read_images(given.shifted),
            joints=read_json(given.joints),
            clean=clean[noises[0]],
            noisy={noise: (images[c], c) for noise, images in first_image("noisy.tif").items()},
            fade_width=params.fade_width,
        )
    elif number == "5":
        figure, rows = figures.figure_5(graph=read_json(given.graph))
    else:
        draw, c_noise = {
            "2": (figures.figure_2, params.c_noise),
            "4": (figures.figure_4, params.c_noise[-1]),
        }[number]
        figure, rows = draw(
            quality=read_table(given.quality),
            clean=clean,
            noisy=first_image("noisy.tif"),
            denoised=first_image("predictions"),
            c_noise=c_noise,
        )
    write_table(snakemake.output.csv, rows)
    for path, metadata in (
        (snakemake.output.pdf, {"CreationDate": None}),
        (snakemake.output.png, {}),
    ):
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=metadata)
    say(f"{snakemake.output.pdf}, .png, .csv")
