"""List every structure with its family and defects (rule list_structures)."""

from ase.io import read
from temdenoise.foundation.files import write_table
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.structures import table_row

with job(snakemake) as say:
    rows = [table_row(read(path)) for path in snakemake.input.atoms]
    write_table(snakemake.output.table, rows)
    say(f"{len(rows)} structures")
