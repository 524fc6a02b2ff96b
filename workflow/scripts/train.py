"""Train the denoiser of one noise (rules train_...)."""

import hashlib
import json
import shutil
from pathlib import Path

from temdenoise.files import write_table
from temdenoise.images.datasets import read_dataset
from temdenoise.jobs import job
from temdenoise.learning.inference import Denoiser
from temdenoise.learning.training import train

with job(snakemake) as say:
    noise, given, params = snakemake.wildcards.noise, snakemake.input, snakemake.params
    training, validation = (
        read_dataset(**{kind: given[f"{split}_{kind}"] for kind in ("clean", "noisy", "manifest")})
        for split in ("train", "val")
    )
    digests = [data.manifest["sha256"] for data in (training, validation)]
    identity = json.dumps([params.options, params.c_noise, params.seed, params.recipe, digests])
    folder = Path(snakemake.output.model).parent
    network, history = train(
        training,
        validation,
        noise=noise,
        c_noise=tuple(params.c_noise),
        background_correlation=training.manifest["background_correlation"],
        clip=training.manifest["clip"],
        **params.options,
        seed=params.seed,
        threads=snakemake.threads,
        work=folder / f"work-{hashlib.sha256(identity.encode()).hexdigest()[:12]}",
        progress=say.terminal,
    )
    write_table(snakemake.output.metrics, history)
    described = {k: training.manifest[k] for k in ("sampling_angstrom", "scale", "structures")}
    about = {"trained_on": noise, "c_noise_train": params.c_noise, "seed": params.seed}
    Denoiser(network, about | described | {"options": params.options}).save(snakemake.output.model)
    for work in folder.glob("work-*"):
        shutil.rmtree(work)
    say(f"mean absolute error {history[-1]['val_l1']:.4f} on the validation split")
