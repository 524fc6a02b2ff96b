"""Ask Snakemake for the graph of the workflow (rule draw_workflow)."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from temdenoise.files import write_json
from temdenoise.jobs import job
from temdenoise.showing.workflow_graph import graph

with job(snakemake) as say, tempfile.TemporaryDirectory() as folder:
    config = Path(folder) / "config.json"
    config.write_text(json.dumps(snakemake.params.config), encoding="utf-8")

    def ask(*arguments):
        """Run Snakemake on this workflow and configuration without running a job."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakemake.params.snakefile]
        command += ["--nolock", "--configfile", config, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    found = graph(ask("--rulegraph", "dot"), ask("--dry-run", "--forceall", "--quiet", "rules"))
    write_json(snakemake.output.graph, found)
    say(f"{len(found['jobs'])} rules, {sum(found['jobs'].values())} jobs")
