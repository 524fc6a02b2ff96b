"""The models that come with the package, on what no lattice is in, and on one that is."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from temdenoise.micrographs.fitting import trained_range
from temdenoise.micrographs.models import available
from temdenoise.micrographs.pipeline import denoise_micrograph
from temdenoise.micrographs.readers import read
from temdenoise.sharing.example import example_image

REAL = os.environ.get("TEMDENOISE_REAL_DATA")
MODELS = available()
EMPTY = {
    "noise": lambda rng: rng.standard_normal((256, 224)),
    # a network may take these for pixels that salt and pepper left alone
    "counts": lambda rng: rng.poisson(0.3, (256, 224)).astype(float),
    "fewer counts": lambda rng: rng.poisson(0.1, (256, 224)).astype(float),
    "amorphous": lambda rng: (
        gaussian_filter(rng.standard_normal((256, 224)), 3) * 3 + rng.standard_normal((256, 224))
    ),
    "slope": lambda rng: rng.standard_normal((256, 224)) + 0.05 * np.arange(256)[:, None],
    "bow": lambda rng: (
        rng.standard_normal((256, 224))
        + 10 * np.add.outer(*(np.linspace(-1, 1, n) ** 2 for n in (256, 224)))
    ),
}


def sampling_of(model):
    trained = trained_range(model.about)
    return (float(np.sqrt(np.prod(trained.sampling))),) * 2


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", EMPTY)
def test_nothing_is_invented_where_nothing_is(name, kind):
    for seed in range(3):
        image = 100 + 10 * EMPTY[kind](np.random.default_rng(seed))
        result = denoise_micrograph(image, MODELS[name], sampling=sampling_of(MODELS[name]))
        frame = result.frame
        assert frame.verdict.level != "good"
        assert not frame.invented.suspected
        assert frame.ring is None
        if kind != "amorphous":  # that does vary
            assert frame.invented.flat
            assert len(frame.features["centres"]) == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_lattice_is_predicted_better_than_by_a_gaussian(name):
    model = MODELS[name]
    noisy, clean = example_image(model.about, shape=(320, 288))
    result = denoise_micrograph(1000 * noisy + 5000, model, sampling=sampling_of(model))
    assert result.frame.score.winner == "network"
    error = (result.denoised - 5000) / 1000 - clean
    assert error.std() < 0.5 * (noisy - clean).std()
    assert abs(error.mean()) < 0.01


@pytest.mark.skipif(not REAL, reason="TEMDENOISE_REAL_DATA is not set: no real micrographs here")
@pytest.mark.parametrize(
    ("name", "least"), [("cdte_haadf.dm3", 1.2), ("srtio3_haadf.ser", 1.0), ("mos2_haadf.npy", 1.0)]
)
def test_real_frames_are_predicted_better_than_by_any_gaussian(name, least):
    (found,) = read(Path(REAL) / "micrographs" / name)
    sampling = found.sampling or (0.1246, 0.1246)  # by its lattice
    score = denoise_micrograph(found.data, MODELS["adf"], sampling=sampling).frame.score
    assert score.ratio >= least
    assert score.network < score.ceiling
