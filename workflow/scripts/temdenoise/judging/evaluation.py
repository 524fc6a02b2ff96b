"""Every method on the test split, by noise and C: quality and fidelity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from temdenoise.foundation.seeding import generator
from temdenoise.foundation.sequences import evenly_spaced
from temdenoise.images.datasets import DataSet
from temdenoise.images.noise import NoiseOptions, corrupt
from temdenoise.images.storage import forget
from temdenoise.judging.classical import BASELINES, Setting, tune_all
from temdenoise.judging.crystals import KEYS, Rows, by_crystal, pooled
from temdenoise.judging.detector import Detector
from temdenoise.judging.fidelity import ComparedDefects
from temdenoise.judging.intervals import proportion
from temdenoise.judging.merits import FIDELITY, QUALITY, DenoisedImage, Measured, Tiling, Truth
from temdenoise.learning.inference import Model

Denoise = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
Sites = Sequence[Sequence[Mapping[str, Any]]]
Settings = Mapping[float, Mapping[str, tuple[Setting, float]]]

TUNED = 64
"""Frames of each C that classical methods are tuned on, or fewer; bounds memory and time."""

TILED = 2
"""Images of each C that are also denoised in small tiles, which takes six times as long."""

RECALL = ("recall_low", "recall_high")
"""Limits of the interval of a recall, see `intervals.proportion`."""

COLUMNS = {
    "defects": ("crystal", *KEYS, "kind", "element", "n_defects", "found", "recall", *RECALL)
}
"""Columns of the tables that may have no rows."""


@dataclass(frozen=True)
class Conditions:
    """Under what methods are evaluated.

    Attributes
    ----------
    noise
        The noise of the frames.
    c_noise_train
        Range of C the specialists were trained on.
    patch
        Tile side at which seams are looked for [pixels].
    seed
        Of the featureless noisy images.
    """

    noise: str
    c_noise_train: Sequence[float]
    patch: int
    seed: int


class Tables(NamedTuple):
    """The evaluation of one crystal; rows of dictionaries.

    Attributes
    ----------
    quality
        One row per method and C: method, trained_on, noise, c_noise, region, and `QUALITY`.
    fidelity
        The same with `FIDELITY`; of the networks trained on one noise, those of this noise alone.
    frames
        method, c_noise, region, image, ms_ssim of every frame that these networks denoised.
    defects
        One row per method, C and kind of defect: kind, element, n_defects, found, recall and the
        limits of its interval.
    """

    quality: Rows
    fidelity: Rows
    frames: Rows
    defects: Rows


class Picture(NamedTuple):
    """Images of an evaluation that are shown later.

    Attributes
    ----------
    name
        The method that denoised them, or ``worst``.
    stack
        Shape (n, quantities, x, y).
    about
        What they are: ``quantity``, and which frames.
    """

    name: str
    stack: np.ndarray
    about: dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of one noise.

    Attributes
    ----------
    tables
        By name: quality, fidelity, defects, tuned, and of several crystals also crystals.
    worst
        The frames that the networks denoised worst, see `worst_frames`.
    """

    tables: Mapping[str, Rows]
    worst: Rows

    def summary(self) -> str:
        """Say how the specialist compares at the weakest and at the strongest noise."""
        quality = self.tables["quality"]
        own = {
            row["c_noise"]: row["ms_ssim"]
            for row in quality
            if row["trained_on"] == row["noise"] and row["method"] == "cnn"
        }
        low, high = min(own), max(own)
        strongest = [row for row in quality if row["c_noise"] == high]
        best = max(strongest, key=lambda row: row["ms_ssim"])
        return (
            f"MS-SSIM of the specialist {own[low]:.4f} at C = {low:g}, {own[high]:.4f} at "
            f"C = {high:g}; best there: {best['method'].replace('_', ' ')}, {best['ms_ssim']:.4f}"
        )


def region(c_noise: float, trained: Sequence[float]) -> str:
    """Tell whether C lies within the trained range.

    Examples
    --------
    >>> region(0.25, (0.02, 0.25)), region(0.3, (0.02, 0.25))
    ('interpolation', 'extrapolation')
    """
    return "interpolation" if trained[0] <= c_noise <= trained[1] else "extrapolation"


@dataclass(frozen=True)
class Method:
    """Something that denoises.

    Attributes
    ----------
    name, trained_on
        What the tables call it.
    denoise
        Function of a normalised image (x, y): image and sigma; sigma is None where
        the method says none.
    model
        The trained denoiser behind it, if there is one.
    """

    name: str
    trained_on: str
    denoise: Denoise
    model: Model | None = None


def tuned(data: DataSet) -> dict[float, dict[str, tuple[Setting, float]]]:
    """Tune every classical method that is installed, for each C.

    Parameters
    ----------
    data
        The validation split of one noise.

    Returns
    -------
    dict
        By C and name of the method: what is set of it, and the noise's root mean square.
    """
    return {
        c_noise: tune_all(
            BASELINES,
            (
                (data.noisy[frame.index], data.clean[frame.image])
                for frame in evenly_spaced(data.at(c_noise), TUNED)
            ),
        )
        for c_noise in data.c_noise
    }


def methods(
    models: Sequence[Model], settings: Mapping[str, tuple[Setting, float]]
) -> Iterator[Method]:
    """List everything that is compared at one C.

    Parameters
    ----------
    models
        Trained denoisers.
    settings
        What is set of each classical method, and sigma, see `tuned`.
    """
    for name, (setting, sigma) in settings.items():

        def classical(
            noisy: np.ndarray,
            name: str = name,
            setting: Setting = setting,
            sigma: float = sigma,
        ) -> tuple[np.ndarray, None]:
            return BASELINES[name].apply(noisy, sigma=sigma, **setting), None

        yield Method(name, "", classical)
    for model in models:
        about = model.description
        yield Method(about.method, about.trained_on, model.denoise, model)


def truths(data: DataSet, detector: Detector, sites: Sites) -> list[Truth]:
    """Measure the clean images of a split once for all methods and noises."""
    return [
        Truth(np.asarray(clean), detector.features(clean), known)
        for clean, known in zip(data.clean, sites, strict=True)
    ]


def evaluate(
    data: DataSet,
    models: Sequence[Model],
    *,
    settings: Settings,
    detector: Detector,
    sites: Sites,
    conditions: Conditions,
) -> Tables:
    """Compare all methods on the frames of one noise and crystal.

    Parameters
    ----------
    data
        The test split.
    models
        Trained denoisers.
    settings
        Of the classical methods, see `tuned`.
    detector
        The one detector, see `detector.calibrate`.
    sites
        Known defects of each test image [pixels].
    conditions
        Noise, trained range, tiles and seed.
    """
    known = truths(data, detector, sites)
    tables = Tables([], [], [], [])
    for c_noise in data.c_noise:
        featureless = featureless_images(data, c_noise, conditions)
        for method in methods(models, settings[c_noise]):
            place = {
                "method": method.name,
                "trained_on": method.trained_on,
                "noise": conditions.noise,
                "c_noise": c_noise,
                "region": region(c_noise, conditions.c_noise_train),
            }
            quality, fidelity = Measured(QUALITY, detector), Measured(FIDELITY, detector)
            defects: list[ComparedDefects] = []
            # whether a network trained on another noise keeps the features is not asked
            belongs = method.trained_on in ("", "all", conditions.noise)
            for number, frame in enumerate(data.at(c_noise)):
                noisy = np.asarray(data.noisy[frame.index])
                denoised, sigma = method.denoise(noisy)
                tiling = None
                if method.model is not None and number < TILED:
                    tiling = Tiling(method.model, conditions.patch)
                truth = known[frame.image]
                image = DenoisedImage(noisy, denoised, sigma, detector, truth, tiling)
                quality.add(image)
                if belongs:
                    fidelity.add(image)
                    defects.append(image.defects)
                forget(data.noisy)
                forget(data.clean)
            tables.quality.append(place | quality.row())
            if not belongs:
                continue
            for noisy in featureless:
                fidelity.add(DenoisedImage(noisy, *method.denoise(noisy), detector))
            tables.fidelity.append(place | fidelity.row())
            tables.defects.extend(place | row for row in rows_by_kind(defects))
            if method.model is not None:
                tables.frames.extend(
                    {
                        "method": method.name,
                        "c_noise": c_noise,
                        "region": place["region"],
                        "image": frame.image,
                        "ms_ssim": score,
                    }
                    for frame, score in zip(data.at(c_noise), quality.kept["ms_ssim"], strict=True)
                )
    return tables


def evaluate_noise(
    validation: DataSet,
    test: DataSet,
    models: Sequence[Model],
    *,
    crystals: Sequence[tuple[str, Detector]],
    sites: Sites,
    conditions: Conditions,
) -> Evaluation:
    """Compare all methods on one noise, each crystal with its own detector.

    Parameters
    ----------
    validation
        The split that classical methods are tuned on.
    test
        The split that all are compared on; its images are of each crystal alternately.
    models
        Trained denoisers.
    crystals
        Name and detector of each crystal.
    sites
        Known defects of each test image [pixels].
    conditions
        Noise, trained range, tiles and seed.
    """
    settings, n_crystals = tuned(validation), len(crystals)
    names = [name for name, _ in crystals]
    parts = [
        evaluate(
            test.of_crystal(number, n_crystals),
            models,
            settings=settings,
            detector=detector,
            sites=sites[number::n_crystals],
            conditions=conditions,
        )
        for number, (_, detector) in enumerate(crystals)
    ]
    quality, fidelity = [part.quality for part in parts], [part.fidelity for part in parts]
    tables: dict[str, Rows] = {
        "quality": pooled(quality),
        "fidelity": pooled(fidelity),
        "defects": [
            {"crystal": name, **row}
            for name, part in zip(names, parts, strict=True)
            for row in part.defects
        ],
        "tuned": [
            {
                "method": name,
                "noise": conditions.noise,
                "c_noise": c,
                "setting": " ".join(f"{key}={value:g}" for key, value in setting.items()),
                "sigma": sigma,
            }
            for c, chosen in settings.items()
            for name, (setting, sigma) in chosen.items()
            if setting
        ],
    }
    if n_crystals > 1:
        tables["crystals"] = by_crystal(names, quality, fidelity)
    frames = [
        row | {"image": row["image"] * n_crystals + number}
        for number, part in enumerate(parts)
        for row in part.frames
    ]
    return Evaluation(tables, worst_frames(frames))


def worst_frames(frames: Rows) -> Rows:
    """Choose the worst frame of the specialist where it was trained, of the universal beyond."""
    wanted = (("cnn", "interpolation"), ("universal", "extrapolation"))
    groups = [[f for f in frames if (f["method"], f["region"]) == pair] for pair in wanted]
    return [min(group, key=lambda frame: frame["ms_ssim"]) for group in groups if group]


def pictures(
    test: DataSet, models: Sequence[Model], worst: Rows, *, noise: str
) -> Iterator[Picture]:
    """Denoise what is shown of one noise: the first test image at every C, and the worst frames.

    Parameters
    ----------
    test
        The test split.
    models
        Trained denoisers; those of other noises are left out.
    worst
        See `Evaluation`.
    noise
        The noise of the frames.
    """
    shown = {
        model.description.method: model
        for model in models
        if model.description.trained_on in ("all", noise)
    }
    first = [frame for frame in test.frames if frame.image == 0]
    for method, model in shown.items():
        stack = np.stack([np.stack(model.denoise(test.noisy[frame.index])) for frame in first])
        c_noise = [frame.c_noise for frame in first]
        yield Picture(method, stack, {"quantity": "denoised, sigma", "c_noise": c_noise})
    stacks = []
    for row in worst:
        frame = next(f for f in test.at(row["c_noise"]) if f.image == row["image"])
        noisy, clean = np.asarray(test.noisy[frame.index]), np.asarray(test.clean[frame.image])
        stacks.append(np.stack([noisy, *shown[row["method"]].denoise(noisy), clean]))
    about = {"quantity": "noisy, denoised, sigma, clean", "frames": worst}
    yield Picture("worst", np.stack(stacks), about)


def featureless_images(data: DataSet, c_noise: float, conditions: Conditions) -> list[np.ndarray]:
    """Make noisy images of empty space, and of a flat image of the mean brightness."""
    shape, noise = data.clean.shape[1:], conditions.noise
    levels = (min(float(data.clean.min()), 0.0), float(np.mean(data.clean)))
    scale = data.manifest.get("scale", {"offset": 0.0, "range": 1.0})
    options = NoiseOptions(
        background_correlation=data.manifest.get("background_correlation", 0.25),
        pedestal=scale["offset"] / scale["range"],
    )
    return [
        corrupt(
            np.full(shape, level),
            noise=noise,
            c_noise=c_noise,
            # the name of the stream decides the numbers
            rng=generator(conditions.seed, "nothing", noise, number, repr(c_noise)),
            options=options,
        )
        for number, level in enumerate(levels)
    ]


def rows_by_kind(defects: Sequence[ComparedDefects]) -> Rows:
    """Return one row per kind of defect: kind, element, n_defects, found, recall and its limits.

    Parameters
    ----------
    defects
        Of each image of one method and C, see `fidelity.compare_defects`.
    """
    total: dict[tuple[str, str], np.ndarray] = {}
    for counts in defects:
        for kind, pair in counts["by_kind"].items():
            total[kind] = total.get(kind, np.zeros(2, dtype=int)) + pair
    return [
        {
            "kind": kind,
            "element": element,
            "n_defects": int(true),
            "found": int(found),
            "recall": float(found / true),
            **dict(zip(RECALL, proportion(int(found), int(true)), strict=True)),
        }
        for (kind, element), (true, found) in sorted(total.items())
    ]
