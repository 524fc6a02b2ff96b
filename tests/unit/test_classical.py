"""Lattice translations, BM3D for counts and the mixture of the best two."""

import importlib.util

import numpy as np
import pytest
from made_up_frames import MOS2, PIXEL, hexagonal
from temdenoise.judging import classical
from temdenoise.judging.block_matching import (
    anscombe,
    average_over_translations,
    bm3d,
    bm3d_anscombe,
    inverse_anscombe,
    lattice_translations,
)
from temdenoise.judging.classical import (
    BASELINES,
    NL_MEANS,
    Baseline,
    mixture,
    nl_means,
    periodic_nl_means,
    tune_all,
)
from temdenoise.judging.metrics import ms_ssim

needs_bm3d = pytest.mark.skipif(
    importlib.util.find_spec("bm3d") is None,
    reason="bm3d is not installed: its licence keeps it from being pinned",
)
PERIOD = MOS2 / np.cos(np.pi / 6) / PIXEL.rows


def noisy(clean, rng, sigma):
    return clean + sigma * rng.standard_normal(clean.shape)


@pytest.fixture
def crystal():
    """A lattice with one vacancy in the middle."""
    x, y = np.meshgrid(np.arange(192) - 96, np.arange(192) - 96, indexing="ij")
    return 0.5 + 0.1 * hexagonal((192, 192)) - 0.3 * np.exp(-(x**2 + y**2) / (2 * 4**2))


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("shape", [(256, 256), (192, 300)])
def test_translations_are_those_of_the_lattice(rng, shape, angle):
    image = noisy(hexagonal(shape, angle=angle), rng, 3)
    found = lattice_translations(image, sigma=3.0, number=18)
    lengths = np.hypot(*found.T)
    assert lengths[:6] == pytest.approx(6 * [PERIOD], rel=0.01)
    assert lengths[6:12] == pytest.approx(6 * [3**0.5 * PERIOD], rel=0.01)
    assert lengths[12:] == pytest.approx(6 * [2 * PERIOD], rel=0.01)
    # the planes of the first ring lie across the angle: these translations keep them in phase
    normal = np.array([np.cos(angle), np.sin(angle)])
    phase = found @ normal * PIXEL.rows / MOS2
    assert phase == pytest.approx(np.rint(phase), abs=0.05)


def test_two_atoms_of_a_cell_are_no_translation_apart(rng):
    """Boron nitride: its sites look alike, and only every other one is equivalent."""
    x, y = np.meshgrid(np.arange(240), np.arange(240), indexing="ij")
    image = np.zeros(x.shape)
    for origin, height in ((0, 1.0), (8, 0.8)):
        u, v = (x - origin + 12) % 24 - 12, (y + 12) % 24 - 12
        image += height * np.exp(-(u**2 + v**2) / (2 * 2.5**2))
    found = lattice_translations(noisy(image, rng, 0.3), sigma=0.3, number=4)
    assert np.hypot(*found.T) == pytest.approx(4 * [24], rel=0.01)


def test_no_translation_is_longer_than_half_the_image(rng):
    found = lattice_translations(noisy(hexagonal((128, 96)), rng, 0.5), sigma=0.5, number=1000)
    lengths = np.hypot(*found.T)
    assert 6 < len(found) < 1000
    assert (np.diff(lengths) >= 0).all()
    assert 2 < lengths[0] <= lengths[-1] <= 48


@pytest.mark.parametrize("what", ["flat", "noise", "stripes"])
def test_without_a_lattice_ordinary_non_local_means_are_taken(rng, what):
    x, y = np.meshgrid(np.arange(96), np.arange(90), indexing="ij")
    image = {
        "flat": np.full(x.shape, 0.5),
        "noise": rng.standard_normal(x.shape),
        "stripes": noisy(np.cos(0.5 * x + 0.2 * y), rng, 0.5),
    }[what]
    assert lattice_translations(image, sigma=0.5, number=60) is None
    setting = BASELINES["periodic_nl_means"].settings[0]
    found = periodic_nl_means(image, sigma=0.5, **setting)
    assert (found == nl_means(image, sigma=0.5, **NL_MEANS[1])).all()


def test_on_a_lattice_translations_beat_the_neighbourhood(rng, crystal):
    image = noisy(crystal, rng, 0.2)
    error = {
        name: min(
            np.mean((BASELINES[name].apply(image, sigma=0.2, **setting) - crystal) ** 2)
            for setting in BASELINES[name].settings
        )
        for name in ("nl_means", "periodic_nl_means")
    }
    assert error["periodic_nl_means"] < 0.5 * error["nl_means"]


def test_a_vacancy_is_not_filled_by_its_translations(rng, crystal):
    setting = BASELINES["periodic_nl_means"].settings[1]
    found = periodic_nl_means(noisy(crystal, rng, 0.05), sigma=0.05, **setting)
    full = 0.5 + 0.1 * hexagonal((192, 192))
    centre = (slice(94, 99), slice(94, 99))
    kept = (found - full)[centre].mean() / (crystal - full)[centre].mean()
    assert 0.8 < kept < 1.2


def test_average_over_exact_translations_is_the_mean_of_the_copies(rng):
    image = np.tile(rng.random((16, 16)), (6, 6))
    steps = 16 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    seen = noisy(image, rng, 0.1)
    found = average_over_translations(seen, image, steps, h=0.01, patch=1.0)
    copies = [seen, *(np.roll(seen, -step, (0, 1)) for step in steps)]
    inside = (slice(24, 72), slice(24, 72))
    assert found[inside] == pytest.approx(np.mean(copies, axis=0)[inside], abs=1e-5)
    # of copies that look different nothing is taken
    other = average_over_translations(seen, image, steps + 5, h=0.01, patch=1.0)
    assert other[inside] == pytest.approx(seen[inside], abs=1e-3)


@pytest.mark.parametrize("mean", [2, 3, 5, 10, 20, 50])
def test_anscombe_stabilises_counts_and_its_inverse_is_unbiased(rng, mean):
    stable = anscombe(rng.poisson(mean, 200_000))
    assert stable.var() == pytest.approx(1, abs=0.1)
    assert inverse_anscombe(stable.mean()) == pytest.approx(mean, rel=0.02)


def test_inverse_anscombe_is_zero_where_nothing_was_counted():
    assert inverse_anscombe(np.array([-1.0, 0.0, anscombe(np.array(0.0))])).tolist() == [0, 0, 0]
    rising = inverse_anscombe(np.linspace(1, 30, 200))
    assert (np.diff(rising) >= 0).all()


@needs_bm3d
def test_bm3d_for_counts_finds_their_gain(rng):
    clean = np.full((96, 96), 0.1)
    clean[48:] = 0.9
    counted = rng.poisson(20 * clean) / 20
    sigma = float(np.sqrt(np.mean((counted - clean) ** 2)))

    def error(found, half):
        return np.mean((found - clean)[half] ** 2)

    plain = bm3d(counted, sigma=sigma)
    fitting = bm3d_anscombe(counted, sigma=sigma, pedestal=0.0)
    bright = (slice(56, 96), slice(0, 96))
    assert error(fitting, bright) < error(plain, bright)
    assert fitting[:40].mean() == pytest.approx(0.1, abs=0.02)
    assert fitting[56:].mean() == pytest.approx(0.9, abs=0.02)


@needs_bm3d
def test_a_large_pedestal_leaves_bm3d_as_it_is(rng, lattice):
    image = noisy(lattice, rng, 0.1)
    found = bm3d_anscombe(image, sigma=0.1, pedestal=1e4)
    assert found == pytest.approx(bm3d(image, sigma=0.1), abs=0.01)
    # where less than nothing is counted on the mean, too
    below = bm3d_anscombe(image - 1, sigma=0.1, pedestal=0.0)
    assert below == pytest.approx(bm3d(image - 1, sigma=0.1), abs=1e-4)


def test_mixture_adds_the_named_methods_up(lattice):
    setting = {"median": 0.25, "median.side": 3, "gaussian_blur": 0.75, "gaussian_blur.width": 1.0}
    found = mixture(lattice, sigma=0.1, **setting)
    parts = (
        classical.median(lattice, sigma=0.1, side=3),
        classical.gaussian_blur(lattice, sigma=0.1, width=1.0),
    )
    assert found == pytest.approx(0.25 * parts[0] + 0.75 * parts[1], abs=1e-6)


def test_best_two_are_mixed_and_never_below_the_better_one(rng, lattice):
    names = ("raw", "gaussian_blur", "median", "wavelet", "local_bragg", "best_two")
    pairs = [(noisy(image, rng, 0.3), image) for image in (lattice, lattice[::-1])]
    found = tune_all({name: BASELINES[name] for name in names}, pairs)
    assert list(found) == list(names)
    assert [sigma for _, sigma in found.values()] == pytest.approx(6 * [0.3], rel=0.02)
    setting = found["best_two"][0]
    weights = {name: weight for name, weight in setting.items() if "." not in name}

    def score(name):
        act, (chosen, sigma) = BASELINES[name].apply, found[name]
        return np.mean([ms_ssim(denoised=act(n, sigma=sigma, **chosen), clean=c) for n, c in pairs])

    scores = {name: score(name) for name in names}
    mixed = scores.pop("best_two")
    best = sorted(scores, key=scores.get)[-2:]
    assert sorted(weights) == sorted(best)
    assert sum(weights.values()) == 1
    assert mixed >= max(scores.values()) - 1e-6
    for name in best:
        assert classical._setting_of(name, setting) == found[name][0]


def test_a_second_method_that_spoils_the_first_has_no_weight(rng, lattice):
    def dark(image, *, sigma, level):
        return np.full_like(image, level)

    methods = {
        "gaussian_blur": BASELINES["gaussian_blur"],
        "dark": Baseline("dark", dark, ({"level": -5.0},)),
        "best_two": BASELINES["best_two"],
    }
    found = tune_all(methods, [(noisy(lattice, rng, 0.1), lattice)])
    setting = found["best_two"][0]
    assert setting["gaussian_blur"] == 1
    assert setting["dark"] == 0
    # "dark" is in no table: without weight it is not run
    image = noisy(lattice, rng, 0.1)
    alone = classical.gaussian_blur(image, sigma=0.1, **found["gaussian_blur"][0])
    assert mixture(image, sigma=0.1, **setting) == pytest.approx(alone)


def test_validation_frames_are_denoised_once_for_each_setting(rng, lattice):
    calls = []

    def blur(image, *, sigma, width):
        calls.append(width)
        return classical.gaussian_blur(image, sigma=sigma, width=width)

    methods = {
        "one": Baseline("one", blur, classical.grid(width=(0.5, 1.0))),
        "two": Baseline("two", blur, classical.grid(width=(1.5,))),
        "best_two": BASELINES["best_two"],
    }
    found = tune_all(methods, [(noisy(lattice, rng, 0.1), lattice)] * 2)
    assert set(found["best_two"][0]) == {"one", "one.width", "two", "two.width"}
    assert sorted(calls) == [0.5, 0.5, 1.0, 1.0, 1.5, 1.5]


def test_a_method_that_is_alone_is_not_mixed(rng, lattice):
    methods = {name: BASELINES[name] for name in ("raw", "constant", "median", "best_two")}
    found = tune_all(methods, [(noisy(lattice, rng, 0.1), lattice)])
    assert list(found) == ["raw", "constant", "median"]
