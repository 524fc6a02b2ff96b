"""Compose the scenes that networks are trained on (rule compose_scenes)."""

from ase.io import read
from temdenoise.foundation.files import write_json
from temdenoise.foundation.jobs import job
from temdenoise.groundtruth.relaxation import Defect
from temdenoise.groundtruth.scenes import Ingredients, SceneOptions, compose_scenes, margin_of
from temdenoise.groundtruth.structures import stored_structure

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    relaxed = {path: [Defect.from_atoms(a) for a in read(path, ":")] for path in given.relaxed}
    options = {key: value for key, value in params.options.items() if key != "count"}
    options["size"] *= params.sampling
    options["margin"] = margin_of(params.sampling)
    crystals = [
        Ingredients.of(read(path), about, relaxed, number=number)
        for number, (path, about) in enumerate(zip(given.pristine, params.crystals, strict=True))
    ]
    scenes = compose_scenes(crystals, params.families, SceneOptions(**options), seed=params.seed)
    stored = [stored_structure(scene) for scene in scenes]
    write_json(snakemake.output.scenes, {"margin_angstrom": options["margin"], "scenes": stored})
    atoms = sum(len(scene["positions"]) for scene in stored)
    say(f"{len(stored)} scenes of {options['size']:.1f} Å, {atoms} atoms")
