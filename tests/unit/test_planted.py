"""Methods with a planted fault each: caught by the measure meant for it, and by no other."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from temdenoise.judging.detector import calibrate
from temdenoise.judging.fidelity import compare_defects, compare_features
from temdenoise.judging.metrics import intensity_errors, ms_ssim

SHAPE = (320, 256)
SPACING = 12.3  # pixels of 0.2 Å: graphene
SAMPLING = 0.2
EDGE = 210  # the crystal lies at smaller x; beyond, the image is flat
WIDTH = 2.6


def honeycomb():
    """Sites of a sheet that covers the image, shape (n, 2) [pixels]."""
    i, j = np.mgrid[-60:61, -60:61].reshape(2, -1) * SPACING
    first = np.stack([i + j / 2, j * np.sqrt(3) / 2], axis=1)
    sites = np.concatenate([first, first + np.array([SPACING / 2, SPACING / 12**0.5])])
    sites += np.array(SHAPE) / 2
    return sites[((sites > -20) & (sites < np.array(SHAPE) + 20)).all(axis=1)]


def draw(sites, width=WIDTH):
    """Gaussians of height 1."""
    x, y = (
        np.exp(-((np.arange(n)[:, None] - places) ** 2) / (2 * width**2))
        for n, places in zip(SHAPE, sites.T, strict=True)
    )
    return x @ y.T


class Sample:
    """A sheet with three vacancies beside featureless space, clean."""

    def __init__(self):
        rng = np.random.default_rng(5)
        ideal = honeycomb()
        places = ([60, 60], [130, 120], [60, 190])
        missing = [np.hypot(*(ideal - place).T).argmin() for place in places]
        sites = ideal + rng.normal(0, 0.3, ideal.shape)
        self.missing = sites[missing]
        perfect = draw(sites)
        self.scale = np.ptp(perfect)
        self.level = perfect.mean() / self.scale
        self.crystal = gaussian_filter((np.arange(SHAPE[0]) < EDGE).astype(float), 8)[:, None]
        image = draw(np.delete(sites, missing, axis=0)) / self.scale
        self.clean = self.level + self.crystal * (image - self.level)
        self.known = [
            {"kind": "vacancy", "element": "C", "x": float(x), "y": float(y)}
            for x, y in self.missing
        ]
        self.detector = calibrate([self.clean], [self.known], sampling=SAMPLING)
        self.true = self.detector.features(self.clean)


@pytest.fixture(scope="module")
def sample():
    return Sample()


def nothing_wrong(sample):
    return sample.clean


def fills_vacancies(sample):
    return sample.clean + draw(sample.missing) / sample.scale


def adds_a_pore(sample):
    place = np.array([[270.3, 128.6]])
    # as in the lattice: dark within, as much brighter about it
    ring = draw(place, 1.5 * WIDTH) / 1.5**2
    return sample.clean - 1.2 * (draw(place) - ring)


def shifts_by_10_pm(sample):
    return shift(sample.clean, (0.1 / SAMPLING, 0), order=5, mode="nearest")


def measured(sample, image):
    """Fraction of vacancies found, pores in featureless space, rms shift of pores [pm]."""
    detector = sample.detector
    found = detector.features(image)
    pores = compare_features(found, sample.true, sample.known, detector, SHAPE)
    vacancies = compare_defects(detector.defects(image), sample.known, detector, SHAPE)
    return {
        "recall": vacancies["paired"] / vacancies["true"],
        "invented": int((found.centres[:, 0] > EDGE + 2 * SPACING).sum()),
        "shift_pm": 100 * SAMPLING * np.sqrt(pores["squared_distance"].mean()),
    }


@pytest.mark.parametrize(
    ("method", "recall", "invented", "shift_pm"),
    [
        (nothing_wrong, 1, 0, 0),
        (fills_vacancies, 0, 0, 0),
        (adds_a_pore, 1, 1, 0),
        (shifts_by_10_pm, 1, 0, 10),
    ],
)
def test_each_fault_moves_its_own_measure_alone(sample, method, recall, invented, shift_pm):
    assert measured(sample, method(sample)) == {
        "recall": recall,
        "invented": invented,
        "shift_pm": pytest.approx(shift_pm, abs=1),
    }


def test_the_added_pore_counts_as_one_too_many(sample):
    found = sample.detector.features(adds_a_pore(sample))
    counts = compare_features(found, sample.true, sample.known, sample.detector, SHAPE)
    assert (counts["found"] - counts["paired"], counts["true"] - counts["paired"]) == (1, 0)


def test_the_filled_vacancies_are_too_bright_and_no_other_site_is(sample):
    others = honeycomb()
    others = others[np.min(np.hypot(*(others[:, None] - sample.missing).T), axis=0) > SPACING]
    others = others[((others > 0) & (others < np.array(SHAPE) - 1)).all(axis=1)]
    filled, rest = (
        intensity_errors(
            denoised=fills_vacancies(sample), clean=sample.clean, centres=sites, radius=WIDTH
        )
        for sites in (sample.missing, others)
    )
    assert filled.min() > 0.3
    assert np.abs(rest).max() < 0.01 < filled.min()


def test_likeness_alone_prefers_the_filled_vacancies_to_a_little_noise(sample, rng):
    """What a figure of merit of the whole image hides: three atoms that are not there."""
    noisy = sample.clean + 0.05 * rng.standard_normal(SHAPE)
    assert measured(sample, noisy)["recall"] == 1
    filled, raw = (
        ms_ssim(denoised=image, clean=sample.clean) for image in (fills_vacancies(sample), noisy)
    )
    assert 0.98 < filled < 1
    assert raw < filled
