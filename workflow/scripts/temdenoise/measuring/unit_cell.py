"""The unit cell of a lattice in an image: its average and its sites, however the scan bends it.

Where a pixel lies in its cell is told by the local phases of two lattice frequencies (geometric
phase analysis; M. J. Hÿtch, E. Snoeck, R. Kilaas, Ultramicroscopy 74, 131 (1998)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter

from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.spectrum import Peak

REACH = 2.0
"""Standard deviation of the window in which a phase is measured [periods], at least."""

PHASE_ERROR = 0.15
"""Error of a phase by noise that the window is made wide enough for [radians]."""

WEAK = 0.35
"""Strength of the lattice over its median below which a place is no part of it."""

BINS = 32
"""Bins along either side of the averaged cell."""

FAINT = 0.12
"""Height of an atom of the averaged cell over its brightest, at least."""

NEIGHBOURS = np.array([(i, j) for i in range(-2, 3) for j in range(-2, 3)])
"""Cells about a cell whose atoms reach into it, shape (25, 2)."""

APART = 0.9
"""Distance of two atoms of a cell, at least [Å]."""

BLUR = 0.25
"""Standard deviation by which the averaged cell is blurred before atoms are looked for [Å]."""

WIDTHS = np.geomspace(0.15, 1.2, 28)
"""Widths of atoms that are tried: standard deviation [Å]."""


@dataclass(frozen=True)
class Motif:
    """The atoms of an averaged unit cell, as Gaussians on a constant.

    Attributes
    ----------
    places
        Fractional coordinates, shape (n, 2), the brightest atom first.
    heights
        Height of each [intensity of the image], shape (n,).
    width
        Standard deviation of all [Å].
    base
        Intensity between them.
    """

    places: np.ndarray
    heights: np.ndarray
    width: float
    base: float


@dataclass(frozen=True)
class Cells:
    """Where each pixel of an image lies in its unit cell.

    Attributes
    ----------
    vectors
        Mean lattice vectors [pixels], shape (2, 2): one in each row, as (rows, columns).
    shifts
        What is to be added to the coordinates by the mean vectors [cells], shape
        (2, rows, columns).
    strength
        Strength of the lattice over its median, shape (rows, columns).
    """

    vectors: np.ndarray
    shifts: np.ndarray
    strength: np.ndarray

    @property
    def coordinates(self) -> np.ndarray:
        """Coordinates of every pixel [cells], shape (2, rows, columns)."""
        rows, columns = (np.arange(n, dtype=float) for n in self.strength.shape)
        inverse = np.linalg.inv(self.vectors)
        plain = inverse[0][:, None, None] * rows[:, None] + inverse[1][:, None, None] * columns
        return np.asarray(plain + self.shifts)

    @property
    def inside(self) -> np.ndarray:
        """Where there is a lattice, shape (rows, columns)."""
        return np.asarray(self.strength > WEAK)

    def average(self, image: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
        """Average an image over its cells.

        Parameters
        ----------
        image
            Shape (rows, columns).
        where
            Pixels that count; None: those of the lattice.

        Returns
        -------
        numpy.ndarray
            The cell, shape (`BINS`, `BINS`), periodic.
        """
        kept = self.inside if where is None else where
        place = (self.coordinates[:, kept] % 1) * BINS
        low = np.floor(place).astype(int)
        part = place - low
        total, weight = np.zeros(BINS**2), np.zeros(BINS**2)
        values = image[kept].astype(float)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = np.abs(1 - i - part[0]) * np.abs(1 - j - part[1])
            bins = (low[0] + i) % BINS * BINS + (low[1] + j) % BINS
            total += np.bincount(bins, share * values, minlength=BINS**2)
            weight += np.bincount(bins, share, minlength=BINS**2)
        return (total / np.maximum(weight, 1e-12)).reshape(BINS, BINS)

    def lay(self, cell: np.ndarray) -> np.ndarray:
        """Make the image of an averaged cell, shape (rows, columns)."""
        place = (self.coordinates % 1) * BINS
        laid: np.ndarray = map_coordinates(cell, place, order=1, mode="grid-wrap")
        return laid

    def sites(self, place: np.ndarray) -> np.ndarray:
        """Find a place of the cell in every cell of the lattice.

        Parameters
        ----------
        place
            Fractional coordinates, shape (2,).

        Returns
        -------
        numpy.ndarray
            Positions [pixels], shape (n, 2), all within the image and the lattice.
        """
        shape = np.array(self.strength.shape)
        inverse = np.linalg.inv(self.vectors)
        corners = np.array([(i, j) for i in (0, shape[0]) for j in (0, shape[1])]) @ inverse
        extremes = self.shifts.min(axis=(1, 2)), self.shifts.max(axis=(1, 2))
        first = np.floor(corners.min(axis=0) + extremes[0]).astype(int) - 1
        last = np.ceil(corners.max(axis=0) + extremes[1]).astype(int) + 1
        cells = np.stack(
            np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True))), -1
        ).reshape(-1, 2)
        wanted = cells + place
        points = (wanted - self.shifts.mean(axis=(1, 2))) @ self.vectors
        for _ in range(8):
            shift = np.stack(
                [map_coordinates(s, points.T, order=1, mode="nearest") for s in self.shifts], -1
            )
            points = (wanted - shift) @ self.vectors
        within = ((points >= 0) & (points <= shape - 1)).all(axis=1)
        points = points[within]
        nearest = tuple(np.rint(points).astype(int).T)
        return points[self.inside[nearest]]

    def motif(self, cell: np.ndarray, sampling: PixelSize) -> Motif:
        """Find the atoms of an averaged cell and fit them with Gaussians of one width.

        Parameters
        ----------
        cell
            See `average`.
        sampling
            Pixel size [Å].
        """
        places = _maxima(cell, self.vectors * np.array(sampling))
        grid = np.stack(np.meshgrid(np.arange(BINS), np.arange(BINS), indexing="ij"), -1) / BINS
        vectors = self.vectors * np.array(sampling)
        away = grid[:, :, None, None] - places[None, None, :, None] + NEIGHBOURS
        squared = ((away @ vectors) ** 2).sum(-1)
        best: tuple[float, float, np.ndarray] | None = None
        for width in WIDTHS:
            bumps = np.exp(-squared / (2 * width**2)).sum(-1).reshape(BINS**2, -1)
            design = np.column_stack([bumps, np.ones(BINS**2)])
            found, *_ = np.linalg.lstsq(design, cell.ravel(), rcond=None)
            error = float(((design @ found - cell.ravel()) ** 2).sum())
            if best is None or error < best[0]:
                best = error, float(width), found
        assert best is not None  # there are widths
        _, width, found = best
        order = np.argsort(-found[:-1])
        return Motif(places[order], found[:-1][order], width, float(found[-1]))


def _maxima(cell: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Find the bright places of a periodic cell: fractional coordinates, shape (n, 2).

    Of two nearer to each other than `APART` the brighter one is taken.
    """
    blurred = _blurred(cell, vectors)
    low, high = blurred.min(), blurred.max()
    top = (blurred == maximum_filter(blurred, 3, mode="wrap")) & (
        blurred > low + FAINT * (high - low)
    )
    places = np.argwhere(top) / BINS
    places = places[np.argsort(-blurred[top])]
    kept: list[np.ndarray] = []
    for place in places:
        away = np.array([place - one for one in kept]).reshape(-1, 2)
        away = (away[:, None] + NEIGHBOURS) @ vectors
        if not len(away) or np.linalg.norm(away, axis=-1).min() > APART:
            kept.append(place)
    return np.array(kept).reshape(-1, 2)


def _blurred(cell: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Blur a periodic cell by `BLUR`."""
    index = np.fft.fftfreq(BINS, 1 / BINS)
    whole = np.stack(np.meshgrid(index, index, indexing="ij"), -1)
    frequency = whole @ np.linalg.inv(vectors).T
    passed = np.exp(-2 * (np.pi * BLUR) ** 2 * (frequency**2).sum(-1))
    return np.asarray(np.fft.ifft2(np.fft.fft2(cell) * passed).real)


def basis(peaks: Sequence[Peak]) -> tuple[Peak, Peak] | None:
    """Choose two peaks of which the others are sums: the basis of the reciprocal lattice.

    Of pairs that explain equally much the one that spans most is taken, which makes the smallest
    cell. None: there are no two directions.
    """
    strongest = sorted(peaks, key=lambda peak: -peak.height)[:12]
    best: tuple[float, float, tuple[Peak, Peak]] | None = None
    every = np.array([(p.rows, p.columns) for p in strongest])
    weights = np.log([p.height for p in strongest])
    for one, other in combinations(strongest, 2):
        pair = np.array([(one.rows, one.columns), (other.rows, other.columns)])
        area = abs(float(np.linalg.det(pair)))
        if area < 0.3 * one.frequency * other.frequency:
            continue
        index = every @ np.linalg.inv(pair)
        whole = (np.abs(index - np.rint(index)) < 0.12).all(axis=1)
        rated = (round(float(weights[whole].sum()), 6), area, (one, other))
        if best is None or rated[:2] > best[:2]:
            best = rated
    return None if best is None else best[2]


def cells_of(
    image: np.ndarray, peaks: Sequence[Peak], sampling: PixelSize, *, noise: float = 0.0
) -> Cells | None:
    """Find where each pixel lies in its unit cell.

    Parameters
    ----------
    image
        Shape (rows, columns), finite.
    peaks
        Of its lattice, see `spectrum.lattice_peaks`.
    sampling
        Pixel size [Å].
    noise
        Standard deviation of the noise in the image; phases are measured in windows that are
        wide enough for it.

    Returns
    -------
    Cells or None
        None if there is no lattice with two directions.
    """
    pair = basis(peaks)
    if pair is None:
        return None
    frequencies = np.array([(p.rows * sampling.rows, p.columns * sampling.columns) for p in pair])
    vectors = np.linalg.inv(frequencies).T
    rows, columns = (np.arange(n, dtype=float) for n in image.shape)
    shifts, strengths = [], []
    centred = image - image.mean()
    for frequency in frequencies:
        angle = 2 * np.pi * (frequency[0] * rows[:, None] + frequency[1] * columns)
        period = 1 / float(np.hypot(*frequency))
        # phases vary slowly: blocks of a quarter of a period hold them all
        step = max(1, int(period / 4))
        wave, centres = _blocks(centred * np.exp(-1j * angle), step)
        width = REACH * period
        local = _smoothed(wave, width / step)
        amplitude = float(np.median(np.abs(local)))
        wanted = noise / max(amplitude, 1e-300) / (2 * np.sqrt(2 * np.pi) * PHASE_ERROR)
        if wanted > width:
            local = _smoothed(wave, min(wanted, min(image.shape) / 6) / step)
        strength = np.abs(local) / max(float(np.median(np.abs(local))), 1e-300)
        places = np.meshgrid(
            *((n - c[0]) / step for n, c in zip((rows, columns), centres, strict=True)),
            indexing="ij",
        )
        strengths.append(_read_at(strength, places))
        shifts.append(_read_at(_unwrapped(np.angle(local)) / (2 * np.pi), places))
    return Cells(vectors, np.stack(shifts), np.minimum(*strengths))


def _blocks(values: np.ndarray, step: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Average blocks of pixels, the last of them smaller; also give their centres [pixels]."""
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], step)
        count = np.diff(np.append(starts, values.shape[axis]))
        values = np.add.reduceat(values, starts, axis=axis) / np.expand_dims(count, 1 - axis)
    return values, [np.arange(n) * step + (step - 1) / 2 for n in values.shape]


def _read_at(values: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
    read: np.ndarray = map_coordinates(values, places, order=1, mode="nearest")
    return read


def _unwrapped(phase: np.ndarray) -> np.ndarray:
    """Add whole turns to phases [radians] so that they vary slowly.

    By least squares of the differences of neighbours (D. C. Ghiglia, L. A. Romero, J. Opt. Soc.
    Am. A 11, 107 (1994)).
    """
    curvature = np.zeros(phase.shape)
    for axis in (0, 1):
        steps = np.angle(np.exp(1j * np.diff(phase, axis=axis)))
        around = [(1, 1) if a == axis else (0, 0) for a in (0, 1)]
        curvature += np.diff(np.pad(steps, around), axis=axis)
    rows, columns = (2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in phase.shape)
    factor = rows[:, None] + columns
    factor[0, 0] = 1.0
    smooth = fft.idctn(fft.dctn(curvature) / factor)
    smooth += np.angle(np.exp(1j * (phase - smooth)).mean())
    return np.asarray(phase + 2 * np.pi * np.rint((smooth - phase) / (2 * np.pi)))


def _smoothed(wave: np.ndarray, width: float) -> np.ndarray:
    parts = [gaussian_filter(part, width, mode="mirror") for part in (wave.real, wave.imag)]
    return np.asarray(parts[0] + 1j * parts[1])
