"""How much of what a network shows the image bears out, by spatial frequency.

Nothing is added and nothing made stronger: bands of the network's answer are damped.

Stein's unbiased risk estimate tells the squared error of a denoised image without the clean
one: the part of the answer that merely follows the noise is the noise's variance times the
answer's divergence, which one further pass with a small random change measures. With it the
best factor on each band of the answer is found by least squares, as if the clean image were
known (C. Stein, Ann. Statist. 9, 1135 (1981); S. Ramani et al., IEEE Trans. Image Process. 17,
1540 (2008); F. Luisier, T. Blu, M. Unser, ibid. 16, 593 (2007)).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

KNOTS = tuple(float(f) for f in np.arange(1, 17) * 0.08)
"""Spatial frequencies between which the factor is interpolated linearly [1/Å]."""

TRUST = 4.0
"""Weight of the network's own answer, a factor of 1, in numbers of the noise's variance."""

CHANGE = 0.1
"""Size of the random change, over the noise."""


@dataclass(frozen=True)
class Support:
    """Factors on what a network shows.

    Attributes
    ----------
    factors
        At the frequencies `KNOTS`.
    share
        Part of the network's contrast (its standard deviation) that is left by them.
    """

    factors: tuple[float, ...]
    share: float


PLAIN = Support((1.0,) * len(KNOTS), 1.0)
"""All is taken as the network shows it."""


def supported(
    image: np.ndarray,
    shown: Callable[[np.ndarray], np.ndarray],
    wanted: np.ndarray,
    *,
    sigma: float,
    sampling: tuple[float, float],
) -> Support:
    """Find the factors with the least squared error from the clean image.

    Parameters
    ----------
    image
        Shape (rows, columns), with white noise.
    shown
        Gives what the network shows of an image, without what is kept as recorded.
    wanted
        The image without what is kept as recorded.
    sigma
        Standard deviation of the noise.
    sampling
        Pixel size [Å].

    Notes
    -----
    With F the answer, y the image and b a change of random signs, the product of F with the
    clean image is <F, y> - sigma² <(F(y + e b) - F(y)) / e, b> on average.
    """
    answer = shown(image)
    if sigma <= 0 or not answer.any():
        return PLAIN
    signs = np.random.default_rng(0).choice(np.float32([-1, 1]), size=image.shape)
    step = np.float32(CHANGE * sigma)
    changed = (shown(image + step * signs) - answer) / step
    transformed = [fft.dctn(a.astype(np.float64), norm="ortho") for a in (answer, wanted)]
    follows = [fft.dctn(a.astype(np.float64), norm="ortho") for a in (changed, signs)]
    power = transformed[0] ** 2
    product = transformed[0] * transformed[1] - sigma**2 * follows[0] * follows[1]
    # a hat around each knot: rows of the matrix that interpolates
    place, share = _between(image.shape, sampling)
    number = len(KNOTS)
    pairs = np.zeros((number, number))
    right = np.zeros(number)
    for first, hat in ((0, 1 - share), (1, share)):
        right += np.bincount((place + first).ravel(), (hat * product).ravel(), number)
        for second, other in ((0, 1 - share), (1, share)):
            index = (place + first) * number + place + second
            found = np.bincount(index.ravel(), (hat * other * power).ravel(), number**2)
            pairs += found.reshape(number, number)
    prior = TRUST * sigma**2
    factors = np.linalg.solve(pairs + prior * np.eye(number), right + prior)
    factors = np.clip(factors, 0, 1)
    left = factors @ pairs @ factors / pairs.sum()
    return Support(tuple(float(f) for f in factors), float(np.sqrt(left)))


def filtered(image: np.ndarray, support: Support, *, sampling: tuple[float, float]) -> np.ndarray:
    """Multiply what a network shows by the factors.

    Parameters
    ----------
    image
        Shape (rows, columns), float32.
    support
        The factors.
    sampling
        Pixel size [Å].
    """
    if support == PLAIN:
        return image
    place, share = _between(image.shape, sampling)
    factors = np.array(support.factors, np.float32)
    damped = factors[place]
    damped += share * (factors[place + 1] - damped)
    damped *= fft.dctn(image.astype(np.float32, copy=False), norm="ortho")
    return fft.idctn(damped, norm="ortho", overwrite_x=True)


def _between(
    shape: tuple[int, int], sampling: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Give the number of the knot below each frequency of a cosine transform, and the way on."""
    rows, columns = (
        np.arange(n, dtype=np.float32) / np.float32(2 * n * step)
        for n, step in zip(shape, sampling, strict=True)
    )
    frequency = np.hypot(rows[:, None], columns[None])
    spacing = KNOTS[1] - KNOTS[0]
    along = np.clip((frequency - np.float32(KNOTS[0])) / np.float32(spacing), 0, len(KNOTS) - 1)
    place = np.minimum(along.astype(np.int32), len(KNOTS) - 2)
    return place, (along - place).astype(np.float32)
