"""Record where the results come from (rule record_provenance)."""

from importlib.metadata import version
from pathlib import Path

from temdenoise import __version__
from temdenoise.files import write_json
from temdenoise.jobs import job
from temdenoise.provenance import PACKAGE, commit, environment, record

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
