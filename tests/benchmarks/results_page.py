"""Write the tables of docs/results.md and README.md from docs/results/*.csv.

python tests/benchmarks/results_page.py
A table stands between `<!-- table NAME -->` and `<!-- end -->`; NAME is a key of `TABLES`.
tests/workflow/test_results.py holds the documents to what this makes.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from temdenoise.foundation.files import read_json, read_table

RESULTS = ROOT / "docs/results"
PAGES = ("README.md", "docs/results.md", "docs/ground-truth.md")
PAGES += ("docs/micrographs.md", "docs/implants.md", "docs/learned-density.md")
NOISES = {
    "gaussian": "Gaussian",
    "salt_pepper": "salt and pepper",
    "poisson": "Poisson",
    "background_gaussian": "background + Gaussian",
}
METHODS = {
    "floor": "floor",
    "raw": "noisy",
    "gaussian_blur": "Gaussian blur",
    "median": "median",
    "total_variation": "total variation",
    "wavelet": "wavelets",
    "background_subtraction": "background subtraction",
    "radial_wiener": "radial Wiener",
    "local_bragg": "local Bragg",
    "nl_means": "non-local means",
    "periodic_nl_means": "non-local means over lattice translations",
    "bm3d": "BM3D",
    "bm3d_anscombe": "BM3D, Anscombe",
    "best_two": "best two, mixed",
    "tk_r_em": "tk_r_em",
    "noise2void": "Noise2Void",
    "pretrained_density": "**`density`**",
}
OURS = "pretrained_density"
KINDS = {"vacancy": "vacancy of", "rotated_bond": "rotated bond", "substitution": "substitution of"}
DFT_COLUMNS = ("dft_rms_pm", "difference_rms_pm")
CRYSTALS = {
    "graphene": "graphene",
    "graphene_ribbon": "graphene, ribbons",
    "hbn": "hBN",
    "mos2": "MoS2",
}
TRAININGS = {
    "specialist": "specialist, joined maps",
    "specialist_scenes": "specialist, scenes",
    "specialist_scenes_half": "specialist, scenes, half the steps",
    "universal_equal": "universal on equal terms, joined maps",
    "universal_equal_scenes": "universal on equal terms, scenes",
}
ENDS = {"value": "", "low": "_low", "high": "_high"}


def rows_of(name: str) -> list[dict]:
    """Rows of the benchmark, and those of further methods in folders beside it."""
    main = RESULTS / f"{name}.csv"
    rows = read_table(main) if main.exists() else []
    known = {row["method"] for row in rows} if rows and "method" in rows[0] else set()
    for path in sorted(RESULTS.glob(f"*/{name}.csv")):
        rows += [row for row in read_table(path) if row["method"] not in known]
    return rows


def chosen(rows: Iterable[dict], **wanted: object) -> list[dict]:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def cell(rows: list[dict], digits: int, *, factor: float = 1.0, one_minus: bool = False) -> str:
    """A value and its interval; nothing where there is none."""
    if not rows or rows[0]["value"] == "":
        return ""
    values = [rows[0][key] for key in ("value", "low", "high")]
    if one_minus:
        value, low, high = (1 - v for v in values)
        values = [value, high, low]
    value, low, high = (f"{factor * v:.{digits}f}" for v in values)
    return f"{value} ({low} to {high})"


def table(header: list[str], lines: Iterable[list[str]]) -> str:
    rule = "|".join(["---"] * len(header))
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([f"| {' | '.join(header)} |", f"|{rule}|", *body])


def levels(rows: list[dict]) -> list[float]:
    return sorted({row["c_noise"] for row in rows})


def losses() -> str:
    """1 - MS-SSIM of graphene by noise and C."""
    rows = chosen(
        [*rows_of("benchmark"), *floor_rows("floor")], crystal="graphene", figure="ms_ssim"
    )
    shown = ("raw", "radial_wiener", "local_bragg", "periodic_nl_means", "best_two", OURS, "floor")
    return table(
        ["noise", "C", *(METHODS[m] for m in shown)],
        (
            [label, f"{c:g}"]
            + [
                cell(chosen(rows, method=m, noise=noise, c_noise=c), 4, one_minus=True)
                for m in shown
            ]
            for noise, label in NOISES.items()
            for c in levels(rows)
        ),
    )


def floor_rows(method: str) -> list[dict]:
    """Rows of the floor, or of the network on the floor's own images."""
    return chosen(read_table(RESULTS / "floor.csv"), method=method)


def floors() -> str:
    """How far `density` and the best classical methods are from the floor."""
    floor, ours = floor_rows("floor"), floor_rows(OURS)
    rows = chosen(rows_of("benchmark"), figure="ms_ssim", method="best_two")
    lines = []
    for crystal in ("graphene", "hbn"):
        for noise, label in NOISES.items():
            for c in levels(floor):
                place = {"crystal": crystal, "noise": noise, "c_noise": c}
                own = chosen(floor, **place, figure="ms_ssim")
                if not own or own[0]["value"] == 1:
                    continue
                best = chosen(rows, **place)
                over = (1 - best[0]["value"]) / (1 - own[0]["value"]) if best else None
                lines.append(
                    [
                        CRYSTALS[crystal],
                        label,
                        f"{c:g}",
                        cell(own, 4, one_minus=True),
                        cell(chosen(floor, **place, figure="atom_position_rmse_pm"), 1),
                        cell(chosen(ours, **place, figure="loss_over_floor"), 2),
                        f"{over:.1f}" if over else "",
                    ]
                )
    header = ["crystal", "noise", "C", "floor, 1 − MS-SSIM", "atoms known within (pm)"]
    header += ["`density` over the floor", "best two over the floor"]
    return table(header, lines)


def trainings() -> str:
    """What several seeds of each network lose, and what a universal one does over a specialist."""
    rows = chosen(read_table(RESULTS / "training.csv"), noise="gaussian")
    lines = []
    for c in levels(rows):
        for name, label in TRAININGS.items():
            own = chosen(rows, network=name, c_noise=c)
            for mean in chosen(own, seed="mean"):
                lost = {key: mean[f"ms_ssim{end}"] for key, end in ENDS.items()}
                over = {key: mean[f"loss_ratio{end}"] for key, end in ENDS.items()}
                apart = mean["loss_ratio_sd"]
                lines.append(
                    [
                        f"{c:g}",
                        label,
                        f"{mean['steps']}, to C = {mean['c_noise_high']:g}",
                        ", ".join(f"{1 - r['ms_ssim']:.4f}" for r in own if r is not mean),
                        cell([lost], 4, one_minus=True),
                        "" if mean["sd_between_seeds"] == "" else f"{mean['sd_between_seeds']:.4f}",
                        cell([over], 2),
                        "" if apart == "" else f"{apart:.2f}",
                    ]
                )
    header = ["C", "network", "steps, trained", "1 − MS-SSIM of each seed", "mean"]
    header += ["between seeds", "over the specialist", "between seeds"]
    return table(header, lines)


def ratios() -> str:
    """What `density` loses over what the mixture of the best two classical methods loses."""
    rows = chosen(rows_of("paired"), method=OURS, other="best_two")
    if not rows:
        return ""
    here = {name: CRYSTALS[name] for name in CRYSTALS if chosen(rows, crystal=name)}
    lines = []
    for noise, label in NOISES.items():
        for c in levels(rows):
            line = [label, f"{c:g}"]
            for crystal in here:
                found = chosen(rows, noise=noise, c_noise=c, crystal=crystal)
                ratio = [
                    {
                        "value": r["loss_ratio"],
                        "low": r["loss_ratio_low"],
                        "high": r["loss_ratio_high"],
                    }
                    for r in found
                ]
                line.append(cell(ratio, 2))
            lines.append(line)
    return table(["noise", "C", *here.values()], lines)


def vacancies() -> str:
    """Whether each method keeps vacancies: every program, graphene."""
    kinds = chosen(rows_of("kinds"), kind="vacancy")
    figures = chosen(rows_of("benchmark"), crystal="graphene")
    lines = []
    for noise in ("gaussian", "poisson"):
        for c in (0.25, 0.5):
            for method, label in METHODS.items():
                place = {"method": method, "noise": noise, "c_noise": c}
                own = chosen(kinds, crystal="graphene", **place)
                if not own:
                    continue
                lines.append(
                    [
                        NOISES[noise],
                        f"{c:g}",
                        label,
                        recall(own),
                        cell(chosen(figures, figure="defect_precision", **place), 3),
                        cell(chosen(figures, figure="pore_centre_rmse_pm", **place), 1),
                    ]
                )
    return table(
        ["noise", "C", "method", "vacancies found", "of defects found, true", "pores off by (pm)"],
        lines,
    )


def recall(rows: list[dict]) -> str:
    """Found of how many vacancies of every element, with the interval of the whole."""
    from temdenoise.judging.intervals import proportion

    found, total = (sum(row[key] for row in rows) for key in ("found", "n_defects"))
    low, high = proportion(found, total)
    return f"{found} of {total} ({low:.3f} to {high:.3f})"


def coverage() -> str:
    """Part of the pixels within sigma, by place, noise and C."""
    rows = chosen(rows_of("benchmark"), method=OURS)
    places = {"bulk": "graphene, bulk", "defect": "graphene, within 2 Å of a defect"}
    return table(
        ["noise", "C", *places.values()],
        (
            [label, f"{c:g}"]
            + [
                cell(
                    chosen(
                        rows,
                        noise=noise,
                        c_noise=c,
                        crystal="graphene",
                        figure=f"coverage_68_{place}",
                    ),
                    2,
                )
                for place in places
            ]
            for noise, label in NOISES.items()
            for c in levels(rows)
        ),
    )


def inventions() -> str:
    """Features in noise alone."""
    rows = chosen(rows_of("benchmark"), figure="invented_per_nm2", method=OURS)
    lines = [
        [
            NOISES[row["noise"]],
            f"{row['c_noise']:g}",
            f"{row['n']:g}",
            f"{round(row['value'] * row['n'])}",
            f"{row['high']:.4f}",
        ]
        for row in rows
    ]
    return table(["noise", "C", "nm²", "invented", "per nm², fewer than (95 %)"], lines)


def scales() -> str:
    """Where the loss sits, by scale of MS-SSIM."""
    rows = chosen(rows_of("benchmark"), crystal="graphene", noise="gaussian", c_noise=0.2)
    lines = [
        [METHODS[m]]
        + [cell(chosen(rows, method=m, figure=f"loss_share_scale_{n}"), 2) for n in range(1, 6)]
        for m in METHODS
        if chosen(rows, method=m)
    ]
    pixels = (f"{2**n} px" for n in range(5))
    return table(["method", *pixels], lines)


def relaxation() -> str:
    """How far atoms around defects move by tight binding, and where it was computed by DFT."""
    lines = [
        [
            CRYSTALS[row["crystal"]],
            " ".join([KINDS[row["kind"]], row["of"], *(["by", row["by"]] if row["by"] else [])]),
            f"{row['gfn1_rms_pm']:.1f}",
            f"{row['gfn1_out_of_plane_pm']:.1f}",
            *(f"{row[k]:.1f}" if row[k] != "" else "" for k in DFT_COLUMNS),
            f"{row['gfn1_lattice_over_ours']:.3f}",
            f"{row['gfn1_seconds']:.0f}",
        ]
        for row in read_table(RESULTS / "relaxation.csv")
    ]
    header = ["crystal", "defect", "rms in the plane (pm)", "largest out of it (pm)"]
    header += ["by DFT forces (pm)", "difference (pm)", "lattice constant over ours", "seconds"]
    return table(header, lines)


def density() -> str:
    """How far a learned density is from DFT by crystal and kind of site."""
    rows = [
        row
        | {"value": row["rms_over_std"]}
        | {end: row[f"rms_over_std_{end}"] for end in ("low", "high")}
        for row in read_table(RESULTS / "density.csv")
    ]
    lines = [
        [
            CRYSTALS[row["crystal"]],
            row["site"],
            str(row["n_structures"]),
            cell([row], 2, factor=100) if row["low"] != "" else f"{100 * row['value']:.2f}",
            f"{100 * row['superposition']:.1f}",
            f"{100 * row['unlike']:.1f}",
        ]
        for row in rows
    ]
    header = ["crystal", "site", "structures", "RMS error (%)", "without bonding (%)"]
    return table([*header, "atoms unlike all that was learned (%)"], lines)


def implants() -> str:
    """What several methods keep of atoms planted into a recorded frame."""
    rows = read_table(RESULTS / "implants.csv")
    named = {"ours": "`adf`", "local_bragg": "local Bragg", "bm3d": "BM3D", "tk_r_em": "tk_r_em"}
    lines = []
    for method, label in named.items():
        for row in chosen(rows, method=method):
            kind = "vacancy" if row["kind"] == "vacancy" else f"{row['strength']:g} times as strong"
            response = {key: row[f"response{end}"] for key, end in ENDS.items()}
            kept = f"{row['kept']} of {row['number']} ({row['kept_low']:.2f} to "
            kept += f"{row['kept_high']:.2f})"
            lines.append([label, f"{kind}, species {row['species']}", cell([response], 2), kept])
    return table(["denoiser", "implant", "response", "kept"], lines)


def deserved(row: dict) -> bool:
    """Whether a frame is not to be trusted: pixel size, error, or more than 2 % of wrong sites."""
    wrong = row["sites"] - row["shown_true"]
    return row["fault"] == "pixels" or row["error_over_gaussian"] > 1 or wrong > 0.02 * row["sites"]


def verdicts() -> str:
    """How often the verdict is right, with the targets."""
    from temdenoise.judging.intervals import proportion

    rows = read_table(RESULTS / "verdict.csv")
    frames, lies = chosen(rows, group="frame"), chosen(rows, group="lie")
    trusted, refused = (chosen(frames, level=level) for level in ("good", "no"))
    easy = [
        row
        for row in chosen(frames, known="True", fault="none")
        if row["noise_over_contrast"] <= 2 and row["noise"] != "coloured"
    ]
    sites = {
        name: [sum(row[key] for row in frames) for key in (f"{name}_true", name)]
        for name in ("supported", "contradicted")
    }
    told = [
        (
            "can be trusted: at least 98 % of its supported sites are true",
            "at least 0.95",
            [sum(r["supported_true"] >= 0.98 * r["supported"] for r in trusted), len(trusted)],
        ),
        (
            "do not trust it: deserved",
            "at least 0.90",
            [sum(map(deserved, refused)), len(refused)],
        ),
        (
            "crystal known, no fault, noise up to 2 times the contrast: trusted",
            "at least 0.60",
            [len(chosen(easy, level="good")), len(easy)],
        ),
        *(
            (
                f"lies, {label}: refused",
                "at least 0.80" if not fault else "",
                [
                    sum(r["level"] == "no" for r in lies if r["fault"] in (fault or r["fault"])),
                    sum(r["fault"] in (fault or r["fault"]) for r in lies),
                ],
            )
            for fault, label in (
                ("", "all"),
                ("filled", "vacancies filled"),
                ("invented", "atoms invented"),
                ("lattice", "another lattice added"),
            )
        ),
        ("sites called supported: true", "at least 0.98", sites["supported"]),
        (
            "sites called contradicted: the result is wrong there",
            "at least 0.98",
            [sites["contradicted"][1] - sites["contradicted"][0], sites["contradicted"][1]],
        ),
        (
            "places, five exposures each: both trusted and not",
            "at most 1",
            [len(chosen(rows, group="scene", level="both")), len(chosen(rows, group="scene"))],
        ),
    ]
    lines = []
    for what, target, (number, total) in told:
        low, high = proportion(int(number), int(total))
        share = f"{number / total:.3f} ({low:.3f} to {high:.3f})" if total else ""
        lines.append([what, target, f"{int(number)} of {int(total)}", share])
    return table(["verdict", "target", "found", "part"], lines)


def summary() -> str:
    """The table of the README: graphene at C = 0.2."""
    rows = chosen(rows_of("benchmark"), crystal="graphene", figure="ms_ssim", c_noise=0.2)
    shown = ("raw", "local_bragg", "periodic_nl_means", "best_two", OURS)
    return table(
        ["1 − MS-SSIM at C = 0.2", *(METHODS[m] for m in shown)],
        (
            [label] + [cell(chosen(rows, method=m, noise=noise), 4, one_minus=True) for m in shown]
            for noise, label in NOISES.items()
        ),
    )


def facts() -> str:
    """What `density` keeps, invents and knows of its error, with the targets."""
    figures, kinds = rows_of("benchmark"), chosen(rows_of("kinds"), kind="vacancy")

    def of(figure: str, c: float, digits: int) -> list[str]:
        own = chosen(figures, method=OURS, crystal="graphene", figure=figure, c_noise=c)
        return [cell(chosen(own, noise=noise), digits) for noise in NOISES]

    def found(c: float) -> list[str]:
        own = chosen(kinds, method=OURS, crystal="graphene", c_noise=c)
        return [recall(chosen(own, noise=noise)) for noise in NOISES]

    def invented(c: float) -> list[str]:
        own = chosen(figures, method=OURS, figure="invented_per_nm2", c_noise=c)
        return [f"< {r['high']:.4f}" for noise in NOISES for r in chosen(own, noise=noise)]

    lines = [
        ["vacancies found, C = 0.25", "at least 0.95", *found(0.25)],
        ["vacancies found, C = 0.5", "at least 0.95", *found(0.5)],
        ["of defects found, true, C = 0.25", "at least 0.95", *of("defect_precision", 0.25, 3)],
        ["of defects found, true, C = 0.5", "at least 0.95", *of("defect_precision", 0.5, 3)],
        ["invented per nm² of noise, C = 0.5", "< 0.01", *invented(0.5)],
        ["within sigma, bulk, C = 0.25", "0.63 to 0.73", *of("coverage_68_bulk", 0.25, 2)],
        [
            "within sigma, 2 Å about defects, C = 0.25",
            "0.63 to 0.73",
            *of("coverage_68_defect", 0.25, 2),
        ],
    ]
    return table(["`density`, graphene", "target", *NOISES.values()], lines)


def provenance() -> str:
    """The commands, and where they ran."""
    lines = []
    others = [RESULTS / f"{name}.json" for name in ("floor", "training", "verdict")]
    paths = [RESULTS / "benchmark.json", *sorted(RESULTS.glob("*/benchmark.json")), *others]
    for path in filter(Path.exists, paths):
        about = read_json(path)
        commit = about["commit"]["commit"][:12] if about["commit"] else "no commit"
        lines.append(
            f"- `{about['command']}`: {about['seconds'] / 60:.0f} minutes, {about['processes']} "
            f"at once, on {about['processor']}; seed {about['seed']}, commit {commit}."
        )
    return "\n".join(lines)


TABLES = {
    function.__name__: function
    for function in (
        losses,
        floors,
        trainings,
        ratios,
        vacancies,
        coverage,
        inventions,
        scales,
        relaxation,
        density,
        verdicts,
        implants,
        summary,
        facts,
        provenance,
    )
}


def filled(text: str) -> str:
    """Put every table of a document anew between its marks."""

    def made(found: re.Match) -> str:
        return f"<!-- table {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", made, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
