"""Train a denoiser; interruption and resumption.

Every batch depends on the seed and the number of its step alone, and everything
else that has a state is in the checkpoint: an interrupted training that is
resumed ends with the same weights as an undisturbed one.
"""

import contextlib
import hashlib
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch.utils.data import DataLoader

from temdenoise.foundation.files import intact_archive
from temdenoise.foundation.modes import image_mode
from temdenoise.foundation.quantities import PixelSize
from temdenoise.foundation.seeding import generator
from temdenoise.foundation.sequences import evenly_spaced
from temdenoise.images.datasets import FILES, DataSet, read_dataset
from temdenoise.images.noise import NoiseOptions
from temdenoise.learning.augmentation import with_slow_part
from temdenoise.learning.batches import Batches, Share, Steps, ValidationFrames
from temdenoise.learning.description import ModelDescription, training_images
from temdenoise.learning.devices import Resources, hardware
from temdenoise.learning.inference import Model
from temdenoise.learning.module import DenoisingModule, Keep
from temdenoise.learning.networks import network_of
from temdenoise.learning.options import TrainingOptions
from temdenoise.learning.processes import run_processes

CALIBRATED = 256
"""Validation frames that sigma is calibrated on, or fewer; bounds the memory."""

HARDLY_BETTER = 0.9
"""Fraction of the noise that a useful training leaves less than."""

History = list[dict[str, Any]]
"""One row per checkpoint: step, learning_rate, train_l1, val_l1, precision."""


@dataclass(frozen=True)
class Trained:
    """What a training gives.

    Attributes
    ----------
    model
        With the averaged weights, its description and calibrated sigma.
    history
        One row per checkpoint: step, learning_rate, train_l1, val_l1, precision.
    messages
        What its user is to be told.
    """

    model: Model
    history: History
    messages: tuple[str, ...]


def read_noises(
    files: Mapping[str, Sequence[str]], split: str, noises: Sequence[str]
) -> dict[str, DataSet]:
    """Open one split of the data sets that a model is trained on.

    Parameters
    ----------
    files
        Of a job: ``{split}_clean``, ``{split}_noisy`` and ``{split}_manifest``, of each noise; or
        without noisy frames, one for all.
    split
        train or val.
    noises
        Names of the noises, in the order of their files.
    """
    if files.get(f"{split}_noisy") is None:
        of_all = {kind: str(files[f"{split}_{kind}"]) for kind in ("clean", "manifest")}
        return {noise: read_dataset(**of_all) for noise in noises}
    listed = zip(noises, *(files[f"{split}_{kind}"] for kind in FILES), strict=True)
    return {noise: read_dataset(**dict(zip(FILES, paths, strict=True))) for noise, *paths in listed}


def train_model(
    plan: Mapping[str, Any],
    training: Mapping[str, DataSet],
    validation: Mapping[str, DataSet],
    *,
    recipe: str,
    resources: Resources,
    folder: Path,
    progress: TextIO | None = None,
) -> Trained:
    """Train, describe and calibrate a model, or go on with a training that was interrupted.

    Parameters
    ----------
    plan
        What the configuration says of the model, see `configuration.models_of`.
    training, validation
        The two splits by noise, with their manifests.
    recipe
        Of the code: a checkpoint of another one is not resumed.
    resources
        What the job was given.
    folder
        For the folder of checkpoints, see `discard_checkpoints`.
    progress
        Where to show Lightning's progress bar; None: nowhere.

    Raises
    ------
    ConfigurationError
        If the hardware is not what the job was given.
    RuntimeError
        If one of several processes fails.
    """
    manifests = [data.manifest for split in (training, validation) for data in split.values()]
    options = TrainingOptions.of(plan, _noise_of(manifests[0]))
    digests = [manifest["sha256"] for manifest in manifests]
    network, history = train(
        training,
        validation,
        options,
        resources=resources,
        work=folder / f"{_CHECKPOINTS}{_digest([plan, recipe, digests])}",
        progress=progress,
    )
    described = _description(plan, options, next(iter(training.values())), history)
    model = Model(network, described)
    frames = _validation_pairs(validation, options)
    calibration = model.calibration(frames)
    model = replace(model, description=replace(described, calibration=calibration))
    return Trained(model, history, tuple(_messages(model, history, frames)))


def discard_checkpoints(folder: Path) -> None:
    """Remove what `train_model` would resume from, when its model is safe."""
    for work in folder.glob(f"{_CHECKPOINTS}*"):
        shutil.rmtree(work)


_CHECKPOINTS = "work-"


def train(
    training: Mapping[str, DataSet],
    validation: Mapping[str, DataSet],
    options: TrainingOptions,
    *,
    resources: Resources,
    work: Path,
    progress: TextIO | None = None,
) -> tuple[Any, History]:
    """Train one network, or go on with a training that was interrupted.

    Parameters
    ----------
    training, validation
        The two splits by noise: one noise makes a specialist, several a universal model.
        Validation frames outside the trained range of C are left out.
    options
        Of the training. The same give the same weights on the same machine with the same number
        of threads.
    resources
        What the job was given. Several processes share every batch: they see the same patches
        as one would, so the result differs by rounding alone.
    work
        Folder for checkpoints. A training resumes from ``last.ckpt`` in it, so it
        must be named after everything that decides the outcome; the
        caller removes it when the network is safe. A damaged checkpoint is left
        alone with a warning, and the training starts from its beginning.
    progress
        Where to show Lightning's progress bar; None, or several processes: nowhere.

    Returns
    -------
    network : DenoisingNetwork
        With the averaged weights.
    history : list of dict
        One row per checkpoint: step, learning_rate, train_l1, val_l1, precision.

    Raises
    ------
    ConfigurationError
        If the hardware is not what the job was given (`devices.hardware`).
    RuntimeError
        If one of several processes fails.
    """
    chosen = hardware(
        gpus=resources.gpus,
        processes=resources.processes,
        batch=options.patches.batch,
        precision=options.optimisation.precision,
    )
    task = _Task(
        training=training,
        validation=validation,
        options=options,
        hardware=chosen,
        threads=max(resources.threads // chosen["devices"], 1),
        work=work,
        checkpoint=_usable(work / "last.ckpt"),
    )
    if chosen["devices"] == 1:
        module = _fit(task, progress=progress)
    else:
        run_processes(_fit, chosen["devices"], folder=work, task=task)
        module = _module(options)
        last = torch.load(work / "last.ckpt", map_location="cpu", weights_only=True)
        module.load_state_dict(last["state_dict"])
        module.on_load_checkpoint(last)
    return module.average.module.cpu().eval(), module.history


@dataclass(frozen=True)
class _Task:
    """What each process of a training is given; `threads` are its own."""

    training: Mapping[str, DataSet]
    validation: Mapping[str, DataSet]
    options: TrainingOptions
    hardware: Mapping[str, Any]
    threads: int
    work: Path
    checkpoint: Path | None


def _module(options: TrainingOptions) -> DenoisingModule:
    """Make network and optimisation, with the initial weights that seed and name decide."""
    torch.manual_seed(int(generator(options.seed, "weights", options.name).integers(2**31)))
    low, high = options.c_noise_range
    return DenoisingModule(
        network_of(options.network.name, options.network.sizes),
        options.optimisation,
        c_noise_middle=(low + high) / 2,
    )


def _fit(task: _Task, *, rank: int = 0, progress: TextIO | None = None) -> DenoisingModule:
    """Train, as the only process or as one of several that run the same."""
    torch.set_num_threads(task.threads)
    options, devices = task.options, task.hardware["devices"]
    module = _module(options)
    share, per_epoch = Share(rank, devices), options.optimisation.checkpoint_every
    # on a CPU, batches are made in a small part of a step's time, so workers would only cost
    workers = task.threads - 1 if task.hardware["accelerator"] == "gpu" else 0
    batches = DataLoader(
        Batches(task.training, options, share),
        sampler=Steps(lambda: module.global_step, per_epoch),
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    frames = ValidationFrames(task.validation, options.c_noise_range, options.patches, share)
    # the bar goes to whatever is standard output when it is made
    with contextlib.redirect_stdout(progress or sys.stdout), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # `hardware` has chosen what to train on
        warnings.filterwarnings("ignore", message="GPU available but not used")
        # the number of processes is intended, also where Slurm is at hand
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        trainer = lightning.Trainer(
            max_epochs=options.optimisation.steps // per_epoch,
            **task.hardware,
            strategy="ddp" if devices > 1 else "auto",
            # the processes know their shares; Lightning would deal out whole batches
            use_distributed_sampler=False,
            # else Lightning takes its orders from the Slurm job it finds itself in
            plugins=[LightningEnvironment()],
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress is not None,
            num_sanity_val_steps=0,
            callbacks=[Keep(module, task.work)],
        )
        trainer.fit(module, batches, DataLoader(frames, batch_size=None), ckpt_path=task.checkpoint)
    return module


def _usable(checkpoint: Path) -> Path | None:
    if not checkpoint.exists():
        return None
    if intact_archive(checkpoint):
        return checkpoint
    warnings.warn(
        f"{checkpoint}: damaged or cut short; the training starts from its beginning",
        stacklevel=3,
    )
    return None


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def _noise_of(manifest: Mapping[str, Any]) -> NoiseOptions:
    scale = manifest["scale"]
    return NoiseOptions(
        background_correlation=manifest["background_correlation"],
        pedestal=scale["offset"] / scale["range"],
        clip=manifest["clip"],
    )


def _description(
    plan: Mapping[str, Any], options: TrainingOptions, images: DataSet, history: History
) -> ModelDescription:
    """Say what a network was trained on; the images are those of any noise."""
    manifest = images.manifest
    crystals = [Path(name).stem for name in plan["crystals"]]
    seen = training_images(
        {
            name: images.of_crystal(number, len(crystals)).clean
            for number, name in enumerate(crystals)
        },
        sampling=images.sampling,
    )
    return ModelDescription(
        noise=options.c_noise_range,
        mode=image_mode(plan["mode"]),
        method=plan["method"],
        trained_on=plan["trained_on"],
        sampling=PixelSize(*manifest["sampling_angstrom"]),
        pixel_range=options.patches.pixel_range,
        clean_mean=seen.mean,
        clean_std=seen.contrast,
        spacings=seen.spacings,
        scale=manifest["scale"],
        standardised=options.patches.standardised,
        patch=options.patches.patch if plan["stitched"] else None,
        options=plan["options"] | {"precision": history[-1]["precision"]},
        structures=tuple(manifest["structures"]),
        seed=options.seed,
    )


def _validation_pairs(
    validation: Mapping[str, DataSet], options: TrainingOptions
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give noisy and clean image of validation frames within the trained range."""
    low, high = options.c_noise_range
    pairs = evenly_spaced(
        [
            (np.asarray(data.noisy[frame.index]), np.asarray(data.clean[frame.image]))
            for data in validation.values()
            for frame in data.frames
            if low <= frame.c_noise <= high
        ],
        CALIBRATED,
    )
    if kept := options.patches.keep_slow:
        width = kept / next(iter(validation.values())).sampling[0]
        pairs = [(noisy, with_slow_part(clean, noisy, width=width)) for noisy, clean in pairs]
    return pairs


def _messages(
    model: Model, history: History, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Iterator[str]:
    """Say how well the training went, and warn if it hardly did anything."""
    left, calibration = history[-1]["val_l1"], model.description.calibration
    yield (
        f"mean absolute error {left:.4f} on the validation split after {history[-1]['step']} "
        f"steps, sigma scaled by {calibration.factor:.2f} and growing by a power of "
        f"{calibration.growth:.2f} more"
    )
    noise = np.mean([np.mean(np.abs(noisy - clean)) for noisy, clean in pairs])
    if left > HARDLY_BETTER * noise:
        yield (
            f"WARNING: hardly better than the noisy image ({noise:.4f}): lower "
            "training.learning_rate or raise training.steps"
        )
