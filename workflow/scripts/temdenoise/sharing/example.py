"""An image such as a model was trained on, made up: to try the model with, wherever it is."""

import numpy as np

from temdenoise.learning.description import ModelDescription

SPACING = 2.13
"""Spacing of the lattice for a model that names no crystal [Å]."""


def example_image(
    trained: ModelDescription,
    *,
    shape: tuple[int, int] = (160, 256),
    c_noise: float | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Make a lattice with the brightness, contrast and spacing a model knows, and white noise.

    The hexagonal lattice of the model's first crystal, bright atoms or dark pores as the
    model's mode is, seen through one broad gap in which it fades to half.

    Parameters
    ----------
    trained
        What the model was trained on.
    shape
        Rows and columns [pixels].
    c_noise
        Noise [normalised intensity]; None: as strong as the lattice's contrast, or the
        nearest to it the model was trained on.
    seed
        Of the noise.

    Returns
    -------
    noisy, clean : numpy.ndarray
        float32, normalised.

    Examples
    --------
    >>> trained = ModelDescription.from_dict({"c_noise_train": [0.1, 1.0], "image_kind": "adf"})
    >>> noisy, clean = example_image(trained)
    >>> clean.shape, round(float((noisy - clean).std()), 2)
    ((160, 256), 0.25)
    """
    if c_noise is None:
        c_noise = float(np.clip(trained.clean_std, *trained.noise))
    step = trained.pixels.middle
    spacing = next(iter(trained.spacings.values()), SPACING)
    rows, columns = (step * np.arange(n) for n in shape)
    waves = np.zeros(shape)
    for turn in np.deg2rad([10, 70, 130]):
        along = 2 * np.pi / spacing * np.array([np.sin(turn), np.cos(turn)])
        waves += np.cos(np.add.outer(along[0] * rows, along[1] * columns))
    waves *= (trained.mode.contrast or 1) / np.sqrt(1.5)
    middle = [(n - 1) / 2 for n in shape]
    distance = np.hypot(*np.ogrid[tuple(slice(-m, m + 1) for m in middle)])
    waves *= 1 - 0.5 * np.exp(-0.5 * (distance * step / spacing) ** 2)
    clean = (trained.clean_mean + trained.clean_std * waves).astype(np.float32)
    noise = np.random.default_rng(seed).standard_normal(shape)
    return (clean + c_noise * noise).astype(np.float32), clean
