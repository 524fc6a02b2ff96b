"""Draw the scenes with the learned density and normalise them (rule draw_scenes)."""

import torch
from temdenoise.foundation.files import read_json
from temdenoise.foundation.jobs import job
from temdenoise.images.atoms import AtomArrays
from temdenoise.images.datasets import DataSetPlan, intensity_scales, write_scenes
from temdenoise.images.storage import StoredImages
from temdenoise.learning.density import DensityModel
from temdenoise.learning.scenes import Scenes

with job(snakemake) as say:
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    torch.set_num_threads(snakemake.threads)
    stored = read_json(given.scenes)
    scenes = Scenes(
        DensityModel.load(given.model),
        [AtomArrays.stored(scene) for scene in stored["scenes"]],
        size=params.size,
        margin=stored["margin_angstrom"],
    )
    maps = StoredImages(given.training_maps)
    plan = DataSetPlan("", "train", params.seed, (), params.background_correlation, params.clip)
    scales = intensity_scales(maps, params.n_crystals, white=params.white)
    write_scenes(scenes, scales, plan, clean=output.clean, manifest=output.manifest)
    say(f"{len(scenes)} scenes of {params.size} px; {scenes.remark()}")
