"""Pretrained models: which there are, whether they are whole, and which one an image needs."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.modes import ImageMode
from temdenoise.foundation.seals import digest
from temdenoise.learning.inference import Model, load
from temdenoise.micrographs.index import FOLDER, INDEX, index, names

AUTO = "auto"
"""Names no model: the pretrained one for the mode of the image."""


def available(folder: Path = FOLDER) -> Iterator[tuple[str, Model]]:
    """Yield name and model of every model of a folder.

    Raises
    ------
    DataError
        If a model is not the one the folder's index lists, or one is missing.
    """
    listed = index(folder)
    for name in names(folder):
        yield name, _whole(folder / f"{name}.pt", listed)


def _whole(path: Path, listed: Mapping[str, Mapping[str, Any]]) -> Model:
    """Load a model, after its SHA-256 if the folder has an index."""
    if listed and path.stem not in listed:
        raise DataError(
            f"{path}: not listed in {path.parent / INDEX}; install the package again, or name a "
            "model of your own with --model"
        )
    expected = listed[path.stem]["sha256"] if listed else None
    return _loaded(path, path.stat().st_mtime_ns, expected)


@cache
def _loaded(path: Path, _modified: int, expected: str | None = None) -> Model:
    """Hash and load a model once, as long as its file is not written anew."""
    if expected is not None and (found := digest(path)) != expected:
        raise DataError(
            f"{path}: SHA-256 {found}, expected {expected} ({INDEX}): damaged or replaced; "
            "install the package again, or name a model of your own with --model"
        )
    return load(path)


def named(model: str | Path, folder: Path = FOLDER) -> tuple[str, Model]:
    """Load a model by its path or, if there is no such file, by its name in a folder.

    Raises
    ------
    FileNotFoundError
        If it is neither.
    DataError
        If it is damaged.
    """
    path = Path(model)
    if path.is_file():
        return str(path), _loaded(path.resolve(), path.stat().st_mtime_ns)
    own = folder / f"{model}.pt"
    if path.name == str(model) and own.is_file():
        return str(model), _whole(own, index(folder))
    known = ", ".join(names(folder)) or "none is installed"
    raise FileNotFoundError(
        f"{model}: there is no such model; expected the path of a model.pt, such as "
        f"results/models/universal/model.pt of a run, or the name of a pretrained one ({known})"
    )


def choose(mode: ImageMode, folder: Path = FOLDER) -> tuple[str, Model]:
    """Choose the pretrained model for an image.

    Parameters
    ----------
    mode
        What the image shows.
    folder
        Where the models lie.

    Returns
    -------
    tuple of str and Model
        Its name, and the model; one for another mode if there is none for this one.

    Raises
    ------
    DataError
        If there is no model at all, or the one to choose is damaged.
    """
    # what the index says of a model need not be loaded to be known
    listed = {name: entry.get("kind") for name, entry in index(folder).items()}
    if mode.name in listed.values():
        fitting = [name for name, kind in listed.items() if kind == mode.name]
        models = {name: named(name, folder)[1] for name in fitting}
    else:
        models = dict(available(folder))
        models = {n: m for n, m in models.items() if m.description.mode == mode} or models
    if not models:
        raise DataError(
            f"no pretrained model is installed (looked in {folder}): name one with --model, such "
            "as results/models/universal/model.pt of a run of the workflow"
        )
    # one for all noises before one for a single noise
    return min(models.items(), key=lambda item: not item[1].description.universal)
