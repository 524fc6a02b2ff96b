import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from temdenoise.foundation.configuration import load_schema
from temdenoise.foundation.seeding import generator
from temdenoise.images.noise import (
    CAMERA_BLUR,
    CAMERA_COLUMN,
    NOISES,
    PAPER_NOISES,
    SCAN_JITTER,
    SCAN_ROW,
    NoiseOptions,
    Window,
    c_noise_of_dose,
    corrupt,
    smooth_background,
)

LEVELS = (0.0, 0.3, 1.0)


def noisy(noise, c_noise, level=0.5, seed=0, shape=(400, 400)):
    clean = np.full(shape, level)
    return corrupt(clean, noise=noise, c_noise=c_noise, rng=generator(seed, noise))


@pytest.mark.parametrize("noise", NOISES)
def test_no_noise_is_the_identity(noise, lattice, rng):
    result = corrupt(lattice, noise=noise, c_noise=0, rng=rng)
    assert result.dtype == np.float32
    assert (result == lattice).all()


@pytest.mark.parametrize("noise", NOISES)
def test_seed_decides(noise):
    assert (noisy(noise, 0.2, seed=1) == noisy(noise, 0.2, seed=1)).all()
    assert (noisy(noise, 0.2, seed=1) != noisy(noise, 0.2, seed=2)).any()


@pytest.mark.parametrize("noise", NOISES)
def test_the_clean_image_is_left_alone(noise, lattice, rng):
    before = lattice.copy()
    corrupt(lattice, noise=noise, c_noise=0.3, rng=rng)
    assert (lattice == before).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("c_noise", [0.05, 0.25, 0.5])
def test_gaussian_moments(level, c_noise):
    image = noisy("gaussian", c_noise, level)
    assert image.mean() == pytest.approx(level, abs=4 * c_noise / 400)
    assert image.std() == pytest.approx(c_noise, rel=0.01)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("c_noise", [0.05, 0.25, 0.5])
def test_poisson_moments(level, c_noise):
    image = noisy("poisson", c_noise, level)
    assert image.mean() == pytest.approx(level, abs=5 * c_noise / 400)
    assert image.std() == pytest.approx(c_noise * np.sqrt(level), rel=0.02)
    # values are whole counts
    assert np.allclose(image / c_noise**2, np.round(image / c_noise**2), atol=1e-3)


@pytest.mark.parametrize("c_noise", [0.05, 0.25, 0.5])
def test_salt_pepper_fractions(c_noise):
    image = noisy("salt_pepper", c_noise, 0.4)
    spread = 4 * np.sqrt(c_noise / 2) / 400
    for value, share in ((0.0, c_noise / 2), (1.0, c_noise / 2), (0.4, 1 - c_noise)):
        assert np.isclose(image, value).mean() == pytest.approx(share, abs=spread)


@pytest.mark.parametrize("c_noise", [0.05, 0.25, 0.5])
def test_background_is_added_to_white_noise(c_noise):
    image = noisy("background_gaussian", c_noise)
    # the difference of neighbours holds the white noise alone
    assert np.diff(image, axis=0).std() == pytest.approx(np.sqrt(2) * c_noise, rel=0.02)
    assert image.std() > 1.03 * c_noise
    assert image.mean() == pytest.approx(0.5, abs=0.03 * c_noise)


@given(st.integers(0, 10_000), st.floats(0.1, 0.6))
@settings(max_examples=20, deadline=None)
def test_background_has_zero_mean_unit_peak_and_is_smooth(seed, correlation):
    shape = (150, 130)
    field = smooth_background(shape, generator(seed), correlation=correlation * 150)
    assert abs(field.mean()) < 0.02
    assert np.abs(field).max() == pytest.approx(1, abs=0.02)
    assert np.abs(np.diff(field, axis=0)).max() < 6 / (correlation * 150)


def test_background_correlates_over_the_stated_length():
    fields = [smooth_background((200, 200), generator(i), correlation=20.0) for i in range(60)]
    power = np.mean([f[:, :160] ** 2 for f in fields])
    covariance = np.mean([f[:, :160] * f[:, 20:180] for f in fields])
    assert covariance / power == pytest.approx(np.exp(-0.5), abs=0.08)


def test_contamination_of_a_window_is_that_of_the_whole_image():
    """It has no noise from pixel to pixel, so the two can be compared."""
    clean = np.zeros((120, 90))
    options = {"noise": "contamination", "c_noise": 1.0}
    whole = corrupt(clean, rng=generator(5), **options)
    window = Window(clean.shape, origin=(30, 11))
    part = corrupt(clean[30:70, 11:41], rng=generator(5), window=window, **options)
    assert part == pytest.approx(whole[30:70, 11:41], abs=1e-6)


def test_window_of_a_background_is_the_background_of_the_window():
    whole = smooth_background((120, 90), generator(5), correlation=25)
    window = (slice(30, 70), slice(11, 41))
    part = smooth_background((120, 90), generator(5), correlation=25, window=window)
    assert part == pytest.approx(whole[window], abs=1e-12)


def test_clip(lattice, rng):
    clipped = corrupt(
        lattice, noise="gaussian", c_noise=0.5, rng=rng, options=NoiseOptions(clip=True)
    )
    assert clipped.min() == 0
    assert clipped.max() == 1


@pytest.mark.parametrize("c_noise", [-0.1, np.nan, np.inf])
def test_impossible_c_is_refused(c_noise, lattice, rng):
    with pytest.raises(ValueError, match=r"c_noise = .*at least 0"):
        corrupt(lattice, noise="gaussian", c_noise=c_noise, rng=rng)


def test_unknown_noise_is_refused(lattice, rng):
    with pytest.raises(ValueError, match=r"'pink'.*gaussian, salt_pepper"):
        corrupt(lattice, noise="pink", c_noise=0.1, rng=rng)


def test_schema_knows_every_noise():
    schema = load_schema()["properties"]["datasets"]["properties"]["noises"]
    assert schema["items"]["enum"] == list(NOISES)
    assert tuple(schema["default"]) == PAPER_NOISES


@pytest.mark.parametrize("pedestal", [0.0, 3.0])
@pytest.mark.parametrize("c_noise", [0.05, 0.5])
def test_dose_moments(c_noise, pedestal, rng):
    clean = np.full((400, 400), 0.5)
    image = corrupt(
        clean, noise="dose", c_noise=c_noise, rng=rng, options=NoiseOptions(pedestal=pedestal)
    )
    spread = c_noise * np.sqrt(0.5 + pedestal)
    assert image.mean() == pytest.approx(0.5, abs=5 * spread / 400)
    assert image.std() == pytest.approx(spread, rel=0.02)
    counts = (image + pedestal) / c_noise**2
    assert np.allclose(counts, np.round(counts), atol=1e-3)


def test_c_of_a_dose_gives_the_electrons_of_that_dose(rng):
    """Counted electrons: D a² I in every pixel, whatever the scale's offset and range."""
    dose, sampling, offset, extent = 2e4, 0.2, 0.003, 0.02
    intensity = 0.011  # share of the beam on the detector
    c_noise = c_noise_of_dose(dose, sampling=sampling, intensity_range=extent)
    clean = np.full((500, 500), (intensity - offset) / extent)
    options = NoiseOptions(pedestal=offset / extent)
    noisy = corrupt(clean, noise="dose", c_noise=c_noise, rng=rng, options=options)
    electrons = (noisy * extent + offset) * dose * sampling**2
    expected = dose * sampling**2 * intensity
    assert electrons.mean() == pytest.approx(expected, rel=0.005)
    assert electrons.var() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("wrong", "name"), [({"dose": 0}, "dose"), ({"sampling": -1}, "sampling")])
def test_a_dose_that_makes_no_sense_is_refused(wrong, name):
    right = {"dose": 1e4, "sampling": 0.1, "intensity_range": 0.01}
    with pytest.raises(ValueError, match=rf"{name} = .*above 0"):
        c_noise_of_dose(**right | wrong)


@pytest.mark.parametrize("c_noise", [0.1, 1.0, 4.0])
def test_scan_lines_moments(c_noise):
    flat = noisy("scan_lines", c_noise)
    line = flat.mean(axis=0)
    # lines run along x: their brightness is common to a line, the rest is white
    row = np.hypot(SCAN_ROW, 1 / np.sqrt(400)) * c_noise
    assert line.std() == pytest.approx(row, rel=0.12)
    assert (flat - line).std() == pytest.approx(c_noise, rel=0.01)
    assert np.diff(flat, axis=0).std() == pytest.approx(np.sqrt(2) * c_noise, rel=0.01)


@pytest.mark.parametrize("c_noise", [0.1, 1.0, 4.0])
def test_scan_lines_are_displaced_by_the_stated_jitter(c_noise, rng):
    """A ramp far steeper than the noise shows every line's displacement."""
    slope = 1e4
    ramp = np.add.outer(slope * np.arange(100), np.zeros(2000))
    moved = corrupt(ramp, noise="scan_lines", c_noise=c_noise, rng=rng)[50] / slope - 50
    assert moved.std() == pytest.approx(SCAN_JITTER * min(c_noise, 1), rel=0.06)
    assert abs(moved.mean()) < 4 * SCAN_JITTER / np.sqrt(2000)


@pytest.mark.parametrize("c_noise", [0.1, 1.0])
def test_camera_moments(c_noise):
    image = noisy("camera", c_noise, shape=(800, 800))
    within = image - image.mean(axis=1, keepdims=True)
    assert within.std() == pytest.approx(c_noise, rel=0.01)
    column = np.sqrt(CAMERA_COLUMN**2 + np.exp(-0.25 / CAMERA_BLUR**2) / 800)
    assert image.mean(axis=1).std() == pytest.approx(column * c_noise, rel=0.1)
    for distance in (1, 2):
        product = within[:, distance:] * within[:, :-distance]
        expected = np.exp(-(distance**2) / (4 * CAMERA_BLUR**2))
        assert product.mean() / within.var() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("c_noise", [0.1, 1.0])
def test_contamination_is_slow_and_only_adds(c_noise):
    image = noisy("contamination", c_noise)
    assert image.min() >= 0.5 - 0.02 * c_noise
    assert image.max() <= 0.5 + 1.02 * c_noise
    assert image.mean() == pytest.approx(0.5 + c_noise / 2, abs=0.02 * c_noise)
    # nothing from pixel to pixel: correlated over a quarter of the image
    assert np.abs(np.diff(image, axis=0)).max() < 0.05 * c_noise
