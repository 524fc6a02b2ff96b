"""Evaluate every method on one noise (rule evaluate)."""

import numpy as np
from temdenoise.files import write_table
from temdenoise.images.datasets import read_dataset
from temdenoise.jobs import job
from temdenoise.judging.evaluation import quality, tuned_blur
from temdenoise.learning.inference import load
from temdenoise.storage import write_images

with job(snakemake) as say:
    noise, given, params = snakemake.wildcards.noise, snakemake.input, snakemake.params
    models = {m.about["trained_on"]: m for m in map(load, given.models)}
    validation, test = (
        read_dataset(**{kind: given[f"{split}_{kind}"] for kind in ("clean", "noisy", "manifest")})
        for split in ("val", "test")
    )
    blur = tuned_blur(validation, params.blur)
    rows = quality(test, models, noise=noise, c_noise_train=params.c_noise_train, blur=blur)
    first = [frame for frame in test.frames if frame.image == 0]
    write_images(
        snakemake.output.predictions,
        np.stack([models[noise](test.noisy[frame.index]) for frame in first]),
        sampling=test.sampling,
        quantity="denoised",
        unit="1",
        c_noise=[frame.c_noise for frame in first],
    )
    write_table(
        snakemake.output.blur,
        [{"noise": noise, "c_noise": c, "width_px": width} for c, width in blur.items()],
    )
    write_table(snakemake.output.quality, rows)
    best = [row["ms_ssim"] for row in rows if row["trained_on"] == noise]
    say(f"MS-SSIM of the specialist {max(best):.4f} (least noise) to {min(best):.4f} (most)")
