"""Draw the picture of a summary page in the documents: docs/summary.png.

From a simulated frame of a finished run of config/adf.yaml, so that no measured image is
part of the project: written as a calibrated TIFF and denoised by `temdenoise denoise`.

    python tests/benchmarks/summary_picture.py RUN [--element Mo] [--noise dose] [--c-noise 0.5]
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import tifffile
from PIL import Image
from temdenoise.cli import main as temdenoise
from temdenoise.foundation.files import read_json, read_table
from temdenoise.images.datasets import read_dataset


def main() -> None:
    """Choose the frame, denoise it, and keep the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--element", default="Mo", help="which the crystal holds")
    parser.add_argument("--noise", default="dose")
    parser.add_argument("--c-noise", type=float, default=0.5)
    parser.add_argument("--model", default="adf")
    parser.add_argument("--png", type=Path, default=ROOT / "docs/summary.png")
    options = parser.parse_args()
    results = options.run / "results"
    folder = results / "datasets" / options.noise / "test"
    files = {"clean": "clean.tif", "noisy": "noisy.tif", "manifest": "manifest.json"}
    data = read_dataset(**{kind: str(folder / name) for kind, name in files.items()})
    rows = read_table(results / "structures/structures.csv")
    formulas = {row["structure"]: row["formula"] for row in rows}
    joined = read_json(results / "mosaics/test/joints.json")
    first = [joined["structures"][image["layout"][0][0]] for image in joined["images"]]
    frame = next(
        frame
        for frame in data.frames
        if frame.c_noise == options.c_noise and options.element in formulas[first[frame.image]]
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        per_nm = [10 / step for step in data.sampling]
        tifffile.imwrite(
            place / "scan.tif",
            data.noisy[frame.index],
            imagej=True,
            resolution=per_nm[::-1],
            metadata={"unit": "nm"},
        )
        code = temdenoise(["denoise", str(place / "scan.tif"), "--model", options.model])
        picture = Image.open(place / "scan_summary.png").convert("RGB")
        picture.thumbnail((1340, 1340), Image.Resampling.LANCZOS)
        picture.save(options.png, optimize=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
