"""Compose the report of a run (rule report_ms_ssim)."""

from temdenoise.foundation.files import atomic
from temdenoise.foundation.jobs import job
from temdenoise.report.run import LIMIT, report
from temdenoise.report.run_files import read_run

with job(snakemake) as say:
    params = snakemake.params
    run = read_run(
        dict(snakemake.input.items()),
        config=params.config,
        models=params.models,
        benchmarks=params.benchmarks,
    )
    page = report(run)
    with atomic(snakemake.output.page) as path:
        path.write_text(page, encoding="utf-8")
    size = len(page.encode())
    say(f"open {snakemake.output.page} in a browser ({size / 1e6:.1f} MB)")
    if size > LIMIT:
        say(f"WARNING: more than {LIMIT / 1e6:.0f} MB: too large to send around")
