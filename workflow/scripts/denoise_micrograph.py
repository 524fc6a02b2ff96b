"""Denoise one micrograph and say how far to believe it (rule denoise_micrograph)."""

from pathlib import Path

from temdenoise.denoise_files import Request, Terminal, denoise_file
from temdenoise.foundation.jobs import job
from temdenoise.micrographs.results import Guard

with job(snakemake) as say:
    options, image = snakemake.params.options, Path(snakemake.input.image)
    request = Request(
        output=Path(snakemake.output.denoised).parent,
        model=Path(snakemake.input.model) if snakemake.input.model else "auto",
        sampling=options["sampling"],
        crystal=options["crystal"],
        kind=options["kind"],
        signal=snakemake.params.signal,
        marked=True,
    )
    guard = Guard(inputs={image.resolve()})
    if not denoise_file(image, request, guard, Terminal(say, say, say.terminal)):
        say("WARNING: frames were left empty, see above")
