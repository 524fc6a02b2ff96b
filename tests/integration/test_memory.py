"""Ten times the images take no more memory: they stay on disk until a patch is cut out."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from temdenoise.foundation.configuration import checked, models_of
from temdenoise.images.storage import write_images

pytestmark = pytest.mark.slow

FEW, MANY = 20, 200
SIDE = 256
# runs a script of the workflow as Snakemake would and says the most memory it ever held [kB];
# what a process held before it became another program does not count there
RUN = """
import json, resource, runpy, sys, warnings
from types import SimpleNamespace
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))  # fewer than there are maps
sys.path[:] = json.loads(sys.argv[1])
warnings.simplefilter("ignore")

class Named(list):
    def __init__(self, named):
        super().__init__(p for v in named.values() for p in (v if isinstance(v, list) else [v]))
        self.__dict__.update(named)
    def __getitem__(self, key):
        return self.__dict__[key] if isinstance(key, str) else super().__getitem__(key)
    def get(self, key, default=None):
        return self.__dict__.get(key, default)

given = json.loads(sys.argv[3])
parts = {key: Named(given[key]) for key in ("input", "output", "wildcards", "log")}
params = SimpleNamespace(**given["params"])
job = SimpleNamespace(**parts, params=params, config=given["config"], rule="rule")
job.threads, job.resources = 1, {}
runpy.run_path(sys.argv[2], init_globals={"snakemake": job})
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0], file=open(given["peak"], "w"))
"""


def peak(folder, script, **given):
    """Most memory of a script [MB]."""
    given = {"wildcards": {}, "config": {}, "log": {"log": str(folder / "log.txt")}} | given
    given["peak"] = str(folder / "peak.txt")
    path = [str(ROOT / "workflow/scripts"), *sys.path]
    command = [sys.executable, "-c", RUN, json.dumps(path)]
    command += [str(ROOT / f"workflow/scripts/{script}.py"), json.dumps(given)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + (folder / "log.txt").read_text()[-3000:]
    return int((folder / "peak.txt").read_text()) * 1024 / 1e6


def maps(folder, n):
    """Small maps of a wave, as many as there are images."""
    x = np.cos(np.arange(60) * 2 * np.pi / 12)
    for number in range(n):
        name = folder / f"maps/train-{number:04d}.tif"
        wave = np.add.outer(x, (1 + 0.01 * number) * x).astype(np.float32)
        write_images(name, wave, sampling=(0.2, 0.2), quantity="density", unit="e/angstrom^2")
    return [str(folder / f"maps/train-{number:04d}.tif") for number in range(n)]


def joined(folder, n):
    names = ("images", "joined", "worst", "joints")
    output = {name: str(folder / f"{name}.tif") for name in names}
    params = {"n_images": n, "size": SIDE, "sampling": 0.2, "seed": 1, "n_crystals": 1}
    return output, peak(
        folder,
        "join_maps",
        input={"maps": maps(folder, n)},
        output=output,
        params=params,
        wildcards={"split": "train"},
    )


def made(folder, mosaics, split, n):
    names = ("clean", "noisy", "manifest")
    output = {name: str(folder / f"{split}_{name}") for name in names}
    params = {"c_noise": [0.1, 0.2], "background_correlation": 0.25, "clip": False}
    return output, peak(
        folder,
        "make_dataset",
        input={
            "images": mosaics["images"],
            "joints": mosaics["joints"],
            "training_maps": maps(folder, n),
        },
        output=output,
        params=params | {"seed": 1, "white": 1.0, "n_crystals": 1},
        wildcards={"noise": "gaussian", "split": split},
    )


def trained(folder, data, source):
    config = checked({})
    model = models_of(config)["gaussian"]
    model["options"] |= {"noise_source": source, "width": 8, "levels": 2, "patch": 64}
    model["options"] |= {"batch": 16, "steps": 40, "checkpoint_every": 20}
    given = {
        f"{split}_{name}": [path] for split, files in data.items() for name, path in files.items()
    }
    return peak(
        folder,
        "train",
        input=given,
        output={
            "model": str(folder / f"{source}/model.pt"),
            "metrics": str(folder / f"{source}/metrics.csv"),
        },
        params={"model": model, "seed": 1, "recipe": 1, "crystals": ["graphene"]},
        wildcards={"model": "gaussian"},
        config={"image": {"mode": "density"}},
    )


def test_ten_times_the_images_take_no_more_memory(tmp_path):
    peaks = {}
    for n in (FEW, MANY):
        folder = tmp_path / str(n)
        folder.mkdir()
        mosaics, join = joined(folder, n)
        train, data = made(folder, mosaics, "train", n)
        if n == FEW:
            validation, _ = made(folder, mosaics, "val", n)
        splits = {"train": train, "val": validation}
        peaks[n] = {"join_maps": join, "make_dataset": data}
        for source in ("fresh", "stored"):
            peaks[n][f"train, {source} noise"] = trained(folder, splits, source)
    megabytes = (MANY - FEW) * SIDE**2 * 4 / 1e6
    print(f"\n{megabytes:.0f} MB more of clean images, {2 * megabytes:.0f} MB more of noisy ones")
    for stage, few in peaks[FEW].items():
        more = peaks[MANY][stage] - few
        print(f"{stage}: {few:.0f} MB, with ten times the images {more:+.1f} MB")
    assert max(peaks[MANY][stage] - few for stage, few in peaks[FEW].items()) < 0.3 * megabytes
