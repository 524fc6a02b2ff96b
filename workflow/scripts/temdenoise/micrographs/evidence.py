"""Evidence for and against a denoised frame, measured on the frame itself.

The score without a clean image: held-out pixels. The image is split into its four
2 x 2-interleaved quarters; one is denoised, moved by half of its pixels, and compared with
another. White noise is independent in the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter

from temdenoise.judging.detector import calibrate
from temdenoise.measuring.background import KEPT, background
from temdenoise.measuring.noise import Noise
from temdenoise.measuring.spectrum import (
    SMOOTH,
    Peak,
    Spectrum,
    height_at,
    lattice_peaks,
    lattice_variance,
    middle,
    spectrum,
)
from temdenoise.micrographs.frame import Frame
from temdenoise.micrographs.weighing import Weighed

LARGEST = 1024
"""Largest side of the part that is split into quarters [pixels]; the middle is taken."""

SMALLEST = 64
"""Least side of an image that can be split [pixels]."""

SIGMAS = tuple(float(s) for s in np.geomspace(0.3, 12, 9))
"""Standard deviations of the Gaussians tried first [pixels of a quarter]."""

SEEN = 6.0
"""Power over the floor from which a single known frequency counts as seen in the input."""

CHOICE = 384
"""Side of the part of the image on which one of several denoisers is chosen [pixels]."""

CERTAIN = 0.95
"""Confidence from which a feature counts as certain."""

Denoise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Score:
    """The score on held-out quarters.

    Attributes
    ----------
    network, gaussian
        Part of the variance of the held-out pixels that is explained, against their mean;
        for the Gaussian that of the best standard deviation, chosen on these very pixels.
    sigma
        That standard deviation [pixels of the image].
    difference, error
        Network minus Gaussian, and its standard error (from blocks of the image).
    chosen
        Which of the denoisers that were tried is the network meant above.
    ceiling
        Noise ceiling: part of the variance that is not white noise, as well as its level is
        known. No denoiser can exceed it.
    valid
        Whether noise is independent in the quarters; else any denoiser that
        keeps the noise scores.
    """

    network: float
    gaussian: float
    sigma: float
    difference: float
    error: float
    chosen: int
    ceiling: float
    valid: bool

    @property
    def ratio(self) -> float:
        """Network over Gaussian; NaN if the Gaussian explains nothing."""
        return self.network / self.gaussian if self.gaussian > 0 else float("nan")

    @property
    def winner(self) -> str:
        """``network``, ``gaussian``, or ``neither`` (within two standard errors, or nothing)."""
        if not self.valid:
            return "neither"
        if self.difference > 2 * self.error:
            return "network"
        if self.difference < -2 * self.error:
            return "gaussian"
        return "neither"


class HeldOut:
    """An image split into its interleaved quarters, each to be predicted from others.

    Parameters
    ----------
    image
        Shape (rows, columns), sides at least `SMALLEST`.
    noise
        Of the image: quarters that share a row are not compared where rows have noise of
        their own, nor such that share a column where columns have.
    side
        Largest side of the part that is split [pixels].

    Raises
    ------
    ValueError
        If the image is too small.
    """

    rim = 4  # pixels of a quarter where moving by half a pixel has to guess

    def __init__(self, image: np.ndarray, noise: Noise, *, side: int = LARGEST):
        if min(image.shape) < SMALLEST:
            raise ValueError(
                f"image of {image.shape}: its quarters are too small to score, expected sides of "
                f"at least {SMALLEST} pixels"
            )
        image = middle(image, side).astype(np.float64)
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        offsets = [(i, j) for i in (0, 1) for j in (0, 1)]
        self.quarters = {(i, j): image[i::2, j::2] for i, j in offsets}
        # two that share neither row nor column predict the others: all information, half the cost
        self.sources = ((0, 0), (1, 1))
        pairs = [(a, b) for a in self.sources for b in offsets if a != b]
        for axis, kind in enumerate(("rows", "columns")):
            if kind in noise.kinds:
                pairs = [(a, b) for a, b in pairs if a[axis] != b[axis]]
        self.pairs = pairs

    def squares(self, denoise: Denoise) -> np.ndarray:
        """Return the mean squared error of the predictions at every pixel of a quarter."""
        inner = (slice(self.rim, -self.rim), slice(self.rim, -self.rim))
        given = {a: np.asarray(denoise(self.quarters[a]), np.float64) for a in self.sources}
        each = [(_moved(given[a], a, b) - self.quarters[b])[inner] ** 2 for a, b in self.pairs]
        return np.mean(each, axis=0)


def best_of(denoisers: Sequence[Denoise], image: np.ndarray, noise: Noise) -> int:
    """Choose the denoiser that predicts held-out pixels best, on the middle of an image.

    Parameters
    ----------
    denoisers
        Each denoises a quarter, an image with twice the pixel size and the same noise.
    image, noise
        See `HeldOut`.

    Returns
    -------
    int
        Its number.
    """
    held_out = HeldOut(image, noise, side=CHOICE)
    return int(np.argmin([held_out.squares(denoise).mean() for denoise in denoisers]))


def quarter_score(denoise: Denoise, image: np.ndarray, noise: Noise, *, chosen: int = 0) -> Score:
    """Score a denoiser on held-out pixels, against the best Gaussian.

    Parameters
    ----------
    denoise
        Denoises a quarter, an image with twice the pixel size and the same noise.
    image, noise
        See `HeldOut`.
    chosen
        Number of the denoiser among those it was chosen from.

    Raises
    ------
    ValueError
        If the image is too small.
    """
    held_out = HeldOut(image, noise)
    mean = held_out.squares(lambda quarter: np.full_like(quarter, quarter.mean())).mean()
    network = held_out.squares(denoise)
    best, least = _best_gaussian(held_out.squares)
    gain = _blocks((least - network) / mean)
    return Score(
        network=float(1 - network.mean() / mean),
        gaussian=float(1 - least.mean() / mean),
        sigma=2 * best,
        difference=float((least.mean() - network.mean()) / mean),
        error=float(gain.std(ddof=1) / np.sqrt(len(gain))),
        chosen=chosen,
        ceiling=float(np.clip(1 - noise.sigma**2 / mean, 0, 1)) if mean else 0.0,
        valid="correlated" not in noise.kinds,
    )


def _best_gaussian(squares: Callable[[Denoise], np.ndarray]) -> tuple[float, np.ndarray]:
    """Find the standard deviation with the least squared error: coarse, then fine."""

    def errors(sigma: float) -> np.ndarray:
        return squares(lambda quarter: gaussian_filter(quarter, sigma, mode="mirror"))

    tried = {sigma: errors(sigma) for sigma in SIGMAS}
    step = SIGMAS[1] / SIGMAS[0]
    for _ in range(3):
        step = np.sqrt(step)
        best = min(tried, key=lambda sigma: tried[sigma].mean())
        for sigma in (float(best / step), float(best * step)):
            tried[sigma] = errors(sigma)
    best = min(tried, key=lambda sigma: tried[sigma].mean())
    return best, tried[best]


_HALF = np.array([3, -25, 150, 150, -25, 3]) / 256
"""Half-way interpolation from six neighbours: exact for polynomials of fifth degree."""


def _moved(image: np.ndarray, own: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
    """Read a quarter where another one's pixels lie, half a pixel away along an axis or both."""
    for axis, (mine, theirs) in enumerate(zip(own, other, strict=True)):
        if mine == theirs:
            continue
        # the six neighbours of i + 1/2 are i - 2 ... i + 3, of i - 1/2 they are i - 3 ... i + 2
        origin = -1 if theirs > mine else 0
        image = correlate1d(image, _HALF, axis, mode="mirror", origin=origin)
    return image


def _blocks(values: np.ndarray, number: int = 8) -> np.ndarray:
    """Means over blocks of an image."""
    rows = np.array_split(values, number, axis=0)
    return np.array([part.mean() for row in rows for part in np.array_split(row, number, axis=1)])


@dataclass(frozen=True)
class Residual:
    """What the denoiser took away, the noise if all is well.

    Attributes
    ----------
    correlation
        Of neighbouring pixels along rows and columns; 0 for white noise.
    over_noise
        Its standard deviation over that of the noise.
    lattice_left
        Fraction of the input's lattice (its variance) that is found in the residual.
    """

    correlation: tuple[float, float]
    over_noise: float
    lattice_left: float


def residual_of(frame: Frame, result: Weighed) -> tuple[Residual, Spectrum]:
    """Judge the difference of input and output.

    Parameters
    ----------
    frame
        The frame.
    result
        What became of it.

    Returns
    -------
    tuple of Residual and Spectrum
        The spectrum is that of the difference.
    """
    rest = frame.image[frame.centre].astype(np.float64) - result.denoised[frame.centre]
    rest -= rest.mean()
    variance = float((rest**2).mean())
    along_rows, along_columns = (
        float((a[1:] * a[:-1]).mean() / max(variance, 1e-300)) for a in (rest, rest.T)
    )
    of_rest = spectrum(rest, frame.sampling)
    whole = lattice_variance(frame.spectrum, frame.peaks)
    left = lattice_variance(of_rest, frame.peaks) / max(whole, 1e-300)
    return (
        Residual(
            correlation=(along_rows, along_columns),
            over_noise=float(np.sqrt(variance)) / max(frame.noise.sigma, 1e-300),
            lattice_left=float(left) if frame.peaks else float("nan"),
        ),
        of_rest,
    )


@dataclass(frozen=True)
class Invention:
    """Whether the output shows a lattice the input does not.

    Attributes
    ----------
    seen, shown
        Of the output's strongest lattice frequencies, how many the input shows too.
    flat
        Whether the network's part of the output, without what is kept as recorded, varies by
        no more than sigma.
    """

    seen: int
    shown: int
    flat: bool

    @property
    def suspected(self) -> bool:
        """Whether most of what the output shows is not in the input."""
        return not self.flat and self.shown > 0 and self.seen < 0.5 * self.shown


def invention(frame: Frame, result: Weighed) -> Invention:
    """Look for the output's lattice frequencies in the input.

    Parameters
    ----------
    frame
        The frame.
    result
        What became of it.
    """
    structure = result.denoised[frame.centre] - result.slow[frame.centre]
    # what is smoother than that was kept as recorded: it is no answer of the network
    answer = structure - background(structure, frame.sampling, width=KEPT)
    flat = float(answer.std()) <= float(np.median(result.sigma[frame.centre]))
    shown = spectrum(structure, frame.sampling)
    peaks = _strongest(shown)
    seen = sum(height_at(frame.spectrum, peak) >= SEEN for peak in peaks)
    return Invention(seen=seen, shown=len(peaks), flat=flat)


def _strongest(shown: Spectrum, number: int = 6) -> list[Peak]:
    """Strongest lattice frequencies, each with 2 % of the output's power at least."""
    total = shown.power[shown.frequency > 1 / SMOOTH].sum()
    peaks = lattice_peaks(shown, most=number)
    return [p for p in peaks if 2 * lattice_variance(shown, [p]) * shown.power.size > 0.02 * total]


@dataclass(frozen=True)
class FoundFeatures:
    """Atoms or pores of a denoised frame, one entry each.

    Attributes
    ----------
    feature
        ``atoms`` or ``pores``.
    centres
        Position [pixels of the middle of the frame], shape (n, 2).
    confidence
        Probability that each would still be found, given the predicted error.
    evidence
        How far each shows in the image as recorded [standard deviations of the noise].
    """

    feature: str
    centres: np.ndarray
    confidence: np.ndarray
    evidence: np.ndarray

    @property
    def certain(self) -> np.ndarray:
        """Which of them count as certain."""
        return self.confidence >= CERTAIN


def features_of(frame: Frame, result: Weighed, feature: str, *, flat: bool) -> FoundFeatures:
    """Find atoms or pores, how certain each of them is, and how far it shows as recorded.

    Parameters
    ----------
    frame
        The frame.
    result
        What became of it.
    feature
        What to look for: a key of `modes.FEATURES`.
    flat
        Whether the result shows nothing (`Invention.flat`); nothing is found then.
    """
    nothing = FoundFeatures(feature, np.empty((0, 2)), np.empty(0), np.empty(0))
    if flat:
        return nothing
    structure, sigma, recorded, slow = (
        part[frame.centre]
        for part in (result.denoised - result.slow, result.sigma, frame.image, result.slow)
    )
    try:
        detector = calibrate([structure], sampling=1.0, feature=feature)
    except ValueError:  # too few to tell their distance
        return nothing
    found = detector.features(structure)
    return FoundFeatures(
        feature,
        found.centres,
        detector.confidence(found, sigma),
        detector.evidence(found, recorded - slow, recorded - slow - structure),
    )
