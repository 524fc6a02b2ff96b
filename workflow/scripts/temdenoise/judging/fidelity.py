"""Fidelity: whether pores (or atoms) and defects are where they should be, and round."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

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


class MatchedFeatures(NamedTuple):
    """Features of a denoised image beside those of the clean one.

    Attributes
    ----------
    paired, partner
        Indices of the pairs, into the features found and into the true ones.
    whole
        Which pairs lie farther than 1.2 spacings from every known defect.
    alone
        Centres of the features found that have no partner, shape (n, 2) [pixels].
    """

    paired: np.ndarray
    partner: np.ndarray
    whole: np.ndarray
    alone: np.ndarray


def match_features(
    found: Features, true: Features, sites: Sequence[Mapping[str, Any]], detector: Detector
) -> MatchedFeatures:
    """Pair the features of a denoised image with those of the clean one, see `compare_features`."""
    paired, partner = match(found.centres, true.centres, distance=detector.spacing / 2)
    whole = np.ones(len(partner), bool)
    if len(sites):
        places = cKDTree([(site["x"], site["y"]) for site in sites])
        whole = places.query(true.centres[partner])[0] > 1.2 * detector.spacing
    return MatchedFeatures(paired, partner, whole, np.delete(found.centres, paired, axis=0))


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
    matched = match_features(found, true, sites, detector)
    inner = detector.inside(true.centres, shape)
    counted = inner[matched.partner]
    measured = counted & matched.whole
    one, other = matched.paired[measured], matched.partner[measured]
    apart = found.centres[one] - true.centres[other]
    return {
        "squared_distance": (apart**2).sum(axis=1),
        "roundness_error": found.roundness[one] - true.roundness[other],
        "true": int(inner.sum()),
        # one with a partner counts where that lies, one without where it lies itself
        "found": int(counted.sum()) + int(detector.inside(matched.alone, shape).sum()),
        "paired": int(counted.sum()),
    }


class MatchedDefects(NamedTuple):
    """Defects of a denoised image beside the known ones.

    Attributes
    ----------
    groups
        The known defects, see `detector.group_sites`.
    positions
        Of these, shape (n, 2) [pixels].
    visible
        Which of them are of a kind that shows, shape (n,).
    hit
        Which of them are found, shape (n,).
    alone
        Where something is found that is no known defect, shape (m, 2) [pixels].
    """

    groups: list[dict[str, Any]]
    positions: np.ndarray
    visible: np.ndarray
    hit: np.ndarray
    alone: np.ndarray


def match_defects(
    found: np.ndarray, sites: Sequence[Mapping[str, Any]], detector: Detector
) -> MatchedDefects:
    """Pair what is found with the known defects, those of a kind that does not show too."""
    groups = group_sites(sites, distance=1.1 * detector.spacing)
    positions = np.array([g["position"] for g in groups]).reshape(-1, 2)
    shows = [bool(g["kinds"].intersection(detector.visible)) for g in groups]
    paired, partner = match(found, positions, distance=detector.spacing)
    hit = np.zeros(len(groups), dtype=bool)
    hit[partner] = True
    alone = np.delete(found, paired, axis=0)
    return MatchedDefects(groups, positions, np.array(shows, dtype=bool), hit, alone)


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
    matched = match_defects(found, sites, detector)
    inside = np.zeros(0, dtype=bool)
    if len(matched.groups):
        inside = detector.inside(matched.positions, shape)
    counts = matched.visible & inside
    false = int(detector.inside(matched.alone, shape).sum()) if len(matched.alone) else 0
    hits = int((counts & matched.hit).sum())
    by_kind: dict[tuple[str, str], list[int]] = {}
    for number in np.flatnonzero(inside):
        for kind in matched.groups[number]["kinds"]:
            tally = by_kind.setdefault(kind, [0, 0])
            tally[0] += 1
            tally[1] += int(matched.hit[number])
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
