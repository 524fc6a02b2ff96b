"""Denoise one micrograph and say how far to believe it (rule denoise_micrograph)."""

from pathlib import Path

from temdenoise.jobs import job
from temdenoise.micrographs.calibration import SPACINGS
from temdenoise.micrographs.denoise_file import denoise_file
from temdenoise.showing.micrograph import summarise

with job(snakemake) as say:
    options, crystal = snakemake.params.options, snakemake.params.options["crystal"]
    complete = denoise_file(
        Path(snakemake.input.image),
        output=Path(snakemake.output.denoised).parent,
        model=Path(snakemake.input.model) if snakemake.input.model else None,
        kind=options["kind"],
        sampling=options["sampling"],
        spacings={crystal: SPACINGS[crystal]} if crystal else None,
        summarise=summarise,
        protected={Path(snakemake.input.image).resolve()},
        written={},
        say=say,
        warn=say,
        bar=say.terminal,
        marked=True,
    )
    if not complete:
        say("WARNING: frames were left empty, see above")
