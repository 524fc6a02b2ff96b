"""Where a frame holds no data: blanked, outside of the scan, saturated, written over, missing.

Such areas are filled with what lies beside them before anything looks at the frame, are left out
of what is measured on it, and stay in the result as they were recorded.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CHANCE = 1e-6
"""Probability, over all places of a frame, at which an area of one value is no chance."""

SMALLEST_BOX = 4
"""Minimum side of an area of one value [pixels]."""

SHORTEST_LINE = 24
"""Minimum length of a line of one value, one pixel wide [pixels]."""

LEVELS = 16
"""Number of values in a frame below which noise leaves areas of one value by itself."""

COARSE_BOX = 32
"""Minimum side of an area, and length of a line, in such a frame [pixels].

So it is at a limit that the values run up to: a saturated atom is no area without data.
"""

GAP = 0.5
"""Distance of a limit from the other values, over the width of these, at which they do not."""

VALUES = 8
"""Maximum number of values that are looked at, the most frequent first."""

THIN = 4
"""Areas up to this width are filled so well that they need not be left out [pixels]."""

SMALLEST_WINDOW = 64
"""Minimum side of a rectangle with data that is looked at instead of the frame [pixels]."""

LEAST_WINDOW = 0.25
"""Minimum fraction of the pixels with data that such a rectangle holds."""

Window = tuple[slice, slice]
"""Rows and columns of a part of a frame."""


@dataclass(frozen=True)
class NoData:
    """Where a frame holds no data.

    Attributes
    ----------
    mask
        True in areas that hold none, shape (rows, columns); single missing pixels are no area.
    parts
        What is there, in words, the largest first; empty if there is data everywhere.
    """

    mask: np.ndarray
    parts: tuple[str, ...]

    @property
    def fraction(self) -> float:
        """Fraction of the pixels without data."""
        return float(self.mask.mean())

    @property
    def text(self) -> str:
        """What is there, in one sentence; empty if there is data everywhere."""
        if not self.parts:
            return ""
        return f"{100 * self.fraction:.3g} % of the frame hold no data: {'; '.join(self.parts)}"


def without_data(frame: np.ndarray) -> NoData:
    """Find areas of one value that noise cannot have made, and of missing pixels.

    An area counts if a box, or a line, of its value is less probable than `CHANCE` at the
    frequency that the value has elsewhere: the zeros between sparse counts are data.

    Parameters
    ----------
    frame
        Shape (rows, columns), any real type; NaN for a missing pixel.

    Examples
    --------
    >>> frame = np.random.default_rng(0).normal(100, 10, (64, 64))
    >>> without_data(frame).text
    ''
    >>> frame[48:] = 0
    >>> without_data(frame).text
    '25 % of the frame hold no data: blank (0) in rows 49 to 64'
    """
    frame = np.asarray(frame)
    missing = ~np.isfinite(frame) if frame.dtype.kind == "f" else np.zeros(frame.shape, bool)
    if missing.all():
        return NoData(missing, ("missing (NaN or infinite) everywhere",))
    mask = np.zeros(frame.shape, bool)
    found = []
    if missing.any():
        mask = _improbable(missing, SMALLEST_BOX)
        found.append((int(mask.sum()), f"missing (NaN or infinite) {_where(mask)}"))
    finite = frame[~missing] if missing.any() else frame.ravel()
    low, high = finite.min(), finite.max()
    coarse = len(np.unique(finite)) < LEVELS
    for value in _repeated(frame):
        cut_off = coarse or (value in (low, high) and _run_up_to(finite, value))
        area = _improbable(frame == value, COARSE_BOX if cut_off else SMALLEST_BOX) & ~mask
        if not area.any():
            continue
        if value in (low, high):
            # text beside a scale bar is thinner than the bar
            area |= _near(frame == value, area)
        mask |= area
        what = "saturated or written over" if value == high and high > low else "blank"
        found.append((int(area.sum()), f"{what} ({value:g}) {_where(area)}"))
    found = [part for part in found if part[0]]
    return NoData(mask, tuple(text for _, text in sorted(found, key=lambda part: -part[0])))


def filled(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill areas without data with the mirror image of what lies beside them.

    So the noise stays what it is and there is no step at their rim.

    Parameters
    ----------
    frame
        Shape (rows, columns), float32.
    mask
        True where there is no data.

    Returns
    -------
    numpy.ndarray
        Float32; the frame itself if there is data everywhere.
    """
    if not mask.any():
        return frame
    result, last = frame.copy(), np.array(frame.shape) - 1
    # what was filled is mirrored in turn, until all is full or nothing is left to mirror
    while mask.any():
        nearest = np.asarray(
            ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
        )
        places = np.argwhere(mask)
        mirrored = 2 * nearest[:, mask].T - places
        inside = np.asarray(((mirrored >= 0) & (mirrored <= last)).all(axis=1))
        places, mirrored = places[inside], mirrored[inside]
        there = ~mask[tuple(mirrored.T)]
        if not there.any():
            others = result[~mask]
            result[mask] = np.mean(others[np.isfinite(others)], dtype=np.float64)
            break
        places, mirrored = places[there], mirrored[there]
        result[tuple(places.T)] = result[tuple(mirrored.T)]
        mask = mask.copy()
        mask[tuple(places.T)] = False
    return result


def window_with_data(mask: np.ndarray) -> Window:
    """Find the part of a frame to be measured: the largest rectangle with data.

    Parameters
    ----------
    mask
        True where there is no data.

    Returns
    -------
    tuple of slice
        The whole frame if areas without data are thin, or leave no rectangle worth it.
    """
    whole = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
    thick = mask
    if mask.any():
        thick = np.asarray(ndimage.binary_opening(mask, np.ones((THIN + 1, THIN + 1))))
    if not thick.any():
        return whole
    block = max(1, max(mask.shape) // 128)
    rows, columns = (n // block for n in mask.shape)
    blocks = thick[: rows * block, : columns * block].reshape(rows, block, columns, block)
    largest = _largest_rectangle(np.asarray(~blocks.any(axis=(1, 3))))
    down, across = (slice(part.start * block, part.stop * block) for part in largest)
    sides = (down.stop - down.start, across.stop - across.start)
    if min(sides) < SMALLEST_WINDOW or math.prod(sides) < LEAST_WINDOW * (~mask).sum():
        return whole
    return down, across


def _largest_rectangle(free: np.ndarray) -> Window:
    """Find the largest rectangle of True, row by row: as wide as its lowest column allows."""
    best, found = 0, (slice(0, 0), slice(0, 0))
    heights = np.zeros(free.shape[1] + 1, int)
    for row, line in enumerate(free):
        heights[:-1] = np.where(line, heights[:-1] + 1, 0)
        open_columns: list[int] = []
        for column, height in enumerate(heights):
            while open_columns and heights[open_columns[-1]] >= height:
                tall = int(heights[open_columns.pop()])
                first = open_columns[-1] + 1 if open_columns else 0
                if tall * (column - first) > best:
                    best = tall * (column - first)
                    found = (slice(row + 1 - tall, row + 1), slice(first, column))
            open_columns.append(column)
    return found


def _repeated(frame: np.ndarray) -> list[np.generic]:
    """Give the values of constant boxes and lines, the most frequent first."""
    right = frame[:, 1:] == frame[:, :-1]
    below = frame[1:] == frame[:-1]
    both = right[:-1] & below[:, :-1]
    places = [(both, (SMALLEST_BOX - 1,) * 2)]
    places += [(right, (1, SHORTEST_LINE - 1)), (below, (SHORTEST_LINE - 1, 1))]
    found = []
    for same, size in places:
        if all(n <= most for n, most in zip(size, same.shape, strict=True)):
            constant = ndimage.minimum_filter(same, size, mode="constant", cval=0)
            rows, columns = constant.shape
            found.append(frame[:rows, :columns][constant])
    values, counts = np.unique(np.concatenate(found), return_counts=True)
    return [values[i] for i in np.argsort(-counts, kind="stable")[:VALUES]]


def _run_up_to(values: np.ndarray, limit: np.generic) -> bool:
    """Tell whether values run up to their limit: bright atoms or dark ground, cut off there."""
    others = values[values != limit]
    if not others.size:
        return False
    low, high, least, most = np.quantile(others, [0.1, 0.9, 0.005, 0.995])
    nearest = most if limit > most else least
    return bool(abs(float(limit) - nearest) < GAP * (high - low))


def _improbable(same: np.ndarray, smallest: int) -> np.ndarray:
    """Find boxes and lines of True that are no chance at the frequency of True elsewhere."""
    shortest = max(smallest, SHORTEST_LINE)
    area = _boxes(same, smallest, shortest)
    # the fewer count as an area, the more frequent is True elsewhere
    while area.any():
        frequency = _frequency(same, area)
        # pixels needed, at this frequency, for what happens once in a million frames
        needed = math.log(CHANCE / same.size) / math.log(min(max(frequency, 1e-9), 0.9999))
        side = max(smallest, math.ceil(math.sqrt(needed)))
        smaller = area & _boxes(same, side, max(shortest, math.ceil(needed)))
        if np.array_equal(smaller, area):
            break
        area = smaller
    return area


def _frequency(same: np.ndarray, area: np.ndarray) -> float:
    """Estimate how probable True is outside of an area: at all, and beside another True."""
    others = ~area
    if not others.any():
        return 0.0
    left = same[:, :-1] & others[:, 1:] & others[:, :-1]
    pairs = int(left.sum())
    frequency = float(same[others].mean())
    if pairs < 2 * SHORTEST_LINE:  # too few to tell
        return frequency
    return max(frequency, int((left & same[:, 1:]).sum()) / pairs)


def _boxes(same: np.ndarray, side: int, length: int) -> np.ndarray:
    """Unite all boxes of a side, and lines of a length, that are True throughout."""
    area = np.zeros_like(same)
    for size in ((side, side), (1, length), (length, 1)):
        if all(n <= most for n, most in zip(size, same.shape, strict=True)):
            area |= _opened(same, size)
    return area


def _opened(same: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Unite all boxes of a size that are True throughout."""
    # even sizes: the dilation has to be shifted the other way than the erosion
    inside = ndimage.minimum_filter(same, size, mode="constant", cval=0)
    shifts = tuple(-1 if n % 2 == 0 else 0 for n in size)
    opened = ndimage.maximum_filter(inside, size, mode="constant", cval=0, origin=shifts)
    return np.asarray(opened & same)


def _near(same: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Find connected parts of True that lie as near to small areas as these are large."""
    labels, count = ndimage.label(area, np.ones((3, 3)))
    near = np.zeros_like(same)
    for rows, columns in ndimage.find_objects(labels, count):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        reach = max(height, width)
        if 2 * reach > max(same.shape):
            continue  # a part of the frame, not a mark in it
        around = (
            slice(max(0, rows.start - reach), rows.stop + reach),
            slice(max(0, columns.start - reach), columns.stop + reach),
        )
        pieces, n = ndimage.label(same[around], np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel(), minlength=n + 1)
        sizes[0] = 0
        near[around] |= (sizes >= SMALLEST_BOX)[pieces]
    return near


def _where(area: np.ndarray) -> str:
    """Say where an area lies: whole rows or columns, or how much of the frame it is."""
    for axis, name in ((1, "rows"), (0, "columns")):
        whole = area.all(axis=axis)
        if whole.any() and area.sum() <= 1.02 * whole.sum() * area.shape[axis]:
            numbers = np.flatnonzero(whole) + 1
            if numbers[-1] - numbers[0] + 1 == len(numbers):
                return f"in {name} {numbers[0]} to {numbers[-1]}"
            return f"in {len(numbers)} {name}"
    return f"in {100 * area.mean():.2g} % of it"
