"""Models for other programs: ONNX, with the scaling it asks for."""

import json
import math
import warnings
from pathlib import Path

import torch

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.inference import Model
from temdenoise.learning.networks import SIGMA_UNIT

OPSET = 18
"""Version of ONNX's operators that is written: what programs of recent years read."""

SMALLEST = 32
"""Least side of an image the exported model takes [pixels]."""

LARGEST = 32768
"""Largest side of an image it promises to take [pixels]."""


class Portable(torch.nn.Module):
    """A model in one graph: standardised, mirrored to whole blocks, sigma calibrated.

    What `Model.denoise` does around the network, in operations that other programs know.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: Model):
        super().__init__()
        self.network = model.network
        self.block = model.network.block
        self.standardised = model.description.standardised
        self.calibration = model.description.calibration

    def forward(self, noisy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Denoise images of shape (n, 1, rows, columns); see `Model.denoise`."""
        rows, columns = noisy.shape[-2:]
        if self.standardised:
            noisy, mean, deviation = _standardised(noisy)
        for axis in (-2, -1):
            noisy = _mirrored(noisy, axis, self.block)
        denoised, sigma = (_first(each, rows, columns) for each in self.network(noisy))
        if self.calibration.growth:
            least = torch.finfo(sigma.dtype).tiny
            level = torch.log(sigma.clamp(min=least)).mean(dim=(1, 2, 3), keepdim=True)
            sigma = sigma * torch.exp(self.calibration.growth * (level - math.log(SIGMA_UNIT)))
        sigma = sigma * self.calibration.factor
        if self.standardised:
            denoised, sigma = denoised * deviation + mean, sigma * deviation
        return denoised, sigma


def _standardised(noisy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean 0 and deviation 1 for each image; two passes, so that 32 bits are enough."""

    def average(images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3), keepdim=True)

    mean = average(noisy)
    centred = noisy - mean
    centred = centred - average(centred)
    deviation = average(centred * centred).sqrt()
    # an image of one value keeps its scale, whatever rounding has left of it
    deviation = torch.where(deviation > 1e-6 * mean.abs(), deviation, torch.ones_like(deviation))
    return centred / deviation, mean, deviation


def _mirrored(images: torch.Tensor, axis: int, block: int) -> torch.Tensor:
    """Go on beyond the last row or column as in a mirror, up to a whole number of blocks."""
    side = images.shape[axis]
    places = torch.arange((side + block - 1) // block * block, device=images.device)
    return images.index_select(axis, torch.where(places < side, places, 2 * (side - 1) - places))


def _first(images: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Keep the first rows and columns, by number: the exporter cannot prove a slice's bounds."""
    for axis, side in ((-2, rows), (-1, columns)):
        images = images.index_select(axis, torch.arange(side, device=images.device))
    return images


def scaling(trained: ModelDescription) -> str:
    """Say how an image must be scaled before the exported model sees it."""
    low, high = trained.pixels
    pixels = f"Pixels of {low:.3g} to {high:.3g} Å: resample an image that has others. "
    background = "Take a slow background off first, and add it to the answer. "
    if trained.standardised:
        return (
            pixels + background + "Intensities in any unit: the model itself sends each image to "
            "mean 0 and standard deviation 1, and its answers back to the unit of the image."
        )
    return (
        pixels + background + "Intensities as in training, where the clean lattice has mean "
        f"{trained.clean_mean:.4g} and standard deviation {trained.clean_std:.4g} (minimum "
        "about 0, maximum about 1): multiply and shift the image to that, and the answers back."
    )


def export_onnx(model: Model, path: Path) -> None:
    """Write a model as ONNX, for images of any number, height and width.

    The input ``noisy`` has the shape (n, 1, rows, columns), sides of at least 32
    pixels, float32; the outputs ``denoised`` and ``sigma`` have the same shape. The file's
    metadata hold what the model says of itself (``temdenoise``, JSON) and how an
    image must be scaled (``scaling``).

    Parameters
    ----------
    model
        The model.
    path
        The file, ending in ``.onnx``.

    Raises
    ------
    DataError
        If the ending is another, or the model predicts patches side by side.
    ModuleNotFoundError
        If the packages of the group ``export`` are not installed.
    """
    if path.suffix.lower() != ".onnx":
        raise DataError(f"{path}: expected a name that ends in .onnx")
    if model.description.patch is not None:
        raise DataError(
            "the model is a paper-like one, predicting patches that are put side by side, which "
            "ONNX does not hold; export another, such as results/models/universal/model.pt"
        )
    import onnxscript  # noqa: F401  what PyTorch needs, named here so that it is asked for by name

    # several blocks along each side, and no side like another, so that none is taken for fixed
    least = max(SMALLEST, model.network.block)
    example = torch.zeros(2, 1, 4 * least + 3, 5 * least + 1)
    sides = {
        0: torch.export.Dim("n", min=1, max=1024),
        2: torch.export.Dim("rows", min=least, max=LARGEST),
        3: torch.export.Dim("columns", min=least, max=LARGEST),
    }
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Portable(model).eval(),
            (example,),
            input_names=["noisy"],
            output_names=["denoised", "sigma"],
            dynamic_shapes={"noisy": sides},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:  # what PyTorch's older exporter returns
        raise DataError("PyTorch's exporter returned no model")
    program.model.metadata_props.update(
        temdenoise=json.dumps(model.description.to_dict()),
        scaling=scaling(model.description),
    )
    with atomic(path) as temporary:
        program.save(str(temporary))
