"""Train a denoiser: batches, loss, Lightning module, interruption and resumption.

Every batch depends on the seed and the number of its step alone, and everything
else that has a state is in the checkpoint: an interrupted training that is
resumed ends with the same weights as an undisturbed one.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler

from temdenoise.errors import ConfigurationError
from temdenoise.files import atomic, intact_archive, write_table
from temdenoise.images.datasets import DataSet
from temdenoise.images.noise import corrupt
from temdenoise.learning.augmentation import (
    draw_patch,
    partly_empty,
    standardisation,
    standardise,
    with_edge,
)
from temdenoise.learning.networks import ONE_SIGMA, UNet
from temdenoise.seeding import generator

RECIPE = 3
"""Version of what this module computes; raise it when a change alters the weights."""


class Batches(Dataset):
    """Training batches by number of the step: random patches, changed, made noisy.

    Parameters
    ----------
    images
        The training split by noise. Each patch draws one of the noises.
    name
        Of the model; with the seed it names the random streams.
    c_noise, background_correlation, clip, pedestal
        Noise to train on, see `images.noise.corrupt`; C is drawn uniformly from
        the range `c_noise`.
    noise_source
        ``fresh``: new noise in every batch; ``stored``: the stored frames.
    mixtures
        Share of patches with a second noise on top of the first (``fresh`` alone).
    featureless
        Share of patches that are partly or wholly without structure, so that the
        network learns to leave nothing as nothing.
    turned
        Whether patches are flipped and turned by quarters.
    patch
        Side of a patch [pixels].
    batch
        Patches per batch.
    seed
        Of the run.
    c_spacing
        ``linear``: C is drawn uniformly; ``logarithmic``: as often from every octave.
    standardised, rotation, sampling, edges
        For real frames (``fresh`` alone), see `augmentation`: whether patches have mean 0 and
        deviation 1, are turned by any angle, the range of their pixel sizes [Å], and the
        share that ends at an irregular edge.
    """

    def __init__(
        self,
        images: Mapping[str, DataSet],
        *,
        name: str,
        c_noise: tuple[float, float],
        background_correlation: float,
        clip: bool,
        noise_source: str,
        mixtures: float,
        featureless: float,
        turned: bool,
        patch: int,
        batch: int,
        seed: int,
        pedestal: float = 0.0,
        c_spacing: str = "linear",
        standardised: bool = False,
        rotation: bool = False,
        sampling: Sequence[float] | None = None,
        edges: float = 0.0,
    ):
        self.images, self.noises, self.name = images, list(images), name
        self.c_noise, self.noise_source, self.mixtures = c_noise, noise_source, mixtures
        self.options = {
            "background_correlation": background_correlation,
            "clip": clip,
            "pedestal": pedestal,
        }
        self.featureless, self.turned = featureless, turned
        self.logarithmic, self.standardised = c_spacing == "logarithmic", standardised
        self.rotation, self.sampling, self.edges = rotation, sampling, edges
        self.patch, self.batch, self.seed = patch, batch, seed
        # the same images for every noise; their darkest value stands for empty space
        self.vacuum = min(float(images[self.noises[0]].clean.min()), 0.0)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy and clean patches, shape (batch, 1, patch, patch), and their C."""
        rng = generator(self.seed, "training", self.name, step)
        draws = [self._draw(rng) for _ in range(self.batch)]
        noisy, clean = (
            torch.from_numpy(np.stack([draw[i] for draw in draws])[:, None]) for i in (0, 1)
        )
        return noisy, clean, torch.tensor([draw[2] for draw in draws], dtype=torch.float32)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
        noise = self.noises[rng.integers(len(self.noises))]
        images = self.images[noise]
        extent = images.clean.shape[1:]
        origin = tuple(int(rng.integers(0, side - self.patch, endpoint=True)) for side in extent)
        window = tuple(slice(o, o + self.patch) for o in origin)
        if self.noise_source == "stored":
            frame = images.frames[rng.integers(len(images.frames))]
            clean = np.asarray(images.clean[frame.image][window])
            noisy = np.asarray(images.noisy[frame.index][window])
            c_noise = frame.c_noise
        else:
            number = rng.integers(len(images.clean))
            place = {"extent": extent, "origin": origin}
            if self.rotation or self.sampling:
                clean, step = draw_patch(
                    images.clean[number],
                    rng,
                    patch=self.patch,
                    sampling=images.sampling[0],
                    rotation=self.rotation,
                    samplings=self.sampling,
                )
                sides = tuple(max(self.patch, round(side / step)) for side in extent)
                place = {"extent": sides, "origin": (0, 0)}
            else:
                clean = np.asarray(images.clean[number][window])
            if self.edges and rng.random() < self.edges:
                clean = with_edge(clean, rng, vacuum=self.vacuum)
            if rng.random() < self.featureless:
                clean = partly_empty(clean, rng, vacuum=self.vacuum)
            noisy, c_noise = self._corrupt(clean, noise, rng, place)
            if rng.random() < self.mixtures:
                second = self.noises[rng.integers(len(self.noises))]
                noisy, more = self._corrupt(noisy, second, rng, place)
                c_noise = float(np.hypot(c_noise, more))
            if self.standardised:
                noisy, clean, c_noise = standardise(noisy, clean, c_noise, rng)
        pair = [noisy, clean]
        if self.turned:
            turns, flip = rng.integers(4), rng.integers(2)
            pair = [np.rot90(array, turns) for array in pair]
            pair = [array[::-1] if flip else array for array in pair]
        return np.ascontiguousarray(pair[0]), np.ascontiguousarray(pair[1]), c_noise

    def _corrupt(
        self, clean: np.ndarray, noise: str, rng: np.random.Generator, place: dict[str, Any]
    ) -> tuple[np.ndarray, float]:
        if self.logarithmic:
            c_noise = float(np.exp(rng.uniform(*np.log(self.c_noise))))
        else:
            c_noise = float(rng.uniform(*self.c_noise))
        noisy = corrupt(clean, noise=noise, c_noise=c_noise, rng=rng, **place, **self.options)
        return noisy, c_noise


class DenoisingModule(lightning.LightningModule):
    """Lightning's view of the training: loss, optimiser, averaged weights, history."""

    def __init__(self, network: UNet, *, steps: int, learning_rate: float, average: float):
        super().__init__()
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(average))
        self.steps, self.learning_rate = steps, learning_rate
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Loss of the image, and of the error the network expects of it.

        The image: Huber's loss, weighted so that weak noise counts as much as strong
        noise. Quadratic below 0.05, since an absolute error holds a network for salt and
        pepper fast at doing nothing, which is exactly right for most pixels.

        Sigma: the pinball loss, least where 68.27 % of the absolute errors are smaller.
        It asks for the definition itself and for no distribution of the errors.
        """
        noisy, clean, c_noise = batch
        denoised, sigma = self.network(noisy)
        away = (denoised.detach() - clean).abs()
        self._losses.append(away.mean())
        self.log("train_l1", self._losses[-1], prog_bar=True, logger=False)
        error = functional.smooth_l1_loss(denoised, clean, beta=0.05, reduction="none")
        missing = away - sigma
        doubt = torch.maximum(ONE_SIGMA * missing, (ONE_SIGMA - 1) * missing)
        # the error that can be reached grows about as C does, from a small value at C = 0
        return ((error + doubt).mean(dim=(1, 2, 3)) / (c_noise + 0.05)).mean()

    def on_train_batch_end(self, *_: Any) -> None:
        """Let the averaged weights follow."""
        self.average.update_parameters(self.network)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Mean absolute error of the averaged weights on a validation frame."""
        noisy, clean = batch
        self.log(
            "val_l1", (self.average(noisy)[0] - clean).abs().mean(), prog_bar=True, logger=False
        )

    def record(self) -> None:
        """Add one row to the history."""
        self.history.append(
            {
                "step": self.global_step,
                "learning_rate": self.lr_schedulers().get_last_lr()[0],
                "train_l1": float(torch.stack(self._losses).mean()),
                "val_l1": float(self.trainer.callback_metrics["val_l1"]),
            }
        )
        self._losses.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the history into the checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history from the checkpoint."""
        self.history = checkpoint["history"]

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam with a one-cycle learning rate."""
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.learning_rate, total_steps=self.steps, pct_start=0.2
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class _ValidationFrames(Dataset):
    """Frames of every noise within a range of C, or as many of them, evenly spread.

    Standardised if the training is.
    """

    MOST = 16
    """A universal model has 80 in a default run, and would validate as long as it trains."""

    def __init__(
        self, images: Mapping[str, DataSet], c_noise: tuple[float, float], standardised: bool
    ):
        self.standardised = standardised
        pairs = [
            (data, frame)
            for data in images.values()
            for frame in data.frames
            if c_noise[0] <= frame.c_noise <= c_noise[1]
        ]
        chosen = np.linspace(0, len(pairs) - 1, min(len(pairs), self.MOST)).round().astype(int)
        self.pairs = [pairs[number] for number in chosen]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        data, frame = self.pairs[index]
        pair = data.noisy[frame.index], data.clean[frame.image]
        if self.standardised:
            mean, deviation = standardisation(pair[0])
            pair = tuple(((a - mean) / deviation).astype(np.float32) for a in pair)
        return tuple(torch.from_numpy(np.ascontiguousarray(a))[None, None] for a in pair)


class _Steps(Sampler):
    """The steps of the coming epoch; after a resumption too."""

    def __init__(self, module: DenoisingModule, per_epoch: int):
        self.module, self.per_epoch = module, per_epoch

    def __len__(self) -> int:
        return self.per_epoch

    def __iter__(self) -> Iterator[int]:
        first = self.module.global_step
        return iter(range(first, first + self.per_epoch))


class _Keep(lightning.Callback):
    """Write checkpoint and metrics after every epoch, whole or not at all."""

    def __init__(self, work: Path):
        self.work = work

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: DenoisingModule) -> None:
        module.record()
        with atomic(self.work / "last.ckpt") as path:
            trainer.save_checkpoint(path)
        write_table(self.work / "metrics.csv", module.history)


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
        See `Batches`.
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
        DataLoader(batches, sampler=_Steps(module, checkpoint_every), batch_size=None),
        DataLoader(_ValidationFrames(validation, c_noise, standardised), batch_size=None),
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
            callbacks=[_Keep(work)],
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
