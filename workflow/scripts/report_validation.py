"""Draw the validation and compose its page (rule report_validation)."""

from temdenoise.files import atomic, read_json, read_table
from temdenoise.jobs import job
from temdenoise.showing import validation
from temdenoise.showing.style import journal
from temdenoise.storage import read_images

with job(snakemake) as say, journal():
    given, params = snakemake.input, snakemake.params
    maps = {name: read_images(given[name]) for name in validation.SHOWN}
    rows = read_table(given.table)
    lattice = read_json(given.lattice) if given.lattice else None
    figure = validation.figure(maps, rows, lattice, variants=params.variants)
    for path, metadata in zip(snakemake.output[:2], [{"CreationDate": None}, None], strict=True):
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=metadata)
    page = validation.page(
        rows,
        lattice,
        variants=params.variants,
        config=params.config,
        png=snakemake.output.png,
    )
    with atomic(snakemake.output.page) as path:
        path.write_text(page, encoding="utf-8")
    say(f"open {snakemake.output.page} in a browser")
