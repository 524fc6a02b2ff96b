"""Intervals on what is counted: exact, however few there were."""

from scipy.stats import beta, chi2

CONFIDENCE = 0.95
"""Probability with which an interval holds the true value."""


def proportion(found: int, total: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Give the interval of Clopper and Pearson (doi:10.1093/biomet/26.4.404) of a proportion.

    Parameters
    ----------
    found, total
        How many of how many independent trials.
    confidence
        Probability with which it holds the true value, at least.

    Returns
    -------
    tuple of float
        Its lower and upper limit.

    Raises
    ------
    ValueError
        If more were found than there were.

    Examples
    --------
    >>> [round(limit, 3) for limit in proportion(240 - 5, 240)]
    [0.952, 0.993]
    >>> proportion(0, 0)
    (0.0, 1.0)
    """
    if not 0 <= found <= total:
        raise ValueError(f"found = {found}: expected 0 to total = {total}")
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, found, total - found + 1) if found else 0.0
    high = beta.ppf(1 - tail, found + 1, total - found) if found < total else 1.0
    return float(low), float(high)


def rate(events: int, exposure: float, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Give the exact interval of a Poisson rate (F. Garwood, doi:10.1093/biomet/28.3-4.437).

    Parameters
    ----------
    events
        How many were counted.
    exposure
        In what they were counted: an area, a time, above 0.
    confidence
        Probability with which it holds the true value, at least.

    Returns
    -------
    tuple of float
        Its lower and upper limit, per unit of the exposure.

    Raises
    ------
    ValueError
        If the exposure is not above 0.

    Examples
    --------
    >>> [round(limit, 3) for limit in rate(0, 35.0)]
    [0.0, 0.105]
    """
    if not exposure > 0:
        raise ValueError(f"exposure = {exposure}: expected above 0")
    tail = (1 - confidence) / 2
    low = chi2.ppf(tail, 2 * events) / 2 if events else 0.0
    high = chi2.ppf(1 - tail, 2 * events + 2) / 2
    return float(low / exposure), float(high / exposure)
