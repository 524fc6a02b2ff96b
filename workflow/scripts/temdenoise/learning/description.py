"""What a model says of itself: the one type behind model files, cards and the choice of a model."""

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.modes import ImageMode, image_mode
from temdenoise.foundation.quantities import NoiseRange, PixelRange, PixelSize
from temdenoise.images.storage import one_by_one
from temdenoise.measuring.lattice import first_ring
from temdenoise.measuring.spectrum import lattice_peaks, spectrum


@dataclass(frozen=True)
class SigmaCalibration:
    """What makes 68.27 % of the errors smaller than sigma: factor s (level / 0.05)^growth.

    Attributes
    ----------
    factor
        On the network's sigma s.
    growth
        With the level of an image, the geometric mean of s; from 0, where the factor is all, to 1.
    """

    factor: float = 1.0
    growth: float = 0.0


@dataclass(frozen=True)
class ModelDescription:
    """What a model was trained on, and how its answers are meant.

    Attributes
    ----------
    noise
        Noise coefficients C of the training [normalised intensity].
    mode
        What its images show.
    method
        ``cnn`` (one noise), ``universal`` (all), ``paper_like``; empty if not said.
    trained_on
        The noise, or ``all``; empty if not said.
    sampling
        Pixel size of the training images along x and y [Å].
    pixel_range
        Pixel sizes they were resampled to in training [Å]; None if they were not.
    clean_mean, clean_std
        Mean and standard deviation of the clean training images [normalised intensity].
    spacings
        Spacing of the first ring of the crystals trained on, by name [Å]; empty if not known.
    scale
        Offset and range of the normalisation, and their unit.
    calibration
        Of sigma.
    standardised
        Whether the network sees each image with mean 0 and standard deviation 1, so that its
        unit does not matter.
    patch
        Side of the patches that are predicted alone and put side by side, as the paper does
        [pixels]; None for an image in one piece.
    options
        Options of the training.
    structures
        Names of the structures trained on.
    seed
        Of the run.
    name, licence, provenance
        Of a published model.
    """

    noise: NoiseRange
    mode: ImageMode = field(default_factory=lambda: image_mode("density"))
    method: str = ""
    trained_on: str = ""
    sampling: PixelSize = field(default_factory=lambda: PixelSize.of(0.2))
    pixel_range: PixelRange | None = None
    clean_mean: float = 0.5
    clean_std: float = 0.25
    spacings: Mapping[str, float] = field(default_factory=dict)
    scale: Mapping[str, Any] = field(default_factory=dict)
    calibration: SigmaCalibration = SigmaCalibration()
    standardised: bool = False
    patch: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    structures: tuple[str, ...] = ()
    seed: int | None = None
    name: str = ""
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pixels(self) -> PixelRange:
        """Pixel sizes the model knows: those of its training, or its own within 5 % [Å]."""
        if self.pixel_range is not None:
            return self.pixel_range
        step = float(np.mean(self.sampling))
        return PixelRange(0.95 * step, 1.05 * step)

    @property
    def universal(self) -> bool:
        """Whether it was trained on all kinds of noise of its run."""
        return self.trained_on == "all"

    @property
    def noise_over_contrast(self) -> float:
        """Strongest noise it was trained on, over the lattice's contrast."""
        return self.noise.high / self.clean_std

    def published(self, *, name: str, provenance: Mapping[str, Any]) -> "ModelDescription":
        """Return the description of the model as it is handed on: no structures, no seed."""
        return replace(
            self, structures=(), seed=None, name=name, licence="MIT", provenance=provenance
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a model file; what says nothing is left out.

        Examples
        --------
        >>> about = ModelDescription(NoiseRange(0.02, 0.25), trained_on="poisson").to_dict()
        >>> about["trained_on"], about["image_kind"], "patch" in about
        ('poisson', 'density', False)
        """
        optional: dict[str, Any] = {
            "method": self.method,
            "trained_on": self.trained_on,
            "standardised": self.standardised,
            "spacings_angstrom": dict(self.spacings),
            "scale": dict(self.scale),
            "options": dict(self.options),
            "structures": list(self.structures),
            "seed": self.seed,
            "patch": self.patch,
            "name": self.name,
            "licence": self.licence,
            "provenance": dict(self.provenance),
            "sampling_range_angstrom": self.pixel_range and list(self.pixel_range),
        }
        return {
            "image_kind": self.mode.name,
            "c_noise_train": list(self.noise),
            "sampling_angstrom": list(self.sampling),
            "clean_mean": self.clean_mean,
            "clean_std": self.clean_std,
            "sigma_factor": self.calibration.factor,
            "sigma_growth": self.calibration.growth,
            # a seed of 0 says something, too
            **{key: value for key, value in optional.items() if value or type(value) is int},
        }

    @classmethod
    def from_dict(cls, about: Mapping[str, Any]) -> "ModelDescription":
        """Read a description from the plain values of a model file, also of older versions.

        Raises
        ------
        DataError
            If a value is missing, of another type, or no number above 0 where one is expected.

        Examples
        --------
        >>> ModelDescription.from_dict({"c_noise_train": [0.02, 0.25]}).noise
        NoiseRange(low=0.02, high=0.25)
        """
        read = _Reader(about)
        ranged = read.pair("sampling_range_angstrom", positive=True)
        sampling = read.pair("sampling_angstrom", positive=True) or (0.2, 0.2)
        noise = read.pair("c_noise_train")
        if noise is None:
            raise DataError("the description of the model lacks `c_noise_train`, its range of C")
        spacings = read.mapping("spacings_angstrom")
        return cls(
            noise=NoiseRange(*noise),
            mode=image_mode(read.text("image_kind") or "density"),
            method=read.text("method"),
            trained_on=read.text("trained_on"),
            sampling=PixelSize(*sampling),
            pixel_range=PixelRange(*ranged) if ranged else None,
            clean_mean=read.number("clean_mean", 0.5),
            clean_std=read.number("clean_std", 0.25, positive=True),
            spacings={
                name: _number(f"spacings_angstrom.{name}", spacing, positive=True)
                for name, spacing in spacings.items()
            },
            scale=read.mapping("scale"),
            calibration=SigmaCalibration(
                read.number("sigma_factor", 1.0, positive=True),
                read.number("sigma_growth", 0.0),
            ),
            standardised=read.flag("standardised"),
            patch=read.whole("patch", minimum=1),
            options=read.mapping("options"),
            structures=read.texts("structures"),
            seed=read.whole("seed", minimum=0),
            name=read.text("name"),
            licence=read.text("licence"),
            provenance=read.mapping("provenance"),
        )


class _Reader:
    """Values of a model file, each checked for its type."""

    def __init__(self, about: Mapping[str, Any]):
        if not isinstance(about, Mapping):
            raise DataError(
                f"the description of the model is a {type(about).__name__}, expected a dictionary"
            )
        self.about = about

    def text(self, key: str) -> str:
        value = self.about.get(key, "")
        if not isinstance(value, str):
            raise _unexpected(key, value, "text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.about.get(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise _unexpected(key, value, "a list of texts")
        return tuple(value)

    def flag(self, key: str) -> bool:
        value = self.about.get(key, False)
        if not isinstance(value, bool):
            raise _unexpected(key, value, "true or false")
        return value

    def number(self, key: str, default: float, *, positive: bool = False) -> float:
        return _number(key, self.about.get(key, default), positive=positive)

    def whole(self, key: str, *, minimum: int) -> int | None:
        value = self.about.get(key)
        if value is not None and (type(value) is not int or value < minimum):
            raise _unexpected(key, value, f"a whole number of at least {minimum}")
        return value

    def pair(self, key: str, *, positive: bool = False) -> tuple[float, float] | None:
        value = self.about.get(key)
        if value is None:
            return None
        values = value if isinstance(value, list | tuple) else (value, value)
        if len(values) != 2:
            raise _unexpected(key, value, "two numbers")
        first, second = (_number(key, each, positive=positive) for each in values)
        return first, second

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.about.get(key, {})
        if not isinstance(value, Mapping):
            raise _unexpected(key, value, "a dictionary")
        _check_plain(key, value)
        return dict(value)


def _number(key: str, value: Any, *, positive: bool = False) -> float:
    try:
        finite = type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        finite = False
    if not finite or (positive and value <= 0):
        wanted = "a finite number above 0" if positive else "a finite number"
        raise _unexpected(key, value, wanted)
    return float(value)


def _unexpected(key: str, value: Any, wanted: str) -> DataError:
    return DataError(f"`{key}` of the model is {shown(value)}, expected {wanted}")


def shown(value: Any) -> str:
    """Write a value of a file for an error message, shortened: a few bytes may be a long text.

    Examples
    --------
    >>> shown("adf"), shown([[[[1, 2]]]]), shown(10**5000)
    ("'adf'", '[[[...]]]', 'a int')
    """
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict = 3, 3, 3, 3
    short.maxstring = 80
    try:
        return short.repr(value)
    except ValueError:  # Python writes no whole number of thousands of digits
        return f"a {type(value).__name__}"


MOST_VALUES = 10_000
"""Values that options, scale or provenance may hold at most, each."""


def _check_plain(key: str, value: Mapping[Any, Any]) -> None:
    """Refuse what is no plain value, or too much: a list may hold the same list many times."""
    pending: list[Any] = [value]
    left = MOST_VALUES
    while pending:
        left -= 1
        if left < len(pending):
            raise DataError(f"`{key}` of the model holds more than {MOST_VALUES} values")
        item = pending.pop()
        if isinstance(item, Mapping) and all(isinstance(name, str) for name in item):
            pending += item.values()
        elif isinstance(item, list | tuple):
            pending += item
        elif item is not None and not isinstance(item, str | int | float):
            raise _unexpected(key, item, "text, numbers, lists and dictionaries in it")


@dataclass(frozen=True)
class TrainingImages:
    """What the clean training images of a run look like.

    Attributes
    ----------
    mean, contrast
        Mean and standard deviation over all of them [normalised intensity].
    spacings
        Spacing of the first ring of each crystal by its name [Å]; none of a crystal whose
        lattice cannot be seen.
    """

    mean: float
    contrast: float
    spacings: Mapping[str, float]


def training_images(
    clean: Mapping[str, Iterable[np.ndarray]], *, sampling: Sequence[float]
) -> TrainingImages:
    """Measure training images, so that a micrograph can be fitted to the model.

    Parameters
    ----------
    clean
        Clean, normalised training images by crystal, shape (x, y); in memory one at a time.
    sampling
        Pixel size along x and y [Å].
    """
    means, variances = [], []
    spacings: dict[str, float] = {}
    size = PixelSize(*sampling)
    for name, images in clean.items():
        first: list[np.ndarray] = []
        for image in one_by_one(images):
            means.append(image.mean())
            variances.append(image.var())
            if len(first) < _LOOKED_AT:
                first.append(np.array(image))
        rings = [first_ring(lattice_peaks(spectrum(image, size))) for image in _with_floor(first)]
        found = [ring.spacing for ring in rings if ring is not None]
        if found:
            spacings[name] = float(np.median(found))
    return TrainingImages(
        mean=float(np.mean(means)),
        contrast=float(np.sqrt(np.mean(variances))),
        spacings=spacings,
    )


_LOOKED_AT = 4  # images of each crystal, for its spacing


def _with_floor(images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Add a little white noise, since peaks are judged by the noise floor around them."""
    rng = np.random.default_rng(0)
    return [a + 0.1 * a.std() * rng.standard_normal(a.shape) for a in images]
