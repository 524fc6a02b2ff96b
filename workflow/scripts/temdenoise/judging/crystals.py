"""Tables of several crystals in one run: each evaluated with its own detector, then pooled."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
KEYS = ("method", "trained_on", "noise", "c_noise", "region")
COUNTS = ("n_images", "n_defects")


def pooled(tables: Sequence[Sequence[Mapping[str, Any]]]) -> Rows:
    """Average the rows of several crystals, weighted by their images; counts are added.

    A figure that does not apply to a crystal (is empty) is left out of its average.

    Parameters
    ----------
    tables
        One table per crystal, with `KEYS` and figures; the same rows in each.

    Examples
    --------
    >>> about = dict.fromkeys(KEYS, "")
    >>> one, two = about | {"f1": 1.0, "n_images": 3}, about | {"f1": 0.6, "n_images": 1}
    >>> [(row["f1"], row["n_images"]) for row in pooled([[one], [two]])]
    [(0.9, 4)]
    """
    if len(tables) == 1:
        return [dict(row) for row in tables[0]]
    result = []
    for rows in zip(*tables, strict=True):
        row = {key: rows[0][key] for key in KEYS}
        for key in rows[0]:
            known = [(r[key], r["n_images"]) for r in rows if r[key] != ""]
            if key in COUNTS:
                row[key] = sum(r[key] for r in rows)
            elif key not in KEYS:
                values, weights = zip(*known, strict=True) if known else ((), ())
                row[key] = float(np.average(values, weights=weights)) if known else ""
        result.append(row)
    return result


def by_crystal(
    names: Sequence[str],
    quality: Sequence[Sequence[Mapping[str, Any]]],
    fidelity: Sequence[Sequence[Mapping[str, Any]]],
) -> Rows:
    """List quality and fidelity of every crystal, in rows that begin with its name.

    Parameters
    ----------
    names
        Of the crystals.
    quality, fidelity
        One table per crystal. Methods whose fidelity is not measured have no row.
    """
    result = []
    for name, scores, details in zip(names, quality, fidelity, strict=True):
        score = {tuple(row[key] for key in KEYS): row for row in scores}
        for row in details:
            own = score[tuple(row[key] for key in KEYS)]
            result.append({"crystal": name, **{k: row[k] for k in KEYS}, **own, **row})
    return result
