"""Tables of the report, from the rows of the run's own files."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from temdenoise.images.noise import NOISES
from temdenoise.judging.statistics import interval
from temdenoise.report.comparison import compared
from temdenoise.report.methods import COMPARED, method_label

Rows = Sequence[Mapping[str, Any]]

FIDELITY = {
    "pore_centre_rmse_pm": ("Pore centre RMSE (pm)", "%.1f"),
    "roundness_bias": ("Roundness bias", "%+.3f"),
    "defect_f1": ("Defect F1", "%.2f"),
    "seam_ratio": ("Seam ratio", "%.2f"),
    "invented_per_nm2": ("Invented per nm²", "%.2f"),
    "coverage_68": ("Within ±1 sigma", "%.2f"),
}
"""Columns of the fidelity table: heading and format."""

FEWEST_STRUCTURES = 5
"""Fewer structures than this give no interval that holds, see `judging.statistics.interval`."""


def summary(quality: Rows, c_noise: float) -> list[dict[str, Any]]:
    """Compare the networks with the noisy image and their best rival at one C.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    c_noise
        Noise coefficient C.

    Returns
    -------
    list of dict
        One per noise: MS-SSIM of each of `COMPARED`, ``rival`` (which classical method
        is the best), and ``ratio``, (1 - MS-SSIM) of the specialist over that of the rival.
    """
    rows = [row for row in compared(quality) if row["c_noise"] == c_noise]
    result = []
    for noise in dict.fromkeys(row["noise"] for row in rows):
        here = {row["method"]: row for row in rows if row["noise"] == noise}
        values = {method: here[method]["ms_ssim"] for method in COMPARED}
        ratio = (1 - values["cnn"]) / (1 - values["best_classical"])
        rival = here["best_classical"]["trained_on"].replace("_", " ")
        result.append({"noise": NOISES[noise].title, **values, "rival": rival, "ratio": ratio})
    return result


def fidelity_table(fidelity: Rows, c_noise: float) -> list[dict[str, Any]]:
    """Write the fidelity of every method at one C as text, by noise.

    Parameters
    ----------
    fidelity
        Rows of ``fidelity.csv``.
    c_noise
        Noise coefficient C.

    Returns
    -------
    list of dict
        ``noise``, ``method`` and ``cells``, in the order of `FIDELITY`.
    """
    return [
        {
            "noise": NOISES[row["noise"]].title,
            "method": method_label(row["method"]),
            "cells": [
                "–" if row[key] == "" else form % row[key] for key, (_, form) in FIDELITY.items()
            ],
        }
        for row in fidelity
        if row["c_noise"] == c_noise
    ]


def defect_table(defects: Rows, c_noise: float) -> dict[str, Any]:
    """Tell how many defects of every kind each method finds at one C, over all noises.

    Parameters
    ----------
    defects
        Rows of ``defects.csv``.
    c_noise
        Noise coefficient C.

    Returns
    -------
    dict
        ``methods`` (labels) and ``rows``: ``crystal``, ``kind`` and ``cells``, "found of all".

    Examples
    --------
    >>> row = {"crystal": "hbn", "kind": "vacancy", "element": "B", "method": "cnn"}
    >>> row |= {"c_noise": 0.2, "n_defects": 4, "found": 3}
    >>> defect_table([row, row], 0.2)["rows"]
    [{'crystal': 'hbn', 'kind': 'vacancy, B', 'cells': ['6 of 8']}]
    """
    total: dict[tuple[str, str, str], dict[str, list[int]]] = {}
    for row in defects:
        if row["c_noise"] == c_noise:
            kind = (row["crystal"], row["kind"], row["element"])
            counts = total.setdefault(kind, {}).setdefault(row["method"], [0, 0])
            counts[0] += row["found"]
            counts[1] += row["n_defects"]
    methods = list(dict.fromkeys(method for kinds in total.values() for method in kinds))
    return {
        "methods": [method_label(method) for method in methods],
        "rows": [
            {
                "crystal": crystal.rpartition("/")[2],
                "kind": f"{kind.replace('_', ' ')}, {element}",
                "cells": [
                    f"{found[m][0]} of {found[m][1]}" if m in found else "–" for m in methods
                ],
            }
            for (crystal, kind, element), found in total.items()
        ],
    }


def cross_table(quality: Rows, c_noise: float) -> dict[str, Any]:
    """MS-SSIM of every network (rows) on every noise (columns) at one C."""
    chosen = [row for row in quality if row["method"] == "cnn" and row["c_noise"] == c_noise]
    noises = list(dict.fromkeys(row["noise"] for row in chosen))
    value = {(row["trained_on"], row["noise"]): row["ms_ssim"] for row in chosen}
    return {
        "columns": [NOISES[noise].title for noise in noises],
        "rows": [
            (NOISES[trained].title, [value[trained, noise] for noise in noises])
            for trained in noises
        ],
    }


def coverage(fidelity: Rows) -> list[dict[str, Any]]:
    """Range of the coverage of each network and region, over noises and C.

    Returns
    -------
    list of dict
        method, and for each region (low, high); of methods that predict an error.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in fidelity:
        if row["coverage_68"] != "":
            regions = found.setdefault(row["method"], {})
            regions.setdefault(row["region"], []).append(row["coverage_68"])
    return [
        {"method": method_label(method)}
        | {region: (min(values), max(values)) for region, values in regions.items()}
        for method, regions in found.items()
    ]


def joints(records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sum up the joints of each split: images, structures joined, worst ratio."""
    return [
        {
            "split": split,
            "images": len(record["images"]),
            "structures": len(record["structures"]),
            "maps": sum(len(row) for image in record["images"] for row in image["layout"]),
            "worst": record["worst_joint_ratio"],
        }
        for split, record in records.items()
    ]


def density_accuracy(accuracy: Rows, *, seed: int) -> list[dict[str, Any]]:
    """Pool the errors of the learned density over structures, by kind of site.

    Parameters
    ----------
    accuracy
        Rows of ``accuracy.csv``: one for each structure and kind of site.
    seed
        Of the run.

    Returns
    -------
    list of dict
        ``site``, ``structures`` (how many have such a site), ``rms`` (root mean square error over
        the standard deviation of the maps), ``interval`` (95 %, over structures; None below
        `FEWEST_STRUCTURES`), ``superposition`` (the same of the round densities alone), ``unlike``
        (fraction of the atoms there whose surroundings were not learned; structures count by area).

    Examples
    --------
    >>> row = {"site": "bulk", "rms_over_std": 0.03, "superposition": 0.2, "unlike": 0.0}
    >>> rows = [row | {"pixels": 300}, row | {"pixels": 100, "rms_over_std": 0.05, "unlike": 0.1}]
    >>> density_accuracy(rows, seed=1)[0]["interval"] is None
    True
    >>> [round(density_accuracy(rows, seed=1)[0][key], 3) for key in ("rms", "unlike")]
    [0.036, 0.025]
    """

    def rms(sums: np.ndarray) -> np.ndarray:
        values: np.ndarray = np.sqrt(sums[:, 0] / sums[:, 1])
        return values

    table = []
    for site in dict.fromkeys(row["site"] for row in accuracy):
        own = [row for row in accuracy if row["site"] == site]
        of_model, without, unlike, pixels = (
            np.array([row[key] for row in own], dtype=float)
            for key in ("rms_over_std", "superposition", "unlike", "pixels")
        )
        sums = np.stack([of_model**2 * pixels, pixels], axis=1)
        enough = len(own) >= FEWEST_STRUCTURES
        table.append(
            {
                "site": site.replace("_", " "),
                "structures": len(own),
                "rms": float(rms(sums.sum(axis=0)[None])[0]),
                "interval": interval(sums, rms, seed=seed)[1:] if enough else None,
                "superposition": float(np.sqrt(np.average(without**2, weights=pixels))),
                "unlike": float(np.average(unlike, weights=pixels)),
            }
        )
    return table


def costs(benchmarks: Mapping[str, Rows]) -> list[dict[str, Any]]:
    """Sum up what each rule cost, the most expensive first.

    Parameters
    ----------
    benchmarks
        By rule: the rows of all its benchmark files, of which ``s`` (wall time [s]),
        ``max_rss`` (memory [MB]) and ``cpu_time`` (over all cores [s]) are used. A job too
        short to be measured has no number there and counts as 0.

    Returns
    -------
    list of dict
        rule, jobs, wall_s (sum over jobs), longest_s, memory_mb (largest), core_hours.
        The last row, with the rule ``all``, is the whole run.

    Examples
    --------
    >>> rows = [{"s": 7200.0, "max_rss": 100.0, "cpu_time": 3600.0}, {"s": 1.0, "max_rss": "NA"}]
    >>> costs({"run_dft": rows})[0]["core_hours"]
    1.0
    """
    table = []
    for rule, rows in benchmarks.items():
        wall, memory, cpu = (
            [row[key] for row in rows if isinstance(row.get(key), int | float)]
            for key in ("s", "max_rss", "cpu_time")
        )
        table.append(
            {
                "rule": rule,
                "jobs": len(rows),
                "wall_s": sum(wall),
                "longest_s": max(wall, default=0.0),
                "memory_mb": max(memory, default=0.0),
                "core_hours": sum(cpu) / 3600,
            }
        )
    table.sort(key=lambda row: -row["core_hours"])
    if table:
        total = {key: sum(row[key] for row in table) for key in ("jobs", "wall_s", "core_hours")}
        largest = {key: max(row[key] for row in table) for key in ("longest_s", "memory_mb")}
        table.append({"rule": "all"} | total | largest)
    return table


def provenance(record: Mapping[str, Any]) -> dict[str, Any]:
    """Put the record of a run into tables a reader can take in.

    Parameters
    ----------
    record
        Content of ``provenance.json``, see `temdenoise.foundation.provenance.record`.

    Returns
    -------
    dict
        ``about``, of the whole run, and ``files`` with their SHA-256: names and values;
        ``rules``: rule, files, python, machines and packages in words.

    Examples
    --------
    >>> made = {"files": 2, "python": ["3.11.2"], "packages": {"ase": ["3.29.0"]}, "machines": []}
    >>> shown = provenance({"seed": 1, "rules": {"run_dft": made}, "files": {"a.csv": "e3b0"}})
    >>> shown["about"], shown["files"], shown["rules"][0]["packages"]
    ([('seed', '1')], [('a.csv', 'e3b0')], 'ase 3.29.0')
    """
    return {
        "about": flat({k: v for k, v in record.items() if k not in ("rules", "files")}),
        "rules": [
            {
                "rule": rule,
                "files": met["files"],
                "python": ", ".join(met["python"]),
                "machines": "; ".join(", ".join(machine.values()) for machine in met["machines"]),
                "packages": ", ".join(
                    f"{name} {' and '.join(versions)}" for name, versions in met["packages"].items()
                ),
            }
            for rule, met in record.get("rules", {}).items()
        ],
        "files": [
            (f"{name}, {found['n']} files together", found["sha256"])
            if isinstance(found, Mapping)
            else (name, found)
            for name, found in record.get("files", {}).items()
        ],
    }


def written(config: Mapping[str, Any]) -> str:
    """Write a configuration as JSON, each list of numbers or names in one line.

    Examples
    --------
    >>> print(written({"c_noise": [0.1, 0.2]}))
    {
     "c_noise": [0.1, 0.2]
    }
    """
    text = json.dumps(config, indent=1, ensure_ascii=False)

    def in_line(match: re.Match[str]) -> str:
        return "[" + re.sub(r",\n\s*", ", ", match[1]) + "]"

    return re.sub(r"\[\n\s*([^][{}]*?)\n\s*\]", in_line, text)


def flat(content: Any, name: str = "") -> list[tuple[str, str]]:
    """List nested values with their dotted names, for a table of two columns.

    Examples
    --------
    >>> flat({"seed": 1, "packages": {"ase": "3.29.0"}, "noises": ["poisson", "gaussian"]})
    [('seed', '1'), ('packages.ase', '3.29.0'), ('noises', 'poisson, gaussian')]
    """
    if isinstance(content, Mapping):
        return [
            line
            for key, value in content.items()
            for line in flat(value, f"{name}.{key}" if name else str(key))
        ]
    if isinstance(content, list | tuple):
        if any(isinstance(value, Mapping | list) for value in content):
            return [
                line
                for place, value in enumerate(content)
                for line in flat(value, f"{name}.{place}")
            ]
        return [(name, ", ".join(map(str, content)))]
    return [(name, "–" if content is None else str(content))]
