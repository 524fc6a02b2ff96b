"""The command `temdenoise implant`: what a denoiser keeps of atoms planted into a frame."""

import math
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.foundation.files import atomic, write_json, write_table
from temdenoise.foundation.lattices import spacing_of
from temdenoise.foundation.modes import mode_by_contrast
from temdenoise.foundation.quantities import PixelSize
from temdenoise.judging.programs import Program
from temdenoise.micrographs.fission import Denoise
from temdenoise.micrographs.frame import analyse, contrast_of, first_look, size_from_lattice
from temdenoise.micrographs.implants import KEPT, Comparison, Ground, Planting, measure_responses
from temdenoise.micrographs.readers import Micrograph, read
from temdenoise.micrographs.results import Guard
from temdenoise.micrographs.sites import atoms_of
from temdenoise.micrographs.units import require_resolving

if TYPE_CHECKING:  # a file is read, or refused, before PyTorch is imported
    from temdenoise.api import Plan

STEADY = 4.0
"""How many times stronger noise is taken to be when the lattice's phases are smoothed, so that
sites do not wander with it. By how much atoms depart from their sites is measured besides."""

ENDINGS = {"table": ".csv", "numbers": ".json", "picture": ".png"}
"""What is written, after ``NAME_implants``."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Implanted:
    """What a denoiser made of a frame with implants.

    Attributes
    ----------
    comparison
        Frames, results, responses.
    denoiser
        Name of the model, or the command.
    sampling
        Pixel size [Å].
    origin
        Row and column of the whole frame at which the part that was used begins.
    planting
        What was planted.
    notes
        What the user should know besides.
    """

    comparison: Comparison = field(repr=False)
    denoiser: str
    sampling: PixelSize
    origin: tuple[int, int]
    planting: Planting
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """List every implant, see `Comparison.rows`; places are those of the whole frame."""
        row, column = self.origin
        return [
            one | {"row": round(one["row"] + row, 2), "column": round(one["column"] + column, 2)}
            for one in self.comparison.rows()
        ]

    def numbers(self) -> dict[str, Any]:
        """Return the summary as plain values, NaN as None."""
        ground = self.comparison.ground
        return {
            "denoiser": self.denoiser,
            "sampling_angstrom": list(self.sampling),
            "origin": list(self.origin),
            "shape": list(ground.image.shape),
            "noise": "counts" if ground.counts else "variance linear in the mean",
            "readout": ground.noise.readout,
            "gain": ground.noise.gain,
            "seed": self.planting.seed,
            "runs": len(self.comparison.runs),
            "kept_from": KEPT,
            "atom_width_angstrom": ground.atoms.motif.width,
            "species_heights": _species_heights(ground),
            "groups": [
                {key: _plain(value) for key, value in group.numbers().items()}
                for group in self.comparison.groups
            ],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """Say in a few lines what was found."""
        several = len({group.species for group in self.comparison.groups}) > 1
        found = []
        for group in self.comparison.groups:
            what = group.kind if group.strength == 0 else f"{group.kind} {group.strength:g} x"
            low, high = (100 * limit for limit in group.kept_interval)
            response = group.response
            found.append(
                what
                + (f" at species {group.species}" if several else "")
                + f": {group.number} planted, response {response.value:.2f} "
                f"({response.low:.2f} to {response.high:.2f}), kept {group.kept} "
                f"({low:.0f} to {high:.0f} %)"
            )
        return found

    def save(self, folder: str | Path, name: str, *, source: dict[str, Any] | None = None) -> None:
        """Write table, summary and picture; each appears whole or not at all.

        Parameters
        ----------
        folder
            To write to; made if there is none.
        name
            Of the frame; files are called ``NAME_implants``.
        source
            What the summary says besides.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        from temdenoise.report.implants import picture

        files = files_of(Path(folder), name)
        drawn = picture(self.comparison, self.sampling, f"{name}: {self.denoiser}")
        write_table(files["table"], self.rows())
        write_json(files["numbers"], (source or {}) | self.numbers())
        with atomic(files["picture"]) as temporary:
            temporary.write_bytes(drawn)


def files_of(folder: Path, name: str) -> dict[str, Path]:
    """Name the files that are written about a frame.

    Examples
    --------
    >>> files_of(Path("out"), "scan")["table"].as_posix()
    'out/scan_implants.csv'
    """
    return {key: folder / f"{name}_implants{ending}" for key, ending in ENDINGS.items()}


def implant(
    image: np.ndarray,
    *,
    sampling: float | tuple[float, float],
    denoise: Denoise | None = None,
    name: str = "denoiser",
    model: str | Path = "auto",
    mode: str = "auto",
    planting: Planting | None = None,
) -> Implanted:
    """Plant vacancies and foreign atoms into a frame, and see what a denoiser makes of them.

    Of a large frame the middle is used.

    Parameters
    ----------
    image
        The frame as recorded, shape (rows, columns), any real type.
    sampling
        Pixel size [Å], one number or (rows, columns).
    denoise
        A function from an image to a denoised one of the same shape and intensity; None: a model
        of this package.
    name
        Of that function, for the summary.
    model, mode
        The model, if no function is given, see `temdenoise.denoise`.
    planting
        What is planted.

    Raises
    ------
    DataError
        If the frame cannot be used: it shows no lattice of two directions, is too small, or holds
        no picture.
    ValueError
        If the pixel size is no length, or the image no frame.

    Examples
    --------
    >>> import numpy as np
    >>> rows, columns = 0.2 * np.mgrid[:256, :256]
    >>> lattice = np.cos(2 * np.pi * rows / 2.5) + np.cos(2 * np.pi * columns / 2.5)
    >>> frame = np.random.default_rng(0).poisson(20 * np.exp(lattice))
    >>> planting = Planting(strengths=(0.0,), count=20)
    >>> found = implant(frame, sampling=0.2, denoise=lambda image: image, planting=planting)
    >>> (vacancies,) = found.comparison.groups
    >>> vacancies.kind, vacancies.number, round(vacancies.response.value)
    ('vacancy', 20, 1)
    """
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype.kind not in "buif" or not image.size:
        raise ValueError(
            f"image of shape {image.shape} and type {image.dtype}: expected one frame of real "
            "numbers, shape (rows, columns)"
        )
    size = PixelSize.of(sampling)
    require_resolving(size)
    part = _part_of(image, size)
    if denoise is not None:
        return _compared(part, denoise, name, size, planting or Planting())
    own, name = _own(part.image, size, model=model, mode=mode)
    return _compared(part, own, name, size, planting or Planting())


@dataclass(frozen=True)
class _Part:
    """The part of a frame that is used, and what is planted into.

    Attributes
    ----------
    image
        float64, finite, as recorded, shape (rows, columns).
    origin
        Row and column in the frame at which it begins.
    ground
        The same, ready to be planted into.
    notes
        What the user should know of it.
    """

    image: np.ndarray
    origin: tuple[int, int]
    ground: Ground
    notes: tuple[str, ...]


def _part_of(recorded: np.ndarray, sampling: PixelSize) -> _Part:
    """Cut and analyse the middle of a frame; raise if nothing can be planted into it."""
    offset, _ = first_look(recorded)
    values = np.asarray(recorded, dtype=np.float64) - offset
    frame = analyse(values, sampling=sampling)
    window = frame.centre
    image, clean = values[window], frame.image[window].astype(np.float64)
    image = np.where(np.isfinite(image), image, clean)
    atoms = atoms_of(clean, frame.peaks, sampling, noise=STEADY * frame.noise.sigma)
    if atoms is None:
        raise DataError(
            "no lattice of two directions is seen in the frame, so there are no sites to plant "
            "at: check the pixel size, or take a frame of a crystal along a zone axis"
        )
    notes = []
    if not frame.noise_model.known:
        notes.append(
            "the noise was filtered, by interpolation perhaps, so that of implants may differ from "
            "it: take the frame as the detector recorded it"
        )
    if contrast_of(atoms.cells.lay(atoms.cells.average(clean))) < 0:
        notes.append(
            "the frame shows "
            f"{mode_by_contrast(-1).looks}: what is planted at are its bright places, which need "
            "not be atoms"
        )
    if image.shape != frame.image.shape:
        notes.append(
            f"of {frame.image.shape[0]} x {frame.image.shape[1]} pixels the middle "
            f"{image.shape[0]} x {image.shape[1]} were used"
        )
    ground = Ground.of(clean, atoms, frame.noise_model)
    # outlier pixels are part of what a denoiser is given
    ground = replace(ground, image=image)
    return _Part(image, (window[0].start, window[1].start), ground, tuple(notes))


def _compared(
    part: _Part, denoise: Denoise, name: str, sampling: PixelSize, planting: Planting
) -> Implanted:
    def checked(image: np.ndarray) -> np.ndarray:
        result = np.asarray(denoise(image), dtype=np.float64)
        if result.shape != image.shape or not np.isfinite(result).all():
            raise DataError(
                f"{name}: returned an image of shape {result.shape}, expected finite numbers of "
                f"shape {image.shape}"
            )
        return result

    found = measure_responses(part.ground, checked, planting)
    return Implanted(found, name, sampling, part.origin, planting, part.notes)


def _own(
    image: np.ndarray, sampling: PixelSize, *, model: str | Path, mode: str
) -> tuple[Denoise, str]:
    """Choose a model of this package once, for the frame as recorded."""
    from temdenoise.api import Options, plan_of

    def micrograph(values: np.ndarray) -> Micrograph:
        data = values.astype(np.float32)
        return Micrograph(path=Path("image"), label="", data=data, sampling=sampling)

    plan: Plan = plan_of(micrograph(image), model=model, options=Options(mode=mode))

    def denoise(values: np.ndarray) -> np.ndarray:
        carried = replace(plan, micrograph=micrograph(values)).carry_out()
        return np.asarray(carried.image, dtype=np.float64)

    return denoise, f"model {plan.name}"


def by_program(program: Program) -> Denoise:
    """Make a function of a program: rows of the image are rows of its files.

    Raises
    ------
    ConfigurationError
        If there is no such program.
    """
    (name, *_) = shlex.split(program.command)
    if shutil.which(name) is None:
        raise ConfigurationError(
            f"{program.name} ({program.command}): cannot be started: there is no program {name!r}; "
            "give the full path of the program and check that it may be executed"
        )

    return program.denoise_frame


@dataclass(frozen=True)
class Request:
    """What is to be done with a file.

    Attributes
    ----------
    output
        Folder to write to; None: the file's own.
    program
        The denoiser, if it is not a model of this package.
    model, mode
        See `implant`.
    sampling
        Pixel size [Å], whatever the file says; None: the file's.
    crystal
        Name of the crystal from whose lattice the pixel size is taken where none is known.
    signal
        Number or name of the one signal of the file to use.
    planting
        What is planted.
    """

    output: Path | None = None
    program: Program | None = None
    model: str | Path = "auto"
    mode: str = "auto"
    sampling: float | None = None
    crystal: str | None = None
    signal: str | None = None
    planting: Planting = field(default_factory=Planting)


def implant_file(path: Path, request: Request, say: Say) -> Implanted:
    """Plant into the first frame of a file, and write what a denoiser makes of it.

    Parameters
    ----------
    path
        The file.
    request
        What is to be done.
    say
        Where to tell what was found.

    Raises
    ------
    DataError
        If the file cannot be read or used, or the denoiser fails; nothing is written then.
    ConfigurationError
        If the program cannot be started.
    OSError
        If the results cannot be written.
    """
    micrograph = _one(path, request.signal)
    files = files_of(request.output or path.parent, micrograph.name)
    Guard(inputs={path.resolve()}).check(path, files)
    denoise = None if request.program is None else by_program(request.program)
    frame = _first(micrograph)
    sampling = None if request.sampling is None else PixelSize.of(request.sampling)
    sampling = sampling or micrograph.sampling
    if sampling is None:
        spacing = spacing_of(request.crystal) if request.crystal else None
        sampling = size_from_lattice(path, first_look(frame)[1], spacing)
    frames = len(micrograph.frames)
    if frames > 1:
        say(f"{path}: frame 1 of {frames} is used")
    try:
        require_resolving(sampling)
        part = _part_of(frame, sampling)
        if request.program is None or denoise is None:
            denoise, name = _own(part.image, sampling, model=request.model, mode=request.mode)
        else:
            name = request.program.name
        found = _compared(part, denoise, name, sampling, request.planting)
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    source: dict[str, Any] = {
        "file": path.name,
        "data_set": micrograph.label or None,
        "command": None if request.program is None else request.program.command,
    }
    for note in found.notes:
        say(f"{path}: {note}")
    say(f"{path}: implants and {name}, {len(found.comparison.runs)} times with other sites")
    for line in found.lines():
        say(f"  {line}")
    found.save(files["table"].parent, micrograph.name, source=source)
    say(f"  written: {files['table']}, {files['numbers'].name} and {files['picture'].name}")
    return found


def _one(path: Path, signal: str | None) -> Micrograph:
    found: Sequence[Micrograph] = read(path, signal=signal)
    if len(found) > 1:
        names = ", ".join(one.label for one in found)
        raise DataError(f"{path}: holds {len(found)} images ({names}): choose one with --signal")
    return found[0]


def _first(micrograph: Micrograph) -> np.ndarray:
    return np.asarray(micrograph.frames[0])


def _species_heights(ground: Ground) -> dict[str, float]:
    """Mean height of the atoms of each species [intensity]."""
    heights, species = ground.atoms.motif.heights, ground.species
    return {
        str(number): float(heights[species == number].mean())
        for number in np.unique(species[species > 0])
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
