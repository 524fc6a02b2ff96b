"""Which rows of the quality table charts and tables set against each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from temdenoise.report.methods import NETWORK_METHODS


def compared(quality: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Choose each network where it belongs, and its best rival.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.

    Returns
    -------
    list of dict
        The rows of ``raw``, of each network on the noise it was trained on, and of
        ``best_classical``: whichever of the tuned methods has the best MS-SSIM at that
        noise and C; its name stands in `trained_on`.
    """
    kept: list[dict[str, Any]] = []
    best: dict[tuple[str, float], Mapping[str, Any]] = {}
    for row in quality:
        if row["method"] == "raw":
            kept.append(dict(row))
        elif row["method"] in NETWORK_METHODS:
            if row["trained_on"] in ("all", row["noise"]):
                kept.append(dict(row))
        elif row["method"] != "constant":
            place = row["noise"], row["c_noise"]
            if place not in best or row["ms_ssim"] > best[place]["ms_ssim"]:
                best[place] = row
    rivals = [
        {**row, "method": "best_classical", "trained_on": row["method"]} for row in best.values()
    ]
    return kept + rivals
