"""Intervals: by the tails of the distributions they invert, and how often they hold the truth."""

import pytest
from scipy.stats import binom, poisson
from temdenoise.judging.intervals import proportion, rate


@pytest.mark.parametrize(("found", "total"), [(0, 4), (4, 4), (3, 8), (235, 240), (1, 1)])
def test_limits_of_a_proportion_are_those_that_are_just_not_refuted(found, total):
    low, high = proportion(found, total)
    # at the limits what was found, or more (less), has half of what is left of the confidence
    if found:
        assert binom.sf(found - 1, total, low) == pytest.approx(0.025)
    else:
        assert low == 0
    if found < total:
        assert binom.cdf(found, total, high) == pytest.approx(0.025)
    else:
        assert high == 1


@pytest.mark.parametrize(("events", "exposure"), [(0, 35.0), (1, 600.0), (12, 2.0)])
def test_limits_of_a_rate(events, exposure):
    low, high = rate(events, exposure)
    assert poisson.cdf(events, high * exposure) == pytest.approx(0.025)
    if events:
        assert poisson.sf(events - 1, low * exposure) == pytest.approx(0.025)
    else:
        assert low == 0


@pytest.mark.parametrize("true", [0.02, 0.5, 0.9])
def test_they_hold_the_truth_as_often_as_they_say(true):
    held = sum(
        binom.pmf(found, 30, true)
        for found in range(31)
        if proportion(found, 30)[0] <= true <= proportion(found, 30)[1]
    )
    assert 0.95 <= held <= 1


def test_what_cannot_be(rng):
    with pytest.raises(ValueError, match="expected 0 to total = 3"):
        proportion(4, 3)
    with pytest.raises(ValueError, match="exposure = 0: expected above 0"):
        rate(1, 0)
