"""What is written about a denoised micrograph: names of the files, and their content."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic, read_json, write_json
from temdenoise.foundation.quantities import PixelSize
from temdenoise.images.storage import Images, write_images
from temdenoise.micrographs.formats import ENDINGS as READ
from temdenoise.micrographs.marked import LAYERS, NAMES, MarkedFrame
from temdenoise.micrographs.readers import Micrograph
from temdenoise.micrographs.result_formats import BITS, RESULT_FORMATS, WRITTEN_AS
from temdenoise.micrographs.writers import (
    Scale,
    own_format,
    scale_of,
    write_image,
    write_own,
)

if TYPE_CHECKING:  # files are named and refused before PyTorch is imported
    from temdenoise.learning.description import ModelDescription
    from temdenoise.micrographs.marks import Marks
    from temdenoise.micrographs.stack import Judged, Result

IMAGES = ("denoised", "sigma", "gaussian")
"""Images that are always written, or may be (the Gaussian)."""

ENDINGS = {
    "eyes": "_denoised.png",
    "page": "_summary.html",
    "picture": "_summary.png",
    "numbers": "_summary.json",
}
"""What is always written besides."""

MARKED = {"marked": "_marked.tif"}
"""What figure 3 shows."""

FIGURE = {kind: f"_figure_3.{kind}" for kind in ("pdf", "png", "csv")}
"""Figure 3 itself."""

JUDGED = {"page": "_judged.html", "picture": "_judged.png", "numbers": "_judged.json"}
"""What is written about another program's result."""


@dataclass(frozen=True)
class Output:
    """Where results are written, and how.

    Attributes
    ----------
    folder
        To write to.
    file
        The denoised image itself, if it was named; None: named like the input.
    format
        Of the images, one of `RESULT_FORMATS`; None: TIFF, and the input's own format beside it.
    bits
        Of the images, see `writers.write_image`.
    """

    folder: Path
    file: Path | None = None
    format: str | None = None
    bits: int = 32

    def __post_init__(self) -> None:
        for name, value, known in (
            ("format", self.format, (None, *RESULT_FORMATS)),
            ("bits", self.bits, BITS),
        ):
            if value not in known:
                expected = ", ".join(str(one) for one in known if one is not None)
                raise DataError(f"{name} = {value!r}: expected one of {expected}")

    @classmethod
    def at(cls, path: str | Path, *, format: str | None = None, bits: int = 32) -> "Output":
        """Take a path for a folder, or, by its ending, for the name of the denoised image.

        Raises
        ------
        DataError
            If it is a file that is no image that can be written, or has the ending of a
            format other than the one that is asked for.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if path.is_dir() or not (
            path.is_file() or ending in WRITTEN_AS or ending.removeprefix(".") in READ
        ):
            return cls(path, format=format, bits=bits)
        expected = f"expected a folder, or an ending of {', '.join(WRITTEN_AS)}"
        if ending not in WRITTEN_AS:
            raise DataError(f"{path}: the name of a file in which no result can be; {expected}")
        if format not in (None, WRITTEN_AS[ending]):
            raise DataError(f"{path}: the ending is not that of --format {format}; give one alone")
        return cls(path.parent, file=path, format=WRITTEN_AS[ending], bits=bits)


def files_of(
    micrograph: Micrograph, output: Output, *, marked: bool = False, figure: bool = False
) -> dict[str, Path]:
    """Name the files that are written about a micrograph.

    Parameters
    ----------
    micrograph
        The micrograph.
    output
        Where to write to, and how.
    marked, figure
        Whether what figure 3 shows is stored, and figure 3 is drawn of it as well.
    """
    suffix = RESULT_FORMATS[output.format or "tiff"]
    endings = {key: f"_{key}{suffix}" for key in IMAGES} | ENDINGS
    endings |= (MARKED if marked or figure else {}) | (FIGURE if figure else {})
    own = own_format(micrograph)
    if own and output.format is None:
        endings["own"] = f"_denoised{own}"
    name = output.file.stem.removesuffix("_denoised") if output.file else micrograph.name
    files = {key: output.folder / f"{name}{ending}" for key, ending in endings.items()}
    return files if output.file is None else files | {"denoised": output.file}


def is_result(path: Path) -> bool:
    """Tell whether an image was written by this program: a summary beside it names it."""
    stem = path.name.removesuffix(path.suffix)
    own = {ending.partition(".")[0] for ending in (*ENDINGS.values(), *MARKED.values())}
    own |= {f"_{key}" for key in IMAGES}
    for ending in own:
        if stem.endswith(ending):
            numbers = path.with_name(f"{stem.removesuffix(ending)}{ENDINGS['numbers']}")
            if numbers.is_file():
                return True
    if stem.endswith("_judged") and path.with_name(f"{stem}.json").is_file():
        return True
    try:
        written = read_json(path.with_name(f"{stem}{ENDINGS['numbers']}"))["files"]
        return path.name in written.values()
    except (OSError, DataError, KeyError, TypeError, AttributeError):
        return False


def replaced_file(files: Mapping[str, Path], micrograph: Micrograph) -> str | None:
    """Name the other file whose results are about to be replaced; None if there is none."""
    try:
        other = read_json(files["numbers"])["file"]
    except (OSError, DataError, KeyError, TypeError):
        return None
    return None if other == micrograph.path.name else str(other)


@dataclass
class Guard:
    """Refuses to overwrite an input, or the results of another micrograph.

    Attributes
    ----------
    inputs
        Files that must not be overwritten, resolved.
    written
        Files written so far, and the input of each.
    """

    inputs: set[Path] = field(default_factory=set)
    written: dict[Path, Path] = field(default_factory=dict)

    def check(self, source: Path, targets: Mapping[str, Path]) -> None:
        """Refuse before anything is computed.

        Raises
        ------
        DataError
            If a file would be overwritten that must not be.
        OSError
            If a folder cannot be written to.
        """
        for target in targets.values():
            resolved = target.resolve()
            if resolved in self.inputs:
                raise DataError(
                    f"{source}: its result {target} would overwrite an input; write to another "
                    "folder with -o"
                )
            if self.written.get(resolved, source) != source:
                raise DataError(
                    f"{source}: its result {target} would overwrite that of "
                    f"{self.written[resolved]}; write to another folder with -o"
                )
        for folder in {target.parent for target in targets.values()}:
            _check_writable(folder)

    def note(self, source: Path, targets: Mapping[str, Path]) -> None:
        """Note what was written."""
        self.written.update({target.resolve(): source for target in targets.values()})


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write to {folder} ({error.strerror or error}); name another folder with -o"
        ) from error


def summary_of(
    micrograph: Micrograph, result: "Result", model: str, trained: "ModelDescription"
) -> dict[str, Any]:
    """Describe a micrograph and what was measured on it in plain values.

    Parameters
    ----------
    micrograph
        The micrograph as read.
    result
        What became of it.
    model, trained
        Name of the model, and what it says of itself.
    """
    return {
        "file": micrograph.path.name,
        "data_set": micrograph.label or None,
        "shape": list(micrograph.data.shape),
        "type": str(micrograph.data.dtype),
        "stored_sampling_angstrom": micrograph.sampling and list(micrograph.sampling),
        "sampling_angstrom": list(result.worst.frame.sampling),
        "model": model,
        "model_kind": trained.mode.name,
        "trained_on": trained.trained_on or None,
        "frames": result.numbers,
        "broken_frames": {str(k): v for k, v in result.broken.items()},
        "shown_frame": result.worst.frame.number,
        # filled in when they are written
        "files": {},
        "scales": {},
    }


def marked_images(judged: "Judged", marks: "Marks", file: str) -> Images:
    """Return what figure 3 shows: pictures and marks of the middle of a frame.

    Parameters
    ----------
    judged
        What was found out about the frame.
    marks
        What its predicted error marks.
    file
        Name of the file it is of.

    Returns
    -------
    Images
        As recorded, denoised, sigma and marks, shape (4, x, y) with y downwards.
    """
    shown = judged.shown
    layers = [shown.before, shown.after, shown.sigma, marks.areas]
    rows, columns = judged.frame.sampling
    return Images(
        data=np.stack([np.asarray(layer, np.float32).T for layer in layers]),
        sampling=(columns, rows),
        unit="as recorded",
        quantity=", ".join(LAYERS),
        metadata=MarkedFrame(
            file=file,
            frame=judged.frame.number,
            feature=judged.features.feature,
            headline=judged.verdict.headline,
            areas=NAMES,
            places=marks.places,
        ).to_dict(),
    )


@dataclass(frozen=True)
class Drawn:
    """What was drawn of a micrograph, to be written beside its images.

    Attributes
    ----------
    eyes
        The denoised image as PNG, with a scale bar.
    picture, page
        The summary as PNG, and the page around it as HTML.
    numbers
        All that was measured, plain values.
    marked
        What figure 3 shows, if it is to be stored.
    """

    eyes: bytes
    picture: bytes
    page: str
    numbers: Mapping[str, Any]
    marked: Images | None = None


def scales_of(result: "Result", output: Output) -> dict[str, Scale]:
    """Choose how whole numbers stand for the values of each image; empty for 32 bits."""
    if output.bits == 32:
        return {}
    images = {key: getattr(result, key) for key in IMAGES}
    scales = {
        key: scale_of(image, result.sigma, output.bits)
        for key, image in images.items()
        if image is not None
    }
    # the bytes of MRC have a sign
    signed = output.format == "mrc" and output.bits == 8
    return {key: scale.signed if signed else scale for key, scale in scales.items()}


def write_results(
    files: Mapping[str, Path],
    micrograph: Micrograph,
    result: "Result",
    drawn: Drawn,
    scales: Mapping[str, Scale],
) -> None:
    """Write all that belongs to a micrograph, each file whole or not at all.

    Parameters
    ----------
    files
        See `files_of`.
    micrograph
        The micrograph as read.
    result
        What became of it.
    drawn
        What was drawn of it.
    scales
        See `scales_of`.
    """
    sampling: PixelSize = result.worst.frame.sampling
    quantities = {"denoised": "denoised", "sigma": "sigma (68 %)", "gaussian": "Gaussian"}
    for key, quantity in quantities.items():
        image = getattr(result, key)
        if image is not None:
            write_image(
                files[key], image, sampling=sampling, quantity=quantity, scale=scales.get(key)
            )
        elif files[key].exists():
            # of an earlier run with another model: it would seem to belong to this one
            files[key].unlink()
    if "own" in files:
        write_own(files["own"], micrograph, result.denoised, sampling=sampling)
    for key, content in (("eyes", drawn.eyes), ("picture", drawn.picture)):
        with atomic(files[key]) as temporary:
            temporary.write_bytes(content)
    with atomic(files["page"]) as temporary:
        # a name that is no text in UTF-8 is part of the page, too
        temporary.write_text(drawn.page, encoding="utf-8", errors="replace")
    if drawn.marked is not None:
        marked = drawn.marked
        write_images(
            files["marked"],
            marked.data,
            sampling=marked.sampling,
            quantity=marked.quantity,
            unit=marked.unit,
            **marked.metadata,
        )
    write_json(files["numbers"], dict(drawn.numbers))
