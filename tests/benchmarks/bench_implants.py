"""Tell what denoisers keep of atoms planted into a micrograph: docs/results/implants.csv.

    python tests/benchmarks/bench_implants.py FRAME --sampling 0.1246 --kind adf
        [--only METHOD ...] [--command NAME="denoiser {input} {output}"] [--count N] [-o FOLDER]

Methods: `ours`, `local_bragg`, `bm3d` (where it is installed: its licence forbids commercial use),
and the programs. The local Bragg filter's window and threshold are those of the classical methods'
(judging/classical.py) that predict the frame's own held-out part best; it and BM3D are given the
level of noise that is measured. Lines of a frame and method that are there already are replaced,
so that methods may be run one by one. The picture of each is written beside the tables with
`--pictures`.
"""

import argparse
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from temdenoise.foundation.files import read_json, read_table, write_json, write_table
from temdenoise.foundation.provenance import commit, environment
from temdenoise.foundation.quantities import PixelSize
from temdenoise.implanting import by_program, implant
from temdenoise.judging.classical import BASELINES, Setting
from temdenoise.judging.programs import named_program
from temdenoise.micrographs.evidence import best_of
from temdenoise.micrographs.fission import STRENGTH
from temdenoise.micrographs.frame import Frame, analyse
from temdenoise.micrographs.implants import Planting
from temdenoise.micrographs.readers import read

CLASSICAL = ("local_bragg", "bm3d")
Denoise = Callable[[np.ndarray], np.ndarray]


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("frame", type=Path)
    parser.add_argument("--sampling", type=float, help="pixel size [Å] (default: the file's)")
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--only", nargs="*", default=["ours", *CLASSICAL], metavar="METHOD")
    parser.add_argument("--command", action="append", default=[], dest="programs")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/results")
    return parser.parse_args()


def classical(name: str, frame: Frame) -> tuple[Denoise, str]:
    """Make a classical method for a frame, set by the frame itself where that is quick."""
    method, sigma = BASELINES[name], float(np.sqrt(frame.noise_model.variance))

    def with_setting(setting: Setting, level: float) -> Denoise:
        return lambda image: method.apply(image.astype(np.float64), sigma=level, **setting)

    chosen = 0
    if not method.slow:
        # the part that is denoised has more noise
        level = sigma * np.sqrt(1 + STRENGTH**2)
        tried = [with_setting(setting, level) for setting in method.settings]
        chosen = best_of(tried, frame.image[frame.centre], frame.noise_model)
    setting = method.settings[chosen]
    return with_setting(setting, sigma), " ".join(f"{k}={v:g}" for k, v in setting.items())


def main() -> None:
    options = parsed()
    micrograph = read(options.frame)[0]
    image = np.asarray(micrograph.frames[0])
    sampling = PixelSize.of(options.sampling) if options.sampling else micrograph.sampling
    if sampling is None:
        sys.exit(f"{options.frame}: does not say its pixel size; give it with --sampling")
    frame = analyse(image, sampling=sampling)
    methods: dict[str, tuple[Denoise | None, str]] = {}
    for name in options.only:
        if name == "ours":
            methods[name] = None, ""
        elif BASELINES[name].available:
            methods[name] = classical(name, frame)
        else:
            print(f"{name}: left out, not installed")
    for program in map(named_program, options.programs):
        methods[program.name] = by_program(program), ""
    for name, (denoise, setting) in methods.items():
        start = time.perf_counter()
        found = implant(
            image,
            sampling=sampling,
            denoise=denoise,
            name=name,
            mode=options.kind,
            planting=Planting(count=options.count, seed=options.seed),
        )
        print(f"{name} {setting}", *found.lines(), sep="\n  ", flush=True)
        about = {"frame": options.frame.name, "method": name, "setting": setting}
        rows = [
            about | group.numbers() | {"runs": runs}
            for runs in (len(found.comparison.runs),)
            for group in found.comparison.groups
        ]
        seconds = round(time.perf_counter() - start)
        write(rows, options.output, seconds=seconds, seed=options.seed)
        if options.pictures:
            found.save(options.pictures, f"{options.frame.stem}_{name}")


def write(rows: list[dict], folder: Path, *, seconds: int, seed: int) -> None:
    """Put the lines of one frame and method into the table, and how they came about beside it."""
    table, numbers = folder / "implants.csv", folder / "implants.json"
    own = (rows[0]["frame"], rows[0]["method"])
    kept = read_table(table) if table.exists() else []
    kept = [row for row in kept if (row["frame"], row["method"]) != own]
    about = read_json(numbers) if numbers.exists() else {}
    machine = environment()
    about[" ".join(own)] = {
        # where files lie on one machine is nobody's concern
        "command": re.sub(
            r"(?<![\w.])/(?:[\w.-]+/)*",
            "",
            shlex.join(["python", "tests/benchmarks/bench_implants.py", *sys.argv[1:]]),
        ),
        "commit": commit(ROOT),
        "seed": seed,
        "seconds": seconds,
        "processor": machine["processor"],
    }
    write_table(table, [*kept, *rows])
    write_json(numbers, about)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
