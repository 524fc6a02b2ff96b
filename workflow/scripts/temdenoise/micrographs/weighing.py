"""How much of what a network shows the data support, by spatial frequency.

Bands of the network's answer are damped, and where the image itself is better, so much
of it is put in their place: nothing that is in neither is added. If the network is unfit, what
is left is the best filter of that kind, which no Gaussian excels.

Stein's unbiased risk estimate tells the squared error of a denoised image without the clean
one: how far the answer merely follows the noise is measured by one further pass with a little
more noise of the same kind, be it white, coloured or of counts. With it the
best factors on the bands are found by least squares, as if the clean image were
known (C. Stein, Ann. Statist. 9, 1135 (1981); S. Ramani et al., IEEE Trans. Image Process. 17,
1540 (2008); F. Luisier, T. Blu, M. Unser, ibid. 16, 593 (2007)).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.optimize import lsq_linear

from temdenoise.foundation.quantities import PixelSize
from temdenoise.foundation.seeding import generator
from temdenoise.measuring.background import KEPT, background, recorded
from temdenoise.measuring.noise_model import NoiseModel
from temdenoise.measuring.spectrum import Spectrum, middle
from temdenoise.micrographs.denoising import Answer
from temdenoise.micrographs.fission import smoothed

KNOTS = tuple(float(f) for f in np.arange(1, 17) * 0.08)
"""Spatial frequencies between which the factor is interpolated linearly [1/Å]."""

TRUST = 4.0
"""Weight of the network's own answer, a factor of 1, in numbers of the noise's variance."""

LINES = 0.05
"""Variance of rows and columns over that of all noise, from which they matter."""

CHANGE = 0.1
"""Size of the change, over the noise."""


@dataclass(frozen=True)
class Support:
    """Factors from 0 to 1 at the frequencies `KNOTS`.

    Attributes
    ----------
    factors
        On what the network shows.
    recorded
        On the image as recorded.
    fraction
        Contrast (standard deviation) of the result over that of what the network shows.
    """

    factors: tuple[float, ...]
    recorded: tuple[float, ...]
    fraction: float


PLAIN = Support((1.0,) * len(KNOTS), (0.0,) * len(KNOTS), 1.0)
"""All is taken as the network shows it."""


@dataclass(frozen=True)
class Weighed:
    """A denoised image, float32, in the intensity of the image.

    Attributes
    ----------
    denoised, sigma
        The image and its predicted error.
    slow
        The slow background, which was kept as it is.
    support
        How much of what the network shows was taken.
    """

    denoised: np.ndarray
    sigma: np.ndarray
    slow: np.ndarray
    support: Support


def weighed(answer: Answer, support: Support = PLAIN) -> Weighed:
    """Make the denoised image of a network's answer.

    The slow background is put back. What the network takes away besides that varies more slowly
    than any lattice is put back, too: a network that knows contamination takes off what may be
    thickness. Apart from them, the network and the image itself are added up by the factors of
    the support; sigma is no smaller than what that changes.

    Parameters
    ----------
    answer
        What the network makes of the image.
    support
        How much of it to take.
    """
    image, sampling = answer.image, answer.sampling
    denoised = combined(answer.shown, image - answer.slow, support, sampling=sampling)
    # what had to be changed the network was wrong about, whatever error it expected
    changed = np.std(answer.shown - denoised, dtype=np.float64)
    sigma = np.maximum(answer.sigma, np.float32(changed))
    denoised = denoised + answer.slow
    denoised += background(image - denoised, sampling, width=KEPT)
    return Weighed(denoised, sigma, answer.slow, support)


def estimate_support(
    ask: Callable[[np.ndarray], Answer],
    image: np.ndarray,
    noise: NoiseModel,
    rings: Spectrum,
    sampling: PixelSize,
) -> Support:
    """Estimate how much of what a network shows of an image the data support.

    Parameters
    ----------
    ask
        Gives the network's answer to an image of the same pixel size.
    image
        Shape (rows, columns), float32, without outlier pixels; its middle is looked at.
    noise
        Model of its noise. If it was filtered nothing can be told, and all is taken.
    rings
        Power spectrum of the image's middle.
    sampling
        Pixel size [Å].
    """
    if not noise.known:
        return PLAIN
    image = middle(image)

    def shown(image: np.ndarray) -> np.ndarray:
        return weighed(ask(image)).denoised - recorded(image, sampling)

    def rest(image: np.ndarray) -> np.ndarray:
        return image - recorded(image, sampling)

    floor = np.interp(KNOTS, rings.centres, rings.floor)
    if sum(noise.lines) > LINES * noise.variance:
        # lines are in no ring's floor: take nothing of the image itself
        floor[:] = np.square(image).sum()
    drawn = noise.draw(smoothed(image), generator(0, "change")).astype(np.float32)
    return best_factors(image, shown, rest, drawn=drawn, floor=floor, sampling=sampling)


def best_factors(
    image: np.ndarray,
    shown: Callable[[np.ndarray], np.ndarray],
    rest: Callable[[np.ndarray], np.ndarray],
    *,
    drawn: np.ndarray,
    floor: np.ndarray,
    sampling: PixelSize,
) -> Support:
    """Find the factors with the least squared error from the clean image.

    Parameters
    ----------
    image
        Shape (rows, columns).
    shown
        Gives what the network shows of an image, without what is kept as recorded.
    rest
        Gives an image without what is kept as recorded; linear.
    drawn
        More noise like that of the image, shape (rows, columns).
    floor
        Power between the lattice's peaks at the frequencies `KNOTS`. Where it lies above
        that of the noise the image itself is taken to hold that much noise.
    sampling
        Pixel size [Å].

    Notes
    -----
    With F a part of the answer, y the image and z noise like its own, the product of F
    with the clean image is <F, y> - <(F(y + e z) - F(y)) / e, z> on average. Of the
    image itself no more is taken than its power stands out by one standard error.
    """
    answer = shown(image)
    level = float(np.mean(np.square(drawn, dtype=np.float64)))
    if level <= 0 or not answer.any():
        return PLAIN
    follows = [(shown(image + np.float32(CHANGE) * drawn) - answer) / CHANGE, rest(drawn)]
    parts = [_transformed(part).ravel() for part in (answer, rest(image))]
    follows = [_transformed(follow).ravel() for follow in follows]
    change = _transformed(drawn).ravel()
    # a hat around each knot: rows of the matrix that interpolates
    number = len(KNOTS)
    frequency = _frequency(image.shape, sampling).ravel()
    hats = np.stack([np.interp(frequency, KNOTS, one) for one in np.eye(number)])
    count = np.maximum(hats.sum(axis=1), 1e-30)
    power = hats @ change**2
    more = np.maximum(floor * count / np.maximum(power, 1e-30), 1)
    right = [
        hats @ (part * parts[1]) - times * (hats @ (follow * change))
        for part, follow, times in zip(parts, follows, (1.0, more), strict=True)
    ]
    right[1] = np.maximum(right[1] - more * power * np.sqrt(2 / count), 0)
    pairs = np.block([[(hats * (a * b)) @ hats.T for b in parts] for a in parts])
    prior = TRUST * level
    wanted = np.concatenate(right) + prior * np.repeat([1.0, 0.0], number)
    root = np.linalg.cholesky(pairs + prior * np.eye(2 * number))
    found = lsq_linear(root.T, np.linalg.solve(root, wanted), bounds=(0, 1)).x
    factors, recorded = np.split(found, 2)
    left = (found @ pairs @ found) / pairs[:number, :number].sum()
    return Support(tuple(map(float, factors)), tuple(map(float, recorded)), float(np.sqrt(left)))


def combined(
    shown: np.ndarray, image: np.ndarray, support: Support, *, sampling: PixelSize
) -> np.ndarray:
    """Multiply what a network shows and the image by the factors, and add them up.

    Parameters
    ----------
    shown, image
        Shape (rows, columns), float32.
    support
        The factors.
    sampling
        Pixel size [Å].
    """
    if support == PLAIN:
        return shown
    frequency = _frequency(image.shape, sampling)
    total = np.zeros(image.shape, np.float32)
    for part, factors in ((shown, support.factors), (image, support.recorded)):
        total += np.interp(frequency, KNOTS, factors).astype(np.float32) * _transformed(part)
    return fft.idctn(total, norm="ortho", overwrite_x=True)


def _transformed(image: np.ndarray) -> np.ndarray:
    return fft.dctn(image.astype(np.float32, copy=False), norm="ortho")


def _frequency(shape: tuple[int, ...], sampling: PixelSize) -> np.ndarray:
    """Give the spatial frequency of every coefficient of a cosine transform [1/Å]."""
    rows, columns = (
        np.arange(n, dtype=np.float32) / np.float32(2 * n * step)
        for n, step in zip(shape, sampling, strict=True)
    )
    return np.hypot(rows[:, None], columns[None])
