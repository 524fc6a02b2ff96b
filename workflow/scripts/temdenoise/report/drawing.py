"""Draw a figure of the catalogue from the files of a run."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ase.io import read
from matplotlib.figure import Figure

from temdenoise.foundation.files import read_json, read_table
from temdenoise.images.storage import read_images
from temdenoise.report.catalogue import TEST_IMAGES, Entry, by_wildcard, entry_of
from temdenoise.report.examples import read_examples

READERS: Mapping[str, Callable[[str], Any]] = {
    ".csv": read_table,
    ".extxyz": read,
    ".json": read_json,
    ".tif": read_images,
}
"""How files are read, by the ending of their name."""


def draw(
    figure: str,
    files: Mapping[str, str | Sequence[str]],
    *,
    c_noise: Sequence[float],
    settings: Mapping[str, Any],
) -> tuple[Figure, list[dict[str, Any]]]:
    """Read the files of a figure and draw it.

    Parameters
    ----------
    figure
        Its name, see `catalogue.figure_names`.
    files, c_noise, settings
        See `catalogue.files_of`, `catalogue.c_noise_of` and `catalogue.settings_of`.

    Returns
    -------
    tuple of Figure and list
        The figure, and the rows of its CSV.
    """
    entry, _ = entry_of(figure)
    arguments = _read(entry, files)
    if any(argument in TEST_IMAGES for argument in entry.files):
        arguments["shown"] = read_examples(files, c_noise)
    module, _, function = entry.draw.partition(":")
    drawn: tuple[Figure, list[dict[str, Any]]] = getattr(
        import_module(f"temdenoise.report.{module}"), function
    )(**arguments, **settings)
    return drawn


def _read(entry: Entry, files: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Read what is no test image."""
    arguments: dict[str, Any] = {}
    for argument, template in entry.files.items():
        if argument in TEST_IMAGES:
            continue
        reader, paths = READERS[Path(template).suffix], files[argument]
        arguments[argument] = (
            reader(paths)
            if isinstance(paths, str)
            else {name: reader(path) for name, path in by_wildcard(template, paths).items()}
        )
    return arguments
