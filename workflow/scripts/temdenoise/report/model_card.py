"""The card of a published model: what it is for, what it is not for, how it was judged."""

from collections.abc import Mapping, Sequence
from typing import Any

from temdenoise.foundation.modes import ImageMode, image_mode
from temdenoise.learning.description import ModelDescription
from temdenoise.report.comparison import compared

SHOWN = 4
"""Noise coefficients shown of each noise."""


def card(
    name: str,
    entry: Mapping[str, Any],
    trained: ModelDescription,
    *,
    quality: Sequence[Mapping[str, Any]] = (),
    fidelity: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write the card of a model.

    Parameters
    ----------
    name
        Of the model.
    entry
        Its entry in ``models.json``, or of a model that is not published the part of
        `sharing.publishing.entry_of`.
    trained
        What the model says of itself.
    quality, fidelity
        Rows of the tables of its run; none, and the card says so.

    Returns
    -------
    str
        Markdown.
    """
    low, high = entry["c_noise"]
    fine, coarse = entry["sampling_angstrom"]
    crystals = ", ".join(f"{n} ({d:.2f} Å)" for n, d in entry["spacings_angstrom"].items())
    contrast, mode = trained.clean_std, image_mode(entry["kind"])
    return "\n".join(
        [
            f"# {name}",
            "",
            f"A denoising U-Net for {mode.images}, with a predicted error for every "
            f"pixel; {entry['parameters'] / 1e6:.2f} million weights.",
            "",
            "## Trained on",
            "",
            f"- simulated {mode.images}, nothing measured",
            f"- crystals (spacing of the first ring): {crystals or 'not said'}",
            f"- pixels of {fine:.3g} to {coarse:.3g} Å",
            f"- noise coefficients C of {low:g} to {high:g}: {low / contrast:.1f} to "
            f"{high / contrast:.1f} times the standard deviation of a clean image",
            f"- {_noises(trained, quality)}",
            f"- {_training(trained.options)}",
            "",
            "## Not to be used for",
            "",
            *_misuse(entry, mode),
            "",
            "## Validation",
            "",
            *_judged(trained, quality, fidelity, (low, high)),
            "",
            *_origin(name, entry),
        ]
    )


def _origin(name: str, entry: Mapping[str, Any]) -> list[str]:
    """Say which file the card is about, and which code, configuration and training made it."""
    if "provenance" not in entry:
        return []
    of = entry["provenance"]
    changed = " with changes that were not committed" if of["changed"] else ""
    recipes = ", ".join(f"{key} {value}" for key, value in of["recipes"].items())
    change = f"{entry['change_by_float16_over_sigma']:g} of its sigma"
    rows = {
        f"SHA-256 of `{name}.pt`": f"`{entry['sha256']}`",
        "size": f"{entry['bytes']} bytes, weights in {entry['weights']}",
        "16 bits for the weights change a pixel by at most": change,
        "licence": entry["licence"],
        "version, commit": f"{of['version']}, `{of['commit']}`{changed}",
        "recipes": recipes,
        "digest of the code": f"`{of['code']}`",
        "SHA-256 of the configuration": f"`{of['configuration_sha256']}`",
        "seed": of["seed"],
        "SHA-256 of the trained model": f"`{of['trained_sha256']}`",
    }
    table = [f"| {key} | {value} |" for key, value in rows.items()]
    return ["## Where it comes from", "", "| | |", "|---|---|", *table, ""]


def _noises(trained: ModelDescription, quality: Sequence[Mapping[str, Any]]) -> str:
    """Say which noises; a universal model was trained on all that its run judged."""
    if not trained.universal:
        return f"noise: {trained.trained_on or 'not said'}"
    named = ", ".join(dict.fromkeys(row["noise"] for row in quality))
    return f"noise: all kinds of its run{f' ({named})' if named else ''}"


def _training(options: Mapping[str, Any]) -> str:
    """Say how long it was trained, and on patches changed in which way."""
    if not options:
        return "length of the training: not said"
    done = f"{options['steps']} steps of {options['batch']} patches of {options['patch']} pixels"
    changes = [
        text
        for key, text in (
            ("rotation", "turned by any angle"),
            ("sampling", "resampled to any pixel size of the range"),
            ("edges", "some with vacuum beyond an edge"),
            ("mixtures", "some with a second noise"),
            ("standardised", "each with mean 0 and standard deviation 1"),
        )
        if options.get(key)
    ]
    return "; ".join([done, *changes])


def _misuse(entry: Mapping[str, Any], mode: ImageMode) -> list[str]:
    fine, coarse = entry["sampling_angstrom"]
    return [
        f"- other kinds of image ({mode.unlike}, secondary "
        "electrons, diffraction, light): none was in the training",
        "- crystals that are not listed, without looking at the summary that `temdenoise denoise` "
        "writes: a network can draw a lattice it knows over one it does not",
        "- noise that is strongly correlated from pixel to pixel, and more noise than stated: it "
        "may be taken for structure",
        f"- pixels far outside {fine:.3g} to {coarse:.3g} Å (`temdenoise denoise` resamples)",
        "- measuring intensities: counts of atoms in a column, compositions and the like are not "
        "kept to better than sigma, and sigma was calibrated on simulated images",
        "- decisions that rest on single atoms which only the denoised image shows",
    ]


def _judged(
    trained: ModelDescription,
    quality: Sequence[Mapping[str, Any]],
    fidelity: Sequence[Mapping[str, Any]],
    c_noise: tuple[float, float],
) -> list[str]:
    """Set this model's rows of its run's tables against doing nothing and the best classical."""
    own = (trained.method, trained.trained_on)
    rows = [row for row in compared(quality) if c_noise[0] <= row["c_noise"] <= c_noise[1]]
    by_place: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows:
        mine = (row["method"], row["trained_on"]) == own
        method = "this" if mine else row["method"]
        by_place.setdefault((row["noise"], row["c_noise"]), {})[method] = row
    places = [place for place, found in by_place.items() if "this" in found]
    if not places:
        return ["No figures are at hand: the model was exported without the tables of its run."]
    noises = list(dict.fromkeys(noise for noise, _ in places))
    lines = [
        "On test images of structures that were in no training, 1 - MS-SSIM (less is better), "
        "from the run's `evaluation/quality.csv`:",
        "",
        "| noise | C | noisy | best classical, tuned for this noise and C | this model |",
        "|---|---|---|---|---|",
    ]
    for noise in noises:
        for c in _some([c for n, c in places if n == noise]):
            found = by_place[noise, c]
            raw, best = found.get("raw"), found.get("best_classical")
            lines.append(
                f"| {noise} | {c:g} | {_lost(raw)} | {_lost(best)}"
                f"{' (' + best['trained_on'] + ')' if best else ''} | {_lost(found['this'])} |"
            )
    slow = trained.options.get("keep_slow")
    if slow:
        lines += [
            "",
            f"What varies over more than {slow:g} Å is kept as recorded, by design: noise as slow, "
            "contamination above all, counts as left in.",
        ]
    checked = [
        row
        for row in fidelity
        if (row["method"], row["trained_on"]) == own and c_noise[0] <= row["c_noise"] <= c_noise[1]
    ]
    told = _fidelity(checked)
    return [*lines, *(["", *told] if told else [])]


def _some(values: Sequence[float]) -> list[float]:
    """Choose a few of the values, from the first to the last."""
    chosen = {round(i * (len(values) - 1) / (SHOWN - 1)) for i in range(SHOWN)}
    return [values[i] for i in sorted(chosen)]


def _lost(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    lost = 1 - row["ms_ssim"]
    if lost < 1e-5:
        return "< 0.00001"
    return f"{lost:.4f}" if lost >= 0.001 else f"{lost:.5f}"


def _fidelity(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Worst values within the trained range; empty cells do not count."""
    told = []
    for key, text, worst in (
        ("defect_recall", "defects found, at worst", min),
        ("defect_precision", "of those found, true, at worst", min),
        ("invented_per_nm2", "features invented on noise per nm², at worst", max),
    ):
        values = [row[key] for row in rows if isinstance(row.get(key), int | float)]
        if values:
            told.append(f"- {text}: {worst(values):.3g}")
    covered = [row["coverage_68"] for row in rows if isinstance(row.get("coverage_68"), float)]
    if covered:
        told.append(
            f"- pixels whose error is below sigma (68 % if calibrated): {100 * min(covered):.0f} "
            f"to {100 * max(covered):.0f} %"
        )
    if told:
        told.insert(0, "From `evaluation/fidelity.csv`, over the trained range of C:")
        told.insert(1, "")
    return told
