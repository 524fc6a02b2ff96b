"""Fix the detector of pores or atoms and of defects on clean images (rule calibrate_detector)."""

import json
from dataclasses import asdict

from temdenoise.files import read_json, read_table, write_json
from temdenoise.groundtruth.mosaics import sites_in_images
from temdenoise.images.datasets import evenly, read_dataset
from temdenoise.jobs import job
from temdenoise.judging.detector import calibrate

MOST = 256  # images of each crystal that are looked at, or fewer; bounds the memory

with job(snakemake) as say:
    given = snakemake.input
    data = read_dataset(clean=given.clean, noisy=given.noisy, manifest=given.manifest)
    defects = {row["structure"]: json.loads(row["defects"]) for row in read_table(given.structures)}
    joints = read_json(given.joints)
    sites = sites_in_images(joints, defects, size=data.clean.shape[1], sampling=data.sampling[0])
    n_crystals = snakemake.params.n_crystals
    chosen = [evenly(range(n, len(data.clean), n_crystals), MOST) for n in range(n_crystals)]
    detector, *others = [
        calibrate(
            [data.clean[i] for i in chosen[n]],
            [sites[i] for i in chosen[n]],
            sampling=data.sampling[0],
            feature=snakemake.params.feature,
        )
        for n in range(n_crystals)
    ]
    about = asdict(detector) | ({"others": list(map(asdict, others))} if others else {})
    write_json(snakemake.output.detector, about)
    for found in (detector, *others):
        kinds = ", ".join(f"{kind} of {element}" for kind, element in found.visible) or "none"
        apart = found.spacing * found.sampling
        say(f"{found.feature} {apart:.2f} Å apart; defects that show: {kinds}")
