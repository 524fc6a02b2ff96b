"""The one detector of features and defects, the same for every method.

It is calibrated once, on clean training images: the distance of its features from
the images themselves, its two thresholds as half of what a feature and a defect
answer with there. It looks at one image at a time and knows neither the method nor
the truth.

A feature is a dark pore (density) or a bright atom (annular dark field): the
same code with the sign of the image turned. A defect is where the mean
brightness over about one cell departs from that of its surroundings: charge
missing at a vacancy, added by a substitution.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.spatial import cKDTree
from scipy.special import ndtr

from temdenoise.foundation.modes import FEATURES
from temdenoise.foundation.sequences import evenly_spaced

CALIBRATED = 256
"""Images of each crystal that are calibrated on, or fewer; bounds the memory."""


@dataclass(frozen=True)
class Detector:
    """What finds features and defects, with all its numbers.

    Attributes
    ----------
    feature
        ``pores`` (dark) or ``atoms`` (bright).
    sampling
        Pixel size [Å].
    spacing
        Median distance between neighbouring features [pixels].
    feature_threshold
        Smallest answer of the blob filter at a feature [normalised intensity].
    defect_threshold
        Smallest absolute answer of the band-pass filter at a defect; None if no kind of
        defect stands out from the pristine crystal, so that none is looked for.
    visible
        The kinds of defect that stand out, as (kind, element), for a substitution
        (kind, "Mo by W").
    """

    feature: str
    sampling: float
    spacing: float
    feature_threshold: float
    defect_threshold: float | None = None
    visible: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        # read from JSON, pairs are lists
        object.__setattr__(self, "visible", tuple(map(tuple, self.visible)))

    @property
    def border(self) -> float:
        """Width of the rim where nothing is counted [pixels]."""
        return 2 * self.spacing

    def inside(self, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Tell which points (n, 2) lie off the border."""
        last = np.asarray(shape) - 1
        return np.asarray(((points >= self.border) & (points <= last - self.border)).all(axis=1))

    def features(self, image: np.ndarray) -> "Features":
        """Find the features of an image and measure them.

        Parameters
        ----------
        image
            Normalised, shape (x, y), finite.

        Returns
        -------
        Features
        """
        bright = FEATURES[self.feature] * checked_image(image)
        answer = _blobs(bright, self.spacing)
        peaks = _peaks(answer, self.spacing / 2, self.feature_threshold)
        return _measure(bright, peaks, answer[tuple(peaks.T)], self.spacing)

    def defects(self, image: np.ndarray) -> np.ndarray:
        """Find the defects of an image.

        Returns
        -------
        numpy.ndarray
            Positions [pixels], shape (n, 2).
        """
        answer = np.abs(_band(checked_image(image), self.spacing))
        if self.defect_threshold is None:
            return np.empty((0, 2))
        return _peaks(answer, self.spacing, self.defect_threshold).astype(float)

    def confidence(self, features: "Features", sigma: np.ndarray) -> np.ndarray:
        """Probability that a feature would still be found, given the predicted error.

        The answer of the blob filter is taken as normal, with its error that of an image
        whose errors are alike within the feature: Φ((answer - threshold) / σ).

        Parameters
        ----------
        features
            Of the denoised image.
        sigma
            Predicted error of every pixel, shape (x, y).

        Returns
        -------
        numpy.ndarray
            In [0.5, 1], shape (n,).
        """
        error = map_coordinates(
            gaussian_filter(np.asarray(sigma, dtype=float), _SCALE * self.spacing),
            features.centres.T,
            order=1,
            mode="nearest",
        )
        margin = features.answers - self.feature_threshold
        found: np.ndarray = ndtr(margin / np.maximum(error, np.finfo(float).tiny))
        return found

    def evidence(
        self, features: "Features", recorded: np.ndarray, removed: np.ndarray
    ) -> np.ndarray:
        """How far features stand out of the noise in the image before it was denoised.

        The answer of the blob filter to that image at each feature, over the standard deviation
        of its answer to what was taken away, be that white or not.

        Parameters
        ----------
        features
            Of the denoised image.
        recorded, removed
            The image as recorded, and what the denoiser took away of it, shape (x, y).

        Returns
        -------
        numpy.ndarray
            In standard deviations, shape (n,); infinite where nothing was taken away.
        """
        answer = _blobs(FEATURES[self.feature] * checked_image(recorded), self.spacing)
        noise = float(_blobs(checked_image(removed), self.spacing).std())
        found = map_coordinates(answer, features.centres.T, order=1, mode="nearest")
        return found / noise if noise > 0 else np.full(len(found), np.inf)


@dataclass(frozen=True)
class Features:
    """Features of one image, one entry each.

    Attributes
    ----------
    centres
        Position [pixels], shape (n, 2): centroid under a Gaussian window.
    roundness
        sqrt(λ2/λ1) of the second moments: 1 for a circle.
    harmonic_4, harmonic_6
        Relative strength of the 4- and 6-fold harmonic: 0 for a circle.
    answers
        Answer of the blob filter.
    """

    centres: np.ndarray
    roundness: np.ndarray
    harmonic_4: np.ndarray
    harmonic_6: np.ndarray
    answers: np.ndarray

    def __len__(self) -> int:
        return len(self.centres)


# Standard deviation of the blob filter and of the window of the moments over the spacing.
_SCALE = 0.2
# The same for the band-pass of the defects: wide enough to blur the lattice away.
_DEFECT_SCALE = 0.4


def calibrate(
    images: Iterable[np.ndarray],
    sites: Iterable[Sequence[Mapping[str, Any]]] | None = None,
    *,
    sampling: float,
    feature: str = "pores",
    spacing: float | None = None,
) -> Detector:
    """Fix a detector on clean training images.

    Parameters
    ----------
    images
        Normalised clean images, shape (x, y) each.
    sites
        Known defects of each image: ``kind``, ``element``, ``x``, ``y`` [pixels]. Kinds
        whose typical answer does not rise above that of the pristine crystal are
        left out of `Detector.visible` (tungsten in the place of molybdenum
        has the same valence charge, so a density hardly shows it).
    sampling
        Pixel size [Å].
    feature
        A key of `modes.FEATURES`.
    spacing
        Distance between neighbouring features [pixels]; None: measured in the images.

    Raises
    ------
    ValueError
        If the feature is unknown or the images hold no features.
    """
    if feature not in FEATURES:
        raise ValueError(f"feature = {feature!r}: expected one of {', '.join(FEATURES)}")
    checked = [checked_image(image) for image in images]
    # a heavy atom outshines the lattice many times over, so it must not set the scale
    top = 0.9 if FEATURES[feature] > 0 else 1.0
    if spacing is None:
        found = [_spacing(FEATURES[feature] * image, top=top) for image in checked]
        spacing = float(np.median(found))
    answers = []
    for image in checked:
        answer = _blobs(FEATURES[feature] * image, spacing)
        peaks = _peaks(answer, spacing / 2, 0.0)
        heights = answer[tuple(peaks.T)]
        answers.append(heights[heights > np.quantile(heights, top) / 4])
    detector = Detector(feature, sampling, spacing, float(np.median(np.concatenate(answers))) / 2)
    if sites is None:
        return detector
    pristine: list[np.ndarray] = []
    at_kind: dict[tuple[str, str], list[float]] = {}
    for image, known in zip(checked, sites, strict=True):
        answer = np.abs(_band(image, spacing))
        peaks = _peaks(answer, spacing, 0.0)
        peaks = peaks[detector.inside(peaks, image.shape)]
        groups = group_sites(known, distance=1.1 * spacing)
        away = np.ones(len(peaks), bool)
        if groups:
            tree = cKDTree([g["position"] for g in groups])
            away = tree.query(peaks)[0] > 2 * spacing
        pristine.append(answer[tuple(peaks[away].T)])
        for group in groups:
            near = np.hypot(*(peaks - group["position"]).T) <= spacing
            if near.any():
                value = answer[tuple(peaks[near].T)].max()
                for kind in group["kinds"]:
                    at_kind.setdefault(kind, []).append(value)
    floor = float(np.quantile(np.concatenate(pristine), 0.999)) if any(map(len, pristine)) else 0.0
    typical = {kind: float(np.median(values)) for kind, values in at_kind.items()}
    visible = {kind: value for kind, value in typical.items() if value > 2 * floor}
    if not visible:
        return detector
    return replace(
        detector,
        # halfway to the kind that shows least, but above the pristine crystal
        defect_threshold=max(min(visible.values()) / 2, 1.2 * floor),
        visible=tuple(sorted(visible)),
    )


def calibrate_each(
    images: Sequence[np.ndarray],
    sites: Sequence[Sequence[Mapping[str, Any]]],
    n_crystals: int,
    *,
    sampling: float,
    feature: str,
) -> list[Detector]:
    """Fix the detector of each crystal of a run.

    Parameters
    ----------
    images
        Normalised clean training images, shape (x, y) each; of each crystal alternately.
    sites
        Known defects of each image, see `calibrate`.
    n_crystals
        How many crystals there are.
    sampling, feature
        See `calibrate`.
    """
    detectors = []
    for number in range(n_crystals):
        chosen = evenly_spaced(range(number, len(images), n_crystals), CALIBRATED)
        detectors.append(
            calibrate(
                [images[place] for place in chosen],
                [sites[place] for place in chosen],
                sampling=sampling,
                feature=feature,
            )
        )
    return detectors


def detectors_to_dict(detectors: Sequence[Detector]) -> dict[str, Any]:
    """Return plain values for ``detector.json``: the first detector, and others if there are any.

    Examples
    --------
    >>> one = Detector("pores", sampling=0.2, spacing=12.0, feature_threshold=0.1)
    >>> detectors_from_dict(detectors_to_dict([one, one])) == [one, one]
    True
    """
    first, *others = map(asdict, detectors)
    return first | ({"others": others} if others else {})


def detectors_from_dict(values: Mapping[str, Any]) -> list[Detector]:
    """Read the detectors of all crystals from what `detectors_to_dict` returned."""
    first = {key: value for key, value in values.items() if key != "others"}
    return [Detector(**each) for each in (first, *values.get("others", ()))]


def group_sites(sites: Sequence[Mapping[str, Any]], *, distance: float) -> list[dict[str, Any]]:
    """Take neighbouring defect sites as one defect: a double vacancy is one hole.

    Parameters
    ----------
    sites
        ``kind``, ``element``, ``x``, ``y``.
    distance
        Sites up to this far apart belong together, as do chains of such.

    Returns
    -------
    list of dict
        ``position`` (mean) and ``kinds`` (set of (kind, element)) of each group.

    Examples
    --------
    >>> sites = [{"kind": "vacancy", "element": "C", "x": x, "y": 0.0} for x in (0.0, 1.4, 9.0)]
    >>> [g["position"].tolist() for g in group_sites(sites, distance=2.5)]
    [[0.7, 0.0], [9.0, 0.0]]
    """
    if not sites:
        return []
    points = np.array([(site["x"], site["y"]) for site in sites], dtype=float)
    owner = list(range(len(sites)))
    for a, b in sorted(cKDTree(points).query_pairs(distance)):
        old, new = owner[b], owner[a]
        owner = [new if label == old else label for label in owner]
    groups = []
    for label in dict.fromkeys(owner):
        members = [i for i, other in enumerate(owner) if other == label]
        groups.append(
            {
                "position": points[members].mean(axis=0),
                "kinds": {_kind(sites[i]) for i in members},
            }
        )
    return groups


def _kind(site: Mapping[str, Any]) -> tuple[str, str]:
    """Kind of a defect, and the element; of a substitution also what took its place."""
    by = f" by {site['by']}" if site.get("by") else ""
    return site["kind"], site["element"] + by


def checked_image(image: np.ndarray) -> np.ndarray:
    """Return an image as float64.

    Raises
    ------
    ValueError
        If it is not two-dimensional, too small, complex or not finite.
    """
    image = np.asarray(image)
    if image.ndim != 2 or min(image.shape) < 16 or not np.isrealobj(image):
        raise ValueError(
            f"image has shape {image.shape} and type {image.dtype}: expected a real image "
            "(x, y) of at least 16 x 16 pixels"
        )
    if not np.isfinite(image).all():
        raise ValueError("image holds values that are not finite; replace them first")
    return image.astype(float)


def _blobs(bright: np.ndarray, spacing: float) -> np.ndarray:
    """Answer to bright blobs: difference of Gaussians, 0 on any slope."""
    return _difference_of_gaussians(bright, _SCALE * spacing)


def _band(image: np.ndarray, spacing: float) -> np.ndarray:
    """Brightness over about a cell less that of its surroundings."""
    return _difference_of_gaussians(image, _DEFECT_SCALE * spacing)


def _difference_of_gaussians(image: np.ndarray, width: float) -> np.ndarray:
    answer: np.ndarray = gaussian_filter(image, width) - gaussian_filter(image, 2.0 * width)
    return answer


def _peaks(answer: np.ndarray, distance: float, threshold: float) -> np.ndarray:
    """Pixels above a threshold with nothing larger within a distance, shape (n, 2)."""
    top = (answer == maximum_filter(answer, size=3, mode="nearest")) & (answer > threshold)
    peaks = np.argwhere(top)
    peaks = peaks[np.argsort(-answer[top], kind="stable")]
    kept = np.ones(len(peaks), bool)
    if len(peaks) > 1:
        for i, near in enumerate(cKDTree(peaks).query_ball_point(peaks, distance)):
            if kept[i]:
                kept[[j for j in near if j > i]] = False
    return peaks[kept]


def _spacing(bright: np.ndarray, *, top: float = 1.0) -> float:
    """Distance between neighbouring features of a clean image [pixels].

    A feature answers with at least a third of the quantile `top` of all answers.

    The blob filter needs the distance it is to find: begin small, so that
    nothing is merged, and let the two agree.
    """
    spacing = 8.0
    for _ in range(8):
        answer = _blobs(bright, spacing)
        peaks = _peaks(answer, 0.45 * spacing, 0.0)
        if len(peaks) < 3:
            break
        values = answer[tuple(peaks.T)]
        peaks = peaks[values > np.quantile(values, top) / 3]
        if len(peaks) < 3:
            break
        found = float(np.median(cKDTree(peaks).query(peaks, k=2)[0][:, 1]))
        if abs(found - spacing) < 0.1:
            return found
        spacing = found
    else:
        return spacing
    raise ValueError("the images hold fewer than three features: no detector can be calibrated")


def _measure(
    bright: np.ndarray, peaks: np.ndarray, answers: np.ndarray, spacing: float
) -> Features:
    """Centroids and moments under a Gaussian window that follows the centroid."""
    reach = max(2, round(0.5 * spacing))
    offsets = np.arange(-reach, reach + 1)
    u, v = (a.ravel().astype(float) for a in np.meshgrid(offsets, offsets, indexing="ij"))
    within = np.hypot(u, v) <= reach
    u, v = u[within], v[within]
    window = np.exp(-(u**2 + v**2) / (2 * (_SCALE * spacing) ** 2))
    rim = np.hypot(u, v) > 0.8 * reach
    centres = peaks.astype(float)
    weights = np.zeros((len(peaks), len(u)))
    for _ in range(8):
        values = _sample(bright, centres, u, v)
        # what stands out of the rim, which is never negative for a feature
        weights = np.maximum(values - values[:, rim].mean(axis=1, keepdims=True), 0) * window
        total = np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
        # the window halves the step to a feature as wide as itself and leaves that to a
        # narrow one: half as far again halves the distance left for either
        shift = 1.5 * np.stack([weights @ u, weights @ v], axis=1) / total[:, None]
        centres = np.clip(centres + np.clip(shift, -1, 1), 0, np.array(bright.shape) - 1.0)
    total = np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
    mean = [(weights @ w) / total for w in (u, v)]
    xx, xy, yy = (
        (weights @ product) / total - a * b
        for product, a, b in (
            (u * u, mean[0], mean[0]),
            (u * v, mean[0], mean[1]),
            (v * v, mean[1], mean[1]),
        )
    )
    half, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    z = u + 1j * v
    harmonics = [
        np.abs(weights @ z**n) / np.maximum(weights @ np.abs(z) ** n, np.finfo(float).tiny)
        for n in (4, 6)
    ]
    return Features(
        centres=centres,
        roundness=np.sqrt(np.maximum(half - spread, 0) / np.maximum(half + spread, 1e-12)),
        harmonic_4=harmonics[0],
        harmonic_6=harmonics[1],
        answers=answers,
    )


def _sample(image: np.ndarray, centres: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    points = [centres[:, [i]] + offset for i, offset in enumerate((u, v))]
    values: np.ndarray = map_coordinates(image, points, order=1, mode="nearest")
    return values
