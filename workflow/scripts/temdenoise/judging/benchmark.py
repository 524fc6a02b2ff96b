"""Every method on the reference test set: what is kept of each structure, and the tables of it.

A further figure is one entry of `FIGURES`, and what it adds up in `sums_of`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from temdenoise.foundation.lattices import LATTICES
from temdenoise.foundation.quantities import PixelSize
from temdenoise.foundation.seeding import generator
from temdenoise.images.datasets import IntensityScale
from temdenoise.images.noise import NoiseOptions, corrupt
from temdenoise.judging.classical import BASELINES, tune_all
from temdenoise.judging.crystals import Rows
from temdenoise.judging.detector import Detector, Features, calibrate
from temdenoise.judging.evaluation import Method, methods
from temdenoise.judging.fidelity import MatchedDefects, match_defects, match_features
from temdenoise.judging.intervals import CONFIDENCE, proportion, rate
from temdenoise.judging.merits import EMPTY, Cell
from temdenoise.judging.metrics import (
    RingValues,
    error_spectrum,
    fourier_ring_correlation,
    intensity_errors,
    loss_by_scale,
    ms_ssim_maps,
    pooled_ms_ssim,
    sums_by_label,
)
from temdenoise.judging.programs import Program
from temdenoise.judging.reference import (
    SAMPLING,
    ReferenceImage,
    read_reference,
    reference_files,
    reference_image,
)
from temdenoise.judging.statistics import Statistic, interval, paired_difference, ratio
from temdenoise.learning.inference import load

NEAR = 2.0
"""What lies this near a defect or an edge is judged by itself [Å]."""

PIXEL = PixelSize(SAMPLING, SAMPLING)
"""Of the images, as the metrics take it [Å]."""

ATOM = 0.5
"""Radius about an atom within which intensity is integrated [Å]."""

FEATURELESS = (4, 512)
"""Images of noise alone of either brightness, and their side [pixels]: some 700 nm² in all."""

SLOW_C = (0.25,)
"""C at which slow methods and other people's programs are judged."""

SLOW_NOISES = ("gaussian", "poisson")
"""Noises with which they are judged."""

RINGS_C = (0.25,)
"""C for which errors are listed by spatial frequency, which takes many rows."""

PLACES = ("bulk", "defect", "edge")
"""Parts of an image whose sigma is judged by itself."""

Sums = dict[str, np.ndarray]
"""What is added up of each structure: arrays of shape (n_structures, columns)."""

Added = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Adds up values by the structure each belongs to (-1: none): shape (n_structures, 1)."""

Key = tuple[str, str, str, float]
"""Method, what it was trained on, noise and C."""


@dataclass(frozen=True)
class Task:
    """One noise, C and crystal.

    Attributes
    ----------
    reference
        File of the test set.
    noise, c_noise
        Of the frames.
    seed
        Of order and noise.
    models
        What to call each trained network (empty: what it calls itself), and its file.
    programs
        Other people's programs.
    classical
        Whether the classical methods are judged, too.
    """

    reference: Path
    noise: str
    c_noise: float
    seed: int
    models: Sequence[tuple[str, Path]] = ()
    programs: Sequence[Program] = ()
    classical: bool = True

    @property
    def slow(self) -> bool:
        """Whether slow methods are judged here."""
        return self.noise in SLOW_NOISES and self.c_noise in SLOW_C


@dataclass(frozen=True)
class Judged:
    """One method at one noise, C and crystal.

    Attributes
    ----------
    method, trained_on
        What the tables call it.
    reference, crystal
        Of the test set.
    noise, c_noise
        Of the frames.
    sums
        See `Sums`.
    kinds
        How many defects of each kind and element there were, and how many were found.
    rings
        Correlation with the truth and error by spatial frequency.
    setting
        What is set of a classical method.
    invented
        Features found in noise alone and its area [nm²]; None if it was not looked at.
    """

    method: str
    trained_on: str
    reference: str
    crystal: str
    noise: str
    c_noise: float
    sums: Sums
    kinds: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    rings: tuple[RingValues, RingValues] | None = None
    setting: str = ""
    invented: tuple[int, float] | None = None


@dataclass(frozen=True)
class Figure:
    """One figure of merit of the benchmark.

    Attributes
    ----------
    name
        With its unit.
    columns
        The sums it is made of, one after the other.
    statistic
        Function of the added sums, shape (n, columns): the figure, shape (n,).
    exact
        Function of the added sums: the interval, for what is counted; None: by bootstrap over
        structures.
    """

    name: str
    columns: Sequence[str]
    statistic: Statistic
    exact: Callable[[np.ndarray], tuple[float, float]] | None = None

    def row(self, parts: Sequence[Judged], *, seed: int) -> dict[str, Cell]:
        """Give the figure of some crystals together: value, low, high and n, the structures."""
        sums, strata = _together(parts, self.columns)
        value = float(self.statistic(sums.sum(axis=0, keepdims=True))[0])
        low, high = float("nan"), float("nan")
        if np.isfinite(value):
            if self.exact is not None:
                low, high = self.exact(sums.sum(axis=0))
            else:
                _, low, high = interval(sums, self.statistic, strata=strata, seed=seed)
        cells = {"value": value, "low": low, "high": high}
        return {
            "figure": self.name,
            **{key: cell if np.isfinite(cell) else EMPTY for key, cell in cells.items()},
            "n": len(sums),
        }


def _together(parts: Sequence[Judged], columns: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Join the sums of the structures of some crystals; also the crystal of each."""
    arrays = [np.concatenate([part.sums[name] for name in columns], axis=1) for part in parts]
    strata = [part.reference for part, array in zip(parts, arrays, strict=True) for _ in array]
    return np.concatenate(arrays), strata


def _root(factor: float) -> Statistic:
    return lambda sums: factor * np.sqrt(ratio(sums))


def _ms_ssim(sums: np.ndarray) -> np.ndarray:
    return pooled_ms_ssim(sums[:, :5], sums[:, 5:])


def _scale(number: int) -> Statistic:
    return lambda sums: loss_by_scale(sums[:, :5], sums[:, 5:])[:, number]


def _proportion(sums: np.ndarray) -> tuple[float, float]:
    return proportion(int(sums[0]), int(sums[1]))


def _rate(sums: np.ndarray) -> tuple[float, float]:
    return rate(int(sums[0]), float(sums[1]))


_MS_SSIM = ("ms_ssim_sums", "ms_ssim_counts")

FIGURES = (
    Figure("ms_ssim", _MS_SSIM, _ms_ssim),
    *(Figure(f"loss_share_scale_{n + 1}", _MS_SSIM, _scale(n)) for n in range(5)),
    Figure("rms_error", ("squared_error", "pixels"), _root(1.0)),
    Figure("pore_centre_rmse_pm", ("squared_distance", "pairs"), _root(100 * SAMPLING)),
    Figure("atom_intensity_rmse", ("squared_intensity", "atoms"), _root(1.0)),
    *(Figure(f"coverage_68_{p}", (f"covered_{p}", f"n_{p}"), ratio) for p in PLACES),
    Figure("defect_recall", ("hits", "defects"), ratio, _proportion),
    Figure("defect_precision", ("hits", "found"), ratio, _proportion),
    Figure("false_defects_per_nm2", ("false", "area_nm2"), ratio, _rate),
)
"""Figures of the table, each with its interval."""


@dataclass(frozen=True)
class Scene:
    """A test image with what is known of it.

    Attributes
    ----------
    image
        See `reference.ReferenceImage`.
    detector
        The one of its crystal.
    places
        Number in `PLACES` of each pixel, shape (x, y).
    known
        Defects that the detector finds in the clean image; what it finds there besides.
    features
        What it finds of the lattice there.
    """

    image: ReferenceImage
    detector: Detector
    places: np.ndarray
    known: MatchedDefects
    features: Features


def scene_of(image: ReferenceImage, detector: Detector) -> Scene:
    """Find which pixels of an image lie near a defect or an edge."""
    places: np.ndarray = np.zeros(image.clean.shape, dtype=int)
    # wide enough to blur the lattice away; in the vacuum of a ribbon little is left
    blurred: np.ndarray = gaussian_filter(image.clean, detector.spacing / 2)
    empty: np.ndarray = blurred < 0.25 * np.median(blurred)
    if empty.any():
        beside = distance_transform_edt(~empty) + distance_transform_edt(empty)
        places = np.where(beside <= NEAR / SAMPLING + 1, PLACES.index("edge"), places)
    away: np.ndarray = np.ones(image.clean.shape, dtype=bool)
    for site in image.sites:
        away[round(site["x"]), round(site["y"])] = False
    if not away.all():
        beside = distance_transform_edt(away)
        places = np.where(beside <= NEAR / SAMPLING, PLACES.index("defect"), places)
    known = match_defects(detector.defects(image.clean), image.sites, detector)
    return Scene(image, detector, places, known, detector.features(image.clean))


def sums_of(
    scene: Scene, denoised: np.ndarray, sigma: np.ndarray | None
) -> tuple[Sums, dict[tuple[str, str], tuple[int, int]]]:
    """Add up everything of each structure.

    Parameters
    ----------
    scene
        The test image.
    denoised
        What a method makes of a noisy frame of it, shape (x, y).
    sigma
        Its predicted error, shape (x, y), or None.

    Returns
    -------
    sums : dict
        See `Sums`.
    kinds : dict
        Defects of each kind and element, and how many of them were found.
    """
    image, labels = scene.image, scene.image.labels
    clean, n = image.clean, int(labels.max()) + 1

    def added(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        kept = where >= 0
        found = np.bincount(where[kept], np.asarray(values, dtype=float)[kept], minlength=n)
        return found[:, None]

    ones = np.ones(clean.shape)
    maps = ms_ssim_maps(denoised=denoised, clean=clean)
    ms_ssim_sums, ms_ssim_counts = sums_by_label(maps, labels)
    sums: Sums = {
        "ms_ssim_sums": ms_ssim_sums,
        "ms_ssim_counts": ms_ssim_counts,
        "squared_error": added((denoised - clean) ** 2, labels),
        "pixels": added(ones, labels),
        "area_nm2": added(ones * (SAMPLING / 10) ** 2, labels),
    }
    error = intensity_errors(
        denoised=denoised, clean=clean, centres=image.atoms, radius=ATOM / SAMPLING
    )
    at_atoms = image.label_of(image.atoms)
    sums["squared_intensity"] = added(error**2, at_atoms)
    sums["atoms"] = added(np.ones(len(error)), at_atoms)
    for number, place in enumerate(PLACES):
        here = np.where(scene.places == number, labels, -1)
        covered = np.zeros(clean.shape) if sigma is None else np.abs(denoised - clean) <= sigma
        sums[f"covered_{place}"] = added(covered, here)
        sums[f"n_{place}"] = added(ones * (sigma is not None), here)
    sums |= _features(scene, denoised, added)
    more, kinds = _defects(scene, denoised, added)
    return sums | more, kinds


def _features(scene: Scene, denoised: np.ndarray, added: Added) -> Sums:
    """Squared distances of the features from those of the clean image [pixels²]."""
    detector, image = scene.detector, scene.image
    found, true = detector.features(denoised), scene.features
    matched = match_features(found, true, image.sites, detector)
    one, other = matched.paired[matched.whole], matched.partner[matched.whole]
    squared = ((found.centres[one] - true.centres[other]) ** 2).sum(axis=1)
    where = image.label_of(true.centres[other])
    return {
        "squared_distance": added(squared, where),
        "pairs": added(np.ones(len(squared)), where),
    }


def _defects(
    scene: Scene, denoised: np.ndarray, added: Added
) -> tuple[Sums, dict[tuple[str, str], tuple[int, int]]]:
    """Count defects that are found, missed, and found where there is none.

    Asked for are those that the detector finds in the clean image, and what else it finds there
    (beside a cluster of vacancies, or a bond turned round) is no invention of the method.
    """
    detector, image, known = scene.detector, scene.image, scene.known
    matched = match_defects(detector.defects(denoised), image.sites, detector)
    where = np.where(known.hit, image.label_of(matched.positions), -1)
    alone = image.label_of(matched.alone)
    if len(known.alone):
        away = cKDTree(known.alone).query(matched.alone)[0] if len(alone) else np.zeros(0)
        alone = np.where(away > detector.spacing, alone, -1)
    visible, hit = matched.visible, matched.hit
    sums = {
        "hits": added(visible & hit, where),
        "defects": added(visible, where),
        "false": added(np.ones(len(alone)), alone),
    }
    sums["found"] = sums["hits"] + sums["false"]
    kinds: dict[tuple[str, str], tuple[int, int]] = {}
    for number in np.flatnonzero(where >= 0):
        # one alone: a group of several kinds is none of them
        if len(matched.groups[number]["kinds"]) == 1:
            (kind,) = matched.groups[number]["kinds"]
            total, found = kinds.get(kind, (0, 0))
            kinds[kind] = (total + 1, found + int(hit[number]))
    return sums, kinds


def judge(task: Task) -> list[Judged]:
    """Judge every method on the image of one crystal with one noise.

    Classical methods are tuned on the image of the validation split. Each method is given the
    same noisy frame.
    """
    reference = read_reference(task.reference)
    networks = [_network(*named) for named in task.models]
    seed, scale = task.seed, _trained_scale(networks, reference.crystal)

    def frame(split: str) -> tuple[ReferenceImage, np.ndarray]:
        image = reference_image(reference, split, seed=seed, scale=scale)
        rng = generator(seed, "frame", reference.name, split, task.noise, repr(task.c_noise))
        noisy = corrupt(
            image.clean,
            noise=task.noise,
            c_noise=task.c_noise,
            rng=rng,
            options=_noise_options(image),
        )
        return image, noisy

    image, noisy = frame("test")
    scene = scene_of(image, _detector(task.reference, seed, scale))
    settings = {}
    if task.classical:
        kept = {
            name: baseline for name, baseline in BASELINES.items() if task.slow or not baseline.slow
        }
        validation, recorded = frame("val")
        settings = tune_all(kept, [(recorded, validation.clean)])
    every = [*methods([], settings), *networks]
    if task.slow:
        every += [Method(program.name, "", program.denoise) for program in task.programs]
    judged = []
    for method in every:
        if method.trained_on not in ("", "all", task.noise):
            continue
        denoised, sigma = method.denoise(noisy)
        sums, kinds = sums_of(scene, denoised, sigma)
        rings = (
            fourier_ring_correlation(denoised=denoised, clean=image.clean, sampling=PIXEL),
            error_spectrum(denoised=denoised, clean=image.clean, sampling=PIXEL),
        )
        setting = settings.get(method.name, ({}, 0.0))[0]
        judged.append(
            Judged(
                method=method.name,
                trained_on=method.trained_on,
                reference=reference.name,
                crystal=reference.crystal,
                noise=task.noise,
                c_noise=task.c_noise,
                sums=sums,
                kinds=kinds,
                rings=rings,
                setting=" ".join(f"{key}={value:g}" for key, value in setting.items()),
                invented=_invented(method, scene, task) if method.model is not None else None,
            )
        )
    return judged


def _network(name: str, path: Path) -> Method:
    model = load(path)
    about = model.description
    return Method(name or about.method, about.trained_on, model.denoise, model)


def _trained_scale(networks: Sequence[Method], crystal: str) -> IntensityScale | None:
    """Find the scale of intensities that a network was trained with on this crystal.

    In it C means what it meant in the training, and salt and pepper are 1 and 0 to the network;
    scales of other runs of the same crystal differ by little. None: no network was.
    """
    for network in networks:
        about = network.model.description if network.model else None
        if about and _material(crystal) in list(about.spacings)[:1] and "offset" in about.scale:
            return IntensityScale(offset=about.scale["offset"], range=about.scale["range"])
    return None


def _material(crystal: str) -> str:
    """Name of the crystal that a ribbon is cut from, or of the crystal itself."""
    return crystal.removesuffix("_ribbon")


def _noise_options(image: ReferenceImage) -> NoiseOptions:
    return NoiseOptions(pedestal=image.scale.pedestal)


def _detector(path: Path, seed: int, scale: IntensityScale | None) -> Detector:
    """Calibrate the detector of a crystal on the validation images of all its sheets.

    Its features lie a lattice constant apart, which the images do not tell where two elements
    make every second of them darker.
    """
    crystal = _material(read_reference(path).crystal)
    every = list(map(read_reference, reference_files(path.parent)))
    # of a ribbon without a sheet beside it the ribbon itself
    alike = [r for r in every if r.crystal == crystal] or [read_reference(path)]
    images = [reference_image(reference, "val", seed=seed, scale=scale) for reference in alike]
    lattice = LATTICES.get(crystal)
    constant = lattice.lattice_constant if lattice else None
    return calibrate(
        [image.clean for image in images],
        [image.sites for image in images],
        sampling=SAMPLING,
        spacing=constant / SAMPLING if constant else None,
    )


def _invented(method: Method, scene: Scene, task: Task) -> tuple[int, float] | None:
    """Count the features that a method finds in noise alone; of the first graphene only."""
    if task.reference != _first(task.reference):
        return None
    count, side = FEATURELESS
    detector, clean = scene.detector, scene.image.clean
    found, area = 0, 0.0
    for bright, level in enumerate((min(float(clean.min()), 0.0), float(clean.mean()))):
        for number in range(count):
            rng = generator(task.seed, "nothing", task.noise, repr(task.c_noise), bright, number)
            noisy = corrupt(
                np.full((side, side), level),
                noise=task.noise,
                c_noise=task.c_noise,
                rng=rng,
                options=_noise_options(scene.image),
            )
            features = detector.features(method.denoise(noisy)[0])
            found += int(detector.inside(features.centres, (side, side)).sum())
            area += ((side - 1 - 2 * detector.border) * SAMPLING / 10) ** 2
    return found, area


def _first(path: Path) -> Path:
    """Choose whose detector looks at noise alone: the first graphene, or the first of all."""
    files = reference_files(path.parent)
    return next((file for file in files if file.stem.startswith("graphene_")), files[0])


def _by_method(judged: Iterable[Judged]) -> dict[Key, list[Judged]]:
    """Group by method, what it was trained on, noise and C."""
    groups: dict[Key, list[Judged]] = {}
    for part in judged:
        key = (part.method, part.trained_on, part.noise, part.c_noise)
        groups.setdefault(key, []).append(part)
    return groups


def _crystals(parts: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Group by crystal, with all of them together first."""
    groups = {"all": list(parts)}
    for part in parts:
        groups.setdefault(part.crystal, []).append(part)
    return groups


def _place(key: Key, crystal: str) -> dict[str, Any]:
    method, trained_on, noise, c_noise = key
    return {
        "method": method,
        "trained_on": trained_on,
        "crystal": crystal,
        "noise": noise,
        "c_noise": c_noise,
    }


def figures_table(judged: Sequence[Judged], *, seed: int) -> Rows:
    """Make the table of all figures: one row per method, crystal, noise, C and figure."""
    rows: Rows = []
    for key, parts in _by_method(judged).items():
        for crystal, own in _crystals(parts).items():
            place = _place(key, crystal)
            rows += [place | figure.row(own, seed=seed) for figure in FIGURES]
        invented = [part.invented for part in parts if part.invented is not None]
        if invented:
            events, area = (sum(each) for each in zip(*invented, strict=True))
            # one-sided
            low, high = 0.0, rate(events, area, confidence=2 * CONFIDENCE - 1)[1]
            about = {"figure": "invented_per_nm2", "value": events / area, "low": low, "high": high}
            rows.append(_place(key, "noise alone") | about | {"n": round(area, 1)})
    return rows


def paired_table(judged: Sequence[Judged], *, seed: int) -> Rows:
    """Compare every network with every other method on the same structures, by MS-SSIM."""
    groups, rows = _by_method(judged), Rows()
    for key, own in groups.items():
        if not key[1]:
            continue
        for other, theirs in groups.items():
            if other[2:] != key[2:] or other[:2] == key[:2]:
                continue
            met = {part.reference for part in own} & {part.reference for part in theirs}
            pairs = [[part for part in parts if part.reference in met] for parts in (own, theirs)]
            for crystal in _crystals(pairs[0]):
                one, two = (_crystals(parts)[crystal] for parts in pairs)
                rows.append(
                    _place(key, crystal)
                    | {"other": other[0], "other_trained_on": other[1]}
                    | _difference(one, two, seed=seed)
                )
    return rows


def _difference(one: Sequence[Judged], two: Sequence[Judged], *, seed: int) -> dict[str, float]:
    first, strata = _together(one, _MS_SSIM)
    second, _ = _together(two, _MS_SSIM)
    found = paired_difference(first, second, _ms_ssim, best=1.0, strata=strata, seed=seed)
    return {
        f"{name}{limit}": float(value)
        for name, each in (("difference", found.difference), ("loss_ratio", found.loss_ratio))
        for limit, value in zip(("", "_low", "_high"), each, strict=True)
    } | {"n": len(first)}


def kinds_table(judged: Sequence[Judged]) -> Rows:
    """Count which kinds of defect are found: by method, crystal, noise and C."""
    rows: Rows = []
    for key, parts in _by_method(judged).items():
        for crystal, own in _crystals(parts).items():
            total: dict[tuple[str, str], list[int]] = {}
            for part in own:
                for kind, numbers in part.kinds.items():
                    tally = total.setdefault(kind, [0, 0])
                    tally[:] = (a + b for a, b in zip(tally, numbers, strict=True))
            for (what, element), (defects, found) in sorted(total.items()):
                low, high = proportion(found, defects)
                about = {"kind": what, "element": element, "n_defects": defects, "found": found}
                recall = {"recall": found / defects, "recall_low": low, "recall_high": high}
                rows.append(_place(key, crystal) | about | recall)
    return rows


def rings_table(judged: Sequence[Judged]) -> Rows:
    """List correlation with the truth and error by spatial frequency, at `RINGS_C`.

    One row for each method, crystal, noise and ring.
    """
    return [
        _place((part.method, part.trained_on, part.noise, part.c_noise), part.reference)
        | {
            "frequency_per_angstrom": round(float(frequency), 4),
            "correlation": round(float(correlation), 5),
            "error_over_truth": float(f"{error:.4g}"),
        }
        for part in judged
        if part.rings is not None and part.c_noise in RINGS_C
        for frequency, correlation, error in zip(
            part.rings[0].frequency, part.rings[0].values, part.rings[1].values, strict=True
        )
    ]


def tuned_table(judged: Sequence[Judged]) -> Rows:
    """List what was set of every classical method."""
    return [
        _place((part.method, part.trained_on, part.noise, part.c_noise), part.reference)
        | {"setting": part.setting}
        for part in judged
        if part.setting
    ]
