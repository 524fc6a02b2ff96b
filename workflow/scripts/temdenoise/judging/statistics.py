"""Bootstrap over structures: intervals on figures of merit, and on differences of methods.

The structure is what varies independently: its pixels, its patches and the noisy frames made
of it share its defects. What is measured is therefore kept as sums per structure (of the
numerators and of the denominators of a figure of merit), whole structures are drawn with
replacement, and the figure of merit is computed of the sums of those drawn. With the number
of times each was drawn as a matrix, all resamples are one matrix product.

For a count of events that hardly ever happen the resamples are all alike, and the interval
collapses: `intervals.proportion` and `intervals.rate` are meant for those.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from temdenoise.foundation.seeding import generator
from temdenoise.judging.intervals import CONFIDENCE

RESAMPLES = 2000
"""How many resamples are drawn unless told otherwise."""

FEWEST = 100
"""Fewer resamples than this have no tails."""

UNDEFINED = 0.01
"""Limits are NaN if a larger fraction of the resamples gives no number."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Figure of merit of sums, shape (n_resamples, n_columns): values, shape (n_resamples,)."""


class Interval(NamedTuple):
    """A figure of merit, and the limits between which its true value lies.

    Attributes
    ----------
    value
        Of all structures; NaN if it is not defined.
    low, high
        Limits of the interval; NaN if too many resamples have no value.
    """

    value: float
    low: float
    high: float


class PairedDifference(NamedTuple):
    """How two methods differ on the same structures.

    Attributes
    ----------
    difference
        Figure of merit of the first less that of the second.
    loss_ratio
        Loss of the first over that of the second, below 1 if the first is better.
    """

    difference: Interval
    loss_ratio: Interval


def ratio(sums: np.ndarray) -> np.ndarray:
    """Divide the first column of sums by the second; NaN where that is 0.

    Parameters
    ----------
    sums
        Shape (n_resamples, 2): sums of numerators and of denominators.

    Examples
    --------
    >>> import numpy as np
    >>> ratio(np.array([[1.0, 4.0], [0.0, 0.0]]))
    array([0.25,  nan])
    """
    if sums.shape[-1] != 2:
        raise ValueError(f"sums of shape {sums.shape}: expected two columns")
    above, below = sums[..., 0], sums[..., 1]
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


def ratio_interval(
    numerator: np.ndarray,
    denominator: np.ndarray,
    *,
    strata: Sequence[str | int] | None = None,
    n: int = RESAMPLES,
    seed: int,
) -> Interval:
    """Give the interval of sum(numerator) / sum(denominator), see `interval`.

    Parameters
    ----------
    numerator, denominator
        Sum over each structure, shape (n_structures,): squared errors and pixels, defects
        found and defects there are, ...
    strata, n, seed
        See `interval`.

    Examples
    --------
    >>> import numpy as np
    >>> squares, pixels = np.array([4.0, 5.0, 6.0, 5.0, 4.0, 6.0]), np.full(6, 10.0)
    >>> [round(float(limit), 2) for limit in ratio_interval(squares, pixels, seed=1)]
    [0.5, 0.42, 0.58]
    """
    columns = [np.asarray(a, dtype=float) for a in (numerator, denominator)]
    if columns[0].shape != columns[1].shape or columns[0].ndim != 1:
        raise ValueError(
            f"numerator {columns[0].shape} and denominator {columns[1].shape}: expected one "
            "number per structure of each"
        )
    return interval(np.stack(columns, axis=1), ratio, strata=strata, n=n, seed=seed)


def interval(
    sums: np.ndarray,
    statistic: Statistic,
    *,
    strata: Sequence[str | int] | None = None,
    n: int = RESAMPLES,
    seed: int,
) -> Interval:
    """Give the 95 % interval of a figure of merit when structures are resampled.

    The interval is the bias-corrected and accelerated one (BCa), its tails widened by what
    few structures call for: resamples of k structures spread too little by sqrt(1 - 1/k),
    and their spread is itself uncertain (Student's t). In simulations it held the true
    value in 95 % (lognormal: 93 %) of cases of 40 structures, 94 % (91 %) of 10, and 91 %
    (85 %) of 5.

    Parameters
    ----------
    sums
        Sums over each structure, shape (n_structures, n_columns), finite.
    statistic
        Figure of merit of the sums over all structures, of many resamples at once:
        from shape (n_resamples, n_columns) to (n_resamples,). NaN where it is not defined.
    strata
        Stratum (crystal) of each structure: every resample holds as many of each as there
        are. None: all structures are of one.
    n
        Number of resamples.
    seed
        The run's seed. Equal seeds and strata draw the same structures.

    Raises
    ------
    ValueError
        If a stratum holds fewer than two structures, a sum is not finite, the shapes do not
        fit, or `n` is below 100.

    References
    ----------
    B. Efron, doi:10.1080/01621459.1987.10478410 (BCa); T. C. Hesterberg,
    doi:10.1080/00031305.2015.1089789 (few structures).

    Examples
    --------
    The root mean square of errors:

    >>> import numpy as np
    >>> sums = np.stack([np.arange(1.0, 21.0), np.full(20, 1.0)], axis=1)
    >>> rms = interval(sums, lambda s: np.sqrt(s[:, 0] / s[:, 1]), seed=1)
    >>> [round(float(limit), 1) for limit in rms]
    [3.2, 2.8, 3.7]
    """
    sums, groups = _checked(sums, strata, n)
    value = _values(statistic, sums.sum(axis=0)[None])[0]
    resampled = _values(statistic, _draws(groups, n, seed) @ sums)
    resampled = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or n - len(resampled) > UNDEFINED * n:
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.quantile(resampled, _levels(value, resampled, statistic, sums, groups))
    return Interval(float(value), float(low), float(high))


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    statistic: Statistic = ratio,
    *,
    best: float = 0.0,
    strata: Sequence[str | int] | None = None,
    n: int = RESAMPLES,
    seed: int,
) -> PairedDifference:
    """Compare two methods that were measured on the same structures.

    A resample holds the same structures for both, so that what makes a structure difficult
    for both cancels.

    Parameters
    ----------
    first, second
        Sums over each structure of the two methods, shape (n_structures, n_columns) each,
        structures in equal order.
    statistic
        Figure of merit of the sums, see `interval`.
    best
        Its value for a perfect image: 0 for an error, 1 for a similarity. The loss is
        how far the figure of merit is from it.
    strata, n, seed
        See `interval`.

    Raises
    ------
    ValueError
        If the two differ in shape; see also `interval`.

    Examples
    --------
    The first has two thirds of the error of the second in every structure:

    >>> import numpy as np
    >>> error, pixels = np.arange(3.0, 33.0, 3.0), np.full(10, 5.0)
    >>> pair = [np.stack([factor * error, pixels], axis=1) for factor in (2.0, 3.0)]
    >>> [round(limit, 3) for limit in paired_difference(*pair, seed=1).loss_ratio]
    [0.667, 0.667, 0.667]
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"sums of shapes {first.shape} and {second.shape}: expected the same structures "
            "and columns of both"
        )
    columns = first.shape[1]

    def difference(sums: np.ndarray) -> np.ndarray:
        return _values(statistic, sums[:, :columns]) - _values(statistic, sums[:, columns:])

    def loss_ratio(sums: np.ndarray) -> np.ndarray:
        parts = (sums[:, :columns], sums[:, columns:])
        return ratio(np.stack([np.abs(_values(statistic, p) - best) for p in parts], axis=1))

    both = np.concatenate([first, second], axis=1)
    return PairedDifference(
        interval(both, difference, strata=strata, n=n, seed=seed),
        interval(both, loss_ratio, strata=strata, n=n, seed=seed),
    )


@dataclass(frozen=True)
class _Groups:
    """Strata: their names, and which one each structure belongs to."""

    names: list[str]
    member: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Number of structures of each."""
        return np.bincount(self.member, minlength=len(self.names))


def _checked(
    sums: np.ndarray, strata: Sequence[str | int] | None, n: int
) -> tuple[np.ndarray, _Groups]:
    sums = np.asarray(sums, dtype=float)
    if sums.ndim != 2 or not np.isfinite(sums).all():
        raise ValueError(
            f"sums of shape {sums.shape}: expected finite numbers, shape (n_structures, n_columns)"
        )
    if n < FEWEST:
        raise ValueError(f"n = {n} resamples: expected at least {FEWEST}")
    named = [""] * len(sums) if strata is None else [str(name) for name in strata]
    if len(named) != len(sums):
        raise ValueError(f"{len(named)} strata of {len(sums)} structures: expected one for each")
    names, member = np.unique(np.array(named, dtype=str), return_inverse=True)
    groups = _Groups([str(name) for name in names], member)
    for name, size in zip(groups.names, groups.sizes, strict=True):
        if size < 2:
            raise ValueError(
                f"{size} structure{f' in stratum {name}' if name else ''}: expected at least two, "
                "since one does not tell how much they vary"
            )
    if not len(sums):
        raise ValueError("0 structures: expected at least two")
    return sums, groups


def _draws(groups: _Groups, n: int, seed: int) -> np.ndarray:
    """How often each structure is drawn, shape (n, n_structures)."""
    drawn = np.zeros((n, len(groups.member)))
    for number, (name, size) in enumerate(zip(groups.names, groups.sizes, strict=True)):
        rng = generator(seed, "bootstrap", name)
        drawn[:, groups.member == number] = rng.multinomial(size, np.full(size, 1 / size), size=n)
    return drawn


def _values(statistic: Statistic, sums: np.ndarray) -> np.ndarray:
    values = np.asarray(statistic(sums), dtype=float)
    if values.shape != (len(sums),):
        raise ValueError(
            f"statistic gave shape {values.shape}: expected one number per resample, ({len(sums)},)"
        )
    return values


def _levels(
    value: float, resampled: np.ndarray, statistic: Statistic, sums: np.ndarray, groups: _Groups
) -> np.ndarray:
    """Quantiles of the resampled values that are the limits: BCa, widened for few structures."""
    n, structures = len(resampled), len(sums)
    # a resample equal to the value counts as half below, or a discrete one would look biased
    below = (np.sum(resampled < value) + np.sum(resampled <= value)) / 2
    bias = ndtri(np.clip(below / n, 0.5 / n, 1 - 0.5 / n))
    free = structures - len(groups.names)
    tail = np.sqrt(structures / free) * student.ppf((1 + CONFIDENCE) / 2, free)
    reach = bias + np.array([-tail, tail])
    # past its pole the correction turns round: there the limit is the outermost resample
    shrink = np.maximum(1 - _acceleration(statistic, value, sums, groups) * reach, 1e-3)
    return ndtr(bias + reach / shrink)


def _acceleration(statistic: Statistic, value: float, sums: np.ndarray, groups: _Groups) -> float:
    """Return a sixth of the skewness of the structures' influence; 0 if it is not defined."""
    size = groups.sizes[groups.member][:, None]
    of_stratum = np.stack([np.bincount(groups.member, column) for column in sums.T], axis=1)
    own = of_stratum[groups.member]
    # leaving one out, the others of its stratum stand for it
    without = sums.sum(axis=0) - own + (own - sums) * size / (size - 1)
    influence = (value - _values(statistic, without)) * (size[:, 0] - 1) / size[:, 0]
    # a constant statistic differs by rounding alone
    small = 1e-12 * max(abs(value), 1e-300)
    if not np.isfinite(influence).all() or np.abs(influence).max() <= small:
        return 0.0
    influence = influence / np.abs(influence).max()
    return float(np.sum(influence**3) / np.sum(influence**2) ** 1.5 / 6)
