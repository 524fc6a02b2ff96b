"""Denoise a TIFF with Noise2Void, trained on that image alone (CAREamics).

    python noise2void.py [--epochs 120] [--n2v2] INPUT OUTPUT

The papers: doi:10.1109/CVPR.2019.00223 (Noise2Void), doi:10.1007/978-3-031-25069-9_33 (N2V2).
README.md tells how the environment is made.
"""

import argparse
import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings

import numpy as np
import tifffile
import torch

OVERLAPS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
"""Arguments of the two operators whose absence keeps torchvision from being imported."""

FULL_RATE = 0.7
"""Part of the epochs trained at the full learning rate; the rest has a tenth of it."""

MULTIPLE = 8
"""Sides the network predicts are multiples of this [pixels]."""


def main() -> None:
    options = parsed()
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    image = np.squeeze(tifffile.imread(options.input)).astype(np.float32)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        denoised = trained_and_applied(image, options, folder)
    tifffile.imwrite(options.output, denoised.astype(np.float32), photometric="minisblack")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--epochs", type=int, default=120, help="times all patches are seen")
    parser.add_argument("--patch", type=int, default=64, help="side of a patch [pixels]")
    parser.add_argument("--batch", type=int, default=4, help="patches in a step")
    parser.add_argument("--masked", type=float, default=5, help="pixels hidden in a patch [%%]")
    parser.add_argument("--n2v2", action="store_true", help="network and masking of N2V2")
    parser.add_argument("--seed", type=int, default=1, help="above 0")
    parser.add_argument("--threads", type=int, default=1, help="cores to use; 0: all")
    return parser.parse_args()


def trained_and_applied(image: np.ndarray, options: argparse.Namespace, folder: str) -> np.ndarray:
    """Train a network on an image and apply it to the whole of it."""
    allow_plain_torchvision()
    from careamics import CAREamist
    from careamics.config.factories.n2v_factory import create_advanced_n2v_config

    config = create_advanced_n2v_config(
        experiment_name="noise2void",
        data_type="array",
        axes="YX",
        patch_size=(options.patch, options.patch),
        batch_size=options.batch,
        num_epochs=options.epochs,
        n_val_patches=1,
        use_n2v2=options.n2v2,
        masked_pixel_percentage=options.masked,
        # the default waits for a plateau of epochs, which are too short here to tell one
        lr_scheduler="StepLR",
        lr_scheduler_params={"step_size": max(1, round(FULL_RATE * options.epochs))},
        num_workers=0,
        seed=options.seed,
        trainer_params={"accelerator": "cpu", "enable_model_summary": False},
    )
    careamist = CAREamist(config, work_dir=folder, enable_progress_bar=False)
    careamist.train(train_data=image)
    margins = [(0, -side % MULTIPLE) for side in image.shape]
    (output,), _ = careamist.predict(np.pad(image, margins, mode="reflect"))
    return np.squeeze(output)[: image.shape[0], : image.shape[1]]


def allow_plain_torchvision() -> None:
    """Let torchvision be imported where its compiled part does not suit PyTorch.

    Its wheels of PyPI are made for PyTorch with CUDA. CAREamics imports torchvision, but
    Noise2Void uses nothing of it.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", OVERLAPS)


if __name__ == "__main__":
    main()
