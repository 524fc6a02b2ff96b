"""Train one denoiser (rules train_...)."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from temdenoise.files import write_table
from temdenoise.images.datasets import evenly, read_dataset
from temdenoise.jobs import job
from temdenoise.learning.augmentation import with_slow_part
from temdenoise.learning.inference import Denoiser
from temdenoise.learning.training import train
from temdenoise.micrographs.fitting import described

CALIBRATED = 256  # validation frames that sigma is calibrated on, or fewer; bounds the memory

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    training, validation = (
        {
            noise: read_dataset(clean=clean, noisy=noisy, manifest=manifest)
            for noise, clean, noisy, manifest in zip(
                params.model["noises"],
                given[f"{split}_clean"],
                given[f"{split}_noisy"],
                given[f"{split}_manifest"],
                strict=True,
            )
        }
        for split in ("train", "val")
    )
    manifests = [data.manifest for split in (training, validation) for data in split.values()]
    digests = [manifest["sha256"] for manifest in manifests]
    identity = json.dumps([params.model, params.seed, params.recipe, digests])
    folder = Path(snakemake.output.model).parent
    low, high = params.model["c_noise"]
    network, history = train(
        training,
        validation,
        name=snakemake.wildcards.model,
        c_noise=(low, high),
        background_correlation=manifests[0]["background_correlation"],
        clip=manifests[0]["clip"],
        pedestal=manifests[0]["scale"]["offset"] / manifests[0]["scale"]["range"],
        **params.model["options"],
        seed=params.seed,
        threads=snakemake.threads,
        gpus=snakemake.resources.get("gpu"),
        work=folder / f"work-{hashlib.sha256(identity.encode()).hexdigest()[:12]}",
        progress=say.terminal,
    )
    write_table(snakemake.output.metrics, history)
    about = {
        "method": params.model["method"],
        "trained_on": params.model["trained_on"],
        "c_noise_train": [low, high],
        "seed": params.seed,
        "options": params.model["options"] | {"precision": history[-1]["precision"]},
    }
    about |= {k: manifests[0][k] for k in ("sampling_angstrom", "scale", "structures")}
    images = next(iter(training.values()))
    about |= described(
        {
            Path(name).stem: images.of_crystal(number, len(params.crystals)).clean
            for number, name in enumerate(params.crystals)
        },
        mode=snakemake.config["image"]["mode"],
        sampling=images.sampling,
        samplings=params.model["options"].get("sampling"),
    )
    if params.model["options"].get("standardised"):
        about["standardised"] = True
    if params.model["stitched"]:
        about["patch"] = params.model["options"]["patch"]
    denoiser = Denoiser(network, about)
    inside = evenly(
        [
            (np.asarray(data.noisy[frame.index]), np.asarray(data.clean[frame.image]))
            for data in validation.values()
            for frame in data.frames
            if low <= frame.c_noise <= high
        ],
        CALIBRATED,
    )
    if kept := params.model["options"].get("keep_slow"):
        width = kept / images.sampling[0]
        inside = [(noisy, with_slow_part(clean, noisy, width=width)) for noisy, clean in inside]
    about |= denoiser.calibration(inside)
    denoiser.save(snakemake.output.model)
    for work in folder.glob("work-*"):
        shutil.rmtree(work)
    left = history[-1]["val_l1"]
    say(
        f"mean absolute error {left:.4f} on the validation split after {history[-1]['step']} "
        f"steps, sigma scaled by {about['sigma_factor']:.2f} and growing by a power of "
        f"{about['sigma_growth']:.2f} more"
    )
    noise = np.mean([np.mean(np.abs(noisy - clean)) for noisy, clean in inside])
    if left > 0.9 * noise:
        say(
            f"WARNING: hardly better than the noisy image ({noise:.4f}): lower "
            "training.learning_rate or raise training.steps"
        )
