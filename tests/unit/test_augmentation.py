"""Patches as varied as micrographs, and a denoiser that does not depend on the unit."""

from dataclasses import replace

import numpy as np
import pytest
from temdenoise.foundation.quantities import PixelRange
from temdenoise.foundation.seeding import generator
from temdenoise.images.datasets import DataSet, frames
from temdenoise.learning.augmentation import (
    draw_patch,
    standardisation,
    standardise,
    with_edge,
    with_slow_part,
)
from temdenoise.learning.batches import Batches
from temdenoise.learning.inference import Model
from temdenoise.learning.networks import UNet
from temdenoise.learning.options import PatchOptions
from test_learning import SAYS_LITTLE
from test_learning import options as any_options

OPTIONS = {"name": "universal", "c_noise": (0.05, 10.0), "mixtures": 0.5, "featureless": 0.05}
REAL = {
    "c_spacing": "logarithmic",
    "standardised": True,
    "rotation": True,
    "sampling": (0.1, 0.6),
    "edges": 0.5,
    "stretch": 0.1,
    "blur": 0.3,
    "keep_slow": 2.0,
}


WINDOW = PatchOptions(
    patch=64, batch=1, noise_source="fresh", mixtures=0.0, featureless=0.0, turned=False
)


def options(**changes):
    return any_options(**OPTIONS | changes)


@pytest.fixture(scope="module")
def data(lattice):
    return {"gaussian": DataSet(lattice[None], lattice[None], frames(1, [0.1]), (0.2, 0.2))}


def wave(period, *, angle=0.0, side=200):
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    across = x * np.cos(angle) + y * np.sin(angle)
    return np.cos(2 * np.pi * across / period).astype(np.float32)


def strongest(patch):
    """Frequency of the strongest wave [1/pixels]."""
    spectrum = np.abs(np.fft.fft2(patch - patch.mean(), s=(512, 512)))
    i, j = np.unravel_index(int(np.argmax(spectrum)), spectrum.shape)
    frequencies = np.fft.fftfreq(512)
    return float(np.hypot(frequencies[i], frequencies[j]))


def test_a_patch_has_the_pixel_size_that_was_drawn():
    for number in range(20):
        drawn = replace(WINDOW, rotation=True, pixel_range=PixelRange(0.05, 0.2))
        patch, step = draw_patch(wave(12), generator(number), drawn, sampling=0.1)
        assert 0.5 <= step <= 2
        assert strongest(patch) == pytest.approx(step / 12, abs=0.003)


def test_a_patch_without_turn_or_zoom_is_part_of_the_image(lattice, rng):
    same = replace(WINDOW, patch=20, pixel_range=PixelRange(0.2, 0.2))
    patch, step = draw_patch(lattice, rng, same, sampling=0.2)
    assert step == pytest.approx(1)
    # between pixels, but nothing outside the image's own range of values
    assert lattice.min() - 0.05 < patch.min() < patch.max() < lattice.max() + 0.05
    assert patch.dtype == lattice.dtype


def test_all_angles_are_drawn():
    angles = []
    for number in range(60):
        turned = replace(WINDOW, rotation=True)
        patch, _ = draw_patch(wave(8), generator(number), turned, sampling=0.1)
        spectrum = np.abs(np.fft.fft2(patch - patch.mean()))
        i, j = np.unravel_index(int(np.argmax(spectrum)), spectrum.shape)
        angles.append(np.arctan2(np.fft.fftfreq(64)[j], np.fft.fftfreq(64)[i]) % np.pi)
    assert np.histogram(angles, bins=4, range=(0, np.pi))[0].min() > 5


def test_a_stretched_patch_has_two_pixel_sizes():
    ratios = []
    for number in range(30):
        stretched = replace(WINDOW, patch=96, stretch=0.4)
        lattice = wave(8) + wave(8, angle=np.pi / 2)
        patch, _ = draw_patch(lattice, generator(number), stretched, sampling=0.1)
        # a row and a column of the transform hold one wave each
        spectrum = np.abs(np.fft.rfft2(patch - patch.mean()))
        along = [spectrum[: 96 // 2, 0].argmax(), spectrum[0].argmax()]
        ratios.append(np.log(along[0] / along[1]))
    assert -0.5 < min(ratios) < -0.15
    assert 0.15 < max(ratios) < 0.5


def test_a_blurred_patch_keeps_its_contrast_and_loses_its_finest_waves():
    image = wave(20) + wave(5, angle=0.5)
    plain = replace(WINDOW, patch=96)

    def fine(patch):
        return (np.diff(patch, axis=0).std() + np.diff(patch, axis=1).std()) / patch.std()

    left = []
    for number in range(10):
        sharp, _ = draw_patch(image, generator(number), plain, sampling=0.1)
        blurred, _ = draw_patch(image, generator(number), replace(plain, blur=0.3), sampling=0.1)
        assert blurred.std() == pytest.approx(sharp.std(), rel=0.2)
        left.append(fine(blurred) / fine(sharp))
    assert max(left) <= 1
    assert np.mean(left) < 0.9


def test_what_is_kept_of_a_noisy_patch_is_its_background_alone(rng):
    clean = wave(8)[:96, :96]
    background = 3 + 2 * wave(150, angle=0.4)[:96, :96]
    noise = 0.5 * rng.standard_normal(clean.shape)
    target = with_slow_part(clean, clean + background + noise, width=8)
    inner = (slice(8, -8),) * 2
    # the noise is averaged over some 800 pixels, the wave of the background hardly smoothed
    assert np.abs(target - clean - background)[inner].mean() < 0.15
    assert abs(np.mean(target - clean - background)) < 0.05
    assert with_slow_part(clean, clean, width=8) == pytest.approx(clean)


def test_a_patch_that_does_not_fit_is_refused(lattice, rng):
    too_large = replace(WINDOW, patch=150, pixel_range=PixelRange(0.4, 0.4))
    with pytest.raises(ValueError, match=r"patch of 150 pixels of 0\.4 Å.*does not fit"):
        draw_patch(lattice, rng, too_large, sampling=0.2)


def test_edges_leave_lattice_on_one_side_and_vacuum_on_the_other(lattice):
    empty = []
    for number in range(40):
        patch = with_edge(lattice[:64, :64], generator(number), vacuum=-1.0)
        assert patch.dtype == lattice.dtype
        assert patch.min() >= -1 - 1e-6
        empty.append(np.isclose(patch, -1, atol=0.05).mean())
    assert 0.2 < np.mean(empty) < 0.8
    assert np.std(empty) > 0.1


def test_standardised_patches_have_about_mean_0_and_deviation_1(rng):
    clean = rng.normal(3, 1, (64, 64))
    noisy = clean + 5 * rng.standard_normal((64, 64))
    results = [standardise(noisy, clean, 5.0, generator(i)) for i in range(200)]
    assert abs(np.mean([n.mean() for n, _, _ in results])) < 0.1
    assert np.median([n.std() for n, _, _ in results]) == pytest.approx(1, abs=0.1)
    for seen, target, c_noise in results[:5]:
        # one affine change for all three
        factor = seen.std() / noisy.std()
        assert c_noise == pytest.approx(5 * factor, rel=1e-4)
        assert seen - target == pytest.approx((noisy - clean) * factor, abs=1e-4)


def test_patches_without_the_options_are_windows_of_the_images(data):
    plain = options(turned=False, featureless=0.0, mixtures=0.0, batch=30)
    clean = Batches(data, plain)[0][1][:, 0].numpy()
    windows = np.lib.stride_tricks.sliding_window_view(data["gaussian"].clean[0], (32, 32))
    for patch in clean:
        starts = np.argwhere(windows[..., 0, 0] == patch[0, 0])
        assert any((windows[x, y] == patch).all() for x, y in starts)


def test_batches_for_real_frames(data):
    batches = Batches(data, options(**REAL))
    noisy, clean, c_noise = batches[0]
    assert noisy.shape == clean.shape == (4, 1, 32, 32)
    assert noisy.isfinite().all()
    assert (batches[0][0] == noisy).all()
    drawn = np.concatenate([batches[i][2].numpy() for i in range(40)])
    # the noise of a standardised image is at most about its whole deviation
    assert 0 < np.median(drawn) < 1.5
    assert c_noise.dtype == noisy.dtype


@pytest.mark.parametrize(
    ("spacing", "middle"),
    [
        ("linear", (0.05 + 10) / 2),
        ("square_root", (np.sqrt(0.05) + np.sqrt(10)) ** 2 / 4),
        ("logarithmic", np.sqrt(0.05 * 10)),
    ],
)
def test_half_of_the_c_lie_below_the_middle_of_their_spacing(data, spacing, middle):
    batches = Batches(data, options(mixtures=0.0, c_spacing=spacing))
    drawn = np.concatenate([batches[i][2].numpy() for i in range(100)])
    assert np.mean(drawn < middle) == pytest.approx(0.5, abs=0.1)
    assert drawn.min() >= 0.05
    assert drawn.max() <= 10


def test_noises_are_drawn_by_their_odds(data):
    first = next(iter(data))
    images = {first: data[first], "poisson": data[first], "salt_pepper": data[first]}

    def left_alone(**odds):
        """Fraction of the patches in which some pixels are what they are in the clean one."""
        batches = Batches(
            images, options(c_noise=(0.05, 0.5), mixtures=0.0, featureless=0.0, odds=odds)
        )
        pairs = [pair for step in range(100) for pair in zip(*batches[step][:2], strict=True)]
        return np.mean([bool((noisy == clean).any()) for noisy, clean in pairs])

    assert left_alone() == pytest.approx(1 / 3, abs=0.08)
    assert left_alone(salt_pepper=3, dose=5) == pytest.approx(3 / 5, abs=0.08)
    assert left_alone(salt_pepper=0.1) < 0.15


def test_a_standardised_denoiser_does_not_depend_on_the_unit(lattice):
    network = UNet(width=8, levels=2).eval()
    for parameter in network.correction.parameters():
        parameter.data.normal_(0, 0.1)
    denoiser = Model(network, replace(SAYS_LITTLE, standardised=True))
    image, sigma = denoiser.denoise(lattice)
    counts, sigma_counts = denoiser.denoise(lattice * 4000 + 700)
    assert counts == pytest.approx(image * 4000 + 700, rel=1e-3, abs=1)
    assert sigma_counts == pytest.approx(sigma * 4000, rel=1e-3)
    assert np.abs(denoiser.at_once(lattice) - image).max() < 1e-5
    plain = Model(network, SAYS_LITTLE)
    assert np.abs(plain(lattice * 4000 + 700) - counts).max() > 10


def test_a_window_of_a_standardised_image_is_seen_on_the_scale_of_the_whole(rng):
    network = UNet(width=8, levels=1).eval()
    for parameter in network.correction.parameters():
        parameter.data.normal_(0, 0.1)
    denoiser = Model(network, replace(SAYS_LITTLE, standardised=True))
    image = rng.standard_normal((64, 64)).astype(np.float32)
    image[:32] *= 3  # a part has another contrast than the whole
    whole, window = denoiser(image), (slice(0, 48),) * 2
    kept = (slice(0, 48 - network.reach),) * 2
    seen_alone, seen_as_part = (
        np.abs(denoiser.at_once(image[window], part_of=part) - whole[window])[kept].max()
        for part in (None, image)
    )
    assert seen_as_part < 1e-5
    assert seen_alone > 1e-3


def test_an_empty_image_keeps_its_scale():
    assert standardisation(np.full((4, 4), 7.0)) == (7.0, 1.0)
