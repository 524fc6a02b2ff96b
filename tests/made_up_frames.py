"""Frames of a lattice that nobody recorded, for the tests of what is said about one."""

import numpy as np
from temdenoise.foundation.quantities import PixelSize
from temdenoise.learning.description import ModelDescription
from temdenoise.measuring.noise import estimate
from temdenoise.measuring.spectrum import spectrum

PIXEL = PixelSize.of(0.15)
MOS2 = 2.7366
"""Spacing of the first ring [Å]."""

TRAINED = ModelDescription.from_dict(
    {
        "image_kind": "adf",
        "sampling_range_angstrom": [0.1, 0.3],
        "c_noise_train": [0.02, 1.5],
        "spacings_angstrom": {"mos2": MOS2},
    }
)
"""What a model of bright atoms knows."""


def hexagonal(shape=(256, 256), *, spacing=MOS2, sampling=PIXEL, angle=0.3, origin=0.0):
    """Three waves whose planes are `spacing` apart [Å]: mean 0, standard deviation 1.

    The first pixel lies at `origin` [Å] along both axes.
    """
    x, y = (origin + step * np.arange(n) for n, step in zip(shape, sampling, strict=True))
    waves = 0
    for turn in (0, np.pi / 3, 2 * np.pi / 3):
        k = 2 * np.pi / spacing * np.array([np.cos(angle + turn), np.sin(angle + turn)])
        waves = waves + np.cos(np.add.outer(k[0] * x, k[1] * y))
    return waves / np.sqrt(1.5)


def noise_of(image, sampling=PIXEL):
    """Level and kind of the noise of an image."""
    return estimate(image, spectrum(image, sampling), sampling=sampling)


def counts(rng, shape=(144, 128)):
    """Bright atoms as a detector counts them, with white noise half as strong as the lattice."""
    image = 2000 + 120 * hexagonal(shape) + 60 * rng.standard_normal(shape)
    return image.astype(np.uint16)


def crystal(shape=(256, 240), *, missing=0, seed=0, spacing=3.1, sampling=PIXEL, second=0.0):
    """Atoms of a width of 0.42 Å on a hexagonal lattice, some of them missing.

    With `second` the strength of another atom in each cell, as in MoS2. Returns the image (standard
    deviation 1), where atoms are and where they are missing [pixels].
    """
    rng = np.random.default_rng(seed)
    angle = 0.2
    first = spacing * np.array([np.cos(angle), np.sin(angle)])
    second_vector = spacing * np.array([np.cos(angle + np.pi / 3), np.sin(angle + np.pi / 3)])
    extent = np.array(shape) * sampling
    number = int(3 * extent.max() / spacing)
    index = np.mgrid[-number:number, -number:number].reshape(2, -1).T
    places = index @ np.array([first, second_vector]) + rng.uniform(0, spacing, 2)
    places = places[((places > -1) & (places < extent + 1)).all(axis=1)]
    inside = np.flatnonzero(((places > 6) & (places < extent - 6)).all(axis=1))
    away = rng.choice(inside, missing, replace=False)
    moved = places + rng.normal(0, 0.03, places.shape)
    kept = np.delete(np.arange(len(places)), away)
    x, y = (step * np.arange(n) for n, step in zip(shape, sampling, strict=True))
    image = _bumps(moved[kept], x, y)
    if second:
        image += second * _bumps(places + (first + second_vector) / 3, x, y)
    steps = np.array(sampling)
    return image / image.std(), places[kept] / steps, places[away] / steps


def _bumps(places, x, y, width=0.42):
    """Gaussians of height 1 at some places [Å]."""
    rows, columns = (
        np.exp(-((axis - places[:, i, None]) ** 2) / (2 * width**2)) for i, axis in ((0, x), (1, y))
    )
    return rows.T @ columns
