"""Compose the report of a run (rule report_ms_ssim)."""

from pathlib import Path

from ase.io import read
from temdenoise.configuration import models_of
from temdenoise.files import atomic, read_benchmarks, read_json, read_table
from temdenoise.jobs import job
from temdenoise.showing import pictures
from temdenoise.showing.examples import examples
from temdenoise.showing.report import LIMIT, Run, report
from temdenoise.storage import read_images

with job(snakemake) as say:
    given, config = snakemake.input, snakemake.params.config
    shown = examples(dict(given.items()), config["datasets"]["noises"])

    def drawn(paths):
        """Choose the structures that are drawn."""
        return map(Path, pictures.spread(paths, pictures.STRUCTURES))

    def named(path):
        """Give the micrograph a file is about."""
        return Path(path).name.rpartition("_")[0]

    page = report(
        Run(
            quality=read_table(given.quality),
            fidelity=read_table(given.fidelity),
            defects=read_table(given.defects),
            structures={Path(path).parent.name: read_json(path) for path in given.summaries},
            cards=pictures.structure_cards(
                {path.stem: read(path) for path in drawn(given.atoms)},
                {path.stem: read_images(path) for path in drawn(given.maps)},
                fade_width=config["structures"]["fade_width"],
            ),
            joints={Path(path).parent.name: read_json(path) for path in given.joints},
            trainings={Path(path).parent.name: read_table(path) for path in given.trainings},
            models=models_of(config),
            enlarged=pictures.enlarged(**shown, keep=config["report"]["c_noise"]),
            worst=pictures.worst_cases(
                {Path(path).parent.name: read_images(path) for path in given.worst}
            ),
            figures={
                Path(path).stem.removeprefix("figure_"): pictures.embedded(path)
                for path in given.figures
            },
            benchmarks=read_benchmarks(snakemake.params.benchmarks),
            config=config,
            provenance=read_json(given.provenance) if "provenance" in dict(given.items()) else None,
            micrographs=pictures.micrograph_cards(
                {named(path): read_images(path) for path in given.micrographs},
                {named(path): read_json(path) for path in given.verdicts},
            ),
        )
    )
    with atomic(snakemake.output.page) as path:
        path.write_text(page, encoding="utf-8")
    size = len(page.encode())
    say(f"open {snakemake.output.page} in a browser ({size / 1e6:.1f} MB)")
    if size > LIMIT:
        say(f"WARNING: more than {LIMIT / 1e6:.0f} MB: too large to send around")
