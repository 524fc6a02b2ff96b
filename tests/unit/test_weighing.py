"""How much of what a network shows the data support, on images whose answer is known."""

import numpy as np
import pytest
from made_up_frames import MOS2, PIXEL, TRAINED, hexagonal, noise_of
from scipy import fft
from scipy.ndimage import gaussian_filter
from scipy.optimize import lsq_linear
from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.background import recorded
from temdenoise.measuring.noise_model import measure
from temdenoise.measuring.spectrum import spectrum
from temdenoise.micrographs.denoising import Answer, answer, fit
from temdenoise.micrographs.evidence import invention
from temdenoise.micrographs.frame import analyse
from temdenoise.micrographs.weighing import (
    KNOTS,
    PLAIN,
    Support,
    best_factors,
    combined,
    estimate_support,
    weighed,
)

SAMPLING = PixelSize(0.2, 0.25)
SHAPE = (192, 160)
FREQUENCY = np.hypot(
    *np.meshgrid(
        *(np.arange(n) / (2 * n * step) for n, step in zip(SHAPE, SAMPLING, strict=True)),
        indexing="ij",
    )
)


def wave(frequency, *, shape=SHAPE):
    """Unit variance, of one frequency along rows [1/Å]."""
    return (
        np.sqrt(2)
        * np.cos(
            np.pi
            * round(2 * frequency * shape[0] * SAMPLING[0])
            * (np.arange(shape[0]) + 0.5)
            / shape[0]
        )[:, None]
        * np.ones(shape)
    )


def find(noisy, shown, *, sigma=1.0, floor=1.0):
    """The factors, and what comes of them."""
    rest = lambda image: image  # noqa: E731
    floor = np.full(len(KNOTS), floor)
    drawn = sigma * np.random.default_rng(99).standard_normal(noisy.shape)
    found = best_factors(noisy, shown, rest, drawn=drawn, floor=floor, sampling=SAMPLING)
    return found, combined(shown(noisy), noisy, found, sampling=SAMPLING)


def error(image, clean):
    return np.mean((image - clean) ** 2)


@pytest.mark.parametrize(("strength", "factor"), [(2.0, 0.5), (1.25, 0.8), (1.0, 1.0)])
def test_a_lattice_shown_too_strong_is_damped_to_what_is_there(rng, strength, factor):
    clean = wave(0.45)
    noisy = clean + rng.standard_normal(SHAPE)
    found, result = find(noisy, lambda _: strength * clean, floor=1e6)
    assert np.interp(0.45, KNOTS, found.factors) == pytest.approx(factor, abs=0.03)
    assert found.fraction == pytest.approx(factor, abs=0.03)
    assert error(result, clean) < 1e-3
    assert max(found.recorded) < 1e-3


def test_what_follows_the_noise_is_known_from_what_follows_the_image(rng):
    # of white noise, a linear denoiser passes on as much as of a change: nothing is there
    noise = rng.standard_normal(SHAPE)
    smooth = lambda image: gaussian_filter(image, 0.5, mode="mirror")  # noqa: E731
    found, result = find(noise, smooth)
    assert found.fraction < 0.1
    assert result.std() < 0.05
    # as long as its level is known
    assert find(noise, smooth, sigma=0.5)[0].fraction > 0.5


def test_factors_are_those_of_the_clean_image(rng):
    """Against least squares with the clean image at hand, band by band."""
    clean = gaussian_filter(rng.standard_normal(SHAPE), 1.2, mode="mirror")
    clean += 0.3 * wave(0.6)
    clean /= clean.std()
    noisy = clean + rng.standard_normal(SHAPE)

    def shown(image):  # not linear, and far from the best
        return 2 * np.tanh(gaussian_filter(image, 0.7, mode="mirror"))

    _, result = find(noisy, shown)
    answer, image, truth = (fft.dctn(a, norm="ortho").ravel() for a in (shown(noisy), noisy, clean))
    here = [np.interp(FREQUENCY, KNOTS, one).ravel() for one in np.eye(len(KNOTS))]
    bands = np.stack([hat * part for part in (answer, image) for hat in here], 1)
    best = lsq_linear(bands, truth, bounds=(0, 1))
    least = np.mean((bands @ best.x - truth) ** 2)
    assert least <= error(result, clean) <= 1.08 * least
    assert error(result, clean) < 0.9 * error(shown(noisy), clean)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_whatever_the_network_no_gaussian_is_better(rng, noise):
    clean = gaussian_filter(rng.standard_normal(SHAPE), 1.5, mode="mirror") * 5 + wave(0.5)
    noisy = clean + noise * rng.standard_normal(SHAPE)
    wrong = rng.standard_normal(SHAPE)
    _, result = find(noisy, lambda _: wrong, sigma=noise, floor=noise**2)
    gaussians = [
        error(gaussian_filter(noisy, sigma, mode="mirror"), clean)
        for sigma in np.geomspace(0.2, 3, 12)
    ]
    assert error(result, clean) < 1.02 * min(gaussians)


def test_what_is_recorded_almost_without_noise_stays(rng):
    clean = wave(0.4) + wave(0.7)
    noisy = clean + 0.01 * rng.standard_normal(SHAPE)
    shown = lambda image: gaussian_filter(image, 1.0, mode="mirror")  # noqa: E731
    _, result = find(noisy, shown, sigma=0.01, floor=1e-4)
    assert error(shown(noisy), clean) > 0.1
    assert error(result, clean) < 2e-4


def test_each_frequency_is_multiplied_by_its_factor():
    down, up = (tuple(np.linspace(*ends, len(KNOTS))) for ends in ((1, 0), (0, 0.5)))
    for frequency in (0.1, 0.33, 0.9):
        image = wave(frequency).astype(np.float32)
        exact = round(2 * frequency * SHAPE[0] * SAMPLING[0]) / (2 * SHAPE[0] * SAMPLING[0])
        out = combined(image, 2 * image, Support(down, up, 1.0), sampling=SAMPLING)
        factor = np.interp(exact, KNOTS, down) + 2 * np.interp(exact, KNOTS, up)
        np.testing.assert_allclose(out, factor * image, atol=1e-4)
    assert combined(image, 2 * image, PLAIN, sampling=SAMPLING) is image


def test_no_noise_or_no_answer_leaves_all_as_it_is(rng):
    image = rng.standard_normal(SHAPE)
    assert find(image, lambda y: y, sigma=0.0)[0] == PLAIN
    assert find(image, np.zeros_like)[0] == PLAIN


class TakesBackground:
    """A network that knows contamination: flattens all that is smoother than a lattice."""

    def denoise(self, seen):
        return seen - gaussian_filter(seen, 12) + 0.7, np.ones_like(seen)


def test_what_varies_slowly_is_not_taken_off_with_the_noise(rng):
    x = np.arange(256) * PIXEL.rows
    thickness = np.cos(2 * np.pi * x / 25)[:, None]  # finer than the background that is put aside
    lattice = hexagonal()
    noisy = lattice + thickness + 0.1 * rng.standard_normal(lattice.shape)
    frame = analyse(noisy, sampling=PIXEL)
    fitted = fit(frame.level, frame.noise_model, TRAINED, PIXEL)
    shown = answer(TakesBackground(), frame.image, fitted, PIXEL)
    # it is the network that takes it, and the weighing that puts it back
    inner = (slice(16, -16), slice(16, -16))
    assert (shown.shown + shown.slow - lattice - thickness)[inner].std() > 0.5
    error = (weighed(shown).denoised - lattice - thickness)[inner]
    assert abs(error.mean()) < 0.05
    assert error.std() < 0.25


class Certain:
    """Takes an image as it is, and expects an error of next to nothing."""

    def denoise(self, seen):
        return seen.copy(), np.full_like(seen, 1e-3)


@pytest.mark.parametrize("lattice", [0, 2000])
def test_sigma_is_no_smaller_than_what_the_data_do_not_support(lattice, rng):
    noise = 60 * rng.standard_normal((192, 160)).astype(np.float32)
    clean = 1000 + lattice * hexagonal(noise.shape).astype(np.float32)
    frame = analyse(clean + noise, sampling=PIXEL)
    fitted = fit(frame.level, frame.noise_model, TRAINED, PIXEL)

    def ask(image):
        return answer(Certain(), image, fitted, PIXEL)

    shown = ask(frame.image)
    support = estimate_support(ask, frame.image, frame.noise_model, frame.spectrum, PIXEL)
    result = weighed(shown, support)
    assert result.support is support
    error = float((result.denoised - clean)[16:-16, 16:-16].std())
    # the noise that was left, seen with coarser pixels, which average some of it
    assert shown.sigma.mean() < 10
    assert 25 < result.sigma.mean() < 60
    assert error < result.sigma.mean()
    assert invention(frame, result).flat == (not lattice)
    if not lattice:
        assert support.fraction < 0.2
        assert error < 10


def test_of_filtered_noise_nothing_can_be_known(rng):
    image = gaussian_filter(rng.standard_normal((192, 160)), 1.2).astype(np.float32)
    noise = measure(image, noise_of(image), PIXEL)
    assert not noise.known

    def ask(_):
        raise AssertionError("the network was asked for nothing")

    assert estimate_support(ask, image, noise, spectrum(image, PIXEL), PIXEL) == PLAIN


def test_coloured_noise_is_taken_away_as_well_as_white(rng):
    """What a network leaves of it is known by more noise of the same colour."""
    noise = gaussian_filter(rng.standard_normal((256, 240)), 1.0)
    noise = noise / noise.std() + 0.5 * rng.standard_normal(noise.shape)
    clean = hexagonal(noise.shape)
    frame = analyse(clean + 1.5 * noise, sampling=PIXEL)
    assert frame.noise_model.known
    assert not frame.noise_model.white
    nothing = np.zeros(noise.shape, np.float32)

    def ask(image):  # passes on half of all that it sees
        return Answer(image, PIXEL, nothing, image / 2, nothing + 0.1, np.nan)

    support = estimate_support(ask, frame.image, frame.noise_model, frame.spectrum, PIXEL)
    found = weighed(ask(frame.image), support).denoised
    plain = weighed(ask(frame.image)).denoised
    assert error(found, clean) < 0.6 * error(plain, clean)
    # the frequency of the lattice is kept, what lies beside it taken away
    assert np.interp(1 / MOS2, KNOTS, support.factors) > 2 * np.median(support.factors)


def test_of_noise_in_rows_nothing_of_the_image_itself_is_taken(rng):
    white = rng.standard_normal((192, 160))
    clean = 2 * hexagonal(white.shape)
    nothing = np.zeros(white.shape, np.float32)

    def taken(noisy):
        image = noisy.astype(np.float32)

        def ask(image):  # half of the lattice
            half = (clean / 2).astype(np.float32)
            return Answer(image, PIXEL, nothing, half, nothing + 0.1, np.nan)

        noise, rings = measure(image, noise_of(image), PIXEL), spectrum(image, PIXEL)
        return noise, estimate_support(ask, image, noise, rings, PIXEL)

    noise, support = taken(clean + white)
    assert noise.white
    assert max(support.recorded) > 0.1
    noise, support = taken(clean + white + rng.standard_normal((192, 1)))
    assert noise.lines[0] > 0.5
    assert max(support.recorded) < 1e-4


def test_what_is_kept_as_recorded_holds_no_lattice():
    slope = np.add.outer(np.linspace(0, 90, 256), np.zeros(256)).astype(np.float32)
    kept = recorded(slope + hexagonal().astype(np.float32), PIXEL)
    assert np.abs(kept - slope)[16:-16, 16:-16].max() < 0.1
