"""A frame: cleaned, looked at, fitted to a model, and the network's answer to it."""

import numpy as np
import pytest
from made_up_frames import PIXEL, TRAINED, hexagonal
from made_up_models import SCALED, made_up
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.modes import IMAGE_MODES, image_mode, mode_by_contrast
from temdenoise.foundation.quantities import NoiseLevel, NoiseRange, PixelRange, PixelSize
from temdenoise.learning.inference import TILE
from temdenoise.measuring.resampling import resample
from temdenoise.micrographs import frame as frames
from temdenoise.micrographs.denoising import INSIDE, Fit, answer, fit
from temdenoise.micrographs.frame import analyse, contrast_of, mode_of


@pytest.fixture
def noisy(rng):
    return 50 + hexagonal((256, 240)) + 1.5 * rng.standard_normal((256, 240))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.full((64, 64), np.nan), "every pixel is missing"),
        (np.full((64, 64), 7), "same value, 7"),
        (np.where(np.arange(4096).reshape(64, 64) % 3, np.nan, 1.0), "% of the pixels are missing"),
        (np.minimum(np.arange(4096).reshape(64, 64) * 1103 % 4099, 1500), "saturated"),
    ],
)
def test_frames_that_hold_no_picture(frame, message):
    with pytest.raises(DataError, match=message):
        analyse(frame, sampling=PIXEL)


def test_few_saturated_and_missing_pixels_are_borne(noisy):
    recorded = noisy.copy()
    recorded[3, 3:9] = np.nan
    recorded[100:110, 100:110] = recorded[np.isfinite(recorded)].max() + 1
    frame = analyse(recorded, sampling=PIXEL)
    assert np.isfinite(frame.image).all()
    assert 6 <= frame.replaced < 6 + 100
    assert frame.outliers == frame.replaced / recorded.size
    # what is no area without data is saturated pixels
    assert frame.saturated == 0
    assert "saturated" in frame.no_data.text
    assert frame.no_data.fraction == pytest.approx(100 / recorded.size, rel=0.02)
    limited = np.minimum(noisy, np.quantile(noisy, 0.9))
    assert analyse(limited, sampling=PIXEL).saturated == pytest.approx(0.1, rel=0.01)


def test_what_is_found_in_a_frame_is_found_once(noisy, monkeypatch):
    calls = []
    for name in ("spectrum", "estimate", "lattice_peaks", "first_ring", "lattice_contrast"):
        found = getattr(frames, name)
        monkeypatch.setattr(
            frames, name, lambda *a, _f=found, _n=name, **k: (calls.append(_n), _f(*a, **k))[1]
        )
    frame = analyse(noisy, sampling=PIXEL, number=3)
    assert calls == []
    for _ in range(2):
        assert frame.noise.sigma == pytest.approx(1.5, rel=0.03)
        assert frame.ring.spacing == pytest.approx(2.7366, rel=0.005)
        assert frame.level.contrast == pytest.approx(1, rel=0.1)
        assert frame.level.sigma == np.sqrt(frame.noise_model.variance)
    assert sorted(calls) == sorted(set(calls))
    assert len(calls) == 5
    assert (frame.number, frame.sampling, frame.saturated) == (3, PIXEL, 0)


def test_mode_is_judged_by_the_tail_of_the_brightness(rng):
    dots = np.exp(3 * hexagonal())
    for sign, name in ((1, "adf"), (-1, "density")):
        assert contrast_of(sign * dots) == sign
        assert mode_by_contrast(sign).name == name
        # through noise, over a slope, with missing pixels
        recorded = sign * (dots / dots.std() + rng.standard_normal(dots.shape)) + np.arange(256)
        recorded[5, 5:9] = np.nan
        assert mode_of(recorded, PIXEL).name == name


def test_every_mode_says_whether_its_sign_is_known():
    assert {name: mode.contrast for name, mode in IMAGE_MODES.items()} == {
        "density": -1,
        "adf": 1,
        "hrtem": None,
    }
    for name, mode in IMAGE_MODES.items():
        assert image_mode(name) is mode
        # what the detector looks for is bright under that sign
        assert mode.contrast in (None, mode.sign)
    with pytest.raises(DataError, match="'secondary': expected one of density, adf, hrtem"):
        image_mode("secondary")


def test_fit_gives_the_lattice_the_trained_contrast(rng):
    frame = analyse(7 * hexagonal() + 2 * rng.standard_normal((256, 256)), sampling=PIXEL)
    noise = frame.noise_model
    level = NoiseLevel(frame.noise.sigma, 7.0)
    fitted = fit(level, noise, TRAINED, PIXEL)
    assert fitted.gain * 7 == pytest.approx(TRAINED.clean_std, rel=0.05)
    assert level.over_contrast == pytest.approx(2 / 7, rel=0.05)
    assert fitted.mean == TRAINED.clean_mean
    # another scale of the intensity is one of the noise, too
    assert fitted.scaled(2) == Fit(fitted.sampling, 2 * fitted.gain, 2 * fitted.c_noise, 0.5)
    # coarser pixels where there is more noise than trained on, and never out of range
    coarsest = pytest.approx(INSIDE * TRAINED.pixels.coarsest)
    loud = noise.times(25.0)
    strong = fit(NoiseLevel(10.0, 1.0), loud, TRAINED, PIXEL)
    assert strong.sampling == coarsest
    assert strong.c_noise <= TRAINED.noise.high
    assert fit(level, noise, TRAINED, PixelSize.of(0.5)).sampling == coarsest
    nothing = NoiseLevel(2.0, 0.0)
    assert nothing.over_contrast == np.inf
    assert fit(nothing, noise, TRAINED, PIXEL).c_noise == TRAINED.noise.high


def test_an_image_without_noise_is_fitted_by_its_lattice():
    frame = analyse(hexagonal(), sampling=PIXEL)
    silent = frame.noise_model.times(0.0)
    fitted = fit(NoiseLevel(0.0, 0.5), silent, TRAINED, PIXEL)
    assert fitted.gain == pytest.approx(TRAINED.clean_std / 0.5)
    assert fitted.c_noise == 0


@pytest.mark.parametrize(
    ("size", "side"), [((0.1, 0.4), 0.2), (0.12, 0.12), ((0.12, 0.12), 0.12), (1, 1)]
)
def test_pixel_sizes(size, side):
    assert PixelSize.of(size).side == pytest.approx(side)
    assert PixelSize.of(PixelSize.of(size)) == PixelSize.of(size)


@pytest.mark.parametrize("size", [0, -0.1, np.nan, np.inf, (0.1,), (0.1, 0.1, 0.1), "0.1 nm", None])
def test_what_is_no_pixel_size(size):
    with pytest.raises(ValueError, match="expected the pixel size in Å"):
        PixelSize.of(size)


def test_a_range_of_pixel_sizes_has_its_middle_between_its_ends():
    assert PixelRange(0.1, 0.4).middle == pytest.approx(0.2)
    # a model that says nothing else knows its own pixels within 5 %
    alone = made_up({"c_noise_train": [0.1, 1.0], "sampling_angstrom": 0.2}).description
    assert alone.pixels == pytest.approx((0.19, 0.21))
    assert alone.noise == NoiseRange(0.1, 1.0)


class Honest:
    """Takes an image as it is, and says that it may be wrong by 0.06 everywhere."""

    def denoise(self, seen):
        self.seen = seen
        return seen.copy(), np.full_like(seen, 0.06)


@pytest.mark.parametrize(
    ("pixel", "shape"), [(PIXEL, (320, 300)), (PixelSize(0.15, 0.1), (320, 200))]
)
def test_the_answer_is_on_the_grid_and_scale_of_the_image(pixel, shape, noisy):
    image = analyse(1000 * noisy, sampling=pixel).image
    model = Honest()
    found = answer(model, image, Fit(sampling=0.12, gain=1e-4, c_noise=0.4, mean=0.3), pixel)
    assert model.seen.shape == shape
    assert model.seen.mean() == pytest.approx(0.3, abs=0.01)
    assert (found.image is image, found.sampling) == (True, pixel)
    assert np.isnan(found.seam)
    # finer pixels lose nothing, coarser ones what they cannot hold
    kept = resample(resample(image - found.slow, shape), image.shape)
    np.testing.assert_allclose(found.shown, kept, atol=1)
    away = found.shown + found.slow - image
    if pixel == PIXEL:
        assert np.abs(away).max() < 1
    else:
        assert away.std() > 100
    assert found.shown.dtype == found.sigma.dtype == np.float32
    np.testing.assert_allclose(found.sigma, np.full(image.shape, 600.0), rtol=1e-5)


def test_the_seam_between_tiles_is_measured_where_there_is_one(rng):
    shape = (TILE + 128, 96)
    image = (100 * hexagonal(shape) + 50 * rng.standard_normal(shape)).astype(np.float32)
    fitted = Fit(sampling=0.15, gain=0.002, c_noise=0.1, mean=0.3)
    stirred = made_up(SCALED, levels=3, stirred=0.05)
    assert np.isnan(answer(stirred, image, fitted, PIXEL).seam)
    seam = answer(stirred, image, fitted, PIXEL, check_seam=True).seam
    # rounding, far below the noise of 50
    assert 0 <= seam < 1e-2
    small = answer(stirred, image[:TILE], fitted, PIXEL, check_seam=True)
    assert np.isnan(small.seam)
