"""Figures of merit: the columns of the tables of quality and fidelity.

A further one is one entry of `QUALITY` or `FIDELITY`, and the function that measures it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from temdenoise.judging import fidelity
from temdenoise.judging.detector import Detector, Features
from temdenoise.judging.intervals import CONFIDENCE, rate
from temdenoise.judging.metrics import ms_ssim, psnr
from temdenoise.learning.inference import Model

EMPTY = ""
"""Cell of a figure of merit that does not apply."""

Cell = float | str
Kept = TypeVar("Kept")


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


@dataclass(frozen=True)
class Tiling:
    """What denoises an image in small tiles and at once.

    Attributes
    ----------
    model
        The trained denoiser.
    tile
        Side of the tiles [pixels].
    """

    model: Model
    tile: int


@dataclass(frozen=True)
class DenoisedImage:
    """A denoised image, and what it is measured with.

    Attributes
    ----------
    noisy, denoised
        Normalised, shape (x, y).
    sigma
        Predicted error of every pixel, shape (x, y); None where the method says none.
    detector
        The one detector.
    known
        What is known of the image; None if it is a featureless one, all of noise.
    tiling
        To denoise it again in tiles; None to leave that out.
    """

    noisy: np.ndarray
    denoised: np.ndarray
    sigma: np.ndarray | None
    detector: Detector
    known: Truth | None = None
    tiling: Tiling | None = None

    @property
    def truth(self) -> Truth:
        """What is known of the image, which is no featureless one."""
        if self.known is None:
            raise ValueError("a featureless image has no clean image to compare it with")
        return self.known

    @cached_property
    def found(self) -> Features:
        """What the detector finds."""
        return self.detector.features(self.denoised)

    @cached_property
    def features(self) -> fidelity.ComparedFeatures:
        """Features beside those of the clean image."""
        return fidelity.compare_features(
            self.found, self.truth.features, self.truth.sites, self.detector, self.denoised.shape
        )

    @cached_property
    def defects(self) -> fidelity.ComparedDefects:
        """Defects beside the known ones."""
        return fidelity.compare_defects(
            self.detector.defects(self.denoised),
            self.truth.sites,
            self.detector,
            self.denoised.shape,
        )

    @cached_property
    def tiled_and_whole(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The image denoised in tiles as small as the patches of the training, and at once."""
        if self.tiling is None:
            return None
        model, tile = self.tiling.model, self.tiling.tile
        return model.denoise(self.noisy, tile=tile)[0], model.at_once(self.noisy)


@dataclass(frozen=True)
class FigureOfMerit:
    """One column.

    Attributes
    ----------
    column
        Its name in the tables, with the unit.
    measure
        What is kept of each image.
    summarise
        Function of what was kept of all images of one method and C, and of the detector: the
        cell of the table; `EMPTY` if the figure does not apply.
    featureless
        Whether it is measured on images of noise alone instead of on test images.
    """

    column: str
    measure: Callable[[DenoisedImage], Any]
    summarise: Callable[[Sequence[Any], Detector], Cell]
    featureless: bool = False


class Measured:
    """What is kept of the images of one method and C.

    Parameters
    ----------
    merits
        The figures of merit.
    detector
        The one detector.

    Attributes
    ----------
    kept
        By column: what was measured in each image.
    """

    def __init__(self, merits: Sequence[FigureOfMerit], detector: Detector):
        self.merits, self.detector = merits, detector
        self.kept: dict[str, list[Any]] = {merit.column: [] for merit in merits}

    def add(self, image: DenoisedImage) -> None:
        """Measure an image."""
        for merit in self.merits:
            if merit.featureless == (image.known is None):
                self.kept[merit.column].append(merit.measure(image))

    def row(self) -> dict[str, Cell]:
        """Summarise what was measured, by column."""
        return {
            merit.column: merit.summarise(self.kept[merit.column], self.detector)
            for merit in self.merits
        }


def _ms_ssim(image: DenoisedImage) -> float:
    return ms_ssim(denoised=image.denoised, clean=image.truth.clean)


def _psnr(image: DenoisedImage) -> float:
    return psnr(denoised=image.denoised, clean=image.truth.clean)


def _one(image: DenoisedImage) -> int:
    return 1


def _squared_distances(image: DenoisedImage) -> np.ndarray:
    return image.features["squared_distance"]


def _roundness_errors(image: DenoisedImage) -> np.ndarray:
    return image.features["roundness_error"]


def _features(image: DenoisedImage) -> fidelity.ComparedFeatures:
    return image.features


def _defects(image: DenoisedImage) -> fidelity.ComparedDefects:
    return image.defects


def _seams(image: DenoisedImage) -> dict[str, float] | None:
    if image.tiling is None or image.tiled_and_whole is None:
        return None
    return fidelity.seam_gradients(*image.tiled_and_whole, tile=image.tiling.tile)


def _tiled_minus_whole(image: DenoisedImage) -> float | None:
    if image.tiled_and_whole is None:
        return None
    tiled, whole = image.tiled_and_whole
    return float(np.abs(tiled - whole).max())


def _invented(image: DenoisedImage) -> tuple[int, float]:
    """Features that are found off the border, and the area there [pixels]."""
    shape, detector = image.denoised.shape, image.detector
    found = int(detector.inside(image.found.centres, shape).sum())
    sides = [max(0.0, side - 1 - 2 * detector.border) for side in shape]
    return found, float(np.prod(sides))


def _covered(image: DenoisedImage) -> float | None:
    """Fraction of the pixels whose error is at most sigma."""
    if image.sigma is None:
        return None
    return float(np.mean(np.abs(image.denoised - image.truth.clean) <= image.sigma))


def _mean(values: Sequence[float], detector: Detector) -> float:
    return float(np.mean(values))


def _sum(values: Sequence[int], detector: Detector) -> int:
    return sum(values)


def _mean_of_all(values: Sequence[np.ndarray], detector: Detector) -> Cell:
    every = np.concatenate(values)
    return _or_empty(np.mean(every) if len(every) else None)


def _rms_of_all(values: Sequence[np.ndarray], detector: Detector) -> Cell:
    every = np.concatenate(values)
    return _or_empty(np.sqrt(np.mean(every**2)) if len(every) else None)


def _rms_picometres(squares: Sequence[np.ndarray], detector: Detector) -> Cell:
    every = np.concatenate(squares)
    return _or_empty(100 * detector.sampling * np.sqrt(np.mean(every)) if len(every) else None)


def _precision(counts: Sequence[Mapping[str, Any]], detector: Detector) -> Cell:
    _, found, paired = _counted(counts)
    return paired / found if found else EMPTY


def _recall(counts: Sequence[Mapping[str, Any]], detector: Detector) -> Cell:
    true, _, paired = _counted(counts)
    return paired / true if true else EMPTY


def _f1(counts: Sequence[Mapping[str, Any]], detector: Detector) -> Cell:
    true, found, paired = _counted(counts)
    return 2 * paired / (true + found) if true + found else EMPTY


def _true(counts: Sequence[Mapping[str, Any]], detector: Detector) -> int:
    return _counted(counts)[0]


def _seam_ratio(sums: Sequence[dict[str, float] | None], detector: Detector) -> Cell:
    return _or_empty(fidelity.seam_ratio(_known(sums)))


def _largest(values: Sequence[float | None], detector: Detector) -> Cell:
    return _or_empty(max(_known(values), default=None))


def _known_mean(values: Sequence[float | None], detector: Detector) -> Cell:
    known = _known(values)
    return _or_empty(float(np.mean(known)) if known else None)


def _per_nm2(values: Sequence[tuple[int, float]], detector: Detector) -> Cell:
    found, area = _invented_on(values, detector)
    return _or_empty(found / area if area else None)


def _per_nm2_high(values: Sequence[tuple[int, float]], detector: Detector) -> Cell:
    """Upper limit of the rate, one-sided."""
    found, area = _invented_on(values, detector)
    return rate(found, area, confidence=2 * CONFIDENCE - 1)[1] if area else EMPTY


def _invented_on(values: Sequence[tuple[int, float]], detector: Detector) -> tuple[int, float]:
    """Add up what was invented, and the area [nm²]."""
    area = sum(pixels for _, pixels in values) * (detector.sampling / 10) ** 2
    return sum(number for number, _ in values), area


def _counted(counts: Iterable[Mapping[str, Any]]) -> tuple[int, int, int]:
    """Add up true, found and paired."""
    true, found, paired = np.array([[c["true"], c["found"], c["paired"]] for c in counts]).sum(0)
    return int(true), int(found), int(paired)


def _known(values: Iterable[Kept | None]) -> list[Kept]:
    return [value for value in values if value is not None]


def _or_empty(value: float | None) -> Cell:
    return EMPTY if value is None or not np.isfinite(value) else float(value)


QUALITY = (
    FigureOfMerit("ms_ssim", _ms_ssim, _mean),
    FigureOfMerit("psnr_db", _psnr, _mean),
    FigureOfMerit("n_images", _one, _sum),
)
"""Of every method: likeness to the clean images."""

FIDELITY = (
    # of features that are found and not beside a defect
    FigureOfMerit("pore_centre_rmse_pm", _squared_distances, _rms_picometres),
    FigureOfMerit("roundness_bias", _roundness_errors, _mean_of_all),
    FigureOfMerit("roundness_rmse", _roundness_errors, _rms_of_all),
    FigureOfMerit("pore_f1", _features, _f1),
    FigureOfMerit("defect_precision", _defects, _precision),
    FigureOfMerit("defect_recall", _defects, _recall),
    FigureOfMerit("defect_f1", _defects, _f1),
    FigureOfMerit("n_defects", _defects, _true),
    FigureOfMerit("seam_ratio", _seams, _seam_ratio),
    FigureOfMerit("tiled_minus_whole_max", _tiled_minus_whole, _largest),
    FigureOfMerit("invented_per_nm2", _invented, _per_nm2, featureless=True),
    # of several crystals the mean of their limits, which is no smaller than that of all
    FigureOfMerit("invented_per_nm2_high", _invented, _per_nm2_high, featureless=True),
    FigureOfMerit("coverage_68", _covered, _known_mean),
    FigureOfMerit("n_images", _one, _sum),
)
"""Of classical methods and of networks trained on this noise: whether features are kept."""
