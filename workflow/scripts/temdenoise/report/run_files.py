"""Read the results of a run for its report."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ase import Atoms
from ase.io import read

from temdenoise.foundation.files import read_benchmarks, read_json, read_table
from temdenoise.foundation.sequences import evenly_spaced
from temdenoise.images.storage import read_images
from temdenoise.report import pictures
from temdenoise.report.examples import read_examples
from temdenoise.report.run import (
    Evaluation,
    GroundTruth,
    LearnedDensity,
    Pictures,
    Record,
    Run,
    Training,
)

STRUCTURES = 40
"""Maximum number of structures that are drawn."""


def read_run(
    files: Mapping[str, Any],
    *,
    config: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
    benchmarks: str | os.PathLike[str],
) -> Run:
    """Read a run.

    Parameters
    ----------
    files
        Inputs of the rule ``report_ms_ssim`` by name: a path or a list of paths.
    config
        The checked configuration.
    models
        See `configuration.models_of`.
    benchmarks
        Folder of what Snakemake measured.
    """
    shown = read_examples(files, config["report"]["c_noise"])
    return Run(
        config=config,
        ground_truth=_ground_truth(files, fade_width=config["structures"]["fade_width"]),
        training=Training(
            models=models,
            histories={_folder(path): read_table(path) for path in files["trainings"]},
        ),
        evaluation=Evaluation(
            quality=read_table(files["quality"]),
            fidelity=read_table(files["fidelity"]),
            defects=read_table(files["defects"]),
        ),
        pictures=Pictures(
            enlarged=pictures.enlarged(shown),
            worst=pictures.worst_cases(
                {_folder(path): read_images(path) for path in files["worst"]}
            ),
            figures={
                Path(path).stem.removeprefix("figure_"): pictures.embedded(path)
                for path in files["figures"]
            },
            micrographs=pictures.micrograph_cards(
                {_micrograph(path): read_images(path) for path in files["micrographs"]},
                {_micrograph(path): read_json(path) for path in files["verdicts"]},
            ),
        ),
        record=Record(
            benchmarks=read_benchmarks(benchmarks), provenance=read_json(files["provenance"])
        ),
        density=_learned_density(files) if "density_accuracy" in files else None,
    )


def _ground_truth(files: Mapping[str, Sequence[str]], *, fade_width: float) -> GroundTruth:
    atoms, maps = (
        {Path(path).stem: path for path in evenly_spaced(files[key], STRUCTURES)}
        for key in ("atoms", "maps")
    )
    return GroundTruth(
        calculations={_folder(path): read_json(path) for path in files["summaries"]},
        cards=pictures.structure_cards(
            {name: cast(Atoms, read(path)) for name, path in atoms.items()},
            {name: read_images(path) for name, path in maps.items()},
            fade_width=fade_width,
        ),
        joints={_folder(path): read_json(path) for path in files["joints"]},
    )


def _learned_density(files: Mapping[str, str]) -> LearnedDensity:
    scenes = read_json(files["scenes_manifest"])
    return LearnedDensity(
        structures=scenes["structures"],
        accuracy=read_table(files["density_accuracy"]),
        unlike=scenes["unlike"],
        worst=pictures.worst_density(read_images(files["density_worst"])),
        scene=pictures.first_scene(read_images(files["scenes"])),
    )


def _folder(path: str) -> str:
    """Name what the files of one folder are of: a structure, split, noise or model."""
    return Path(path).parent.name


def _micrograph(path: str) -> str:
    """Name the micrograph that a file is about."""
    return Path(path).name.rpartition("_")[0]
