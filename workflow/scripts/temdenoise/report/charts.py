"""Charts of the report as Vega-Lite specifications, and the library that draws them.

A specification is plain JSON: it holds the numbers it shows, so that the page needs no
other file. What may be chosen in the page is a parameter of the specification: ``shown``
(labels of methods), ``quantity`` and ``structure``.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import vl_convert

from temdenoise.images.noise import NOISES
from temdenoise.report.comparison import compared
from temdenoise.report.methods import CLASSICAL, COMPARED, METHODS, NETWORK_METHODS, method_label

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

SHAPES = {"s": "square", "^": "triangle-up", "v": "triangle-down", "o": "circle", "D": "diamond"}
"""Vega's names of the markers of `methods.METHODS`."""

OTHER_SHAPES = ("cross", "triangle-left", "triangle-right")
DASHES = ([2, 2], [6, 2], [6, 2, 2, 2], [10, 3])

GLYPHS = {
    "square": "M-5-5h10v10h-10z",
    "triangle-up": "M0-6l6 11h-12z",
    "triangle-down": "M0 6l6-11h-12z",
    "triangle-left": "M-6 0l11-6v12z",
    "triangle-right": "M6 0l-11-6v12z",
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "diamond": "M0-6l6 6-6 6-6-6z",
    "cross": "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
}
"""The same shapes as SVG paths, for the legend in the page."""

REGIONS = {"interpolation": "#0072B2", "extrapolation": "#D55E00"}
"""Shades behind the trained range and what lies beyond."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999")
"""Okabe and Ito's colours, for lines that are not methods."""


FEW = {"tickCount": 5, "tickMinStep": 0.01}
WHOLE = {"tickCount": 6, "tickMinStep": 1}
"""Axes with few marks, of which those that count have none between whole numbers."""


@cache
def library() -> str:
    """Give Vega, Vega-Lite and Vega-Embed as one script (BSD licence), about 0.9 MB."""
    return vl_convert.javascript_bundle()  # type: ignore[call-arg]  # optional; its stub errs


def methods(rows: Rows) -> list[dict[str, Any]]:
    """List the methods of a table with their looks, in the order of the charts.

    Parameters
    ----------
    rows
        Rows with the key ``method``.

    Returns
    -------
    list of dict
        name, label, colour, shape, dash; ``usual`` tells which are shown at first.
    """
    present = dict.fromkeys(row["method"] for row in rows)
    looks: list[dict[str, Any]] = [
        {
            "name": name,
            "colour": METHODS[name].colour,
            "shape": SHAPES[METHODS[name].marker],
            "dash": [1, 0],
        }
        for name in COMPARED
        if name in present
    ]
    others = [name for name in present if name not in COMPARED]
    looks += [
        {
            "name": name,
            "colour": METHODS[name].colour if name in METHODS else CLASSICAL,
            "shape": OTHER_SHAPES[place % len(OTHER_SHAPES)],
            "dash": DASHES[place % len(DASHES)],
        }
        for place, name in enumerate(others)
    ]
    return [
        look | {"label": method_label(look["name"]), "usual": look["name"] in COMPARED}
        for look in looks
    ]


def every_method(quality: Rows) -> list[dict[str, Any]]:
    """Rows of each method where it belongs: networks on their noise, each classical, the best.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    """
    single = [
        dict(r) for r in quality if r["method"] not in NETWORK_METHODS and r["method"] != "raw"
    ]
    return compared(quality) + single


def against_c(
    rows: Rows,
    *,
    looks: Sequence[Mapping[str, Any]],
    quantities: Mapping[str, str],
    reference: float | None = None,
    height: int = 230,
) -> Spec:
    """Chart quantities of one noise against C, both regions shaded.

    Parameters
    ----------
    rows
        Rows of one noise with method, c_noise, region and the quantities; a quantity
        that does not apply is empty and left out.
    looks
        Of the methods, see `methods`.
    quantities
        Columns to choose from, with their titles; the first is shown at first.
    reference
        A value to draw a line at.
    height
        Of the plot [pixels].

    Returns
    -------
    dict
        The specification, with the parameters ``shown`` and ``quantity``.
    """
    look = {entry["name"]: entry for entry in looks}
    values = [
        {
            "C": row["c_noise"],
            "Method": look[row["method"]]["label"],
            "region": row["region"],
            # of the best classical method its name stands there
            "which": method_label(row["trained_on"]) if row["method"] == "best_classical" else "",
            "quantity": title,
            "value": row[column],
        }
        for row in rows
        if row["method"] in look
        for column, title in quantities.items()
        if row[column] != ""
    ]
    present = {entry["Method"] for entry in values}
    used = [entry for entry in looks if entry["label"] in present]
    labels = [entry["label"] for entry in used]

    def scale(key: str) -> Spec:
        return {"domain": labels, "range": [entry[key] for entry in used]}

    first = next(iter(quantities.values()))
    several = len(quantities) > 1
    chosen = "indexof(shown, datum.Method) >= 0 && datum.quantity == quantity"
    x = {"field": "C", "type": "quantitative", "title": "Noise coefficient C", "axis": FEW}
    y = {
        "field": "value",
        "type": "quantitative",
        "title": None if several else first,
        "scale": {"zero": False},
    }
    colour = {"field": "Method", "scale": scale("colour"), "legend": None}
    layers = _regions(rows)
    if reference is not None:
        line = {"type": "rule", "strokeDash": [4, 3], "color": "#7F7F7F"}
        layers.append(
            {
                "data": {"values": [{"value": reference}]},
                "mark": line,
                "encoding": {"y": {"field": "value", "type": "quantitative"}},
            }
        )
    layers += [
        {
            "transform": [{"filter": chosen}],
            "mark": {"type": "line", "strokeWidth": 1.6, "aria": False},
            "encoding": {
                "x": x,
                "y": y,
                "color": colour,
                "strokeDash": {"field": "Method", "scale": scale("dash"), "legend": None},
            },
        },
        {
            "transform": [{"filter": chosen}],
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "color": colour,
                "shape": {"field": "Method", "scale": scale("shape"), "legend": None},
                "tooltip": [
                    {"field": "Method"},
                    {"field": "which", "title": "which is"},
                    {"field": "C", "type": "quantitative"},
                    {"field": "quantity"},
                    {"field": "value", "type": "quantitative", "format": ".5~g"},
                    {"field": "region"},
                ],
            },
        },
    ]
    return _sized(
        layers,
        height,
        data={"values": values},
        params=[
            {"name": "shown", "value": [e["label"] for e in used if e["usual"]]},
            {"name": "quantity", "value": first},
        ],
    )


def _regions(rows: Rows) -> list[Spec]:
    """Shade the trained range and what lies beyond, with their names."""
    by_region: dict[str, list[float]] = {}
    for row in rows:
        by_region.setdefault(row["region"], []).append(row["c_noise"])
    ends = sorted((min(c), max(c), region) for region, c in by_region.items())
    bands, last = [], ends[0][0] if ends else 0.0
    for (_, high, region), following in zip(ends, [*ends[1:], None], strict=True):
        end = (high + following[0]) / 2 if following else high
        bands.append({"from": last, "to": end, "region": region})
        last = end
    domain = list(REGIONS)
    data = {"values": bands}
    x = {
        "x": {"field": "from", "type": "quantitative", "scale": {"zero": False, "nice": False}},
        "x2": {"field": "to"},
    }
    colours = {"domain": domain, "range": [REGIONS[region] for region in domain]}
    middle = {"calculate": "(datum.from + datum.to) / 2", "as": "middle"}
    return [
        {
            "data": data,
            "mark": {"type": "rect", "opacity": 0.1, "aria": False},
            "encoding": x | {"fill": {"field": "region", "scale": colours, "legend": None}},
        },
        {
            "data": data,
            "transform": [middle],
            "mark": {"type": "text", "y": -7, "fontSize": 10, "aria": False},
            "encoding": {
                "x": {"field": "middle", "type": "quantitative"},
                "text": {"field": "region"},
            },
        },
    ]


def training(histories: Mapping[str, Rows]) -> Spec:
    """Chart the mean absolute error of some networks against the steps of the optimiser.

    Parameters
    ----------
    histories
        Rows of ``metrics.csv`` (step, train_l1, val_l1) by the name to show.
    """
    kinds = {"train_l1": "training", "val_l1": "validation"}
    values = [
        {"step": row["step"], "network": name, "images": kind, "error": row[column]}
        for name, rows in histories.items()
        for row in rows
        for column, kind in kinds.items()
    ]
    names = list(histories)
    mark = {"type": "line", "strokeWidth": 1.6, "point": {"size": 18}}
    encoding = {
        "x": {"field": "step", "type": "quantitative", "title": "Optimiser step", "axis": WHOLE},
        "y": {
            "field": "error",
            "type": "quantitative",
            "title": "Mean absolute error",
            "scale": {"type": "log"},
            "axis": {"tickCount": 5},
        },
        "color": {
            "field": "network",
            "title": None,
            "scale": {
                "domain": names,
                "range": [PALETTE[place % len(PALETTE)] for place in range(len(names))],
            },
            "legend": {"orient": "top", "columns": 2, "labelLimit": 220},
        },
        "strokeDash": {
            "field": "images",
            "scale": {"domain": list(kinds.values()), "range": [[2, 3], [1, 0]]},
            "legend": None,
        },
        "tooltip": [
            {"field": "network"},
            {"field": "images"},
            {"field": "step", "type": "quantitative"},
            {"field": "error", "type": "quantitative", "format": ".5~g"},
        ],
    }
    return _sized([{"mark": mark, "encoding": encoding}], 230, data={"values": values})


def convergence(structures: Mapping[str, Mapping[str, Any]]) -> Spec:
    """Chart how the density converged in the last attempt, one structure standing out.

    Parameters
    ----------
    structures
        DFT summary of each structure; one without SCF steps (free atoms) has no line.

    Returns
    -------
    dict
        The specification, with the parameter ``structure``.
    """
    values = [
        {
            "structure": name,
            "step": step["step"],
            "change": step["density_change_e"],
            "energy": step["energy_ev"],
        }
        for name, summary in structures.items()
        for attempt in summary.get("attempts", [])[-1:]
        for step in attempt["history"]
        # a logarithm has no room for the first step's missing change or an exact zero
        if step["density_change_e"]
    ]
    encoding = {
        "x": {"field": "step", "type": "quantitative", "title": "SCF step", "axis": WHOLE},
        "y": {
            "field": "change",
            "type": "quantitative",
            "title": "Density change (e)",
            "scale": {"type": "log"},
            "axis": {"tickCount": 5},
        },
        "detail": {"field": "structure"},
    }
    chosen = {
        "transform": [{"filter": "datum.structure == structure"}],
        "mark": {"type": "line", "color": PALETTE[0], "strokeWidth": 2.2, "point": {"size": 40}},
        "encoding": encoding
        | {
            "tooltip": [
                {"field": "structure"},
                {"field": "step", "type": "quantitative"},
                {"field": "change", "type": "quantitative", "format": ".4~g"},
                {"field": "energy", "type": "quantitative", "title": "energy (eV)"},
            ]
        },
    }
    faint = {"type": "line", "color": "#8C959F", "opacity": 0.5, "strokeWidth": 1, "aria": False}
    return _sized(
        [{"mark": faint, "encoding": encoding}, chosen],
        230,
        data={"values": values},
        params=[{"name": "structure", "value": next(iter(structures), "")}],
    )


def core_hours(costs: Rows) -> Spec:
    """Chart the core-hours of each rule, see `tables.costs`."""
    values = [dict(row) for row in costs if row["rule"] != "all"]
    encoding = {
        "y": {"field": "rule", "type": "nominal", "sort": None, "title": None},
        "x": {"field": "core_hours", "type": "quantitative", "title": "Core-hours"},
        "tooltip": [{"field": "rule"}]
        + [
            {"field": key, "type": "quantitative", "title": title, "format": form}
            for key, title, form in (
                ("jobs", "jobs", "d"),
                ("core_hours", "core-hours", ".3~g"),
                ("wall_s", "time, all jobs (s)", ".4~g"),
                ("longest_s", "longest job (s)", ".4~g"),
                ("memory_mb", "memory (MB)", ".4~g"),
            )
        ],
    }
    bar = {"mark": {"type": "bar", "color": PALETTE[0]}, "encoding": encoding}
    return _sized([bar], 20 * max(1, len(values)), data={"values": values})


def _sized(layers: list[Spec], height: int, **rest: Any) -> Spec:
    return {"width": "container", "height": height, "background": None, "layer": layers} | rest


def noise_titles(rows: Rows) -> dict[str, str]:
    """Titles of the noises that occur in a table, in its order."""
    return {noise: NOISES[noise].title for noise in dict.fromkeys(row["noise"] for row in rows)}
