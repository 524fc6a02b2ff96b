"""From first-principles electron densities to TEM image denoisers.

The interface in Python:

denoise
    an image, a stack or a HyperSpy signal in; the denoised one out, with the error of every
    pixel and a verdict
load_model
    a pretrained model by its name, or one of your own by its path
Denoised, Model, Options
    what the two return, and what `denoise` can be told besides

Nothing heavy is imported before one of them is used. Images have their axes along
(rows, columns); lengths are in Å.

The packages below hold the science of the workflow, importable and testable without
Snakemake, in the order in which data walks through them and in which they may use each other:

foundation
    image modes, crystals, microscopes, configuration, files (standard library alone)
measuring
    what an image says of itself: spectrum, noise, lattice (NumPy, SciPy)
images
    images on disk, noise models, data sets
groundtruth
    structures, DFT, projected density maps, joined images (ASE, GPAW)
learning
    networks, training, inference (PyTorch, Lightning)
judging
    metrics, classical methods, evaluation
micrographs
    files of microscopes: reading, denoising, evidence, verdict
report
    figures and pages (Matplotlib)
sharing
    published models, ONNX, BioImage Model Zoo, HyperSpy
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from temdenoise.api import Denoised, Model, Options, Output, denoise, load_model

__version__ = "0.1.0"
__all__ = ["Denoised", "Model", "Options", "Output", "__version__", "denoise", "load_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from temdenoise import api

        return getattr(api, name)
    raise AttributeError(f"module 'temdenoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
