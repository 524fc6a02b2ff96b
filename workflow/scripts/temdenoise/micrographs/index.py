"""What a folder of pretrained models says it holds; no model is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_json

FOLDER = Path(__file__).parents[1] / "models"
"""Where the models that ship with the package lie, each with its card."""

INDEX = "models.json"
"""What a folder of published models holds, with their SHA-256; see `sharing.publishing`."""


def index(folder: Path = FOLDER) -> Mapping[str, Mapping[str, Any]]:
    """Read what a folder says it holds, by name; nothing if it says nothing.

    Raises
    ------
    DataError
        If the index is not readable, or lists a model that is missing.
    """
    path = folder / INDEX
    listed: Mapping[str, Mapping[str, Any]] = read_json(path) if path.exists() else {}
    for name in listed:
        if not (folder / f"{name}.pt").is_file():
            raise DataError(
                f"{folder / name}.pt is missing, but {INDEX} lists it; install the package again"
            )
    return listed


def names(folder: Path = FOLDER) -> list[str]:
    """List the names of a folder's models."""
    return sorted(path.stem for path in folder.glob("*.pt"))
