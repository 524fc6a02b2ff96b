"""What makes training patches as varied as micrographs: angle, pixel size, edges, contrast."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import expit

from temdenoise.images.noise import smooth_background
from temdenoise.learning.options import PatchOptions


def draw_patch(
    image: np.ndarray, rng: np.random.Generator, options: PatchOptions, *, sampling: float
) -> tuple[np.ndarray, float]:
    """Cut a patch out of an image, turned, stretched, resampled (cubic spline) and blurred.

    Parameters
    ----------
    image
        Shape (x, y).
    rng
        Where the randomness comes from.
    options
        Its `patch`, `rotation`, `pixel_range`, `stretch` and `blur`. Stretching stands for
        distorted scans, and makes other lattices of those there are, too. A blurred patch keeps
        its contrast.
    sampling
        Pixel size of the image [Å].

    Returns
    -------
    patch : numpy.ndarray
        Of the image's type, shape (patch, patch).
    step : float
        Its pixel size [pixels of the image].

    Raises
    ------
    ValueError
        If the patch does not fit into the image.
    """
    side, stretch = options.patch, options.stretch
    angle = rng.uniform(0, 2 * np.pi) if options.rotation else 0.0
    step = 1.0
    if options.pixel_range is not None:
        step = float(np.exp(rng.uniform(*np.log(options.pixel_range)))) / sampling
    offsets = (np.arange(side) - (side - 1) / 2) * step
    wider = np.exp(rng.uniform(-stretch, stretch) / 2) if stretch else 1.0
    u, v = np.meshgrid(offsets * wider, offsets / wider, indexing="ij")
    x, y = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    reach = max(float(x.max()), float(y.max()))
    free = [n - 1 - 2 * reach for n in image.shape]
    if min(free) < 0:
        raise ValueError(
            f"a patch of {side} pixels of {step * sampling:.3g} Å, turned by "
            f"{np.degrees(angle):.0f}°, does not fit into an image of {image.shape} pixels of "
            f"{sampling:g} Å; use larger images or a smaller patch"
        )
    centre = [reach + rng.uniform(0, width) for width in free]
    # the part needed alone: the spline is fitted to all it is given
    low = [max(0, int(c - reach) - 8) for c in centre]
    part = image[tuple(slice(n, int(c + reach) + 10) for n, c in zip(low, centre, strict=True))]
    where = [x + centre[0] - low[0], y + centre[1] - low[1]]
    cut = map_coordinates(np.asarray(part, dtype=np.float64), where, order=3, mode="mirror")
    if options.blur:
        cut = _blurred(cut, rng.uniform(0, options.blur) / (step * sampling))
    return cut.astype(image.dtype), step


def _blurred(patch: np.ndarray, width: float) -> np.ndarray:
    """Convolve with a Gaussian [pixels], and bring the contrast back to what it was."""
    blurred = gaussian_filter(patch, width, mode="mirror")
    mean, left = float(patch.mean()), float(blurred.std())
    # rounding errors of a patch that is nearly flat must not be amplified
    scaled: np.ndarray = mean + (blurred - mean) * min(float(patch.std()) / max(left, 1e-12), 10.0)
    return scaled


def partly_empty(clean: np.ndarray, rng: np.random.Generator, *, vacuum: float) -> np.ndarray:
    """Replace a half-plane of random place and slope of edge, or all, by one brightness."""
    level = vacuum if rng.random() < 0.5 else rng.uniform(vacuum, 1)
    if rng.random() < 0.5:
        return np.full_like(clean, level)
    angle, softness = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 4)
    x, y = (np.arange(n) - (n - 1) / 2 for n in clean.shape)
    across = np.add.outer(x * np.cos(angle), y * np.sin(angle))
    edge = rng.uniform(-0.4, 0.4) * clean.shape[0]
    fraction = expit((across - edge) / softness)
    return _mixed(clean, level, fraction)


def with_edge(clean: np.ndarray, rng: np.random.Generator, *, vacuum: float) -> np.ndarray:
    """Leave vacuum beyond an irregular edge, or in holes.

    Where a smooth random field lies above a level drawn from its own range, there is vacuum;
    the edge is about one to four pixels soft.

    Parameters
    ----------
    clean
        Shape (x, y).
    rng
        Where the randomness comes from.
    vacuum
        Brightness of the vacuum [normalised intensity].
    """
    correlation = max(clean.shape) * rng.uniform(0.15, 0.8)
    field = smooth_background(clean.shape, rng, correlation=correlation)
    level, softness = rng.uniform(-0.6, 0.6), rng.uniform(1, 4) / correlation
    fraction = expit((field - level) / softness)
    return _mixed(clean, vacuum, fraction)


def _mixed(clean: np.ndarray, level: float, fraction: np.ndarray) -> np.ndarray:
    """Bring each pixel nearer to a level, by a fraction of the way."""
    mixed: np.ndarray = (clean + (level - clean) * fraction).astype(clean.dtype)
    return mixed


def with_slow_part(clean: np.ndarray, noisy: np.ndarray, *, width: float) -> np.ndarray:
    """Give a clean patch what varies slowly in its noisy one: background, contamination.

    Nothing in a micrograph says how bright a slow background is. A network that had to remove it
    would learn to guess, and little else.

    Parameters
    ----------
    clean, noisy
        Shape (x, y).
    width
        Standard deviation of the Gaussian whose part is kept [pixels].
    """
    slow = gaussian_filter(noisy.astype(np.float64) - clean, width, mode="reflect")
    kept: np.ndarray = (clean + slow).astype(clean.dtype)
    return kept


SLACK = 0.3
"""How far off the standardisation of a training patch may be, relative to that of a whole image."""


def standardisation(noisy: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of an image; an image of one value keeps its scale.

    Examples
    --------
    >>> standardisation(np.array([[1.0, 3.0], [1.0, 3.0]]))
    (2.0, 1.0)
    >>> standardisation(np.ones((2, 2)))
    (1.0, 1.0)
    """
    mean, deviation = float(np.mean(noisy, dtype=np.float64)), float(np.std(noisy, dtype=float))
    return mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 1.0


def standardise(
    noisy: np.ndarray, clean: np.ndarray, c_noise: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Give a training patch mean 0 and standard deviation 1, or about so.

    The mean and deviation of a patch are not those of the image it is part of, which an
    application would take: both are changed by a random factor of about `SLACK`.

    Parameters
    ----------
    noisy, clean
        Shape (x, y).
    c_noise
        Noise coefficient C; it is scaled as the image is.
    rng
        Where the randomness comes from.
    """
    mean, deviation = standardisation(noisy)
    mean += SLACK * deviation * rng.standard_normal()
    deviation *= float(np.exp(SLACK * rng.standard_normal()))
    noisy, clean = (((a - mean) / deviation).astype(np.float32) for a in (noisy, clean))
    return noisy, clean, c_noise / deviation
