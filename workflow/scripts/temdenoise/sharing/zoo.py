"""Models for the BioImage Model Zoo: one zip that says and shows what is in it."""

import hashlib
import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise import __version__
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.learning.inference import Model
from temdenoise.sharing.example import example_image
from temdenoise.sharing.export import OPSET, SMALLEST, export_onnx, scaling

FORMAT_VERSION = "0.5.4"
"""Of the zoo's description of models."""

PAPER = {
    "text": "J. Chae, S. Hong, S. Kim, S. Yoon, G. Kim, CNN-based TEM image denoising from first "
    "principles (2025): the method that this model's training follows and goes beyond",
    "doi": "10.48550/arXiv.2501.11225",
}


def export_zoo(model: Model, path: Path, *, name: str, documentation: str) -> None:
    """Write a model as a package of the BioImage Model Zoo.

    Holds the description (``rdf.yaml``), the weights as ONNX, an example image with
    PyTorch's answers to it, a cover, and the documentation.

    Parameters
    ----------
    model
        The model.
    path
        The file, ending in ``.zip``.
    name
        Of the model.
    documentation
        Markdown, such as the model's card; how to scale an image is added to it.

    Raises
    ------
    DataError
        If the ending is another, or the model predicts patches side by side.
    ModuleNotFoundError
        If the packages of the group ``export`` are not installed.
    """
    if path.suffix.lower() != ".zip":
        raise DataError(f"{path}: expected a name that ends in .zip")
    import yaml

    noisy, _ = example_image(model.description)
    denoised, sigma = model.denoise(noisy)
    images = {"noisy": noisy, "denoised": denoised, "sigma": sigma}
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        export_onnx(model, onnx)
        files = {"model.onnx": onnx.read_bytes()}
    for key, image in images.items():
        files[f"{key}.npy"] = _npy(image[None, None])
    files["cover.png"] = _cover(noisy, denoised)
    files["README.md"] = _documentation(documentation, model).encode()
    described = _description(model, name, files)
    files["rdf.yaml"] = yaml.safe_dump(described, sort_keys=False, allow_unicode=True).encode()
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for file in sorted(files):
            # without the date, so that the same model gives the same file
            entry = zipfile.ZipInfo(file)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, files[file])


def _description(model: Model, name: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Describe the model in the zoo's terms (https://github.com/bioimage-io/spec-bioimage-io)."""
    trained = model.description
    step = float(np.round(trained.pixels.middle, 4))
    least = max(SMALLEST, model.network.block)

    def source(file: str) -> dict[str, str]:
        return {"source": file, "sha256": hashlib.sha256(files[file]).hexdigest()}

    def tensor(key: str, description: str) -> dict[str, Any]:
        space = {"type": "space", "unit": "angstrom", "scale": step}
        sizes = {
            side: {"min": least, "step": 1}
            if key == "noisy"
            else {"tensor_id": "noisy", "axis_id": side}
            for side in ("y", "x")
        }
        return {
            "id": key,
            "description": description,
            "axes": [
                {"type": "batch"},
                {"type": "channel", "channel_names": ["intensity"]},
                *({**space, "id": side, "size": size} for side, size in sizes.items()),
            ],
            "data": {"type": "float32"},
            "test_tensor": source(f"{key}.npy"),
        }

    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": _plain(f"temdenoise {name}"),
        "description": "Denoises atomically resolved electron micrographs and predicts the error "
        f"of every pixel; trained on simulated images ({trained.mode.looks}).",
        "authors": [{"name": "The temdenoise authors"}],
        "cite": [PAPER],
        "license": trained.licence or "MIT",
        "version": __version__,
        "tags": ["denoising", "restoration", "electron-microscopy", "stem", "materials", "2d"],
        "documentation": source("README.md"),
        "covers": [source("cover.png")],
        "inputs": [tensor("noisy", "image of atomic resolution, pixels of the size stated")],
        "outputs": [
            tensor("denoised", "the image without noise, in the unit of the input"),
            tensor("sigma", "error that holds for 68 % of the pixels, in the same unit"),
        ],
        "weights": {"onnx": {**source("model.onnx"), "opset_version": OPSET}},
    }


def _plain(name: str) -> str:
    """Leave the characters the zoo allows in a name, at least five and at most 64."""
    return re.sub(r"[^A-Za-z0-9_+\- ()]+", " ", name).strip()[:64]


def _documentation(card: str, model: Model) -> str:
    validation = (
        ""
        if "\n## Validation" in card
        else (
            "\n## Validation\n\nNo figures are at hand. Compare with a tuned Gaussian blur on "
            "images of yours, as `temdenoise denoise` does.\n"
        )
    )
    return (
        f"{card.rstrip()}\n{validation}\n## Before and after the network\n\n"
        f"{scaling(model.description)}\n\nThe command `temdenoise denoise` does all of this, and "
        "says how far to believe the result.\n"
    )


def _npy(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(image, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def _cover(noisy: np.ndarray, denoised: np.ndarray, side: int = 256) -> bytes:
    """Noisy on the left, denoised on the right, twice as wide as high; each in its own greys."""
    from PIL import Image

    halves = []
    for image in (noisy, denoised):
        corner = [(n - min(image.shape)) // 2 for n in image.shape]
        square = image[tuple(slice(c, c + min(image.shape)) for c in corner)]
        low, high = np.quantile(square, [0.005, 0.995])
        grey = np.clip(255 * (square - low) / max(high - low, 1e-12), 0, 255).astype(np.uint8)
        halves.append(
            np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC))
        )
    buffer = io.BytesIO()
    Image.fromarray(np.hstack([np.asarray(half) for half in halves])).save(
        buffer, format="PNG", optimize=True
    )
    return buffer.getvalue()
