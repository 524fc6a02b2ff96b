"""The test images that figures and report show: noisy, and by each network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from temdenoise.images.datasets import DataSet, read_dataset
from temdenoise.images.storage import read_images
from temdenoise.report.catalogue import TEST_IMAGES, TEST_SPLIT, by_wildcard
from temdenoise.report.methods import NETWORK_METHODS


@dataclass(frozen=True)
class Examples:
    """The first test image of every noise.

    Attributes
    ----------
    data
        The test split of each noise.
    noisy
        By noise and C: its first image corrupted, shape (x, y).
    denoised
        By method, noise and C: the same, denoised; empty if no network's images were read.
    c_noise
        The values of C to show.
    """

    data: Mapping[str, DataSet]
    noisy: Mapping[str, Mapping[float, np.ndarray]]
    denoised: Mapping[str, Mapping[str, Mapping[float, np.ndarray]]]
    c_noise: Sequence[float]


def read_examples(files: Mapping[str, Sequence[str]], c_noise: Sequence[float]) -> Examples:
    """Read the first test image of every noise, as far as its files are given.

    Parameters
    ----------
    files
        Files of every noise by the keys of `catalogue.TEST_SPLIT` and, of the networks that are
        shown, of `catalogue.TEST_IMAGES`.
    c_noise
        The values of C to show.
    """
    by_noise = {
        key: by_wildcard(template, files[key])
        for key, template in TEST_IMAGES.items()
        if key in files
    }
    data = {
        noise: read_dataset(**{key: by_noise[key][noise] for key in TEST_SPLIT})
        for noise in by_noise["clean"]
    }
    noisy = {
        noise: {f.c_noise: np.asarray(tests.noisy[f.index]) for f in tests.frames if f.image == 0}
        for noise, tests in data.items()
    }
    denoised = {
        method: {
            noise: dict(zip(noisy[noise], read_images(path).data[:, 0], strict=True))
            for noise, path in by_noise[method].items()
        }
        for method in NETWORK_METHODS
        if method in by_noise
    }
    return Examples(data, noisy, denoised, c_noise)
