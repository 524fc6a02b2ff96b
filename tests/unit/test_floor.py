"""The floor of the loss: against closed forms, its calibration, and what it refuses."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from temdenoise.images.datasets import IntensityScale
from temdenoise.images.noise import Window, corrupt, smooth_background
from temdenoise.judging.floor import (
    BACKGROUND,
    Frame,
    Posterior,
    Sites,
    Superposition,
    density,
    elliptical_slice,
    estimate,
    fit_form_factors,
    frames_by_structure,
)
from temdenoise.judging.reference import ReferenceMaps, reference_image

SIDES = (5.0, 4.4)
SCALE = IntensityScale(offset=0.05, range=4.0)
WIDTH = 0.3
ELECTRONS = {"B": 3.0, "N": 5.0}
SYMBOLS = ["B", "N"] * 4
MEANS = np.array([(x, y) for x in (0.6, 1.9, 3.1, 4.4) for y in (1.1, 3.3)])
X, Y = np.arange(25) * 0.2, np.arange(22) * 0.2


def gaussian_atoms(positions, *, shape=(50, 44), sides=SIDES):
    """Periodic map of Gaussians [e/Å²], on a grid that starts in the corner."""
    image = np.zeros(shape)
    x, y = (np.arange(n) * side / n for n, side in zip(shape, sides, strict=True))
    for symbol, place in zip(SYMBOLS, positions, strict=True):
        along = []
        for axis, side, own in zip((x, y), sides, place, strict=True):
            distance = axis[:, None] - own + side * np.arange(-2, 3)
            along.append(np.exp(-0.5 * (distance / WIDTH) ** 2).sum(axis=1))
        image += ELECTRONS[symbol] / (2 * np.pi * WIDTH**2) * np.outer(*along)
    return image


def reference_of(positions, splits):
    structures = [
        {
            "name": f"{split}-{number:04d}",
            "symbols": " ".join(SYMBOLS),
            "positions": [[*place, 4.0] for place in own.tolist()],
            "defects": [{"kind": "vacancy", "element": "B", "x": 2.5, "y": 2.2}],
        }
        for number, (own, split) in enumerate(zip(positions, splits, strict=True))
    ]
    maps = np.array([gaussian_atoms(own) for own in positions])
    return ReferenceMaps("made_up", "made_up", maps, (0.1, 0.1), structures, {})


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(3)
    positions = [MEANS + rng.normal(0, 0.1, MEANS.shape) for _ in range(17)]
    return reference_of(positions, ["val"] + ["test"] * 16)


@pytest.fixture(scope="module")
def factors(reference):
    return fit_form_factors(reference)


def sites(deviation):
    return Sites(SYMBOLS, MEANS, np.full(len(SYMBOLS), deviation), SIDES)


def draw(rng, factors, deviation, *, noise="gaussian", c_noise=0.2):
    """A posterior, the displacements it does not know over their deviation, and their image."""
    known = sites(deviation)
    z = rng.standard_normal(2 * len(SYMBOLS))
    empty = Frame(np.zeros((len(X), len(Y))), X, Y, "gaussian", c_noise)
    clean = Posterior(known, factors, empty, SCALE).expected(z)
    # a window of an image four times as large
    window = Window((100, 100), (30, 30))
    noisy = corrupt(clean, noise=noise, c_noise=c_noise, rng=rng, window=window)
    frame = Frame(noisy, X, Y, noise, c_noise, correlation=0.25 * 100 * 0.2)
    return Posterior(known, factors, frame, SCALE), z, clean


def mean_image(posterior, rng, *, draws=100):
    found = estimate(posterior, rng.spawn(2), draws=draws)
    waves = posterior.cell.waves(X, Y)
    return SCALE.normalise(density(found.coefficients.mean(axis=0), waves))


def test_superposition_is_that_of_gaussians(factors, rng):
    positions = MEANS + rng.normal(0, 0.1, MEANS.shape)
    cell = Superposition(SYMBOLS, SIDES, factors)
    found = density(cell.coefficients(positions), cell.waves(X, Y))
    true = gaussian_atoms(positions)[::2, ::2]
    assert np.abs(found - true).max() < 1e-3 * true.max()
    assert found.mean() * SIDES[0] * SIDES[1] == pytest.approx(4 * 3 + 4 * 5, rel=1e-4)


def test_form_factors_are_those_the_maps_were_made_with(factors):
    cell = Superposition(SYMBOLS, SIDES, factors)
    frequency = np.hypot(cell.qx[:, None], cell.qy)
    area = SIDES[0] * SIDES[1]
    for symbol, electrons in ELECTRONS.items():
        true = electrons * np.exp(-2 * (np.pi * WIDTH * frequency) ** 2)
        found = cell.factors[symbol] * area / cell.twice
        # at 0 only their sum is known, since each map holds as many of either
        assert np.abs(found - true)[frequency > 0].max() < 0.01 * electrons


def test_derivatives(factors, rng):
    cell = Superposition(SYMBOLS, SIDES, factors)
    found = cell.derivatives(MEANS)
    for atom, axis in ((0, 0), (5, 1)):
        moved = np.zeros(MEANS.shape)
        moved[atom, axis] = 1e-5
        difference = cell.coefficients(MEANS + moved) - cell.coefficients(MEANS - moved)
        assert np.allclose(difference / 2e-5, found[atom, axis], atol=1e-6)


def test_slice_sampling_of_a_known_posterior(rng):
    """N(0, 1) seen through noise of deviation 0.5 at 1.2: N(0.96, 0.2)."""
    state, level, drawn = np.zeros(1), -10.0, []

    def log_weight(own):
        return float(-0.5 * ((1.2 - own[0]) / 0.5) ** 2)

    level = log_weight(state)
    for _ in range(5000):
        state, level = elliptical_slice(state, level, log_weight, rng)
        drawn.append(state[0])
    assert np.mean(drawn) == pytest.approx(0.96, abs=0.03)
    assert np.var(drawn) == pytest.approx(0.2, rel=0.1)


def test_small_displacements_against_the_closed_form(factors, rng):
    """What is linear in its unknowns has (JᵀJ / C² + 1)⁻¹ Jᵀ (y - x(0)) / C² for its mean."""
    c_noise = 0.02
    posterior, z, _ = draw(rng, factors, 0.005, c_noise=c_noise)
    basis = 1e-3 * np.eye(len(z))
    slopes = [(posterior.expected(b) - posterior.expected(-b)).ravel() / 2e-3 for b in basis]
    jacobian = np.array(slopes).T
    precision = jacobian.T @ jacobian / c_noise**2 + np.eye(len(z))
    residual = (posterior.frame.noisy - posterior.expected(0 * z)).ravel()
    mean = np.linalg.solve(precision, jacobian.T @ residual / c_noise**2)
    mode, factor = posterior.gaussian()
    deviation = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert 0.2 < deviation.mean() < 0.9, "neither image nor prior decides alone"
    assert np.abs(mode - mean).max() < 0.05 * deviation.min()
    assert np.allclose(factor @ factor.T, precision, rtol=0.1, atol=0.1)
    drawn = np.array(list(posterior.chain(rng, 1000)))
    assert np.abs((drawn.mean(axis=0) - mean) / deviation).max() < 0.2
    assert drawn.std(axis=0) / deviation == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("noise", ["gaussian", "poisson", "background_gaussian"])
def test_without_noise_nothing_is_lost(factors, rng, noise):
    errors = []
    for c_noise in (0.2, 0.02, 0.002):
        posterior, _, clean = draw(rng, factors, 0.08, noise=noise, c_noise=c_noise)
        errors.append(np.sqrt(np.mean((mean_image(posterior, rng) - clean) ** 2)))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.001


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_it_has_less_squared_error_than_prior_mean_and_blur(factors, rng, noise):
    squared = {"mean": 0.0, "prior": 0.0, "blur": 0.0}
    for _ in range(10):
        posterior, z, clean = draw(rng, factors, 0.12, noise=noise, c_noise=0.5)
        noisy = posterior.frame.noisy
        squared["mean"] += np.mean((mean_image(posterior, rng) - clean) ** 2)
        squared["prior"] += np.mean((posterior.expected(np.zeros(len(z))) - clean) ** 2)
        blurred = (gaussian_filter(noisy, width, mode="wrap") for width in (1, 1.5, 2, 3))
        squared["blur"] += min(np.mean((own - clean) ** 2) for own in blurred)
    assert squared["mean"] < 0.8 * squared["prior"]
    assert squared["mean"] < 0.5 * squared["blur"]


@pytest.mark.parametrize("noise", ["gaussian", "poisson", "background_gaussian"])
def test_the_truth_lies_within_intervals_as_often_as_they_say(factors, rng, noise):
    ranks = []
    for _ in range(20):
        posterior, z, _ = draw(rng, factors, 0.12, noise=noise, c_noise=0.4)
        drawn = np.array(list(posterior.chain(rng, 80)))[:, : len(z)]
        ranks.append((drawn < z).mean(axis=0))
    ranks = np.array(ranks).ravel()
    assert np.mean(np.abs(ranks - 0.5) < 0.34) == pytest.approx(0.68, abs=0.08)
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.05)


def test_backgrounds_are_as_strong_as_assumed(rng):
    drawn = [smooth_background((320, 320), rng, correlation=80) for _ in range(30)]
    assert np.sqrt(np.mean(np.square(drawn))) == pytest.approx(BACKGROUND, rel=0.15)


def test_frames_show_the_structure_they_are_of(reference, factors, rng):
    image = reference_image(reference, "test", seed=1, scale=SCALE)
    frames = list(frames_by_structure(image, image.clean, SIDES, noise="gaussian", c_noise=0.1))
    assert len(frames) == 16
    for structure, frame in zip(reference.of_split("test").structures, frames, strict=True):
        known = replace(sites(0.0), means=np.array(structure["positions"])[:, :2])
        expected = Posterior(known, factors, frame, SCALE).expected(np.zeros(16))
        # joined maps jump where their neighbours differ
        assert np.abs(expected - frame.noisy)[3:-3, 3:-3].max() < 0.01


def test_equal_seeds_give_equal_estimates(factors, rng):
    posterior, _, _ = draw(rng, factors, 0.08)
    one, two = (estimate(posterior, [np.random.default_rng(1)], draws=3) for _ in range(2))
    assert (one.coefficients == two.coefficients).all()
    assert (one.positions == two.positions).all()


def test_what_it_refuses(reference, factors, rng):
    noisy = np.zeros((len(X), len(Y)))
    with pytest.raises(ValueError, match="noise = 'salt_pepper': expected one of gaussian"):
        Frame(noisy, X, Y, "salt_pepper", 0.1)
    for c_noise in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=re.escape(f"c_noise = {c_noise!r}: expected")):
            Frame(noisy, X, Y, "gaussian", c_noise)
    with pytest.raises(ValueError, match="expected one pixel for each of 25 x 22 places"):
        Frame(noisy.T, X, Y, "gaussian", 0.1)
    with pytest.raises(ValueError, match=re.escape("expected shapes (8, 2) and (8,)")):
        Sites(SYMBOLS, MEANS[1:], np.zeros(8), SIDES)
    with pytest.raises(ValueError, match="at least 0 Å"):
        Sites(SYMBOLS, MEANS, np.full(8, -0.1), SIDES)
    with pytest.raises(ValueError, match="no form factor of C: expected some of B, N"):
        Superposition(["C"], SIDES, factors)
    posterior, _, _ = draw(rng, factors, 0.08)
    with pytest.raises(ValueError, match="0 chains of 5 draws"):
        estimate(posterior, [], draws=5)
    few = reference_of([MEANS] * 5, ["val"] * 2 + ["test"] * 3)
    image = reference_image(few, "test", seed=1, scale=SCALE)
    with pytest.raises(ValueError, match="structure 0 does not stand in one rectangle"):
        list(frames_by_structure(image, image.clean, SIDES, noise="gaussian", c_noise=0.1))
