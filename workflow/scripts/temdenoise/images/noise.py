"""Noise models, each with a coefficient C that is 0 for no noise.

Images are normalised (density sent to about [0, 1], see `datasets`). A further
noise is one function and one row of `NOISES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


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
    counts = c_noise**-2
    return rng.poisson(counts * np.maximum(clean, 0)) / counts


def background_gaussian(
    clean: np.ndarray,
    c_noise: float,
    rng: np.random.Generator,
    *,
    background_correlation: float,
    extent: tuple[int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Background brightness plus white noise: y = x + C b(r) + C n.

    b is a `smooth_background` of the whole image, of which `clean` may be a window.
    """
    extent = clean.shape if extent is None else extent
    background = smooth_background(
        extent,
        rng,
        correlation=background_correlation * max(extent),
        window=tuple(slice(o, o + n) for o, n in zip(origin, clean.shape, strict=True)),
    )
    return clean + c_noise * (background + rng.standard_normal(clean.shape))


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
        return (np.exp(1j * (np.outer(x, kx) + phase)) @ np.exp(1j * np.outer(ky, y))).real

    coarse = field(*(np.linspace(0, n - 1, min(n, 96)) for n in shape))
    mean = coarse.mean()
    scale = np.abs(coarse - mean).max()
    window = window or (slice(0, shape[0]), slice(0, shape[1]))
    return (field(*(np.arange(s.start, s.stop) for s in window)) - mean) / scale


@dataclass(frozen=True)
class NoiseModel:
    """One kind of noise.

    Attributes
    ----------
    apply
        Function (clean, c_noise, rng, **options) -> noisy.
    symbol
        Short name in figures.
    title
        Full name in figures.
    options
        Names of the further arguments `apply` takes.
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
            ("background_correlation", "extent", "origin"),
        ),
    }
)


def corrupt(
    clean: np.ndarray,
    *,
    noise: str,
    c_noise: float,
    rng: np.random.Generator,
    clip: bool = False,
    **options,
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
    clip
        Whether to cut the result to [0, 1].
    **options
        ``background_correlation`` (fraction of the image's side) and, if `clean`
        is a window of a larger image, that image's shape ``extent`` and the
        window's ``origin`` [pixels]. A noise takes those it needs.

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
    needed = {name: options[name] for name in model.options if name in options}
    noisy = model.apply(clean, c_noise, rng, **needed)
    if clip:
        noisy = np.clip(noisy, 0, 1)
    return noisy.astype(np.float32)
