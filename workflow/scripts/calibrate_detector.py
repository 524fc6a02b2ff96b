"""Fix the detector of pores or atoms and of defects on clean images (rule calibrate_detector)."""

from temdenoise.foundation.files import read_json, read_table, write_json
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.mosaics import defects_by_structure, sites_in_images
from temdenoise.images.datasets import read_dataset
from temdenoise.judging.detector import calibrate_each, detectors_to_dict

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    data = read_dataset(clean=given.clean, noisy=given.noisy, manifest=given.manifest)
    joints, defects = read_json(given.joints), defects_by_structure(read_table(given.structures))
    size, sampling = data.clean.shape[1], data.sampling[0]
    sites = sites_in_images(joints, defects, size=size, sampling=sampling)
    detectors = calibrate_each(
        data.clean, sites, params.n_crystals, sampling=sampling, feature=params.feature
    )
    write_json(snakemake.output.detector, detectors_to_dict(detectors))
    for found in detectors:
        kinds = ", ".join(f"{kind} of {element}" for kind, element in found.visible) or "none"
        apart = found.spacing * found.sampling
        say(f"{found.feature} {apart:.2f} Å apart; defects that show: {kinds}")
