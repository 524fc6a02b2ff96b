"""Record where the results come from (rule record_provenance)."""

from importlib.metadata import version
from pathlib import Path

from temdenoise import __version__
from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.foundation.provenance import commit, environment, record
from temdenoise.foundation.source import PACKAGE

with job(snakemake) as say:
    params = snakemake.params
    found = {
        "temdenoise": {"version": __version__, "code": params.code, "recipes": params.recipes},
        "repository": commit(PACKAGE),
        "snakemake": version("snakemake"),
        "seed": params.seed,
        "configuration_sha256": params.configuration,
        "recorded_on": environment(),
        **record(snakemake.input, root=str(Path(snakemake.output.record).parent)),
    }
    write_json(snakemake.output.record, found)
    say(f"digests of {len(found['files'])} results, packages of {len(found['rules'])} rules")
