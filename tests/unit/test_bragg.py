"""The local Bragg filter: against the definition, window by window, and by what it must keep."""

import numpy as np
import pytest
import torch
from made_up_frames import hexagonal
from temdenoise.learning import bragg
from temdenoise.learning.bragg import local_bragg


def by_definition(image, window, threshold, variance, steps):
    """One window after the other, each pixel's windows normalised by the sum of their weights."""
    step = window // steps
    pad = window
    padded = np.pad(image, pad, mode="reflect")
    half = np.sin(np.pi * (np.arange(window) + 0.5) / window)
    weights = np.outer(half, half)
    total, norm = np.zeros_like(padded), np.zeros_like(padded)
    offset = (pad - (window - step)) % step
    for top in range(offset, padded.shape[0] - window + 1, step):
        for left in range(offset, padded.shape[1] - window + 1, step):
            place = np.s_[top : top + window, left : left + window]
            mean = padded[place].mean()
            transform = np.fft.fft2((padded[place] - mean) * weights)
            found = np.abs(transform) ** 2
            gain = np.maximum(found - threshold * variance * (weights**2).sum(), 0)
            gain /= np.maximum(found, 1e-30)
            total[place] += np.fft.ifft2(transform * gain).real * weights + mean * weights**2
            norm[place] += weights**2
    inner = np.s_[pad : pad + image.shape[0], pad : pad + image.shape[1]]
    return total[inner] / norm[inner]


@pytest.mark.parametrize("shape", [(64, 80), (61, 50)])
@pytest.mark.parametrize(("window", "steps"), [(16, 4), (32, 4), (16, 2)])
def test_it_is_what_its_definition_says(shape, window, steps, rng, monkeypatch):
    image = 50 + 3 * hexagonal(shape) + rng.standard_normal(shape)
    given = torch.from_numpy(np.stack([image, image[::-1].copy()]))
    found = local_bragg(given, window=window, threshold=2.5, variance=1.0, steps=steps)
    for one, filtered in zip(given, found, strict=True):
        expected = by_definition(one.numpy(), window, 2.5, 1.0, steps)
        np.testing.assert_allclose(filtered.numpy(), expected, atol=1e-9)
    # in strips of single rows of windows it is the same
    monkeypatch.setattr(bragg, "AT_ONCE", 1)
    again = local_bragg(given, window=window, threshold=2.5, variance=1.0, steps=steps)
    np.testing.assert_allclose(again.numpy(), found.numpy(), atol=1e-12)


def test_without_noise_nothing_is_taken_away(rng):
    image = torch.from_numpy(rng.standard_normal((1, 70, 64)))
    kept = local_bragg(image, window=16, threshold=2.5, variance=0.0)
    np.testing.assert_allclose(kept.numpy(), image.numpy(), atol=1e-9)
    assert local_bragg(image.float(), window=16, threshold=2.5, variance=0.0).dtype == torch.float32


def test_noise_alone_is_taken_away_and_a_lattice_kept(rng):
    noise = rng.standard_normal((256, 256))
    lattice = hexagonal((256, 256))
    for strength in (0.5, 1.0, 2.0):
        given = torch.from_numpy(np.stack([strength * noise, lattice + strength * noise]))
        alone, both = local_bragg(given, window=32, threshold=2.5, variance=strength**2).numpy()
        assert alone.std() < 0.35 * strength
        assert ((both - lattice) ** 2).mean() < 0.2 * strength**2
        # mean and scale stay
        assert np.polyfit(lattice.ravel(), both.ravel(), 1)[0] > 0.75


def test_coloured_noise_by_its_spectrum(rng):
    from scipy.ndimage import gaussian_filter

    shape, window = (256, 256), 32
    white = rng.standard_normal(shape)
    noise = gaussian_filter(white, 0.7, mode="wrap")
    frequency = np.hypot(np.fft.fftfreq(window)[:, None], np.fft.rfftfreq(window)[None])
    spectrum = np.exp(-((2 * np.pi * 0.7 * frequency) ** 2))
    lattice = hexagonal(shape)
    given = torch.from_numpy((lattice + 2 * noise)[None])
    errors = []
    for variance in (torch.from_numpy(4 * spectrum), float(4 * noise.var())):
        filtered = local_bragg(given, window=window, threshold=2.5, variance=variance)[0]
        errors.append(((filtered.numpy() - lattice) ** 2).mean())
    assert errors[0] < 0.85 * errors[1]


@pytest.mark.parametrize(
    ("window", "message"), [(30, "multiple of steps = 4"), (64, "less than the sides, 64 x 70")]
)
def test_windows_that_do_not_fit(window, message):
    with pytest.raises(ValueError, match=message):
        local_bragg(torch.zeros(1, 64, 70), window=window, threshold=2.5, variance=1.0)
