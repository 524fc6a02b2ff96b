"""What the predicted error marks in a denoised micrograph, on images where that is known."""

import numpy as np
import pytest
from temdenoise.judging.detector import Detector
from temdenoise.micrographs.evidence import FoundFeatures
from temdenoise.micrographs.marked import DARK, DOUBTFUL, MarkedFrame
from temdenoise.micrographs.marks import mark

SPACING = 8
WIDTH = (8.0, 8.0)
NOTHING = FoundFeatures("pores", np.empty((0, 2)), np.empty(0), np.empty(0))
OPTIONS = {"width": WIDTH, "invented": False}


@pytest.fixture
def net():
    """A square lattice with an rms of 1, shape (160, 128)."""
    x, y = (np.arange(n) * 2 * np.pi / SPACING for n in (160, 128))
    return np.add.outer(np.cos(x), np.cos(y))


def fractions(found):
    return [np.mean(found.areas & value > 0) for value in (DARK, DOUBTFUL)]


def test_a_bright_certain_lattice_is_not_marked(net):
    flat = np.zeros_like(net)
    found = mark(net + 5, flat + 0.1, flat + 5, NOTHING, **OPTIONS)
    assert fractions(found) == [0, 0]
    assert found.places == []


def test_a_dark_area_is_found_by_its_depth_and_only_beyond_the_error(net):
    slow = np.zeros_like(net)
    slow[100:, :] = -3
    found = mark(net + slow, np.full_like(net, 0.1), slow, NOTHING, **OPTIONS)
    dark = (found.areas & DARK).astype(bool)
    # the threshold is -0.5, a sixth of the step, reached one width before its middle
    assert dark[93:].all()
    assert not dark[:91].any()
    (place,) = found.places
    assert place["mark"] == "low brightness"
    assert place["area"] == dark.sum()
    assert place["row"] == pytest.approx(np.argwhere(dark)[:, 0].mean())
    # an error of 2 explains a depth of 3
    assert fractions(mark(net + slow, np.full_like(net, 2.0), slow, NOTHING, **OPTIONS))[0] == 0


def test_brightness_scale_and_offset_do_not_matter(net, rng):
    slow = np.zeros_like(net)
    slow[:, 90:] = -2
    sigma = 0.2 + rng.random(net.shape)
    one = mark(net + slow, sigma, slow, NOTHING, **OPTIONS)
    two = mark(40 * (net + slow) + 1e4, 40 * sigma, 40 * slow + 1e4, NOTHING, **OPTIONS)
    assert one.areas.any()
    np.testing.assert_array_equal(one.areas, two.areas)


def test_where_the_error_exceeds_the_structure_nothing_is_certain(net):
    sigma = np.full_like(net, 0.2)
    sigma[:40, :40] = 3.0
    found = mark(net, sigma, np.zeros_like(net), NOTHING, **OPTIONS)
    doubtful = (found.areas & DOUBTFUL).astype(bool)
    assert doubtful[:40, :40].all()
    assert not doubtful[80:, 80:].any()


@pytest.mark.parametrize("invented", [False, True])
def test_features_are_suspected_for_each_reason(net, invented):
    sigma = np.full_like(net, 0.2)
    sigma[:40, :40] = 3.0
    features = FoundFeatures(
        feature="pores",
        centres=np.array([[120.0, 100.0], [120.0, 80.0], [120.0, 60.0], [10.0, 10.0]]),
        confidence=np.array([0.99, 0.9, 0.9, 0.99]),
        evidence=np.array([1.0, 8.0, 1.0, 8.0]),
    )
    options = OPTIONS | {"invented": invented}
    found = mark(net, sigma, np.zeros_like(net), features, **options)
    marks = [place["mark"] for place in found.places[:4]]
    doubted = ["certain", "uncertain", "suspected", "suspected"]
    assert marks == (["suspected"] * 4 if invented else doubted)
    assert [place["confidence"] for place in found.places[:4]] == [0.99, 0.9, 0.9, 0.99]
    assert [place["evidence"] for place in found.places[:4]] == [1, 8, 1, 8]
    counted = MarkedFrame("scan.dm4", 1, "pores", "", {}, found.places)
    assert counted.count("suspected") == marks.count("suspected")


def test_evidence_tells_an_atom_from_one_that_was_put_there(rng):
    """Twenty atoms in noise of half their height; ten more are in the denoised image alone."""
    x, y = np.meshgrid(np.arange(240), np.arange(200), indexing="ij")
    sites = [(20 + 40 * i, 20 + 40 * j) for i in range(6) for j in range(5)]

    def atoms(places):
        return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 18) for a, b in places)

    real = sites[:20]
    denoised = atoms(sites)
    recorded = atoms(real) + 0.5 * rng.standard_normal(denoised.shape)
    # spacing 16: the filter is as wide as the atoms
    detector = Detector("atoms", sampling=1.0, spacing=16.0, feature_threshold=0.1)
    found = detector.features(denoised)
    evidence = detector.evidence(found, recorded, recorded - denoised)
    there = np.array([tuple(np.rint(c).astype(int)) in real for c in found.centres])
    assert (len(found), there.sum()) == (30, 20)
    assert evidence[there].min() > 3
    assert evidence[~there].max() < 3
    # twice the brightness, the same evidence; nothing removed, no doubt
    np.testing.assert_allclose(
        detector.evidence(found, 2 * recorded, 2 * (recorded - denoised)), evidence
    )
    assert np.isinf(detector.evidence(found, denoised, denoised * 0)).all()
