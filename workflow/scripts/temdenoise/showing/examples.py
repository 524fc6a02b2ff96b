"""The test images that figures and report show: noisy, and by each network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from temdenoise.images.datasets import read_dataset
from temdenoise.showing.comparison import NETWORKS
from temdenoise.storage import read_images


def examples(files: Mapping[str, str], noises: Sequence[str]) -> dict[str, Any]:
    """Read the first test image of every noise, as far as its files are given.

    Parameters
    ----------
    files
        Paths by ``{noise}_clean``, ``{noise}_noisy`` and ``{noise}_manifest`` (the test
        split) and ``{noise}_{network}`` (its first image at every C, denoised).
    noises
        The noises.

    Returns
    -------
    dict
        ``data``: the test split by noise; ``noisy``: its first image (x, y) by noise and C;
        ``denoised``: the same by network, noise and C.
    """
    data = {
        noise: read_dataset(
            **{kind: files[f"{noise}_{kind}"] for kind in ("clean", "noisy", "manifest")}
        )
        for noise in noises
        if f"{noise}_clean" in files
    }
    noisy = {
        noise: {f.c_noise: np.asarray(tests.noisy[f.index]) for f in tests.frames if f.image == 0}
        for noise, tests in data.items()
    }
    denoised = {
        network: {
            noise: dict(
                zip(noisy[noise], read_images(files[f"{noise}_{network}"]).data[:, 0], strict=True)
            )
            for noise in data
        }
        for network in NETWORKS
        if f"{noises[0]}_{network}" in files
    }
    return {"data": data, "noisy": noisy, "denoised": denoised}
