"""The verdict: a list of checks, each of which may find something for or against a result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from temdenoise.foundation.modes import ImageMode
from temdenoise.learning.description import ModelDescription
from temdenoise.measuring.lattice import PixelCheck
from temdenoise.micrographs.denoising import Fit
from temdenoise.micrographs.evidence import Invention, Residual, Score
from temdenoise.micrographs.frame import Frame
from temdenoise.micrographs.sites import SiteEvidence
from temdenoise.micrographs.weighing import Support

TITLES = {"good": "Can be trusted", "careful": "With care", "no": "Do not trust it"}
"""Levels of the verdict, the best first."""

LITTLE = 0.6
"""Fraction of the network's contrast that the data support, from which it is doubted."""

SEVERAL = 2
"""Contradicted sites from which they speak against a result, ..."""

CONTRADICTED = 0.002
"""... if they are more than this part of all."""

UNDECIDED = 0.5
"""Part of the sites that cannot be told, from which a result is doubted."""

LITTLE_DATA = 1e-3
"""Fraction of the frame without data from which it is said."""


class Weight(Enum):
    """What a finding weighs, the gravest first."""

    AGAINST = "against"
    DOUBT = "doubt"
    FOR = "for"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check
        Name of the check.
    weight
        Whether it speaks against the result, for it, or makes it doubtful.
    text
        In words.
    remedies
        What would help.
    """

    check: str
    weight: Weight
    text: str
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is looked at of any result, whatever made it.

    Attributes
    ----------
    frame
        The frame, with its noise and lattice.
    pixel_check
        What the lattice says about the pixel size.
    score
        On data held out; None if the image is too small.
    sites
        The evidence at each site; None without a lattice, or if the image is too small.
    residual
        Of what was taken away.
    invented
        Of lattices the input does not show.
    data
        What the data are called that judge the sites, in the plural.
    """

    frame: Frame
    pixel_check: PixelCheck
    score: Score | None
    sites: SiteEvidence | None
    residual: Residual
    invented: Invention
    data: str = "the data held out"


@dataclass(frozen=True, kw_only=True)
class Evidence(Observed):
    """All that the checks of a network's result look at.

    Attributes
    ----------
    trained
        What the model was trained on.
    fit
        How the frame was fitted to it.
    support
        How much of what the network shows the data support.
    mode
        Mode that the result looks like.
    """

    trained: ModelDescription
    fit: Fit
    support: Support
    mode: ImageMode


@dataclass(frozen=True)
class Verdict:
    """What to make of a denoised frame.

    Attributes
    ----------
    level
        A key of `TITLES`.
    headline
        One sentence.
    findings
        What speaks for or against it, the gravest first.
    remedies
        What would help.
    use_gaussian
        Whether a plain Gaussian is to be preferred.
    """

    level: str
    headline: str
    findings: tuple[Finding, ...]
    remedies: tuple[str, ...]
    use_gaussian: bool

    @property
    def reasons(self) -> list[str]:
        """The findings in words."""
        return [finding.text for finding in self.findings]

    @property
    def sentences(self) -> tuple[str, str, str]:
        """What was found, why, and what would help: a sentence each."""
        others = self.reasons[1:3]
        why = "; ".join(others) if others else "nothing else was found for or against it"
        remedies = "; ".join(self.remedies)
        what = f"what would help: {remedies}" if remedies else "there is nothing to mend"
        return self.headline, f"{_capital(why)}.", f"{_capital(what)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def invented_structure(seen: Observed) -> Finding | None:
    """Find a lattice in the result that the image does not show."""
    invented = seen.invented
    if not invented.suspected:
        return None
    return Finding(
        "invented_structure",
        Weight.AGAINST,
        f"the result shows a lattice of which {invented.shown - invented.seen} of "
        f"{invented.shown} frequencies are not in the image: invented structure",
        ("train on the right crystal (temdenoise new-project)",),
    )


def noise_inside(frame: Frame, fit: Fit, trained: ModelDescription) -> bool:
    """Tell whether the model knows as much noise as it is given (less is no harm)."""
    if not frame.level.contrast > 0:
        return True  # no lattice: nothing to compare it with
    ratio = frame.level.over_contrast
    averaged = frame.noise_model.left(frame.sampling.side / fit.sampling)
    return ratio * trained.clean_std * averaged <= 1.02 * trained.noise.high


def too_much_noise(seen: Evidence) -> Finding | None:
    """Find noise stronger than that of the training: a doubt where data held out speak for it."""
    if noise_inside(seen.frame, seen.fit, seen.trained):
        return None
    explained = seen.score is not None and seen.score.winner == "network"
    return Finding(
        "too_much_noise",
        Weight.DOUBT if explained else Weight.AGAINST,
        f"the noise is {seen.frame.level.over_contrast:.1f} times the lattice's contrast, more "
        f"than the model was trained on ({seen.trained.noise_over_contrast:.1f} times)",
        (
            "bin the image, or average several frames",
            "train with a wider range of noise (training.universal.c_noise)",
        ),
    )


def worse_than_gaussian(seen: Evidence) -> Finding | None:
    """Find that a Gaussian explains more of the data held out."""
    score = seen.score
    if score is None or score.winner != "gaussian":
        return None
    return Finding(
        "worse_than_gaussian",
        Weight.AGAINST,
        "a plain Gaussian explains more of the data held out than the network does: "
        f"{100 * score.gaussian:.1f} % of the variance, the network "
        f"{100 * score.network:.1f} %",
        ("use the Gaussian picture, or train on the right crystal",),
    )


def wrong_pixel_size(seen: Observed) -> Finding | None:
    """Find that the lattice of the crystal that was named contradicts the pixel size."""
    if seen.pixel_check.agrees is not False:
        return None
    remedies = ("give the right pixel size with --sampling",)
    return Finding("wrong_pixel_size", Weight.AGAINST, seen.pixel_check.text, remedies)


def untrained_pixel_size(seen: Evidence) -> Finding | None:
    """Find pixels outside the range of the training."""
    own, (low, high) = seen.frame.sampling.side, seen.trained.pixels
    if low * 0.99 <= own <= high * 1.01:
        return None
    return Finding(
        "untrained_pixel_size",
        Weight.DOUBT,
        f"the pixel size of {own:.3f} Å is outside what the model was trained on "
        f"({low:.3f} to {high:.3f} Å): resampled to {seen.fit.sampling:.3f} Å and back",
    )


def coloured_noise(seen: Observed) -> Finding | None:
    """Find noise that neighbouring pixels share."""
    noise = seen.frame.noise
    if noise.white:
        return None
    named = " and ".join(k for k in noise.kinds if k in ("correlated", "rows", "columns"))
    return Finding(
        "coloured_noise",
        Weight.DOUBT,
        f"the noise is not white ({named}): the models know white noise, and may take such "
        "noise for structure"
        + ("; what was held out cannot judge" if seen.score and not seen.score.valid else ""),
        ("record without the camera's or the scan's filter; take frames, no averages",),
    )


def little_support(seen: Evidence) -> Finding | None:
    """Find that the data support little of what the network showed."""
    if not seen.support.fraction < LITTLE:
        return None
    return Finding(
        "little_support",
        Weight.DOUBT,
        f"the data support {100 * seen.support.fraction:.0f} % of the contrast the network "
        "showed; the rest was taken away, but what is left may have wrong shapes",
        ("train on the right crystal (temdenoise new-project)",),
    )


def other_mode(seen: Evidence) -> Finding | None:
    """Find an image of another mode than the model's, where the contrast can tell."""
    own = seen.trained.mode
    if own.contrast is None or seen.mode.contrast == own.contrast:
        return None
    return Finding(
        "other_mode",
        Weight.DOUBT,
        f"the image looks like {seen.mode.title}, the model was trained on {own.title}",
        ("choose the model with --kind or --model",),
    )


def lattice_removed(seen: Observed) -> Finding | None:
    """Find that part of the lattice was taken away with the noise."""
    left = seen.residual.lattice_left
    if not left > 0.1:
        return None
    text = f"{100 * left:.0f} % of the lattice was taken away with the noise"
    return Finding("lattice_removed", Weight.DOUBT, text)


def saturated_pixels(seen: Observed) -> Finding | None:
    """Find saturated pixels."""
    if not seen.frame.saturated:
        return None
    text = f"{100 * seen.frame.saturated:.1f} % of the pixels are saturated"
    return Finding("saturated_pixels", Weight.DOUBT, text)


def areas_without_data(seen: Observed) -> Finding | None:
    """Find parts of the frame that hold no data."""
    if not seen.frame.no_data.fraction > LITTLE_DATA:
        return None
    rows, columns = (part.stop - part.start for part in seen.frame.window)
    text = f"{seen.frame.no_data.text}; they are as recorded in the result, without a sigma"
    if (rows, columns) != seen.frame.image.shape:
        text += f", and what is measured is measured on {rows} x {columns} pixels with data"
    return Finding("areas_without_data", Weight.DOUBT, text)


def outlier_pixels(seen: Observed) -> Finding | None:
    """Find many outlier pixels."""
    fraction = seen.frame.replaced / seen.frame.image.size
    if not fraction > 0.01:
        return None
    text = f"{100 * fraction:.1f} % of the pixels were outliers and were replaced"
    return Finding("outlier_pixels", Weight.DOUBT, text)


def no_lattice(seen: Observed) -> Finding | None:
    """Find that no lattice is seen."""
    if seen.frame.level.contrast > 0:
        return None
    text = "no lattice is seen in the image: what looks like one in the result is not"
    return Finding("no_lattice", Weight.DOUBT, text)


def contradicted_sites(seen: Observed) -> Finding | None:
    """Find atoms and empty sites that data the denoiser has not seen contradict."""
    if seen.sites is None or not (number := seen.sites.count("contradicted")):
        return None
    total = len(seen.sites.outcome)
    many = number >= SEVERAL and number > CONTRADICTED * total
    return Finding(
        "contradicted_sites",
        Weight.AGAINST if many else Weight.DOUBT,
        f"{seen.data} contradict what the result shows at {number} of {total} sites",
        ("look at these sites in the summary; average several frames to decide them",),
    )


def undecided_sites(seen: Observed) -> Finding | None:
    """Find that the data can tell little of single atoms."""
    if seen.sites is None:
        return None
    undecided, total = seen.sites.count("cannot be told"), len(seen.sites.outcome)
    if not undecided > UNDECIDED * total:
        return None
    return Finding(
        "undecided_sites",
        Weight.DOUBT,
        f"at {undecided} of {total} sites the data cannot tell whether an atom is there: the "
        "lattice may be right, single atoms and vacancies are not to be relied on",
        ("record more electrons, or average several frames",),
    )


def held_out_score(seen: Evidence) -> Finding | None:
    """Find what the data held out say, unless that is against the network."""
    score = seen.score
    if score is None:
        text = "the image is too small to be scored on data held out"
        return Finding("held_out_score", Weight.DOUBT, text)
    values = f"({100 * score.network:.1f} against {100 * score.gaussian:.1f} % of the variance)"
    if score.winner == "neither" and score.valid:
        text = f"the network explains no more of the data held out than a plain Gaussian {values}"
        return Finding("held_out_score", Weight.DOUBT, text)
    if score.winner == "network":
        text = f"it explains more of the data held out than the best Gaussian {values}"
        return Finding("held_out_score", Weight.FOR, text)
    return None


def supported_sites(seen: Observed) -> Finding | None:
    """Find that the data support what the result shows at the sites of the lattice."""
    if seen.sites is None or contradicted_sites(seen) or undecided_sites(seen):
        return None
    number, total = seen.sites.count("supported"), len(seen.sites.outcome)
    text = f"{seen.data} support what it shows at {number} of {total} sites"
    return Finding("supported_sites", Weight.FOR, text)


def right_pixel_size(seen: Observed) -> Finding | None:
    """Find that the lattice confirms the pixel size."""
    if not seen.pixel_check.agrees:
        return None
    return Finding("right_pixel_size", Weight.FOR, seen.pixel_check.text)


Check = Callable[[Evidence], Finding | None]

CHECKS: Sequence[Check] = (
    invented_structure,
    too_much_noise,
    worse_than_gaussian,
    contradicted_sites,
    wrong_pixel_size,
    untrained_pixel_size,
    coloured_noise,
    little_support,
    other_mode,
    lattice_removed,
    saturated_pixels,
    areas_without_data,
    outlier_pixels,
    no_lattice,
    undecided_sites,
    held_out_score,
    supported_sites,
    right_pixel_size,
)
"""All checks; within one weight, findings keep this order."""


def judge(seen: Evidence) -> Verdict:
    """Weigh what was measured on a frame.

    Parameters
    ----------
    seen
        What was measured.
    """
    found = [finding for check in CHECKS if (finding := check(seen)) is not None]
    return verdict_of(
        found, use_gaussian=seen.score is not None and seen.score.winner == "gaussian"
    )


def verdict_of(found: Sequence[Finding], *, use_gaussian: bool = False) -> Verdict:
    """Make a verdict of what the checks found.

    Parameters
    ----------
    found
        In the order of the checks.
    use_gaussian
        Whether a plain Gaussian is to be preferred.
    """
    by_weight = {weight: [f for f in found if f.weight is weight] for weight in Weight}
    ordered = [finding for findings in by_weight.values() for finding in findings]
    level = "good"
    if by_weight[Weight.DOUBT]:
        level = "careful"
    if by_weight[Weight.AGAINST]:
        level = "no"
    first = ordered[0].text if ordered else "nothing speaks against it"
    remedies = [remedy for finding in found for remedy in finding.remedies]
    return Verdict(
        level=level,
        headline=f"{TITLES[level]}: {first}.",
        findings=tuple(ordered),
        remedies=tuple(dict.fromkeys(remedies)) if level != "good" else (),
        use_gaussian=use_gaussian,
    )
