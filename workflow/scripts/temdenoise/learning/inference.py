"""A trained denoiser: its file, and its application to an image."""

import io
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from temdenoise.errors import DataError
from temdenoise.files import atomic
from temdenoise.learning.networks import UNet

FORMAT = "temdenoise-denoiser-1"


@dataclass
class Denoiser:
    """A network with what is needed to apply it.

    Attributes
    ----------
    network
        In evaluation mode, on the CPU.
    about
        Plain values: ``trained_on`` (noise), ``c_noise_train``, ``sampling`` [Å],
        ``scale`` (offset and range [e/Å²] of the normalisation), ...
    """

    network: UNet
    about: dict[str, Any]

    def __call__(self, noisy: np.ndarray) -> np.ndarray:
        """Denoise a normalised image.

        Parameters
        ----------
        noisy
            Shape (x, y), any size of at least 16 x 16 pixels, finite.

        Returns
        -------
        numpy.ndarray
            float32, same shape.

        Raises
        ------
        ValueError
            If the image is not two-dimensional, too small, or not finite.
        """
        noisy = np.asarray(noisy)
        if noisy.ndim != 2 or min(noisy.shape) < 16 or not np.isrealobj(noisy):
            raise ValueError(
                f"noisy has shape {noisy.shape} and type {noisy.dtype}: expected a real image "
                "(x, y) of at least 16 x 16 pixels"
            )
        if not np.isfinite(noisy).all():
            raise ValueError("noisy holds values that are not finite; replace them first")
        tensor = torch.from_numpy(np.ascontiguousarray(noisy, dtype=np.float32))[None, None]
        with torch.inference_mode():
            return self.network(tensor)[0, 0].numpy()

    def save(self, path: str | os.PathLike) -> None:
        """Write network and description into one file that loads without running code."""
        content = {
            "format": FORMAT,
            "about": self.about,
            "network": self.network.options,
            "state_dict": self.network.state_dict(),
        }
        buffer = io.BytesIO()  # a file name would end up inside the archive
        torch.save(content, buffer)
        with atomic(path) as temporary:
            temporary.write_bytes(buffer.getvalue())


def load(path: str | os.PathLike) -> Denoiser:
    """Load a denoiser.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is truncated, of another format, or no denoiser.
    """
    remedy = "run its training again, or name a model made by this version"
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such model; {remedy}")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: truncated or not a model file; {remedy}")
    try:
        content = torch.load(Path(path), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise DataError(f"{path}: truncated or not a model file ({error}); {remedy}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise DataError(f"{path}: format {found!r}, expected {FORMAT!r}; {remedy}")
    network = UNet(**content["network"])
    network.load_state_dict(content["state_dict"])
    return Denoiser(network.eval(), content["about"])
