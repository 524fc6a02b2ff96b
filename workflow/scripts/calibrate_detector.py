"""Fix the detector of pores or atoms and of defects on clean images (rule calibrate_detector)."""

import json
from dataclasses import asdict

from temdenoise.files import read_json, read_table, write_json
from temdenoise.groundtruth.mosaics import sites_in_images
from temdenoise.images.datasets import read_dataset
from temdenoise.jobs import job
from temdenoise.judging.detector import calibrate

with job(snakemake) as say:
    given = snakemake.input
    data = read_dataset(clean=given.clean, noisy=given.noisy, manifest=given.manifest)
    defects = {row["structure"]: json.loads(row["defects"]) for row in read_table(given.structures)}
    joints = read_json(given.joints)
    sites = sites_in_images(joints, defects, size=data.clean.shape[1], sampling=data.sampling[0])
    detector = calibrate(
        data.clean, sites, sampling=data.sampling[0], feature=snakemake.params.feature
    )
    write_json(snakemake.output.detector, asdict(detector))
    kinds = ", ".join(f"{kind} of {element}" for kind, element in detector.visible) or "none"
    apart = detector.spacing * detector.sampling
    say(f"{detector.feature} {apart:.2f} Å apart; defects that show: {kinds}")
