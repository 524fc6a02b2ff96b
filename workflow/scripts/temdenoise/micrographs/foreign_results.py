"""What another program made of a frame, looked at beside the frame's own data.

A result that was made of every pixel follows the noise of these pixels, so its own frame agrees
with it too well: the frame can contradict it, but never support it. Data that the program has not
seen can do both: one part of a frame that is split by its noise, the other part being what the
program was given, or another exposure of the same place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.modes import ImageMode
from temdenoise.foundation.quantities import PixelSize
from temdenoise.judging.programs import gain_of, keeps_intensities, matched
from temdenoise.measuring.background import background
from temdenoise.measuring.lattice import PixelCheck
from temdenoise.measuring.spectrum import RESOLVED, SMOOTH, Spectrum, spectrum
from temdenoise.micrographs.evidence import (
    Score,
    invention,
    residual_of,
    score_of,
)
from temdenoise.micrographs.fission import SMALLEST, Denoise, Split, smoothed, split_recorded
from temdenoise.micrographs.frame import Frame
from temdenoise.micrographs.sites import OUTCOMES, SiteEvidence, atoms_of, evidence_at_sites
from temdenoise.micrographs.verdict import Observed
from temdenoise.micrographs.weighing import PLAIN, Weighed

RELATED = 5.0
"""Correlation with the frame, over its standard error, from which a result is one of the frame."""

TURNED = 10.0
"""The same, from which it is one of the turned frame."""

FLAT = 0.03
"""Standard deviation of a result's structure over that of the noise, below which it is flat."""

FEWEST = 12
"""Frequencies in a band, at least."""

WINDOWED = 3.8
"""Neighbouring frequencies under a Hann window are alike: so many times fewer count."""

SIGNIFICANT = 5.0
"""Standard errors from which what was taken away is no chance."""

NOISIER = 1.5
"""Part of a result's power beyond the resolution over that of the frame, from which the two may
have been swapped."""

LITTLE = 0.5
"""Part of the lattice that is missing in a result, from which its sites are not looked at."""

FINEST = 20
"""Displacements are found to this fraction of a pixel."""

DISPLACED = 0.3
"""Displacement of a result from which it is said [pixels]."""


@dataclass(frozen=True)
class Held(Split):
    """Data with their own noise that judge a result: a whole frame, not a part of a split one.

    The standard error is that of the frame's noise. Of a result made of these very pixels the
    difference is smaller than that, as it follows the noise: what it is contradicted by is
    under-estimated, never over-estimated.
    """

    @property
    def held_variance(self) -> np.ndarray:
        """Variance of the pixels, lines left out, shape (rows, columns)."""
        return self.noise.of_pixels(self.mean)

    def errors(self, given: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
        """Estimate the squared error of a denoised image, see `fission.Split`."""
        variance = self.held_variance + sum(self.noise.lines)
        return np.asarray((given - self.held) ** 2 - variance)


@dataclass(frozen=True)
class Unseen:
    """Data that a program has not seen, and what it made of others.

    Attributes
    ----------
    data
        What they are called, in the plural.
    frame
        The frame that the lattice and its atoms are found in.
    parts
        What was given, and what judges.
    given
        What the program made of the given part, where the other part lies; shape of the parts.
    whole
        What it made of the frame, likewise; None if that is the same.
    corner
        Where the first pixel of the parts lies in the middle of the judged frame [pixels].
    certain
        Whether it is sure that both show the same place.
    """

    data: str
    frame: Frame
    parts: Split
    given: np.ndarray
    whole: np.ndarray | None = None
    corner: tuple[float, float] = (0.0, 0.0)
    certain: bool = True


@dataclass(frozen=True)
class Match:
    """How a result lies beside its frame.

    Attributes
    ----------
    gain, offset
        Its values times the gain, plus the offset, are the frame's intensities (least squares).
    kept
        Whether it has these intensities already, and is taken as it is.
    correlation
        Of its structure with the frame's.
    certainty
        That over its standard error.
    displaced
        How far its structure lies from the frame's, rows and columns [pixels]; 0 if that is
        within its error.
    """

    gain: float
    offset: float
    kept: bool
    correlation: float
    certainty: float
    displaced: tuple[float, float]


@dataclass(frozen=True)
class Band:
    """What became of one range of periods.

    Attributes
    ----------
    name
        What varies over these periods.
    longest, shortest
        Periods [Å].
    removed
        Power of the difference beyond that of the noise, over that of the frame beyond the noise:
        0 if only noise was taken away, 1 if all was; NaN if the frame has only noise there.
    excess
        Power of the difference beyond that of the noise, over its standard error.
    """

    name: str
    longest: float
    shortest: float
    removed: float
    excess: float


@dataclass(frozen=True, kw_only=True)
class ForeignEvidence(Observed):
    """All that the checks of another program's result look at.

    Attributes
    ----------
    match
        How the result lies beside its frame.
    bands
        What was taken away, by period.
    unseen
        Data that the program has not seen; None: the frame itself judges, and can only contradict.
    mode
        What the frame shows, if that was said.
    result
        The middle of the result in the frame's intensities, shape (rows, columns).
    spectra
        Of frame, result and difference.
    """

    match: Match
    bands: tuple[Band, ...]
    unseen: Unseen | None
    mode: ImageMode | None
    result: np.ndarray
    spectra: tuple[Spectrum, Spectrum, Spectrum]

    @property
    def alone(self) -> bool:
        """Whether the frame itself judges."""
        return self.unseen is None

    @property
    def related(self) -> bool:
        """Whether the result has anything of the frame in it."""
        return self.match.certainty > RELATED

    @property
    def rest_over_noise(self) -> float:
        """Standard deviation of the difference over that of the noise."""
        rest = self.frame.image[self.frame.centre] - self.result
        return float(rest.std() / max(np.sqrt(self.frame.noise_model.variance), 1e-300))


def gather(
    frame: Frame,
    result: np.ndarray,
    *,
    pixel_check: PixelCheck,
    mode: ImageMode | None = None,
    unseen: Callable[[np.ndarray, Match], Unseen | None] | None = None,
) -> ForeignEvidence:
    """Look at a result beside its frame.

    Parameters
    ----------
    frame
        The frame.
    result
        What a program made of it, shape (rows, columns), finite; any gain and offset.
    pixel_check
        What the lattice says about the pixel size.
    mode
        What the frame shows, if that was said.
    unseen
        Gives data that the program has not seen, for a result in the frame's intensities, and how
        it came to them; None: the frame itself judges.

    Raises
    ------
    DataError
        If the result is constant, lies turned beside the frame, or seems to be the noisy one.
    """
    image = frame.image.astype(np.float64)
    result = np.asarray(result, np.float64)
    if result.min() == result.max():
        raise DataError(
            f"the result is constant, {result.min():g} everywhere: nothing of the frame is left, "
            "and there is nothing to judge; look at what the program wrote, and in which type"
        )
    match, fitted = _matched(frame, image, result)
    taken = result if match.kept else fitted
    if match.certainty <= RELATED:  # no gain fits: it is shown as varied as the frame
        taken = image.mean() + (result - result.mean()) * (image.std() / result.std())
    centre = frame.centre
    structure = taken if match.kept else result
    slow = background(structure, frame.sampling)
    flat = FLAT * frame.level.sigma if match.kept else 0.0
    invented = invention(frame, _weighed(structure, slow, flat))
    residual, of_rest = residual_of(frame, _weighed(taken, slow, flat))
    held = unseen(taken, match) if unseen is not None else None
    score: Score | None = None
    sites: SiteEvidence | None = None
    if held is not None and min(held.given.shape) >= SMALLEST:
        known = held.parts.noise.known
        whole = held.given if held.whole is None else held.whole
        score = score_of(held.parts, held.given, whole, valid=known)
    # of a result with little of the lattice in it nothing can be said atom by atom
    if match.certainty > RELATED and not residual.lattice_left > LITTLE:
        sites = _sites(frame, fitted[centre], held)
    return ForeignEvidence(
        frame=frame,
        pixel_check=pixel_check,
        score=score,
        sites=sites,
        residual=residual,
        invented=invented,
        data="the frame's own data" if held is None else held.data,
        match=match,
        bands=_bands(frame, of_rest),
        unseen=held,
        mode=mode,
        result=taken[centre].astype(np.float32),
        spectra=(frame.spectrum, spectrum(taken[frame.window], frame.sampling), of_rest),
    )


def on_split(frame: Frame, denoise: Denoise, whole: np.ndarray, match: Match) -> Unseen | None:
    """Run a program on one part of a frame that is split by its noise; the other part judges.

    Parameters
    ----------
    frame
        The frame.
    denoise
        The program. If it does not keep intensities, gain and offset of what it makes of a part are
        fitted to the other part, which favours it a little.
    whole
        What it makes of the frame, in the frame's intensities; shape (rows, columns).
    match
        Whether it keeps intensities.

    Returns
    -------
    Unseen or None
        None if the frame is too small to be split.
    """
    parts = split_recorded(frame.image[frame.centre], frame.noise_model)
    if parts is None:
        return None
    given = np.asarray(denoise(parts.given), np.float64)
    if not match.kept:
        given = matched(given, parts.held)
    return Unseen("the data held out", frame, parts, given, whole[frame.centre])


def _weighed(result: np.ndarray, slow: np.ndarray, sigma: float) -> Weighed:
    return Weighed(result, np.full(result.shape, sigma, np.float32), slow, PLAIN)


def _matched(frame: Frame, image: np.ndarray, result: np.ndarray) -> tuple[Match, np.ndarray]:
    """Bring a result to the frame's intensities; refuse what is no result of this frame."""
    gain = gain_of(result, image)
    centre = frame.centre
    ours = _structure(image[centre], frame.sampling)
    theirs = _structure(result[centre], frame.sampling)
    correlation = _correlation(ours, theirs)
    certainty = correlation * np.sqrt(ours.size)
    _require_upright(ours, theirs, certainty)
    _require_denoised(frame, result)
    match = Match(
        gain=gain,
        offset=float(image.mean()) - gain * float(result.mean()),
        kept=keeps_intensities(result, image),
        correlation=correlation,
        certainty=float(certainty),
        displaced=_displacement(frame, ours, theirs) if certainty > RELATED else (0.0, 0.0),
    )
    return match, matched(result, image)


def _structure(image: np.ndarray, sampling: PixelSize) -> np.ndarray:
    rest = image - background(image, sampling)
    return rest - rest.mean()


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    power = float((one**2).sum()) * float((other**2).sum())
    return float((one * other).sum()) / np.sqrt(power) if power > 0 else 0.0


TURNS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned by 90° to the left": lambda image: np.rot90(image, -1),
    "turned by 180°": lambda image: np.rot90(image, 2),
    "turned by 90° to the right": lambda image: np.rot90(image, 1),
    "upside down (its rows in the opposite order)": np.flipud,
    "mirrored (its columns in the opposite order)": np.fliplr,
    "transposed (rows and columns exchanged)": np.transpose,
    "transposed and turned by 180°": lambda image: np.rot90(image.T, 2),
}
"""How a result may lie beside its frame, and what puts it right."""


def _require_upright(ours: np.ndarray, theirs: np.ndarray, certainty: float) -> None:
    for words, turn in TURNS.items():
        turned = turn(theirs)
        if turned.shape != ours.shape:
            continue
        if _correlation(ours, turned) * np.sqrt(ours.size) > max(TURNED, 3 * abs(certainty)):
            raise DataError(
                f"the result is {words}: put it as the frame lies, and judge it again (look at "
                "which order of the axes the program writes)"
            )


def _require_denoised(frame: Frame, result: np.ndarray) -> None:
    """Refuse a result with more noise than its frame: the two may have been swapped."""
    found = spectrum(result[frame.window], frame.sampling)
    ratios = []
    for one in (frame.spectrum, found):
        fast = one.frequency > min(1 / RESOLVED, 0.8 * one.nyquist)
        ratios.append(float(one.power[fast].sum() / max(one.power.sum(), 1e-300)))
    if ratios[1] > 0.2 and ratios[1] > NOISIER * ratios[0]:
        raise DataError(
            f"the result has more noise than the frame: beyond the resolution of the microscope "
            f"lie {100 * ratios[1]:.0f} % of its variance, and {100 * ratios[0]:.0f} % of the "
            "frame's; name the frame first, and the result second"
        )


def _displacement(frame: Frame, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """How far a result's structure is displaced [pixels], with its error from four quarters."""
    widths = [0.5 / step for step in frame.sampling]
    soft = gaussian_filter(ours, widths)
    spacing = frame.ring.spacing if frame.ring else 4.0
    reach = [max(1, int(0.4 * spacing / step)) for step in frame.sampling]
    half = [n // 2 for n in ours.shape]
    found = np.array(
        [
            nearest_maximum(soft[part], theirs[part], reach)
            for part in (
                (rows, columns)
                for rows in (slice(half[0]), slice(half[0], None))
                for columns in (slice(half[1]), slice(half[1], None))
            )
        ]
    )
    displaced, error = found.mean(axis=0), found.std(axis=0, ddof=1) / 2
    far = np.hypot(*displaced)
    if far < DISPLACED or far < 4 * np.hypot(*error):
        return 0.0, 0.0
    return float(displaced[0]), float(displaced[1])


def nearest_maximum(ours: np.ndarray, theirs: np.ndarray, reach: Sequence[int]) -> list[float]:
    """Find how far an image lies from another, along rows and columns [pixels].

    Parameters
    ----------
    ours, theirs
        Of one shape.
    reach
        How far it may lie, at most [pixels].
    """
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in ours.shape))
    transforms = [fft.fft2(image * window) for image in (ours, theirs)]
    product = transforms[0].conj() * transforms[1]
    near = np.roll(fft.ifft2(product).real, reach, axis=(0, 1))
    near = near[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
    top = np.array(np.unravel_index(near.argmax(), near.shape)) - reach
    # between pixels by the sum of waves itself
    steps = np.arange(-FINEST, FINEST + 1) / FINEST
    waves = [
        np.exp(2j * np.pi * np.outer(place + steps, fft.fftfreq(n)))
        for place, n in zip(top, ours.shape, strict=True)
    ]
    fine = (waves[0] @ product @ waves[1].T).real
    row, column = np.unravel_index(fine.argmax(), fine.shape)
    return [float(top[0] + steps[row]), float(top[1] + steps[column])]


def _sites(frame: Frame, fitted: np.ndarray, held: Unseen | None) -> SiteEvidence | None:
    """Weigh the evidence at each site, positions in the middle of the frame."""
    recorded = frame.image[frame.centre].astype(np.float64)
    own = Held(recorded, recorded, frame.noise_model, smoothed(recorded), None, recorded)
    judge = held or Unseen("", frame, own, fitted)
    parts, given = judge.parts, judge.given
    if min(given.shape) < SMALLEST:
        return None
    lattice = judge.frame
    atoms = atoms_of(parts.recorded, lattice.peaks, lattice.sampling, noise=lattice.level.sigma)
    if atoms is None:
        return None
    found = evidence_at_sites(parts, given, atoms, whole=judge.whole)
    if held is None or not parts.noise.known:
        # it has seen these data, or the noise that they share is not known
        outcome, contradicted = found.outcome, OUTCOMES.index("contradicted")
        unknown = OUTCOMES.index("cannot be told")
        outcome = np.where(outcome == contradicted, contradicted, unknown)
        nothing = np.full(len(outcome), np.nan)
        found = replace(found, outcome=outcome, p_support=nothing)
    return replace(found, positions=found.positions + np.array(judge.corner))


def _bands(frame: Frame, of_rest: Spectrum) -> tuple[Band, ...]:
    """Compare the difference with the noise: slow, coarser than the lattice, and the rest."""
    first = frame.ring.spacing if frame.ring else 4.0
    limits = {
        "slow contrast": (float("inf"), SMOOTH),
        "contrast coarser than the lattice": (SMOOTH, 1.25 * first),
        "lattice and finer contrast": (1.25 * first, RESOLVED),
    }
    noise = frame.noise_model
    rows, columns = of_rest.vectors
    expected = noise.power(rows[:, None] * frame.sampling.rows, columns * frame.sampling.columns)
    # under the window the mean leaks into the places beside it
    usable = (np.abs(rows)[:, None] > 1.5 * (rows[1] - rows[0])) | (
        np.abs(columns) > 1.5 * (columns[1] - columns[0])
    )
    for axis, variance in enumerate(noise.lines):
        if variance > 0:  # rows of unequal brightness stand where columns have the frequency 0
            vector = of_rest.vectors[1 - axis]
            usable &= np.expand_dims(np.abs(vector) > 2.5 * (vector[1] - vector[0]), axis)
    found = []
    for name, (longest, shortest) in limits.items():
        place = usable & (of_rest.frequency >= 1 / longest) & (of_rest.frequency < 1 / shortest)
        if (number := int(place.sum())) < FEWEST:
            continue
        level = float(expected[place].mean())
        # a frequency and its opposite are the same
        error = level * np.hypot(
            np.sqrt(2 * WINDOWED / number), noise.variance_error / noise.variance
        )
        beyond = float(of_rest.power[place].mean()) - level
        structure = float(frame.spectrum.power[place].mean()) - level
        seen = structure > SIGNIFICANT * error
        found.append(
            Band(
                name=name,
                longest=longest,
                shortest=shortest,
                removed=beyond / structure if seen else float("nan"),
                excess=float(beyond / max(error, 1e-300)),
            )
        )
    return tuple(found)
