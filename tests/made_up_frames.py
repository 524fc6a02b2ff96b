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
