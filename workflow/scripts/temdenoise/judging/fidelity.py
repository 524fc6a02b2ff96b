"""Fidelity: whether pores (or atoms) and defects are where they should be, and round."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from temdenoise.judging.detector import Detector, Features, checked_image, group_sites


class ComparedFeatures(TypedDict):
    """What `compare_features` returns."""

    squared_distance: np.ndarray
    roundness_error: np.ndarray
    true: int
    found: int
    paired: int


class ComparedDefects(TypedDict):
    """What `compare_defects` returns."""

    true: int
    found: int
    paired: int
    by_kind: dict[tuple[str, str], list[int]]


def match(found: np.ndarray, true: np.ndarray, *, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Pair points so that the sum of squared distances is smallest (Hungarian method).

    Parameters
    ----------
    found, true
        Positions, shapes (n, 2) and (m, 2).
    distance
        Pairs farther apart are none.

    Returns
    -------
    tuple of numpy.ndarray
        Indices into `found` and into `true` of the pairs.
    """
    if not len(found) or not len(true):
        return np.empty(0, int), np.empty(0, int)
    near = cKDTree(true).query_ball_point(found, distance)
    # only clusters of points in each other's reach compete: solve within those alone
    cost = np.full((len(found), len(true)), 4 * distance**2)
    for i, neighbours in enumerate(near):
        cost[i, neighbours] = ((found[i] - true[neighbours]) ** 2).sum(axis=1)
    rows, columns = linear_sum_assignment(cost)
    close = cost[rows, columns] <= distance**2
    return rows[close], columns[close]


def compare_features(
    found: Features,
    true: Features,
    sites: Sequence[Mapping[str, Any]],
    detector: Detector,
    shape: Sequence[int],
) -> ComparedFeatures:
    """Compare the features of a denoised image with those of the clean one.

    Parameters
    ----------
    found, true
        Features of the two images.
    sites
        Known defects. Within 1.2 spacings of one, features are counted but not measured:
        a hole with three lobes has no centre and no roundness, and has a score of its own.
    detector, shape
        What found them, and the images' shape.

    Returns
    -------
    ComparedFeatures
        ``squared_distance`` [pixels²] and ``roundness_error`` of each pair that is measured;
        the numbers ``true``, ``found`` and ``paired`` of features off the border.
    """
    paired, partner = match(found.centres, true.centres, distance=detector.spacing / 2)
    alone = np.delete(found.centres, paired, axis=0)
    inner = detector.inside(true.centres, shape)
    paired, partner = paired[inner[partner]], partner[inner[partner]]
    whole = np.ones(len(partner), bool)
    if len(sites):
        places = cKDTree([(site["x"], site["y"]) for site in sites])
        whole = places.query(true.centres[partner])[0] > 1.2 * detector.spacing
    apart = found.centres[paired[whole]] - true.centres[partner[whole]]
    return {
        "squared_distance": (apart**2).sum(axis=1),
        "roundness_error": found.roundness[paired[whole]] - true.roundness[partner[whole]],
        "true": int(inner.sum()),
        # one with a partner counts where that lies, one without where it lies itself
        "found": len(paired) + int(detector.inside(alone, shape).sum()),
        "paired": len(paired),
    }


def compare_defects(
    found: np.ndarray,
    sites: Sequence[Mapping[str, Any]],
    detector: Detector,
    shape: Sequence[int],
) -> ComparedDefects:
    """Count true, found and paired defects.

    Sites on the border, and those of a kind that does not show, count neither
    as missed nor what is found at them as false.

    Returns
    -------
    ComparedDefects
        ``true``, ``found``, ``paired``; ``by_kind``: how many there were and how many
        were found, of every kind alone or together with others, those that do not show too.
    """
    groups = group_sites(sites, distance=1.1 * detector.spacing)
    true = np.array([g["position"] for g in groups]).reshape(-1, 2)
    inside = detector.inside(true, shape) if len(true) else np.zeros(0, dtype=bool)
    counts = np.array([bool(g["kinds"].intersection(detector.visible)) for g in groups], dtype=bool)
    counts &= inside
    paired, partner = match(found, true, distance=detector.spacing)
    alone = np.setdiff1d(np.arange(len(found)), paired)
    false = int(detector.inside(found[alone], shape).sum()) if len(alone) else 0
    hits = int(counts[partner].sum())
    by_kind: dict[tuple[str, str], list[int]] = {}
    for number in np.flatnonzero(inside):
        for kind in groups[number]["kinds"]:
            tally = by_kind.setdefault(kind, [0, 0])
            tally[0] += 1
            tally[1] += int(number in partner)
    return {
        "true": int(counts.sum()),
        "found": hits + false,
        "paired": hits,
        "by_kind": by_kind,
    }


def seam_gradients(tiled: np.ndarray, whole: np.ndarray, *, tile: int) -> dict[str, float]:
    """Sum gradients on the borders of tiles and elsewhere, see `seam_ratio`.

    Parameters
    ----------
    tiled, whole
        The image predicted in tiles and at once, shape (x, y).
    tile
        Side of the tiles [pixels].
    """
    sums = dict.fromkeys(("tiled_border", "tiled_inside", "whole_border", "whole_inside"), 0.0)
    for name, image in (("tiled", checked_image(tiled)), ("whole", checked_image(whole))):
        for axis in (0, 1):
            step = np.abs(np.diff(image, axis=axis))
            border = np.arange(1, image.shape[axis]) % tile == 0
            sums[f"{name}_border"] += float(step.compress(border, axis).sum())
            sums[f"{name}_inside"] += float(step.compress(~border, axis).sum())
    return sums


def seam_ratio(sums: Iterable[Mapping[str, float]]) -> float:
    """Mean gradient on tile borders over that elsewhere, relative to the image without tiles.

    1 means no seam. The ratio of the same network's image without tiles is divided out,
    since borders happen to run through more or less steep parts of the lattice. NaN if
    no border lies in the images.

    Parameters
    ----------
    sums
        What `seam_gradients` gave for each image.
    """
    total: dict[str, float] = {}
    for each in sums:
        for key, value in each.items():
            total[key] = total.get(key, 0.0) + value
    if not (total.get("whole_border") and total["tiled_inside"]):
        return float("nan")
    return (total["tiled_border"] / total["whole_border"]) / (
        total["tiled_inside"] / total["whole_inside"]
    )
