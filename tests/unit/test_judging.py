"""Baselines and evaluation."""

import numpy as np
import pytest
import torch
from temdenoise.images.datasets import DataSet, frames, noisy_frames
from temdenoise.judging import baselines
from temdenoise.judging.evaluation import quality, tuned_blur
from temdenoise.judging.metrics import ms_ssim
from temdenoise.learning.inference import Denoiser


class Nothing(torch.nn.Module):
    """A network that changes nothing."""

    def forward(self, noisy):
        return noisy


@pytest.fixture(scope="module")
def data(lattice):
    clean = np.stack([lattice, lattice[::-1]])
    listed = frames(2, [0.1, 0.4])
    options = {"noise": "gaussian", "split": "test", "seed": 1, "background_correlation": 0.25}
    return DataSet(
        clean, np.stack(list(noisy_frames(clean, listed, clip=False, **options))), listed
    )


def test_constant_and_raw(lattice):
    assert baselines.raw(lattice) is lattice
    assert np.unique(baselines.constant(lattice)) == pytest.approx([lattice.mean()])


def test_blur_is_tuned_by_noise(data):
    blur = tuned_blur(data, [0.3, 0.8, 1.2, 4.0])
    assert 0.3 <= blur[0.1] < blur[0.4] < 4.0


def test_tuned_blur_is_the_best_of_those_tried(data):
    widths = [0.3, 0.8, 1.2]
    best = tuned_blur(data, widths)[0.4]

    def score(width):
        return np.mean(
            [
                ms_ssim(
                    denoised=baselines.gaussian_blur(data.noisy[f.index], width=width),
                    clean=data.clean[f.image],
                )
                for f in data.at(0.4)
            ]
        )

    assert score(best) == max(map(score, widths))


def test_table_has_every_method_and_marks_the_region(data):
    rows = quality(
        data,
        {"gaussian": Denoiser(Nothing(), {}), "poisson": Denoiser(Nothing(), {})},
        noise="gaussian",
        c_noise_train=(0.02, 0.25),
        blur={0.1: 0.8, 0.4: 1.2},
    )
    columns = "method trained_on noise c_noise region ms_ssim psnr_db n_images"
    assert list(rows[0]) == columns.split()
    assert len(rows) == 2 * 5
    assert {(r["c_noise"], r["region"]) for r in rows} == {
        (0.1, "interpolation"),
        (0.4, "extrapolation"),
    }
    table = {(r["method"], r["trained_on"], r["c_noise"]): r for r in rows}
    raw = table["raw", "", 0.1]
    # noise of standard deviation C has a PSNR of -20 log10 C
    assert raw["psnr_db"] == pytest.approx(20, abs=0.1)
    assert raw["n_images"] == 2
    assert table["cnn", "poisson", 0.1]["ms_ssim"] == raw["ms_ssim"]
    assert table["gaussian_blur", "", 0.4]["ms_ssim"] > table["raw", "", 0.4]["ms_ssim"]
    assert table["constant", "", 0.1]["ms_ssim"] < 0.2
