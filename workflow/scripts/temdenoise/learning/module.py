"""Lightning's view of a training: loss, optimiser, averaged weights, history, checkpoints."""

from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from temdenoise.foundation.files import atomic, write_table
from temdenoise.learning.devices import PRECISIONS
from temdenoise.learning.networks import ONE_SIGMA
from temdenoise.learning.options import OptimisationOptions

_ENOUGH = 0.045  # errors below this fraction of C count no more
_LONGEST_GRADIENT = 1.0
_EXACT = 1e-4  # error that counts as none [what the network sees]
_NAMES = {lightnings: ours for ours, lightnings in PRECISIONS.items()}


class DenoisingModule(lightning.LightningModule):
    """Lightning's view of the training: loss, optimiser, averaged weights, history.

    Parameters
    ----------
    network
        A `networks.DenoisingNetwork`.
    options
        Of the optimisation.
    c_noise_middle
        Middle of the trained range of C, where a patch has the weight 1.
    """

    def __init__(self, network: nn.Module, options: OptimisationOptions, *, c_noise_middle: float):
        super().__init__()
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(options.average))
        # several processes exchange, and wait for, the gradients of all that asks for them
        self.average.requires_grad_(False)
        self.options, self.c_noise_middle = options, c_noise_middle
        self.history: list[dict[str, Any]] = []
        self._losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Loss of the image, and of the error the network expects of it.

        The image: the logarithm of each patch's squared error, so that a tenth less error is
        worth the same at every strength and kind of noise. Where the sum of the errors counts, a
        network for several noises leaves to the easiest of them, salt and pepper, many times
        the error that it could have. Errors of a small fraction of the noise are exact
        enough: a patch without structure would else count more than all others. The square
        is Huber's, and grows no more than linearly beyond 0.05 by default, since
        a few pixels that cannot be known are no reason to change all others. Where noise is
        far stronger than the lattice, the plain square (smallest for the mean of what may be
        there) is what predicts best. The weight of a patch is linear in its C, from
        `low_noise_weight` without noise to 1 in the middle of the range: in strong noise there
        is most to learn.

        Sigma: the pinball loss of the logarithms, smallest where 68.27 % of the absolute errors
        are smaller. It asks for the definition itself and for no distribution of the errors, and
        for pixels that are nearly exact as for others.
        """
        noisy, clean, c_noise = batch
        denoised, sigma = (answer.float() for answer in self.network(noisy))
        away = (denoised.detach() - clean).abs()
        self._losses.append(away.mean())
        self.log("train_l1", self._losses[-1], prog_bar=True, logger=False)
        beta = self.options.quadratic_below
        error = functional.smooth_l1_loss(denoised, clean, beta=beta, reduction="none")
        square = 2 * beta * error.mean(dim=(1, 2, 3))
        missing = torch.log((away + _EXACT) / (sigma + _EXACT))
        doubt = torch.maximum(ONE_SIGMA * missing, (ONE_SIGMA - 1) * missing)
        enough = (_ENOUGH * c_noise) ** 2 + _EXACT**2
        low = self.options.low_noise_weight
        weight = low + (1 - low) * c_noise / self.c_noise_middle
        return (weight * torch.log(square + enough)).mean() + doubt.mean()

    def on_train_batch_end(self, *_: Any) -> None:
        """Let the averaged weights follow."""
        self.average.update_parameters(self.network)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Mean absolute error of the averaged weights on a validation frame."""
        noisy, clean = batch
        self.log(
            "val_l1",
            (self.average(noisy)[0].float() - clean).abs().mean(),
            prog_bar=True,
            logger=False,
            sync_dist=True,
        )

    def record(self) -> None:
        """Add one row to the history, the same in each of several processes."""
        losses = self.trainer.strategy.reduce(torch.stack(self._losses), reduce_op="mean")
        self.history.append(
            {
                "step": self.global_step,
                "learning_rate": self._schedule.get_last_lr()[0],
                "train_l1": float(losses.mean()),
                "val_l1": float(self.trainer.callback_metrics["val_l1"]),
                "precision": _NAMES[self.trainer.precision],
            }
        )
        self._losses.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the history into the checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history from the checkpoint."""
        self.history = checkpoint["history"]

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """Let no step count for many, here since Lightning clips for no fused optimiser.

        A single gradient of a thousand times the usual length makes Adam lose what 600 steps have
        learned; clipped at 10, a network can still cease to learn while the learning rate is
        highest.
        """
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST_GRADIENT)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam with a one-cycle learning rate."""
        rate = self.options.learning_rate
        optimizer = torch.optim.Adam(self.network.parameters(), lr=rate, fused=True)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=rate, total_steps=self.options.steps, pct_start=0.2
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self._schedule, "interval": "step"},
        }


class Keep(lightning.Callback):
    """Write checkpoint and metrics after every epoch, whole or not at all.

    Parameters
    ----------
    module
        What is trained.
    work
        Folder to write to.
    """

    def __init__(self, module: DenoisingModule, work: Path):
        self.module, self.work = module, work

    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        """Record the epoch, then save."""
        self.module.record()
        if not trainer.is_global_zero:
            # several processes take part, the first one writes
            trainer.save_checkpoint("")
            return
        with atomic(self.work / "last.ckpt") as path:
            trainer.save_checkpoint(path)
        write_table(self.work / "metrics.csv", self.module.history)
