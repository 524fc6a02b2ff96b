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
from temdenoise.micrographs.marked import LAYERS, NAMES, MarkedFrame
from temdenoise.micrographs.readers import Micrograph
from temdenoise.micrographs.writers import own_format, write_own, write_tiff

if TYPE_CHECKING:  # files are named and refused before PyTorch is imported
    from temdenoise.learning.description import ModelDescription
    from temdenoise.micrographs.marks import Marks
    from temdenoise.micrographs.stack import Judged, Result

ENDINGS = {
    "denoised": "_denoised.tif",
    "sigma": "_sigma.tif",
    "gaussian": "_gaussian.tif",
    "page": "_summary.html",
    "picture": "_summary.png",
    "numbers": "_summary.json",
}
"""What is always written, or may be (the Gaussian)."""

MARKED = {"marked": "_marked.tif"}
"""What figure 3 shows."""

FIGURE = {kind: f"_figure_3.{kind}" for kind in ("pdf", "png", "csv")}
"""Figure 3 itself."""


def files_of(
    micrograph: Micrograph, folder: Path, *, marked: bool = False, figure: bool = False
) -> dict[str, Path]:
    """Name the files that are written about a micrograph.

    Parameters
    ----------
    micrograph
        The micrograph.
    folder
        To write to.
    marked, figure
        Whether what figure 3 shows is stored, and figure 3 is drawn of it as well.
    """
    endings = ENDINGS | (MARKED if marked or figure else {}) | (FIGURE if figure else {})
    own = own_format(micrograph)
    if own:
        endings["own"] = f"_denoised{own}"
    return {key: folder / f"{micrograph.name}{ending}" for key, ending in endings.items()}


def is_result(path: Path) -> bool:
    """Tell whether an image was written by this program: its summary lies beside it."""
    stem = path.name.removesuffix(path.suffix)
    for ending in (*ENDINGS.values(), *MARKED.values()):
        own = ending.partition(".")[0]
        if stem.endswith(own):
            return path.with_name(f"{stem.removesuffix(own)}{ENDINGS['numbers']}").is_file()
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
    picture, page
        The summary as PNG, and the page around it as HTML.
    numbers
        All that was measured, plain values.
    marked
        What figure 3 shows, if it is to be stored.
    """

    picture: bytes
    page: str
    numbers: Mapping[str, Any]
    marked: Images | None = None


def write_results(
    files: Mapping[str, Path], micrograph: Micrograph, result: "Result", drawn: Drawn
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
    """
    sampling: PixelSize = result.worst.frame.sampling
    write_tiff(files["denoised"], result.denoised, sampling=sampling, quantity="denoised")
    write_tiff(files["sigma"], result.sigma, sampling=sampling, quantity="sigma (68 %)")
    if result.gaussian is not None:
        write_tiff(files["gaussian"], result.gaussian, sampling=sampling, quantity="Gaussian")
    elif files["gaussian"].exists():
        # of an earlier run with another model: it would seem to belong to this one
        files["gaussian"].unlink()
    if "own" in files:
        write_own(files["own"], micrograph, result.denoised, sampling=sampling)
    with atomic(files["picture"]) as temporary:
        temporary.write_bytes(drawn.picture)
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
