"""Splitting a frame by its own noise: a model of the noise, two parts, and the score."""

import numpy as np
import pytest
from made_up_frames import PIXEL, crystal, hexagonal, noise_of
from scipy.ndimage import gaussian_filter
from temdenoise.foundation.seeding import generator
from temdenoise.measuring.noise_model import measure
from temdenoise.micrographs.evidence import best_of, score_of
from temdenoise.micrographs.fission import STRENGTH, counted, mean_and_error, smoothed, split

SHAPE = (256, 240)


def model_of(image, sampling=PIXEL):
    return measure(image, noise_of(image, sampling), sampling)


def parts_of(image, seed=0):
    return split(image, model_of(image), smoothed(image), generator(seed, "split"))


@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
def test_white_noise_is_known_within_half_a_percent(level):
    clean = crystal((512, 512))[0]
    found = [
        model_of(clean + level * np.random.default_rng(seed).standard_normal(clean.shape))
        for seed in range(4)
    ]
    assert all(model.white and model.known for model in found)
    ratios = np.array([model.variance for model in found]) / level**2
    assert abs(ratios.mean() - 1) < 0.005
    # as far as it says of itself
    errors = np.array([model.variance_error for model in found]) / level**2
    assert np.abs(ratios - 1).max() < 4 * errors.max() < 0.02


@pytest.mark.parametrize(("mean", "gain", "readout"), [(3, 1.0, 0.3), (20, 1.0, 0.5), (20, 7.0, 4)])
def test_the_gain_of_a_detector_is_known_within_a_tenth(mean, gain, readout, rng):
    expected = mean * (1 + 0.25 * crystal((512, 512))[0])
    frame = gain * rng.poisson(expected) + readout * rng.standard_normal(expected.shape)
    found = model_of(frame)
    assert found.gain == pytest.approx(gain, rel=0.1)
    assert found.gain_error < 0.1 * gain
    wanted = gain**2 * expected + readout**2
    assert np.mean(found.of_pixels(gain * expected) / wanted) == pytest.approx(1, abs=0.02)
    # whole numbers whose variance is their mean, nothing else
    assert counted(rng.poisson(expected), model_of(rng.poisson(expected)))
    assert not counted(frame, found)
    assert not counted(2 * np.rint(frame), model_of(2 * np.rint(frame)))
    # noise that does not depend on the signal has no gain
    assert model_of(expected + rng.standard_normal(expected.shape)).gain == 0


@pytest.mark.parametrize("blur", [0.9, 1.3])
def test_the_spectrum_of_coloured_noise_is_known_within_a_tenth(blur, rng):
    clean = crystal((512, 512))[0]
    correlated = gaussian_filter(rng.standard_normal(clean.shape), blur, mode="wrap")
    white, coloured = 0.3, 0.7
    noise = np.sqrt(coloured) * correlated / correlated.std()
    noise += np.sqrt(white) * rng.standard_normal(clean.shape)
    found = model_of(clean + noise)
    assert not found.white
    assert found.known
    frequency = np.arange(0.1, 3.3, 0.1) * PIXEL.rows
    wanted = white + coloured * 4 * np.pi * blur**2 * np.exp(-((2 * np.pi * blur * frequency) ** 2))
    drawn = np.mean(
        [found.draw(np.zeros(SHAPE), np.random.default_rng(seed)).var() for seed in range(8)]
    )
    assert drawn == pytest.approx(found.variance, rel=0.02)
    flat, height, *widths = found.spectrum
    for width in widths:
        got = found.variance * (flat + height * np.exp(-((frequency / width) ** 2)))
        np.testing.assert_allclose(got, wanted, rtol=0.1)
    # under an atom there is more of it than of white noise
    assert found.under([3.0, 3.0]) > 1.5


def test_what_a_scan_leaves_behind_along_its_rows_is_known(rng):
    clean = crystal((512, 512))[0]
    noise = gaussian_filter(rng.standard_normal(clean.shape), (0, 1.2), mode="wrap")
    noise = np.sqrt(0.3) * noise / noise.std() + np.sqrt(0.7) * rng.standard_normal(clean.shape)
    found = model_of(clean + noise)
    drawn = found.draw(np.zeros(clean.shape), rng)
    for image in (noise, drawn):
        assert image.var() == pytest.approx(1, abs=0.03)
        beside = [np.mean(image[:, 1:] * image[:, :-1]), np.mean(image[1:] * image[:-1])]
        assert beside == pytest.approx([0.3 * np.exp(-1 / (4 * 1.2**2)), 0], abs=0.02)


def test_noise_of_rows_and_columns_is_known(rng):
    clean = crystal((512, 512))[0]
    for axis in (0, 1):
        lines = 0.3 * rng.standard_normal(512)
        noise = rng.standard_normal(clean.shape) + np.expand_dims(lines, 1 - axis)
        found = model_of(clean + noise)
        assert found.lines[axis] == pytest.approx(lines.var(), rel=0.15)
        assert found.lines[1 - axis] == 0
        drawn = found.draw(np.zeros(clean.shape), rng).mean(axis=1 - axis)
        assert drawn.var() == pytest.approx(found.lines[axis] + 1 / 512, rel=0.25)


def test_filtered_noise_is_not_known(rng):
    assert not model_of(gaussian_filter(rng.standard_normal((256, 256)), 1.2)).known


def test_the_two_parts_have_independent_noise_of_the_stated_strength(rng):
    clean = 50 + hexagonal((512, 512))
    parts = parts_of(clean + 1.5 * rng.standard_normal(clean.shape))
    given, held = parts.given - clean, parts.held - clean
    assert given.var() == pytest.approx(2.25 * (1 + STRENGTH**2), rel=0.01)
    assert held.var() == pytest.approx(2.25 * (1 + STRENGTH**-2), rel=0.01)
    assert parts.held_variance.mean() == pytest.approx(held.var(), rel=0.01)
    assert abs(np.corrcoef(given.ravel(), held.ravel())[0, 1]) < 0.01


def test_counts_are_thinned(rng):
    expected = 4 * (1 + 0.2 * crystal((512, 512))[0])
    frame = rng.poisson(expected)
    parts = parts_of(frame)
    assert parts.added is None
    part = 1 / (1 + STRENGTH**2)
    np.testing.assert_allclose(parts.given * part + parts.held * (1 - part), frame)
    np.testing.assert_allclose(parts.given * part, np.rint(parts.given * part))
    assert parts.held.mean() == pytest.approx(frame.mean(), rel=0.01)
    rest = [part - expected for part in (parts.given, parts.held)]
    assert abs(np.corrcoef(*(part.ravel() for part in rest))[0, 1]) < 0.01
    assert np.mean(parts.errors(expected)) == pytest.approx(0, abs=0.02 * frame.var())


def blurred(sigma):
    return lambda image: gaussian_filter(image, sigma, mode="mirror")


@pytest.mark.parametrize("noise", ["white", "counts", "gain", "correlated"])
def test_the_error_is_estimated_without_the_truth(noise):
    found, true = [], []
    clean = 40 + 8 * crystal(SHAPE)[0]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        frame = {
            "white": lambda rng=rng: clean + 8 * rng.standard_normal(SHAPE),
            "counts": lambda rng=rng: rng.poisson(clean).astype(float),
            "gain": lambda rng=rng: 2.0 * rng.poisson(clean / 2) + rng.standard_normal(SHAPE),
            "correlated": lambda rng=rng: (
                clean
                + 20 * gaussian_filter(rng.standard_normal(SHAPE), 1.0)
                + 4 * rng.standard_normal(SHAPE)
            ),
        }[noise]()
        parts = parts_of(frame, seed)
        for denoise in (blurred(1.0), blurred(2.5)):
            given = denoise(parts.given)
            value, error = mean_and_error(parts.errors(given, denoise(parts.recorded)))
            wanted = float(((given - clean) ** 2).mean())
            found.append((value - wanted) / np.hypot(error, parts.noise.variance_error))
            true.append(value / wanted)
    # the parts of counts scatter more
    within = {"correlated": 0.08, "counts": 0.15}.get(noise, 0.03)
    assert np.mean(true) == pytest.approx(1, abs=within)
    if noise != "correlated":  # its spectrum is extrapolated, with an error of its own
        assert np.abs(found).max() < 4.5


def interleaved(denoise, image):
    """The same by quarters: one denoised, compared with its neighbours; white noise alone."""
    quarters = {(i, j): image[i::2, j::2] for i in (0, 1) for j in (0, 1)}
    given = denoise(quarters[0, 0])
    right = (given[:-1] + given[1:]) / 2  # halfway, where the next rows lie
    return float(np.mean((right - quarters[1, 0][:-1]) ** 2))


def test_it_agrees_with_interleaved_quarters_where_noise_is_white(rng):
    slow = gaussian_filter(rng.standard_normal((512, 512)), 12, mode="wrap")
    slow = 2 * slow / slow.std()
    image = slow + rng.standard_normal(slow.shape)
    parts = parts_of(image)
    denoise = blurred(3.0)
    values = parts.errors(denoise(parts.given), denoise(parts.recorded))
    quarter = interleaved(blurred(1.5), image) - parts.noise.variance
    # a quarter has a fourth of the pixels, so its noise is blurred over as many fewer; a halfway
    # mean of two halves what is left of it
    value, error = mean_and_error(values)
    noise = 1 / (4 * np.pi * 1.5**2)
    assert quarter - noise * (1 + np.exp(-1 / (4 * 1.5**2))) / 2 == pytest.approx(
        value - (1 + STRENGTH**2) / (4 * np.pi * 3.0**2), abs=4 * max(error, 0.003)
    )


def test_a_perfect_denoiser_reaches_the_ceiling_and_none_exceeds_it():
    above = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        clean = hexagonal((96, 96), angle=0.01 * seed)
        frame = clean + rng.uniform(0.3, 3) * rng.standard_normal(clean.shape)
        score = score_of(parts_of(frame, seed), clean, clean)
        above += score.network > score.ceiling + 2 * score.ceiling_error
    assert above <= 9


def test_scores_of_known_denoisers(rng):
    clean = 50 + hexagonal(SHAPE)
    parts = parts_of(clean + 1.5 * rng.standard_normal(SHAPE))
    perfect = score_of(parts, clean, clean)
    # variance of the lattice is 1, of the noise 2.25
    assert perfect.network == pytest.approx(1 / 3.25, abs=0.02)
    assert 0.1 < perfect.gaussian < perfect.network
    assert perfect.ceiling == pytest.approx(1 / 3.25, abs=0.02)
    assert perfect.difference == pytest.approx(perfect.network - perfect.gaussian)
    assert perfect.ratio == perfect.network / perfect.gaussian > 1
    assert perfect.winner == "network"
    flat = np.full(SHAPE, parts.recorded.mean())
    nothing = score_of(parts, flat, flat)
    assert nothing.network == pytest.approx(0, abs=0.01)
    copy = score_of(parts, parts.given, parts.recorded, chosen=1)
    assert copy.network < -0.5
    assert copy.winner == nothing.winner == "gaussian"
    assert copy.chosen == 1
    best = blurred(perfect.sigma)
    same = score_of(parts, best(parts.given), best(parts.recorded))
    assert same.difference == pytest.approx(0, abs=1e-12)
    assert same.winner == "neither"
    unknown = score_of(parts, clean, clean, valid=False)
    assert unknown.winner == "neither"


def test_erased_amorphous_contrast_is_missed(rng):
    support = gaussian_filter(rng.standard_normal((512, 512)), 3, mode="wrap")
    lattice = hexagonal((512, 512))
    clean = lattice + support / support.std()
    parts = parts_of(clean + 0.7 * rng.standard_normal(clean.shape))
    kept, erased = (score_of(parts, image, image) for image in (clean, lattice))
    assert erased.network < kept.network - 0.3
    assert erased.winner == "gaussian"


def test_the_better_of_several_scales_is_chosen(rng):
    noisy = hexagonal(SHAPE) + 1.5 * rng.standard_normal(SHAPE)
    noise = model_of(noisy)
    assert best_of([lambda image: image, blurred(1.5)], noisy, noise) == 1
    assert best_of([blurred(1.5), lambda image: image, blurred(9)], noisy, noise) == 0


def test_a_part_without_variance_scores_nothing():
    flat = np.zeros((96, 96))
    noise = model_of(np.random.default_rng(0).standard_normal((96, 96)))
    score = score_of(split(flat, noise.times(0.0), flat, np.random.default_rng(0)), flat, flat)
    assert not score.valid
    assert score.winner == "neither"
