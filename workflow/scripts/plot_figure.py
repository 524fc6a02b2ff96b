"""Plot one of the paper's figures from this run (rule plot_figure)."""

from pathlib import Path

import numpy as np
from ase.io import read
from temdenoise.files import atomic, read_json, read_table, write_table
from temdenoise.images.datasets import read_dataset
from temdenoise.jobs import job
from temdenoise.showing import figures, supplement
from temdenoise.showing.comparison import NETWORKS
from temdenoise.showing.style import journal
from temdenoise.storage import read_images

with job(snakemake) as say, journal():
    given, params = snakemake.input, snakemake.params
    tests = {
        noise: read_dataset(
            **{kind: given[f"{noise}_{kind}"] for kind in ("clean", "noisy", "manifest")}
        )
        for noise in params.noises
        if f"{noise}_clean" in dict(given.items())
    }
    # by noise and C: the first test image
    noisy = {
        noise: {f.c_noise: np.asarray(data.noisy[f.index]) for f in data.frames if f.image == 0}
        for noise, data in tests.items()
    }
    denoised = {
        method: {
            noise: dict(
                zip(noisy[noise], read_images(given[f"{noise}_{method}"]).data[:, 0], strict=True)
            )
            for noise in tests
        }
        for method in NETWORKS
        if f"{params.noises[0]}_{method}" in dict(given.items())
    }
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
            data=tests[params.noises[0]],
            noisy={noise: (images[c], c) for noise, images in noisy.items()},
            fade_width=params.fade_width,
        )
    elif number == "5":
        figure, rows = figures.figure_5(graph=read_json(given.graph))
    elif number == "S1":
        figure, rows = supplement.figure_s1(
            worst={name.removeprefix("worst_"): read_images(path) for name, path in given.items()}
        )
    elif number == "S3":
        figure, rows = supplement.figure_s3(
            worst={name.removeprefix("worst_"): read_images(path) for name, path in given.items()}
        )
    else:
        shown = {"data": tests, "noisy": noisy, "denoised": denoised}
        if number == "S2":
            figure, rows = supplement.figure_s2(
                **shown, c_noise=params.c_noise[0], patch=params.patch
            )
        else:
            draw, c_noise = {
                "2": (figures.figure_2, params.c_noise),
                "4": (figures.figure_4, params.c_noise[-1]),
            }[number]
            figure, rows = draw(quality=read_table(given.quality), **shown, c_noise=c_noise)
    write_table(snakemake.output.csv, rows)
    # a PDF without its date is the same file when made again
    for path, metadata in zip(snakemake.output[:2], [{"CreationDate": None}, None], strict=True):
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=metadata)
    say(f"{snakemake.output.pdf}, .png, .csv")
