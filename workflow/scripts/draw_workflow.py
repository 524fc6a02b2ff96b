"""Ask Snakemake for the graph of the workflow (rule draw_workflow)."""

from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.report.workflow_graph import graph_of

with job(snakemake) as say:
    found = graph_of(snakemake.params.snakefile, snakemake.params.config)
    write_json(snakemake.output.graph, found)
    say(f"{len(found['jobs'])} rules, {sum(found['jobs'].values())} jobs")
