"""What is computed on: what was asked for, or an error that says what is missing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from temdenoise.foundation.errors import ConfigurationError

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Devices a model can be applied on, by name; ``auto`` takes a GPU where there is one."""


def device_of(name: str = "auto") -> torch.device:
    """Choose the device that a model is applied on.

    Parameters
    ----------
    name
        One of `DEVICES`.

    Raises
    ------
    ConfigurationError
        If there is no such device here.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    if name not in DEVICES:
        raise ConfigurationError(f"device {name!r}: expected one of {', '.join(DEVICES)}")
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in here.items() if found))
    if not here[name]:
        there = ", ".join(kind for kind, found in here.items() if found)
        raise ConfigurationError(
            f"device {name!r}: PyTorch {torch.__version__} finds none here, only {there}; "
            "choose auto, or install a PyTorch built for it"
        )
    return torch.device(name)


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let a GPU compute with all 32 bits, so that its answers are those of the CPU.

    By itself cuDNN rounds what it multiplies to 10 bits after the point (TF32), which is a
    hundred times farther off.
    """
    if not torch.cuda.is_available():
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@dataclass(frozen=True)
class Resources:
    """What the job of a training was given.

    Attributes
    ----------
    threads
        CPU threads; with GPUs, all but one draw batches.
    gpus, processes
        See `hardware`.
    """

    threads: int = 1
    gpus: int | None = None
    processes: int | None = None


PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
"""Names in the configuration, and Lightning's for them; ``auto`` is one of the two."""


def hardware(
    *, gpus: int | None, processes: int | None, batch: int, precision: str
) -> dict[str, Any]:
    """Choose what Lightning trains on; what was asked for is never replaced by something else.

    Parameters
    ----------
    gpus
        GPUs that the job was given; 0 means the CPU. None: one where there is one, or else
        what Lightning finds.
    processes
        Processes on CPUs that share each batch; None: one. GPUs have one each.
    batch
        Patches per step.
    precision
        Of the passes through the network, see `PRECISIONS`; ``auto``: bfloat16 where the
        hardware has instructions for it, where steps take about two thirds of the time.

    Returns
    -------
    dict
        ``accelerator``, ``devices`` and ``precision`` for ``lightning.Trainer``.

    Raises
    ------
    ConfigurationError
        If there are fewer GPUs than the job was given, if they cannot compute with the
        precision, or if a batch cannot be shared evenly.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    otherwise = "cpu"
    if gpus is None:
        gpus = 0 if processes else min(found, 1)
        otherwise = "cpu" if processes else "auto"
    if found < gpus:
        raise ConfigurationError(
            f"the training was given gpu = {gpus} (set-resources in the profile), but PyTorch "
            f"{torch.__version__} finds {found} here "
            f"(CUDA_VISIBLE_DEVICES = {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}); "
            "install a PyTorch with CUDA, ask for a node that has so many, or set gpu to "
            f"{found or '0 (the CPU)'}"
        )
    devices = gpus or processes or 1
    if gpus and processes not in (None, gpus):
        raise ConfigurationError(
            f"the training was given gpu = {gpus} and processes = {processes} (set-resources in "
            "the profile): expected one process for each GPU; leave processes out"
        )
    if batch % devices:
        raise ConfigurationError(
            f"`training.batch` = {batch}: {devices} {'GPUs' if gpus else 'processes'} share each "
            f"batch; expected a multiple of {devices}"
        )
    if precision == "auto":
        computes = _gpu_computes_bfloat16() if gpus else _cpu_computes_bfloat16()
        precision = "bfloat16" if computes else "float32"
    elif precision == "bfloat16" and gpus and not _gpu_computes_bfloat16():
        raise ConfigurationError(
            f"`training.precision` = 'bfloat16': {torch.cuda.get_device_name()} does not compute "
            "with it; set it to float32 or ask for a newer GPU"
        )
    return {
        "accelerator": "gpu" if gpus else otherwise,
        "devices": devices,
        "precision": PRECISIONS[precision],
    }


def _gpu_computes_bfloat16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_computes_bfloat16() -> bool:
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
