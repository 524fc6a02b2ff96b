"""Folders of Zarr: HyperSpy's (.zspy), and any other."""

import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.extras import install_hint
from temdenoise.micrographs.formats import probing
from temdenoise.micrographs.formats.base import Content, Stored, Values
from temdenoise.micrographs.formats.hdf5 import write_with
from temdenoise.micrographs.formats.rosettasciio import LARGE, content_of, read_with

_DESCRIPTIONS = (".zgroup", ".zarray", "zarr.json")


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a store of Zarr."""
    return any((path / name).is_file() for name in _DESCRIPTIONS)


def is_hyperspy(path: Path) -> bool:
    """Tell whether a store was written by HyperSpy."""
    for name in (".zattrs", "zarr.json"):
        try:
            said = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        said = said.get("attributes", said) if isinstance(said, dict) else {}
        if (
            "hyperspy" in str(said.get("file_format", "")).lower()
            or (path / "Experiments").is_dir()
        ):
            return True
    return False


def read_zspy(path: Path) -> list[Content]:
    """Read a folder of HyperSpy."""
    require_zarr(path)
    _require_sound(path)
    entries = read_with("zspy", path)
    return [content_of(entry) for entry in entries]


def _require_sound(path: Path) -> None:
    """Raise if a store cannot be read; only the decoder of Blosc has to be tried beforehand."""
    described = (file for file in path.rglob("*") if file.name in (*_DESCRIPTIONS, ".zmetadata"))
    if any(b"blosc" in file.read_bytes() for file in described):
        probing.require_sound(path, "zarr")


def require_zarr(path: Path) -> None:
    """Raise a DataError if the zarr at hand is not the one RosettaSciIO can use."""
    try:
        version = metadata.version("zarr")
    except metadata.PackageNotFoundError:
        version = "none"
    if not version.startswith("2."):
        raise DataError(
            f"{path}: .zspy files need zarr 2 (found: {version}); {install_hint('zarr')} in "
            "an environment of its own, or save the data as .hspy"
        )


def read_other(path: Path) -> list[Content]:
    """Read the arrays of any other store, OME-Zarr's with their pixel sizes."""
    import zarr

    _require_sound(path)
    store: Any = zarr.open(str(path), mode="r")
    if hasattr(store, "dtype"):
        return [Content(_array(store))]
    images = store.attrs.get("multiscales") or store.attrs.get("ome", {}).get("multiscales")
    if images:
        # the first of a pyramid is the image itself
        return [_of_ome(store, image) for image in images]
    found = [
        Content(_array(value), name=name)
        for name, value in _arrays(store)
        if len(value.shape) > 1 and np.dtype(value.dtype).kind in "buifc"
    ]
    if not found:
        raise DataError(
            "a Zarr store without an array of two axes or more: export the image as TIFF or .hspy"
        )
    return found


def _arrays(group: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found = [(f"{prefix}{name}", value) for name, value in sorted(group.arrays())]
    for name, inner in sorted(group.groups()):
        found += _arrays(inner, f"{prefix}{name}/")
    return found


def _array(array: Any) -> Values:
    shape, dtype = array.shape, np.dtype(array.dtype)
    if len(shape) < 3 or np.prod(shape, dtype=float) * dtype.itemsize <= LARGE:
        return np.asarray(array[...])
    return Stored(shape, dtype, lambda index: np.asarray(array[index]))


def _of_ome(store: Any, image: dict[str, Any]) -> Content:
    first = image["datasets"][0]
    array = store[first["path"]]
    scales = [1.0] * len(array.shape)
    for change in first.get("coordinateTransformations", ()):
        if change.get("type") == "scale":
            scales = [float(scale) for scale in change["scale"]]
    said = image.get("axes") or [{"name": name} for name in "tczyx"[-len(array.shape) :]]
    axes = [
        {
            "name": axis["name"] if isinstance(axis, dict) else axis,
            "scale": scale,
            "offset": 0.0,
            "units": axis.get("unit") if isinstance(axis, dict) else None,
            "navigate": index < len(scales) - 2,
        }
        for index, (axis, scale) in enumerate(zip(said, scales, strict=True))
    ]
    return Content(_array(array), axes=axes, name=str(image.get("name") or ""))


def write_zspy(path: Path, content: Content) -> None:
    """Write a folder of HyperSpy."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".zspy-") as folder:
        made = Path(folder) / "made.zspy"
        write_with("zspy", made, content, show_progressbar=False)
        if path.exists():
            path.rename(Path(folder) / "old.zspy")
        made.rename(path)
