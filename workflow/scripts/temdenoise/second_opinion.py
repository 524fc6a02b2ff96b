"""A second opinion on what any other program made of a frame: the command `temdenoise judge`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from temdenoise.denoise_files import Terminal
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic, write_json
from temdenoise.foundation.lattices import spacing_of
from temdenoise.foundation.modes import image_mode
from temdenoise.foundation.quantities import PixelSize
from temdenoise.judging.programs import Program, named_program
from temdenoise.measuring.lattice import check
from temdenoise.micrographs.exposures import on_exposure
from temdenoise.micrographs.fission import Denoise
from temdenoise.micrographs.foreign_results import Match, Unseen, gather, on_split
from temdenoise.micrographs.foreign_verdict import Opinion, opinion
from temdenoise.micrographs.frame import Frame, analyse, first_look, size_from_lattice
from temdenoise.micrographs.readers import Micrograph, read
from temdenoise.micrographs.results import JUDGED, Guard
from temdenoise.micrographs.sites import OUTCOMES
from temdenoise.micrographs.units import require_resolving

CONTRADICTED = 3
"""Exit code if the frame contradicts the result."""

TOLERANCE = 0.01
"""Relative difference of two stored pixel sizes from which they are not the same."""


@dataclass(frozen=True)
class Request:
    """What is to be judged.

    Attributes
    ----------
    result
        File of the result; None: it is made by the command.
    command
        Command line of a program, see `judging.programs.Program`; None: the result is given.
    other
        File of another exposure that judges; None: the frame itself, or a part of it.
    output
        Folder to write to; None: that of the result, or of the frame.
    sampling
        Pixel size [Å], whatever the files say; None: the frame's.
    kind
        What the frame shows, a key of `modes.IMAGE_MODES`, or ``auto``.
    crystal
        Name of the crystal that the pixel size is checked against.
    signal
        Number or name of the frame's signal in its file.
    frame, other_frame
        Number of the frame in its stack, and of the other exposure in its own, from 1.
    """

    result: Path | None = None
    command: str | None = None
    other: Path | None = None
    output: Path | None = None
    sampling: float | None = None
    kind: str = "auto"
    crystal: str | None = None
    signal: str | None = None
    frame: int | None = None
    other_frame: int | None = None


def judge_result(
    frame: np.ndarray,
    result: np.ndarray | None = None,
    *,
    sampling: float | tuple[float, float],
    program: Program | Denoise | None = None,
    other: np.ndarray | None = None,
    crystal: str | None = None,
    kind: str = "auto",
) -> Opinion:
    """Judge what another program made of a frame by the frame's own data.

    A result that was made of all of a frame can be contradicted by it, or left open, never
    supported. Of a program, or by another exposure of the same place, it can be supported too.

    Parameters
    ----------
    frame
        As recorded, shape (rows, columns), any real type.
    result
        What was made of it, of the same shape; any gain and offset. None: the program makes it.
    sampling
        Pixel size [Å], one number or (rows, columns).
    program
        What denoises: a `Program`, or a function of an image. It is run on one part of the frame,
        which is split by its noise, and judged by the other; and on the frame itself.
    other
        Another exposure of the same place, of the same shape and pixel size.
    crystal
        Name of the crystal, such as ``mos2``, which the pixel size is checked against.
    kind
        What the frame shows, one of `modes.IMAGE_MODES`, or ``auto`` if that is not known.

    Raises
    ------
    DataError
        If frame or result cannot be judged: of different shapes, not finite, constant, turned.
    ValueError
        If both result and program are given, or neither, or the pixel size is no length.

    Examples
    --------
    >>> rows, columns = 0.15 * np.mgrid[:128, :128]
    >>> lattice = np.cos(2 * np.pi * rows / 2.7) + np.cos(2 * np.pi * columns / 2.7)
    >>> frame = lattice + np.random.default_rng(0).standard_normal(lattice.shape)
    >>> judged = judge_result(frame, lattice, sampling=0.15)
    >>> judged.verdict.level, judged.verdict.findings[0].check
    ('careful', 'left_open')
    >>> other = np.cos(2 * np.pi * rows / 2.1) + np.cos(2 * np.pi * columns / 2.1)
    >>> judge_result(frame, other, sampling=0.15).verdict.level
    'no'
    """
    if (result is None) == (program is None):
        raise ValueError("give either the result or the program that makes it")
    frame = np.asarray(frame)
    pixel = PixelSize.of(sampling)
    offset, _ = first_look(frame)
    if offset:
        frame = frame.astype(np.float64) - offset
    analysed = analyse(frame, sampling=pixel)
    unseen: Callable[[np.ndarray, Match], Unseen | None] | None = None
    if program is not None:
        denoise = _function(program)
        result = np.asarray(denoise(analysed.image), np.float64)
        _require_shape(result.shape, frame.shape)
        unseen = partial(on_split, analysed, denoise)
    else:
        result = np.asarray(result).astype(np.float64) - offset
        _require_shape(result.shape, frame.shape)
    result = _finite(result, analysed)
    if other is not None:
        _require_shape(np.shape(other), frame.shape, "the other exposure")
        away, _ = first_look(other)
        second = np.asarray(other, np.float64) - away if away else np.asarray(other)
        exposure = analyse(second, sampling=pixel)
        unseen = partial(on_exposure, analysed, exposure)
    known = {crystal.lower(): spacing_of(crystal)} if crystal else {}
    return opinion(
        gather(
            analysed,
            result,
            pixel_check=check(analysed.ring, pixel, known, certain=bool(crystal)),
            mode=None if kind == "auto" else image_mode(kind),
            unseen=unseen,
        )
    )


def judge_file(path: Path, request: Request, terminal: Terminal) -> int:
    """Judge a result of a file, and write page, picture and numbers.

    Parameters
    ----------
    path
        The frame.
    request
        What is to be judged, and how.
    terminal
        Where it is told.

    Returns
    -------
    int
        Exit code: 0, or `CONTRADICTED`.

    Raises
    ------
    DataError
        If a file cannot be read, or they do not belong together; nothing is written then.
    OSError
        If the page cannot be written.
    """
    from temdenoise.report.judged import summarise

    program = named_program(request.command) if request.command else None
    micrograph, frame = _image(path, "frame", number=request.frame, signal=request.signal)
    given = None if request.sampling is None else PixelSize.of(request.sampling)
    sampling = given or micrograph.sampling
    if sampling is None:
        spacing = spacing_of(request.crystal) if request.crystal else None
        sampling = size_from_lattice(path, first_look(frame)[1], spacing)
    require_resolving(sampling)
    inputs, result, other = {path}, None, None
    if request.result is not None:
        inputs.add(request.result)
        about, result = _image(
            request.result, "result", number=request.frame, of=len(micrograph.frames)
        )
        _require_colourless(about)
        _require_pixel_size(about, sampling, request, frame.shape, result.shape)
    if request.other is not None:
        inputs.add(request.other)
        number = request.other_frame
        about, other = _image(request.other, "other exposure", number=number)
        _require_pixel_size(about, sampling, request, frame.shape, other.shape)
        same = request.other.resolve() == path.resolve() and number == request.frame
        if same or np.array_equal(frame, other):
            raise DataError(
                f"{request.other}: the other exposure is the frame itself, whose noise the result "
                "has seen; name another exposure (--other-frame N, of a stack)"
            )
    named = request.result or path
    name = named.name.removesuffix("".join(named.suffixes[-1:]))
    if program is not None:
        name = f"{name}_{program.name}"
    folder = request.output or named.parent
    files = {key: folder / f"{name}{ending}" for key, ending in JUDGED.items()}
    Guard(inputs={one.resolve() for one in inputs}).check(path, files)
    terminal.say(_opening(path, request, program, frame, sampling))
    judged = judge_result(
        frame,
        result,
        sampling=(sampling.rows, sampling.columns),
        program=program,
        other=other,
        crystal=request.crystal,
        kind=request.kind,
    )
    about_files = {
        "frame": path.name,
        "frame_number": request.frame,
        "result": request.result and request.result.name,
        "command": request.command,
        "other": request.other and request.other.name,
        "files": {key: file.name for key, file in files.items()},
    }
    numbers = about_files | judged.numbers()
    picture, page = summarise(judged, numbers)
    with atomic(files["picture"]) as temporary:
        temporary.write_bytes(picture)
    with atomic(files["page"]) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    write_json(files["numbers"], numbers)
    _tell(judged, terminal)
    terminal.say(f"  written: {files['page']}")
    return CONTRADICTED if judged.verdict.level == "no" else 0


def _function(program: Program | Denoise) -> Denoise:
    if not isinstance(program, Program):
        return program
    return replace(program, rescale=False).denoise_frame


def _image(
    path: Path,
    what: str,
    *,
    number: int | None = None,
    signal: str | None = None,
    of: int = 1,
) -> tuple[Micrograph, np.ndarray]:
    """Read the one image of a file; of a stack the frame that is named.

    A single image may belong to a frame of a stack of `of` frames, whatever its number.
    """
    found = read(path, signal=signal)
    if len(found) > 1:
        listed = "; ".join(f"{one.label}: {' x '.join(map(str, one.data.shape))}" for one in found)
        remedy = "choose one with --signal" if what == "frame" else "save the one alone to a file"
        raise DataError(
            f"{path}: holds {len(found)} images ({listed}), expected the {what} alone: {remedy}"
        )
    (micrograph,) = found
    frames = micrograph.frames
    if len(frames) == 1 and (number is None or number == 1 or of > 1):
        return micrograph, np.asarray(frames[0])
    option = "--other-frame" if what.startswith("other") else "--frame"
    if number is None:
        raise DataError(
            f"{path}: holds {len(frames)} frames, expected one {what}: choose it with {option} N"
        )
    if not 1 <= number <= len(frames):
        raise DataError(
            f"{path}: {option} {number}: expected a number from 1 to {len(frames)}, the frames "
            "it holds"
        )
    return micrograph, np.asarray(frames[number - 1])


def _require_colourless(micrograph: Micrograph) -> None:
    """Refuse pictures in colours: brightness is not what their colour scale shows."""
    if any("colour" in note for note in micrograph.notes):
        raise DataError(
            f"{micrograph.path}: a picture in colours, such as a screenshot: its brightness is not "
            "the signal; save the denoised image itself, as TIFF, .npy or the program's own format"
        )


def _require_pixel_size(
    micrograph: Micrograph,
    sampling: PixelSize,
    request: Request,
    shape: tuple[int, ...],
    given: tuple[int, ...],
) -> None:
    """Refuse an image of the frame's shape that says another pixel size."""
    stored = micrograph.sampling
    if stored is None or request.sampling is not None or given != shape:
        return
    ratios = [one / other for one, other in zip(stored, sampling, strict=True)]
    if all(abs(ratio - 1) < TOLERANCE for ratio in ratios):
        return
    raise DataError(
        f"{micrograph.path}: its pixels are of {stored.rows:.4g} x {stored.columns:.4g} Å, those "
        f"of the frame of {sampling.rows:.4g} x {sampling.columns:.4g} Å ({ratios[0]:.3g} times): "
        "it does not show the same area; give the result of this very frame, or, if only the file "
        "is wrong, the right pixel size with --sampling"
    )


def _require_shape(
    given: tuple[int, ...], shape: tuple[int, ...], what: str = "the result"
) -> None:
    """Refuse an image of another shape than the frame's, and say what fits."""
    if given == shape:
        return
    about = f"{what} is an image of {_size(given)} pixels, the frame of {_size(shape)}"
    if len(shape) != 2:
        raise DataError(f"a frame of shape {shape}: expected one image, shape (rows, columns)")
    if len(given) != 2:
        raise DataError(f"{about}: expected one image, shape (rows, columns)")
    raise DataError(f"{about}: {_fitting(given, shape)}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _fitting(given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Say how an image of another shape may have come about, and what to do."""
    rows, columns = (one / other for one, other in zip(given, shape, strict=True))
    if given == shape[::-1]:
        return "it looks transposed: exchange its rows and columns"
    for factor in (2, 3, 4, 8):
        if all(abs(n / factor - m) < 1 for n, m in zip(shape, given, strict=True)):
            return f"it looks binned by {factor}: resample it to {_size(shape)}, or bin the frame"
        if all(abs(n * factor - m) < factor for n, m in zip(shape, given, strict=True)):
            return f"it looks magnified by {factor}: bin it by {factor} to {_size(shape)}"
    if abs(rows / columns - 1) < 0.01 and not 0.9 < rows < 1.1:
        return f"it looks resampled ({rows:.3g} times): resample it to {_size(shape)}"
    missing = [m - n for n, m in zip(given, shape, strict=True)]
    if max(missing) > 0 and min(missing) >= 0:
        return (
            f"it looks cut, by {missing[0]} rows and {missing[1]} columns: cut the frame alike, or "
            "have the program keep the rim"
        )
    if max(missing) <= 0:
        return (
            f"it looks padded, by {-missing[0]} rows and {-missing[1]} columns: cut it to "
            f"{_size(shape)}"
        )
    return "it does not show the same area: expected the result of this very frame"


def _finite(result: np.ndarray, frame: Frame) -> np.ndarray:
    """Fill a result where the frame holds no data; refuse missing pixels elsewhere."""
    missing = ~np.isfinite(result)
    if not missing.any():
        return result
    unexpected = int((missing & ~frame.no_data.mask).sum())
    if unexpected:
        raise DataError(
            f"{unexpected} of the {result.size} pixels of the result are not finite (NaN or "
            "infinite): what the program could not denoise cannot be judged; give it a frame "
            "without missing pixels, or fill them"
        )
    return np.where(missing, frame.image, result)


def _opening(
    path: Path, request: Request, program: Program | None, frame: np.ndarray, sampling: PixelSize
) -> str:
    what = f"what {program.name} makes of it" if program else str(request.result)
    by = "its own data, all of which the result has seen"
    if request.other is not None:
        by = f"the other exposure {request.other}"
    elif program is not None:
        by = "a part of its data that the program is not given"
    rows, columns = frame.shape
    return f"{path}: {rows} x {columns} pixels of {sampling.rows:.4g} Å; {what} is judged by {by}"


def lines(judged: Opinion) -> list[str]:
    """Say in a few lines what was measured."""
    seen = judged.seen
    frame, score = seen.frame, seen.score
    contrast = (
        f"{frame.level.over_contrast:.1f} times the lattice's contrast"
        if frame.level.contrast > 0
        else "no lattice seen"
    )
    said = [
        f"noise: {', '.join(frame.noise.kinds)}; {contrast}",
        f"difference of frame and result: {seen.rest_over_noise:.2f} times the noise",
    ]
    if np.isfinite(seen.residual.lattice_left):
        said[-1] += f", {100 * seen.residual.lattice_left:.1f} % of the lattice in it"
    if score is not None and score.valid:
        said.append(
            f"{seen.data}: program {100 * score.network:.1f} % of the variance, best Gaussian "
            f"{100 * score.gaussian:.1f} %, noise ceiling {100 * score.ceiling:.1f} %"
        )
    if seen.sites is not None:
        counts = (f"{seen.sites.count(outcome)} {outcome}" for outcome in OUTCOMES)
        said.append(f"sites of the lattice, by {seen.data}: {', '.join(counts)}")
    return said


def _tell(judged: Opinion, terminal: Terminal) -> None:
    for line in lines(judged):
        terminal.say(f"  {line}")
    good = judged.verdict.level == "good"
    for sentence in judged.sentences:
        (terminal.say if good else terminal.warn)(sentence)
