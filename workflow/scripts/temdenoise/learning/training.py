"""Train a denoiser; interruption and resumption.

Every batch depends on the seed and the number of its step alone, and everything
else that has a state is in the checkpoint: an interrupted training that is
resumed ends with the same weights as an undisturbed one.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import pytorch_lightning as lightning
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch.utils.data import DataLoader

from temdenoise.errors import ConfigurationError
from temdenoise.files import intact_archive
from temdenoise.images.datasets import DataSet
from temdenoise.learning.batches import Batches, Steps, ValidationFrames
from temdenoise.learning.module import DenoisingModule, Keep
from temdenoise.learning.networks import UNet
from temdenoise.seeding import generator

RECIPE = 3
"""Version of what this and its neighbours compute; raise it when a change alters the weights."""


def train(
    training: Mapping[str, DataSet],
    validation: Mapping[str, DataSet],
    *,
    name: str,
    c_noise: tuple[float, float],
    background_correlation: float,
    clip: bool,
    noise_source: str,
    mixtures: float,
    featureless: float,
    turned: bool,
    width: int,
    levels: int,
    patch: int,
    batch: int,
    steps: int,
    checkpoint_every: int,
    learning_rate: float,
    average: float,
    seed: int,
    threads: int,
    gpus: int | None = None,
    work: Path,
    pedestal: float = 0.0,
    c_spacing: str = "linear",
    standardised: bool = False,
    rotation: bool = False,
    sampling: Sequence[float] | None = None,
    edges: float = 0.0,
    progress: TextIO | None = None,
) -> tuple[UNet, list[dict[str, float]]]:
    """Train one network, or go on with a training that was interrupted.

    Parameters
    ----------
    training, validation
        The two splits by noise: one noise makes a specialist, several a universal
        model. Validation frames outside the range `c_noise` are left out.
    name
        Of the model.
    c_noise, background_correlation, clip, noise_source, mixtures, featureless, turned, patch, batch
    pedestal, c_spacing, standardised, rotation, sampling, edges
        See `batches.Batches`.
    width, levels
        See `networks.UNet`.
    steps
        Optimiser steps.
    checkpoint_every
        Steps between two checkpoints, each with a validation; divides `steps`.
    learning_rate
        Peak of the one-cycle schedule.
    average
        Decay of the exponential moving average of the weights.
    seed
        Of initial weights and batches; the same seed gives the same weights on
        the same machine with the same number of threads.
    threads
        CPU threads to use.
    gpus
        GPUs that the job was given: 0 or 1; not said, one is used where there is one.
    work
        Folder for checkpoints. A training resumes from ``last.ckpt`` in it, so it
        must be named after everything that decides the outcome; the
        caller removes it when the network is safe. A damaged checkpoint is left
        alone with a warning, and the training starts from its beginning.
    progress
        Where to show Lightning's progress bar; none if not given.

    Returns
    -------
    network : UNet
        With the averaged weights.
    history : list of dict
        One row per checkpoint: step, learning_rate, train_l1, val_l1.

    Raises
    ------
    ConfigurationError
        If there are fewer GPUs than the job was given.
    """
    hardware = _hardware(gpus)
    torch.set_num_threads(threads)
    torch.manual_seed(int(generator(seed, "weights", name).integers(2**31)))
    module = DenoisingModule(
        UNet(width=width, levels=levels), steps=steps, learning_rate=learning_rate, average=average
    )
    batches = Batches(
        training,
        name=name,
        c_noise=c_noise,
        background_correlation=background_correlation,
        clip=clip,
        noise_source=noise_source,
        mixtures=mixtures,
        featureless=featureless,
        turned=turned,
        patch=patch,
        batch=batch,
        seed=seed,
        pedestal=pedestal,
        c_spacing=c_spacing,
        standardised=standardised,
        rotation=rotation,
        sampling=sampling,
        edges=edges,
    )
    loaders = (
        DataLoader(
            batches, sampler=Steps(lambda: module.global_step, checkpoint_every), batch_size=None
        ),
        DataLoader(ValidationFrames(validation, c_noise, standardised), batch_size=None),
    )
    checkpoint = _usable(work / "last.ckpt")
    # the bar goes to whatever is standard output when it is made
    with contextlib.redirect_stdout(progress or sys.stdout), warnings.catch_warnings():
        # batches are made in a small part of a step's time, so workers would only cost
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # one process is what is meant, also where Slurm is at hand
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        trainer = lightning.Trainer(
            max_epochs=steps // checkpoint_every,
            **hardware,
            # else Lightning takes its orders from the Slurm job it finds itself in
            plugins=[LightningEnvironment()],
            deterministic=True,
            # below what is usual (1 to 10), so that every step counts alike: once a gradient of
            # 900 made Adam throw away what 600 steps had learned
            gradient_clip_val=0.5,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress is not None,
            num_sanity_val_steps=0,
            callbacks=[Keep(work)],
        )
        trainer.fit(module, *loaders, ckpt_path=checkpoint)
    return module.average.module.cpu().eval(), module.history


def _hardware(gpus: int | None) -> dict[str, Any]:
    """Choose what Lightning trains on; a GPU that was asked for is never replaced by the CPU."""
    if gpus is None:
        return {"accelerator": "auto", "devices": 1}
    if gpus == 0:
        return {"accelerator": "cpu", "devices": 1}
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus > 1 or found < gpus:
        raise ConfigurationError(
            f"the training was given gpu = {gpus} (set-resources in the profile), but PyTorch "
            f"{torch.__version__} finds {found} here and a training uses one "
            f"(CUDA_VISIBLE_DEVICES = {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}); "
            "install a PyTorch with CUDA, ask for a node that has a GPU, or set gpu to 1 or 0"
        )
    return {"accelerator": "gpu", "devices": gpus}


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
