"""Pretrained models: which there are, whether they are whole, and which one an image needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temdenoise.errors import DataError
from temdenoise.files import read_json
from temdenoise.learning.inference import Denoiser, load
from temdenoise.seals import digest

FOLDER = Path(__file__).parents[1] / "models"
"""Where the models that come with the package lie, each with its card."""

INDEX = "models.json"
"""What a folder of published models holds, with their SHA-256; see `sharing.publishing`."""


def index(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Read what a folder says it holds, by name; nothing if it says nothing.

    Raises
    ------
    DataError
        If the index is not readable.
    """
    path = folder / INDEX
    return read_json(path) if path.exists() else {}


def available(folder: Path = FOLDER) -> dict[str, Denoiser]:
    """Load every model of a folder, by the name of its file.

    Parameters
    ----------
    folder
        Default: the models that come with the package.

    Raises
    ------
    DataError
        If a model is not the one the folder's index lists, or one is missing.
    """
    listed = index(folder)
    for name in listed:
        if not (folder / f"{name}.pt").is_file():
            raise DataError(
                f"{folder / name}.pt is missing, but {INDEX} lists it; install the package again"
            )
    return {path.stem: _whole(path, listed) for path in sorted(folder.glob("*.pt"))}


def _whole(path: Path, listed: Mapping[str, Mapping[str, Any]]) -> Denoiser:
    """Load a model, after its SHA-256 if the folder has an index."""
    if not listed:
        return load(path)
    remedy = "install the package again, or name a model of your own with --model"
    if path.stem not in listed:
        raise DataError(f"{path}: not listed in {path.parent / INDEX}; {remedy}")
    found, expected = digest(path), listed[path.stem]["sha256"]
    if found != expected:
        raise DataError(
            f"{path}: SHA-256 {found}, expected {expected} ({INDEX}): damaged or replaced; {remedy}"
        )
    return load(path)


def named(model: str | Path, folder: Path = FOLDER) -> tuple[str, Denoiser]:
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
        return str(path), load(path)
    own = folder / f"{model}.pt"
    if path.name == str(model) and own.is_file():
        return str(model), _whole(own, index(folder))
    names = ", ".join(sorted(p.stem for p in folder.glob("*.pt"))) or "none is installed"
    raise FileNotFoundError(
        f"{model}: there is no such model; expected the path of a model.pt, such as "
        f"results/models/universal/model.pt of a run, or the name of a pretrained one ({names})"
    )


def choose(kind: str, folder: Path = FOLDER) -> tuple[str, Denoiser]:
    """Choose the pretrained model for a kind of image.

    Parameters
    ----------
    kind
        ``adf`` (bright atoms) or ``density`` (dark pores).
    folder
        Where the models lie.

    Returns
    -------
    tuple of str and Denoiser
        Its name, and the model; one for another kind if there is none for this one.

    Raises
    ------
    DataError
        If there is no model at all, or one is damaged.
    """
    models = available(folder)
    if not models:
        raise DataError(
            f"no pretrained model is installed (looked in {folder}): name one with --model, such "
            "as results/models/universal/model.pt of a run of the workflow"
        )
    fitting = {n: m for n, m in models.items() if kind_of_model(m.about) == kind}
    # one for all noises before one for a single noise
    ordered = sorted(
        (fitting or models).items(), key=lambda item: item[1].about.get("trained_on") != "all"
    )
    return ordered[0]


def kind_of_model(about: dict[str, Any]) -> str:
    """Kind of image a model was trained on; ``density`` where it does not say."""
    return about.get("image_kind", "density")
