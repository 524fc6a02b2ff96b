"""Evaluate every method on one noise (rule evaluate)."""

import json

import numpy as np
from temdenoise.files import read_json, read_table, write_table
from temdenoise.groundtruth.mosaics import sites_in_images
from temdenoise.images.datasets import read_dataset
from temdenoise.jobs import job
from temdenoise.judging.crystals import KEYS, by_crystal, pooled
from temdenoise.judging.detector import Detector
from temdenoise.judging.evaluation import judge, tuned, worst_frames
from temdenoise.learning.inference import load
from temdenoise.storage import write_images

with job(snakemake) as say:
    noise, given, params = snakemake.wildcards.noise, snakemake.input, snakemake.params
    models = [load(path) for path in given.models]
    validation, test = (
        read_dataset(**{kind: given[f"{split}_{kind}"] for kind in ("clean", "noisy", "manifest")})
        for split in ("val", "test")
    )
    detector = read_json(given.detector)
    others = detector.pop("others", [])
    detectors = [Detector(**each) for each in (detector, *others)]
    defects = {row["structure"]: json.loads(row["defects"]) for row in read_table(given.structures)}
    sites = sites_in_images(
        read_json(given.joints), defects, size=test.clean.shape[1], sampling=test.sampling[0]
    )
    settings = tuned(validation)
    n_crystals = len(params.crystals)
    tables = [
        judge(
            test.of_crystal(number, n_crystals),
            models,
            noise=noise,
            c_noise_train=params.c_noise_train,
            settings=settings,
            detector=detectors[number],
            sites=sites[number::n_crystals],
            patch=params.patch,
            seed=params.seed,
        )
        for number in range(n_crystals)
    ]
    per_crystal = list(zip(*tables, strict=True))
    quality, fidelity = map(pooled, per_crystal[:2])
    frames = [
        row | {"image": row["image"] * n_crystals + number}
        for number, rows in enumerate(per_crystal[2])
        for row in rows
    ]
    if n_crystals > 1:
        write_table(snakemake.output.crystals, by_crystal(params.crystals, *per_crystal[:2]))
    about = {"sampling": test.sampling, "unit": "1"}
    shown = {m.about["method"]: m for m in models if m.about["trained_on"] in ("all", noise)}
    first = [frame for frame in test.frames if frame.image == 0]
    for method, model in shown.items():
        write_images(
            snakemake.output[method],
            np.stack([np.stack(model.denoise(test.noisy[frame.index])) for frame in first]),
            quantity="denoised, sigma",
            c_noise=[frame.c_noise for frame in first],
            **about,
        )
    worst = worst_frames(frames)
    stacks = []
    for chosen in worst:
        frame = next(f for f in test.at(chosen["c_noise"]) if f.image == chosen["image"])
        noisy, clean = np.asarray(test.noisy[frame.index]), np.asarray(test.clean[frame.image])
        stacks.append(np.stack([noisy, *shown[chosen["method"]].denoise(noisy), clean]))
    write_images(
        snakemake.output.worst,
        np.stack(stacks),
        quantity="noisy, denoised, sigma, clean",
        frames=worst,
        **about,
    )
    write_table(
        snakemake.output.tuned,
        [
            {"method": name, "noise": noise, "c_noise": c, "parameter": parameter, "sigma": sigma}
            for c, chosen in settings.items()
            for name, (parameter, sigma) in chosen.items()
            if parameter is not None
        ],
    )
    write_table(
        snakemake.output.defects,
        [
            {"crystal": name, **row}
            for name, rows in zip(params.crystals, per_crystal[3], strict=True)
            for row in rows
        ],
        columns=("crystal", *KEYS, "kind", "element", "n_defects", "found", "recall"),
    )
    write_table(snakemake.output.quality, quality)
    write_table(snakemake.output.fidelity, fidelity)
    own = {
        row["c_noise"]: row["ms_ssim"]
        for row in quality
        if row["trained_on"] == noise and row["method"] == "cnn"
    }
    least, most = min(own), max(own)
    best = max((row for row in quality if row["c_noise"] == most), key=lambda row: row["ms_ssim"])
    say(
        f"MS-SSIM of the specialist {own[least]:.4f} at C = {least:g}, {own[most]:.4f} at "
        f"C = {most:g}; best there: {best['method'].replace('_', ' ')}, {best['ms_ssim']:.4f}"
    )
