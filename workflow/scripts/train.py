"""Train the denoiser of one noise (rules train_...)."""

import hashlib
import json
from pathlib import Path

from temdenoise.files import read_json, write_table
from temdenoise.images.datasets import Frame
from temdenoise.jobs import job
from temdenoise.learning.inference import Denoiser
from temdenoise.learning.training import TrainingImages, train
from temdenoise.storage import read_images

with job(snakemake) as say:
    noise, params = snakemake.wildcards.noise, snakemake.params
    manifests = {s: read_json(snakemake.input[f"{s}_manifest"]) for s in ("train", "val")}
    splits = {
        split: TrainingImages(
            clean=read_images(snakemake.input[f"{split}_clean"]).data,
            noisy=read_images(snakemake.input[f"{split}_noisy"]).data,
            frames=[Frame(**frame) for frame in manifest["frames"]],
        )
        for split, manifest in manifests.items()
    }
    digests = [manifest["sha256"] for manifest in manifests.values()]
    identity = json.dumps([params.options, params.c_noise, params.seed, params.recipe, digests])
    folder = Path(snakemake.output.model).parent
    network, history = train(
        splits["train"],
        splits["val"],
        noise=noise,
        c_noise=tuple(params.c_noise),
        background_correlation=manifests["train"]["background_correlation"],
        clip=manifests["train"]["clip"],
        **params.options,
        seed=params.seed,
        threads=snakemake.threads,
        work=folder / f"work-{hashlib.sha256(identity.encode()).hexdigest()[:12]}",
        progress=say.watched,
    )
    write_table(snakemake.output.metrics, history)
    Denoiser(
        network,
        {
            "trained_on": noise,
            "c_noise_train": params.c_noise,
            "sampling_angstrom": manifests["train"]["sampling_angstrom"],
            "scale": manifests["train"]["scale"],
            "structures": manifests["train"]["structures"],
            "options": params.options,
            "seed": params.seed,
        },
    ).save(snakemake.output.model)
    say(f"mean absolute error {history[-1]['val_l1']:.4f} on the validation split")
