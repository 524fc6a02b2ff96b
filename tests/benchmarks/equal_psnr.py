"""Two images of equal PSNR, one with a missing atom put back: the example of docs/denoising.md.

Needs the results of `make run`. Prints PSNR, MS-SSIM and defects found, and draws the images.

    python tests/benchmarks/equal_psnr.py [--results results] [--png docs/equal_psnr.png]
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import matplotlib.pyplot as plt
import numpy as np
from temdenoise.foundation.files import read_json, read_table
from temdenoise.groundtruth.mosaics import sites_in_images
from temdenoise.images.storage import read_images
from temdenoise.judging.detector import Detector
from temdenoise.judging.fidelity import compare_defects
from temdenoise.judging.metrics import ms_ssim, psnr
from temdenoise.report.style import DOUBLE_COLUMN, journal, show_image

LATTICE_STEPS = 123
"""Ten lattice constants of graphene in pixels of 0.2 Å: the crystal repeats exactly."""


def main() -> None:
    """Make the two images and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--png", default=ROOT / "docs/equal_psnr.png")
    arguments = parser.parse_args()
    images = read_images(arguments.results / "datasets/gaussian/test/clean.tif")
    clean = np.asarray(images.data[0], dtype=float)
    rows = read_table(arguments.results / "structures/structures.csv")
    sites = sites_in_images(
        read_json(arguments.results / "mosaics/test/joints.json"),
        {row["structure"]: json.loads(row["defects"]) for row in rows},
        size=len(clean),
        sampling=images.sampling[0],
    )[0]
    detector = Detector(**read_json(arguments.results / "evaluation/detector.json"))
    x, y = np.meshgrid(*map(np.arange, clean.shape), indexing="ij")
    away = [np.array([s["x"], s["y"]]) for s in sites]

    def pristine(place):
        """Whether ten cells further on there is no defect."""
        return min(np.hypot(*(place + np.array([LATTICE_STEPS, 0]) - other)) for other in away) > 30

    chosen = next(
        p for p in away if p[0] + LATTICE_STEPS < len(clean) - 40 and p.min() > 40 and pristine(p)
    )
    window = np.exp(-((x - chosen[0]) ** 2 + (y - chosen[1]) ** 2) / (2 * 7**2))
    filled = clean + window * (np.roll(clean, -LATTICE_STEPS, axis=0) - clean)
    strength = np.sqrt(np.mean((filled - clean) ** 2))
    noise = np.random.default_rng(0).standard_normal(clean.shape)
    noisy = clean + strength * noise / np.sqrt(np.mean(noise**2))
    part = tuple(slice(max(0, int(c) - 32), int(c) + 32) for c in chosen)
    with journal():
        figure, axes = plt.subplots(1, 3, figsize=(DOUBLE_COLUMN, 2.5), layout="constrained")
        for axis, (name, image) in zip(
            axes,
            [("truth", clean), ("noise everywhere", noisy), ("an atom too many", filled)],
            strict=True,
        ):
            show_image(
                axis,
                image[part],
                sampling=images.sampling,
                bar=name == "truth",
                vmin=-0.1,
                vmax=1.1,
            )
            title, counts = (
                name,
                compare_defects(detector.defects(image), sites, detector, image.shape),
            )
            if name != "truth":
                score = {
                    k: f(denoised=image, clean=clean)
                    for k, f in (("PSNR", psnr), ("MS-SSIM", ms_ssim))
                }
                title += f"\nPSNR {score['PSNR']:.1f} dB, MS-SSIM {score['MS-SSIM']:.4f}"
                print(
                    f"{name}: PSNR {score['PSNR']:.2f} dB, MS-SSIM {score['MS-SSIM']:.4f}, "
                    f"{counts['paired']} of {counts['true']} defects found"
                )
            axis.set_title(title + f"\n{counts['paired']} of {counts['true']} defects found")
        figure.savefig(arguments.png)


if __name__ == "__main__":
    main()
