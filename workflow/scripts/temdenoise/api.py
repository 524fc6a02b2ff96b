"""The interface in Python: images in, denoised images and a verdict out.

The command `temdenoise`, the workflow's rule and the functions for HyperSpy all come here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.lattices import spacing_of
from temdenoise.foundation.modes import ImageMode, image_mode
from temdenoise.foundation.quantities import PixelSize
from temdenoise.learning.devices import device_of
from temdenoise.learning.inference import Model
from temdenoise.measuring.lattice import PixelCheck, Ring
from temdenoise.measuring.noise import Noise
from temdenoise.micrographs import models
from temdenoise.micrographs.evidence import Score
from temdenoise.micrographs.formats import each_image
from temdenoise.micrographs.frame import first_look, mode_of, size_from_lattice
from temdenoise.micrographs.hyperspy_signals import (
    check_images,
    pixel_size_of,
    signals_like,
)
from temdenoise.micrographs.readers import Micrograph
from temdenoise.micrographs.results import (
    FIGURE,
    Drawn,
    Guard,
    Output,
    files_of,
    marked_images,
    scales_of,
    summary_of,
    write_results,
)
from temdenoise.micrographs.signals import SMALLEST
from temdenoise.micrographs.stack import Lattices, Progress, Result, best_model, denoise_stack
from temdenoise.micrographs.units import require_resolving
from temdenoise.micrographs.verdict import Finding, Verdict

__all__ = ["Denoised", "Model", "Options", "Output", "denoise", "load_model"]


@dataclass(frozen=True)
class Options:
    """What `denoise` can be told besides.

    Attributes
    ----------
    mode
        What the image shows: ``adf`` (bright atoms), ``density`` (dark pores), ``hrtem``, or
        ``auto`` to judge it by its contrast. Decides the pretrained model.
    spacing
        Spacing of the first ring of a crystal that has no name here [Å].
    progress
        Called with the number of frames done and of all.
    """

    mode: str = "auto"
    spacing: float | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Denoised:
    """A denoised image or stack, and whether to believe it.

    Attributes
    ----------
    image
        The denoised image, float32, shape of the input, in its unit; NaN in frames that could
        not be denoised. A HyperSpy signal if one was given.
    sigma
        The error that holds for 68 % of the pixels, likewise.
    sampling
        Pixel size along rows and columns [Å].
    model
        Name of the model that was used.
    micrograph, result, summary
        What was read, everything that was measured, and the same in plain values.
    """

    image: Any
    sigma: Any
    sampling: PixelSize
    model: str
    micrograph: Micrograph = field(repr=False)
    result: Result = field(repr=False)
    summary: Mapping[str, Any] = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """What to make of it; of a stack the worst frame's."""
        return self.result.worst.verdict

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What speaks for and against it, the gravest first."""
        return self.verdict.findings

    @property
    def score(self) -> Score | None:
        """The score on data held out; None for an image that is too small."""
        return self.result.worst.score

    @property
    def noise(self) -> Noise:
        """Level and kind of the noise."""
        return self.result.worst.frame.noise

    @property
    def lattice(self) -> Ring | None:
        """First ring of the lattice; None if none is seen."""
        return self.result.worst.frame.ring

    @property
    def pixel_check(self) -> PixelCheck:
        """What the lattice says about the pixel size."""
        return self.result.worst.pixel_check

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What was measured on each frame, plain values."""
        return self.result.numbers

    @property
    def broken(self) -> Mapping[int, str]:
        """Why frames could not be denoised, by their number from 1."""
        return self.result.broken

    def save(
        self, output: str | Path | Output, *, marked: bool = False, figure: bool = False
    ) -> dict[str, Path]:
        """Write images, numbers and the summary page.

        Parameters
        ----------
        output
            Folder to write to, which is made if there is none; or the denoised image itself, such
            as ``result.mrc``, which the others are named like; or an `Output`, which says format
            and depth as well.
        marked
            Whether to store what figure 3 shows.
        figure
            Whether to draw figure 3 as well: what the predicted error doubts.

        Returns
        -------
        dict
            The files by what they hold: ``denoised`` and ``sigma`` (calibrated), ``eyes`` (PNG
            with a scale bar), ``page`` (HTML), ``picture`` (PNG), ``numbers`` (JSON), ...

        Raises
        ------
        DataError
            If a result cannot be written in that format.
        OSError
            If the folder cannot be written to.
        """
        from temdenoise.report.marked import write_figure_3
        from temdenoise.report.micrograph import for_eyes, summarise

        output = output if isinstance(output, Output) else Output.at(output)
        files = files_of(self.micrograph, output, marked=marked, figure=figure)
        Guard().check(self.micrograph.path, files)
        judged, scales = self.result.worst, scales_of(self.result, output)
        summary = {
            **self.summary,
            "files": {key: path.name for key, path in files.items()},
            "scales": {key: asdict(scale) for key, scale in scales.items()},
        }
        if self.result.gaussian is None:
            del summary["files"]["gaussian"]
        eyes = for_eyes(*self.result.frame(judged.frame.number), judged.frame.sampling)
        picture, page = summarise(judged, summary)
        shown = None
        if "marked" in files:
            shown = marked_images(judged, judged.marks(), self.micrograph.path.name)
        drawn = Drawn(eyes, picture, page, summary, shown)
        write_results(files, self.micrograph, self.result, drawn, scales)
        if figure and shown is not None:
            write_figure_3(shown, {kind: files[kind] for kind in FIGURE})
        if self.result.gaussian is None:
            del files["gaussian"]
        return files


@dataclass(frozen=True)
class Plan:
    """How a micrograph will be denoised: decided before anything expensive.

    Attributes
    ----------
    micrograph
        The micrograph.
    sampling
        Pixel size [Å].
    lattices
        Crystals it may show.
    mode, judged
        What it shows, and whether that was judged by its contrast.
    name, model
        The model to use.
    notes
        What the user should know besides.
    """

    micrograph: Micrograph
    sampling: PixelSize
    lattices: Lattices
    mode: ImageMode
    judged: bool
    name: str
    model: Model
    notes: tuple[str, ...] = ()

    def carry_out(
        self, progress: Progress | None = None, *, folder: Path | None = None
    ) -> Denoised:
        """Denoise every frame.

        Parameters
        ----------
        progress
            See `Options`.
        folder
            Where results wait on the disk until they are saved, so that a stack of any length
            fits into memory; None: in memory.

        Raises
        ------
        DataError
            If no frame can be denoised.
        """
        result = denoise_stack(
            self.micrograph.data,
            self.model,
            sampling=self.sampling,
            lattices=self.lattices,
            progress=progress,
            folder=folder,
        )
        return Denoised(
            image=result.denoised,
            sigma=result.sigma,
            sampling=self.sampling,
            model=self.name,
            micrograph=self.micrograph,
            result=result,
            summary=summary_of(self.micrograph, result, self.name, self.model.description),
        )


def load_model(model: str | Path) -> Model:
    """Load a model.

    Parameters
    ----------
    model
        The path of a model file, such as ``results/models/universal/model.pt`` of a run, or the
        name of a pretrained model that ships with the package.

    Raises
    ------
    FileNotFoundError
        If it is neither.
    DataError
        If the file is damaged, or no model; nothing it holds is executed.

    Examples
    --------
    >>> load_model("adf").description.pixels
    PixelRange(finest=0.08, coarsest=0.3)
    """
    return models.named(model)[1]


def denoise(
    image: Any,
    *,
    sampling: float | tuple[float, float] | None = None,
    model: Model | str | Path = models.AUTO,
    crystal: str | None = None,
    device: str = "auto",
    options: Options | None = None,
) -> Denoised:
    """Denoise an image or a stack, and say how far to believe the result.

    Parameters
    ----------
    image
        Array of real numbers, shape (rows, columns) or (frames, rows, columns), or a HyperSpy
        signal of images with any navigation axes.
    sampling
        Pixel size [Å], one number or (rows, columns); default that of the signal, or, if the
        crystal is named, taken from the lattice.
    model
        A model, the path of a model file, the name of a pretrained model, or ``auto`` for the
        pretrained one for what the image shows.
    crystal
        Name of the crystal, such as ``mos2``, which the pixel size is checked against.
    device
        ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``mps``.
    options
        What can be told besides.

    Raises
    ------
    DataError
        If the image cannot be denoised, or its pixel size is not known.
    ConfigurationError
        If there is no such device.
    ValueError
        If the pixel size is no length, the array has another number of axes or type, or its
        images are too small.

    Examples
    --------
    >>> import numpy as np
    >>> rows, columns = 0.12 * np.mgrid[:128, :128]
    >>> lattice = np.cos(2 * np.pi * rows / 2.7) + np.cos(2 * np.pi * columns / 2.7)
    >>> noisy = lattice + np.random.default_rng(0).standard_normal(lattice.shape)
    >>> denoised = denoise(noisy, sampling=0.12, device="cpu")
    >>> denoised.model, denoised.image.shape, denoised.image.dtype.name
    ('adf', (128, 128), 'float32')
    >>> float(np.std(denoised.image - lattice)) < 0.3
    True
    """
    options = options or Options()
    signal = image if hasattr(image, "axes_manager") else None
    if signal is not None:
        check_images(signal)
        image = np.asarray(signal.data)
        sampling = pixel_size_of(signal) if sampling is None else sampling
    micrograph = _of_array(image)
    plan = plan_of(
        micrograph,
        sampling=None if sampling is None else PixelSize.of(sampling),
        model=model,
        crystal=crystal,
        device=device,
        options=options,
    )
    denoised = plan.carry_out(options.progress)
    if signal is None:
        return denoised
    images, sigmas = signals_like(signal, denoised.result)
    return replace(denoised, image=images, sigma=sigmas)


def plan_of(
    micrograph: Micrograph,
    *,
    sampling: PixelSize | None = None,
    model: Model | str | Path = models.AUTO,
    crystal: str | None = None,
    device: str = "auto",
    options: Options | None = None,
) -> Plan:
    """Decide how a micrograph is denoised: pixel size, mode, model; see `denoise`."""
    options = options or Options()
    to = device_of(device)
    offset, first = first_look(first_finite(micrograph))
    notes: tuple[str, ...] = ()
    if offset:
        micrograph = without(micrograph, offset)
        notes = (
            f"an offset of {offset:.10g} was taken off: beside it 32-bit numbers cannot hold the "
            "range of the values; the results are without it",
        )
    if isinstance(model, Model):
        name, chosen = model.description.name or "model", model
    elif model == models.AUTO:
        name, chosen = "", None
    else:
        name, chosen = models.named(model)
    named = _spacings(crystal, options.spacing, chosen)
    sampling = sampling or micrograph.sampling
    took_size = sampling is None
    if sampling is None:
        spacing = next(iter(named.values())) if named else None
        sampling = size_from_lattice(micrograph.path, first, spacing)
    require_resolving(sampling)
    judged = options.mode == "auto"
    mode = mode_of(first, sampling) if judged else image_mode(options.mode)
    if chosen is None and judged:
        name, chosen = model_for(first, sampling)
        mode = chosen.description.mode
    elif chosen is None:
        name, chosen = models.choose(mode)
    known = chosen.description.spacings if named is None else named
    return Plan(
        micrograph=micrograph,
        sampling=sampling,
        lattices=Lattices(known, certain=named is not None, took_size=took_size),
        mode=mode,
        judged=judged,
        name=name,
        model=chosen.to(to),
        notes=notes,
    )


def model_for(image: np.ndarray, sampling: PixelSize) -> tuple[str, Model]:
    """Choose the pretrained model that explains an image best.

    Where no other explains it better it is the one for the mode that its contrast suggests.

    Parameters
    ----------
    image
        Shape (rows, columns), with data everywhere; see `frame.first_look`.
    sampling
        Pixel size [Å].
    """
    first = models.choose(mode_of(image, sampling))
    others = [
        (name, model)
        for name, model in models.available()
        if model.description.mode != first[1].description.mode
    ]
    if not others or min(image.shape) < SMALLEST:
        return first
    tried = [first, *others]
    try:
        return tried[best_model(image, [model for _, model in tried], sampling)]
    except DataError:  # no picture in its middle
        return first


def without(micrograph: Micrograph, offset: float) -> Micrograph:
    """Take an offset off, see `frame.offset_of`."""
    data = each_image(
        micrograph.data,
        np.float32,
        lambda image: (image.astype(np.float64) - offset).astype(np.float32),
    )
    return replace(micrograph, data=data)


def _of_array(image: Any) -> Micrograph:
    """Treat an array as if it had been read from a file."""
    data = np.asanyarray(image)
    if data.ndim < 2 or data.dtype.kind not in "buif":
        raise ValueError(
            f"image of shape {data.shape} and type {data.dtype}: expected real numbers of shape "
            "(rows, columns) or (frames, rows, columns)"
        )
    if data.size == 0 or min(data.shape[-2:]) < SMALLEST:
        raise ValueError(
            f"image of shape {data.shape}: expected sides of at least {SMALLEST} pixels"
        )
    if isinstance(data, np.ma.MaskedArray):  # what is masked is missing
        data = np.ma.filled(data.astype(np.result_type(data, np.float32)), np.nan)
    return Micrograph(path=Path("image"), label="", data=data, sampling=None)


def _spacings(
    crystal: str | None, spacing: float | None, model: Model | None
) -> Mapping[str, float] | None:
    """Return the spacing of the crystal the user named [Å]; None if none was."""
    if spacing is not None:
        if not 0 < spacing < float("inf"):
            raise DataError(
                f"spacing = {spacing:g}: expected that of the crystal's first ring in Å, above 0"
            )
        return {crystal or "the crystal": spacing}
    if crystal is None:
        return None
    others = model.description.spacings if model else {}
    return {crystal.lower(): spacing_of(crystal, others)}


def first_finite(micrograph: Micrograph) -> np.ndarray:
    """Return the first frame that holds a picture, or else the first, shape (rows, columns)."""
    frames = micrograph.frames
    for frame in frames:
        if np.isfinite(frame).any() and frame.min() != frame.max():
            return frame
    return frames[0]
