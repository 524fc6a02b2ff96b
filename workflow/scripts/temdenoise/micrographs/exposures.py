"""Another exposure of the same place, whose data judge what was made of a frame."""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, shift
from scipy.signal.windows import tukey

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.judging.programs import matched
from temdenoise.measuring.background import KEPT, background
from temdenoise.measuring.unit_cell import cells_of
from temdenoise.micrographs.fission import SMALLEST, smoothed
from temdenoise.micrographs.foreign_results import Held, Match, Unseen, nearest_maximum
from temdenoise.micrographs.frame import Frame

BLUR = 0.5
"""Standard deviation of the Gaussian by which frames are smoothed before they are compared [Å]."""

CORRELATED = 6.0
"""Correlation over its standard error, from which two frames show something in common."""


@dataclass(frozen=True)
class Registration:
    """How another exposure lies beside a frame.

    Attributes
    ----------
    displaced
        What lies at a place of the exposure lies so much further in the frame, rows and columns
        [pixels].
    certainty
        Correlation of what both show, smoothed, over its standard error.
    certain
        Whether more than the lattice says so: else they may lie a lattice vector beside, or be
        exposures of different places of one crystal.
    """

    displaced: tuple[float, float]
    certainty: float
    certain: bool


def on_exposure(frame: Frame, other: Frame, result: np.ndarray, _match: Match) -> Unseen:
    """Lay a result upon another exposure of the same place, whose data judge it.

    The exposure keeps its pixels, so that their noise stays independent; the result is moved, by
    whole pixels and then by cubic splines, and fitted to its intensities.

    Parameters
    ----------
    frame
        The frame that the result was made of.
    other
        The other exposure, of the same shape and pixel size.
    result
        Shape (rows, columns).

    Raises
    ------
    DataError
        If they do not correlate, or have too little in common.
    """
    ours = frame.image[frame.centre].astype(np.float64)
    theirs = other.image[frame.centre].astype(np.float64)
    found = register(frame, ours, theirs)
    inner, outer, rest = _overlap(found.displaced, ours.shape)
    held = theirs[inner]

    def moved(image: np.ndarray) -> np.ndarray:
        laid: np.ndarray = shift(image[outer], [-step for step in rest], order=3, mode="mirror")
        return laid

    part = other.with_image(held)
    judge = held.astype(np.float64)
    given = _gained(moved(ours), judge, frame.noise_model.variance)
    parts = Held(given, judge, part.noise_model, smoothed(judge), None, judge)
    return Unseen(
        data="the data of the other exposure",
        frame=part,
        parts=parts,
        given=matched(moved(result[frame.centre]), judge),
        corner=(
            inner[0].start + found.displaced[0],
            inner[1].start + found.displaced[1],
        ),
        certain=found.certain,
    )


def register(frame: Frame, ours: np.ndarray, theirs: np.ndarray) -> Registration:
    """Find how far another exposure of a frame's middle is displaced.

    What is not periodic (defects, contamination) decides where the lattice alone could lie a
    vector further; then both are laid upon each other to a fraction of a pixel.

    Parameters
    ----------
    frame
        The frame.
    ours, theirs
        The middle of the frame, and of the exposure; of one shape.

    Raises
    ------
    DataError
        If they do not correlate.
    """
    sampling = frame.sampling
    softened = [_softened(image, sampling) for image in (ours, theirs)]
    window = np.outer(*(tukey(n, 0.3, sym=False) for n in ours.shape))
    unlike = [
        _without_lattice(image, soft, frame) * window
        for image, soft in zip((ours, theirs), softened, strict=True)
    ]
    coarse, height = _highest(*unlike)
    # of noise alone the highest of so many places reaches some 4 or 5
    certain = height > CORRELATED
    start = coarse if certain else (0, 0)
    inner, outer, _ = _overlap((float(start[0]), float(start[1])), ours.shape)
    pair = softened[0][outer], softened[1][inner]
    # where the lattice alone decides, the nearest of its places is as good as any
    spacing = frame.ring.spacing if frame.ring else 4.0
    near = certain or frame.ring is not None
    reach = [
        max(1, int(0.6 * spacing / step)) if near else n // 4
        for step, n in zip(sampling, pair[0].shape, strict=True)
    ]
    fine = [-step for step in nearest_maximum(*pair, reach)]
    displaced = (float(start[0] + fine[0]), float(start[1] + fine[1]))
    inner, outer, _ = _overlap(displaced, ours.shape)
    one, two = softened[0][outer], softened[1][inner]
    power = float((one**2).sum() * (two**2).sum())
    correlation = float((one * two).sum()) / np.sqrt(max(power, 1e-300))
    # neighbours are alike: so many of the smoothed pixels count as one
    alike = 2 * np.pi * BLUR**2 / (sampling.rows * sampling.columns)
    certainty = correlation * float(np.sqrt(one.size / max(alike, 1.0)))
    if not certainty > CORRELATED:
        raise DataError(
            f"the other exposure does not correlate with the frame (correlation "
            f"{correlation:.3f}, {certainty:.1f} times its standard error, expected at least "
            f"{CORRELATED:g}): it shows another place, or too few electrons; name an exposure of "
            "the same place, pixel size and orientation"
        )
    return Registration(displaced, certainty, certain)


def _softened(image: np.ndarray, sampling: PixelSize) -> np.ndarray:
    rest = image - background(image, sampling)
    soft: np.ndarray = gaussian_filter(rest, [BLUR / step for step in sampling])
    return soft - soft.mean()


def _without_lattice(image: np.ndarray, soft: np.ndarray, frame: Frame) -> np.ndarray:
    """Take the averaged cell off a smoothed frame, and what varies slowly."""
    own = frame.with_image(image)
    cells = cells_of(image, own.peaks, frame.sampling, noise=own.level.sigma)
    if cells is not None:
        soft = soft - np.where(cells.inside, cells.lay(cells.average(soft)), 0)
    fast = soft - background(soft, frame.sampling, width=KEPT)
    return fast - fast.mean()


def _highest(ours: np.ndarray, theirs: np.ndarray) -> tuple[tuple[int, int], float]:
    """Whole displacement at which two images correlate best [pixels], and how far it stands out."""
    shape = [fft.next_fast_len(2 * n, real=True) for n in ours.shape]
    transforms = [fft.rfft2(image, s=shape) for image in (ours, theirs)]
    correlation = fft.irfft2(transforms[0] * transforms[1].conj(), s=shape)
    # at least half of either side in common
    offsets = [fft.fftfreq(n, 1 / n) for n in shape]
    allowed = (np.abs(offsets[0])[:, None] <= ours.shape[0] / 2) & (
        np.abs(offsets[1]) <= ours.shape[1] / 2
    )
    values = np.where(allowed, correlation, -np.inf)
    top = np.unravel_index(values.argmax(), values.shape)
    spread = 1.4826 * float(np.median(np.abs(correlation[allowed])))
    place = (int(offsets[0][top[0]]), int(offsets[1][top[1]]))
    return place, float(values[top]) / max(spread, 1e-300)


def _overlap(
    displaced: tuple[float, float], shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice], list[float]]:
    """Give what both have in common, in the exposure and in the frame, and the rest of a pixel."""
    inner, outer, rest = [], [], []
    for step, n in zip(displaced, shape, strict=True):
        whole = round(step)
        inner.append(slice(max(0, -whole), n - max(0, whole)))
        outer.append(slice(max(0, whole), n - max(0, -whole)))
        rest.append(step - whole)
    least = min(part.stop - part.start for part in inner)
    if least < SMALLEST:
        raise DataError(
            f"the other exposure has only {least} pixels in common with the frame, displaced by "
            f"{displaced[0]:.0f} and {displaced[1]:.0f}; expected at least {SMALLEST}"
        )
    return (inner[0], inner[1]), (outer[0], outer[1]), rest


def _gained(ours: np.ndarray, theirs: np.ndarray, noise: float) -> np.ndarray:
    """Bring a frame to the intensities of another exposure; its own noise does not count."""
    centred = ours - ours.mean()
    signal = max(float((centred**2).mean()) - noise, 1e-300)
    gain = max(float((centred * theirs).mean()), 0.0) / signal
    return np.asarray(theirs.mean() + gain * centred)
