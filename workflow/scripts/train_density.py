"""Learn the density from the training maps (rule train_density)."""

import torch
from temdenoise.foundation.jobs import job
from temdenoise.images.storage import read_images
from temdenoise.learning.density_training import KnownMap, train_density

with job(snakemake) as say:
    params, images = snakemake.params, [read_images(path) for path in snakemake.input.maps]
    torch.set_num_threads(snakemake.threads)
    model = train_density(
        [KnownMap.read(image) for image in images],
        sampling=params.sampling,
        steps=params.steps,
        seed=params.seed,
        about={"quantity": images[0].quantity, "unit": images[0].unit, "recipe": params.recipe},
        say=say,
    )
    model.save(snakemake.output.model)
    say(f"learned from {len(images)} DFT maps; elements {', '.join(model.species)}")
