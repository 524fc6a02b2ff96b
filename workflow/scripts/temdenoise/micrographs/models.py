"""Pretrained models: which there are, and which one an image needs."""

from pathlib import Path
from typing import Any

from temdenoise.errors import DataError
from temdenoise.learning.inference import Denoiser, load

FOLDER = Path(__file__).parents[1] / "models"
"""Where the models that come with the package lie; README.md in it is their card."""


def available(folder: Path = FOLDER) -> dict[str, Denoiser]:
    """Load every model of a folder, by the name of its file.

    Parameters
    ----------
    folder
        Default: the models that come with the package.
    """
    return {path.stem: load(path) for path in sorted(folder.glob("*.pt"))}


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
        If there is no model at all.
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
