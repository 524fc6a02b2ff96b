"""An image or a stack: every frame analysed, denoised, weighed and judged, each step once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.modes import ImageMode, mode_by_contrast
from temdenoise.foundation.quantities import PixelSize
from temdenoise.learning.inference import Model
from temdenoise.measuring.lattice import PixelCheck, check
from temdenoise.measuring.spectrum import Spectrum, middle, spectrum
from temdenoise.micrographs import denoising, memory
from temdenoise.micrographs.denoising import Answer, Fit
from temdenoise.micrographs.evidence import (
    CHOICE,
    FoundFeatures,
    Invention,
    Residual,
    Score,
    best_of,
    features_of,
    invention,
    residual_of,
    score_of,
)
from temdenoise.micrographs.fission import STRENGTH, Denoise, Split, split_recorded
from temdenoise.micrographs.formats.base import Values
from temdenoise.micrographs.frame import Frame, analyse, contrast_of
from temdenoise.micrographs.frame_store import FrameStore, require_space
from temdenoise.micrographs.marks import SPACING, WIDTH, Marks, mark
from temdenoise.micrographs.sites import SiteEvidence, atoms_of, evidence_at_sites
from temdenoise.micrographs.verdict import TITLES, Evidence, Verdict, judge
from temdenoise.micrographs.weighing import Support, Weighed, estimate_support, weighed

RESULTS = 3
"""Images made of each frame, at most: denoised, its sigma, and the Gaussian's."""

GAINS = (0.5, 0.71, 1.0, 1.41)
"""Intensity scales tried on data that is split, relative to that of the lattice's contrast."""


@dataclass(frozen=True)
class Lattices:
    """Crystals that an image may show.

    Attributes
    ----------
    spacings
        Spacing of the first ring by name [Å].
    certain
        Whether the user named the crystal; else it may be one not known.
    took_size
        Whether the pixel size was itself taken from the lattice, so that it cannot check it.
    """

    spacings: Mapping[str, float]
    certain: bool = False
    took_size: bool = False


@dataclass(frozen=True)
class Shown:
    """The middle of a frame, for pictures: float32, shape (rows, columns), and spectra.

    Attributes
    ----------
    before, after, sigma, slow
        As recorded, denoised, its predicted error, its slow background.
    spectrum_before, spectrum_after, spectrum_difference
        Of the three.
    """

    before: np.ndarray
    after: np.ndarray
    sigma: np.ndarray
    slow: np.ndarray
    spectrum_before: Spectrum
    spectrum_after: Spectrum
    spectrum_difference: Spectrum


@dataclass(frozen=True)
class Judged:
    """All that was found out about one frame.

    Attributes
    ----------
    frame, fit, support, pixel_check, score, sites, residual, invented, features, verdict
        See there.
    mode
        Mode that the result looks like.
    seam
        Largest difference at the corner of tiles over the noise; NaN for one tile.
    shown
        Pictures and spectra of its middle.
    """

    frame: Frame
    mode: ImageMode
    fit: Fit
    support: Support
    pixel_check: PixelCheck
    score: Score | None
    sites: SiteEvidence | None
    residual: Residual
    invented: Invention
    features: FoundFeatures
    verdict: Verdict
    seam: float
    shown: Shown

    def marks(self) -> Marks:
        """Mark the part shown by its predicted error."""
        ring, shown = self.frame.ring, self.shown
        width = WIDTH * (ring.spacing if ring else SPACING)
        rows, columns = self.frame.sampling
        return mark(
            shown.after,
            shown.sigma,
            shown.slow,
            self.features,
            width=(width / rows, width / columns),
            invented=self.invented.suspected,
        )

    def numbers(self) -> dict[str, Any]:
        """Return what was measured as plain values, NaN as None."""
        frame, score, features = self.frame, self.score, self.features
        fitted = asdict(self.fit) | {
            "contrast": frame.level.contrast,
            "noise_over_contrast": frame.level.over_contrast,
            "support": asdict(self.support),
        }
        findings = [
            {"check": f.check, "weight": f.weight.value, "text": f.text}
            for f in self.verdict.findings
        ]
        found = {
            "frame": frame.number,
            "kind": self.mode.name,
            "sampling_angstrom": list(frame.sampling),
            "noise": asdict(frame.noise),
            "fit": fitted,
            "replaced_pixels": frame.replaced,
            "saturated_share": frame.saturated,
            "ring": asdict(frame.ring) if frame.ring else None,
            "calibration": asdict(self.pixel_check),
            "score": score and asdict(score) | {"ratio": score.ratio, "winner": score.winner},
            "sites": self.sites and self.sites.numbers([part.start for part in frame.centre]),
            "residual": asdict(self.residual),
            "invention": asdict(self.invented) | {"suspected": self.invented.suspected},
            "seam_over_noise": self.seam,
            "features": {
                "kind": features.feature,
                "found": len(features.confidence),
                "certain": int(np.sum(features.certain)),
            },
            "verdict": {
                "level": self.verdict.level,
                "headline": self.verdict.headline,
                "sentences": self.verdict.sentences,
                "findings": findings,
                "reasons": self.verdict.reasons,
                "remedies": self.verdict.remedies,
                "use_gaussian": self.verdict.use_gaussian,
            },
        }
        return {key: plain(value) for key, value in found.items()}


def plain(value: Any) -> Any:
    """Return values as JSON holds them; what is not finite is None."""
    if isinstance(value, Mapping):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True)
class Result:
    """A denoised image or stack.

    Attributes
    ----------
    denoised, sigma
        float32, shape of the input; NaN in frames that could not be denoised. Where a frame holds
        no data it is as recorded, and sigma NaN.
    gaussian
        The same smoothed by the Gaussian that predicted best, if that is to be preferred.
    worst
        The frame with the worst verdict, in full.
    numbers
        What was measured on each frame.
    broken
        Message by number of the frame that could not be denoised.
    """

    denoised: Values
    sigma: Values
    gaussian: Values | None
    worst: Judged
    numbers: list[dict[str, Any]] = field(default_factory=list)
    broken: Mapping[int, str] = field(default_factory=dict)

    def frame(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a denoised frame and its sigma, shape (rows, columns), by its number from 1."""
        shape = (-1, *self.denoised.shape[-2:])
        return self.denoised.reshape(*shape)[number - 1], self.sigma.reshape(*shape)[number - 1]


Progress = Callable[[int, int], None]


def denoise_stack(
    data: Values,
    model: Model,
    *,
    sampling: PixelSize,
    lattices: Lattices | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Result:
    """Denoise an image, or every frame of a stack, one after the other.

    Parameters
    ----------
    data
        Shape (..., rows, columns), any real type and byte order; images that stay in their file
        are read one by one.
    model
        The model.
    sampling
        Pixel size along rows and columns [Å].
    lattices
        Crystals that the image may show; default those the model was trained on.
    progress
        Called with the number of frames done and of all.
    folder
        Where results wait on the disk until they are written; None: in memory.

    Raises
    ------
    DataError
        If no frame can be denoised, or there is not enough memory or space on the disk.
    """
    lattices = lattices or Lattices(model.description.spacings)
    frames = data.reshape(-1, *data.shape[-2:])
    if folder is None:
        memory.require(*frames.shape[1:], frames=len(frames))
    else:
        # what waits, and what is then written of it
        require_space(folder, 2 * RESULTS * 4 * float(math.prod(frames.shape)))
    denoised, sigma = FrameStore(data.shape, folder), FrameStore(data.shape, folder)
    gaussian: FrameStore | None = None
    numbers: list[dict[str, Any]] = []
    broken: dict[int, str] = {}
    worst: Judged | None = None
    for index, recorded in enumerate(frames):
        try:
            frame = analyse(recorded, sampling=sampling, number=index + 1)
            judged, result = _judged(frame, model, lattices)
        except DataError as error:
            broken[index + 1] = str(error)
        else:
            denoised.put(index, frame.as_recorded(recorded, result.denoised))
            sigma.put(index, frame.as_recorded(np.nan, result.sigma))
            if judged.verdict.use_gaussian and judged.score is not None:
                if gaussian is None:
                    gaussian = FrameStore(data.shape, folder)
                    for before in range(index):
                        gaussian.put(before, denoised.get(before))
                smooth = gaussian_filter(frame.image, judged.score.sigma, mode="mirror")
                gaussian.put(index, frame.as_recorded(recorded, smooth))
            elif gaussian is not None:
                gaussian.put(index, denoised.get(index))
            numbers.append(judged.numbers())
            if worst is None or _badness(judged) > _badness(worst):
                worst = judged
        if progress:
            progress(index + 1, len(frames))
    if worst is None:
        raise DataError("; ".join(dict.fromkeys(broken.values())))
    return Result(
        denoised=denoised.values,
        sigma=sigma.values,
        gaussian=None if gaussian is None else gaussian.values,
        worst=worst,
        numbers=numbers,
        broken=broken,
    )


def _badness(judged: Judged) -> int:
    return list(TITLES).index(judged.verdict.level)


def _judged(frame: Frame, model: Model, lattices: Lattices) -> tuple[Judged, Weighed]:
    """Denoise one frame, gather evidence and judge it."""
    trained, sampling = model.description, frame.sampling
    fitted = denoising.fit(frame.level, frame.noise_model, trained, sampling)
    parts = split_recorded(frame.image[frame.centre], frame.noise_model)
    chosen = GAINS.index(1.0) if parts is None else _gain(frame, parts, model)
    result, seam = _restored(frame, model, fitted.scaled(GAINS[chosen]), check_seam=True)
    score, sites = None, None
    if parts is not None:
        given = _of_part(frame, parts.given, model, GAINS[chosen])
        whole = result.denoised[frame.centre]
        score = score_of(parts, given, whole, chosen=chosen, valid=parts.noise.known)
        sites = _sites(frame, parts, given, whole)
    residual, of_residual = residual_of(frame, result)
    invented = invention(frame, result)
    structure = result.denoised[frame.centre] - result.slow[frame.centre]
    mode = mode_by_contrast(contrast_of(structure))
    pixel_check = check(
        frame.ring,
        sampling,
        lattices.spacings,
        certain=lattices.certain,
        taken=lattices.took_size,
    )
    seen = Evidence(
        frame=frame,
        trained=trained,
        fit=fitted,
        support=result.support,
        pixel_check=pixel_check,
        score=score,
        sites=sites,
        residual=residual,
        invented=invented,
        # without a lattice its contrast says nothing
        mode=mode if frame.ring else trained.mode,
    )
    judged = Judged(
        frame=frame,
        mode=mode,
        fit=fitted,
        support=result.support,
        pixel_check=pixel_check,
        score=score,
        sites=sites,
        residual=residual,
        invented=invented,
        features=features_of(frame, result, mode.feature, flat=invented.flat),
        verdict=judge(seen),
        seam=seam / max(frame.level.sigma, 1e-300),
        shown=Shown(
            before=frame.image[frame.centre].copy(),
            after=result.denoised[frame.centre].copy(),
            sigma=result.sigma[frame.centre].copy(),
            slow=result.slow[frame.centre].copy(),
            spectrum_before=frame.spectrum,
            spectrum_after=spectrum(result.denoised[frame.window], sampling),
            spectrum_difference=of_residual,
        ),
    )
    return judged, result


def _restored(
    frame: Frame, model: Model, fitted: Fit, *, check_seam: bool = False
) -> tuple[Weighed, float]:
    """Denoise a frame with all its noise; also what tiles changed in it, if asked for."""
    image, sampling = frame.image, frame.sampling
    answer = denoising.answer(model, image, fitted, sampling, check_seam=check_seam)

    def ask(part: np.ndarray) -> Answer:
        # of an image that is its own middle the answer is known
        if part.shape == image.shape and np.shares_memory(part, image):
            return answer
        return denoising.answer(model, part, fitted, sampling)

    support = estimate_support(ask, frame.measured, frame.noise_model, frame.spectrum, sampling)
    return weighed(answer, support), answer.seam


def _gain(frame: Frame, parts: Split, model: Model) -> int:
    """Choose one of `GAINS` on the given part alone."""
    if model.description.standardised or not parts.noise.known:
        # a network that standardises what it sees gives the same answer at every scale; and where
        # the noise is not known nothing can be chosen
        return GAINS.index(1.0)

    def with_gain(factor: float) -> Denoise:
        return lambda image: _of_part(frame, image, model, factor)

    candidates = [with_gain(factor) for factor in GAINS]
    level = parts.noise.times(1 + STRENGTH**2)
    return best_of(candidates, parts.given, level, default=GAINS.index(1.0))


def best_model(image: np.ndarray, models: Sequence[Model], sampling: PixelSize) -> int:
    """Choose the model that explains an image best.

    Parameters
    ----------
    image
        Shape (rows, columns), with data everywhere; its middle is looked at.
    models
        To choose from; the first is taken unless another one is better by two standard errors.
    sampling
        Pixel size [Å].

    Returns
    -------
    int
        Its number.
    """
    frame = analyse(middle(image, CHOICE), sampling=sampling)
    parts = split_recorded(frame.image[frame.centre], frame.noise_model)
    if parts is None or not parts.noise.known:
        return 0

    def by(model: Model) -> Denoise:
        return lambda image: _of_part(frame, image, model, 1.0)

    candidates = [by(model) for model in models]
    return best_of(candidates, parts.given, parts.noise.times(1 + STRENGTH**2))


def _of_part(frame: Frame, image: np.ndarray, model: Model, gain: float) -> np.ndarray:
    """Denoise an image as if it were a frame: all that is fitted is fitted to it alone."""
    part = frame.with_image(image)
    fitted = denoising.fit(part.level, part.noise_model, model.description, part.sampling)
    return _restored(part, model, fitted.scaled(gain))[0].denoised


def _sites(frame: Frame, parts: Split, given: np.ndarray, whole: np.ndarray) -> SiteEvidence | None:
    """Weigh the evidence at each site.

    None without a lattice of two directions, or if the noise is not known.
    """
    if not parts.noise.known:
        return None
    atoms = atoms_of(parts.recorded, frame.peaks, frame.sampling, noise=frame.level.sigma)
    return None if atoms is None else evidence_at_sites(parts, given, atoms, whole=whole)
