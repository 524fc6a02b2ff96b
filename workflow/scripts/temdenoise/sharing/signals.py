"""HyperSpy signals, lazy ones included.

    import hyperspy.api as hs
    from temdenoise.sharing.signals import denoise_signal
    denoised = denoise_signal(hs.load("scan.dm4"))

`temdenoise.denoise` takes signals, too, and returns the verdict besides; this keeps a lazy
signal lazy. HyperSpy itself is not imported here.
"""

from pathlib import Path
from typing import Any

import numpy as np

from temdenoise import api
from temdenoise.foundation.errors import DataError
from temdenoise.learning.inference import Model
from temdenoise.micrographs import models
from temdenoise.micrographs.frame import first_look
from temdenoise.micrographs.hyperspy_signals import check_images, pixel_size_of, signal_with


def denoise_signal(
    signal: Any, model: Model | str | Path = models.AUTO, *, sigma: bool = False
) -> Any:
    """Denoise a HyperSpy signal of images, with any navigation axes.

    A lazy signal stays lazy: each frame is denoised when it is asked for.

    Parameters
    ----------
    signal
        Two-dimensional signal (``Signal2D``), calibrated in a unit of length.
    model
        A model, its path, or the name of a pretrained one; default the pretrained one
        for what the first frame shows.
    sigma
        Whether to return the error that holds for 68 % of the pixels as well.

    Returns
    -------
    signal, or tuple of two
        float32, with the axes and metadata of the input, in its unit. Frames that cannot be
        denoised are NaN. ``metadata.Denoising`` holds the verdict of each frame, see
        `hyperspy_signals.signals_like`; a lazy signal's holds nothing.

    Raises
    ------
    DataError
        If the signal holds no images or no pixel size, or no frame can be denoised.
    """
    if bool(getattr(signal, "_lazy", False)):
        made = _lazily(signal, model)
    else:
        denoised = api.denoise(signal, model=model)
        made = (denoised.image, denoised.sigma)
    return made if sigma else made[0]


def _lazily(signal: Any, model: Model | str | Path) -> tuple[Any, Any]:
    """Make both signals of dask arrays, one chunk for each frame."""
    check_images(signal)
    sampling = pixel_size_of(signal)
    data = signal.data
    if not isinstance(model, Model):
        if model == models.AUTO:
            _, first = first_look(np.asarray(data[(0,) * (data.ndim - 2)]))
            model = api.model_for(first, sampling)[1]
        else:
            model = models.named(model)[1]
    data = data.rechunk(dict(enumerate((*(1,) * (data.ndim - 2), -1, -1))))

    def one(block: np.ndarray) -> np.ndarray:
        try:
            denoised = api.denoise(block, sampling=sampling, model=model)
        except DataError:
            return np.full((2, *block.shape), np.nan, np.float32)
        return np.stack([denoised.image, denoised.sigma])

    both = data.map_blocks(
        one,
        dtype=np.float32,
        new_axis=0,
        chunks=((2,), *data.chunks),
        meta=np.empty((0,) * (data.ndim + 1), np.float32),
    )
    return signal_with(signal, both[0], "denoised"), signal_with(signal, both[1], "sigma")
