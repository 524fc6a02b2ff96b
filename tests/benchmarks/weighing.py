"""What the weighing of `temdenoise denoise` does where the clean image is known.

For every noise of a run's test split and every C: the error of the denoised image over the
standard deviation of the clean one, as the network shows it and weighed by how much of that the
data support (docs/micrographs.md), and what fraction of the network's contrast is left. Frames
are denoised as micrographs are: nothing but their pixel size is given.

    python tests/benchmarks/weighing.py RUN [--model universal] [--images 6]
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np
from temdenoise.foundation.quantities import PixelSize
from temdenoise.images.datasets import read_dataset
from temdenoise.learning.inference import load
from temdenoise.measuring.background import recorded
from temdenoise.micrographs.denoising import answer, fit
from temdenoise.micrographs.frame import analyse
from temdenoise.micrographs.weighing import PLAIN, estimate_support, weighed


def errors(clean, noisy, model, sampling):
    """Error as the network shows it and weighed, over the clean deviation, and fraction left."""
    frame = analyse(noisy, sampling=sampling)
    fitted = fit(frame.level, frame.noise_model, model.description, sampling)

    def ask(image):
        return answer(model, image, fitted, sampling)

    shown = ask(frame.image)
    support = estimate_support(ask, frame.image, frame.noise_model, frame.spectrum, sampling)
    found = [weighed(shown, taken).denoised for taken in (PLAIN, support)]
    # what varies slowly is kept as recorded, with its background: it is not judged
    wanted = clean - recorded(clean, sampling)
    kept = recorded(frame.image, sampling)
    away = [np.sqrt(np.mean((image - kept - wanted) ** 2)) / wanted.std() for image in found]
    return [*away, support.fraction]


def main() -> None:
    """Denoise the frames, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--model", default="universal", help="of the run; or a path")
    parser.add_argument("--images", type=int, default=6)
    options = parser.parse_args()
    results = options.run / "results"
    path = Path(options.model)
    if path.suffix != ".pt":
        path = results / "models" / options.model / "model.pt"
    model = load(path)
    print("| noise | C | error | weighed | ratio | fraction left |\n|---|---|---|---|---|---|")
    for folder in sorted((results / "datasets").iterdir()):
        files = {"clean": "clean.tif", "noisy": "noisy.tif", "manifest": "manifest.json"}
        data = read_dataset(**{k: str(folder / "test" / name) for k, name in files.items()})
        for c_noise in data.c_noise:
            frames = [f for f in data.frames if f.c_noise == c_noise][: options.images]
            found = [
                errors(
                    np.array(data.clean[frame.image], np.float32),
                    data.noisy[frame.index],
                    model,
                    PixelSize.of(data.sampling),
                )
                for frame in frames
            ]
            plain, taken, fraction = np.mean(found, axis=0)
            print(
                f"| {folder.name} | {c_noise:g} | {plain:.3f} | {taken:.3f} | "
                f"{taken / plain:.2f} | {fraction:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
