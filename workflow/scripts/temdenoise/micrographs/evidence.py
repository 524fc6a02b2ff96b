"""Evidence for and against a denoised frame, measured on the frame itself.

The score without a clean image: the frame is split by its own noise (`fission`), one part is
denoised, and the other judges.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from temdenoise.foundation.seeding import generator
from temdenoise.judging.detector import calibrate
from temdenoise.measuring.background import KEPT, background
from temdenoise.measuring.noise_model import NoiseModel
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
from temdenoise.micrographs.fission import Denoise, Split, mean_and_error, smoothed, split
from temdenoise.micrographs.frame import Frame
from temdenoise.micrographs.weighing import Weighed

RIM = 4
"""Width of the rim that is not scored [pixels]."""

SIGMAS = tuple(float(s) for s in np.geomspace(0.6, 24, 9))
"""Standard deviations of the Gaussians tried first [pixels]."""

SEEN = 6.0
"""Power over the floor from which a single known frequency counts as seen in the input."""

CHOICE = 256
"""Side of the part of the image on which one of several denoisers is chosen [pixels]."""

CERTAIN = 0.95
"""Confidence from which a feature counts as certain."""


@dataclass(frozen=True)
class Score:
    """The score on the part of the data that was held out.

    Attributes
    ----------
    network, gaussian
        Part of the frame's variance that is explained: 1 less the error, the noise included, over
        the variance about the mean. For the Gaussian that of the best standard deviation, chosen
        on these very data.
    sigma
        That standard deviation [pixels].
    difference, error
        Network minus Gaussian, and its standard error (from blocks of the image).
    chosen
        Which of the denoisers that were tried is the network meant above.
    ceiling, ceiling_error
        Noise ceiling: part of the variance that is not noise; no denoiser can explain more. The
        standard error of its distance from `network`.
    valid
        Whether the noise is known well enough to be split; else any denoiser that
        keeps the noise scores.
    """

    network: float
    gaussian: float
    sigma: float
    difference: float
    error: float
    chosen: int
    ceiling: float
    ceiling_error: float
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


def best_of(
    denoisers: Sequence[Denoise], image: np.ndarray, noise: NoiseModel, *, default: int = 0
) -> int:
    """Choose the denoiser with the least error, on the middle of an image that is split.

    Parameters
    ----------
    denoisers
        Each denoises an image of this pixel size with a little more noise.
    image
        Shape (rows, columns); what shall judge the chosen one must have no part in it.
    noise
        Model of its noise.
    default
        Number of the one that is taken unless another is better by two standard errors.

    Returns
    -------
    int
        Its number.
    """
    part = middle(image, CHOICE)
    found = split(part, noise, smoothed(part), generator(0, "choice"))
    errors = [found.errors(denoise(found.given)) for denoise in denoisers]
    best = int(np.argmin([error.mean() for error in errors]))
    gain, error = mean_and_error(errors[default] - errors[best])
    return best if gain > 2 * error else default


def score_of(
    parts: Split, given: np.ndarray, whole: np.ndarray, *, chosen: int = 0, valid: bool = True
) -> Score:
    """Score a denoiser on the part of a frame that it was not given, against the best Gaussian.

    Parameters
    ----------
    parts
        The frame, split.
    given, whole
        What the denoiser makes of the part it is given, and of the frame; shape (rows, columns).
    chosen
        Number of the denoiser among those it was chosen from.
    valid
        See `Score`.
    """
    inner = (slice(RIM, -RIM), slice(RIM, -RIM))
    variance = float(parts.recorded[inner].var())
    if not variance:
        return Score(0.0, 0.0, 0.0, 0.0, 0.0, chosen, 0.0, 0.0, valid=False)
    noise = float(parts.noise.of_pixels(parts.mean)[inner].mean()) + sum(parts.noise.lines)

    def errors(sigma: float) -> np.ndarray:
        blurred = (
            gaussian_filter(image, sigma, mode="mirror") for image in (parts.given, parts.recorded)
        )
        return parts.errors(*blurred)[inner] / variance

    network = parts.errors(given, whole)[inner] / variance
    best, least = _best_gaussian(errors)
    ceiling = 1 - noise / variance
    gain, error = mean_and_error(least - network)
    _, network_error = mean_and_error(network)
    return Score(
        network=float(ceiling - network.mean()),
        gaussian=float(ceiling - least.mean()),
        sigma=best,
        difference=gain,
        error=error,
        chosen=chosen,
        ceiling=float(np.clip(ceiling, 0, 1)),
        ceiling_error=float(np.hypot(network_error, parts.noise.variance_error / variance)),
        valid=valid,
    )


def _best_gaussian(errors: Callable[[float], np.ndarray]) -> tuple[float, np.ndarray]:
    """Find the standard deviation with the least squared error: coarse, then fine."""
    tried = {sigma: errors(sigma) for sigma in SIGMAS}
    step = SIGMAS[1] / SIGMAS[0]
    for _ in range(3):
        step = np.sqrt(step)
        best = min(tried, key=lambda sigma: float(tried[sigma].mean()))
        for sigma in (float(best / step), float(best * step)):
            tried[sigma] = errors(sigma)
    best = min(tried, key=lambda sigma: float(tried[sigma].mean()))
    return best, tried[best]


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
            over_noise=float(np.sqrt(variance)) / max(frame.level.sigma, 1e-300),
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
