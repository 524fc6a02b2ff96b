"""Ask Snakemake for the graph of the workflow (rule draw_workflow)."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from temdenoise.files import write_json
from temdenoise.jobs import job
from temdenoise.showing.workflow_graph import graph

ATTEMPTS = 3
"""Other jobs write their records while this one reads them, so that a first look may fail."""

with job(snakemake) as say, tempfile.TemporaryDirectory() as folder:
    config = Path(folder) / "config.json"
    config.write_text(json.dumps(snakemake.params.config), encoding="utf-8")

    def ask(*arguments):
        """Run Snakemake on this workflow and configuration without running a job."""
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakemake.params.snakefile]
        command += ["--nolock", "--configfile", config, *arguments]
        for _ in range(ATTEMPTS):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout
            sys.stderr.write(f"{done.stdout}\n{done.stderr}\n")
        raise RuntimeError(
            f"Snakemake could not say what this workflow does ({' '.join(map(str, arguments))}): "
            f"{(done.stderr or done.stdout).strip()[-500:]}"
        )

    found = graph(ask("--rulegraph", "dot"), ask("--dry-run", "--forceall", "--quiet", "rules"))
    write_json(snakemake.output.graph, found)
    say(f"{len(found['jobs'])} rules, {sum(found['jobs'].values())} jobs")
