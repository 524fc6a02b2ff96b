"""Train a denoiser; interruption and resumption.

Every batch depends on the seed and the number of its step alone, and everything
else that has a state is in the checkpoint: an interrupted training that is
resumed ends with the same weights as an undisturbed one.
"""

import contextlib
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import pytorch_lightning as lightning
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch.utils.data import DataLoader

from temdenoise.files import intact_archive
from temdenoise.images.datasets import DataSet
from temdenoise.learning.batches import Batches, Steps, ValidationFrames
from temdenoise.learning.hardware import hardware
from temdenoise.learning.module import DenoisingModule, Keep
from temdenoise.learning.networks import UNet
from temdenoise.learning.processes import together
from temdenoise.seeding import generator

RECIPE = 10
"""Version of what this and its neighbours compute; raise it when a change alters the weights."""


def train(
    training: Mapping[str, DataSet],
    validation: Mapping[str, DataSet],
    *,
    width: int,
    levels: int,
    steps: int,
    checkpoint_every: int,
    learning_rate: float,
    average: float,
    quadratic_below: float = 0.05,
    weak: float = 1.0,
    threads: int,
    gpus: int | None = None,
    processes: int | None = None,
    precision: str = "float32",
    work: Path,
    progress: TextIO | None = None,
    **feeding: Any,
) -> tuple[UNet, list[dict[str, Any]]]:
    """Train one network, or go on with a training that was interrupted.

    Parameters
    ----------
    training, validation
        The two splits by noise: one noise makes a specialist, several a universal
        model.
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
    quadratic_below
        Error at which the loss turns from quadratic to linear [what the network sees].
    weak
        What a patch with hardly any noise counts, where one in the middle of the range
        `c_noise` counts 1; the rest is in proportion to C.
    threads
        CPU threads to use; with GPUs, all but one draw batches.
    gpus, processes
        What the job was given, see `hardware.hardware`. Several share every batch: they see
        the same patches as one would, so the result differs by rounding alone.
    work
        Folder for checkpoints. A training resumes from ``last.ckpt`` in it, so it
        must be named after everything that decides the outcome; the
        caller removes it when the network is safe. A damaged checkpoint is left
        alone with a warning, and the training starts from its beginning.
    precision
        Of the passes through the network, see `hardware.hardware`; the weights and what is
        judged by them are float32.
    progress
        Where to show Lightning's progress bar; none if not given, or with several
        processes.
    **feeding
        What `batches.Batches` is made with. Its ``name`` and ``seed`` decide the initial
        weights, too: the same give the same weights on the same machine with the same number
        of threads. Validation frames outside its ``c_noise`` are left out.

    Returns
    -------
    network : UNet
        With the averaged weights.
    history : list of dict
        One row per checkpoint: step, learning_rate, train_l1, val_l1, precision.

    Raises
    ------
    ConfigurationError
        If the hardware is not what the job was given (`hardware.hardware`).
    RuntimeError
        If one of several processes fails.
    """
    given = hardware(gpus=gpus, processes=processes, batch=feeding["batch"], precision=precision)
    network = {"width": width, "levels": levels}
    schedule = {
        "steps": steps,
        "learning_rate": learning_rate,
        "average": average,
        "quadratic_below": quadratic_below,
        "weak": weak,
        "middle": sum(feeding["c_noise"]) / 2,
    }
    arguments = {
        "training": training,
        "validation": validation,
        "network": network,
        "schedule": schedule,
        "feeding": feeding,
        "checkpoint_every": checkpoint_every,
        "threads": threads,
        "given": given,
        "work": work,
        "checkpoint": _usable(work / "last.ckpt"),
    }
    if given["devices"] == 1:
        module = _fit(**arguments, progress=progress)
    else:
        together(_fit, given["devices"], folder=work, **arguments)
        module = DenoisingModule(UNet(**network), **schedule)
        last = torch.load(work / "last.ckpt", map_location="cpu", weights_only=True)
        module.load_state_dict(last["state_dict"])
        module.on_load_checkpoint(last)
    return module.average.module.cpu().eval(), module.history


def _fit(
    *,
    training: Mapping[str, DataSet],
    validation: Mapping[str, DataSet],
    network: dict[str, Any],
    schedule: dict[str, Any],
    feeding: dict[str, Any],
    checkpoint_every: int,
    threads: int,
    given: dict[str, Any],
    work: Path,
    checkpoint: Path | None,
    rank: int = 0,
    progress: TextIO | None = None,
) -> DenoisingModule:
    """Train, as the only process or as one of several that run the same."""
    devices = given["devices"]
    own_threads = max(threads // devices, 1)
    torch.set_num_threads(own_threads)
    seed, name = feeding["seed"], feeding["name"]
    torch.manual_seed(int(generator(seed, "weights", name).integers(2**31)))
    module = DenoisingModule(UNet(**network), **schedule)
    share = {"rank": rank, "world": devices}
    # on a CPU, batches are made in a small part of a step's time, so workers would only cost
    workers = own_threads - 1 if given["accelerator"] == "gpu" else 0
    loaders = (
        DataLoader(
            Batches(training, **feeding, **share),
            sampler=Steps(lambda: module.global_step, checkpoint_every),
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
        ),
        DataLoader(
            ValidationFrames(
                validation,
                feeding["c_noise"],
                feeding.get("standardised", False),
                keep_slow=feeding.get("keep_slow", 0.0),
                **share,
            ),
            batch_size=None,
        ),
    )
    # the bar goes to whatever is standard output when it is made
    with contextlib.redirect_stdout(progress or sys.stdout), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # `hardware` has said what to train on
        warnings.filterwarnings("ignore", message="GPU available but not used")
        # so many processes are what is meant, also where Slurm is at hand
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        trainer = lightning.Trainer(
            max_epochs=schedule["steps"] // checkpoint_every,
            **given,
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
            callbacks=[Keep(work)],
        )
        trainer.fit(module, *loaders, ckpt_path=checkpoint)
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
