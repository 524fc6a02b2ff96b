"""Evaluate every method on one noise (rule evaluate)."""

from temdenoise.foundation.files import read_json, read_table, write_table
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.mosaics import defects_by_structure, sites_in_images
from temdenoise.images.datasets import read_split
from temdenoise.images.storage import write_images
from temdenoise.judging.detector import detectors_from_dict
from temdenoise.judging.evaluation import COLUMNS, Conditions, evaluate_noise, pictures
from temdenoise.learning.inference import load

with job(snakemake) as say:
    given, params, noise = snakemake.input, snakemake.params, snakemake.wildcards.noise
    validation, test = (read_split(given, split) for split in ("val", "test"))
    joints, defects = read_json(given.joints), defects_by_structure(read_table(given.structures))
    sites = sites_in_images(joints, defects, size=test.clean.shape[1], sampling=test.sampling[0])
    detectors = detectors_from_dict(read_json(given.detector))
    crystals = list(zip(params.crystals, detectors, strict=True))
    models = [load(path) for path in given.models]
    conditions = Conditions(noise, params.c_noise_train, params.patch, params.seed)
    result = evaluate_noise(
        validation, test, models, crystals=crystals, sites=sites, conditions=conditions
    )
    for name, rows in result.tables.items():
        write_table(snakemake.output[name], rows, columns=COLUMNS.get(name))
    for name, stack, about in pictures(test, models, result.worst, noise=noise):
        write_images(snakemake.output[name], stack, sampling=test.sampling, unit="1", **about)
    say(result.summary())
