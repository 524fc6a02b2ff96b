"""Write denoised micrographs: calibrated TIFF, and the input's own format where possible."""

import copy
import importlib
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.files import atomic
from temdenoise.micrographs.readers import Micrograph

OWN_FORMATS = {".npy": None, ".hspy": "hspy", ".zspy": "zspy", ".emd": "emd"}
"""Endings that can be written, and the plugin of RosettaSciIO that does it."""


def write_tiff(
    path: str | os.PathLike, data: np.ndarray, *, sampling: tuple[float, float], quantity: str
) -> None:
    """Write float32 TIFF that ImageJ, HyperSpy and Gatan's programs open calibrated.

    Parameters
    ----------
    path
        The TIFF to write.
    data
        Shape (..., rows, columns).
    sampling
        Pixel size along rows and columns [Å]; stored in nm.
    quantity
        What the values are, for the labels of the slices.
    """
    from rsciio.tiff import file_writer

    frames = data.reshape(-1, *data.shape[-2:]).astype(np.float32, copy=False)
    frames = frames if len(frames) > 1 else frames[0]
    names = ("time", "y", "x")[-frames.ndim :]
    scales = (1.0, sampling[0] / 10, sampling[1] / 10)[-frames.ndim :]
    signal = {
        "data": frames,
        "axes": [
            {
                "name": name,
                "size": size,
                "scale": scale,
                "offset": 0.0,
                "units": "" if name == "time" else "nm",
                "navigate": name == "time",
            }
            for name, size, scale in zip(names, frames.shape, scales, strict=True)
        ],
        "metadata": {"General": {"title": quantity}, "Signal": {"quantity": quantity}},
    }
    with atomic(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file_writer(str(temporary), signal)


def own_format(micrograph: Micrograph) -> str | None:
    """Give the ending of the input's own format, if it can be written; else None."""
    ending = micrograph.path.suffix.lower()
    return ending if ending in OWN_FORMATS else None


def write_own(
    path: str | os.PathLike,
    micrograph: Micrograph,
    data: np.ndarray,
    *,
    sampling: tuple[float, float],
) -> None:
    """Write the input's own format with its axes and metadata.

    Parameters
    ----------
    path
        The file to write, with an ending of `OWN_FORMATS`.
    micrograph
        The input.
    data
        The denoised data, shape and order of the input's.
    sampling
        Pixel size along rows and columns [Å], used where the input says none or
        the user has another.
    """
    plugin = OWN_FORMATS[Path(path).suffix.lower()]
    if plugin is None:
        with atomic(path) as temporary:
            np.save(temporary, data.astype(np.float32, copy=False))
        return
    signal = {
        "data": data.astype(np.float32, copy=False),
        "axes": _axes(micrograph, data.shape, sampling),
        "metadata": _titled(micrograph.metadata, micrograph.name),
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "package_info": {"package": "temdenoise", "package_version": ""},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
    }
    options = {} if plugin == "emd" else {"show_progressbar": False}
    write = importlib.import_module(f"rsciio.{plugin}").file_writer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if plugin == "zspy":  # a folder
            with tempfile.TemporaryDirectory(dir=Path(path).parent, prefix=".zspy-") as folder:
                made = Path(folder) / "made.zspy"
                write(str(made), signal, **options)
                if Path(path).exists():
                    Path(path).rename(Path(folder) / "old.zspy")
                made.rename(path)
        else:
            with atomic(path) as temporary:
                write(str(temporary), signal, **options)


def _axes(
    micrograph: Micrograph, shape: tuple[int, ...], sampling: tuple[float, float]
) -> list[dict[str, Any]]:
    axes = copy.deepcopy([dict(axis) for axis in micrograph.axes])
    if len(axes) != len(shape):
        names = (*("time", "stack")[: len(shape) - 2], "y", "x")
        axes = [{"name": n, "offset": 0.0, "units": None, "scale": 1.0} for n in names]
    for number, axis in enumerate(axes):
        axis.update(
            size=shape[number],
            index_in_array=number,
            navigate=number < len(shape) - 2,
            _type="UniformDataAxis",
            is_binned=False,
        )
        for key, value in list(axis.items()):
            if isinstance(value, np.generic):
                axis[key] = value.item()
    for axis, step in zip(axes[-2:], sampling, strict=True):
        axis.update(scale=step / 10, units="nm")
        if micrograph.sampling is None:
            axis["offset"] = 0.0
    return axes


def _titled(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = copy.deepcopy(dict(metadata))
    general = kept.setdefault("General", {})
    general["title"] = f"{general.get('title') or name} (denoised)"
    kept.setdefault("Signal", {}).setdefault("signal_type", "")
    return kept
