"""Noise models, each with a coefficient C that is 0 for no noise.

Images are normalised (density sent to about [0, 1], see `datasets`). A further
noise is one function and one row of `NOISES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class Window:
    """A part of a larger image.

    Attributes
    ----------
    extent
        Shape of the whole image [pixels].
    origin
        Place of the window's first pixel in it.
    """

    extent: tuple[int, int]
    origin: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class NoiseOptions:
    """What noise depends on besides C.

    Attributes
    ----------
    background_correlation
        Correlation length of smooth backgrounds [fraction of the image's longer side].
    pedestal
        Intensity that normalising took away, see `dose` [normalised intensity].
    clip
        Whether to cut noisy images to [0, 1].
    """

    background_correlation: float = 0.25
    pedestal: float = 0.0
    clip: bool = False


def gaussian(clean: np.ndarray, c_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Additive white noise: y = x + C n, with n ~ N(0, 1) in each pixel."""
    return clean + c_noise * rng.standard_normal(clean.shape)


def salt_pepper(clean: np.ndarray, c_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Dead and saturated pixels: 0 with probability C/2, 1 with probability C/2, else x."""
    u = rng.random(clean.shape)
    return np.where(u < c_noise / 2, 0.0, np.where(u >= 1 - c_noise / 2, 1.0, clean))


def poisson(clean: np.ndarray, c_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Apply counting noise: y = Poisson(λ max(x, 0)) / λ with λ = 1/C² counts at x = 1.

    The standard deviation at x = 1 is C. Below x = 0 nothing is counted.
    """
    if c_noise == 0:
        return np.array(clean, dtype=np.float64)
    counts: float = c_noise**-2
    noisy: np.ndarray = rng.poisson(counts * np.maximum(clean, 0)) / counts
    return noisy


def background_gaussian(
    clean: np.ndarray,
    c_noise: float,
    rng: np.random.Generator,
    *,
    background_correlation: float,
    window: Window | None = None,
) -> np.ndarray:
    """Background brightness plus white noise: y = x + C b(r) + C n.

    b is a `background_window`.
    """
    background = background_window(
        clean.shape, rng, correlation=background_correlation, window=window
    )
    return clean + c_noise * (background + rng.standard_normal(clean.shape))


def dose(
    clean: np.ndarray, c_noise: float, rng: np.random.Generator, *, pedestal: float = 0.0
) -> np.ndarray:
    """Count electrons at a dose: y = Poisson(λ max(x + p, 0)) / λ - p, with λ = 1/C².

    The pedestal p is the intensity that normalising took away, offset / range of the
    `datasets.IntensityScale`: x + p is the intensity I over the range, which is what is
    counted. With I the fraction of the beam, a pixel of side a [Å] at the dose D [e/Å²]
    counts D a² I electrons, so λ = D a² range and

        C = 1 / sqrt(D a² range)

    (see `c_noise_of_dose`). The standard deviation is C sqrt(x + p). In ADF p is almost
    0; in HRTEM, with its bright background, it is large.
    """
    if c_noise == 0:
        return np.array(clean, dtype=np.float64)
    counts = c_noise**-2
    return rng.poisson(counts * np.maximum(clean + pedestal, 0)) / counts - pedestal


def c_noise_of_dose(dose: float, *, sampling: float, intensity_range: float) -> float:
    """C of `dose` noise at a dose: C = 1 / sqrt(D a² range).

    Parameters
    ----------
    dose
        D [e/Å²].
    sampling
        Side a of a pixel [Å].
    intensity_range
        Range of the intensity scale [fraction of the beam].

    Raises
    ------
    ValueError
        If any of the three is not above 0.

    Examples
    --------
    >>> round(c_noise_of_dose(1e6, sampling=0.1, intensity_range=0.01), 6)
    0.1
    """
    for name, value in (
        ("dose", dose),
        ("sampling", sampling),
        ("intensity_range", intensity_range),
    ):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value!r}: expected a finite number above 0")
    return float((dose * sampling**2 * intensity_range) ** -0.5)


SCAN_ROW = 0.3
"""Row noise over white noise in `scan_lines`."""

SCAN_JITTER = 0.5
"""Standard deviation of the jitter of scan lines at C = 1 and above [pixels]."""


def scan_lines(clean: np.ndarray, c_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Scan a frame line by line along x (STEM): y(x, j) = x(x + δ_j, j) + C (0.3 r_j + n).

    Line j is displaced by δ_j ~ 0.5 min(C, 1) N(0, 1) pixels (jitter; by linear
    interpolation, the image is continued by its edge) and brighter by 0.3 C r_j (row
    noise), r_j ~ N(0, 1), beside the white noise C n. The jitter does not grow beyond C = 1:
    a line farther off would be none of this image.
    """
    columns, lines = clean.shape
    jitter = SCAN_JITTER * min(c_noise, 1.0) * rng.standard_normal(lines)
    rows = SCAN_ROW * rng.standard_normal(lines)
    white = rng.standard_normal(clean.shape)
    if c_noise == 0:
        return np.array(clean, dtype=np.float64)
    position = np.clip(np.arange(columns)[:, None] + jitter, 0, columns - 1)
    left = np.minimum(position.astype(int), columns - 2)
    fraction = position - left
    line = np.arange(lines)
    displaced: np.ndarray = (1 - fraction) * clean[left, line] + fraction * clean[left + 1, line]
    return displaced + c_noise * (rows + white)


CAMERA_BLUR = 0.6
"""Standard deviation of the camera's point spread in `camera` [pixels]."""

CAMERA_COLUMN = 0.3
"""Column noise over pixel noise in `camera`."""


def camera(clean: np.ndarray, c_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of a camera (HRTEM): y = x + C (g + 0.3 c_i), g correlated by the detector's MTF.

    g is white noise after the modulation transfer function MTF(q) = exp(-2π² s² q²), a
    Gaussian point spread of s = 0.6 pixels, with unit variance; pixels d apart are
    correlated by exp(-d² / (4 s²)), neighbours by one half. c_i ~ N(0, 1) is common to
    all pixels of column i, since they share a read-out. The image itself is not blurred,
    so that C = 0 changes nothing: its own blur belongs to the microscope's source size.
    """
    margin = 4  # the noise before the MTF reaches beyond the image
    shape = tuple(n + 2 * margin for n in clean.shape)
    qx, qy = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    transfer = np.exp(-2 * (np.pi * CAMERA_BLUR) ** 2 * (qx**2 + qy**2))
    white = np.fft.rfft2(rng.standard_normal(shape))
    # Parseval: variance after the transfer, from that of the point spread
    power = np.sum(np.fft.irfft2(transfer, s=shape) ** 2)
    correlated: np.ndarray = np.fft.irfft2(white * transfer, s=shape) / np.sqrt(power)
    correlated = correlated[margin:-margin, margin:-margin]
    columns = CAMERA_COLUMN * rng.standard_normal((clean.shape[0], 1))
    return clean + c_noise * (correlated + columns)


def contamination(
    clean: np.ndarray,
    c_noise: float,
    rng: np.random.Generator,
    *,
    background_correlation: float,
    window: Window | None = None,
) -> np.ndarray:
    """Matter that drifted onto the sample: y = x + C (1 + b(r)) / 2, from 0 up to C.

    b is a `background_window`. Nothing is random from pixel to pixel: in mixtures it lies
    below the noise of counting.
    """
    background = background_window(
        clean.shape, rng, correlation=background_correlation, window=window
    )
    return clean + c_noise * (1 + background) / 2


def background_window(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    correlation: float,
    window: Window | None = None,
) -> np.ndarray:
    """Draw the `smooth_background` of a whole image, and return the part behind a window of it.

    Parameters
    ----------
    shape
        Of the window [pixels].
    rng
        Where the randomness comes from.
    correlation
        Correlation length [fraction of the whole image's longer side].
    window
        Where it lies; None: it is the whole image.

    Returns
    -------
    numpy.ndarray
        float64, of the window's shape.
    """
    rows, columns = shape
    window = window or Window((rows, columns))
    (x, y), extent = window.origin, window.extent
    return smooth_background(
        extent,
        rng,
        correlation=correlation * max(extent),
        window=(slice(x, x + rows), slice(y, y + columns)),
    )


def smooth_background(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    correlation: float,
    window: tuple[slice, slice] | None = None,
    n_waves: int = 48,
) -> np.ndarray:
    """Draw a smooth random field with zero mean and unit peak.

    b(r) ∝ Σ_k cos(k·r + φ_k) with k from a Gaussian of width 1/correlation: a
    Gaussian random field whose covariance is exp(-r² / (2 correlation²)).

    Parameters
    ----------
    shape
        Of the whole image [pixels]; mean and peak are those over it (sampled
        at up to 96 x 96 points, enough for correlations that can be seen).
    rng
        Where the randomness comes from.
    correlation
        Correlation length [pixels].
    window
        The part to return; default all.
    n_waves
        Number of plane waves.

    Returns
    -------
    numpy.ndarray
        float64, of the window's shape.
    """
    kx, ky = rng.standard_normal((2, n_waves)) / correlation
    phase = rng.uniform(0, 2 * np.pi, n_waves)

    def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # cos(a + b) as a product of exponentials: one small matrix product
        waves: np.ndarray = np.exp(1j * (np.outer(x, kx) + phase)) @ np.exp(1j * np.outer(ky, y))
        return waves.real

    rows, columns = (np.linspace(0, n - 1, min(n, 96)) for n in shape)
    coarse = field(rows, columns)
    mean = coarse.mean()
    scale = np.abs(coarse - mean).max()
    window = window or (slice(0, shape[0]), slice(0, shape[1]))
    rows, columns = (np.arange(part.start, part.stop) for part in window)
    background: np.ndarray = (field(rows, columns) - mean) / scale
    return background


@dataclass(frozen=True)
class NoiseModel:
    """One kind of noise.

    Attributes
    ----------
    apply
        Function (clean, c_noise, rng) -> noisy.
    symbol
        Short name in figures.
    title
        Full name in figures.
    options
        Names of the further arguments `apply` takes, among those of `NoiseOptions` and
        ``window``.
    """

    apply: Callable[..., np.ndarray]
    symbol: str
    title: str
    options: tuple[str, ...] = ()


NOISES: Mapping[str, NoiseModel] = MappingProxyType(
    {
        "gaussian": NoiseModel(gaussian, "G", "Gaussian"),
        "salt_pepper": NoiseModel(salt_pepper, "SP", "Salt and pepper"),
        "poisson": NoiseModel(poisson, "P", "Poisson"),
        "background_gaussian": NoiseModel(
            background_gaussian,
            "BB+G",
            "Background + Gaussian",
            ("background_correlation", "window"),
        ),
        # of real detectors; not among the paper's four
        "dose": NoiseModel(dose, "D", "Dose", ("pedestal",)),
        "scan_lines": NoiseModel(scan_lines, "SL", "Scan lines"),
        "camera": NoiseModel(camera, "CAM", "Camera"),
        "contamination": NoiseModel(
            contamination,
            "CON",
            "Contamination",
            ("background_correlation", "window"),
        ),
    }
)


PAPER_NOISES = ("gaussian", "salt_pepper", "poisson", "background_gaussian")
"""The paper's four, and the default."""


PLAIN = NoiseOptions()
"""The options a run has by default."""


def corrupt(
    clean: np.ndarray,
    *,
    noise: str,
    c_noise: float,
    rng: np.random.Generator,
    options: NoiseOptions = PLAIN,
    window: Window | None = None,
) -> np.ndarray:
    """Add noise to a normalised image.

    Parameters
    ----------
    clean
        Normalised image, shape (x, y).
    noise
        A key of `NOISES`.
    c_noise
        Noise coefficient C, finite, at least 0; 0 returns the image unchanged.
    rng
        Where the randomness comes from.
    options
        What noise depends on besides C; each noise takes those it needs.
    window
        Where `clean` lies if it is a window of a larger image.

    Returns
    -------
    numpy.ndarray
        float32, shape (x, y).

    Raises
    ------
    ValueError
        If the noise is unknown or C is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> noisy = corrupt(np.full((200, 200), 0.5), noise="poisson", c_noise=0.1, rng=rng)
    >>> round(float(noisy.mean()), 2), round(float(noisy.std() / 0.1 / 0.5**0.5), 1)
    (0.5, 1.0)
    """
    if noise not in NOISES:
        raise ValueError(f"noise = {noise!r}: expected one of {', '.join(NOISES)}")
    if not (np.isfinite(c_noise) and c_noise >= 0):
        raise ValueError(f"c_noise = {c_noise!r}: expected a finite number, at least 0")
    model = NOISES[noise]
    given = {**vars(options), "window": window}
    noisy = model.apply(clean, c_noise, rng, **{name: given[name] for name in model.options})
    if options.clip:
        noisy = np.clip(noisy, 0, 1)
    return noisy.astype(np.float32)
