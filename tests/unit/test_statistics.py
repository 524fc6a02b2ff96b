"""Bootstrap over structures: against known distributions, and how often it holds the truth."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t
from temdenoise.judging.metrics import pooled_ms_ssim
from temdenoise.judging.statistics import interval, paired_difference, ratio, ratio_interval


def mean(sums):
    return sums[:, 0] / sums[:, 1]


def columns(values):
    return np.stack([values, np.ones(len(values))], axis=1)


def test_interval_of_a_mean_is_that_of_the_normal_distribution(rng):
    values = rng.normal(3.0, 2.0, 200)
    found = ratio_interval(values, np.ones(200), seed=1)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(half, rel=0.15)
    assert found.value - found.low == pytest.approx(half, rel=0.15)


@pytest.mark.parametrize("skewed", [False, True])
def test_it_holds_the_truth_as_often_as_it_says(rng, skewed):
    held = 0
    for seed in range(300):
        weights = rng.uniform(1, 3, 40)
        rates = rng.gamma(2.0, 0.5, 40) if skewed else rng.normal(1.0, 0.5, 40)
        found = ratio_interval(weights * rates, weights, seed=seed, n=1000)
        held += found.low <= 1 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_few_structures_widen_the_interval(rng):
    """Of five, Student's t has 2.78 where the normal distribution has 1.96."""
    held = 0
    for seed in range(300):
        values = rng.normal(1.0, 0.5, 5)
        found = ratio_interval(values, np.ones(5), seed=seed, n=1000)
        held += found.low <= 1 <= found.high
    # the percentiles alone hold it in some 84 %
    assert 0.88 <= held / 300 <= 0.98


def test_large_structures_weigh_more_in_a_ratio():
    numerator, denominator = np.array([9.0, 1.0, 9.0, 1.0]), np.array([90.0, 1.0, 90.0, 1.0])
    found = ratio_interval(numerator, denominator, seed=1)
    assert found.value == pytest.approx(20 / 182)
    assert 0.1 <= found.low < found.value < found.high <= 1


def test_against_an_independent_implementation(rng):
    values = rng.lognormal(0.0, 1.0, 60)
    found = ratio_interval(values, np.ones(60), n=40000, seed=1)
    assert found.high - found.value > 1.2 * (found.value - found.low)
    # theirs takes the normal distribution for Student's, and all of the spread
    tail = np.sqrt(60 / 59) * t.ppf(0.975, 59)
    level = 2 * norm.cdf(tail) - 1
    theirs = bootstrap(
        (values,), np.mean, n_resamples=40000, confidence_level=level, method="BCa", rng=rng
    ).confidence_interval
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=0.03 * width)


def test_any_figure_of_merit_of_the_sums(rng):
    """MS-SSIM: a product of means, here of one scale that varies with its weight as exponent."""
    counts = np.full((50, 5), 10.0)
    sums = counts * np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    sums[:, 2] = 10 * rng.uniform(0.5, 0.9, 50)
    both = np.concatenate([sums, counts], axis=1)
    found = interval(both, lambda s: pooled_ms_ssim(s[:, :5], s[:, 5:]), seed=1)
    of_scale = interval(both, lambda s: s[:, 2] / s[:, 7], seed=1)
    # a monotonic function moves the limits with it, up to the acceleration
    assert found == pytest.approx(np.array(of_scale) ** 0.3001, abs=1e-4)
    assert of_scale.low < of_scale.value < of_scale.high


def test_equal_seeds_draw_alike_and_others_do_not(rng):
    values = rng.normal(size=30)
    first, again, other = (ratio_interval(values, np.ones(30), seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert first == pytest.approx(other, abs=0.1)


def test_what_two_methods_share_cancels_in_their_difference(rng):
    difficulty = rng.gamma(2.0, 1.0, 40)
    first = columns(difficulty + rng.normal(0.0, 0.05, 40))
    second = columns(difficulty + 0.2 + rng.normal(0.0, 0.05, 40))
    paired = paired_difference(first, second, mean, seed=1).difference
    alone = [interval(sums, mean, seed=1) for sums in (first, second)]
    unpaired = np.sqrt(sum((each.high - each.low) ** 2 for each in alone))
    assert paired.value == pytest.approx(alone[0].value - alone[1].value)
    assert paired.high - paired.low < 0.1 * unpaired
    assert paired.low < -0.2 < paired.high < 0


def test_difference_of_two_methods_holds_the_truth(rng):
    held = 0
    for seed in range(300):
        difficulty = rng.gamma(2.0, 1.0, 40)
        pair = [columns(difficulty + rng.normal(m, 0.3, 40)) for m in (0.0, 0.1)]
        found = paired_difference(*pair, mean, seed=seed, n=400).difference
        held += found.low <= -0.1 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_ratio_of_losses(rng):
    loss = rng.uniform(0.01, 0.05, 30)
    errors = [columns(factor * loss) for factor in (0.5, 1.0)]
    found = paired_difference(*errors, seed=1).loss_ratio
    assert found == pytest.approx([0.5, 0.5, 0.5])
    # the same as similarities, 1 at best
    similar = [columns(1 - factor * loss) for factor in (0.5, 1.0)]
    assert paired_difference(*similar, best=1.0, seed=1).loss_ratio == pytest.approx([0.5] * 3)
    assert paired_difference(*similar, best=1.0, seed=1).difference.low > 0


def test_strata_keep_their_numbers(rng):
    """Two crystals that differ much, each all alike: nothing varies but what is drawn of each."""
    strata = ["graphene"] * 12 + ["MoS2"] * 4
    values = np.where(np.array(strata) == "graphene", 1.0, 9.0)
    within = ratio_interval(values, np.ones(16), strata=strata, seed=1)
    assert within == pytest.approx([3.0, 3.0, 3.0])
    across = ratio_interval(values, np.ones(16), seed=1)
    assert across.low < 2 < 4 < across.high


def test_interval_of_a_stratified_mean(rng):
    strata = np.repeat([0, 1], [30, 60])
    values = rng.normal(10.0 * strata, np.where(strata == 0, 1.0, 2.0))
    found = ratio_interval(values, np.ones(90), strata=list(strata), seed=1)
    variance = sum((strata == s).sum() * values[strata == s].var(ddof=1) for s in (0, 1)) / 90**2
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.1)


def test_order_of_strata_does_not_matter(rng):
    values, strata = rng.normal(size=20), ["a"] * 8 + ["b"] * 12
    order = np.r_[8:20, 0:8]
    found = ratio_interval(values, np.ones(20), strata=strata, seed=1)
    moved = ratio_interval(values[order], np.ones(20), strata=[strata[i] for i in order], seed=1)
    assert found == pytest.approx(moved)


def test_where_nothing_varies_the_interval_has_no_width():
    assert ratio_interval(np.full(8, 2.0), np.full(8, 4.0), seed=1) == (0.5, 0.5, 0.5)


def test_what_too_few_resamples_define_has_no_limits():
    """One of three structures holds the only defect: many resamples hold none."""
    found = ratio_interval([0.0, 0.0, 1.0], [0.0, 0.0, 2.0], seed=1)
    assert found.value == 0.5
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(ratio_interval([0.0, 0.0], [0.0, 0.0], seed=1)).all()


def test_rare_resamples_without_a_value_are_left_out():
    """Six of twelve structures hold defects: one resample in 4096 holds none."""
    holds = np.array([1.0, 0.0] * 6)
    found = ratio_interval(holds * np.array([1.0, 0, 2, 0] * 3), 4 * holds, seed=2, n=20000)
    assert found.value == pytest.approx(0.375)
    assert 0.25 <= found.low < 0.375 < found.high <= 0.5


@pytest.mark.parametrize(
    ("sums", "options", "message"),
    [
        (np.ones((1, 2)), {}, "1 structure: expected at least two"),
        (np.ones((0, 2)), {}, "0 structures: expected at least two"),
        (np.ones((3, 2)), {"strata": ["a", "a", "b"]}, "1 structure in stratum b: expected"),
        (np.ones((3, 2)), {"strata": ["a", "a"]}, "2 strata of 3 structures: expected one"),
        (np.ones(3), {}, "expected finite numbers, shape"),
        (np.full((3, 2), np.nan), {}, "expected finite numbers, shape"),
        (np.ones((3, 2)), {"n": 99}, "n = 99 resamples: expected at least 100"),
        (np.ones((3, 3)), {}, "expected two columns"),
    ],
)
def test_what_cannot_be_resampled(sums, options, message):
    with pytest.raises(ValueError, match=message):
        interval(sums, ratio, seed=1, **options)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="expected one number per structure"):
        ratio_interval(np.ones(3), np.ones(4), seed=1)
    with pytest.raises(ValueError, match="expected the same structures"):
        paired_difference(np.ones((3, 2)), np.ones((4, 2)), seed=1)
    with pytest.raises(ValueError, match="expected one number per resample"):
        interval(np.ones((3, 2)), lambda sums: sums, seed=1)
