"""Evidence for and against a denoised frame, on images whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_frames import PIXEL, hexagonal
from scipy.ndimage import gaussian_filter
from temdenoise.micrographs.evidence import (
    CERTAIN,
    FoundFeatures,
    Score,
    features_of,
    invention,
    residual_of,
)
from temdenoise.micrographs.frame import analyse
from temdenoise.micrographs.weighing import PLAIN, Weighed

SHAPE = (256, 240)


@pytest.fixture
def noisy(rng):
    return 50 + hexagonal(SHAPE) + 1.5 * rng.standard_normal(SHAPE)


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
    score = Score(0.3, 0.3 - difference, 2.0, difference, error, 0, 0.4, 0.01, valid)
    assert score.winner == winner
    assert np.isnan(replace(score, gaussian=0.0).ratio)


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
