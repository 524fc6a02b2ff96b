"""The floor of the loss: what an estimator loses that is told all but the displacements of atoms.

It knows the sites and elements of all atoms, the law of their static displacements u, how an
image x(u) follows from them, and the noise. The mean of x over the posterior of u given the
noisy image y has the smallest expected squared error of all estimates,

    p(u | y) ∝ p(y | x(u)) N(u; 0, s²),

and is computed by Markov chains: elliptical slice sampling relative to the Gaussian that fits
p(u | y) at its maximum (R. Nishihara, I. Murray, R. P. Adams, arXiv:1210.7477).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from temdenoise.images.datasets import IntensityScale
from temdenoise.judging.reference import MARGIN, SAMPLING, ReferenceImage, ReferenceMaps

LIMIT = 2.5
"""Largest spatial frequency of an atom, that of the images' pixels [1/Å]."""

SPLINES = 40
"""B-splines that describe a form factor from 0 to `LIMIT`."""

BACKGROUND = 0.4
"""Root mean square of a `noise.smooth_background`, whose peak is 1."""

DARK = 0.005
"""Intensity below which the Gaussian fit takes counting noise for that of this intensity."""

FormFactors = Mapping[str, np.ndarray]
"""Of each element the coefficients of its form factor, shape (`SPLINES`,) [electrons]."""


def _splines(frequency: np.ndarray) -> np.ndarray:
    """Values of the B-splines, shape (..., `SPLINES`); 0 above `LIMIT`."""
    knots = np.pad(np.linspace(0, LIMIT, SPLINES - 2), 3, mode="edge")
    within = frequency.ravel() < LIMIT
    values = np.zeros((frequency.size, SPLINES))
    values[within] = BSpline.design_matrix(frequency.ravel()[within], knots, 3).toarray()
    return values.reshape(*frequency.shape, SPLINES)


@dataclass(frozen=True)
class Sites:
    """What is known of the atoms of one structure.

    Attributes
    ----------
    symbols
        Element of each atom.
    means
        Where they are without static disorder, shape (n, 2) [Å].
    deviations
        Standard deviation of their displacements along each axis, shape (n,) [Å].
    sides
        Of the cell, along x and y [Å].
    """

    symbols: Sequence[str]
    means: np.ndarray
    deviations: np.ndarray
    sides: tuple[float, float]

    def __post_init__(self) -> None:
        n = len(self.symbols)
        if np.shape(self.means) != (n, 2) or np.shape(self.deviations) != (n,):
            raise ValueError(
                f"{n} symbols, means {np.shape(self.means)} and deviations "
                f"{np.shape(self.deviations)}: expected shapes ({n}, 2) and ({n},)"
            )
        if not (np.isfinite(self.means).all() and (np.asarray(self.deviations) >= 0).all()):
            raise ValueError("expected finite means and deviations of at least 0 Å")


class Superposition:
    """Projected density of spherical atoms in a periodic cell.

    m(r) = Σ_q M(q) exp(2πi q·r), M(q) = Σ_a f_a(|q|) exp(-2πi q·r_a) / A for |q| < `LIMIT`

    over the reciprocal lattice, with A the area of the cell. Since m is real, one half of
    the coefficients is kept: those of q_y >= 0, the ones above 0 doubled.

    Parameters
    ----------
    symbols
        Element of each atom.
    sides
        Of the cell, along x and y [Å].
    factors
        Form factors of the elements.
    """

    def __init__(self, symbols: Sequence[str], sides: tuple[float, float], factors: FormFactors):
        if missing := sorted(set(symbols) - set(factors)):
            raise ValueError(
                f"no form factor of {', '.join(missing)}: expected some of {', '.join(factors)}"
            )
        self.symbols, self.sides, self.area = np.array(symbols), sides, sides[0] * sides[1]
        self.highest = nx, ny = int(LIMIT * sides[0]), int(LIMIT * sides[1])
        self.qx, self.qy = np.arange(-nx, nx + 1) / sides[0], np.arange(ny + 1) / sides[1]
        self.twice = np.where(self.qy > 0, 2.0, 1.0)
        splines = _splines(np.hypot(self.qx[:, None], self.qy)) * self.twice[:, None] / self.area
        self.factors = {symbol: splines @ factors[symbol] for symbol in sorted(set(symbols))}

    def _phases(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return exp(-2πi q r) along either axis, shapes (n, n_qx) and (n, n_qy)."""
        along = []
        for places, side, n in zip(positions.T, self.sides, self.highest, strict=True):
            first = np.exp(-2j * np.pi * places / side)[:, None]
            # powers of the first: fewer exponentials, which take most of the time
            along.append(np.cumprod(np.hstack([first**0, np.repeat(first, n, axis=1)]), axis=1))
        along_x, along_y = along
        return np.hstack([along_x[:, :0:-1].conj(), along_x]), along_y

    def coefficients(self, positions: np.ndarray) -> np.ndarray:
        """Give the coefficients of the density of atoms at some places.

        Parameters
        ----------
        positions
            Shape (n, 2) [Å].

        Returns
        -------
        numpy.ndarray
            Complex, shape (n_qx, n_qy) [e/Å²].
        """
        along_x, along_y = self._phases(positions)
        return sum(
            factor * (along_x[own].T @ along_y[own])
            for symbol, factor in self.factors.items()
            for own in [self.symbols == symbol]
        )

    def derivatives(self, positions: np.ndarray) -> np.ndarray:
        """Differentiate the coefficients by x and y of each atom: shape (n, 2, n_qx, n_qy)."""
        along_x, along_y = self._phases(positions)
        factors = np.array([self.factors[symbol] for symbol in self.symbols])
        moved = -2j * np.pi * factors * along_x[:, :, None] * along_y[:, None, :]
        return np.stack([moved * self.qx[:, None], moved * self.qy], axis=1)

    def waves(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give what `density` takes for pixels at x and y [Å]."""
        return (
            np.exp(2j * np.pi * np.outer(x, self.qx)),
            np.exp(2j * np.pi * np.outer(self.qy, y)),
        )


def density(coefficients: np.ndarray, waves: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Add up the waves of `Superposition.waves`: density [e/Å²], shape (..., x, y)."""
    along_x, along_y = waves
    half = along_x @ coefficients
    return half.real @ along_y.real - half.imag @ along_y.imag


def fit_form_factors(reference: ReferenceMaps) -> FormFactors:
    """Fit a form factor of every element to maps, by least squares over their Fourier transforms.

    The maps are those of atoms in a crystal, so the fit holds what bonds do to an atom on
    average over directions, which free atoms lack.

    Parameters
    ----------
    reference
        Maps with their structures.

    Examples
    --------
    Its value at frequency 0 is the number of electrons:

    >>> from temdenoise.judging.reference import FOLDER, read_reference
    >>> factors = fit_form_factors(read_reference(FOLDER / "hbn_6x3.tif"))
    >>> {symbol: round(float(factor[0]), 1) for symbol, factor in factors.items()}
    {'B': 3.0, 'C': 4.0, 'N': 5.0, 'O': 6.0}
    """
    known = [structure["symbols"].split() for structure in reference.structures]
    elements = sorted({symbol for symbols in known for symbol in symbols})
    sides = _sides(reference)
    one = {symbol: np.zeros(SPLINES) for symbol in elements}
    size = len(elements) * SPLINES
    normal, right = np.zeros((size, size)), np.zeros(size)
    for stored, structure, symbols in zip(reference.maps, reference.structures, known, strict=True):
        cell = Superposition(symbols, sides, one)
        frequency = np.hypot(cell.qx[:, None], cell.qy)
        kept = frequency < LIMIT
        weight = np.sqrt(np.broadcast_to(cell.twice, kept.shape)[kept])[:, None]
        along_x, along_y = cell._phases(np.array(structure["positions"])[:, :2])
        splines = _splines(frequency[kept]) * weight / cell.area
        columns = []
        for symbol in elements:
            own = cell.symbols == symbol
            columns.append((along_x[own].T @ along_y[own])[kept][:, None] * splines)
        design = np.concatenate(columns, axis=1)
        nx, ny = cell.highest
        transform = np.fft.rfft2(stored)[np.arange(-nx, nx + 1), : ny + 1] / stored.size
        normal += (design.conj().T @ design).real
        right += (design.conj().T @ (transform[kept] * weight[:, 0])).real
    solved = np.linalg.lstsq(normal, right, rcond=1e-12)[0].reshape(-1, SPLINES)
    return dict(zip(elements, solved, strict=True))


def _sides(reference: ReferenceMaps) -> tuple[float, float]:
    nx, ny = reference.maps.shape[1:]
    return nx * reference.sampling[0], ny * reference.sampling[1]


@dataclass(frozen=True)
class Likelihood:
    """How probable a noisy image is, up to a constant.

    Attributes
    ----------
    log
        Function (noisy, expected, C): the logarithm [nats].
    score
        Its derivative by each pixel of the expected image.
    precision
        Function (expected, C): expected negative second derivative by each pixel.
    background
        Whether there is a smooth background.
    """

    log: Callable[[np.ndarray, np.ndarray, float], float]
    score: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    precision: Callable[[np.ndarray, float], np.ndarray]
    background: bool = False


def _gaussian(noisy: np.ndarray, expected: np.ndarray, c_noise: float) -> float:
    return -0.5 * float(np.sum((noisy - expected) ** 2)) / c_noise**2


def _gaussian_score(noisy: np.ndarray, expected: np.ndarray, c_noise: float) -> np.ndarray:
    return (noisy - expected) / c_noise**2


def _gaussian_precision(expected: np.ndarray, c_noise: float) -> np.ndarray:
    return np.full(expected.shape, c_noise**-2)


def _poisson(noisy: np.ndarray, expected: np.ndarray, c_noise: float) -> float:
    # where nothing is expected, a count is next to impossible
    mean = np.maximum(expected, 1e-12)
    return float(np.sum(noisy * np.log(mean) - mean)) / c_noise**2


def _poisson_score(noisy: np.ndarray, expected: np.ndarray, c_noise: float) -> np.ndarray:
    # below 0 nothing is counted, however far
    counted = (expected > 0) | (noisy > 0)
    return np.where(counted, noisy / np.maximum(expected, DARK) - 1, 0.0) / c_noise**2


def _poisson_precision(expected: np.ndarray, c_noise: float) -> np.ndarray:
    return np.where(expected > 0, 1 / np.maximum(expected, DARK), 0.0) / c_noise**2


_WHITE = (_gaussian, _gaussian_score, _gaussian_precision)

LIKELIHOODS: Mapping[str, Likelihood] = MappingProxyType(
    {
        "gaussian": Likelihood(*_WHITE),
        "poisson": Likelihood(_poisson, _poisson_score, _poisson_precision),
        "background_gaussian": Likelihood(*_WHITE, background=True),
    }
)
"""Of the noises of `images.noise`."""

EXACT = ("salt_pepper",)
"""Noises that leave some pixels as they are, which tell where every atom is: the floor is 0."""


@dataclass(frozen=True)
class Frame:
    """A noisy image, or the part of it that shows one structure.

    Attributes
    ----------
    noisy
        Normalised, shape (nx, ny).
    x, y
        Where its pixels lie in the cell of the structure, shapes (nx,) and (ny,) [Å].
    noise
        A key of `LIKELIHOODS`.
    c_noise
        C, above 0.
    correlation
        Correlation length of the background [Å], for noise that has one.
    """

    noisy: np.ndarray
    x: np.ndarray
    y: np.ndarray
    noise: str
    c_noise: float
    correlation: float = np.inf

    def __post_init__(self) -> None:
        if self.noise not in LIKELIHOODS:
            raise ValueError(f"noise = {self.noise!r}: expected one of {', '.join(LIKELIHOODS)}")
        if not (np.isfinite(self.c_noise) and self.c_noise > 0):
            raise ValueError(f"c_noise = {self.c_noise!r}: expected a finite number above 0")
        if self.noisy.shape != (len(self.x), len(self.y)):
            raise ValueError(
                f"noisy {self.noisy.shape}: expected one pixel for each of {len(self.x)} x "
                f"{len(self.y)} places"
            )

    @cached_property
    def background(self) -> np.ndarray:
        """Independent parts of the background, shape (n, nx, ny).

        With amplitudes of N(0, 1) their sum has the covariance 0.4² C² exp(-r² / (2 l²)) at
        the correlation length l. Parts far below the noise are left out.
        """
        if not LIKELIHOODS[self.noise].background:
            return np.zeros((0, *self.noisy.shape))
        modes = []
        for along in (self.x, self.y):
            distance = (along[:, None] - along) / self.correlation
            variance, shapes = np.linalg.eigh(np.exp(-0.5 * distance**2))
            modes.append(np.sqrt(np.maximum(variance, 0)) * shapes)
        every = np.einsum("xi,yj->ijxy", *(mode[:, -8:] for mode in modes))
        every = BACKGROUND * self.c_noise * every.reshape(-1, *self.noisy.shape)
        power = (every**2).sum(axis=(1, 2))
        return every[power > 1e-3 * self.c_noise**2]


class Posterior:
    """What is probable of displacements, given a noisy image.

    The unknowns z are displacements over their standard deviations, shape (n, 2) flattened,
    then the amplitudes of `Frame.background`. Before the image is seen, z ~ N(0, 1).

    Parameters
    ----------
    sites
        What is known of the atoms.
    factors
        Form factors of their elements.
    frame
        The noisy image.
    scale
        Of its intensities.
    """

    def __init__(self, sites: Sites, factors: FormFactors, frame: Frame, scale: IntensityScale):
        self.sites, self.frame, self.scale = sites, frame, scale
        self.cell = Superposition(sites.symbols, sites.sides, factors)
        self.likelihood = LIKELIHOODS[frame.noise]
        self._waves = self.cell.waves(frame.x, frame.y)
        self._n = 2 * len(sites.symbols)
        self.size = self._n + len(frame.background)

    def positions(self, z: np.ndarray) -> np.ndarray:
        """Where atoms are, shape (n, 2) [Å]."""
        moved: np.ndarray = z[: self._n].reshape(-1, 2) * self.sites.deviations[:, None]
        return self.sites.means + moved

    def expected(self, z: np.ndarray) -> np.ndarray:
        """Image and background that z stands for, normalised, shape (nx, ny)."""
        image = density(self.cell.coefficients(self.positions(z)), self._waves)
        background = np.tensordot(z[self._n :], self.frame.background, axes=1)
        return (image - self.scale.offset) / self.scale.range + background

    def log_density(self, z: np.ndarray) -> float:
        """Logarithm of the posterior, up to a constant [nats]."""
        own = self.likelihood.log(self.frame.noisy, self.expected(z), self.frame.c_noise)
        return own - 0.5 * float(z @ z)

    def _jacobian(self, z: np.ndarray) -> np.ndarray:
        """Give the derivatives of the expected image, shape (n_pixels, size)."""
        moved = density(self.cell.derivatives(self.positions(z)), self._waves) / self.scale.range
        moved *= self.sites.deviations[:, None, None, None]
        every = np.concatenate([moved.reshape(self._n, -1), self._flat_background])
        return every.T

    @cached_property
    def _flat_background(self) -> np.ndarray:
        return self.frame.background.reshape(len(self.frame.background), self.frame.noisy.size)

    def gaussian(self, *, steps: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Fit a Gaussian at the maximum, by Gauss-Newton steps (Fisher scoring).

        Parameters
        ----------
        steps
            How many at most; they end where the logarithm grows by less than 0.1.

        Returns
        -------
        mode : numpy.ndarray
            Shape (size,).
        factor : numpy.ndarray
            Lower triangle L of the precision L Lᵀ, shape (size, size).
        """
        z, best = np.zeros(self.size), self.log_density(np.zeros(self.size))
        noisy, c_noise = self.frame.noisy, self.frame.c_noise
        for _ in range(steps):
            expected, jacobian = self.expected(z), self._jacobian(z)
            precision = self.likelihood.precision(expected, c_noise).reshape(-1, 1)
            hessian = jacobian.T @ (precision * jacobian) + np.eye(self.size)
            factor = cho_factor(hessian, lower=True)
            score = self.likelihood.score(noisy, expected, c_noise).ravel()
            step = cho_solve(factor, jacobian.T @ score - z)
            gained = -np.inf
            for shorter in (1.0, 0.5, 0.25, 0.125):
                gained = self.log_density(z + shorter * step) - best
                if gained > 0:
                    z, best = z + shorter * step, best + gained
                    break
            if gained < 0.1:
                break
        return z, np.tril(factor[0])

    def chain(self, rng: np.random.Generator, n: int, *, burn_in: int = 50) -> Iterator[np.ndarray]:
        """Draw from the posterior.

        Parameters
        ----------
        rng
            Where the randomness comes from.
        n
            How many draws.
        burn_in
            How many before them, which are not given.

        Yields
        ------
        numpy.ndarray
            z, shape (size,).
        """
        mode, factor = self._fitted

        def at(own: np.ndarray) -> np.ndarray:
            moved: np.ndarray = solve_triangular(factor, own, lower=True, trans="T")
            return mode + moved

        def log_weight(own: np.ndarray) -> float:
            return self.log_density(at(own)) + 0.5 * float(own @ own)

        state = rng.standard_normal(self.size)
        level = log_weight(state)
        for number in range(burn_in + n):
            state, level = elliptical_slice(state, level, log_weight, rng)
            if number >= burn_in:
                yield at(state)

    @cached_property
    def _fitted(self) -> tuple[np.ndarray, np.ndarray]:
        return self.gaussian()


def elliptical_slice(
    state: np.ndarray,
    level: float,
    log_weight: Callable[[np.ndarray], float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Take a step of a Markov chain whose density is N(0, 1) times a weight.

    The step has no width to be set and is never refused: an ellipse through the state and a
    draw of N(0, 1) is narrowed down about the state until a point of it weighs enough.

    Parameters
    ----------
    state
        Shape (n,).
    level
        Logarithm of its weight.
    log_weight
        The logarithm of the weight of any state.
    rng
        Where the randomness comes from.

    Returns
    -------
    state : numpy.ndarray
        The next one.
    level : float
        Logarithm of its weight.

    References
    ----------
    I. Murray, R. P. Adams, D. J. C. MacKay, arXiv:1001.0175.
    """
    other = rng.standard_normal(state.shape)
    least = level - rng.exponential()
    angle = rng.uniform(0, 2 * np.pi)
    low, high = angle - 2 * np.pi, angle
    while True:
        proposed = state * np.cos(angle) + other * np.sin(angle)
        found = log_weight(proposed)
        if found > least:
            return proposed, found
        low, high = (angle, high) if angle < 0 else (low, angle)
        angle = rng.uniform(low, high)


@dataclass(frozen=True)
class Estimate:
    """Posterior means of one structure, by each of several chains.

    Attributes
    ----------
    coefficients
        Of the density, see `Superposition`, shape (n_chains, n_qx, n_qy).
    positions
        Of the atoms, shape (n_chains, n, 2) [Å].
    """

    coefficients: np.ndarray
    positions: np.ndarray


def estimate(
    posterior: Posterior, rngs: Sequence[np.random.Generator], *, draws: int = 100
) -> Estimate:
    """Average density and positions over the posterior.

    Parameters
    ----------
    posterior
        Of one structure.
    rngs
        One for each chain.
    draws
        Of each chain.

    Raises
    ------
    ValueError
        If there is no chain or no draw.
    """
    if not rngs or draws < 1:
        raise ValueError(f"{len(rngs)} chains of {draws} draws: expected at least one of each")
    means = []
    for rng in rngs:
        drawn = [posterior.positions(z) for z in posterior.chain(rng, draws)]
        mean = sum(posterior.cell.coefficients(positions) for positions in drawn) / draws
        means.append((mean, np.mean(drawn, axis=0)))
    coefficients, positions = zip(*means, strict=True)
    return Estimate(np.array(coefficients), np.array(positions))


def frames_by_structure(
    image: ReferenceImage,
    noisy: np.ndarray,
    sides: tuple[float, float],
    *,
    noise: str,
    c_noise: float,
    background_correlation: float = 0.25,
) -> Iterator[Frame]:
    """Cut the part of each structure out of a noisy image of the test set.

    What it shows there depends on no other structure, since each one's map is periodic.

    Parameters
    ----------
    image
        The image without noise, in which each structure stands once.
    noisy
        Shape (x, y).
    sides
        Of the cells [Å].
    noise, c_noise
        See `Frame`.
    background_correlation
        See `noise.NoiseOptions`.

    Yields
    ------
    Frame
        In the order of the structures.

    Raises
    ------
    ValueError
        If a structure stands elsewhere, too.
    """
    length = background_correlation * max(noisy.shape) * SAMPLING
    for number in range(int(image.labels.max()) + 1):
        here = image.labels == number
        x, y = (np.flatnonzero(here.any(axis=axis)) for axis in (1, 0))
        if here.sum() != len(x) * len(y) or np.ptp(x) >= len(x) or np.ptp(y) >= len(y):
            raise ValueError(f"structure {number} does not stand in one rectangle of the image")
        along_x, along_y = (
            (at - MARGIN) * SAMPLING % side for at, side in zip((x, y), sides, strict=True)
        )
        yield Frame(noisy[np.ix_(x, y)], along_x, along_y, noise, c_noise, length)
