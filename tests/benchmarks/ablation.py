"""Change one choice of network or training at a time and measure: `make ablation`.

Needs the data sets of `make run` in results/. Each variant trains the specialist of one noise,
or the universal network, with the configuration's options but fewer steps, and is judged as
`evaluate` does, but on the validation split: options are chosen by these figures, so the test
split plays no part. Prints one row per variant and noise and writes them as CSV: time of
training, (1 - MS-SSIM) inside and outside the trained range, and fidelity.

    python tests/benchmarks/ablation.py [--results results] [--model gaussian] [--steps 1000]
                                        [--only width_16 ...] [--csv ablation.csv]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

os.environ["OMP_NUM_THREADS"] = "1"  # as in the workflow's trainings

import numpy as np
import pytorch_msssim
import torch
import yaml
from temdenoise.foundation.configuration import checked, models_of
from temdenoise.foundation.files import read_json, read_table, write_table
from temdenoise.foundation.quantities import NoiseRange
from temdenoise.groundtruth.mosaics import sites_in_images
from temdenoise.images.datasets import read_dataset
from temdenoise.images.noise import NoiseOptions
from temdenoise.judging.detector import Detector
from temdenoise.judging.evaluation import Conditions, evaluate
from temdenoise.learning import networks, training
from temdenoise.learning.batches import Batches
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.devices import Resources
from temdenoise.learning.inference import Model
from temdenoise.learning.options import TrainingOptions
from torch import nn
from torch.nn import functional


class Noise(networks.UNet):
    """Predicts the noise, which is subtracted."""

    def answer(self, blocks, features):
        _, sigma = super().answer(blocks, features)
        return blocks - self.correction(features), sigma


class Direct(networks.UNet):
    """Predicts the image alone: neither a blur to start from nor a share of the noisy pixel."""

    def answer(self, blocks, features):
        _, sigma = super().answer(blocks, features)
        return self.correction(features), sigma


class NothingKept(networks.UNet):
    """The blurred image and a correction, but no share of the noisy pixel."""

    def answer(self, blocks, features):
        _, sigma = super().answer(blocks, features)
        return self.blur(blocks) + self.correction(features), sigma


class BiasFree(networks.UNet):
    """No biases, so that the answer scales with the input (S. Mohan et al., 2020)."""

    def __init__(self, **options):
        super().__init__(**options)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith(("doubt", "kept")):
                module.bias = None


class Mirrored(networks.UNet):
    """Every convolution sees the image mirrored at its edge, not zeros."""

    def __init__(self, **options):
        super().__init__(**options)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.padding_mode = "reflect"
                module._reversed_padding_repeated_twice = [1, 1, 1, 1]


class Appended(networks.UNet):
    """The level below is appended to the short cut, as in the first U-Net, not added."""

    def __init__(self, **options):
        super().__init__(**options)
        self.merge = nn.ModuleList(
            nn.Conv2d(2 * narrow.out_channels, narrow.out_channels, 1) for narrow in self.narrow
        )
        self.to(memory_format=torch.channels_last)

    def features(self, blocks):
        features, skips = self.stem(blocks), []
        for level, block in enumerate(self.down):
            features = block(functional.avg_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        for narrow, merge, block in zip(self.narrow, self.merge, self.up, strict=True):
            below = functional.interpolate(narrow(features), scale_factor=2, mode="nearest")
            features = block(merge(torch.cat([below, skips.pop()], dim=1)))
        return features


def loss(name):
    """A training step with another loss of the image, all patches counting alike; no sigma."""

    def step(self, batch, _):
        noisy, clean, c_noise = batch
        denoised, _ = self.network(noisy)
        away = (denoised - clean).abs()
        self._losses.append(away.detach().mean())
        smooth = functional.smooth_l1_loss(denoised, clean, beta=0.05, reduction="none")
        l1, l2, huber = (error.mean(dim=(1, 2, 3)) for error in (away, away**2, smooth))
        enough = 0.045 * c_noise  # as our own
        if name == "l1":
            return torch.log(l1 + enough).mean()
        if name == "l2":
            return torch.log(l2 + enough**2).mean()
        if name == "by_c":
            return (huber / (c_noise + 0.05)).mean()
        if name == "unweighted":
            return huber.mean()
        # three scales and small windows fit into a patch of 64 pixels
        kept = pytorch_msssim.ms_ssim(
            denoised,
            clean,
            data_range=1,
            size_average=False,
            win_size=3,
            win_sigma=0.75,
            weights=[0.3, 0.4, 0.3],
        )
        return torch.log(l1 + 0.1 * (1 - kept) + enough).mean()

    return step


def swap(network):
    """Train another network in the place of the UNet."""
    return lambda: mock.patch.object(networks, "NETWORKS", {"unet": network})


def relearn(name):
    """Train with another loss."""
    return lambda: mock.patch.object(training.DenoisingModule, "training_step", loss(name))


def any_noise_on_nothing():
    """Train with noise of every strength on patches without structure, too."""
    corrupt = Batches._corrupt
    return mock.patch.object(Batches, "_corrupt", lambda *given, strong=False: corrupt(*given))


VARIANTS = {
    "as_configured": ({}, None),
    "other_seed": ({"seed": 1}, None),
    "width_16": ({"width": 16}, None),
    "width_24": ({"width": 24}, None),
    "width_48": ({"width": 48}, None),
    "levels_2": ({"levels": 2}, None),
    "levels_4": ({"levels": 4}, None),
    "noise": ({}, swap(Noise)),
    "direct": ({}, swap(Direct)),
    "nothing_kept": ({}, swap(NothingKept)),
    "bias_free": ({}, swap(BiasFree)),
    "mirrored_padding": ({}, swap(Mirrored)),
    "appended_skips": ({}, swap(Appended)),
    "loss_l1": ({}, relearn("l1")),
    "loss_l2": ({}, relearn("l2")),
    "loss_by_c": ({}, relearn("by_c")),
    "loss_unweighted": ({}, relearn("unweighted")),
    "loss_l1_ms_ssim": ({}, relearn("l1_ms_ssim")),
    "learning_rate_1e-3": ({"learning_rate": 1e-3}, None),
    "learning_rate_1e-2": ({"learning_rate": 1e-2}, None),
    "no_average": ({"average": 0.0}, None),
    "patch_96_batch_7": ({"patch": 96, "batch": 7}, None),
    "patch_128_batch_4": ({"patch": 128, "batch": 4}, None),
    "stored_noise": ({"noise_source": "stored"}, None),
    "float32": ({"precision": "float32"}, None),
    "noises_alike": ({"odds": {}}, None),
    "c_square_root": ({"c_spacing": "square_root"}, None),
    "weak_0": ({"weak": 0.0}, None),
    "weak_1": ({"weak": 1.0}, None),
    "not_turned": ({"turned": False}, None),
    "no_featureless": ({"featureless": 0.0}, None),
    "any_noise_on_nothing": ({}, any_noise_on_nothing),
    "featureless_0.3": ({"featureless": 0.3}, None),
}
"""Changed options, and what is replaced in the code."""


def main() -> None:
    """Train and judge every variant asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--model", default="gaussian", help="a noise, or universal")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--csv", default="ablation.csv")
    arguments = parser.parse_args()

    config = checked(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    models = {n: m for n, m in models_of(config).items() if m["method"] != "paper_like"}
    if arguments.model not in models:
        parser.error(f"--model {arguments.model}: expected one of {', '.join(models)}")
    model = models[arguments.model]
    train_set, val_set = (
        {noise: data(arguments.results, noise, split) for noise in model["noises"]}
        for split in ("train", "val")
    )
    rows = read_table(arguments.results / "structures/structures.csv")
    images = val_set[model["noises"][0]]
    sites = sites_in_images(
        read_json(arguments.results / "mosaics/val/joints.json"),
        {row["structure"]: json.loads(row["defects"]) for row in rows},
        size=images.clean.shape[1],
        sampling=images.sampling[0],
    )
    detector = Detector(**read_json(arguments.results / "evaluation/detector.json"))
    table = []
    noise = NoiseOptions(config["datasets"]["background_correlation"])
    for name in arguments.only:
        changed, replaced = VARIANTS[name]
        options = model["options"] | {"steps": arguments.steps} | changed
        plan = model | {"seed": options.pop("seed", model["seed"]), "options": options}
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as work, (replaced or mock.MagicMock)():
            network, _ = training.train(
                train_set,
                val_set,
                TrainingOptions.of(plan, noise),
                resources=Resources(threads=1),
                work=Path(work),
            )
        about = ModelDescription(NoiseRange(*model["c_noise"]), method=model["method"])
        seconds = time.perf_counter() - start
        for trained_on, validation in val_set.items():
            quality, fidelity, *_ = evaluate(
                validation,
                [Model(network, replace(about, trained_on=trained_on))],
                settings={c: {} for c in validation.c_noise},
                detector=detector,
                sites=sites,
                conditions=Conditions(trained_on, model["c_noise"], patch=64, seed=config["seed"]),
            )
            row = {"variant": name, "noise": trained_on, "seconds": round(seconds)}
            table.append(row | summary(quality, fidelity))
            print(" ".join(f"{key} {value}" for key, value in table[-1].items()), flush=True)
        write_table(arguments.csv, table)


def data(results, noise, split):
    """One split of the data set of one noise."""
    folder = results / "datasets" / noise / split
    names = {"clean": "clean.tif", "noisy": "noisy.tif", "manifest": "manifest.json"}
    return read_dataset(**{kind: str(folder / name) for kind, name in names.items()})


def summary(quality, fidelity):
    """What of the tables goes into a row."""
    lost = {row["c_noise"]: 1 - row["ms_ssim"] for row in quality}
    at = {row["c_noise"]: row for row in fidelity}
    row = {f"lost_{c:.2f}": round(lost[c], 5) for c in (0.05, 0.1, 0.2, 0.25, 0.3, 0.5)}
    row["pore_rmse_pm_0.25"] = round(at[0.25]["pore_centre_rmse_pm"], 2)
    row["roundness_bias_0.25"] = round(at[0.25]["roundness_bias"], 4)
    row["defect_f1_0.25"] = round(float(at[0.25]["defect_f1"] or np.nan), 3)
    row["defect_f1_0.50"] = round(float(at[0.5]["defect_f1"] or np.nan), 3)
    row["invented_per_nm2"] = round(sum(r["invented_per_nm2"] for r in fidelity), 4)
    return row


if __name__ == "__main__":
    main()
