"""The verdict in words: what speaks for and against a denoised micrograph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from temdenoise.micrographs.calibration import Calibration
from temdenoise.micrographs.denoising import Prepared
from temdenoise.micrographs.fitting import Range
from temdenoise.micrographs.trust import Invention, Residual, Score

TITLES = {"good": "Can be trusted", "careful": "With care", "no": "Do not trust it"}
"""Levels of the verdict, the best first."""

LITTLE = 0.6
"""Share of the network's contrast that is borne out, from which it is doubted."""


@dataclass(frozen=True)
class Verdict:
    """What to make of a denoised frame.

    Attributes
    ----------
    level
        A key of `TITLES`.
    headline
        One sentence.
    reasons
        What speaks for or against it, the gravest first.
    remedies
        What would help.
    use_gaussian
        Whether a plain Gaussian is to be preferred.
    """

    level: str
    headline: str
    reasons: Sequence[str]
    remedies: Sequence[str]
    use_gaussian: bool


def noise_inside(prepared: Prepared, trained: Range) -> bool:
    """Whether the model knows as much noise as it is given (less is no harm)."""
    contrast, most = trained.contrast, trained.c_noise[1]
    fitted = prepared.fit
    if not np.isfinite(fitted.noise_over_contrast):
        return True  # no lattice: nothing to be over
    own = float(np.sqrt(np.prod(prepared.sampling)))
    averaged = min(1.0, own / fitted.sampling) if prepared.noise.white else 1.0
    return fitted.noise_over_contrast * contrast * averaged <= 1.02 * most


def judge(
    prepared: Prepared,
    trained: Range,
    calibration: Calibration,
    score: Score | None,
    residual: Residual,
    invented: Invention,
    *,
    kind: str,
    replaced_share: float,
) -> Verdict:
    """Weigh what was measured on a frame.

    Parameters
    ----------
    prepared
        The frame, with its noise and fit.
    trained
        What the model was trained on.
    calibration
        Of the pixel size.
    score
        On held-out quarters; None if the image is too small.
    residual
        Of what was taken away.
    invented
        Of lattices the input does not show.
    kind
        Kind of the image: ``adf`` or ``density`` by its contrast.
    replaced_share
        Share of pixels that were replaced.
    """
    grave, doubts, praise, remedies = [], [], [], []
    noise, fitted = prepared.noise, prepared.fit
    own = float(np.sqrt(np.prod(prepared.sampling)))

    if invented.suspected:
        grave.append(
            f"the result shows a lattice of which {invented.shown - invented.seen} of "
            f"{invented.shown} frequencies are not in the image: invented structure"
        )
        remedies.append("train on the right crystal (temdenoise new-project)")
    if not noise_inside(prepared, trained):
        grave.append(
            f"the noise is {fitted.noise_over_contrast:.1f} times the lattice's contrast, more "
            f"than the model was trained on ({trained.c_noise[1] / trained.contrast:.1f} times)"
        )
        remedies += [
            "bin the image, or average several frames",
            "train with a wider range of noise (training.universal.c_noise)",
        ]
    if score is not None and score.winner == "gaussian":
        grave.append(
            f"a plain Gaussian predicts pixels it has not seen better than the network does: "
            f"it explains {100 * score.gaussian:.1f} % of their variance, the network "
            f"{100 * score.network:.1f} %"
        )
        remedies.append("use the Gaussian picture, or train on the right crystal")
    if calibration.agrees is False:
        grave.append(calibration.text)
        remedies.append("give the right pixel size with --sampling")

    low, high = trained.sampling
    if not low * 0.99 <= own <= high * 1.01:
        doubts.append(
            f"the pixel size of {own:.3f} Å is outside what the model was trained on "
            f"({low:.3f} to {high:.3f} Å): resampled to {fitted.sampling:.3f} Å and back"
        )
    if not noise.white:
        named = " and ".join(k for k in noise.kinds if k in ("correlated", "rows", "columns"))
        doubts.append(
            f"the noise is not white ({named}): the models know white noise, and may take such "
            "noise for structure"
            + ("; the held-out score cannot tell" if "correlated" in noise.kinds else "")
        )
        remedies.append(
            "record without the camera's or the scan's filter; take frames, no averages"
        )
    if fitted.support.share < LITTLE:
        doubts.append(
            f"the image bears out {100 * fitted.support.share:.0f} % of the contrast the network "
            "showed; the rest was taken away, but what is left may have wrong shapes"
        )
        remedies.append("train on the right crystal (temdenoise new-project)")
    if kind != trained.kind:
        doubts.append(
            f"the image looks like {_KINDS[kind]}, the model was trained on {_KINDS[trained.kind]}"
        )
        remedies.append("choose the model with --kind or --model")
    if residual.lattice_left > 0.1:
        doubts.append(
            f"{100 * residual.lattice_left:.0f} % of the lattice was taken away with the noise"
        )
    if prepared.saturated:
        doubts.append(f"{100 * prepared.saturated:.1f} % of the pixels are saturated")
    if replaced_share > 0.01:
        doubts.append(f"{100 * replaced_share:.1f} % of the pixels were out of all proportion")
    if not np.isfinite(fitted.noise_over_contrast):
        doubts.append("no lattice is seen in the image: what looks like one in the result is not")
    if score is None:
        doubts.append("the image is too small to be scored on pixels held out")
    elif score.winner == "neither" and score.valid:
        doubts.append(
            f"the network predicts unseen pixels no better than a plain Gaussian "
            f"({100 * score.network:.1f} against {100 * score.gaussian:.1f} % of their variance)"
        )
    elif score.winner == "network":
        praise.append(
            f"it predicts pixels it has not seen better than the best Gaussian "
            f"({100 * score.network:.1f} against {100 * score.gaussian:.1f} % of their variance)"
        )
    if calibration.agrees:
        praise.append(calibration.text)

    level = "no" if grave else "careful" if doubts else "good"
    first = (grave or doubts or praise or ["nothing speaks against it"])[0]
    return Verdict(
        level=level,
        headline=f"{TITLES[level]}: {first}.",
        reasons=[*grave, *doubts, *praise],
        remedies=list(dict.fromkeys(remedies)) if level != "good" else [],
        use_gaussian=score is not None and score.winner == "gaussian",
    )


_KINDS = {
    "adf": "annular dark field (bright atoms)",
    "density": "a projected density (dark pores in a bright net)",
    "hrtem": "phase contrast (HRTEM)",
}


def kind_of(smooth: np.ndarray) -> str:
    """Judge the kind of an image by its contrast: bright atoms or dark pores.

    Bright atoms on dark ground have a distribution of brightness with a tail to the
    bright side, pores in a bright net one to the dark side.

    Parameters
    ----------
    smooth
        The image without noise and slow background, shape (rows, columns).
    """
    low, middle, high = np.quantile(smooth, [0.02, 0.5, 0.98])
    return "adf" if high - middle >= middle - low else "density"
