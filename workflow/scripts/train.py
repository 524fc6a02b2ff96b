"""Train one denoiser (rules train_...)."""

from pathlib import Path

from temdenoise.foundation.files import write_table
from temdenoise.foundation.jobs import job
from temdenoise.learning.devices import Resources
from temdenoise.learning.training import discard_checkpoints, read_noises, train_model

with job(snakemake) as say:
    params, folder = snakemake.params, Path(snakemake.output.model).parent
    trained = train_model(
        params.model,
        *(
            read_noises(snakemake.input, split, params.model["noises"])
            for split in ("train", "val")
        ),
        recipe=params.recipe,
        resources=Resources(snakemake.threads, gpus=snakemake.resources.get("gpu")),
        folder=folder,
        progress=say.terminal,
    )
    write_table(snakemake.output.metrics, trained.history)
    trained.model.save(snakemake.output.model)
    discard_checkpoints(folder)
    for message in trained.messages:
        say(message)
