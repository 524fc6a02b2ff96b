"""Draw the picture of the README from a finished run: docs/first_look.png.

Needs the results of `make run`. The first test image around its darkest spot (a
vacancy, if there is one): noisy, by the paper-like baseline, by ours, and the truth.

    python tests/benchmarks/first_look.py [--results results] [--png docs/first_look.png]
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import matplotlib.pyplot as plt
import numpy as np
from temdenoise.images.datasets import read_dataset
from temdenoise.images.noise import NOISES
from temdenoise.images.storage import read_images
from temdenoise.judging.metrics import ms_ssim
from temdenoise.report.style import DOUBLE_COLUMN, darkest_window, journal, show_image

ROWS = (("gaussian", 0.3), ("background_gaussian", 0.25))


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--png", type=Path, default=ROOT / "docs/first_look.png")
    arguments = parser.parse_args()
    with journal():
        figure, axes = plt.subplots(
            len(ROWS), 4, figsize=(DOUBLE_COLUMN, 3.75), layout="constrained"
        )
        for line, (noise, c) in zip(axes, ROWS, strict=True):
            folder = arguments.results / "datasets" / noise / "test"
            names = {"clean": "clean.tif", "noisy": "noisy.tif", "manifest": "manifest.json"}
            data = read_dataset(**{kind: str(folder / name) for kind, name in names.items()})
            clean = np.asarray(data.clean[0])
            first = [frame for frame in data.frames if frame.image == 0]
            number = [frame.c_noise for frame in first].index(c)
            noisy = np.asarray(data.noisy[first[number].index])
            denoised = {
                method: np.asarray(
                    read_images(arguments.results / f"evaluation/{noise}/{method}.tif").data[number]
                )[0]
                for method in ("paper_like", "universal")
            }
            panels = [
                (f"{NOISES[noise].title}, C = {c:g}", noisy),
                ("paper-like CNN", denoised["paper_like"]),
                ("temdenoise, universal", denoised["universal"]),
                ("truth (DFT)", clean),
            ]
            window = darkest_window(clean, side=100)
            for axis, (title, image) in zip(line, panels, strict=True):
                score = (
                    ""
                    if image is clean
                    else f"\nMS-SSIM {ms_ssim(denoised=image, clean=clean):.3f}"
                )
                bar = axis is line[0]
                show_image(
                    axis, image[window], sampling=data.sampling, bar=bar, vmin=-0.1, vmax=1.1
                )
                axis.set_title(title + score)
        figure.savefig(arguments.png, dpi=150)


if __name__ == "__main__":
    main()
