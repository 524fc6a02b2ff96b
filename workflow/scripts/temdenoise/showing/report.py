"""The report of a run: one HTML file that tells it as a story and needs no other file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from temdenoise.images.noise import NOISES
from temdenoise.showing import charts, tables
from temdenoise.showing.captions import CAPTIONS
from temdenoise.showing.comparison import NETWORKS
from temdenoise.showing.style import LABELS

Rows = Sequence[Mapping[str, Any]]

LIMIT = 20_000_000
"""Most bytes of a page that can be sent by mail and opened on a phone."""

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
"""Columns of ``fidelity.csv`` that are charted against C; the coverage has a chart of its own."""

CONTENTS = {
    "structures": "Structures and their maps",
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

HOW = {
    "dft": "computed by density functional theory ({xc}, {basis} basis)",
    "superposition": "computed as superpositions of free atoms, without self-consistency",
    "adf": "imaged by simulated annular dark field STEM",
    "hrtem": "imaged by simulated high-resolution TEM",
}
"""How the densities or images were made."""

CALIBRATED = 0.6827
"""Share of a normal distribution within one standard deviation."""


@dataclass(frozen=True)
class Run:
    """What a run left behind, read from its files.

    Attributes
    ----------
    quality, fidelity
        Rows of the tables of the same name.
    structures
        DFT summary of each structure.
    cards
        Drawn structures, see `pictures.structure_cards`.
    joints
        Record of the joined images of each split.
    trainings
        Rows of ``metrics.csv`` of each model.
    models
        Of each model: its method and what it is trained on, see `configuration.models_of`.
    enlarged, worst
        See `pictures.enlarged` and `pictures.worst_cases`.
    figures
        Data URI of each figure, see `pictures.embedded`.
    benchmarks
        Rows of the benchmark files of each rule.
    config
        The configuration of the run.
    provenance
        Versions, machine and digests; None if they were not recorded.
    micrographs
        Denoised micrographs, see `pictures.micrograph_cards`; none by default.
    defects
        Rows of ``defects.csv``; none if the structures hold no defects.
    """

    quality: Rows
    fidelity: Rows
    structures: Mapping[str, Mapping[str, Any]]
    cards: Sequence[Mapping[str, Any]]
    joints: Mapping[str, Mapping[str, Any]]
    trainings: Mapping[str, Rows]
    models: Mapping[str, Mapping[str, Any]]
    enlarged: Mapping[str, Mapping[str, Any]]
    worst: Sequence[Mapping[str, Any]]
    figures: Mapping[str, str]
    benchmarks: Mapping[str, Rows]
    config: Mapping[str, Any]
    provenance: Mapping[str, Any] | None = None
    micrographs: Sequence[Mapping[str, Any]] = ()
    defects: Rows = ()


def templates() -> jinja2.Environment:
    """Give the templates of the pages; a value they miss is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _by_noise(rows: Rows) -> dict[str, list]:
    result: dict[str, list] = {}
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
    quality = charts.every_method(run.quality)
    looks = charts.methods(quality)
    made = {"convergence": charts.convergence(run.structures)} if run.structures else {}
    for group, histories in training_groups(run).items():
        made[f"training-{group}"] = charts.training(histories)
    for noise, rows in _by_noise(quality).items():
        made[f"quality-{noise}"] = charts.against_c(
            rows, looks=looks, quantities={"ms_ssim": "MS-SSIM", "psnr_db": "PSNR (dB)"}
        )
    for noise, rows in _by_noise(run.fidelity).items():
        made[f"fidelity-{noise}"] = charts.against_c(rows, looks=looks, quantities=CURVES)
        made[f"coverage-{noise}"] = charts.against_c(
            rows,
            looks=looks,
            quantities={"coverage_68": "Share within ±1 sigma"},
            reference=CALIBRATED,
        )
    if costs:
        made["core-hours"] = charts.core_hours(costs)
    return made


def _how(config: Mapping[str, Any]) -> str:
    mode = config["image"]["mode"]
    key = config["dft"]["ground_truth"] if mode == "density" else mode
    return HOW[key].format_map(config["dft"])


def training_groups(run: Run) -> dict[str, dict[str, Rows]]:
    """Sort the histories by method, under the name of the noise they are trained on."""
    groups: dict[str, dict[str, Rows]] = {}
    for model, rows in run.trainings.items():
        about = run.models[model]
        trained_on = about["trained_on"]
        title = NOISES[trained_on].title if trained_on in NOISES else "All noises"
        groups.setdefault(about["method"], {})[title] = rows
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
                "caption": CAPTIONS[number],
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
    costs = tables.costs(run.benchmarks)
    quality = charts.every_method(run.quality)
    levels = next(iter(run.enlarged.values()))["levels"]
    groups = training_groups(run)
    missing = {
        "costs": not costs,
        "provenance": not run.provenance,
        "micrographs": not run.micrographs,
    }
    data = {
        "charts": specifications(run, costs),
        "enlarged": run.enlarged,
        "labels": LABELS,
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
            noises=charts.noise_titles(run.quality),
            formulas={noise: NOISES[noise].apply.__doc__.split("\n")[0] for noise in run.enlarged},
            looks=charts.methods(quality),
            glyphs=charts.GLYPHS,
            labels=LABELS,
            networks=[method for method in NETWORKS if method in levels[start]],
            groups=list(groups),
            summary=tables.summary(run.quality, c_noise),
            compared=tables.COMPARED,
            cross=tables.cross_table(run.quality, c_noise),
            fidelity=tables.fidelity_table(run.fidelity, c_noise),
            fidelity_headings=[heading for heading, _ in tables.FIDELITY.values()],
            defects=tables.defect_table(run.defects, c_noise),
            curves=list(CURVES.values()),
            coverage=tables.coverage(run.fidelity),
            calibrated=CALIBRATED,
            joints=tables.joints(run.joints),
            costs=costs,
            figures=figures_shown(run.figures),
            figure_id=figure_id,
            provenance=tables.provenance(run.provenance or {}),
            # no text may end the script it stands in
            data=json.dumps(data, allow_nan=False).replace("</", "<\\/"),
            library=charts.library().replace("</script", "<\\/script"),
            style=(folder / "report.css").read_text(encoding="utf-8"),
            script=(folder / "report.js").read_text(encoding="utf-8"),
        )
    )
