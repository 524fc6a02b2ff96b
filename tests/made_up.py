"""A run of made-up numbers, for the tests of what is shown."""

import json
from dataclasses import fields

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from temdenoise.foundation.configuration import checked, models_of
from temdenoise.images.datasets import DataSet
from temdenoise.images.noise import PAPER_NOISES as NOISES
from temdenoise.images.noise import corrupt
from temdenoise.images.storage import Images
from temdenoise.report import pictures
from temdenoise.report.catalogue import figure_names
from temdenoise.report.examples import Examples
from temdenoise.report.methods import NETWORK_METHODS
from temdenoise.report.run import (
    CURVES,
    Evaluation,
    GroundTruth,
    LearnedDensity,
    Pictures,
    Record,
    Run,
    Training,
)

C_NOISE = (0.1, 0.2, 0.3)
LOST = {"raw": 0.5, "constant": 0.9, "gaussian_blur": 0.3, "median": 0.35}
SITE = {"kind": "vacancy", "element": "C", "x": 2.0, "y": 3.0}

PROVENANCE = {
    "temdenoise": {"version": "0.1.0", "code": "c0de"},
    "repository": None,
    "configuration_sha256": 64 * "c",
    "rules": {
        "run_dft": {
            "files": 3,
            "python": ["3.11.2", "3.12.1"],
            "packages": {"ase": ["3.29.0"], "gpaw": ["26.7.0", "26.8.0"]},
            "machines": [{"host": "node", "processor": "EPYC", "system": "Linux"}],
        }
    },
    "files": {
        "evaluation/quality.csv": 64 * "a",
        "dft/*/density.tif": {"n": 3, "sha256": 64 * "b"},
    },
}


def quality():
    rows = []
    for place, noise in enumerate(NOISES):
        for c in C_NOISE:
            lost = {(method, ""): value * c for method, value in LOST.items()}
            lost |= {("cnn", t): (0.15 if t == noise else 0.4) * c for t in NOISES}
            lost |= {("universal", "all"): 0.16 * c, ("paper_like", noise): 0.25 * c}
            rows += [
                {
                    "method": method,
                    "trained_on": trained_on,
                    "noise": noise,
                    "c_noise": c,
                    "region": "interpolation" if c < 0.25 else "extrapolation",
                    "ms_ssim": 1 - value - 0.001 * place * value,
                    "psnr_db": 20.0,
                    "n_images": 2,
                }
                for (method, trained_on), value in lost.items()
            ]
    return rows


def fidelity():
    networks = set(NETWORK_METHODS)
    return [
        {k: row[k] for k in ("method", "trained_on", "noise", "c_noise", "region")}
        | dict.fromkeys(CURVES, 0.125)
        | {"seam_ratio": ""}
        | {"coverage_68": 0.5 + row["c_noise"] if row["method"] in networks else ""}
        for row in quality()
        if row["trained_on"] in ("", "all", row["noise"])
    ]


def images(lattice, c_noise=C_NOISE):
    """Test split, noisy and denoised images as the figures take them, and the C they show."""
    rng = np.random.default_rng(1)
    data = DataSet(lattice[None], lattice[None], [], (0.2, 0.2))
    return Examples(
        data=dict.fromkeys(NOISES, data),
        noisy={
            noise: {c: corrupt(lattice, noise=noise, c_noise=c, rng=rng) for c in C_NOISE}
            for noise in NOISES
        },
        denoised={
            method: {noise: dict.fromkeys(C_NOISE, lattice) for noise in NOISES}
            for method in NETWORK_METHODS
        },
        c_noise=c_noise,
    )


def worst(lattice):
    """One frame of every noise, denoised wrongly in one place."""
    denoised = lattice.copy()
    denoised[100:120, 60:80] += 0.5
    stack = np.stack([lattice, denoised, np.full_like(lattice, 0.1), lattice])[None]
    frame = {"method": "cnn", "c_noise": 0.25, "region": "interpolation", "image": 3}
    about = {"frames": [frame | {"ms_ssim": 0.5}]}
    return {noise: Images(stack, (0.2, 0.2), "1", "", about) for noise in NOISES}


def structure(steps=3):
    history = [
        {"step": i, "energy_ev": -500.0 - i, "density_change_e": 10.0**-i if i else None}
        for i in range(steps)
    ]
    return {
        "formula": "C60",
        "n_atoms": 60,
        "energy_ev": -520.0,
        "fermi_level_ev": -4.0,
        "valence_electrons": 240.0,
        "electrons_in_density": 240.0,
        "scf_steps": steps,
        "attempts": [{"history": history}],
    }


def marked(lattice):
    """A denoised micrograph of which the left half is dark, and one place without any certainty."""
    x, y = lattice.shape
    areas = np.zeros_like(lattice)
    areas[: x // 2] = 1
    areas[-20:, :20] += 2
    keys = ("mark", "row", "column", "confidence", "evidence", "area")
    places = [
        dict(zip(keys, values, strict=True))
        for values in (
            ("certain", 10.0, 30.0, 0.99, 12.0, None),
            ("suspected", 20.0, 150.0, 0.6, 1.5, None),
            ("low brightness", y / 2, x / 4, None, None, 18432),
            ("nothing certain", 9.5, 181.5, None, None, 400),
        )
    ]
    sigma = np.full_like(lattice, 0.1)
    sigma[-20:, :20] = 0.5
    about = {
        "file": "my scan.dm4",
        "frame": 1,
        "feature": "pores",
        "headline": "With care: the noise is not white.",
        "areas": {"1": "low brightness", "2": "nothing certain"},
        "places": places,
    }
    stack = np.stack([lattice + 0.1, lattice, sigma, areas])
    return Images(stack, (0.2, 0.2), "as recorded", "", about)


def learned_density(lattice):
    """A density learned from eight structures, judged on six; one of them has a vacancy."""
    row = {"site": "bulk", "pixels": 1000, "superposition": 0.12, "unlike": 0.0}
    rows = [row | {"rms_over_std": 0.01 + 0.001 * n} for n in range(6)]
    rows.append(row | {"site": "vacancy", "pixels": 100, "rms_over_std": 0.03, "unlike": 0.125})
    place = {"structure": "test-0001", "x": 3.0, "y": 4.5}
    stack = np.stack([lattice, lattice + 0.1, np.full_like(lattice, 0.1)])[:, :40, :40]
    return LearnedDensity(
        structures=[f"train-000{i}" for i in range(8)],
        accuracy=rows,
        unlike=[0.0, 0.01],
        worst=pictures.worst_density(
            Images(stack, (0.2, 0.2), "e/angstrom^2", "", {"place": place})
        ),
        scene=pictures.first_scene(Images(lattice[None], (0.2, 0.2), "1", "", {})),
    )


def run(folder, lattice, **changes):
    """The run, with a picture of each figure in the folder."""
    config = checked({"report": {"c_noise": [0.2, 0.3]}})
    names = [f"train-000{i}" for i in range(3)]
    info = {"defects": json.dumps([SITE]), "family": "vacancies"}
    atoms = Atoms("CC", [(1, 1, 0), (3, 3, 0)], cell=[6, 6, 6], info=info)
    density = Images(lattice[:60, :60], (0.1, 0.1), "e/angstrom^2", "", {"electrons": 240.0})
    figures = {}
    for name in figure_names(["my scan"]):
        path = folder / f"figure_{name}.png"
        Figure(figsize=(3, 1)).savefig(path)
        figures[name] = pictures.embedded(path)
    models = models_of(config)
    benchmark = {"s": 60.0, "max_rss": 500.0, "cpu_time": 72.0}
    options = {
        "quality": quality(),
        "fidelity": fidelity(),
        "defects": (),
        "calculations": {name: structure(5 + i) for i, name in enumerate(names)},
        "cards": pictures.structure_cards(
            dict.fromkeys(names, atoms), dict.fromkeys(names, density), fade_width=1.0
        ),
        "joints": {
            "train": {
                "structures": names,
                "worst_joint_ratio": 0.7,
                "images": [{"layout": [[0, 1], [2, 0]]}],
            }
        },
        "histories": {
            model: [
                {"step": step, "train_l1": 1 / step, "val_l1": 1.25 / step} for step in (10, 20, 30)
            ]
            for model in models
        },
        "models": models,
        "enlarged": pictures.enlarged(images(lattice, (0.2,))),
        "worst": pictures.worst_cases(worst(lattice)),
        "figures": figures,
        "benchmarks": {"run_dft": [benchmark, benchmark], "build_crystal": [{"s": 1.0}]},
        "provenance": PROVENANCE,
        "density": learned_density(lattice),
        "micrographs": pictures.micrograph_cards(
            {"my scan": marked(lattice)},
            {
                "my scan": {
                    "model": "model.pt",
                    "frames": [{"frame": 1, "verdict": {"headline": "With care: not white."}}],
                }
            },
        ),
    }
    options |= changes

    def part(kind):
        return kind(**{field.name: options[field.name] for field in fields(kind)})

    return Run(
        config=config,
        ground_truth=part(GroundTruth),
        training=part(Training),
        evaluation=part(Evaluation),
        pictures=part(Pictures),
        record=part(Record),
        density=options["density"],
    )
