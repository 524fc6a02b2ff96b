"""One file of a microscope in, pictures and a summary out."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from temdenoise.errors import DataError
from temdenoise.files import atomic, write_json
from temdenoise.learning.inference import Denoiser
from temdenoise.micrographs import models
from temdenoise.micrographs.calibration import first_ring
from temdenoise.micrographs.marks import LAYERS, NAMES
from temdenoise.micrographs.noise_estimate import without_impulses
from temdenoise.micrographs.pipeline import Frame, Result, denoise_micrograph, judged_kind
from temdenoise.micrographs.readers import Micrograph, read
from temdenoise.micrographs.spectrum import lattice_peaks, middle, spectrum
from temdenoise.micrographs.writers import own_format, write_own, write_tiff
from temdenoise.storage import read_images, write_images

Say = Callable[[str], None]
Summarise = Callable[..., tuple[bytes, str]]
Draw = Callable[..., None]

FIGURE = ("pdf", "png", "csv")
"""Files of a drawn figure."""


def denoise_file(
    path: Path,
    *,
    output: Path | None,
    model: Path | str | None,
    kind: str,
    sampling: float | None,
    spacings: Mapping[str, float] | None,
    summarise: Summarise,
    protected: set[Path],
    written: dict[Path, Path],
    say: Say,
    warn: Say,
    bar: TextIO | None = None,
    marked: bool = False,
    draw: Draw | None = None,
) -> bool:
    """Denoise every image of a file and write the results.

    Everything is computed before anything is written, and every file appears whole or
    not at all.

    Parameters
    ----------
    path
        The file.
    output
        Folder to write to; default the file's own.
    model
        A model of the user's, or the name of a pretrained one; default the pretrained one
        for the kind of image.
    kind
        ``adf``, ``density``, or ``auto`` to judge it.
    sampling
        Pixel size [Å]; default the file's.
    spacings
        Spacing of the first ring of the user's crystal by name [Å], if given.
    summarise
        Draws the summary: (picture as PNG, page as HTML) of a description.
    protected
        Files that must not be overwritten: all inputs, resolved.
    written
        Files written so far, and the input of each; added to.
    say, warn
        For what the user may want to know, and must know.
    bar
        Where to draw a progress bar for stacks; none if not given.
    marked
        Whether to store also what figure 3 shows: ``NAME_marked.tif``.
    draw
        Draws figure 3 of what is stored there into the files given by ``pdf``, ``png`` and
        ``csv``; not drawn if not given.

    Returns
    -------
    bool
        False if a frame of a stack could not be denoised.

    Raises
    ------
    DataError
        If the file cannot be read or used; nothing is written then.
    OSError
        If the results cannot be written.
    """
    folder = output or path.parent
    micrographs = read(path)
    complete = True
    for micrograph in micrographs:
        names = _names(
            micrograph, folder, protected, written, marked=marked or bool(draw), drawn=bool(draw)
        )
        _writable(folder)
        for note in micrograph.notes:
            warn(f"{path}: {note}")
        pixel, taken = _sampling(micrograph, sampling, spacings, say)
        judged = kind if kind != "auto" else judged_kind(_first_finite(micrograph), pixel)
        name, denoiser = models.choose(judged) if model is None else models.named(model)
        say(_opening(micrograph, pixel, judged, name, automatic=kind == "auto"))
        result = denoise_micrograph(
            micrograph.data,
            denoiser,
            sampling=pixel,
            spacings=spacings,
            taken=taken,
            progress=_progress(bar) if bar and len(micrograph.frames) > 1 else None,
        )
        about = _about(micrograph, result, denoiser, name, pixel)
        picture, page = summarise(result.frame, about)
        _write(micrograph, result, names, pixel, about, picture, page)
        if draw:
            draw(read_images(names["marked"]), {kind: names[kind] for kind in FIGURE})
        written.update({target.resolve(): path for target in names.values()})
        for line in lines(result):
            say(f"  {line}")
        verdict = result.frame.verdict
        (say if verdict.level == "good" else warn)(f"{path}: {verdict.headline}")
        if verdict.level != "good":
            for remedy in verdict.remedies:
                warn(f"  what would help: {remedy}")
        for number, message in result.broken.items():
            warn(f"{path}: frame {number} could not be denoised: {message} (left empty: NaN)")
        complete &= not result.broken
        say(f"  written: {names['denoised']} and {names['page'].name}")
    return complete


def lines(result: Result) -> list[str]:
    """Say in a few lines what was measured on the worst frame."""
    frame = result.frame
    prepared, score = frame.prepared, frame.score
    ratio = prepared.fit.noise_over_contrast
    told = [
        f"noise: {', '.join(prepared.noise.kinds)}; "
        + (
            f"{ratio:.1f} times the lattice's contrast" if np.isfinite(ratio) else "no lattice seen"
        ),
        f"pixel size: {frame.calibration.text}",
    ]
    if score is not None:
        told.append(
            f"unseen pixels: network {100 * score.network:.1f} %, best Gaussian "
            f"{100 * score.gaussian:.1f} % of their variance, mean 0 %"
            + (
                f", all but the noise {100 * score.ceiling:.1f} %"
                if score.valid
                else " (says nothing: the noise is correlated)"
            )
        )
    if len(result.numbers) > 1:
        told.insert(0, f"frame {frame.number}, the one with the worst verdict:")
    return told


def _names(
    micrograph: Micrograph,
    folder: Path,
    protected: set[Path],
    written: Mapping[Path, Path],
    *,
    marked: bool,
    drawn: bool,
) -> dict[str, Path]:
    """Name the files to write, and refuse to overwrite an input or another one's results."""
    name = micrograph.name
    endings = {
        "denoised": "_denoised.tif",
        "sigma": "_sigma.tif",
        "gaussian": "_gaussian.tif",
        "page": "_summary.html",
        "picture": "_summary.png",
        "numbers": "_summary.json",
    }
    if marked:
        endings["marked"] = "_marked.tif"
    if drawn:
        endings |= {kind: f"_figure_3.{kind}" for kind in FIGURE}
    own = own_format(micrograph)
    if own:
        endings["own"] = f"_denoised{own}"
    names = {key: folder / f"{name}{ending}" for key, ending in endings.items()}
    for target in names.values():
        if target.resolve() in protected:
            raise DataError(
                f"{micrograph.path}: its result {target} would overwrite an input; write to "
                "another folder with -o"
            )
        if target.resolve() in written and written[target.resolve()] != micrograph.path:
            raise DataError(
                f"{micrograph.path}: its result {target} would overwrite that of "
                f"{written[target.resolve()]}; write to another folder with -o"
            )
    return names


def _writable(folder: Path) -> None:
    """Fail before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write to {folder} ({error.strerror or error}); name another folder with -o"
        ) from error


def _sampling(
    micrograph: Micrograph,
    given: float | None,
    spacings: Mapping[str, float] | None,
    say: Say,
) -> tuple[tuple[float, float], bool]:
    """Give the pixel size, and whether it was taken from the lattice."""
    said = micrograph.sampling
    if given is not None:
        if said and abs(np.sqrt(said[0] * said[1]) / given - 1) > 0.005:
            say(
                f"{micrograph.path}: pixel size {given:g} Å as given, not {said[0]:.4g} Å as stored"
            )
        return (given, given), False
    if said is not None:
        return said, False
    if spacings:
        found = sampling_from_lattice(_first_finite(micrograph), next(iter(spacings.values())))
        if found:
            say(f"{micrograph.path}: no pixel size stored; {found:.4g} Å by the lattice's ring")
            return (found, found), True
    raise DataError(
        f"{micrograph.path}: the file does not say its pixel size; give it with --sampling, in Å"
        + (
            " (no lattice ring was found to take it from)"
            if spacings
            else ", or the crystal with --crystal, and it is taken from the lattice"
        )
    )


def sampling_from_lattice(frame: np.ndarray, spacing: float) -> float | None:
    """Take the pixel size from the lattice's first ring.

    Parameters
    ----------
    frame
        Shape (rows, columns).
    spacing
        Spacing of the planes that make the ring [Å].

    Returns
    -------
    float or None
        Pixel size [Å]; None if no ring is found.
    """
    part, _ = without_impulses(middle(np.asarray(frame)))
    size = spacing / 16
    for _ in range(6):
        ring = first_ring(lattice_peaks(spectrum(part, (size, size))))
        if ring is None:
            return None
        size, last = size * spacing / ring.spacing, size
        if abs(size / last - 1) < 1e-3:
            break
    return size


def _first_finite(micrograph: Micrograph) -> np.ndarray:
    frames = micrograph.frames
    for frame in frames:
        if np.isfinite(frame).any() and frame.min() != frame.max():
            return frame
    return frames[0]


def _opening(
    micrograph: Micrograph,
    pixel: tuple[float, float],
    kind: str,
    model: str,
    *,
    automatic: bool,
) -> str:
    frames, rows, columns = micrograph.frames.shape
    what = f"{rows} x {columns} pixels of {pixel[0]:.4g} Å"
    if frames > 1:
        what = f"{frames} frames of {what}"
    looks = {"adf": "bright atoms", "density": "dark pores"}[kind]
    return (
        f"{micrograph.path}: {what}, {looks} ({'judged' if automatic else 'as said'}), "
        f"model {model}"
    )


def _progress(bar: TextIO) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        filled = round(30 * done / total)
        end = "\n" if done == total else ""
        bar.write(f"\r  [{'#' * filled}{'.' * (30 - filled)}] frame {done} of {total}{end}")
        bar.flush()

    return show


def _about(
    micrograph: Micrograph,
    result: Result,
    denoiser: Denoiser,
    name: str,
    pixel: tuple[float, float],
) -> dict[str, Any]:
    """Describe the whole file for the summary."""
    return {
        "file": micrograph.path.name,
        "data_set": micrograph.label or None,
        "shape": list(micrograph.data.shape),
        "type": str(micrograph.data.dtype),
        "stored_sampling_angstrom": None
        if micrograph.sampling is None
        else [float(s) for s in micrograph.sampling],
        "sampling_angstrom": [float(s) for s in pixel],
        "model": name,
        "model_kind": models.kind_of_model(denoiser.about),
        "trained_on": denoiser.about.get("trained_on"),
        "frames": result.numbers,
        "broken_frames": {str(k): v for k, v in result.broken.items()},
        "shown_frame": result.frame.number,
    }


def _write(
    micrograph: Micrograph,
    result: Result,
    names: Mapping[str, Path],
    pixel: tuple[float, float],
    about: Mapping[str, Any],
    picture: bytes,
    page: str,
) -> None:
    write_tiff(names["denoised"], result.denoised, sampling=pixel, quantity="denoised")
    write_tiff(names["sigma"], result.sigma, sampling=pixel, quantity="sigma (68 %)")
    if result.gaussian is not None:
        write_tiff(names["gaussian"], result.gaussian, sampling=pixel, quantity="Gaussian")
    elif names["gaussian"].exists():
        # of an earlier run with another model: it would seem to belong to this one
        names["gaussian"].unlink()
    if "own" in names:
        write_own(names["own"], micrograph, result.denoised, sampling=pixel)
    with atomic(names["picture"]) as temporary:
        temporary.write_bytes(picture)
    with atomic(names["page"]) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if "marked" in names:
        _write_marked(names["marked"], result.frame, about)
    write_json(names["numbers"], dict(about))


def _write_marked(path: Path, frame: Frame, about: Mapping[str, Any]) -> None:
    """Store what figure 3 shows: pictures and marks of the middle of the frame shown."""
    shown, marks = frame.shown, frame.marks()
    layers = [shown["before"], shown["after"], shown["sigma"], marks.areas]
    rows, columns = frame.prepared.sampling
    write_images(
        path,
        np.stack([np.asarray(layer, np.float32).T for layer in layers]),
        sampling=(columns, rows),
        quantity=", ".join(LAYERS),
        unit="as recorded",
        file=about["file"],
        frame=frame.number,
        feature=frame.features["feature"],
        headline=frame.verdict.headline,
        areas={str(value): name for value, name in NAMES.items()},
        places=marks.places,
    )
