"""Evidence for and against a denoised frame, on images whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_frames import PIXEL, hexagonal, noise_of
from scipy.ndimage import gaussian_filter
from temdenoise.micrographs.evidence import (
    CERTAIN,
    FoundFeatures,
    Score,
    best_of,
    features_of,
    invention,
    quarter_score,
    residual_of,
)
from temdenoise.micrographs.frame import analyse
from temdenoise.micrographs.weighing import PLAIN, Weighed

SHAPE = (256, 240)


@pytest.fixture
def noisy(rng):
    return 50 + hexagonal(SHAPE) + 1.5 * rng.standard_normal(SHAPE)


def oracle(noisy, clean):
    """A denoiser that knows the clean quarter."""
    quarters = {
        noisy[i::2, j::2].astype(np.float64).tobytes(): clean[i::2, j::2]
        for i in (0, 1)
        for j in (0, 1)
    }
    return lambda quarter: quarters[np.ascontiguousarray(quarter).tobytes()]


def as_it_is(quarter):
    return quarter


def smoothed(quarter):
    return gaussian_filter(quarter, 1.5, mode="mirror")


def test_a_perfect_denoiser_explains_all_that_is_no_noise(noisy):
    score = quarter_score(oracle(noisy, 50 + hexagonal(SHAPE)), noisy, noise_of(noisy))
    # variance of the lattice is 1, of the noise 2.25
    assert score.network == pytest.approx(1 / 3.25, abs=0.02)
    assert 0.1 < score.gaussian < score.network
    # as well as the level of noise is known: within 2 %
    assert score.ceiling == pytest.approx(1 / 3.25, abs=0.04 * 2.25 / 3.25)
    assert score.difference == pytest.approx(score.network - score.gaussian)
    assert score.ratio == score.network / score.gaussian > 1
    assert score.winner == "network"


def test_a_constant_and_a_copy_explain_nothing(noisy):
    noise = noise_of(noisy)
    flat = quarter_score(lambda quarter: np.full_like(quarter, quarter.mean()), noisy, noise)
    assert flat.network == pytest.approx(0, abs=1e-12)
    copy = quarter_score(as_it_is, noisy, noise)
    assert copy.network < 0
    assert copy.winner == flat.winner == "gaussian"


def test_the_best_gaussian_against_itself_is_a_draw(noisy):
    noise = noise_of(noisy)
    best = quarter_score(as_it_is, noisy, noise)
    same = quarter_score(lambda q: gaussian_filter(q, best.sigma / 2, mode="mirror"), noisy, noise)
    assert same.difference == pytest.approx(0, abs=1e-12)
    assert same.winner == "neither"
    for factor in (0.8, 1.25):
        other = quarter_score(
            lambda q, s=factor * best.sigma / 2: gaussian_filter(q, s, mode="mirror"), noisy, noise
        )
        assert other.difference < 0


@pytest.mark.parametrize(
    ("difference", "error", "valid", "winner"),
    [
        (0.03, 0.01, True, "network"),
        (0.01, 0.01, True, "neither"),
        (-0.01, 0.01, True, "neither"),
        (-0.03, 0.01, True, "gaussian"),
        (0.03, 0.01, False, "neither"),
    ],
)
def test_a_score_is_won_by_more_than_two_standard_errors(difference, error, valid, winner):
    score = Score(0.3, 0.3 - difference, 2.0, difference, error, 0, 0.4, valid)
    assert score.winner == winner
    assert np.isnan(replace(score, gaussian=0.0).ratio)


def test_the_better_of_several_scales_is_chosen(noisy):
    noise = noise_of(noisy)
    assert best_of([as_it_is, smoothed], noisy, noise) == 1
    assert best_of([smoothed, as_it_is, as_it_is], noisy, noise) == 0
    # which of them it was is remembered
    assert quarter_score(smoothed, noisy, noise, chosen=1).chosen == 1


def test_noise_of_rows_is_not_taken_for_signal(rng):
    image = rng.standard_normal((256, 256)) + rng.standard_normal((256, 1))
    noise = noise_of(image)
    assert "rows" in noise.kinds

    def keeps_rows(quarter):
        return np.repeat(quarter.mean(1, keepdims=True), quarter.shape[1], 1)

    score = quarter_score(keeps_rows, image, noise)
    assert score.network < 0.02
    # it would be, were it not known
    unknown = quarter_score(keeps_rows, image, replace(noise, kinds=("white",)))
    assert unknown.network > score.network + 0.1


def test_correlated_noise_makes_the_score_void(rng):
    image = gaussian_filter(rng.standard_normal((256, 256)), 0.8)
    score = quarter_score(as_it_is, image, noise_of(image))
    assert not score.valid
    assert score.winner == "neither"


def test_too_small_to_score(rng):
    image = rng.standard_normal((60, 60))
    with pytest.raises(ValueError, match="at least 64"):
        quarter_score(as_it_is, image, noise_of(image))


def result(denoised, *, slow=0.0, sigma=0.1):
    """What became of a frame."""
    flat = np.zeros(denoised.shape, np.float32)
    return Weighed(denoised.astype(np.float32), flat + sigma, flat + slow, PLAIN)


def test_residual_of_a_perfect_denoiser_is_white(noisy):
    frame = analyse(noisy, sampling=PIXEL)
    right, of_rest = residual_of(frame, result(50 + hexagonal(SHAPE)))
    assert np.abs(right.correlation).max() < 0.02
    assert right.over_noise == pytest.approx(1, rel=0.05)
    assert right.lattice_left < 0.05
    assert of_rest.power.mean() == pytest.approx(1.5**2, rel=0.05)
    flat, _ = residual_of(frame, result(np.full(SHAPE, 50)))
    assert flat.lattice_left > 0.9
    smooth, _ = residual_of(frame, result(frame.image - gaussian_filter(noisy - 50, 1)))
    assert min(smooth.correlation) > 0.3


def test_a_lattice_out_of_nothing_is_caught(rng):
    noise = 3 * rng.standard_normal((256, 256))
    frame = analyse(noise, sampling=PIXEL)
    invented = invention(frame, result(hexagonal()))
    assert invented.shown == 3
    assert invented.seen <= 1
    assert invented.suspected
    flat = invention(frame, result(0.05 * hexagonal()))
    assert flat.flat
    assert not flat.suspected
    seen = invention(analyse(noise + hexagonal(), sampling=PIXEL), result(hexagonal()))
    assert (seen.seen, seen.shown) == (3, 3)
    assert not seen.suspected


def test_features_are_found_where_the_result_shows_any(rng):
    atoms = np.exp(hexagonal(SHAPE)).astype(np.float32)
    frame = analyse(atoms + 0.3 * rng.standard_normal(SHAPE), sampling=PIXEL)
    found = features_of(frame, result(atoms), "atoms", flat=False)
    # one atom for each cell of the lattice
    cell = (2.7366 / 0.15) ** 2 * 2 / np.sqrt(3)
    assert len(found.centres) == pytest.approx(atoms.size / cell, rel=0.15)
    rows, columns = np.rint(found.centres).astype(int).T
    assert atoms[rows, columns].min() > 0.5 * atoms.max()
    assert found.certain.mean() > 0.9
    assert np.median(found.evidence) > 5
    # an error as large as the lattice leaves none of them certain
    doubted = features_of(frame, result(atoms, sigma=2 * atoms.std()), "atoms", flat=False)
    assert len(doubted.centres) == len(found.centres)
    assert not doubted.certain.any()
    # pores lie elsewhere
    pores = features_of(frame, result(-atoms), "pores", flat=False)
    assert {tuple(c) for c in np.rint(pores.centres)} == {tuple(c) for c in np.rint(found.centres)}
    for nothing in (
        features_of(frame, result(atoms), "atoms", flat=True),
        features_of(frame, result(np.full(SHAPE, 1.0)), "atoms", flat=False),
    ):
        assert nothing.centres.shape == (0, 2)
        assert len(nothing.confidence) == len(nothing.evidence) == len(nothing.certain) == 0


def test_a_feature_is_certain_from_one_confidence_on():
    confidence = np.array([CERTAIN - 1e-9, CERTAIN, 1.0])
    found = FoundFeatures("atoms", np.zeros((3, 2)), confidence, np.ones(3))
    np.testing.assert_array_equal(found.certain, [False, True, True])
