"""One structure as density, ADF and HRTEM, at three strengths of noise, denoised: a picture.

Graphene with a vacancy and a silicon atom. Needs abTEM (`make imaging`) and the universal
models of a density run, of config/adf.yaml and of config/hrtem.yaml.

    python tests/benchmarks/three_images.py --density MODEL --adf MODEL --hrtem MODEL [--png FILE]
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import matplotlib.pyplot as plt
import numpy as np
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.microscopes import PRESETS
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.density import project_density
from temdenoise.groundtruth.dft import DftSettings, run_dft
from temdenoise.groundtruth.disorder import Supercell
from temdenoise.groundtruth.microscope import form_image
from temdenoise.groundtruth.mosaics import cut
from temdenoise.images.datasets import intensity_scale
from temdenoise.images.noise import NoiseOptions, c_noise_of_dose, corrupt
from temdenoise.learning.inference import load
from temdenoise.report.style import DOUBLE_COLUMN, journal, show_image

SAMPLING = {"density": 0.2, "adf": 0.12, "hrtem": 0.15}
LEVELS = {"density": (0.1, 0.3, 0.6), "adf": (3e5, 1e5, 3e4), "hrtem": (1e4, 2e3, 500)}
TITLES = {"density": "Density (DFT)", "adf": "ADF-STEM, 60 kV", "hrtem": "HRTEM, 80 kV"}
SHOWN = 18.0  # Å


def structure():
    """Graphene with one vacancy and one silicon atom, 96 atoms."""
    pristine = crystal("graphene", repeat=(6, 4), vacuum=4.0)
    cell = Supercell(pristine, fade_width=2.5, defect_margin=3.0)
    middle = pristine.cell.lengths()[:2] / 2

    def nearest(x, y):
        return int(np.hypot(*(pristine.positions[:, :2] - middle - (x, y)).T).argmin())

    cell.remove(nearest(-3.0, -2.0))
    cell.replace(nearest(3.0, 2.0), "Si")
    cell.displace(generator(1, "three images"), 0.05)
    return cell.finished()


def clean_images(atoms):
    """Map or image of the supercell, and its pixel size [Å], by kind."""
    found = run_dft(atoms, DftSettings(**checked({})["dft"]), txt=os.devnull)
    density = project_density(np.moveaxis(found.n_R, 2, 0), found.spacing[2])
    images = {"density": (density, tuple(found.spacing[:2]))}
    for kind, preset in (("adf", "adf_60kv_medium"), ("hrtem", "hrtem_80kv")):
        images[kind] = form_image(atoms, PRESETS[preset] | {"sampling": 0.06})
    return images


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for kind in SAMPLING:
        parser.add_argument(f"--{kind}", type=Path, required=True)
    parser.add_argument("--png", type=Path, default=ROOT / "docs/three_images.png")
    arguments = parser.parse_args()
    models = {kind: load(getattr(arguments, kind)) for kind in SAMPLING}
    atoms = structure()
    with journal():
        figure, axes = plt.subplots(3, 7, figsize=(DOUBLE_COLUMN, 3.5), layout="constrained")
        for line, (kind, (image, steps)) in zip(axes, clean_images(atoms).items(), strict=True):
            step = SAMPLING[kind]
            scale = intensity_scale([image], white=0.99 if kind == "adf" else 1.0)
            sides = [n * s for n, s in zip(image.shape, steps, strict=True)]
            # two periods, from the middle of a supercell, so that the defects lie in the middle
            size = int(2 * min(sides) / step)
            origin = tuple(side / 2 - size * step / 2 for side in sides)
            clean = scale.normalise(
                cut(image, mosaic_sampling=steps, origin=origin, size=size, sampling=step)
            )
            half = int(SHOWN / step / 2)
            window = (slice(size // 2 - half, size // 2 + half),) * 2
            panels = [(TITLES[kind], clean)]
            for number, level in enumerate(LEVELS[kind]):
                c, noise, label = level, "gaussian", f"C = {level:g}"
                if kind != "density":
                    c = c_noise_of_dose(level, sampling=step, intensity_range=scale.range)
                    noise, label = "dose", f"{level:.0e} e/Å²".replace("e+0", "e")
                noisy = corrupt(
                    clean,
                    noise=noise,
                    c_noise=c,
                    rng=generator(1, "three images", kind, number),
                    options=NoiseOptions(pedestal=scale.pedestal),
                )
                panels += [(label, noisy), ("denoised", models[kind].denoise(noisy)[0])]
                print(f"{kind} {label}: C = {c:.2f}, noise over contrast {c / clean.std():.1f}")
            for axis, (title, shown) in zip(line, panels, strict=True):
                part = shown[window]
                limits = np.quantile(part, (0.005, 0.995))
                show_image(
                    axis,
                    part,
                    sampling=(step, step),
                    bar=axis is line[0],
                    vmin=limits[0],
                    vmax=limits[1],
                )
                axis.set_title(title)
        figure.savefig(arguments.png, dpi=200)


if __name__ == "__main__":
    main()
