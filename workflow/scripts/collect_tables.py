"""Put the tables of all noises into one (rule collect_tables)."""

from temdenoise.foundation.files import columns_of, read_table, write_table
from temdenoise.foundation.jobs import job

with job(snakemake) as say:
    rows = [row for path in snakemake.input.tables for row in read_table(path)]
    columns = columns_of(snakemake.input.tables[0])
    write_table(snakemake.output.table, rows, columns=columns)
    say(f"{snakemake.output.table}, {len(rows)} rows")
