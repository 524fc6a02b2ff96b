"""Everything for one micrograph: every frame denoised, measured and judged."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from temdenoise.errors import DataError
from temdenoise.judging.detector import calibrate
from temdenoise.learning.inference import Denoiser
from temdenoise.micrographs.calibration import Calibration, Ring, check, first_ring
from temdenoise.micrographs.denoising import Prepared, apply, borne_out, prepare
from temdenoise.micrographs.fitting import Fit, Range, background, fit, trained_range
from temdenoise.micrographs.marks import SPACING, WIDTH, Marks, mark
from temdenoise.micrographs.noise_estimate import without_impulses
from temdenoise.micrographs.spectrum import lattice_peaks, middle, spectrum
from temdenoise.micrographs.trust import (
    Invention,
    Residual,
    Score,
    invention,
    quarter_score,
    residual_of,
)
from temdenoise.micrographs.verdict import TITLES, Verdict, judge, kind_of

GAINS = (0.5, 0.71, 1.0, 1.41)
"""Intensity scales tried on the held-out quarters, relative to that of the lattice's contrast."""

CHOICE = 384
"""Side of the part of the image on which the intensity scale is chosen [pixels]."""

CERTAIN = 0.95
"""Confidence from which a feature counts as certain."""


@dataclass(frozen=True)
class Frame:
    """All that was found out about one frame.

    Attributes
    ----------
    number
        Of the frame, from 1.
    kind
        ``adf`` or ``density``, by its contrast.
    prepared, ring, calibration, score, residual, invented, verdict
        See there.
    seam
        Largest difference at the corner of tiles over the noise; NaN for one tile.
    features
        ``feature`` (atoms or pores), ``centres`` (n, 2) [pixels of the part shown],
        ``confidence`` and ``evidence`` (n,); empty where the result is flat.
    shown
        Pictures of the middle of the frame, and spectra, for the summary page.
    """

    number: int
    kind: str
    prepared: Prepared
    ring: Ring | None
    calibration: Calibration
    score: Score | None
    residual: Residual
    invented: Invention
    verdict: Verdict
    seam: float
    features: Mapping[str, Any]
    shown: Mapping[str, Any]

    def marks(self) -> Marks:
        """Mark the part shown by its predicted error."""
        width = WIDTH * (self.ring.spacing if self.ring else SPACING)
        return mark(
            *(self.shown[key] for key in ("after", "sigma", "slow")),
            self.features,
            width=tuple(width / step for step in self.prepared.sampling),
            certain=CERTAIN,
            invented=self.invented.suspected,
        )

    def numbers(self) -> dict[str, Any]:
        """Give what was measured as plain values, NaN as None."""
        prepared = self.prepared
        found = {
            "frame": self.number,
            "kind": self.kind,
            "sampling_angstrom": list(prepared.sampling),
            "noise": asdict(prepared.noise),
            "fit": asdict(prepared.fit),
            "replaced_pixels": prepared.replaced,
            "saturated_share": prepared.saturated,
            "ring": asdict(self.ring) if self.ring else None,
            "calibration": asdict(self.calibration),
            "score": None
            if self.score is None
            else asdict(self.score) | {"ratio": self.score.ratio, "winner": self.score.winner},
            "residual": asdict(self.residual),
            "invention": asdict(self.invented) | {"suspected": self.invented.suspected},
            "seam_over_noise": self.seam,
            "features": {
                "kind": self.features["feature"],
                "found": len(self.features["confidence"]),
                "certain": int(np.sum(np.asarray(self.features["confidence"]) >= CERTAIN)),
            },
            "verdict": asdict(self.verdict),
        }
        return _plain(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True)
class Result:
    """A denoised micrograph.

    Attributes
    ----------
    denoised, sigma
        float32, shape of the input; NaN in frames that could not be denoised.
    gaussian
        The same smoothed by the Gaussian that predicted best, if that is to be preferred.
    frame
        The frame with the worst verdict, in full.
    numbers
        What was measured on each frame.
    broken
        Message by number of the frame that could not be denoised.
    """

    denoised: np.ndarray
    sigma: np.ndarray
    gaussian: np.ndarray | None
    frame: Frame
    numbers: list[dict[str, Any]] = field(default_factory=list)
    broken: Mapping[int, str] = field(default_factory=dict)


def judged_kind(frame: np.ndarray, sampling: tuple[float, float]) -> str:
    """Judge whether a frame shows bright atoms (``adf``) or dark pores (``density``).

    Parameters
    ----------
    frame
        Shape (rows, columns).
    sampling
        Pixel size [Å].
    """
    part = middle(np.asarray(frame)).astype(np.float32)
    if not np.isfinite(part).any():
        return "adf"
    part, _ = without_impulses(part)
    widths = [0.5 / step for step in sampling]
    return kind_of(gaussian_filter(part, widths) - background(part, sampling))


def denoise_micrograph(
    data: np.ndarray,
    denoiser: Denoiser,
    *,
    sampling: tuple[float, float],
    spacings: Mapping[str, float] | None = None,
    taken: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Denoise an image, or every frame of a stack.

    Parameters
    ----------
    data
        Shape (..., rows, columns), any real type and byte order.
    denoiser
        The model.
    sampling
        Pixel size along rows and columns [Å].
    spacings
        Spacing of the first ring of the crystal by its name [Å], if the user named
        it; else those of the crystals the model was trained on.
    taken
        Whether the pixel size was taken from the lattice, so that it cannot check it.
    progress
        Called with the number of frames done and of all.

    Raises
    ------
    DataError
        If no frame can be denoised.
    """
    trained = trained_range(denoiser.about)
    certain = spacings is not None
    known = dict(trained.spacings if spacings is None else spacings)
    frames = data.reshape(-1, *data.shape[-2:])
    denoised = np.full(frames.shape, np.nan, np.float32)
    sigma = np.full(frames.shape, np.nan, np.float32)
    gaussians, numbers, broken = {}, [], {}
    worst: Frame | None = None
    for index, frame in enumerate(frames):
        try:
            done, pictures = _one(
                frame,
                denoiser,
                trained,
                lambda ring: check(ring, sampling, known, certain=certain, taken=taken),
                sampling=sampling,
                number=index + 1,
            )
        except DataError as error:
            broken[index + 1] = str(error)
        else:
            denoised[index], sigma[index] = pictures
            numbers.append(done.numbers())
            if done.verdict.use_gaussian:
                gaussians[index] = gaussian_filter(
                    done.prepared.image, done.score.sigma, mode="mirror"
                )
            if worst is None or _badness(done) > _badness(worst):
                worst = done
        if progress:
            progress(index + 1, len(frames))
    if worst is None:
        raise DataError("; ".join(dict.fromkeys(broken.values())))
    gaussian = None
    if gaussians:
        gaussian = denoised.copy()
        for index, smooth in gaussians.items():
            gaussian[index] = smooth
    shape = data.shape
    return Result(
        denoised=denoised.reshape(shape),
        sigma=sigma.reshape(shape),
        gaussian=None if gaussian is None else gaussian.reshape(shape),
        frame=worst,
        numbers=numbers,
        broken=broken,
    )


def _badness(frame: Frame) -> int:
    return list(TITLES).index(frame.verdict.level)


def _one(
    frame: np.ndarray,
    denoiser: Denoiser,
    trained: Range,
    calibrate_with: Callable[[Ring | None], Calibration],
    *,
    sampling: tuple[float, float],
    number: int,
) -> tuple[Frame, tuple[np.ndarray, np.ndarray]]:
    prepared = prepare(frame, trained, sampling=sampling)
    score = _score(prepared, denoiser, trained)
    fitted = prepared.fit
    if score is not None and score.valid:
        fitted = _scaled(fitted, GAINS[score.chosen])
    fitted = borne_out(denoiser, prepared.image, fitted, trained, prepared.noise, sampling=sampling)
    prepared = replace(prepared, fit=fitted)
    applied = apply(denoiser, prepared.image, prepared.fit, trained, sampling=sampling)
    denoised, sigma = applied.denoised, applied.sigma
    residual, of_residual = residual_of(
        prepared.image, denoised, prepared.noise, prepared.spectrum, sampling=sampling
    )
    invented = invention(denoised, sigma, prepared.spectrum, slow=applied.slow, sampling=sampling)
    ring = first_ring(lattice_peaks(prepared.spectrum))
    calibration = calibrate_with(ring)
    kind = kind_of(middle(denoised) - middle(applied.slow))
    verdict = judge(
        prepared,
        trained,
        calibration,
        score,
        residual,
        invented,
        kind=kind if ring else trained.kind,
        replaced_share=prepared.replaced / prepared.image.size,
    )
    done = Frame(
        number=number,
        kind=kind,
        prepared=prepared,
        ring=ring,
        calibration=calibration,
        score=score,
        residual=residual,
        invented=invented,
        verdict=verdict,
        seam=applied.seam / max(prepared.noise.sigma, 1e-300),
        features=_features(
            *map(middle, (denoised - applied.slow, sigma, prepared.image, applied.slow)),
            kind,
            flat=invented.flat,
        ),
        shown={
            "before": middle(prepared.image).copy(),
            "after": middle(denoised).copy(),
            "sigma": middle(sigma).copy(),
            "slow": middle(applied.slow).copy(),
            "spectra": {
                "before": prepared.spectrum,
                "after": spectrum(denoised, sampling),
                "difference": of_residual,
            },
        },
    )
    return done, (denoised, sigma)


def _score(prepared: Prepared, denoiser: Denoiser, trained: Range) -> Score | None:
    """Score on held-out quarters, which have twice the pixel size and the same noise."""
    if min(prepared.image.shape) < 64:
        return None
    coarse = tuple(2 * step for step in prepared.sampling)
    fitted = fit(prepared.fit.contrast, prepared.noise, trained, sampling=coarse)

    def with_gain(factor: float) -> Callable[[np.ndarray], np.ndarray]:
        def denoise(quarter: np.ndarray) -> np.ndarray:
            # all that is fitted to the image is fitted to the quarter alone
            given = (denoiser, quarter.astype(np.float32))
            own = borne_out(
                *given, _scaled(fitted, factor), trained, prepared.noise, sampling=coarse
            )
            return apply(*given, own, trained, sampling=coarse).denoised

        return denoise

    image, noise = prepared.image, prepared.noise
    if "correlated" in noise.kinds or denoiser.about.get("standardised"):
        # such noise rewards whoever keeps it: nothing can be chosen by the score; and a
        # network that standardises what it sees gives the same answer at every scale
        chosen = GAINS.index(1.0)
    else:
        tried = [with_gain(factor) for factor in GAINS]
        chosen = quarter_score(image, tried, noise, side=CHOICE).chosen
    score = quarter_score(image, [with_gain(GAINS[chosen])], noise)
    return replace(score, chosen=chosen)


def _scaled(fitted: Fit, factor: float) -> Fit:
    return replace(fitted, gain=fitted.gain * factor, c_noise=fitted.c_noise * factor)


def _features(
    structure: np.ndarray,
    sigma: np.ndarray,
    recorded: np.ndarray,
    slow: np.ndarray,
    kind: str,
    *,
    flat: bool,
) -> dict[str, Any]:
    """Find atoms or pores, how certain each of them is, and how far it shows as recorded."""
    feature = {"adf": "atoms", "density": "pores"}[kind]
    nothing = {"centres": np.empty((0, 2)), "confidence": np.empty(0), "evidence": np.empty(0)}
    nothing = {"feature": feature} | nothing
    if flat:
        return nothing
    try:
        detector = calibrate([structure], sampling=1.0, feature=feature)
    except ValueError:  # too few to tell their distance
        return nothing
    found = detector.features(structure)
    return nothing | {
        "centres": found.centres,
        "confidence": detector.confidence(found, sigma),
        "evidence": detector.evidence(found, recorded - slow, recorded - slow - structure),
    }
