"""Plot one of the paper's figures from this run (rule plot_figure)."""

from pathlib import Path

from ase.io import read
from temdenoise.files import atomic, read_json, read_table, write_table
from temdenoise.jobs import job
from temdenoise.showing import figures, marked, supplement
from temdenoise.showing.examples import examples
from temdenoise.showing.style import journal
from temdenoise.storage import read_images

with job(snakemake) as say, journal():
    given, params = snakemake.input, snakemake.params
    shown = examples(dict(given.items()), params.noises)
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
            data=shown["data"][params.noises[0]],
            noisy={noise: (images[c], c) for noise, images in shown["noisy"].items()},
            fade_width=params.fade_width,
        )
    elif number.startswith("3_"):
        figure, rows = marked.figure_3(marked=read_images(given.marked))
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
    elif number == "S2":
        figure, rows = supplement.figure_s2(**shown, c_noise=params.c_noise[0], patch=params.patch)
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
