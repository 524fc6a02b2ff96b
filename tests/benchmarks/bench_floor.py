"""Tell how much any denoiser must lose on the images of the benchmark: docs/results/floor.csv.

python tests/benchmarks/bench_floor.py [--reference NAME ...] [--noise NAME ...] [--c-noise C ...]
                                       [--draws N] [-o FOLDER]
Atoms of every structure of the reference test set are displaced anew from their lattice sites,
and images of them made by superposition (see `temdenoise.judging.floor`). On these the posterior
mean is judged as the benchmark judges denoisers, and the network `density` beside it.
Some 20 minutes on one core; the options name a part.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from ase import Atoms

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from temdenoise.benchmarking import C_NOISE, SEED
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.files import write_json, write_table
from temdenoise.foundation.provenance import commit, environment
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.disorder import fade
from temdenoise.images.datasets import IntensityScale, intensity_scale
from temdenoise.images.noise import corrupt
from temdenoise.judging.benchmark import FIGURES, Figure, Judged, paired_table
from temdenoise.judging.floor import (
    EXACT,
    LIKELIHOODS,
    FormFactors,
    Posterior,
    Sites,
    Superposition,
    density,
    estimate,
    fit_form_factors,
    frames_by_structure,
)
from temdenoise.judging.metrics import ms_ssim_maps, sums_by_label
from temdenoise.judging.reference import (
    FOLDER,
    ReferenceImage,
    ReferenceMaps,
    read_reference,
    reference_files,
    reference_image,
)
from temdenoise.judging.statistics import ratio
from temdenoise.learning.inference import Model, load
from temdenoise.micrographs import index

CHAINS = 4
EXPLAINED = 3.0  # standard deviations along an axis
NETWORK = ("pretrained_density", "all")
POSITIONS = ("squared_displacement", "coordinates")
SHOWN = (
    *(figure for figure in FIGURES if figure.name in ("ms_ssim", "rms_error")),
    Figure("atom_position_rmse_pm", POSITIONS, lambda sums: 100 * np.sqrt(ratio(sums))),
)


@dataclass(frozen=True)
class World:
    """Images as the estimator knows them to be made, of one crystal and size of cell."""

    reference: ReferenceMaps
    sites: list[Sites]
    positions: list[np.ndarray]
    factors: FormFactors
    image: ReferenceImage
    contrast: float
    residual: float

    def maps(self, coefficients: list[np.ndarray]) -> np.ndarray:
        """Densities of all structures on the grid of the stored maps."""
        nx, ny = self.reference.maps.shape[1:]
        dx, dy = self.reference.sampling
        cell = Superposition(self.sites[0].symbols, self.sites[0].sides, self.factors)
        waves = cell.waves(np.arange(nx) * dx, np.arange(ny) * dy)
        return np.stack([density(own, waves) for own in coefficients])

    def joined(self, coefficients: list[np.ndarray]) -> ReferenceImage:
        """The image that the benchmark makes of such maps."""
        maps = replace(self.reference, maps=self.maps(coefficients))
        return reference_image(maps, "test", seed=SEED, scale=self.image.scale)


def sites_of(reference: ReferenceMaps) -> Iterator[Sites]:
    """What is known of the structures: lattice sites, and the law the test set was made with.

    An atom that lies further from every site than its disorder explains has its stored place
    for its mean, as those of a rotated bond.
    """
    settings = checked(yaml.safe_load((ROOT / "config/test_set.yaml").read_text()))["structures"]
    every = (settings, *settings["others"])
    own = next(s for s in every if Path(s["crystal"]).stem == reference.crystal)
    law = own.get("displacement") or settings["displacement"]
    repeat = tuple(int(n) for n in reference.name.rsplit("_", 1)[1].split("x"))
    lattice = crystal(own["crystal"], repeat=repeat).positions[:, :2]
    nx, ny = reference.maps.shape[1:]
    sides = (nx * reference.sampling[0], ny * reference.sampling[1])
    for structure in reference.structures:
        atoms = Atoms(structure["symbols"].split(), cell=structure["cell"])
        stored = np.array(structure["positions"])[:, :2]
        offsets = stored[:, None] - lattice
        offsets -= np.round(offsets / sides) * sides
        nearest = np.hypot(*np.moveaxis(offsets, -1, 0)).argmin(axis=1)
        offset = offsets[np.arange(len(stored)), nearest]
        each = np.array([law[e] if isinstance(law, dict) else law for e in atoms.symbols])
        explained = np.hypot(*offset.T) < EXPLAINED * each
        means = stored - explained[:, None] * offset
        atoms.positions[:, :2] = means
        yield Sites(
            list(atoms.symbols), means, each * fade(atoms, width=settings["fade_width"]), sides
        )


def world_of(whole: ReferenceMaps, network: Model) -> World:
    reference, factors = whole.of_split("test"), fit_form_factors(whole)
    sites, positions = list(sites_of(reference)), []
    for known, own in zip(sites, reference.structures, strict=True):
        rng = generator(SEED, "floor", reference.name, own["name"])
        moved = known.deviations[:, None] * rng.standard_normal(known.means.shape)
        positions.append(known.means + moved)
    about = network.description
    if reference.crystal == next(iter(about.spacings)) and "offset" in about.scale:
        scale = IntensityScale(about.scale["offset"], about.scale["range"])
    else:
        scale = intensity_scale(list(whole.of_split("val").maps))
    image = reference_image(reference, "test", seed=SEED, scale=scale)
    world = World(reference, sites, positions, factors, image, 1.0, 0.0)
    stored_at = [np.array(own["positions"])[:, :2] for own in reference.structures]
    same, anew = (
        world.joined([superposed(world, n, where[n]) for n in range(len(sites))])
        for where in (stored_at, positions)
    )
    stored = image.clean
    return replace(
        world,
        image=anew,
        contrast=float(same.clean.std() / stored.std()),
        residual=float((same.clean - stored).std() / stored.std()),
    )


def superposed(world: World, number: int, positions: np.ndarray) -> np.ndarray:
    known = world.sites[number]
    return Superposition(known.symbols, known.sides, world.factors).coefficients(positions)


def judged(world: World, task: tuple[str, float], named: tuple[str, str], **sums) -> Judged:
    reference = world.reference
    return Judged(*named, reference.name, reference.crystal, *task, sums)


def image_sums(world: World, denoised: np.ndarray) -> dict[str, np.ndarray]:
    clean, labels = world.image.clean, world.image.labels
    sums, counts = sums_by_label(ms_ssim_maps(denoised=denoised, clean=clean), labels)
    kept = labels >= 0
    squared = np.bincount(labels[kept], (denoised - clean)[kept].astype(float) ** 2)
    pixels = np.bincount(labels[kept])
    return {
        "ms_ssim_sums": sums,
        "ms_ssim_counts": counts,
        "squared_error": squared[:, None],
        "pixels": pixels[:, None],
    }


def position_sums(world: World, found: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Of atoms that are displaced in full, as those away from the rim of a structure are."""
    squared, count = [], []
    for known, true, own in zip(world.sites, world.positions, found, strict=True):
        inside = known.deviations > 0.99 * known.deviations.max()
        squared.append([((own - true)[inside] ** 2).sum()])
        count.append([2 * int(inside.sum())])
    return {"squared_displacement": np.array(squared), "coordinates": np.array(count)}


def sampled(world: World, noise: str, c_noise: float, *, network: Model, draws: int):
    """Judge the posterior mean, that of each chain alone, and the network."""
    name, clean = world.reference.name, world.image.clean
    rng = generator(SEED, "frame", name, "test", noise, repr(c_noise))
    noisy = corrupt(clean, noise=noise, c_noise=c_noise, rng=rng)
    task = (noise, c_noise)
    found = []
    sides = world.sites[0].sides
    frames = frames_by_structure(world.image, noisy, sides, noise=noise, c_noise=c_noise)
    for number, frame in enumerate(frames):
        posterior = Posterior(world.sites[number], world.factors, frame, world.image.scale)
        rngs = [
            generator(SEED, "chain", name, noise, repr(c_noise), number, n) for n in range(CHAINS)
        ]
        found.append(estimate(posterior, rngs, draws=draws))
    chains = [
        ([own.coefficients[n] for own in found], [own.positions[n] for own in found])
        for n in range(CHAINS)
    ]
    mean = (
        [own.coefficients.mean(axis=0) for own in found],
        [own.positions.mean(axis=0) for own in found],
    )
    parts = [
        judged(
            world,
            task,
            ("floor", ""),
            **image_sums(world, world.joined(coefficients).clean),
            **position_sums(world, positions),
        )
        for coefficients, positions in (mean, *chains)
    ]
    denoised = network.denoise(noisy)[0]
    return parts, judged(world, task, NETWORK, **image_sums(world, denoised))


def rows_of(parts: list[list[Judged]], networks: list[Judged]) -> Iterator[dict]:
    """Rows of one crystal, noise and C, of all sizes of its cells."""
    floor = [own[0] for own in parts]
    first = floor[0]
    place = {"crystal": first.crystal, "noise": first.noise, "c_noise": first.c_noise}
    for figure in SHOWN:
        row = figure.row(floor, seed=SEED)
        each = np.array(
            [figure.row([own[1 + n] for own in parts], seed=SEED)["value"] for n in range(CHAINS)]
        )
        yield {
            "method": "floor",
            "trained_on": "",
            **place,
            **row,
            "monte_carlo_error": each.std(ddof=1) / np.sqrt(CHAINS),
            "monte_carlo_bias": (each.mean() - row["value"]) / (CHAINS - 1),
        }
    empty = {"monte_carlo_error": "", "monte_carlo_bias": ""}
    named = dict(zip(("method", "trained_on"), NETWORK, strict=True)) | place
    for figure in SHOWN[:2]:
        yield named | figure.row(networks, seed=SEED) | empty
    found = next(
        row for row in paired_table([*floor, *networks], seed=SEED) if row["crystal"] == "all"
    )
    limits = {"value": "loss_ratio", "low": "loss_ratio_low", "high": "loss_ratio_high"}
    yield (
        named
        | {"figure": "loss_over_floor"}
        | {key: found[column] for key, column in limits.items()}
        | {"n": found["n"]}
        | empty
    )


def exact_rows(crystal: str, noise: str, c_noise: float, n: int) -> Iterator[dict]:
    """Rows where the pixels that noise leaves alone tell everything."""
    for figure in SHOWN:
        best = 1.0 if figure.name == "ms_ssim" else 0.0
        yield {
            "method": "floor",
            "trained_on": "",
            "crystal": crystal,
            "noise": noise,
            "c_noise": c_noise,
            "figure": figure.name,
            "value": best,
            "low": best,
            "high": best,
            "n": n,
            "monte_carlo_error": 0.0,
            "monte_carlo_bias": 0.0,
        }


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    every = [path.stem for path in reference_files()]
    noises = [*LIKELIHOODS, *EXACT]
    parser.add_argument("--reference", nargs="+", default=every, choices=every)
    parser.add_argument("--noise", nargs="+", default=noises, choices=noises)
    parser.add_argument("--c-noise", nargs="+", type=float, default=list(C_NOISE))
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/results")
    wanted = parser.parse_args()
    start, network = time.perf_counter(), load(index.FOLDER / "density.pt")
    worlds = [
        world_of(read_reference(FOLDER / f"{name}.tif"), network) for name in wanted.reference
    ]
    rows: list[dict] = []
    for material in dict.fromkeys(world.reference.crystal for world in worlds):
        own = [world for world in worlds if world.reference.crystal == material]
        for noise in wanted.noise:
            for c_noise in wanted.c_noise:
                if noise in EXACT:
                    n = sum(len(world.sites) for world in own)
                    rows += exact_rows(material, noise, c_noise, n)
                    continue
                pairs = [
                    sampled(world, noise, c_noise, network=network, draws=wanted.draws)
                    for world in own
                ]
                rows += rows_of(*map(list, zip(*pairs, strict=True)))
                print(f"{time.perf_counter() - start:.0f} s: {rows[-6]}", flush=True)
    machine = environment()
    names = {"torch", "numpy", "scipy"}
    about = {
        "command": shlex.join(["python", "tests/benchmarks/bench_floor.py", *sys.argv[1:]]),
        "commit": commit(ROOT),
        "seed": SEED,
        "seconds": round(time.perf_counter() - start),
        "processes": 1,
        "python": machine["python"],
        "processor": machine["processor"],
        "packages": {name: v for name, v in machine["packages"].items() if name in names},
        "chains": CHAINS,
        "draws": wanted.draws,
        # of images with atoms where they are stored, over those of the stored maps
        "contrast_over_dft": {w.reference.name: round(w.contrast, 4) for w in worlds},
        "difference_over_contrast": {w.reference.name: round(w.residual, 4) for w in worlds},
    }
    wanted.output.mkdir(parents=True, exist_ok=True)
    write_table(wanted.output / "floor.csv", rows)
    write_json(wanted.output / "floor.json", about)


if __name__ == "__main__":
    main()
