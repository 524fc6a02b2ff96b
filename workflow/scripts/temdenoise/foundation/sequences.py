"""Choosing from sequences."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def evenly_spaced(items: Sequence[Item], maximum: int) -> list[Item]:
    """Take all items, or at most so many, evenly spaced from the first to the last.

    Parameters
    ----------
    items
        What to choose from.
    maximum
        How many to take at most.

    Examples
    --------
    >>> evenly_spaced("abc", 5), evenly_spaced(range(100), 3)
    (['a', 'b', 'c'], [0, 50, 99])
    """
    if len(items) <= maximum:
        return list(items)
    if maximum < 2:
        return list(items[:maximum])
    step = (len(items) - 1) / (maximum - 1)
    return [*(items[round(number * step)] for number in range(maximum - 1)), items[-1]]
