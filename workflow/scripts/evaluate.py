"""Evaluate every method on one noise (rule evaluate)."""

import numpy as np
from temdenoise.files import read_json, write_table
from temdenoise.images.datasets import Frame
from temdenoise.jobs import job
from temdenoise.judging.evaluation import quality, tuned_blur
from temdenoise.learning.inference import load
from temdenoise.storage import read_images, write_images

with job(snakemake) as say:
    noise, given, params = snakemake.wildcards.noise, snakemake.input, snakemake.params
    models = {m.about["trained_on"]: m for m in map(load, given.models)}
    splits = {
        split: (
            [Frame(**frame) for frame in read_json(given[f"{split}_manifest"])["frames"]],
            read_images(given[f"{split}_noisy"]),
            read_images(given[f"{split}_clean"]).data,
        )
        for split in ("val", "test")
    }
    frames, noisy, clean = splits["val"]
    blur = tuned_blur(frames, noisy.data, clean, params.blur)
    frames, noisy, clean = splits["test"]
    rows = quality(
        frames,
        noisy.data,
        clean,
        models,
        noise=noise,
        c_noise_train=params.c_noise_train,
        blur=blur,
    )
    first = [frame for frame in frames if frame.image == 0]
    write_images(
        snakemake.output.predictions,
        np.stack([models[noise](noisy.data[frame.index]) for frame in first]),
        sampling=noisy.sampling,
        quantity="denoised",
        unit=noisy.unit,
        c_noise=[frame.c_noise for frame in first],
    )
    write_table(
        snakemake.output.blur,
        [{"noise": noise, "c_noise": c, "width_px": width} for c, width in blur.items()],
    )
    write_table(snakemake.output.quality, rows)
    best = [row["ms_ssim"] for row in rows if row["trained_on"] == noise]
    say(f"MS-SSIM of the specialist {max(best):.4f} (least noise) to {min(best):.4f} (most)")
