"""The report of a run: one HTML file that needs no other file."""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temdenoise.foundation.modes import image_mode
from temdenoise.foundation.source import module_constant
from temdenoise.images.noise import NOISES
from temdenoise.report import charts, tables
from temdenoise.report.catalogue import entry_of
from temdenoise.report.methods import COMPARED, METHODS, NETWORK_METHODS
from temdenoise.report.pages import templates

Rows = Sequence[Mapping[str, Any]]

LIMIT = 20_000_000
"""Maximum size of a page that can be sent by mail and opened on a phone [bytes]."""

CURVES = {
    "pore_centre_rmse_pm": "Pore centre RMSE (pm)",
    "roundness_bias": "Roundness bias",
    "pore_f1": "Pore F1",
    "defect_precision": "Defect precision",
    "defect_recall": "Defect recall",
    "defect_f1": "Defect F1",
    "seam_ratio": "Seam ratio",
    "invented_per_nm2": "Invented pores per nm²",
}
"""Columns of ``fidelity.csv`` that are charted against C; the coverage has a separate chart."""

CONTENTS = {
    "structures": "Structures and their maps",
    "density": "Learned density",
    "joints": "Joined maps",
    "noises": "Noises",
    "trainings": "Trainings",
    "result": "Result: MS-SSIM against C",
    "images": "Enlarged images",
    "fidelity": "Fidelity",
    "worst": "The worst cases",
    "uncertainty": "Predicted errors",
    "micrographs": "Micrographs",
    "figures": "Figures",
    "costs": "What it cost",
    "provenance": "Provenance",
    "numbers": "All numbers and the configuration",
}
"""Sections of the page, by id."""

GROUND_TRUTHS = {
    "dft": "computed by density functional theory ({xc}, {basis} basis)",
    "superposition": "computed as superpositions of free atoms, without self-consistency",
}
"""How densities were made, by ``dft.ground_truth``."""

CALIBRATED = 0.6827
"""Fraction of a normal distribution within one standard deviation."""


@dataclass(frozen=True)
class GroundTruth:
    """The structures, their maps, and the images they are joined to.

    Attributes
    ----------
    calculations
        DFT summary of each structure; none where images are formed from independent atoms.
    cards
        Drawn structures, see `pictures.structure_cards`.
    joints
        Record of the joined images of each split.
    """

    calculations: Mapping[str, Mapping[str, Any]]
    cards: Sequence[Mapping[str, Any]]
    joints: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class LearnedDensity:
    """The density that was learned from DFT maps, and the scenes it draws.

    Attributes
    ----------
    structures
        Those it was learned from.
    accuracy
        Rows of ``accuracy.csv``.
    unlike
        Of each scene, the fraction of its atoms whose surroundings were not learned.
    worst, scene
        See `pictures.worst_density` and `pictures.first_scene`.
    """

    structures: Sequence[str]
    accuracy: Rows
    unlike: Sequence[float]
    worst: Mapping[str, Any]
    scene: Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """The networks.

    Attributes
    ----------
    models
        Of each: its method and what it is trained on, see `configuration.models_of`.
    histories
        Rows of ``metrics.csv`` of each.
    """

    models: Mapping[str, Mapping[str, Any]]
    histories: Mapping[str, Rows]


@dataclass(frozen=True)
class Evaluation:
    """Rows of the tables of the same names; `defects` has none if structures hold no defects."""

    quality: Rows
    fidelity: Rows
    defects: Rows = ()


@dataclass(frozen=True)
class Pictures:
    """What is seen in the page besides its charts.

    Attributes
    ----------
    enlarged, worst
        See `pictures.enlarged` and `pictures.worst_cases`.
    figures
        Data URI of each figure, see `pictures.embedded`.
    micrographs
        Denoised micrographs, see `pictures.micrograph_cards`; none by default.
    """

    enlarged: Mapping[str, Mapping[str, Any]]
    worst: Sequence[Mapping[str, Any]]
    figures: Mapping[str, str]
    micrographs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Record:
    """How the run went.

    Attributes
    ----------
    benchmarks
        Rows of the benchmark files of each rule.
    provenance
        Versions, machine and digests; None if they were not recorded.
    """

    benchmarks: Mapping[str, Rows]
    provenance: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Run:
    """The results of a run, read from its files (`run_files.read_run`), and its configuration.

    Without a learned density, `density` is None.
    """

    config: Mapping[str, Any]
    ground_truth: GroundTruth
    training: Training
    evaluation: Evaluation
    pictures: Pictures
    record: Record
    density: LearnedDensity | None = None


def _by_noise(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    result: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        result.setdefault(row["noise"], []).append(row)
    return result


def specifications(run: Run, costs: Rows) -> dict[str, dict[str, Any]]:
    """Make every chart of the report.

    Parameters
    ----------
    run
        The run.
    costs
        See `tables.costs`.

    Returns
    -------
    dict
        Vega-Lite specification by the id of its place in the page.
    """
    quality = charts.every_method(run.evaluation.quality)
    looks = charts.methods(quality)
    calculations = run.ground_truth.calculations
    made = {"convergence": charts.convergence(calculations)} if calculations else {}
    for group, histories in training_groups(run.training).items():
        made[f"training-{group}"] = charts.training(histories)
    for noise, rows in _by_noise(quality).items():
        made[f"quality-{noise}"] = charts.against_c(
            rows, looks=looks, quantities={"ms_ssim": "MS-SSIM", "psnr_db": "PSNR (dB)"}
        )
    for noise, rows in _by_noise(run.evaluation.fidelity).items():
        made[f"fidelity-{noise}"] = charts.against_c(rows, looks=looks, quantities=CURVES)
        made[f"coverage-{noise}"] = charts.against_c(
            rows,
            looks=looks,
            quantities={"coverage_68": "Fraction within ±1 sigma"},
            reference=CALIBRATED,
        )
    if costs:
        made["core-hours"] = charts.core_hours(costs)
    return made


def _how(config: Mapping[str, Any]) -> str:
    """Say how the densities or images were made."""
    mode = config["image"]["mode"]
    if mode == "density":
        return GROUND_TRUTHS[config["dft"]["ground_truth"]].format_map(config["dft"])
    return f"imaged by simulated {image_mode(mode).title}"


def _formula(noise: str) -> str:
    """Return the first line of what a noise's function says of itself."""
    return (inspect.getdoc(NOISES[noise].apply) or "").partition("\n")[0]


def training_groups(training: Training) -> dict[str, dict[str, Rows]]:
    """Sort the histories by method, under the name of the noise they are trained on."""
    groups: dict[str, dict[str, Rows]] = {}
    for model, rows in training.histories.items():
        plan = training.models[model]
        trained_on = plan["trained_on"]
        title = NOISES[trained_on].title if trained_on in NOISES else "All noises"
        groups.setdefault(plan["method"], {})[title] = rows
    return groups


def figures_shown(pictures: Mapping[str, str]) -> list[dict[str, str]]:
    """Give each figure its id in the page, its title and caption.

    Examples
    --------
    >>> shown = figures_shown({"3_my scan": "data:,", "S1": "data:,"})
    >>> [(figure["id"], figure["title"]) for figure in shown]
    [('figure-3_my_scan', 'Figure 3, my scan'), ('figure-S1', 'Figure S1')]
    """
    shown = []
    for name, picture in pictures.items():
        number, _, of = name.partition("_")
        shown.append(
            {
                "id": figure_id(name),
                "title": f"Figure {number}{f', {of}' if of else ''}",
                "caption": entry_of(name)[0].caption,
                "picture": picture,
            }
        )
    return shown


def figure_id(name: str) -> str:
    """Name a figure's place in the page; ids hold no spaces."""
    return "figure-" + re.sub(r"[^\w.-]", "_", name)


def report(run: Run) -> str:
    """Compose the page.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    str
        HTML. One file: styles, script, pictures and numbers stand inside.
    """
    config = run.config
    c_noise = config["report"]["c_noise"][0]
    start = f"{c_noise:g}"
    costs = tables.costs(run.record.benchmarks)
    quality, fidelity = run.evaluation.quality, run.evaluation.fidelity
    enlarged = run.pictures.enlarged
    levels = next(iter(enlarged.values()))["levels"]
    labels = {name: method.label for name, method in METHODS.items()}
    missing = {
        "density": not run.density,
        "costs": not costs,
        "provenance": not run.record.provenance,
        "micrographs": not run.pictures.micrographs,
    }
    data = {
        "charts": specifications(run, costs),
        "enlarged": enlarged,
        "labels": labels,
        "start": start,
    }
    folder = Path(__file__).parent
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            run=run,
            config=config,
            configuration=tables.written(config),
            how=_how(config),
            contents=[(id, title) for id, title in CONTENTS.items() if not missing.get(id)],
            c_noise=c_noise,
            start=start,
            noises=charts.noise_titles(quality),
            formulas={noise: _formula(noise) for noise in enlarged},
            looks=charts.methods(charts.every_method(quality)),
            glyphs=charts.GLYPHS,
            labels=labels,
            networks=[method for method in NETWORK_METHODS if method in levels[start]],
            groups={m: METHODS[m].trainings for m in training_groups(run.training)},
            summary=tables.summary(quality, c_noise),
            compared=COMPARED,
            cross=tables.cross_table(quality, c_noise),
            fidelity=tables.fidelity_table(fidelity, c_noise),
            fidelity_headings=[heading for heading, _ in tables.FIDELITY.values()],
            defects=tables.defect_table(run.evaluation.defects, c_noise),
            curves=list(CURVES.values()),
            coverage=tables.coverage(fidelity),
            calibrated=CALIBRATED,
            sites=tables.density_accuracy(run.density.accuracy, seed=config["seed"])
            if run.density
            else [],
            fewest_structures=tables.FEWEST_STRUCTURES,
            near_defect=module_constant("learning.density_training", "NEAR_DEFECT"),
            most_unlike=module_constant("learning.scenes", "MOST_UNLIKE"),
            joints=tables.joints(run.ground_truth.joints),
            costs=costs,
            figures=figures_shown(run.pictures.figures),
            figure_id=figure_id,
            provenance=tables.provenance(run.record.provenance or {}),
            # no text may end the script it stands in
            data=json.dumps(data, allow_nan=False).replace("</", "<\\/"),
            library=charts.library().replace("</script", "<\\/script"),
            style=(folder / "report.css").read_text(encoding="utf-8"),
            script=(folder / "report.js").read_text(encoding="utf-8"),
        )
    )
