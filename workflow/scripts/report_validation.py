"""Draw the validation and compose its page (rule report_validation)."""

from temdenoise.foundation.files import atomic, read_json, read_table
from temdenoise.foundation.jobs import job
from temdenoise.images.storage import read_images
from temdenoise.report import validation
from temdenoise.report.style import journal, save_figure

with job(snakemake) as say, journal():
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    maps = {name: read_images(given[name]) for name in validation.SHOWN}
    rows = read_table(given.table)
    lattice = read_json(given.lattice) if given.lattice else None
    figure = validation.figure(maps, rows, lattice, variants=params.variants)
    save_figure(figure, pdf=output.pdf, png=output.png)
    page = validation.page(
        rows,
        lattice,
        variants=params.variants,
        config=params.config,
        png=output.png,
    )
    with atomic(output.page) as path:
        path.write_text(page, encoding="utf-8")
    say(f"open {output.page} in a browser")
