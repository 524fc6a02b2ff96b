"""The verdict on another program's result: checks of its own, and those of our own results."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from temdenoise.measuring.lattice import first_ring
from temdenoise.measuring.spectrum import lattice_peaks
from temdenoise.micrographs import verdict
from temdenoise.micrographs.evidence import Score
from temdenoise.micrographs.foreign_results import Band, ForeignEvidence
from temdenoise.micrographs.frame import contrast_of
from temdenoise.micrographs.sites import KINDS, OUTCOMES
from temdenoise.micrographs.stack import plain
from temdenoise.micrographs.verdict import Finding, Verdict, Weight, verdict_of

REMOVED = 0.25
"""Part of the frame's structure in a range of periods that is found in the difference, from which
it is said."""

LOST = 0.25
"""Part of the lattice that was taken away with the noise, from which it speaks against a result."""

EXCESS = 5.0
"""That over its standard error, at least."""

LEFT = 0.7
"""Standard deviation of the difference over that of the noise, below which noise is left."""

BEYOND = 1.1
"""The same, above which more than noise was taken away, or something put in."""

ALIKE = 0.02
"""Part of what a Gaussian explains, by which a program may explain less than it."""

HALF = 0.5
"""Part of what a Gaussian explains, below which that speaks against a program."""

UNSEEN = "give the program a part of the data and judge it by the rest: --command, or by another "
UNSEEN += "exposure: --other"
AVERAGE = "average several frames, so that the data can decide"


@dataclass(frozen=True)
class Opinion:
    """What to make of another program's result.

    Attributes
    ----------
    seen
        What was looked at.
    verdict
        What follows.
    """

    seen: ForeignEvidence
    verdict: Verdict

    @property
    def sentences(self) -> tuple[str, str, str]:
        """What was found, why, and what would help: one sentence each."""
        found = self.verdict.findings
        why = _why(self.seen, found[0].check if found else "")
        remedies = self.verdict.remedies
        remedy = remedies[0] if remedies else AVERAGE
        good = self.verdict.level == "good"
        return (
            self.verdict.headline,
            why,
            "Nothing more is needed." if good else f"What would help: {remedy}.",
        )

    def numbers(self) -> dict[str, Any]:
        """Return what was measured as plain values; rows and columns count from 0 in the frame."""
        seen = self.seen
        frame, unseen, sites, score = seen.frame, seen.unseen, seen.sites, seen.score
        start = [part.start for part in frame.centre]
        found = {
            "kind": seen.mode and seen.mode.name,
            "sampling_angstrom": list(frame.sampling),
            "looked_at": [[part.start, part.stop] for part in frame.centre],
            "judged_by": seen.data,
            "match": asdict(seen.match),
            "noise": asdict(frame.noise) | {"known": frame.noise_model.known},
            "ring": asdict(frame.ring) if frame.ring else None,
            "calibration": asdict(seen.pixel_check),
            "residual": asdict(seen.residual) | {"over_noise": seen.rest_over_noise},
            "bands": [asdict(band) for band in seen.bands],
            "invention": asdict(seen.invented) | {"suspected": seen.invented.suspected},
            "score": score and asdict(score) | {"ratio": score.ratio, "winner": score.winner},
            "sites": sites and sites.numbers(start),
            "same_place_certain": None if unseen is None else unseen.certain,
            "verdict": {
                "level": self.verdict.level,
                "headline": self.verdict.headline,
                "sentences": list(self.sentences),
                "findings": [
                    {"check": f.check, "weight": f.weight.value, "text": f.text}
                    for f in self.verdict.findings
                ],
                "remedies": list(self.verdict.remedies),
            },
        }
        numbers: dict[str, Any] = plain(found)
        return numbers


def opinion(seen: ForeignEvidence) -> Opinion:
    """Judge what was looked at.

    Parameters
    ----------
    seen
        See `foreign_results.gather`.
    """
    found = [finding for check in CHECKS if (finding := check(seen)) is not None]
    against = [finding.check for finding in found if finding.weight is not Weight.FOR]
    if against == ["left_open"]:
        text = "nothing in the frame contradicts it; it was made of all of the frame's data, so "
        text += "they cannot support it either"
        found = [replace(f, text=text) if f.check == "left_open" else f for f in found]
    return Opinion(seen, verdict_of(found))


def inverted(seen: ForeignEvidence) -> Finding | None:
    """Find that bright is dark in the result."""
    if not seen.match.certainty < -5:
        return None
    return Finding(
        "inverted",
        Weight.AGAINST,
        "the contrast of the result is inverted: what is bright in the frame is dark in it",
        ("turn its contrast round, and judge it again",),
    )


def unrelated(seen: ForeignEvidence) -> Finding | None:
    """Find that a result has nothing of the frame in it."""
    if seen.related or inverted(seen):
        return None
    return Finding(
        "unrelated",
        Weight.AGAINST,
        "the structure of the result has nothing to do with that of the frame (correlation "
        f"{seen.match.correlation:.3f}, {seen.match.certainty:.1f} times its standard error)",
        ("make sure that the result was made of this very frame, and not cut or moved",),
    )


def invented_structure(seen: ForeignEvidence) -> Finding | None:
    """Find a lattice in the result that the frame does not show."""
    found = verdict.invented_structure(seen)
    if found is None:
        return None
    ours, theirs = seen.frame.ring, first_ring(lattice_peaks(seen.spectra[1]))
    ratio = theirs.spacing / ours.spacing if ours and theirs else 1.0
    remedy = "do not use it for this frame: what it shows is not in the data"
    if ours and theirs and abs(ratio - 1) > 0.02:
        remedy = (
            f"see whether it was magnified: its lattice has a spacing of {theirs.spacing:.3f} Å by "
            f"the frame's pixel size, the frame's {ours.spacing:.3f} Å ({ratio:.3g} times)"
        )
    return replace(found, remedies=(remedy,))


def worse_than_gaussian(seen: ForeignEvidence) -> Finding | None:
    """Find that a Gaussian explains more of the data held out."""
    score = seen.score
    if score is None or not _worse(score):
        return None
    return Finding(
        "worse_than_gaussian",
        Weight.AGAINST if score.network < HALF * score.gaussian else Weight.DOUBT,
        f"the best Gaussian explains more of {seen.data} than the program does: "
        f"{100 * score.gaussian:.1f} % of the variance, the program {100 * score.network:.1f} %",
        (f"smooth the frame by a Gaussian of {score.sigma:.1f} pixels, or try other settings",),
    )


def contradicted_sites(seen: ForeignEvidence) -> Finding | None:
    """Find atoms and empty sites that the data contradict."""
    found = verdict.contradicted_sites(seen)
    if found is None:
        return None
    found = replace(found, remedies=("look at these sites in the picture", AVERAGE))
    if found.weight is not Weight.AGAINST:
        return found
    if seen.unseen is not None and not seen.unseen.certain:
        text = f"{found.text}, if both exposures show the same place, which is not certain"
        return replace(found, weight=Weight.DOUBT, text=text)
    if not _known(seen):
        text = f"{found.text}, as far as noise that was filtered can tell"
        return replace(found, weight=Weight.DOUBT, text=text)
    return found


def filtered_frame(seen: ForeignEvidence) -> Finding | None:
    """Find that the frame itself was filtered, interpolated or denoised before."""
    if _known(seen):
        return None
    return Finding(
        "filtered_frame",
        Weight.DOUBT,
        "the frame itself was filtered, interpolated or denoised before: its noise is gone at the "
        "highest frequencies and cannot be told at the others, so nothing can support a result",
        ("judge by the frame as recorded, before any filter, scaling or average",),
    )


def coloured_noise(seen: ForeignEvidence) -> Finding | None:
    """Find noise that neighbouring pixels share."""
    found = verdict.coloured_noise(seen)
    if found is None or not _known(seen):
        return None
    named = " and ".join(
        k for k in seen.frame.noise.kinds if k in ("correlated", "rows", "columns")
    )
    text = f"the noise of the frame is not white ({named}): many programs take it for structure"
    return replace(found, text=text)


def nothing_denoised(seen: ForeignEvidence) -> Finding | None:
    """Find that most of the noise is still there."""
    left = seen.rest_over_noise
    if not _known(seen) or not left < LEFT:
        return None
    if left < 1e-3:
        text = "the result is the frame itself: nothing was denoised, so nothing can be judged"
        return Finding("nothing_denoised", Weight.DOUBT, text, ("give the denoised image",))
    return Finding(
        "nothing_denoised",
        Weight.DOUBT,
        f"much noise is left in the result: what was taken away varies {left:.2f} times as much as "
        "the noise does, so that speckles of the result are no structure",
        ("let the program take away more",),
    )


def lattice_removed(seen: ForeignEvidence) -> Finding | None:
    """Find that part of the lattice was taken away with the noise."""
    found = verdict.lattice_removed(seen) if seen.related else None
    if found is not None and seen.residual.lattice_left > LOST:
        return replace(found, weight=Weight.AGAINST)
    return found


def removed_contrast(seen: ForeignEvidence) -> Finding | None:
    """Find slow or amorphous contrast that was taken away with the noise."""
    taken = [band for band in seen.bands if _removed(band)]
    if seen.residual.lattice_left > 0.1:  # said by another check
        taken = [band for band in taken if not band.name.startswith("lattice")]
    if not (_known(seen) and seen.related and taken):
        return None
    named = " and ".join(
        f"{min(100 * band.removed, 100):.0f} % of the {band.name}" for band in taken
    )
    return Finding(
        "removed_contrast",
        Weight.DOUBT,
        f"{named} was taken away or changed: the difference holds it beside the noise",
        ("look at the difference: what it shows is missing in the result",),
    )


def no_noise(seen: ForeignEvidence) -> Finding | None:
    """Find that more than noise was taken away, or something put in."""
    if not (_known(seen) and seen.related and seen.rest_over_noise > BEYOND):
        return None
    return Finding(
        "no_noise",
        Weight.DOUBT,
        "the difference of frame and result is no noise: it varies "
        f"{seen.rest_over_noise:.2f} times as much",
        ("look at the difference: it should show nothing but noise",),
    )


def displaced(seen: ForeignEvidence) -> Finding | None:
    """Find that the structure of the result lies beside that of the frame."""
    rows, columns = seen.match.displaced
    if not (rows or columns):
        return None
    return Finding(
        "displaced",
        Weight.DOUBT,
        f"the result is displaced by {rows:+.1f} rows and {columns:+.1f} columns: what is said of "
        "single atoms suffers from it",
        ("move it back (half a pixel often comes from scaling), and judge it again",),
    )


def other_contrast(seen: ForeignEvidence) -> Finding | None:
    """Find a result whose contrast is not that of the kind that was named."""
    if seen.mode is None or seen.mode.contrast is None or not seen.related:
        return None
    if contrast_of(seen.result) == seen.mode.contrast:
        return None
    text = f"the result does not look like {seen.mode.title}, with {seen.mode.looks}"
    return Finding("other_contrast", Weight.DOUBT, text, ("see whether --kind is right",))


def wrong_pixel_size(seen: ForeignEvidence) -> Finding | None:
    """Find that the lattice contradicts the pixel size, which is no fault of the result."""
    found = verdict.wrong_pixel_size(seen)
    return found and replace(found, weight=Weight.DOUBT)


def undecided_sites(seen: ForeignEvidence) -> Finding | None:
    """Find that the data, if they could tell, tell little of single atoms."""
    return None if seen.alone or not _known(seen) else verdict.undecided_sites(seen)


def uncertain_place(seen: ForeignEvidence) -> Finding | None:
    """Find that the other exposure may show another place of the crystal."""
    if seen.unseen is None or seen.unseen.certain:
        return None
    return Finding(
        "uncertain_place",
        Weight.DOUBT,
        "nothing but the lattice says how the other exposure lies beside the frame: it may be "
        "another place of the crystal",
        ("take an exposure with a defect or an edge that both show",),
    )


def too_small(seen: ForeignEvidence) -> Finding | None:
    """Find that there is too little to judge with."""
    if seen.alone or seen.score is not None:
        return None
    text = "the image is too small to be judged by data held out"
    return Finding("too_small", Weight.DOUBT, text)


def left_open(seen: ForeignEvidence) -> Finding | None:
    """Find that a result that saw all of the frame cannot be supported by it."""
    if not seen.alone:
        return None
    return Finding(
        "left_open",
        Weight.DOUBT,
        "it was made of all of the frame's data, which can contradict it but not support it",
        (UNSEEN,),
    )


def held_out_score(seen: ForeignEvidence) -> Finding | None:
    """Find what the data held out say, unless that is against the program."""
    score = seen.score
    if score is None or not score.valid or _worse(score):
        return None
    values = f"({100 * score.network:.1f} against {100 * score.gaussian:.1f} % of the variance)"
    if score.winner != "network":
        text = f"the program explains no more of {seen.data} than the best Gaussian {values}"
        return Finding("held_out_score", Weight.DOUBT, text, ("try other settings",))
    text = f"it explains more of {seen.data} than the best Gaussian {values}"
    return Finding("held_out_score", Weight.FOR, text)


def supported_sites(seen: ForeignEvidence) -> Finding | None:
    """Find that data that it has not seen support what the result shows."""
    return None if seen.alone or not _known(seen) else verdict.supported_sites(seen)


Check = Callable[[ForeignEvidence], Finding | None]

CHECKS: Sequence[Check] = (
    inverted,
    unrelated,
    invented_structure,
    worse_than_gaussian,
    contradicted_sites,
    lattice_removed,
    removed_contrast,
    no_noise,
    nothing_denoised,
    filtered_frame,
    coloured_noise,
    displaced,
    uncertain_place,
    wrong_pixel_size,
    other_contrast,
    verdict.saturated_pixels,
    verdict.areas_without_data,
    verdict.outlier_pixels,
    verdict.no_lattice,
    undecided_sites,
    too_small,
    left_open,
    held_out_score,
    supported_sites,
    verdict.right_pixel_size,
)
"""All checks; within one weight, findings keep this order."""


def _known(seen: ForeignEvidence) -> bool:
    """Whether the noise is known of the data that judge."""
    noise = seen.frame.noise_model if seen.unseen is None else seen.unseen.parts.noise
    return noise.known and seen.frame.noise_model.known


def _worse(score: Score) -> bool:
    """Whether a Gaussian is better by more than what is no matter, for one that is much alike."""
    return score.winner == "gaussian" and -score.difference > ALIKE * score.gaussian


def _removed(band: Band) -> bool:
    return band.removed > REMOVED and band.excess > EXCESS


def _why(seen: ForeignEvidence, check: str) -> str:
    """Say in one sentence what the first finding is founded on."""
    sites = seen.sites
    if check == "contradicted_sites" and sites is not None:
        worst = int(
            np.argmin(
                np.where(sites.outcome == OUTCOMES.index("contradicted"), sites.p_contradict, 2)
            )
        )
        row, column = sites.positions[worst] + [part.start for part in seen.frame.centre]
        return (
            f"Why: at row {row:.0f} and column {column:.0f}, for example, it shows "
            f"{_SHOWN[KINDS[sites.shown[worst]]]} of strength {max(sites.strength[worst], 0):.2f} "
            f"(an atom of the lattice has 1), and {seen.data} have "
            f"{round(sites.measured[worst], 2) + 0:.2f} ± {sites.error[worst]:.2f} there."
        )
    if check == "invented_structure":
        return (
            f"Why: of the {seen.invented.shown} strongest frequencies of its lattice the frame's "
            f"Fourier transform shows {seen.invented.seen}."
        )
    parts = [
        f"the difference of frame and result varies {seen.rest_over_noise:.2f} times as much as "
        "the noise"
    ]
    if seen.residual.lattice_left == seen.residual.lattice_left:
        parts.append(f"holds {100 * max(seen.residual.lattice_left, 0):.1f} % of the lattice")
    if sites is not None:
        number, total = sites.count("contradicted"), len(sites.outcome)
        text = f"{seen.data} contradict it at {number} of {total} sites"
        if not seen.alone:
            text += f" and support it at {sites.count('supported')}"
        parts.append(text)
    *first, last = parts
    return f"Why: {', '.join(first)}{', and ' if first else ''}{last}."


_SHOWN = {"atom": "an atom", "empty": "an empty site", "other": "an atom"}
