"""Compose the report of a run (rule report_ms_ssim)."""

from pathlib import Path

from temdenoise.files import atomic, read_json, read_table
from temdenoise.jobs import job
from temdenoise.showing.report import report

with job(snakemake) as say:
    given, config = snakemake.input, snakemake.params.config
    page = report(
        quality=read_table(given.quality),
        fidelity=read_table(given.fidelity),
        figures={Path(path).stem.removeprefix("figure_"): Path(path) for path in given.figures},
        structures={Path(path).parent.name: read_json(path) for path in given.structures},
        joints={Path(path).parent.name: read_json(path) for path in given.joints},
        trainings={Path(path).parent.name: read_table(path) for path in given.trainings},
        config=config,
        c_noise=config["report"]["c_noise"][0],
    )
    with atomic(snakemake.output.page) as path:
        path.write_text(page, encoding="utf-8")
    say(f"open {snakemake.output.page} in a browser")
