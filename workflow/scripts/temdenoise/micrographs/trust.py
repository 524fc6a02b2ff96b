"""Whether to believe a denoised micrograph: measured on the image itself, then in words.

The one honest score without a clean image: pixels the denoiser has not seen. The image is
split into its four 2 x 2-interleaved quarters; one is denoised, moved by half of its
pixels, and compared with another. White noise is independent in the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter

from temdenoise.micrographs.fitting import KEPT, background
from temdenoise.micrographs.noise_estimate import Noise
from temdenoise.micrographs.spectrum import (
    SMOOTH,
    Peak,
    Spectrum,
    height_at,
    lattice_peaks,
    lattice_variance,
    middle,
    spectrum,
)

LARGEST = 1024
"""Largest side of the part that is split into quarters [pixels]; the middle is taken."""

SIGMAS = tuple(float(s) for s in np.geomspace(0.3, 12, 9))
"""Standard deviations of the Gaussians tried first [pixels of a quarter]."""

SEEN = 6.0
"""Power over the floor from which a single known frequency counts as seen in the input."""

Denoise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Score:
    """The held-out quarter score.

    Attributes
    ----------
    network, gaussian
        Part of the variance of the unseen pixels that is explained, against their mean;
        for the Gaussian that of the best standard deviation, chosen on these very pixels.
    sigma
        That standard deviation [pixels of the image].
    difference, error
        Network minus Gaussian, and its standard error (from blocks of the image).
    chosen
        Which of the denoisers given was best, and is the network meant above.
    ceiling
        Part of the variance that is not white noise, as well as its level is known: what
        no denoiser can exceed.
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


def quarter_score(
    image: np.ndarray, denoisers: Sequence[Denoise], noise: Noise, *, side: int = LARGEST
) -> Score:
    """Score a denoiser on pixels it has not seen.

    Parameters
    ----------
    image
        Shape (rows, columns), sides at least 64 pixels.
    denoisers
        Each denoises a quarter, an image with twice the pixel size and the same noise. They
        are the same network with different intensity scales; the best one counts,
        as does the best Gaussian.
    noise
        Of the image: quarters that share a row are not compared where rows have noise of
        their own, nor such that share a column where columns have.
    side
        Largest side of the part that is scored [pixels].

    Raises
    ------
    ValueError
        If the image is too small.
    """
    if min(image.shape) < 64:
        raise ValueError(
            f"image of {image.shape}: its quarters are too small to score, expected sides of at "
            "least 64 pixels"
        )
    image = middle(image, side).astype(np.float64)
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    offsets = [(i, j) for i in (0, 1) for j in (0, 1)]
    quarters = {(i, j): image[i::2, j::2] for i, j in offsets}
    # two that share neither row nor column predict the others: all information, half the cost
    sources = ((0, 0), (1, 1))
    pairs = [(a, b) for a in sources for b in offsets if a != b]
    for axis, kind in enumerate(("rows", "columns")):
        if kind in noise.kinds:
            pairs = [(a, b) for a, b in pairs if a[axis] != b[axis]]
    rim = 4  # where moving by half a pixel has to guess
    inner = (slice(rim, -rim), slice(rim, -rim))

    def squares(method: Denoise) -> np.ndarray:
        given = {a: np.asarray(method(quarters[a]), np.float64) for a in sources}
        each = [(_moved(given[a], a, b) - quarters[b])[inner] ** 2 for a, b in pairs]
        return np.mean(each, axis=0)

    mean = squares(lambda quarter: np.full_like(quarter, quarter.mean())).mean()
    networks = [squares(method) for method in denoisers]
    chosen = int(np.argmin([errors.mean() for errors in networks]))
    network = networks[chosen]
    best, least = _best_gaussian(squares)
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
        Share of the input's lattice (its variance) that is found in the residual.
    """

    correlation: tuple[float, float]
    over_noise: float
    lattice_left: float


def residual_of(
    image: np.ndarray,
    denoised: np.ndarray,
    noise: Noise,
    found: Spectrum,
    *,
    sampling: tuple[float, float],
) -> tuple[Residual, Spectrum]:
    """Judge the difference of input and output.

    Parameters
    ----------
    image, denoised
        Shape (rows, columns).
    noise, found
        Noise and spectrum of the image.
    sampling
        Pixel size [Å].
    """
    rest = middle(image).astype(np.float64) - middle(denoised)
    rest -= rest.mean()
    variance = float((rest**2).mean())
    correlation = tuple(
        float((rest[1:] * rest[:-1]).mean() / max(variance, 1e-300)) for rest in (rest, rest.T)
    )
    of_rest = spectrum(rest, sampling)
    peaks = lattice_peaks(found)
    left = lattice_variance(of_rest, peaks) / max(lattice_variance(found, peaks), 1e-300)
    return (
        Residual(
            correlation=correlation,
            over_noise=float(np.sqrt(variance)) / max(noise.sigma, 1e-300),
            lattice_left=float(left) if peaks else float("nan"),
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


def invention(
    denoised: np.ndarray,
    sigma: np.ndarray,
    found: Spectrum,
    *,
    slow: np.ndarray,
    sampling: tuple[float, float],
) -> Invention:
    """Look for the output's lattice frequencies in the input.

    Parameters
    ----------
    denoised, sigma
        The output.
    found
        Spectrum of the input.
    slow
        The background, which is no structure.
    sampling
        Pixel size [Å].
    """
    structure = middle(denoised) - middle(slow)
    # what is smoother than that was kept as recorded: it is no answer of the network
    answer = structure - background(structure, sampling, width=KEPT)
    flat = float(answer.std()) <= float(np.median(middle(sigma)))
    shown = spectrum(structure, sampling)
    peaks = _strongest(shown)
    seen = sum(height_at(found, peak) >= SEEN for peak in peaks)
    return Invention(seen=seen, shown=len(peaks), flat=flat)


def _strongest(shown: Spectrum, number: int = 6) -> list[Peak]:
    """Strongest lattice frequencies that hold a share worth the name of the output's power."""
    total = shown.power[shown.frequency > 1 / SMOOTH].sum()
    peaks = lattice_peaks(shown, most=number)
    return [p for p in peaks if 2 * lattice_variance(shown, [p]) * shown.power.size > 0.02 * total]
