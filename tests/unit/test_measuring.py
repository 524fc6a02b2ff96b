"""What an image says of itself, on images whose answer is known."""

import numpy as np
import pytest
from conftest import ROOT
from made_up_frames import MOS2, PIXEL, hexagonal, noise_of
from scipy.ndimage import gaussian_filter
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.lattices import LATTICES, spacing_of
from temdenoise.foundation.quantities import PixelSize
from temdenoise.groundtruth.crystals import crystal
from temdenoise.measuring.background import background
from temdenoise.measuring.lattice import Ring, check, first_ring, sampling_from_lattice
from temdenoise.measuring.noise import without_impulses
from temdenoise.measuring.resampling import resample, shape_at, stretched
from temdenoise.measuring.spectrum import (
    height_at,
    lattice_contrast,
    lattice_peaks,
    middle,
    spectrum,
)


def test_white_noise_has_its_variance_at_every_frequency(rng):
    found = spectrum(3 * rng.standard_normal((256, 200)), PIXEL)
    assert found.power.mean() == pytest.approx(9, rel=0.05)
    inside = found.centres < found.nyquist
    np.testing.assert_allclose(found.mean[inside][8:], 9, rtol=0.35)
    assert np.median(found.floor[inside]) == pytest.approx(9, rel=0.05)
    assert lattice_peaks(found) == []
    assert first_ring([]) is None


def test_pure_noise_shows_no_lattice_in_many_draws():
    counts = [
        len(lattice_peaks(spectrum(np.random.default_rng(i).standard_normal((128, 128)), PIXEL)))
        for i in range(40)
    ]
    assert sum(counts) == 0


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 6])
def test_lattice_is_measured_through_five_times_its_noise(angle, rng):
    image = 2 * hexagonal((512, 512), angle=angle) + 10 * rng.standard_normal((512, 512)) + 1000
    found = spectrum(image, PIXEL)
    peaks = lattice_peaks(found)
    ring = first_ring(peaks)
    assert len(peaks) == 3
    assert ring.spacing == pytest.approx(MOS2, rel=0.005)
    assert lattice_contrast(found, peaks) == pytest.approx(2, rel=0.08)
    assert lattice_contrast(found, []) == 0
    assert noise_of(image).sigma == pytest.approx(10, rel=0.03)
    assert all(height_at(found, peak) > 20 for peak in peaks)


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=lambda lattice: lattice.name)
def test_spacings_are_those_of_the_crystals(lattice, rng, monkeypatch):
    monkeypatch.chdir(ROOT)
    atoms = crystal(lattice.file or lattice.name)
    x, y = (PIXEL.rows * np.arange(384),) * 2
    atoms = atoms.repeat([int(x[-1] / side) + 1 for side in atoms.cell.lengths()[:2]] + [1])
    along, across = (
        np.exp(-((axis - places[:, None]) ** 2) / (2 * 0.4**2))
        for axis, places in zip((x, y), atoms.positions.T, strict=False)
    )
    image = (atoms.numbers[:, None] ** 1.7 * along).T @ across
    image += 0.1 * image.std() * rng.standard_normal(image.shape)
    ring = first_ring(lattice_peaks(spectrum(image, PIXEL)))
    # measured constants in the table, in some structures those of the calculation
    assert lattice.spacing == pytest.approx(ring.spacing, rel=0.01)


def test_wrong_pixel_size_is_found_and_the_right_one_named(rng):
    image = hexagonal() + 0.5 * rng.standard_normal((256, 256))
    wrong = PixelSize.of(0.15 * 1.1)
    ring = first_ring(lattice_peaks(spectrum(image, wrong)))
    found = check(ring, wrong, {"mos2": MOS2}, certain=True)
    assert found.agrees is False
    assert found.suggested == pytest.approx(PIXEL, rel=0.01)
    assert f"give --sampling {found.suggested.rows:.4g}" in found.text
    right = first_ring(lattice_peaks(spectrum(image, PIXEL)))
    agrees = check(right, PIXEL, {"mos2": MOS2}, certain=True)
    assert (agrees.agrees, agrees.suggested) == (True, None)


@pytest.mark.parametrize(
    ("ring", "known", "taken"),
    [
        (Ring(3.01, 3, 0), {"graphene": 2.13}, False),  # it may be another crystal
        (None, {}, False),
        (None, {"mos2": MOS2}, False),
        (Ring(2.0, 3, 0), {}, False),
        # a pixel size that was taken from the ring cannot be checked by it
        (Ring(3.01, 3, 0), {"mos2": MOS2}, True),
        (Ring(MOS2, 3, 0), {"mos2": MOS2}, True),
    ],
)
def test_what_cannot_be_told_about_the_pixel_size(ring, known, taken):
    found = check(ring, PIXEL, known, certain=taken, taken=taken)
    assert (found.agrees, found.suggested) == (None, None)


def test_pixel_size_is_taken_from_the_lattice(rng):
    image = hexagonal((300, 280)) + rng.standard_normal((300, 280))
    assert sampling_from_lattice(image, MOS2) == pytest.approx(0.15, rel=0.01)
    assert sampling_from_lattice(rng.standard_normal((256, 256)), MOS2) is None


KINDS = {
    "white": lambda clean, rng: clean + rng.standard_normal(clean.shape),
    "correlated": lambda clean, rng: (
        clean + 3 * gaussian_filter(rng.standard_normal(clean.shape), 0.8)
    ),
    "rows": lambda clean, rng: (
        clean + rng.standard_normal(clean.shape) + 0.5 * rng.standard_normal((len(clean), 1))
    ),
    "columns": lambda clean, rng: (
        clean + rng.standard_normal(clean.shape) + 0.5 * rng.standard_normal(clean.shape[1])
    ),
    "signal-dependent": lambda clean, rng: rng.poisson(5 * (clean - clean.min() + 0.5)) / 5,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_kind_of_noise(kind, seed):
    rng = np.random.default_rng(seed)
    noise = noise_of(KINDS[kind](hexagonal((400, 384)), rng))
    expected = {"signal-dependent": ("white", "signal-dependent")}.get(kind, (kind,))
    assert noise.kinds == expected
    assert noise.white == (kind in ("white", "signal-dependent"))


def test_impulses_are_replaced_and_counted(rng):
    image = 100 + rng.standard_normal((128, 128))
    image[::16, ::16] = 60000
    image[5, 5] = np.nan
    clean, hot = without_impulses(image)
    assert hot.sum() == 65
    assert np.abs(clean - 100).max() < 6
    untouched, hot = without_impulses(np.zeros((64, 64)))
    assert not hot.any()
    assert not untouched.any()


@pytest.mark.parametrize("dose", [0.005, 0.05, 0.5])
def test_single_counts_are_not_taken_for_hot_pixels(rng, dose):
    counts = rng.poisson(dose, (256, 256)).astype(float)
    assert without_impulses(counts)[1].mean() < 1e-4
    counts[10, 20] = 60
    clean, hot = without_impulses(counts)
    assert hot[10, 20]
    assert clean[10, 20] <= 1


def test_resampling_keeps_what_both_grids_hold(rng):
    image = hexagonal((240, 200)).astype(np.float32)
    finer = resample(image, (360, 300))
    np.testing.assert_allclose(resample(finer, image.shape), image, atol=1e-5)
    # away from the rim, where the lattice is mirrored, it is the same lattice: the first of the
    # finer pixels lies 0.05 / 2 Å before the first of the coarser ones
    pixel = PixelSize.of(0.1)
    part = (slice(60, -60), slice(60, -60))
    expected = hexagonal((360, 300), sampling=pixel, origin=(0.1 - 0.15) / 2)
    assert np.abs(finer - expected)[part].max() < 0.05
    # a shift of that size is seen
    shifted = hexagonal((360, 300), sampling=pixel)
    assert np.abs(finer - shifted)[part].max() > 0.1
    white = rng.standard_normal((256, 256)).astype(np.float32)
    coarse = resample(white, (128, 128))
    assert coarse.std() == pytest.approx(0.5, rel=0.05)
    # still white
    assert abs(np.corrcoef(coarse[1:].ravel(), coarse[:-1].ravel())[0, 1]) < 0.03
    assert resample(white, white.shape) is white
    assert shape_at((100, 100), PixelSize.of(0.2), 0.2005) == (100, 100)
    assert shape_at((100, 100), PixelSize(0.1, 0.2), 0.2) == (50, 100)


def test_linear_stretching_keeps_a_slope():
    slope = np.add.outer(np.arange(20.0), np.zeros(24)).astype(np.float32)
    twice = stretched(slope, (40, 24))
    np.testing.assert_allclose(twice[2:-2, 0], (np.arange(40) + 0.5)[2:-2] / 2 - 0.5, atol=1e-5)


@pytest.mark.parametrize("shape", [(300, 300), (300, 200)])
def test_background_takes_slopes_and_bows_up_to_the_rim_and_leaves_the_lattice(shape):
    lattice = hexagonal(shape)
    x, y = (np.linspace(-1, 1, n) for n in shape)
    uneven = np.add.outer(50 * x + 20 * x**2, 30 * y**2 - 10 * y)
    slow = background(lattice + uneven, PIXEL) - background(lattice, PIXEL)
    # a Gaussian lifts a parabola by its variance times half of the curvature, everywhere alike
    away = slow - uneven
    np.testing.assert_allclose(away, away.mean(), atol=0.01)
    assert background(lattice, PIXEL).std() < 0.05 * lattice.std()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 2), (2, 40)])
def test_background_of_narrow_images(shape, rng):
    image = 5 + rng.standard_normal(shape)
    assert background(image, PIXEL).shape == shape
    np.testing.assert_allclose(background(0 * image + 5, PIXEL), 5, rtol=1e-6)


def test_middle_keeps_small_images():
    image = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(middle(image), image)
    # no copy of it: what is known of the whole is known of its middle
    assert np.shares_memory(middle(image), image)
    np.testing.assert_array_equal(middle(image, 2), [[1, 2], [5, 6]])


@pytest.mark.parametrize("name", ["srtio3", "SrTiO3", "srtio3_001"])
def test_a_crystal_is_known_by_the_names_it_has(name):
    assert spacing_of(name) == 3.905
    # a name of the project is not another one by what a model says of it
    assert spacing_of(name, {"srtio3_001": 2.0}) == 3.905


def test_a_crystal_that_only_a_model_knows():
    assert spacing_of("WSe2", {"wse2": 2.85}) == 2.85
    named = r"'unobtainium': expected one of .*mos2.*, wse2; .*--spacing"
    with pytest.raises(DataError, match=named):
        spacing_of("unobtainium", {"wse2": 2.85})
