"""Quality of every method on the test split, by noise and C."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from temdenoise.images.datasets import DataSet
from temdenoise.judging import baselines
from temdenoise.judging.metrics import ms_ssim, psnr
from temdenoise.learning.inference import Denoiser

Denoise = Callable[[np.ndarray], np.ndarray]


def region(c_noise: float, trained: Sequence[float]) -> str:
    """Tell whether C lies within the trained range.

    Examples
    --------
    >>> region(0.25, (0.02, 0.25)), region(0.3, (0.02, 0.25))
    ('interpolation', 'extrapolation')
    """
    return "interpolation" if trained[0] <= c_noise <= trained[1] else "extrapolation"


def methods(models: Mapping[str, Denoiser], *, blur: float) -> Iterator[tuple[str, str, Denoise]]:
    """List (method, trained_on, function) of everything that is compared."""
    yield "raw", "", baselines.raw
    yield "constant", "", baselines.constant
    yield "gaussian_blur", "", partial(baselines.gaussian_blur, width=blur)
    for trained_on, model in models.items():
        yield "cnn", trained_on, model


def quality(
    data: DataSet,
    models: Mapping[str, Denoiser],
    *,
    noise: str,
    c_noise_train: Sequence[float],
    blur: Mapping[float, float],
) -> list[dict[str, Any]]:
    """Compare all methods on the frames of one noise.

    Parameters
    ----------
    data
        The test split.
    models
        Networks by the noise they were trained on.
    noise
        The noise of the frames.
    c_noise_train
        Range of C the networks were trained on.
    blur
        Tuned width of the Gaussian blur at each C [pixels].

    Returns
    -------
    list of dict
        method, trained_on, noise, c_noise, region, ms_ssim, psnr_db (means over
        images), n_images; one row per method and C.
    """
    rows = []
    for c_noise in data.c_noise:
        for method, trained_on, denoise in methods(models, blur=blur[c_noise]):
            pairs = [
                {"denoised": denoise(np.asarray(data.noisy[f.index])), "clean": data.clean[f.image]}
                for f in data.at(c_noise)
            ]
            rows.append(
                {
                    "method": method,
                    "trained_on": trained_on,
                    "noise": noise,
                    "c_noise": c_noise,
                    "region": region(c_noise, c_noise_train),
                    "ms_ssim": float(np.mean([ms_ssim(**pair) for pair in pairs])),
                    "psnr_db": float(np.mean([psnr(**pair) for pair in pairs])),
                    "n_images": len(pairs),
                }
            )
    return rows


def tuned_blur(data: DataSet, widths: Sequence[float]) -> dict[float, float]:
    """Tune the Gaussian blur for each C on the validation split of one noise [pixels]."""
    return {
        c_noise: baselines.tune_blur(
            ((data.noisy[f.index], data.clean[f.image]) for f in data.at(c_noise)), widths
        )
        for c_noise in data.c_noise
    }
