"""Every method on the test split, by noise and C: quality and fidelity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from temdenoise.images.datasets import DataSet, evenly
from temdenoise.images.noise import corrupt
from temdenoise.judging import fidelity
from temdenoise.judging.baselines import BASELINES, tune
from temdenoise.judging.detector import Detector, Features
from temdenoise.judging.metrics import ms_ssim, psnr
from temdenoise.learning.inference import Denoiser
from temdenoise.seeding import generator
from temdenoise.storage import forget

Denoise = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]

TUNED = 64
"""Frames of each C that classical methods are tuned on, or fewer; bounds memory and time."""

TILED = 2
"""Images of each C that are also denoised in small tiles, which takes six times as long."""


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
    model: Denoiser | None = None


def tuned(data: DataSet) -> dict[float, dict[str, tuple[float | None, float]]]:
    """Tune every classical method that is installed, for each C.

    Parameters
    ----------
    data
        The validation split of one noise.

    Returns
    -------
    dict
        By C and name of the method: its parameter, and the noise's root mean square.
    """
    return {
        c_noise: {
            name: tune(
                baseline,
                [
                    (data.noisy[frame.index], data.clean[frame.image])
                    for frame in evenly(data.at(c_noise), TUNED)
                ],
            )
            for name, baseline in BASELINES.items()
            if baseline.available
        }
        for c_noise in data.c_noise
    }


def methods(
    models: Sequence[Denoiser], settings: Mapping[str, tuple[float | None, float]]
) -> Iterator[Method]:
    """List everything that is compared at one C.

    Parameters
    ----------
    models
        Trained denoisers; `about` says ``method`` and ``trained_on``.
    settings
        Parameter and sigma of each classical method, see `tuned`.
    """
    for name, (parameter, sigma) in settings.items():

        def classical(noisy, apply=BASELINES[name].apply, parameter=parameter, sigma=sigma):
            return apply(noisy, parameter=parameter, sigma=sigma), None

        yield Method(name, "", classical)
    for model in models:
        yield Method(model.about["method"], model.about["trained_on"], model.denoise, model)


@dataclass(frozen=True)
class Truth:
    """What is known of a test image.

    Attributes
    ----------
    clean
        Normalised, shape (x, y).
    features
        What the detector finds in it.
    sites
        Known defects: ``kind``, ``element``, ``x``, ``y`` [pixels].
    """

    clean: np.ndarray
    features: Features
    sites: Sequence[Mapping[str, Any]]


def truths(data: DataSet, detector: Detector, sites: Sequence[Sequence[Mapping]]) -> list[Truth]:
    """Measure the clean images of a split once for all methods and noises."""
    return [
        Truth(np.asarray(clean), detector.features(clean), known)
        for clean, known in zip(data.clean, sites, strict=True)
    ]


def judge(
    data: DataSet,
    models: Sequence[Denoiser],
    *,
    noise: str,
    c_noise_train: Sequence[float],
    settings: Mapping[float, Mapping[str, tuple[float | None, float]]],
    detector: Detector,
    sites: Sequence[Sequence[Mapping[str, Any]]],
    patch: int,
    seed: int,
) -> tuple[list[dict[str, Any]], ...]:
    """Compare all methods on the frames of one noise.

    Parameters
    ----------
    data
        The test split.
    models
        Trained denoisers.
    noise
        The noise of the frames.
    c_noise_train
        Range of C the specialists were trained on.
    settings
        Of the classical methods, see `tuned`.
    detector
        The one detector, see `fidelity.calibrate`.
    sites
        Known defects of each test image [pixels].
    patch
        Tile side at which seams are looked for [pixels].
    seed
        Of the noise on images that hold nothing.

    Returns
    -------
    quality, fidelity, frames, defects : list of dict
        One row per method and C. Quality: method, trained_on, noise, c_noise, region,
        ms_ssim, psnr_db (means over images), n_images. Fidelity: see `Tally.row`;
        of the networks trained on one noise, those of this noise alone. Frames: method,
        c_noise, region, image, ms_ssim of every frame that these networks denoised. Defects:
        see `Tally.rows_by_kind`.
    """
    known = truths(data, detector, sites)
    tables: tuple[list, ...] = ([], [], [], [])
    for c_noise in data.c_noise:
        empty = _nothing(data, noise, c_noise, seed)
        for method in methods(models, settings[c_noise]):
            about = {
                "method": method.name,
                "trained_on": method.trained_on,
                "noise": noise,
                "c_noise": c_noise,
                "region": region(c_noise, c_noise_train),
            }
            scores, psnrs, tally = [], [], Tally(detector, patch)
            judged = method.trained_on in ("", "all", noise)
            for frame in data.at(c_noise):
                noisy, truth = np.asarray(data.noisy[frame.index]), known[frame.image]
                denoised, sigma = method.denoise(noisy)
                scores.append(ms_ssim(denoised=denoised, clean=truth.clean))
                psnrs.append(psnr(denoised=denoised, clean=truth.clean))
                if judged:
                    tiled = method.model if tally.images < TILED else None
                    tally.add(noisy, denoised, sigma, truth, tiled)
                forget(data.noisy)
                forget(data.clean)
            if judged:
                for noisy in empty:
                    tally.add_empty(method.denoise(noisy)[0])
                tables[1].append(about | tally.row())
                tables[3].extend(about | row for row in tally.rows_by_kind())
            if judged and method.model is not None:
                tables[2].extend(
                    {
                        "method": method.name,
                        "c_noise": c_noise,
                        "region": about["region"],
                        "image": frame.image,
                        "ms_ssim": score,
                    }
                    for frame, score in zip(data.at(c_noise), scores, strict=True)
                )
            quality = {
                "ms_ssim": float(np.mean(scores)),
                "psnr_db": float(np.mean(psnrs)),
                "n_images": len(scores),
            }
            tables[0].append(about | quality)
    return tables


def worst_frames(frames: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the worst frame of the specialist where it was trained, of the universal beyond."""
    wanted = (("cnn", "interpolation"), ("universal", "extrapolation"))
    groups = [[f for f in frames if (f["method"], f["region"]) == pair] for pair in wanted]
    return [min(group, key=lambda frame: frame["ms_ssim"]) for group in groups if group]


def _nothing(data: DataSet, noise: str, c_noise: float, seed: int) -> list[np.ndarray]:
    """Noise on empty space, and on a flat image of the mean brightness."""
    shape = data.clean.shape[1:]
    levels = (min(float(data.clean.min()), 0.0), float(np.mean(data.clean)))
    scale = data.manifest.get("scale", {"offset": 0.0, "range": 1.0})
    return [
        corrupt(
            np.full(shape, level),
            noise=noise,
            c_noise=c_noise,
            rng=generator(seed, "nothing", noise, number, repr(c_noise)),
            background_correlation=data.manifest.get("background_correlation", 0.25),
            pedestal=scale["offset"] / scale["range"],
        )
        for number, level in enumerate(levels)
    ]


@dataclass
class Tally:
    """Sums up the fidelity of one method at one C, image by image.

    Attributes
    ----------
    detector
        The one detector.
    patch
        Tile side at which seams are looked for [pixels].
    """

    detector: Detector
    patch: int
    images: int = 0
    features: list[dict[str, Any]] = field(default_factory=list)
    defects: list[dict[str, Any]] = field(default_factory=list)
    seams: list[dict[str, float]] = field(default_factory=list)
    tiled_minus_whole: list[float] = field(default_factory=list)
    covered: list[float] = field(default_factory=list)
    invented: int = 0
    empty_pixels: float = 0.0

    def add(
        self,
        noisy: np.ndarray,
        denoised: np.ndarray,
        sigma: np.ndarray | None,
        truth: Truth,
        model: Denoiser | None,
    ) -> None:
        """Judge one denoised image; with its model, also what tiles do to it."""
        shape = denoised.shape
        found = self.detector.features(denoised)
        self.images += 1
        self.features.append(
            fidelity.compare_features(found, truth.features, truth.sites, self.detector, shape)
        )
        self.defects.append(
            fidelity.compare_defects(
                self.detector.defects(denoised), truth.sites, self.detector, shape
            )
        )
        if model is not None:
            # in tiles as small as the patches of the training, and at once
            tiled, whole = model.denoise(noisy, tile=self.patch)[0], model.at_once(noisy)
            self.tiled_minus_whole.append(float(np.abs(tiled - whole).max()))
            self.seams.append(fidelity.seam_gradients(tiled, whole, tile=self.patch))
        if sigma is not None:
            self.covered.append(float(np.mean(np.abs(denoised - truth.clean) <= sigma)))

    def add_empty(self, denoised: np.ndarray) -> None:
        """Count what is found where there is nothing."""
        found = self.detector.features(denoised)
        self.invented += int(self.detector.inside(found.centres, denoised.shape).sum())
        sides = [max(0.0, side - 1 - 2 * self.detector.border) for side in denoised.shape]
        self.empty_pixels += float(np.prod(sides))

    def row(self) -> dict[str, Any]:
        """Return the fidelity; what does not apply is empty.

        Returns
        -------
        dict
            pore_centre_rmse_pm, roundness_bias, roundness_rmse (of pores that are found
            and not beside a defect),
            pore_f1, defect_precision, defect_recall, defect_f1, n_defects, seam_ratio,
            tiled_minus_whole_max, invented_per_nm2, coverage_68, n_images.
        """
        distances = np.concatenate([f["squared_distance"] for f in self.features])
        errors = np.concatenate([f["roundness_error"] for f in self.features])
        pores, defects = (_scores(counts) for counts in (self.features, self.defects))
        area = self.empty_pixels * (self.detector.sampling / 10) ** 2
        return {
            "pore_centre_rmse_pm": _or_empty(
                100 * self.detector.sampling * np.sqrt(np.mean(distances))
                if len(distances)
                else None
            ),
            "roundness_bias": _or_empty(np.mean(errors) if len(errors) else None),
            "roundness_rmse": _or_empty(np.sqrt(np.mean(errors**2)) if len(errors) else None),
            "pore_f1": pores["f1"],
            "defect_precision": defects["precision"],
            "defect_recall": defects["recall"],
            "defect_f1": defects["f1"],
            "n_defects": sum(counts["true"] for counts in self.defects),
            "seam_ratio": _or_empty(fidelity.seam_ratio(self.seams)),
            "tiled_minus_whole_max": _or_empty(max(self.tiled_minus_whole, default=None)),
            "invented_per_nm2": _or_empty(self.invented / area if area else None),
            "coverage_68": _or_empty(np.mean(self.covered) if self.covered else None),
            "n_images": self.images,
        }

    def rows_by_kind(self) -> list[dict[str, Any]]:
        """Return one row per kind of defect: kind, element, n_defects, found, recall."""
        total: dict[tuple[str, str], np.ndarray] = {}
        for counts in self.defects:
            for kind, tally in counts["by_kind"].items():
                total[kind] = total.get(kind, np.zeros(2, dtype=int)) + tally
        return [
            {
                "kind": kind,
                "element": element,
                "n_defects": int(true),
                "found": int(found),
                "recall": float(found / true),
            }
            for (kind, element), (true, found) in sorted(total.items())
        ]


def _scores(counts: Sequence[Mapping[str, Any]]) -> dict[str, float | str]:
    """Precision, recall and F1; empty where nothing can be counted."""
    true, found, paired = (sum(c[key] for c in counts) for key in ("true", "found", "paired"))
    return {
        "precision": paired / found if found else "",
        "recall": paired / true if true else "",
        "f1": 2 * paired / (true + found) if true + found else "",
    }


def _or_empty(value: float | None) -> float | str:
    return "" if value is None or not np.isfinite(value) else float(value)
