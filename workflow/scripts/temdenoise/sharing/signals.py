"""A HyperSpy signal in, a HyperSpy signal out.

    import hyperspy.api as hs
    from temdenoise.sharing.signals import denoise_signal
    denoised = denoise_signal(hs.load("scan.dm4"))

HyperSpy itself is not imported here.
"""

from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.errors import DataError
from temdenoise.learning.inference import Denoiser
from temdenoise.micrographs import models
from temdenoise.micrographs.pipeline import denoise_micrograph, judged_kind
from temdenoise.micrographs.units import sampling_in_angstrom


def denoise_signal(
    signal: Any, model: Denoiser | str | Path | None = None, *, sigma: bool = False
) -> Any:
    """Denoise a HyperSpy signal of images, with any navigation axes.

    A lazy signal stays lazy: each frame is denoised when it is asked for.

    Parameters
    ----------
    signal
        Two-dimensional signal (``Signal2D``), calibrated in a unit of length.
    model
        A model, its path, or the name of a pretrained one; default the pretrained one
        for the kind of image.
    sigma
        Whether to return the error that holds for 68 % of the pixels as well.

    Returns
    -------
    signal, or tuple of two
        float32, with the axes and metadata of the input, in its unit. Frames that cannot be
        denoised are NaN. ``metadata.Denoising`` holds for each frame the ``verdict`` in
        words, and the part of unseen pixels' variance the network and the best Gaussian
        explain (``network``, ``gaussian``; -1 where it could not be told); a lazy signal's
        holds nothing.

    Raises
    ------
    DataError
        If the signal holds no images or no pixel size, or no frame can be denoised.
    """
    axes = signal.axes_manager.signal_axes
    if len(axes) != 2:
        raise DataError(
            f"the signal has {len(axes)} signal axes, expected the 2 of an image; "
            "see signal.as_signal2D or signal.transpose"
        )
    # HyperSpy counts columns first; a unit that is not set is a special value in it
    steps = [
        sampling_in_angstrom(axis.scale, axis.units if isinstance(axis.units, str) else None)
        for axis in reversed(axes)
    ]
    if None in steps:
        raise DataError(
            "the signal has no pixel size; set scale and units of both its signal axes, e.g. "
            "signal.axes_manager[-1].units = 'nm'"
        )
    sampling = (steps[0], steps[1])
    data, lazy = signal.data, bool(getattr(signal, "_lazy", False))
    if not isinstance(model, Denoiser):
        if model is None:
            first = np.asarray(data[(0,) * (data.ndim - 2)])
            model = models.choose(judged_kind(first, sampling))[1]
        else:
            model = models.named(model)[1]
    if lazy:
        both, about = _lazily(data, model, sampling), {}
    else:
        result = denoise_micrograph(np.asarray(data), model, sampling=sampling)
        both = (result.denoised, result.sigma)
        about = {"Denoising": _told(result)}
    made = []
    for values, what in zip(both, ("denoised", "sigma"), strict=True):
        new = signal._deepcopy_with_new_data(values)
        new.metadata.General.title = f"{signal.metadata.General.title} ({what})".strip()
        new.metadata.add_dictionary(about)
        made.append(new)
    return tuple(made) if sigma else made[0]


def _lazily(data: Any, model: Denoiser, sampling: tuple[float, float]) -> tuple[Any, Any]:
    """Both results as dask arrays, one chunk for each frame."""
    chunks = (*(1,) * (data.ndim - 2), -1, -1)
    data = data.rechunk(dict(enumerate(chunks)))

    def one(block: np.ndarray) -> np.ndarray:
        try:
            result = denoise_micrograph(block, model, sampling=sampling)
        except DataError:
            return np.full((2, *block.shape), np.nan, np.float32)
        return np.stack([result.denoised, result.sigma])

    both = data.map_blocks(
        one,
        dtype=np.float32,
        new_axis=0,
        chunks=((2,), *data.chunks),
        meta=np.empty((0,) * (data.ndim + 1), np.float32),
    )
    return both[0], both[1]


def _told(result: Any) -> dict[str, list]:
    """Give the verdicts in a form every format of HyperSpy stores; broken frames in their place."""
    found = {numbers["frame"]: numbers for numbers in result.numbers}
    told: dict[str, list] = {"verdict": [], "network": [], "gaussian": []}
    for frame in range(1, len(found) + len(result.broken) + 1):
        numbers = found.get(frame)
        score = (numbers and numbers["score"]) or {"network": -1.0, "gaussian": -1.0}
        told["verdict"].append(numbers["verdict"]["headline"] if numbers else result.broken[frame])
        for key in ("network", "gaussian"):
            told[key].append(-1.0 if score[key] is None else score[key])
    return told
