"""What a training runs on: what the job was given, or an error that says what is missing."""

import os
from typing import Any

import torch

from temdenoise.errors import ConfigurationError

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
"""Names in the configuration, and Lightning's for them; ``auto`` is one of the two."""


def hardware(
    *, gpus: int | None, processes: int | None, batch: int, precision: str
) -> dict[str, Any]:
    """Choose what Lightning trains on; what was asked for is never replaced by something else.

    Parameters
    ----------
    gpus
        GPUs that the job was given; 0 means the CPU. Not said, one is used where there is
        one, or what else Lightning finds.
    processes
        Processes on CPUs that share each batch; not said, one. GPUs have one each.
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
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _cpu_computes_bfloat16() -> bool:
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))
