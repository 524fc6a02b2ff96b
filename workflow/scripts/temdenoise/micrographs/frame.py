"""One frame of a micrograph, analysed once: what all later stages look at."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.modes import ImageMode, mode_by_contrast
from temdenoise.foundation.quantities import NoiseLevel, PixelSize
from temdenoise.measuring.background import background
from temdenoise.measuring.lattice import Ring, first_ring, sampling_from_lattice
from temdenoise.measuring.noise import Noise, estimate, without_impulses
from temdenoise.measuring.noise_model import NoiseModel, measure
from temdenoise.measuring.spectrum import (
    Peak,
    Spectrum,
    lattice_contrast,
    lattice_peaks,
    middle,
    middle_of,
    spectrum,
)
from temdenoise.micrographs import memory
from temdenoise.micrographs.nodata import (
    NoData,
    Window,
    filled,
    window_with_data,
    without_data,
)

LARGEST = 1e12
"""Largest intensity: sums of squares must stay within the range of 32-bit numbers."""

MOST_MISSING = 0.2
"""Largest fraction of single missing pixels."""

LEAST_DATA = 0.1
"""Smallest fraction of the frame that holds data."""

MOST_SATURATED = 0.3
"""Largest fraction of saturated pixels that are scattered."""


@dataclass(frozen=True)
class Frame:
    """A frame without outlier pixels; what is found in it is computed once, when asked for.

    Attributes
    ----------
    number
        Of the frame in its stack, from 1.
    image
        float32, shape (rows, columns); areas without data are filled, see `nodata.filled`.
    sampling
        Pixel size [Å].
    replaced
        Number of pixels that were outliers or missing.
    outliers
        Their fraction.
    saturated
        Fraction of the pixels at the largest value, if that looks like a limit; else 0. Those in
        areas without data do not count.
    no_data
        Where it holds no data; see `nodata.without_data`.
    window
        The part that is measured: a rectangle with data.
    """

    number: int
    image: np.ndarray
    sampling: PixelSize
    replaced: int
    outliers: float
    saturated: float
    no_data: NoData
    window: Window

    @property
    def measured(self) -> np.ndarray:
        """The part of the image that is measured."""
        return self.image[self.window]

    @property
    def centre(self) -> Window:
        """The middle of the part that is measured, which is looked at in detail."""
        rows, columns = map(middle_of, self.window)
        return rows, columns

    def as_recorded(self, recorded: np.ndarray | float, image: np.ndarray) -> np.ndarray:
        """Put what was recorded where there is no data into an image of the frame's shape."""
        mask = self.no_data.mask
        return np.where(mask, recorded, image).astype(np.float32) if mask.any() else image

    def with_image(self, image: np.ndarray) -> "Frame":
        """Return a frame of another image that has data everywhere; nothing of it is known."""
        return Frame(
            number=self.number,
            image=image.astype(np.float32),
            sampling=self.sampling,
            replaced=0,
            outliers=self.outliers,
            saturated=0.0,
            no_data=NoData(np.zeros(image.shape, bool), ()),
            window=(slice(0, image.shape[0]), slice(0, image.shape[1])),
        )

    @cached_property
    def spectrum(self) -> Spectrum:
        """Power spectrum of the middle of the part that is measured."""
        return spectrum(self.measured, self.sampling)

    @cached_property
    def noise(self) -> Noise:
        """Level and kind of its noise."""
        return estimate(
            self.measured, self.spectrum, sampling=self.sampling, impulses=self.outliers
        )

    @cached_property
    def noise_model(self) -> NoiseModel:
        """A model of its noise, to draw more of it."""
        return measure(self.image[self.centre], self.noise, self.sampling)

    @cached_property
    def peaks(self) -> list[Peak]:
        """Peaks of its lattice."""
        return lattice_peaks(self.spectrum)

    @cached_property
    def ring(self) -> Ring | None:
        """First ring of its lattice; None if there is no lattice to be seen."""
        return first_ring(self.peaks)

    @cached_property
    def level(self) -> NoiseLevel:
        """How strong its noise is beside its lattice."""
        sigma = float(np.sqrt(self.noise_model.variance))
        return NoiseLevel(sigma, lattice_contrast(self.spectrum, self.peaks))


def analyse(frame: np.ndarray, *, sampling: PixelSize, number: int = 1) -> Frame:
    """Clean a frame of outlier pixels and make it ready to be looked at.

    Parameters
    ----------
    frame
        Shape (rows, columns), any real type; NaN for a missing pixel.
    sampling
        Pixel size [Å].
    number
        Of the frame in its stack, from 1.

    Raises
    ------
    DataError
        If the frame holds no picture: no finite value, one value alone, mostly
        missing or saturated; values above `LARGEST`; or needs more memory than there is.
    """
    memory.require(*frame.shape)
    no_data = without_data(frame)
    frame = np.ascontiguousarray(frame, dtype=np.float32)
    saturated = _saturated(frame, no_data)
    image, hot = without_impulses(filled(frame, no_data.mask))
    if image.min() == image.max():
        raise DataError("every pixel but single ones has the same value: no picture in it")
    return Frame(
        number=number,
        image=image,
        sampling=sampling,
        replaced=int(hot.sum()),
        outliers=float(hot.mean()),
        saturated=saturated,
        no_data=no_data,
        window=window_with_data(no_data.mask),
    )


def first_look(frame: np.ndarray) -> tuple[float, np.ndarray]:
    """Look at a frame before anything is known about it.

    Parameters
    ----------
    frame
        Shape (rows, columns), any real type; NaN for a missing pixel.

    Returns
    -------
    float and numpy.ndarray
        The offset that 32-bit numbers cannot hold (`offset_of`), and the part that is to be
        measured without it, float32.
    """
    frame = np.asarray(frame)
    mask = without_data(frame).mask
    offset = 0.0 if mask.all() else offset_of(frame[~mask])
    if offset:
        frame = frame.astype(np.float64) - offset
    frame = frame.astype(np.float32)
    return offset, frame if mask.all() else filled(frame, mask)[window_with_data(mask)]


def offset_of(frame: np.ndarray) -> float:
    """Return the offset that 32-bit numbers cannot hold beside the values' own range; else 0.

    Parameters
    ----------
    frame
        Any shape and real type.

    Examples
    --------
    >>> offset_of(np.array([[10**9, 10**9 + 20]])), offset_of(np.array([[1000, 1020]]))
    (1000000010.0, 0.0)
    """
    values = np.asarray(frame)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        return 0.0
    low, high = float(finite.min()), float(finite.max())
    if not 0 < high - low < max(abs(low), abs(high)) / _HELD:
        return 0.0
    return float(np.median(finite))


_HELD = 4096.0  # of 24 bits, 12 are left for the range


def _saturated(frame: np.ndarray, no_data: NoData) -> float:
    """Return the fraction of single saturated pixels; refuse a frame that holds no picture."""
    finite = frame[np.isfinite(frame)]
    if not finite.size:
        raise DataError("every pixel is missing (NaN or infinite)")
    seen = frame[~no_data.mask]
    missing = 1 - np.count_nonzero(np.isfinite(seen)) / max(seen.size, 1)
    if seen.size and missing > MOST_MISSING:
        raise DataError(
            f"{100 * missing:.0f} % of the pixels are missing (NaN or infinite), expected at most "
            f"{100 * MOST_MISSING:.0f} %: cut the image to where it holds data"
        )
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        raise DataError(f"every pixel has the same value, {low:g}: there is no picture in it")
    if no_data.fraction > 1 - LEAST_DATA:
        raise DataError(f"{no_data.text}; expected data in at least {100 * LEAST_DATA:.0f} % of it")
    if max(-low, high) > LARGEST:
        raise DataError(
            f"values from {low:g} to {high:g}, expected at most {LARGEST:g} either way: divide the "
            "image by a constant"
        )
    fraction = float(np.mean(seen == high))
    # values pile up at a limit; without one the largest is as rare as those just below it
    below = np.mean((seen >= high - (high - low) / 100) & (seen < high))
    if not fraction > max(5 * below, 1e-3):
        return 0.0
    if fraction > MOST_SATURATED:
        raise DataError(
            f"{100 * fraction:.0f} % of the pixels are saturated (at {high:g}), expected at most "
            f"{100 * MOST_SATURATED:.0f} %: the signal there was never recorded; take the image "
            "with less gain"
        )
    return fraction


def size_from_lattice(path: Path, first: np.ndarray, spacing: float | None) -> PixelSize:
    """Take the pixel size from the lattice, as the file says none and none is given.

    Parameters
    ----------
    path
        The file, for the message.
    first
        Its first frame, shape (rows, columns); see `first_look`.
    spacing
        Of the planes that make the crystal's first ring [Å]; None: it is not known.

    Raises
    ------
    DataError
        If the crystal is not known, or no ring is seen.
    """
    size = None if spacing is None else sampling_from_lattice(first, spacing)
    if size is not None:
        return PixelSize(size, size)
    raise DataError(
        f"{path}: does not say its pixel size; give it with --sampling "
        "(sampling= in Python), in Å"
        + (
            ", or the crystal with --crystal, and it is taken from the lattice"
            if spacing is None
            else " (no lattice ring was found to take it from)"
        )
    )


def contrast_of(smooth: np.ndarray) -> int:
    """Tell whether an image shows bright structure on dark ground (1) or the opposite (-1).

    Bright atoms on dark ground have a distribution of brightness with a tail to the
    bright side, pores in a bright net one to the dark side.

    Parameters
    ----------
    smooth
        The image without noise and slow background, shape (rows, columns).
    """
    low, median, high = np.quantile(smooth, [0.02, 0.5, 0.98])
    return 1 if high - median >= median - low else -1


def mode_of(frame: np.ndarray, sampling: PixelSize) -> ImageMode:
    """Judge the mode of a frame by its contrast: bright atoms or dark pores.

    Parameters
    ----------
    frame
        Shape (rows, columns), with data everywhere; see `first_look`.
    sampling
        Pixel size [Å].
    """
    part = middle(np.asarray(frame)).astype(np.float32)
    if not np.isfinite(part).any():
        return mode_by_contrast(1)
    part, _ = without_impulses(part)
    widths = [0.5 / step for step in sampling]
    return mode_by_contrast(contrast_of(gaussian_filter(part, widths) - background(part, sampling)))
