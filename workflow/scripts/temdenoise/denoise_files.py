"""Files of microscopes in; images, numbers and a summary page beside each other out."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs.formats import ENDINGS
from temdenoise.micrographs.readers import Micrograph, read
from temdenoise.micrographs.results import Guard, Output, files_of, is_result, replaced_file
from temdenoise.micrographs.units import require_resolving

if TYPE_CHECKING:  # a file is read, or refused, before PyTorch is imported
    from temdenoise.api import Denoised, Plan

Say = Callable[[str], None]
Files = Mapping[str, Path]


@dataclass(frozen=True)
class Request:
    """What is to be done with each file.

    Attributes
    ----------
    output
        Folder to write to, or name of the denoised image; None: the file's own folder.
    format, bits
        Of the images that are written, see `micrographs.results.Output`.
    model
        Path of a model, the name of a pretrained one, or ``auto``.
    kind
        What the image shows, see `api.Options.mode`.
    sampling
        Pixel size [Å], whatever the file says; None: the file's.
    crystal
        Name of the crystal that pixel sizes are checked against.
    spacing
        Spacing of the first ring of a crystal that has no name here [Å].
    signal
        Number or name of the one signal of each file to denoise; None: all images.
    frames_axis
        Axis along which the frames of a stack lie; None: told by the file, else the first.
    device
        See `learning.devices.device_of`.
    marked, figure
        See `api.Denoised.save`.
    """

    output: Path | None = None
    format: str | None = None
    bits: int = 32
    model: str | Path = "auto"
    kind: str = "auto"
    sampling: float | None = None
    crystal: str | None = None
    spacing: float | None = None
    signal: str | None = None
    frames_axis: int | None = None
    device: str = "auto"
    marked: bool = False
    figure: bool = False


@dataclass(frozen=True)
class Terminal:
    """Where progress is told.

    Attributes
    ----------
    say, warn
        For what the user may want to know, and must know.
    bar
        Where to draw a progress bar for stacks; None: each tenth is said.
    """

    say: Say
    warn: Say
    bar: TextIO | None = None

    def progress(self, done: int, total: int) -> None:
        """Tell how many frames of a stack are done."""
        if self.bar is not None:
            filled = round(30 * done / total)
            end = "\n" if done == total else ""
            self.bar.write(
                f"\r  [{'#' * filled}{'.' * (30 - filled)}] frame {done} of {total}{end}"
            )
            self.bar.flush()
        elif 10 * done // total > 10 * (done - 1) // total:
            self.say(f"  frame {done} of {total}")


def images_at(path: Path) -> list[Path]:
    """List the images of a folder; of anything else it is the path itself.

    Raises
    ------
    DataError
        If it is a folder in which no file has the ending of an image.
    """
    if not path.is_dir() or _named_as_image(path):
        return [path]
    files = sorted(filter(_named_as_image, path.iterdir()))
    found = [file for file in files if not is_result(file)]
    if not found:
        raise DataError(
            f"{path}: a folder without images; expected files ending in {', '.join(ENDINGS)}"
        )
    return found


def _named_as_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower().removeprefix(".") in ENDINGS


def denoise_file(path: Path, request: Request, guard: Guard, terminal: Terminal) -> bool:
    """Denoise every image of a file and write the results.

    All of an image is computed before any of it is written, and every file appears whole or
    not at all.

    Parameters
    ----------
    path
        The file.
    request
        What is to be done.
    guard
        Refuses to overwrite inputs and the results of other files.
    terminal
        Where progress is told.

    Returns
    -------
    bool
        False if an image of several, or a frame of a stack, could not be denoised.

    Raises
    ------
    DataError
        If the file cannot be read, or none of its images be denoised; nothing is written then.
    OSError
        If the results cannot be written.
    """
    output = Output.at(request.output or path.parent, format=request.format, bits=request.bits)
    given = None if request.sampling is None else PixelSize.of(request.sampling)
    micrographs = read(path, signal=request.signal, frames_axis=request.frames_axis)
    if output.file and len(micrographs) > 1:
        raise DataError(
            f"{path}: holds {len(micrographs)} images, which one file cannot hold: choose one with "
            f"--signal, or name a folder instead of -o {output.file}"
        )
    errors: list[str] = []
    resolving = []
    for micrograph in micrographs:
        for note in micrograph.notes:
            terminal.warn(f"{path}: {note}")
        with _collected(errors, micrograph):
            _check_resolving(micrograph, given)
            files = files_of(micrograph, output, marked=request.marked, figure=request.figure)
            guard.check(path, files)
            resolving.append((micrograph, files))
    plans = _planned(resolving, request, given, errors) if resolving else []
    complete = written = 0
    for plan, named in plans:
        with _collected(errors, plan.micrograph):
            complete += _carried_out(plan, named, output, request, terminal)
            guard.note(path, named)
            written += 1
    if not written:
        raise DataError("; ".join(errors))
    for text in errors:
        terminal.warn(f"error: {text}")
    return complete == len(micrographs)


@contextmanager
def _collected(errors: list[str], micrograph: Micrograph) -> Iterator[None]:
    """Let an image that cannot be denoised cost no other one of its file."""
    try:
        yield
    except DataError as error:
        name = f"image {micrograph.label}: " if micrograph.label else ""
        errors.append(f"{micrograph.path}: {name}{str(error).removeprefix(f'{micrograph.path}: ')}")


def _planned(
    resolving: Sequence[tuple[Micrograph, Files]],
    request: Request,
    given: PixelSize | None,
    errors: list[str],
) -> list[tuple["Plan", Files]]:
    """Decide how each image is denoised, before any is."""
    from temdenoise.api import Options, plan_of

    plans = []
    for micrograph, files in resolving:
        with _collected(errors, micrograph):
            plan = plan_of(
                micrograph,
                sampling=given,
                model=request.model,
                crystal=request.crystal,
                device=request.device,
                options=Options(mode=request.kind, spacing=request.spacing),
            )
            plans.append((plan, files))
    return plans


def _carried_out(
    plan: "Plan", files: Files, output: Output, request: Request, terminal: Terminal
) -> bool:
    """Denoise one image and write the results; False if a frame could not be denoised."""
    micrograph = plan.micrograph
    path = micrograph.path
    if other := replaced_file(files, micrograph):
        terminal.warn(f"{path}: its results replace those of {other} in {output.folder}")
    for note in plan.notes:
        terminal.warn(f"{path}: {note}")
    for line in opening_lines(plan):
        terminal.say(line)
    progress = terminal.progress if len(micrograph.frames) > 1 else None
    denoised = plan.carry_out(progress, folder=output.folder)
    denoised.save(output, marked=request.marked, figure=request.figure)
    _tell(path, denoised, terminal)
    terminal.say(f"  written: {files['denoised']} and {files['page'].name}")
    return not denoised.broken


def _check_resolving(micrograph: Micrograph, given: PixelSize | None) -> None:
    """Refuse an overview image, whatever would become of it."""
    sampling = given or micrograph.sampling
    if sampling is not None:
        require_resolving(sampling)


def opening_lines(plan: "Plan") -> list[str]:
    """Say what is done with which model, before it is done."""
    micrograph, pixel = plan.micrograph, plan.sampling
    path, stored = os.fspath(micrograph.path), micrograph.sampling
    lines = []
    if plan.lattices.took_size:
        lines.append(
            f"{path}: no pixel size stored; {pixel.rows:.4g} Å by the lattice's first ring"
        )
    elif stored and abs(stored.side / pixel.side - 1) > 0.005:
        lines.append(
            f"{path}: pixel size {pixel.rows:g} Å as given, not {stored.rows:.4g} Å as stored"
        )
    frames, rows, columns = micrograph.frames.shape
    what = f"{rows} x {columns} pixels of {pixel.rows:.4g} Å"
    if frames > 1:
        what = f"{frames} frames of {what}"
    judged = "judged" if plan.judged else "as said"
    lines.append(f"{path}: {what}, {plan.mode.looks} ({judged}), model {plan.name}")
    return lines


def summary_lines(denoised: "Denoised") -> list[str]:
    """Say in a few lines what was measured on the worst frame."""
    judged = denoised.result.worst
    frame, score = judged.frame, judged.score
    lines = [
        f"noise: {', '.join(frame.noise.kinds)}; "
        + (
            f"{frame.level.over_contrast:.1f} times the lattice's contrast"
            if frame.level.contrast > 0
            else "no lattice seen"
        ),
        f"pixel size: {judged.pixel_check.text}",
    ]
    if score is not None:
        lines.append(
            f"data held out: network {100 * score.network:.1f} %, best Gaussian "
            f"{100 * score.gaussian:.1f} % of the variance, mean 0 %"
            + (
                f", noise ceiling {100 * score.ceiling:.1f} %"
                if score.valid
                else " (says nothing: the noise was filtered)"
            )
        )
    if judged.sites is not None:
        counts = (f"{number} {outcome}" for outcome, number in judged.sites.counts.items())
        lines.append(f"sites of the lattice, by the data held out: {', '.join(counts)}")
    if len(denoised.frames) > 1:
        lines.insert(0, f"frame {frame.number}, the one with the worst verdict:")
    return lines


def _tell(path: Path, denoised: "Denoised", terminal: Terminal) -> None:
    for line in summary_lines(denoised):
        terminal.say(f"  {line}")
    verdict = denoised.verdict
    good = verdict.level == "good"
    (terminal.say if good else terminal.warn)(f"{path}: {verdict.headline}")
    if not good:
        for remedy in verdict.remedies:
            terminal.warn(f"  what would help: {remedy}")
    for number, message in denoised.broken.items():
        terminal.warn(f"{path}: frame {number} could not be denoised: {message} (left empty: NaN)")
