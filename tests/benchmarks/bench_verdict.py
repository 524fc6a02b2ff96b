"""Tell how often the verdict is right, on simulated frames whose truth is known.

python tests/benchmarks/bench_verdict.py [--frames 240] [--lies 60] [--scenes 50] [--jobs 2]
Writes docs/results/verdict.csv (a row for each frame) and verdict.json. Frames: bright atoms of
crystals that the shipped model knows and of some that it does not, and densities of the reference
test set; noise of 0.3 to 10 times the contrast, white, of counts or coloured; some with a pixel
size that is wrong by 10 to 40 %, drift or a blank part. Lies are the truth with its vacancies
filled, with atoms that are not there, or with another lattice, weighed as `temdenoise judge`
does. Scenes are frames of one place that differ in noise alone, five of each.
"""

import argparse
import multiprocessing
import os
import shlex
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from temdenoise import benchmarking
from temdenoise.api import Options, denoise
from temdenoise.foundation.files import write_json, write_table
from temdenoise.foundation.seeding import generator
from temdenoise.foundation.source import PACKAGE
from temdenoise.judging.reference import SAMPLING, read_reference, reference_image
from temdenoise.micrographs.sites import KINDS, OUTCOMES
from temdenoise.second_opinion import judge_result

SEED = 26
SIDE = 256
WIDTH = 0.45
"""Of an atom under the probe: standard deviation [Å]."""

NEAR = 0.7
"""Distance within which an atom is at a site [Å]."""

EXPOSURES = 5
HONEYCOMB = ((0, 0), (1 / 3, 1 / 3))
CRYSTALS = {  # lattice constants [Å], angle [degrees], places, heights, whether `adf` knows it
    "mos2": ((3.16, 3.16), 60, HONEYCOMB, (1.0, 0.38), True),
    "graphene": ((2.46, 2.46), 60, HONEYCOMB, (1.0, 1.0), True),
    "hbn": ((2.50, 2.50), 60, HONEYCOMB, (1.0, 0.7), True),
    "srtio3_001": ((3.905, 3.905), 90, ((0, 0), (0.5, 0.5)), (1.0, 0.55), True),
    "hexagonal": ((3.6, 3.6), 60, ((0, 0),), (1.0,), False),
    "rectangular": ((3.4, 4.5), 90, ((0, 0),), (1.0,), False),
}
WIDTHS = {"graphene": 0.32, "hbn": 0.32}
DENSITIES = {"graphene": "graphene_6x4", "hbn": "hbn_6x3"}
FOLDER = PACKAGE / "reference"


@dataclass(frozen=True)
class Scene:
    """What a frame shows: its truth (standard deviation 1), atoms and vacancies [pixels]."""

    crystal: str
    mode: str
    known: bool
    sampling: float
    clean: np.ndarray
    atoms: np.ndarray
    vacancies: np.ndarray
    filled: np.ndarray


def atoms_at(places: np.ndarray, heights: np.ndarray, sampling: float, width: float) -> np.ndarray:
    axis = sampling * np.arange(SIDE)
    bumps = [np.exp(-((axis - places[:, i, None]) ** 2) / (2 * width**2)) for i in (0, 1)]
    return (heights[:, None] * bumps[0]).T @ bumps[1]


def atomic_scene(name: str, rng: np.random.Generator, *, missing: float = 0.02) -> Scene:
    """Bright atoms on a lattice, a part of the fainter ones missing."""
    (a, b), angle, basis, strengths, known = CRYSTALS[name]
    sampling, width = float(rng.uniform(0.11, 0.2)), WIDTHS.get(name, WIDTH)
    turn, between = rng.uniform(0, np.pi), np.deg2rad(angle)
    vectors = np.array(
        [
            [a * np.cos(turn), a * np.sin(turn)],
            [b * np.cos(turn + between), b * np.sin(turn + between)],
        ]
    )
    number = int(3 * SIDE * sampling / min(a, b))
    cells = np.mgrid[-number:number, -number:number].reshape(2, -1).T
    places = np.concatenate([(cells + place) @ vectors for place in basis])
    heights = np.repeat(strengths, len(cells))
    inside = ((places > -2) & (places < SIDE * sampling + 2)).all(axis=1)
    places, heights = places[inside], heights[inside]
    faint = heights == min(strengths)
    gone = faint & (rng.random(len(places)) < missing)
    moved = places + rng.normal(0, 0.04, places.shape)
    clean = atoms_at(moved[~gone], heights[~gone], sampling, width)
    filled = atoms_at(moved, heights, sampling, width)
    scale = clean.std()
    return Scene(
        name,
        "adf",
        known,
        sampling,
        clean / scale,
        moved[~gone] / sampling,
        places[gone] / sampling,
        filled / scale,
    )


def density_scene(name: str, rng: np.random.Generator) -> Scene:
    """A part of an image of the reference test set."""
    image = reference_image(
        read_reference(FOLDER / f"{DENSITIES[name]}.tif"), "test", seed=int(rng.integers(1 << 30))
    )
    corner = [int(rng.integers(0, n - SIDE + 1)) for n in image.clean.shape]
    part = tuple(slice(c, c + SIDE) for c in corner)
    clean = image.clean[part]
    holes = [(s["x"], s["y"]) for s in image.sites if s["kind"] == "vacancy"]
    return Scene(
        name,
        "density",
        name == "graphene",
        SAMPLING,
        (clean - clean.mean()) / clean.std(),
        image.atoms - corner,
        np.array(holes).reshape(-1, 2) - corner,
        clean,
    )


def noisy(scene: Scene, level: float, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Record a scene with a noise of so many times its contrast."""
    if kind == "counts":
        # mean 4 + x has a variance of 4 + x at a gain of 1
        dose = 4 / level**2
        return rng.poisson(dose * np.maximum(4 + scene.clean, 0)).astype(np.float32)
    noise = rng.standard_normal(scene.clean.shape)
    if kind == "coloured":
        blurred = gaussian_filter(rng.standard_normal(noise.shape), (0, 0.8))
        noise = np.sqrt(0.7) * noise + np.sqrt(0.3) * blurred / blurred.std()
    return (100 + 10 * (scene.clean + level * noise)).astype(np.float32)


def true_sites(scene: Scene, positions: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Which sites show what is there; of what lies beside the lattice whether an atom is."""
    distance = cKDTree(scene.atoms).query(positions)[0] * scene.sampling
    there = distance < NEAR
    return np.where(shown == KINDS.index("empty"), ~there, there)


def frame_of(number: int) -> dict:
    """Denoise one frame, and compare its verdict with the truth."""
    rng = generator(SEED, "frame", number)
    density = number % 4 == 3
    if density:
        scene = density_scene(["graphene", "hbn"][number // 4 % 2], rng)
    else:
        scene = atomic_scene(list(CRYSTALS)[number // 4 % len(CRYSTALS)], rng)
    level = float(np.exp(rng.uniform(np.log(0.3), np.log(10))))
    kind = ["white", "white", "counts", "coloured"][int(rng.integers(4))]
    fault = ["none", "none", "none", "pixels", "drift", "blank"][int(rng.integers(6))]
    recorded = noisy(scene, level, kind, rng)
    stated, clean, truth = scene.sampling, scene.clean, scene
    if fault == "pixels":
        stated *= float(rng.choice([rng.uniform(0.6, 0.9), rng.uniform(1.1, 1.4)]))
    if fault == "drift":
        rows, columns = np.indices(recorded.shape).astype(float)
        bend = 0.02 * rows
        recorded, clean = (
            map_coordinates(image, [rows, columns + bend], order=1, mode="nearest")
            for image in (recorded, scene.clean)
        )
        moved = scene.atoms - [[0, 1]] * (0.02 * scene.atoms[:, :1])
        truth = replace(scene, atoms=moved)
    if fault == "blank":
        recorded[: SIDE // 4] = 0
    named = scene.crystal if rng.random() < 0.5 and scene.known else None
    found = denoise(
        recorded, sampling=stated, crystal=named, device="cpu", options=Options(mode="auto")
    )
    judged = found.result.worst
    window = judged.frame.centre
    kept = np.zeros(recorded.shape, bool)
    kept[window] = True
    error = _error(found.image, clean, kept)
    best = min(
        _error(gaussian_filter(recorded.astype(float), sigma), clean, kept)
        for sigma in np.geomspace(0.7, 12, 16)
    )
    row = {
        "group": "frame",
        "crystal": scene.crystal,
        "mode": scene.mode,
        "known": scene.known,
        "noise": kind,
        "noise_over_contrast": round(level, 3),
        "fault": fault,
        "named": named or "",
        "model": found.model,
        "level": found.verdict.level,
        "headline": found.verdict.headline,
        "error_over_gaussian": round(error / best, 4),
        "sites": 0,
        "shown_true": 0,
        "supported": 0,
        "supported_true": 0,
        "contradicted": 0,
        "contradicted_true": 0,
    }
    if judged.sites is not None:
        sites = judged.sites
        start = [part.start for part in window]
        right = true_sites(truth, sites.positions + start, sites.shown)
        row |= {"sites": len(right), "shown_true": int(right.sum())}
        for outcome in ("supported", "contradicted"):
            own = sites.outcome == OUTCOMES.index(outcome)
            row |= {outcome: int(own.sum()), f"{outcome}_true": int(right[own].sum())}
    return row


def _error(image: np.ndarray, clean: np.ndarray, kept: np.ndarray) -> float:
    """Squared error after one gain and one offset, over the variance of the truth."""
    x, y = image[kept] - image[kept].mean(), clean[kept] - clean[kept].mean()
    gain = (x * y).sum() / max((x * x).sum(), 1e-30)
    return float(((gain * x - y) ** 2).mean() / (y * y).mean())


def lie_of(number: int) -> dict:
    """Judge a result that lies."""
    rng = generator(SEED, "lie", number)
    scene = atomic_scene(list(CRYSTALS)[number // 3 % len(CRYSTALS)], rng, missing=0.06)
    level = float(rng.choice([0.5, 1.0, 2.0]))
    frame = noisy(scene, level, "white", rng)
    what = ("filled", "invented", "lattice")[number % 3]
    lie = {"filled": scene.filled, "invented": scene.clean.copy(), "lattice": scene.clean}[what]
    if what == "invented":
        tree = cKDTree(scene.atoms)
        places = rng.uniform(20, SIDE - 20, (4000, 2))
        places = places[np.argsort(-tree.query(places)[0])][:6] * scene.sampling
        lie += scene.filled.max() * atoms_at(
            places, np.ones(len(places)), scene.sampling, WIDTHS.get(scene.crystal, WIDTH)
        )
    if what == "lattice":
        other = atomic_scene(scene.crystal, generator(SEED, "other", number))
        lie = 0.5 * scene.clean + 0.5 * other.clean
    judged = judge_result(frame, 100 + 10 * lie, sampling=scene.sampling)
    return {
        "group": "lie",
        "crystal": scene.crystal,
        "mode": "adf",
        "known": scene.known,
        "noise": "white",
        "noise_over_contrast": level,
        "fault": what,
        "level": judged.verdict.level,
        "headline": judged.verdict.headline,
        "vacancies": len(scene.vacancies),
    }


def exposures_of(number: int) -> dict:
    """Denoise five frames of one place."""
    rng = generator(SEED, "scene", number)
    scene = atomic_scene(list(CRYSTALS)[number % len(CRYSTALS)], rng)
    level = float(np.exp(rng.uniform(np.log(0.5), np.log(4))))
    levels = [
        denoise(noisy(scene, level, "white", rng), sampling=scene.sampling, device="cpu")
        for _ in range(EXPOSURES)
    ]
    verdicts = [found.verdict.level for found in levels]
    return {
        "group": "scene",
        "crystal": scene.crystal,
        "mode": "adf",
        "known": scene.known,
        "noise": "white",
        "noise_over_contrast": round(level, 3),
        "fault": "none",
        "level": "both" if {"good", "no"} <= set(verdicts) else verdicts[0],
        "headline": " ".join(verdicts),
    }


def _quietly() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def main() -> None:
    """Judge everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--lies", type=int, default=60)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/results")
    options = parser.parse_args()
    start = time.perf_counter()
    rows = []
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawned, initializer=_quietly) as pool:
        for judge, count in (
            (frame_of, options.frames),
            (lie_of, options.lies),
            (exposures_of, options.scenes),
        ):
            for row in pool.map(judge, range(count), chunksize=4):
                rows.append(row)
                print(row["group"], len(rows), row["level"], row["headline"], flush=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    rows = [{key: row.get(key, "") for key in columns} for row in rows]
    write_table(options.output / "verdict.csv", rows)
    made = benchmarking.about(time.perf_counter() - start, options.jobs)
    made["command"] = shlex.join(["python", "tests/benchmarks/bench_verdict.py", *sys.argv[1:]])
    write_json(options.output / "verdict.json", made | {"seed": SEED})


if __name__ == "__main__":
    main()
