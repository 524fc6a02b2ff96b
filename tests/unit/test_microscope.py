"""Image formation against abTEM's own scans and lenses, theory and published exponents."""

import sys

import numpy as np
import pytest
from ase import Atoms
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.microscopes import PRESETS, impossible, largest_angle, wavelength
from temdenoise.foundation.modes import IMAGE_MODES
from temdenoise.groundtruth import microscope
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.microscope import form_image

abtem = pytest.importorskip("abtem", reason="needs abTEM: make imaging")

ADF = PRESETS["adf_60kv_medium"] | {"sampling": 0.08}
HRTEM = PRESETS["hrtem_80kv"] | {"sampling": 0.08}
COHERENT = {"focal_spread": 0.0, "source_size": 0.0}


@pytest.fixture(scope="module")
def defective():
    """Graphene with displaced atoms, a vacancy and a silicon atom."""
    atoms = crystal("graphene", repeat=(5, 3), vacuum=4.0)
    atoms.positions += np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    atoms.symbols[30] = "Si"
    del atoms[17]
    return atoms


def single(symbol):
    return Atoms(symbol, positions=[(6, 6, 4)], cell=(12, 12, 8), pbc=True)


def test_adf_is_what_abtem_scans(defective):
    lens = {"defocus": 40.0, "cs": 1e4}
    image, sampling = form_image(defective, ADF | COHERENT | lens)
    potential = microscope.slices(defective, sampling=ADF["sampling"])
    probe = abtem.Probe(energy=60e3, semiangle_cutoff=31, defocus=40, Cs=1e4)
    probe.grid.match(potential)
    pixels = np.random.default_rng(1).integers(0, image.shape[0], (8, 2))
    scanned = probe.scan(
        potential,
        scan=abtem.CustomScan(pixels * np.array(sampling)),
        detectors=abtem.AnnularDetector(inner=ADF["inner"], outer=ADF["outer"]),
        lazy=False,
    )
    assert image[tuple(pixels.T)] == pytest.approx(np.asarray(scanned.array), rel=1e-3)


def test_hrtem_is_what_abtem_images(defective):
    image, _ = form_image(defective, HRTEM | COHERENT)
    wave = abtem.PlaneWave(energy=80e3).multislice(
        microscope.slices(defective, sampling=HRTEM["sampling"]), lazy=False
    )
    lens = abtem.CTF(
        energy=80e3,
        semiangle_cutoff=HRTEM["aperture"],
        defocus=HRTEM["defocus"],
        Cs=HRTEM["cs"],
        soft=False,
    )
    expected = np.asarray(wave.apply_ctf(lens).intensity().array).squeeze()
    assert image == pytest.approx(expected, abs=1e-5)
    assert image.std() > 0.03


def test_potential_is_abtems_own_of_independent_atoms(defective):
    ours = microscope.slices(defective, sampling=0.1)
    whole = abtem.Potential(
        defective, gpts=ours.gpts, slice_thickness=8.0, parametrization="lobato"
    ).build(lazy=False)
    assert ours.array.sum(0) == pytest.approx(whole.array.sum(0), rel=1e-3, abs=0.05)


@pytest.mark.parametrize("mode", ["adf", "hrtem"])
def test_intensity_is_conserved(defective, mode):
    """A detector, or a lens, that takes all angles sees the whole beam."""
    extent = tuple(defective.cell.lengths()[:2])
    potential = microscope.slices(defective, sampling=0.08)
    if mode == "adf":
        everything = ADF | {"inner": 0.0, "outer": 1e4}
        vectors, matrix = microscope.scattering_matrix(potential, everything)
        image = microscope.adf_image(
            vectors, matrix, everything, extent=extent, shape=potential.gpts
        )
    else:
        wave = microscope.exit_wave(potential, HRTEM)
        image = microscope.hrtem_image(wave, HRTEM | {"aperture": 1e4, "cs": 0.0}, extent=extent)
    assert image.mean() == pytest.approx(1, abs=1e-3)
    if mode == "adf":
        assert image == pytest.approx(1, abs=2e-3)


def test_detectors_share_the_beam(defective):
    """Two rings beside each other see what one over both sees."""
    potential = microscope.slices(defective, sampling=0.08)
    narrow = ADF | {"aperture": 15.0}
    rings = [(50.0, 80.0), (80.0, 200.0), (50.0, 200.0)]
    first, second, both = (
        microscope.scattering_matrix(potential, narrow | {"inner": inner, "outer": outer})[1]
        for inner, outer in rings
    )
    assert first + second == pytest.approx(both, abs=1e-7)


def test_brightness_of_single_atoms_follows_published_exponents():
    """Z^1.6 to Z^2, rising with the inner angle; from B to Mo.

    Krivanek et al., doi:10.1038/nature08879, measured Z^1.64 at medium angles; Treacy,
    doi:10.1017/S1431927611012074, explains the range.
    """
    numbers = {"B": 5, "N": 7, "Si": 14, "Mo": 42}
    exponents = []
    for preset in ("adf_60kv_medium", "adf_60kv_high"):
        signal = []
        for symbol in numbers:
            image, (dx, dy) = form_image(single(symbol), PRESETS[preset] | {"sampling": 0.08})
            signal.append((image - image.min()).sum() * dx * dy)
        exponents.append(np.polyfit(np.log(list(numbers.values())), np.log(signal), 1)[0])
    medium, high = exponents
    assert 1.6 < medium < high < 2.0


def test_hrtem_contrast_is_reversed_by_defocus():
    """A weak phase object: I - 1 = 2 σ V sin χ, so the sign of defocus is that of the contrast."""
    lens = HRTEM | COHERENT | {"cs": 0.0}
    under, over = (
        form_image(single("C"), lens | {"defocus": focus})[0] - 1 for focus in (60.0, -60.0)
    )
    assert np.corrcoef(under.ravel(), over.ravel())[0, 1] < -0.9
    # dark atoms at underfocus, bright ones at overfocus
    centre = tuple(n // 2 for n in under.shape)
    assert under[centre] < 0 < over[centre]
    in_focus = form_image(single("C"), lens | {"defocus": 0.0})[0] - 1
    assert np.abs(in_focus).max() < 0.2 * np.abs(under).max()


@pytest.mark.parametrize("lens", [ADF, HRTEM], ids=["adf", "hrtem"])
def test_sampling_has_converged(defective, lens):
    """At the default sampling within a few percent of the image's range, more so when finer."""
    images = {s: form_image(defective, lens | {"sampling": s})[0] for s in (0.08, 0.05, 0.04)}
    finest = images.pop(0.04)
    coarse, default = (
        np.abs(image - microscope._resampled(finest, image.shape)).max() / np.ptp(finest)
        for image in images.values()
    )
    assert default < 0.03
    assert default < coarse


@pytest.mark.parametrize("lens", [ADF, HRTEM], ids=["adf", "hrtem"])
def test_blurs_take_contrast_but_no_intensity(defective, lens):
    lens = lens | COHERENT
    sharp = form_image(defective, lens)[0]
    blurred = form_image(defective, lens | {"source_size": 1.2})[0]
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=1e-6)
    assert blurred.std() < 0.8 * sharp.std()
    unsteady = form_image(defective, lens | {"focal_spread": 45.0})[0]
    assert unsteady.std() < 0.95 * sharp.std()


def test_a_moved_atom_moves_its_image():
    image, (dx, _) = form_image(single("Si"), ADF)
    moved = single("Si")
    moved.positions[0, 0] += 20 * dx
    again, _ = form_image(moved, ADF)
    assert np.roll(image, 20, axis=0) == pytest.approx(again, rel=1e-2, abs=1e-5)


def test_focal_spread_is_the_average_over_foci(defective):
    extent = tuple(defective.cell.lengths()[:2])
    wave = microscope.exit_wave(microscope.slices(defective, sampling=0.08), HRTEM)
    spread = HRTEM | {"source_size": 0.0, "focal_spread": 30.0}
    image = microscope.hrtem_image(wave, spread, extent=extent)
    steps = np.linspace(-4, 4, 81)
    images = [
        microscope.hrtem_image(
            wave,
            spread | {"focal_spread": 0.0, "defocus": HRTEM["defocus"] + 30 * s},
            extent=extent,
        )
        for s in steps
    ]
    weights = np.exp(-(steps**2) / 2)
    expected = np.tensordot(weights / weights.sum(), images, axes=1)
    assert image == pytest.approx(expected, abs=1e-4)


def test_bonding_is_added_to_the_potential(defective):
    bonding = np.zeros((50, 60))
    bonding[10:30, 20:50] = 2.0
    plain = microscope.slices(defective, sampling=0.08)
    bonded = microscope.slices(defective, sampling=0.08, bonding=bonding)
    difference = bonded.array.sum(0) - plain.array.sum(0)
    assert difference.mean() == pytest.approx(bonding.mean(), rel=1e-3)
    x, y = (
        round((i + 0.5) / n * m) for i, n, m in zip((20, 35), (50, 60), bonded.gpts, strict=True)
    )
    assert difference[x, y] == pytest.approx(2.0, rel=0.05)


def test_wavelengths_are_those_of_the_tables():
    assert wavelength(100) == pytest.approx(0.037014, abs=1e-6)
    assert wavelength(200) == pytest.approx(0.025079, abs=1e-6)


WRONG = [
    (ADF | {"inner": 210.0}, r"`microscope\.inner` = 210 mrad: expected less than"),
    (ADF | {"inner": 20.0}, r"inner` = 20 mrad: expected at least `microscope\.aperture` = 31"),
    (ADF | {"sampling": 0.1}, r"sampling` = 0\.1 Å: expected at most 0\.0811 Å.*outer` = 200"),
    (HRTEM | {"sampling": 0.8}, r"sampling` = 0\.8 Å: expected at most .*aperture` = 25"),
    (ADF | {"defocus": 400.0}, r"the probe is .* wide; expected at most .* 12\.3 Å"),
    (HRTEM | {"cs": 1e7}, r"a point of the object spreads over .* at most .* 12\.3 Å"),
]


def test_every_mode_with_a_microscope_is_formed_by_one_function():
    wanted = {name for name, mode in IMAGE_MODES.items() if mode.preset is not None}
    assert set(microscope.IMAGING) == {preset["mode"] for preset in PRESETS.values()} == wanted
    assert all(PRESETS[IMAGE_MODES[name].preset]["mode"] == name for name in wanted)


@pytest.mark.parametrize(("lens", "message"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_computed_is_refused(defective, lens, message):
    with pytest.raises(DataError, match=message):
        form_image(defective, lens)


def test_presets_can_be_computed_on_the_default_supercell():
    for preset in PRESETS.values():
        assert not list(impossible(preset | {"sampling": 0.08}, (12.3, 12.78)))
        assert largest_angle(preset | {"sampling": 0.08}) > preset["outer"]


def test_without_abtem_the_remedy_is_told(monkeypatch, defective):
    monkeypatch.setitem(sys.modules, "abtem", None)
    with pytest.raises(ModuleNotFoundError, match=r"abTEM is needed .*make imaging"):
        form_image(defective, ADF)
