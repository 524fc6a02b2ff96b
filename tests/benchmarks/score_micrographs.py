"""Score models on real micrographs: one table, each image in a process of its own.

For every image and model: the verdict, what part of the variance of data held out the mean,
the best Gaussian and the network explain (docs/micrographs.md), the noise ceiling, network over
Gaussian, seconds and peak memory of the whole command, start-up included.

    python tests/benchmarks/score_micrographs.py FOLDER --model adf --crystal 'mos2*=mos2'

Files that do not say their pixel size need `--sampling PATTERN=Å` or `--crystal PATTERN=NAME`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from temdenoise.foundation.files import write_table
from temdenoise.micrographs.formats import ENDINGS

CODE = """
import sys; sys.path[:0] = sys.argv[1:3]
from temdenoise.cli import main
from bench_denoise import peak
code = main(sys.argv[3:])
print(peak())
sys.exit(code)
"""


def images(places: list[Path]) -> list[Path]:
    """List the files given, and those in the folders given that have a known ending."""
    found = []
    for place in places:
        if place.is_dir():
            endings = {f".{ending}" for ending in ENDINGS}
            found += sorted(p for p in place.iterdir() if p.suffix.lower() in endings)
        else:
            found.append(place)
    return found


def score(image: Path, model: str, options: list[str], folder: Path) -> list[dict]:
    """Denoise an image, and read its summaries: one row for each data set of the file."""
    start = time.perf_counter()
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", CODE, str(SCRIPTS), str(Path(__file__).parent)),
            *("denoise", str(image), "--model", model, "-o", str(folder), "--quiet", *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    cost = {"seconds": round(seconds, 1), "gigabytes": ""}
    summaries = sorted(folder.glob("*_summary.json"))
    if not summaries:
        reason = done.stderr.strip().splitlines() or ["no output"]
        return [{"image": image.name, "model": model, "verdict": reason[0], **EMPTY, **cost}]
    cost["gigabytes"] = round(float(done.stdout), 2)
    rows = []
    for path in summaries:
        about = json.loads(path.read_text())
        shown = next(f for f in about["frames"] if f["frame"] == about["shown_frame"])
        found = shown["score"]
        row = {"image": image.name + (f" ({about['data_set']})" if about["data_set"] else "")}
        row |= {"model": model, "verdict": shown["verdict"]["level"], **EMPTY}
        if found is not None:
            row |= {key: found[key] for key in ("gaussian", "network", "ratio", "ceiling")}
            row["mean"] = 0.0
            row["network_minus_gaussian"] = found["difference"]
            row["standard_error"] = found["error"]
            row["says_something"] = found["valid"]
        rows.append({**row, **cost})
    return rows


EMPTY = dict.fromkeys(
    (
        *("mean", "gaussian", "network", "ratio", "ceiling"),
        *("network_minus_gaussian", "standard_error", "says_something"),
    ),
    "",
)


def markdown(rows: list[dict]) -> str:
    """Write the table as the documents show it."""
    head = ["image", "model", "verdict", "mean", "best Gaussian", "network"]
    head += ["noise ceiling", "network / Gaussian", "s", "GB"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in rows:
        explained = [
            "-" if row[key] == "" else f"{100 * row[key]:.2f} %"
            for key in ("mean", "gaussian", "network", "ceiling")
        ]
        ratio = "-" if row["ratio"] in ("", None) else f"{row['ratio']:.2f}"
        if row["says_something"] is False:
            ratio += " (correlated noise: says nothing)"
        cells = [row["image"], row["model"], row["verdict"], *explained, ratio]
        cells += [row["seconds"], row["gigabytes"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Score every image with every model, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--model", action="append", required=True, help="name or path; repeatable")
    parser.add_argument("--crystal", action="append", default=[], metavar="PATTERN=NAME")
    parser.add_argument("--sampling", action="append", default=[], metavar="PATTERN=Å")
    parser.add_argument("--csv", type=Path, help="write the table here, too")
    parser.add_argument("--keep", type=Path, help="keep the results in this folder, by model")
    options = parser.parse_args()
    rows = []
    for model in options.model:
        for image in images(options.images):
            given = []
            for key in ("crystal", "sampling"):
                for pattern, value in (each.rsplit("=", 1) for each in getattr(options, key)):
                    if fnmatch(image.name, pattern):
                        given += [f"--{key}", value]
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                if options.keep:
                    name = model.replace("/", "_").removesuffix(".pt")
                    folder = options.keep / name / image.stem
                    for old in folder.glob("*_summary.json"):
                        old.unlink()
                rows += score(image, model, given, folder)
            print(f"{rows[-1]['image']}: {rows[-1]['verdict']}", file=sys.stderr)
    print(markdown(rows))
    if options.csv:
        write_table(options.csv, rows)


if __name__ == "__main__":
    main()
