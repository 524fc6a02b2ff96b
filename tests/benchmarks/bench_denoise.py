"""Time denoising and training, all side by side in one run: `make bench-denoise`.

Prints and writes as CSV, for the configuration's network with random weights:

- megapixels per second by size of the image, in tiles as users get it, and by
  bare forward passes over the image at once;
- memory above the image itself for the largest size;
- BM3D, where it is installed, on 512 x 512 pixels;
- time of a training step against its bare forward and backward pass;
- on a GPU, if there is one, forward passes and training steps in 32 bit and in bfloat16
  against the CPU.

    python tests/benchmarks/bench_denoise.py [--sizes 512 1024 2048 4096 8192] [--csv file.csv]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np
import torch
import yaml
from temdenoise.foundation.configuration import checked, models_of
from temdenoise.foundation.files import write_table
from temdenoise.foundation.quantities import NoiseRange
from temdenoise.images.datasets import DataSet, frames
from temdenoise.images.noise import NoiseOptions
from temdenoise.judging.classical import BASELINES
from temdenoise.learning import training
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.devices import Resources
from temdenoise.learning.inference import Model
from temdenoise.learning.networks import UNet
from temdenoise.learning.options import TrainingOptions

BARE_UP_TO = 4096
"""Larger images in one piece would need tens of gigabytes."""

MODEL = models_of(checked(yaml.safe_load((ROOT / "config/config.yaml").read_text())))["gaussian"]


def denoiser() -> Model:
    """Return the configuration's network, untrained."""
    torch.manual_seed(0)
    options = {key: MODEL["options"][key] for key in ("width", "levels")}
    return Model(UNet(**options).eval(), ModelDescription(NoiseRange(*MODEL["c_noise"])))


def seconds(act, repeats: int = 3) -> float:
    """Least time of several runs, after one to warm up."""
    act()
    return min(once(act) for _ in range(repeats))


def once(act) -> float:
    """Time of one run."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def speed(size: int) -> dict:
    """Denoise one image in tiles and at once."""
    model = denoiser()
    image = np.random.default_rng(0).random((size, size), dtype=np.float32)
    repeats = 3 if size <= 2048 else 1
    tiled = seconds(lambda: model.denoise(image), repeats)
    row = {"what": f"denoise {size} x {size}", "seconds": round(tiled, 3)}
    row["megapixels_per_second"] = round(size**2 / tiled / 1e6, 2)
    if size <= BARE_UP_TO:
        bare = seconds(lambda: model.at_once(image), repeats)
        row["over_bare"] = round(tiled / bare, 3)
    return row


def memory(size: int) -> dict:
    """Peak memory above the image and what the libraries take, in a process of its own."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:4]; import numpy as np, bench_denoise as b;"
        "model = b.denoiser(); model.denoise(np.zeros((64, 64), np.float32));"
        "n = int(sys.argv[1]); image = np.zeros((n, n), np.float32) + 0.5;"
        "start = b.peak(); model.denoise(image); print(b.peak() - start)"
    )
    folders = [str(Path(__file__).parent), str(ROOT / "workflow/scripts")]
    done = subprocess.run(
        [sys.executable, "-c", code, str(size), *folders],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "what": f"memory above a {size} x {size} image",
        "gigabytes": round(float(done.stdout), 2),
    }


def peak() -> float:
    """Peak memory of this process [GB]."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had when it made this process
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def bm3d() -> dict:
    """BM3D against the network on one image."""
    image = np.random.default_rng(0).random((512, 512))
    act = BASELINES["bm3d"].apply
    other = seconds(lambda: act(image, sigma=0.2), 1)
    model = denoiser()
    ours = seconds(lambda: model.denoise(image))
    return {
        "what": "BM3D over network, 512 x 512",
        "seconds": round(other, 3),
        "ratio": round(other / ours, 1),
    }


def training_step(steps: int = 200, gpus: int = 0, precision: str = "float32") -> dict:
    """A step of the training as it is, against the bare passes of as many batches.

    Least times of three, in turns: a machine's speed changes within a minute.
    """
    torch.set_num_threads(1)
    clean = np.random.default_rng(0).random((4, 256, 256), dtype=np.float32)
    listed = frames(4, [0.1])
    images = {"gaussian": DataSet(clean, clean, listed)}
    # something small to validate on, once
    one = {"gaussian": DataSet(clean[:1, :64, :64], clean[:1, :64, :64], frames(1, [0.1]))}
    changed = {"steps": steps, "checkpoint_every": steps, "precision": precision}
    plan = MODEL | {"options": MODEL["options"] | changed}
    options = TrainingOptions.of(plan, NoiseOptions())
    device, side = "cuda" if gpus else "cpu", options.patches.patch
    network = UNet(**options.network.sizes).to(device)
    batch = torch.rand(options.patches.batch, 1, side, side, device=device)

    def passes():
        for _ in range(steps):
            network.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                denoised, sigma = network(batch)
            (denoised.float().abs().mean() + sigma.float().mean()).backward()
        if gpus:
            torch.cuda.synchronize()

    def train():
        # on a GPU the other threads draw the batches
        resources = Resources(threads=4 if gpus else 1, gpus=gpus)
        with tempfile.TemporaryDirectory() as work:
            training.train(images, one, options, resources=resources, work=Path(work))

    passes()
    bare, whole = map(min, zip(*[(once(passes), once(train)) for _ in range(3)], strict=True))
    return {
        "what": f"training step on {'a GPU' if gpus else 'one core'}, {precision}",
        "seconds": round(whole / steps, 4),
        "over_bare": round(whole / bare, 3),
    }


def gpu(step: dict, size: int = 2048) -> Iterator[dict]:
    """Forward passes and training steps on a GPU against the CPU, in 32 bit and in bfloat16.

    `step` is the training step on the CPU.
    """
    image = torch.rand(1, 1, size, size)
    network = denoiser().network
    torch.set_num_threads(os.cpu_count())
    with torch.inference_mode():
        slow, expected = seconds(lambda: network(image)), network(image)[0]
        there, given = deepcopy(network).to("cuda"), image.to("cuda")
        for precision in ("float32", "bfloat16"):

            def act(precision=precision):
                with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
                    answer = there(given)[0].float()
                torch.cuda.synchronize()
                return answer

            fast = seconds(act)
            yield {
                "what": f"forward pass {size} x {size}, {precision}: {os.cpu_count()} cores "
                f"over {torch.cuda.get_device_name()}",
                "seconds": round(fast, 5),
                "megapixels_per_second": round(size**2 / fast / 1e6, 1),
                "ratio": round(slow / fast, 1),
                "deviation": f"{float((act().cpu() - expected).abs().max()):.1e}",
            }
    for precision in ("float32", "bfloat16"):
        row = training_step(600, 1, precision)
        yield row | {"ratio": round(step["seconds"] / row["seconds"], 1)}


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--csv", default="bench_denoise.csv")
    arguments = parser.parse_args()
    columns = ("what", "seconds", "megapixels_per_second", "over_bare", "ratio", "gigabytes")
    columns += ("deviation",)
    jobs = [lambda n=n: speed(n) for n in arguments.sizes]
    jobs.append(lambda: memory(arguments.sizes[-1]))
    if BASELINES["bm3d"].available:
        jobs.append(bm3d)
    rows = []
    # the last one is what a GPU is compared with
    jobs += [lambda p=p: training_step(precision=p) for p in ("bfloat16", "float32")]
    if torch.cuda.is_available():
        jobs.append(lambda: gpu(rows[-1]))
    for job in jobs:
        found = job()
        for row in [found] if isinstance(found, dict) else found:
            rows.append(dict.fromkeys(columns, "") | row)
            print(" ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    write_table(arguments.csv, rows)


if __name__ == "__main__":
    main()
