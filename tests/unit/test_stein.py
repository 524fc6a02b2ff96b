import numpy as np
import pytest
from scipy import fft
from scipy.ndimage import gaussian_filter
from temdenoise.micrographs.stein import KNOTS, PLAIN, Support, filtered, supported

SAMPLING = (0.2, 0.25)
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


def find(noisy, shown, sigma=1.0):
    return supported(noisy, shown, noisy, sigma=sigma, sampling=SAMPLING)


@pytest.mark.parametrize(("strength", "factor"), [(2.0, 0.5), (1.25, 0.8), (1.0, 1.0)])
def test_a_lattice_shown_too_strong_is_damped_to_what_is_there(rng, strength, factor):
    clean = wave(0.45)
    found = find(clean + rng.standard_normal(SHAPE), lambda _: strength * clean)
    assert np.interp(0.45, KNOTS, found.factors) == pytest.approx(factor, abs=0.03)
    assert found.share == pytest.approx(factor, abs=0.03)


def test_nothing_is_made_stronger(rng):
    clean = wave(0.45)
    found = find(clean + rng.standard_normal(SHAPE), lambda _: 0.5 * clean)
    assert max(found.factors) == 1


def test_what_follows_the_noise_is_known_from_what_follows_the_image(rng):
    # of white noise, a linear denoiser passes on as much as of a change: nothing is there
    noise = rng.standard_normal(SHAPE)
    smooth = lambda image: gaussian_filter(image, 0.5, mode="mirror")  # noqa: E731
    found = find(noise, smooth)
    assert found.share < 0.1
    # as long as its level is told rightly
    assert find(noise, smooth, sigma=0.5).share > 0.5


def test_factors_are_those_of_the_clean_image(rng):
    """Against least squares with the clean image at hand, band by band."""
    clean = gaussian_filter(rng.standard_normal(SHAPE), 1.2, mode="mirror")
    clean += 0.3 * wave(0.6)
    clean /= clean.std()
    noisy = clean + rng.standard_normal(SHAPE)

    def shown(image):  # not linear, and far from the best
        return 2 * np.tanh(gaussian_filter(image, 0.7, mode="mirror"))

    found = find(noisy, shown)
    answer, truth = (fft.dctn(a, norm="ortho") for a in (shown(noisy), clean))
    here = lambda factors: np.interp(FREQUENCY, KNOTS, factors)  # noqa: E731
    hats = [here(np.eye(len(KNOTS))[i]) * answer for i in range(len(KNOTS))]
    best = np.linalg.lstsq(np.stack([h.ravel() for h in hats], 1), truth.ravel(), rcond=None)[0]
    errors = {
        name: ((here(factors) * answer - truth) ** 2).mean()
        for name, factors in (("found", found.factors), ("best", best), ("plain", PLAIN.factors))
    }
    assert errors["best"] <= errors["found"] <= 1.03 * errors["best"]
    assert errors["found"] < 0.9 * errors["plain"]


def test_filter_multiplies_each_frequency_by_its_factor():
    factors = tuple(np.linspace(1, 0, len(KNOTS)))
    for frequency in (0.1, 0.33, 0.9):
        image = wave(frequency).astype(np.float32)
        exact = round(2 * frequency * SHAPE[0] * SAMPLING[0]) / (2 * SHAPE[0] * SAMPLING[0])
        out = filtered(image, Support(factors, 1.0), sampling=SAMPLING)
        np.testing.assert_allclose(out, np.interp(exact, KNOTS, factors) * image, atol=1e-4)
    assert filtered(image, PLAIN, sampling=SAMPLING) is image


def test_no_noise_or_no_answer_leaves_all_as_it_is(rng):
    image = rng.standard_normal(SHAPE)
    assert find(image, lambda y: y, sigma=0.0) == PLAIN
    assert find(image, np.zeros_like) == PLAIN
