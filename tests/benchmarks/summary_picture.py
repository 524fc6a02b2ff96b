"""Draw the picture of a summary page in the documents: docs/summary.png.

Of a frame of the reference test set, computed by DFT, so that no measured image is part of the
project: noise is added, it is written as a calibrated TIFF and denoised by `temdenoise denoise`.

    python tests/benchmarks/summary_picture.py [--crystal graphene_6x4] [--c-noise 0.25]
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np
import tifffile
from PIL import Image
from temdenoise.cli import main as temdenoise
from temdenoise.foundation.seeding import generator
from temdenoise.images.noise import corrupt
from temdenoise.judging.reference import FOLDER, SAMPLING, read_reference, reference_image


def main() -> None:
    """Make the frame, denoise it, and keep the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--crystal", default="graphene_6x4")
    parser.add_argument("--noise", default="gaussian")
    parser.add_argument("--c-noise", type=float, default=0.25)
    parser.add_argument("--png", type=Path, default=ROOT / "docs/summary.png")
    options = parser.parse_args()
    image = reference_image(read_reference(FOLDER / f"{options.crystal}.tif"), "test", seed=1)
    rng = generator(1, "picture")
    noisy = corrupt(image.clean, noise=options.noise, c_noise=options.c_noise, rng=rng)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        tifffile.imwrite(
            place / "scan.tif",
            noisy.T.astype(np.float32),
            imagej=True,
            resolution=[10 / SAMPLING] * 2,
            metadata={"unit": "nm"},
        )
        code = temdenoise(["denoise", str(place / "scan.tif"), "--kind", "density"])
        picture = Image.open(place / "scan_summary.png").convert("RGB")
        picture.thumbnail((1340, 1340), Image.Resampling.LANCZOS)
        picture.save(options.png, optimize=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
