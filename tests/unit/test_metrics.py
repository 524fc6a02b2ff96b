import numpy as np
import pytest
import torch
import torchmetrics.functional.image as reference
from temdenoise.judging.metrics import ms_ssim, psnr


def noisy(lattice, rng, c):
    return lattice + c * rng.standard_normal(lattice.shape)


def test_equal_images(lattice):
    assert ms_ssim(denoised=lattice, clean=lattice) == pytest.approx(1)
    assert psnr(denoised=lattice, clean=lattice) == np.inf


@pytest.mark.parametrize("c", [0.05, 0.2, 0.5])
def test_against_an_independent_implementation(lattice, rng, c):
    image = noisy(lattice, rng, c)
    pair = [torch.from_numpy(np.array(a, dtype=np.float64))[None, None] for a in (image, lattice)]
    theirs = reference.multiscale_structural_similarity_index_measure(
        *pair, data_range=1.0, gaussian_kernel=True, sigma=1.5, kernel_size=11, normalize="relu"
    )
    # they crop the borders differently
    assert ms_ssim(denoised=image, clean=lattice) == pytest.approx(float(theirs), abs=0.01)
    theirs = reference.peak_signal_noise_ratio(*pair, data_range=1.0)
    assert psnr(denoised=image, clean=lattice) == pytest.approx(float(theirs), abs=1e-4)


def test_more_noise_is_worse(lattice, rng):
    values = [ms_ssim(denoised=noisy(lattice, rng, c), clean=lattice) for c in (0.05, 0.2, 0.5)]
    assert values == sorted(values, reverse=True)


def test_inverted_contrast_is_bad_but_not_nan(lattice):
    assert 0 <= ms_ssim(denoised=1 - lattice, clean=lattice) < 0.1


def test_175_pixels_are_too_few_176_enough(lattice):
    with pytest.raises(ValueError, match="at least 176"):
        ms_ssim(denoised=lattice[:175, :176], clean=lattice[:175, :176])
    assert ms_ssim(denoised=lattice[:176, :176], clean=lattice[:176, :176]) == pytest.approx(1)


@pytest.mark.parametrize("metric", [ms_ssim, psnr])
def test_bad_pairs(metric, lattice):
    with pytest.raises(ValueError, match="equal shape"):
        metric(denoised=lattice[1:], clean=lattice)
    with pytest.raises(ValueError, match="not finite"):
        metric(denoised=np.full_like(lattice, np.nan), clean=lattice)
    with pytest.raises(ValueError, match="two images"):
        metric(denoised=lattice[None], clean=lattice[None])
