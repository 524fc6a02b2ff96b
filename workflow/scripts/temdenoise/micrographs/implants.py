"""Vacancies and foreign atoms planted into a recorded frame, to see whether a denoiser keeps them.

An atom is taken out of counts by thinning them: of a pixel that is Poisson distributed about m,
Binomial(count, (m - d) / m) is Poisson distributed about m - d. One is added by Poisson(d) counts.
The same is done to the mean and the variance of any other detector's noise. The frame is denoised
with and without what was planted; the difference at a site, over what was planted there, is the
response: 1 if it is kept, 0 if it is erased.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.seeding import generator
from temdenoise.judging.intervals import proportion
from temdenoise.judging.statistics import Interval, ratio_interval
from temdenoise.measuring.background import background
from temdenoise.measuring.noise_model import SEEN, NoiseModel
from temdenoise.measuring.unit_cell import BINS, NEIGHBOURS, Motif
from temdenoise.micrographs.fission import Denoise, counted
from temdenoise.micrographs.sites import Atoms, values_at

APART = 3.0
"""Distance of two implants, and of one from the rim, over that of neighbouring sites, at least."""

ALIKE = 0.8
"""Height of an atom over that of the brightest of its species, at least."""

FAINT = 0.2
"""Height of an atom over the brightest of the cell, from which it is used."""

DEPARTS = 0.5
"""Departure of an atom's height from the average over that, from which its site is left out."""

OUTLIER = 3.0
"""The same over the scatter of all sites, which it must exceed besides."""

UNLIKE = 0.6
"""The same of what is drawn for an atom, at most."""

FARTHEST = 0.7
"""Distance of an atom from its site over its width, at most."""

EXTENT = 5.0
"""Distance over the standard deviation of an atom at which it ends."""

FEWEST = 5
"""Implants of a species and strength, at least."""

MOST_RUNS = 4
"""Times that a frame is denoised with implants, at most."""

MOST_COUNT = 1000
"""Implants of a species and strength, at most."""

STRONGEST = 20.0
"""Strength of an implant, at most."""

KEPT = 0.5
"""Response above which an implant counts as kept."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Planting:
    """What is planted.

    Attributes
    ----------
    strengths
        Intensities over that of the lattice's own atom at the site: 0 is a vacancy, all others are
        foreign atoms.
    count
        Implants of each species and strength that are wanted.
    runs
        Times that the frame is denoised with implants, each time at other sites, at most.
    seed
        Of the sites and the noise.
    progress
        Called with the number of times the frame was denoised and is to be.

    Raises
    ------
    DataError
        If a strength is 1, negative, not finite or above `STRONGEST`, or is given twice, or if a
        number is out of range.
    """

    strengths: tuple[float, ...] = (0.0, 1.5, 2.0)
    count: int = 40
    runs: int = MOST_RUNS
    seed: int = 0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if not self.strengths or len(set(self.strengths)) < len(self.strengths):
            raise DataError(f"strengths {self.strengths}: expected one or more, all different")
        for strength in self.strengths:
            if not 0 <= strength <= STRONGEST or abs(strength - 1) < 0.05:
                raise DataError(
                    f"strength {strength:g}: expected 0 (a vacancy) to {STRONGEST:g} times the "
                    "lattice's own atom, at least 0.05 from 1"
                )
        for name, value, low, high in (
            ("count", self.count, FEWEST, MOST_COUNT),
            ("runs", self.runs, 1, MOST_RUNS),
            ("seed", self.seed, 0, 2**63),
        ):
            if not low <= value <= high:
                raise DataError(f"{name} = {value}: expected {low} to {high}")


@dataclass(frozen=True)
class Implants:
    """What is planted into one copy of a frame.

    Attributes
    ----------
    sites
        Sites of the lattice [pixels], shape (n, 2).
    points
        Where the atoms are that are replaced [pixels], shape (n, 2).
    atoms
        Number of each in the motif, shape (n,).
    heights
        Height of each [intensity], shape (n,).
    strengths
        See `Planting`, shape (n,).
    """

    sites: np.ndarray
    points: np.ndarray
    atoms: np.ndarray
    heights: np.ndarray
    strengths: np.ndarray

    @property
    def added(self) -> np.ndarray:
        """Height that is added to the mean at each site [intensity], negative of a vacancy."""
        return (self.strengths - 1) * self.heights


@dataclass(frozen=True)
class Ground:
    """A frame that is planted into.

    Attributes
    ----------
    image
        float64, shape (rows, columns), finite.
    atoms
        Its lattice.
    noise
        Model of its noise.
    mean
        Estimate of the frame without noise: the averaged cell and the slow background, shape
        (rows, columns).
    lines
        Estimate of the noise that rows and columns have of their own, likewise.
    """

    image: np.ndarray
    atoms: Atoms
    noise: NoiseModel
    mean: np.ndarray
    lines: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, atoms: Atoms, noise: NoiseModel) -> "Ground":
        """Estimate the local mean of a frame, and fit its atoms.

        Parameters
        ----------
        image
            Shape (rows, columns), finite.
        atoms
            Its lattice.
        noise
            Model of its noise.
        """
        image = np.asarray(image, dtype=np.float64)
        cell = atoms.cells.average(image)
        atoms, lattice = _refined(atoms, cell), atoms.cells.lay(cell)
        mean = lattice + background(image - lattice, atoms.sampling)
        rest, lines = image - mean, np.zeros_like(image)
        for axis, variance in enumerate(noise.lines):
            if variance > 0:
                lines = lines + (rest - lines).mean(axis=1 - axis, keepdims=True)
        return cls(image, atoms, _with_gain(noise, rest - lines, cell, atoms), mean, lines)

    @cached_property
    def counts(self) -> bool:
        """Whether the pixels are counts that can be thinned."""
        return counted(self.image, self.noise)

    @cached_property
    def species(self) -> np.ndarray:
        """Species of each atom of the motif, from 1, the brightest first; 0: too faint to tell."""
        heights = self.atoms.motif.heights
        found = np.zeros(len(heights), dtype=int)
        number, brightest = 0, np.inf
        for index in np.argsort(-heights):
            if heights[index] < FAINT * heights.max():
                break
            if heights[index] < ALIKE * brightest:
                number, brightest = number + 1, heights[index]
            found[index] = number
        return found

    @cached_property
    def sites(self) -> tuple[np.ndarray, np.ndarray]:
        """All sites: positions [pixels], shape (n, 2), and the number of each in the motif."""
        return self.atoms.positions()

    @cached_property
    def spacing(self) -> float:
        """Distance of neighbouring sites [pixels], the median."""
        points, _ = self.sites
        if len(points) < 2:
            return float("inf")
        return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))

    def drawn(self, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Draw atoms, shape (rows, columns).

        Parameters
        ----------
        points
            Where [pixels], shape (n, 2).
        heights
            Of each [intensity], shape (n,).
        """
        total = np.zeros_like(self.image)
        widths = self.atoms.widths
        for point, height in zip(points, heights, strict=True):
            spans = [
                slice(max(0, int(at - EXTENT * width)), int(at + EXTENT * width) + 2)
                for at, width in zip(point, widths, strict=True)
            ]
            rows, columns = (
                np.exp(-((np.arange(n)[span] - at) ** 2) / (2 * width**2))
                for n, span, at, width in zip(total.shape, spans, point, widths, strict=True)
            )
            total[spans[0], spans[1]] += height * np.outer(rows, columns)
        return total

    def planted(self, implants: Implants, rng: np.random.Generator) -> np.ndarray:
        """Plant into the frame: the mean is changed, and the noise as it follows the mean.

        Parameters
        ----------
        implants
            What is planted.
        rng
            Of the random numbers.

        Returns
        -------
        numpy.ndarray
            float64, shape (rows, columns); as recorded where nothing is planted.
        """
        change = self.drawn(implants.points, implants.added)
        less, more = np.maximum(-change, 0), np.maximum(change, 0)
        # the atoms as they are here, in the place of the average ones
        own = self.drawn(implants.points, implants.heights)
        mean = (
            self.mean + own - self.drawn(implants.sites, self.atoms.motif.heights[implants.atoms])
        )
        if self.counts:
            part = 1 - np.clip(less / np.maximum(mean, 1e-9), 0, 1)
            kept = rng.binomial(self.image.astype(np.int64), part)
            return np.asarray(kept + rng.poisson(more), dtype=np.float64)
        before = self.noise.of_pixels(mean)
        fewer = self.noise.of_pixels(mean - less)
        after = self.noise.of_pixels(mean - less + more)
        # thinning leaves this part of the deviations from the mean, and makes noise of its own
        part = fewer / before
        fresh = fewer * (1 - part) + np.maximum(after - fewer, 0)
        alone = replace(self.noise, variance=1.0, readout=1.0, gain=0.0, lines=(0.0, 0.0))
        expected = mean + self.lines
        image = expected + change + part * (self.image - expected)
        image += np.sqrt(fresh) * alone.draw(np.zeros_like(mean), rng)
        if np.array_equal(self.image, np.rint(self.image)):
            image = np.rint(image)
        return np.where(change != 0, image, self.image)

    def responses(self, implants: Implants, difference: np.ndarray) -> np.ndarray:
        """Measure what is left of each implant, over what was planted, shape (n,).

        Parameters
        ----------
        implants
            What was planted.
        difference
            Frame denoised with it less the frame denoised without, shape (rows, columns).
        """
        found = values_at(self.atoms.matched(difference), implants.points)
        return found / implants.added

    @cached_property
    def _departures(self) -> tuple[np.ndarray, np.ndarray]:
        """Fit every site by least squares: height and place less the average, and their errors.

        Both of shape (3, n): height [intensity], rows and columns [pixels].
        """
        points, atoms = self.sites
        rest, widths = self.image - self.mean - self.lines, self.atoms.widths
        heights = self.atoms.motif.heights[atoms]
        power = self.noise.of_pixels(self.mean) * self.noise.under(widths)
        error = np.sqrt(values_at(gaussian_filter(power, widths), points) / self.atoms.energy)
        found, errors = [values_at(self.atoms.matched(rest), points)], [error]
        for axis, width in enumerate(widths):
            order = (int(axis == 0), int(axis == 1))
            slope = gaussian_filter(rest, widths, order=order, mode="mirror", truncate=5)
            # of a Gaussian that is moved a little
            found.append(4 * width**2 * values_at(slope, points) / heights)
            errors.append(np.sqrt(2) * width * error / np.abs(heights))
        return np.stack(found), np.stack(errors)

    @cached_property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """What is known of height and place at every site, less the average: mean and error.

        It takes the frame at the site, with the error that its noise makes, and how much all sites
        of that atom differ (empirical Bayes). Shape (3, n) each, see `_departures`.
        """
        found, errors = self._departures
        means, scatters = np.zeros_like(found), np.zeros_like(found)
        for atom in np.unique(self.sites[1]):
            own = self.sites[1] == atom
            for row in range(len(found)):
                means[row, own], scatters[row, own] = _posterior(found[row, own], errors[row, own])
        return means, scatters

    @cached_property
    def free(self) -> np.ndarray:
        """Numbers of the sites that show what the lattice has and are not too near the rim."""
        points, atoms = self.sites
        if not len(points):
            return np.empty(0, dtype=int)
        rim, last = APART * self.spacing, np.array(self.image.shape) - 1
        free = ((points >= rim) & (points <= last - rim)).all(axis=1) & (self.species[atoms] > 0)
        heights = np.abs(self.atoms.motif.heights[atoms])
        free &= np.abs(self.known[0][0]) < DEPARTS * heights
        # what is known takes all sites to scatter normally; defects do not
        found = np.abs(self._departures[0][0])
        for atom in np.unique(atoms):
            own = atoms == atom
            most = max(DEPARTS * heights[own][0], OUTLIER * 1.4826 * float(np.median(found[own])))
            free[own] &= found[own] < most
        return np.flatnonzero(free)

    def fitted(self, chosen: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw place and height of the atoms at sites from what is known of them.

        What is then taken out leaves the noise that an empty site has.

        Parameters
        ----------
        chosen
            Numbers of the sites, shape (n,).
        rng
            Of the random numbers.

        Returns
        -------
        points, heights
            Positions [pixels], shape (n, 2), and heights [intensity], shape (n,).
        """
        mean, error = (part[:, chosen] for part in self.known)
        drawn = mean + error * rng.standard_normal(mean.shape)
        farthest = FARTHEST * np.array(self.atoms.widths)
        points = self.sites[0][chosen] + np.clip(drawn[1:].T, -farthest, farthest)
        heights = self.atoms.motif.heights[self.sites[1][chosen]]
        return points, heights + np.clip(drawn[0], -UNLIKE * heights, UNLIKE * heights)

    def implants(self, planting: Planting) -> list[Implants]:
        """Choose sites at random, for each time that the frame is denoised.

        Parameters
        ----------
        planting
            What is planted.

        Raises
        ------
        DataError
            If there is room for fewer than `FEWEST` of a species and strength.
        """
        rng = generator(planting.seed, "implants", "sites")
        points, atoms = self.sites[0][self.free], self.sites[1][self.free]
        places, heights = self.fitted(self.free, rng)
        species = self.species
        left = {
            (int(number), strength): planting.count
            for number in np.unique(species[species > 0])
            for strength in planting.strengths
        }
        chosen: list[Implants] = []
        used = np.zeros(len(points), dtype=bool)
        while len(chosen) < planting.runs and any(left.values()):
            taken: list[int] = []
            given: list[float] = []
            near = np.zeros(len(points), dtype=bool)
            for site in rng.permutation(len(points)):
                if used[site] or near[site]:
                    continue
                wanted = {s: n for (k, s), n in left.items() if k == species[atoms[site]] and n}
                if not wanted:
                    continue
                most = max(wanted.values())
                strength = float(rng.choice([s for s, n in wanted.items() if n == most]))
                left[int(species[atoms[site]]), strength] -= 1
                taken.append(int(site))
                given.append(strength)
                away = np.linalg.norm(points - points[site], axis=1)
                near |= away < APART * self.spacing
            if not taken:
                break
            used[taken] = True
            chosen.append(
                Implants(
                    sites=points[taken],
                    points=places[taken],
                    atoms=atoms[taken],
                    heights=heights[taken],
                    strengths=np.array(given),
                )
            )
        if short := [key for key, rest in left.items() if planting.count - rest < FEWEST]:
            total = sum(len(one.points) for one in chosen)
            rows, columns = self.image.shape
            raise DataError(
                f"the frame is too small: {total} implants fit into {rows} x {columns} pixels, "
                f"{APART:g} distances of neighbours from each other and from the rim; expected "
                f"room for {FEWEST} of each of {len(left)} species and strengths ({len(short)} "
                "have fewer): take a larger frame, or fewer strengths"
            )
        return chosen


@dataclass(frozen=True)
class Run:
    """A frame denoised once with implants.

    Attributes
    ----------
    implants
        What was planted.
    image, result
        The frame with it, and what the denoiser makes of that, shape (rows, columns).
    responses
        Of each implant, shape (n,).
    planted
        The same of the frames themselves: 1, but for the noise that was drawn.
    """

    implants: Implants
    image: np.ndarray
    result: np.ndarray
    responses: np.ndarray
    planted: np.ndarray


@dataclass(frozen=True)
class Group:
    """Implants of one species and strength.

    Attributes
    ----------
    species
        From 1, the brightest atom's first.
    strength
        See `Planting`.
    number
        How many there are.
    response
        Their mean response, with its 95 % interval (bootstrap over sites).
    planted
        The mean response of the frames themselves: 1, but for the noise that was drawn.
    kept
        How many have a response above `KEPT`.
    kept_interval
        95 % interval of the fraction kept (Clopper and Pearson).
    """

    species: int
    strength: float
    number: int
    response: Interval
    planted: float
    kept: int
    kept_interval: tuple[float, float]

    @property
    def kind(self) -> str:
        """Name what it is."""
        return kind_of(self.strength)

    def numbers(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "kind": self.kind,
            "species": self.species,
            "strength": self.strength,
            "number": self.number,
            "response": self.response.value,
            "response_low": self.response.low,
            "response_high": self.response.high,
            "response_of_frame": self.planted,
            "kept": self.kept,
            "kept_fraction": self.kept / self.number,
            "kept_low": self.kept_interval[0],
            "kept_high": self.kept_interval[1],
        }


@dataclass(frozen=True)
class Comparison:
    """What a denoiser makes of implants.

    Attributes
    ----------
    ground
        The frame.
    result
        The frame denoised as it is, shape (rows, columns).
    runs
        With implants.
    groups
        Responses by species and strength, vacancies first.
    """

    ground: Ground
    result: np.ndarray
    runs: list[Run]
    groups: list[Group]

    def rows(self) -> list[dict[str, Any]]:
        """List every implant: its place [pixels], what it is, its response, and its run from 1."""
        species = self.ground.species
        return [
            {
                "row": round(float(row), 2),
                "column": round(float(column), 2),
                "species": int(species[atom]),
                "kind": kind_of(float(strength)),
                "strength": float(strength),
                "response": float(response),
                "run": number,
            }
            for number, run in enumerate(self.runs, start=1)
            for (row, column), atom, strength, response in zip(
                run.implants.points,
                run.implants.atoms,
                run.implants.strengths,
                run.responses,
                strict=True,
            )
        ]


def kind_of(strength: float) -> str:
    """Name what a strength makes of an atom."""
    return "vacancy" if strength == 0 else "foreign atom"


def measure_responses(ground: Ground, denoise: Denoise, planting: Planting) -> Comparison:
    """Denoise a frame with implants and without.

    Parameters
    ----------
    ground
        The frame.
    denoise
        From an image to a denoised one of the same shape (rows, columns) and intensity.
    planting
        What is planted.

    Raises
    ------
    DataError
        If the frame is too small, see `Ground.implants`; nothing is denoised then.
    """
    chosen = ground.implants(planting)
    total = len(chosen) + 1
    progress = planting.progress or (lambda *_: None)
    result = np.asarray(denoise(ground.image), dtype=np.float64)
    runs = []
    for number, implants in enumerate(chosen, start=1):
        progress(number, total)
        image = ground.planted(implants, generator(planting.seed, "implants", "noise", number))
        found = np.asarray(denoise(image), dtype=np.float64)
        runs.append(
            Run(
                implants,
                image=image,
                result=found,
                responses=ground.responses(implants, found - result),
                planted=ground.responses(implants, image - ground.image),
            )
        )
    progress(total, total)
    return Comparison(ground, result, runs, _groups(ground, runs, planting.seed))


def _groups(ground: Ground, runs: Sequence[Run], seed: int) -> list[Group]:
    species = np.concatenate([ground.species[run.implants.atoms] for run in runs])
    strengths = np.concatenate([run.implants.strengths for run in runs])
    responses = np.concatenate([run.responses for run in runs])
    planted = np.concatenate([run.planted for run in runs])
    groups = []
    for strength in np.unique(strengths):
        for number in np.unique(species):
            member = (species == number) & (strengths == strength)
            own = responses[member]
            kept = int(np.sum(own > KEPT))
            groups.append(
                Group(
                    species=int(number),
                    strength=float(strength),
                    number=len(own),
                    response=ratio_interval(own, np.ones(len(own)), seed=seed),
                    planted=float(planted[member].mean()),
                    kept=kept,
                    kept_interval=proportion(kept, len(own)),
                )
            )
    return groups


def _posterior(values: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate true values, which scatter normally, from measured ones: mean and error of each."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    true = max(spread**2 - float(np.median(errors**2)), 0.0)
    share = true / np.maximum(true + errors**2, 1e-300)
    return middle + share * (values - middle), np.sqrt(share) * errors


def _with_gain(noise: NoiseModel, rest: np.ndarray, cell: np.ndarray, atoms: Atoms) -> NoiseModel:
    """Measure how the variance follows the mean over the averaged cell, where both are known best.

    Of the noise the fast part is taken, in which atoms that depart from their sites leave little.

    Parameters
    ----------
    noise
        Model of the frame's noise.
    rest
        The frame less its local mean, shape (rows, columns).
    cell
        Its averaged cell.
    atoms
        Its lattice.
    """
    squares = (rest - gaussian_filter(rest, 1.0, mode="mirror")) ** 2
    pixels = noise.variance - sum(noise.lines)
    variance = atoms.cells.average(squares) * (pixels / max(float(squares.mean()), 1e-300))
    centred = cell - cell.mean()
    # a pixel is shared by four bins
    noisy = 4 / 9 * pixels * cell.size / max(int(atoms.cells.inside.sum()), 1)
    spread = float((centred**2).mean()) - noisy
    if spread <= noisy:
        return noise
    gain = float((variance * centred).mean()) / spread
    left = variance - variance.mean() - gain * centred
    error = 1.5 * float(np.sqrt((left**2).mean() / cell.size / spread))
    gain = gain if gain > SEEN * error else 0.0
    readout = pixels - gain * float(cell.mean())
    return replace(noise, gain=gain, gain_error=error, readout=readout)


def _refined(atoms: Atoms, cell: np.ndarray) -> Atoms:
    """Fit places, heights and width of the atoms to the averaged cell, between its bins."""
    motif, vectors = atoms.motif, atoms.cells.vectors * np.array(atoms.sampling)
    grid = np.stack(np.meshgrid(np.arange(BINS), np.arange(BINS), indexing="ij"), -1) / BINS
    number = len(motif.heights)
    scale = float(np.ptp(cell)) or 1.0

    def motif_of(values: np.ndarray) -> Motif:
        places, heights = values[: 2 * number].reshape(-1, 2), values[2 * number : 3 * number]
        return Motif(places, scale * heights, float(values[-2]), scale * float(values[-1]))

    def away(values: np.ndarray) -> np.ndarray:
        found = motif_of(values)
        steps = (grid[:, :, None, None] - found.places[:, None] + NEIGHBOURS) @ vectors
        bumps = np.exp(-(steps**2).sum(-1) / (2 * found.width**2)).sum(-1)
        return np.asarray(bumps @ found.heights + found.base - cell).ravel() / scale

    start = np.concatenate(
        [motif.places.ravel(), motif.heights / scale, [motif.width, motif.base / scale]]
    )
    reach = np.concatenate(
        [np.full(2 * number, 1.0 / BINS), np.full(number, np.inf), [0.2 * motif.width, np.inf]]
    )
    fit = least_squares(away, start, bounds=(start - reach, start + reach))
    return replace(atoms, motif=motif_of(fit.x))
