"""What is measured on a micrograph, on images whose answer is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from temdenoise.foundation.errors import DataError
from temdenoise.learning.networks import UNet
from temdenoise.measuring.lattice import SPACINGS, Ring, check, first_ring
from temdenoise.measuring.noise import estimate, without_impulses
from temdenoise.measuring.spectrum import (
    height_at,
    lattice_peaks,
    lattice_variance,
    middle,
    spectrum,
)
from temdenoise.micrographs.denoise_file import sampling_from_lattice
from temdenoise.micrographs.denoising import apply, borne_out, prepare, stretched
from temdenoise.micrographs.fitting import (
    INSIDE,
    Range,
    background,
    described,
    fit,
    resample,
    shape_at,
    trained_range,
)
from temdenoise.micrographs.trust import (
    Invention,
    Residual,
    Score,
    invention,
    quarter_score,
    residual_of,
)
from temdenoise.micrographs.verdict import judge, kind_of

SAMPLING = (0.15, 0.15)
TRAINED = Range("adf", (0.1, 0.3), (0.02, 1.5), 0.5, 0.25, {"mos2": 2.7366})


def hexagonal(shape=(256, 256), *, spacing=2.7366, sampling=SAMPLING, angle=0.3):
    """Three waves whose planes are `spacing` apart [Å]: mean 0, standard deviation 1."""
    x, y = (step * np.arange(n) for n, step in zip(shape, sampling, strict=True))
    waves = 0
    for turn in (0, np.pi / 3, 2 * np.pi / 3):
        k = 2 * np.pi / spacing * np.array([np.cos(angle + turn), np.sin(angle + turn)])
        waves = waves + np.cos(np.add.outer(k[0] * x, k[1] * y))
    return waves / np.sqrt(1.5)


def noise_of(image, sampling=SAMPLING):
    return estimate(image, spectrum(image, sampling), sampling=sampling)


def test_white_noise_has_its_variance_at_every_frequency(rng):
    found = spectrum(3 * rng.standard_normal((256, 200)), SAMPLING)
    assert found.power.mean() == pytest.approx(9, rel=0.05)
    inside = found.centres < found.nyquist
    np.testing.assert_allclose(found.mean[inside][8:], 9, rtol=0.35)
    assert np.median(found.floor[inside]) == pytest.approx(9, rel=0.05)
    assert lattice_peaks(found) == []
    assert first_ring([]) is None


def test_pure_noise_shows_no_lattice_in_many_draws():
    counts = [
        len(lattice_peaks(spectrum(np.random.default_rng(i).standard_normal((128, 128)), SAMPLING)))
        for i in range(40)
    ]
    assert sum(counts) == 0


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 6])
def test_lattice_is_measured_through_five_times_its_noise(angle, rng):
    image = 2 * hexagonal((512, 512), angle=angle) + 10 * rng.standard_normal((512, 512)) + 1000
    found = spectrum(image, SAMPLING)
    peaks = lattice_peaks(found)
    ring = first_ring(peaks)
    assert len(peaks) == 3
    assert ring.spacing == pytest.approx(2.7366, rel=0.005)
    assert np.sqrt(lattice_variance(found, peaks)) == pytest.approx(2, rel=0.15)
    assert noise_of(image).sigma == pytest.approx(10, rel=0.03)
    assert all(height_at(found, peak) > 20 for peak in peaks)


def test_spacings_are_those_of_the_crystals():
    from temdenoise.groundtruth import crystals

    for name, spacing in SPACINGS.items():
        atoms = getattr(crystals, name)()
        # measured constants here, those of the calculation there
        assert spacing == pytest.approx(atoms.cell.lengths()[0] * np.sqrt(3) / 2, rel=0.008)


def test_wrong_pixel_size_is_found_and_the_right_one_named(rng):
    image = hexagonal() + 0.5 * rng.standard_normal((256, 256))
    wrong = (0.15 * 1.1, 0.15 * 1.1)
    ring = first_ring(lattice_peaks(spectrum(image, wrong)))
    told = check(ring, wrong, {"mos2": 2.7366}, certain=True)
    assert told.agrees is False
    assert "--sampling" in told.text
    assert told.suggested == pytest.approx(SAMPLING, rel=0.01)
    right = first_ring(lattice_peaks(spectrum(image, SAMPLING)))
    assert check(right, SAMPLING, {"mos2": 2.7366}, certain=True).agrees is True
    unknown = check(ring, wrong, {"graphene": 2.13}, certain=False)
    assert unknown.agrees is None
    assert "another crystal" in unknown.text
    assert check(None, SAMPLING, {}, certain=False).agrees is None
    assert check(Ring(2.0, 3, 0), SAMPLING, {}, certain=False).agrees is None
    assert "taken" in check(ring, wrong, {}, certain=True, taken=True).text


def test_pixel_size_is_taken_from_the_lattice(rng):
    image = hexagonal((300, 280)) + rng.standard_normal((300, 280))
    assert sampling_from_lattice(image, 2.7366) == pytest.approx(0.15, rel=0.01)
    assert sampling_from_lattice(rng.standard_normal((256, 256)), 2.7366) is None


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
    assert kind in noise.kinds
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
    # inside, away from the mirrored rim, it is the same lattice on finer pixels
    expected = hexagonal((360, 300), sampling=(0.1, 0.1))
    x, y = (0.15 / 2 - 0.1 / 2,) * 2  # pixel centres
    shifted = hexagonal((361, 301), sampling=(0.1, 0.1))
    assert shifted.shape == (361, 301)
    part = (slice(60, -60), slice(60, -60))
    k = np.corrcoef(finer[part].ravel(), expected[part].ravel())[0, 1]
    assert k > 0.98, (x, y)
    white = rng.standard_normal((256, 256)).astype(np.float32)
    coarse = resample(white, (128, 128))
    assert coarse.std() == pytest.approx(0.5, rel=0.05)
    # still white
    assert abs(np.corrcoef(coarse[1:].ravel(), coarse[:-1].ravel())[0, 1]) < 0.03
    assert resample(white, white.shape) is white
    assert shape_at((100, 100), (0.2, 0.2), 0.2005) == (100, 100)
    assert shape_at((100, 100), (0.1, 0.2), 0.2) == (50, 100)


def test_what_varies_slowly_is_not_taken_off_with_the_noise(rng):
    class TakesBackground:
        """A network that knows contamination: flattens all that is smoother than a lattice."""

        def __init__(self):
            self.about = {"trained_on": "all", "standardised": True}

        def denoise(self, seen):
            return seen - gaussian_filter(seen, 12) + 0.7, np.ones_like(seen)

    x = np.arange(256) * SAMPLING[0]
    thickness = np.cos(2 * np.pi * x / 25)[:, None]  # finer than the background that is put aside
    lattice = hexagonal()
    frame = (lattice + thickness + 0.1 * rng.standard_normal(lattice.shape)).astype(np.float32)
    prepared = prepare(frame, TRAINED, sampling=SAMPLING)
    applied = apply(TakesBackground(), frame, prepared.fit, TRAINED, sampling=SAMPLING)
    error = (applied.denoised - lattice - thickness)[16:-16, 16:-16]
    assert abs(error.mean()) < 0.05
    assert error.std() < 0.25


class Certain:
    """Takes an image as it is, and expects an error of next to nothing."""

    about, network = {}, UNet(width=4, levels=2)

    def denoise(self, image):
        return image.copy(), np.full_like(image, 1e-3)


def test_sigma_is_no_smaller_than_what_the_image_does_not_bear_out(rng):
    noise = 60 * rng.standard_normal((192, 160)).astype(np.float32)
    for lattice in (0, 2000):
        clean = 1000 + lattice * hexagonal(noise.shape).astype(np.float32)
        frame = clean + noise
        prepared = prepare(frame, TRAINED, sampling=SAMPLING)
        given = frame, prepared.fit, TRAINED
        fitted = borne_out(Certain(), *given, prepared.noise, sampling=SAMPLING)
        applied = apply(Certain(), frame, fitted, TRAINED, sampling=SAMPLING)
        error = float((applied.denoised - clean)[16:-16, 16:-16].std())
        # the noise that was left, seen with coarser pixels, which average some of it
        assert 25 < applied.sigma.mean() < 60
        assert error < applied.sigma.mean()
        if not lattice:
            found = invention(
                applied.denoised,
                applied.sigma,
                prepared.spectrum,
                slow=applied.slow,
                sampling=SAMPLING,
            )
            assert found.flat
            assert error < 10


def test_linear_stretching_keeps_a_slope():
    slope = np.add.outer(np.arange(20.0), np.zeros(24)).astype(np.float32)
    twice = stretched(slope, (40, 24))
    np.testing.assert_allclose(twice[2:-2, 0], (np.arange(40) + 0.5)[2:-2] / 2 - 0.5, atol=1e-5)


@pytest.mark.parametrize("shape", [(300, 300), (300, 200)])
def test_background_takes_slopes_and_bows_up_to_the_rim_and_leaves_the_lattice(shape):
    lattice = hexagonal(shape)
    x, y = (np.linspace(-1, 1, n) for n in shape)
    uneven = np.add.outer(50 * x + 20 * x**2, 30 * y**2 - 10 * y)
    slow = background(lattice + uneven, SAMPLING) - background(lattice, SAMPLING)
    # a Gaussian lifts a parabola by its variance times half of the curvature, everywhere alike
    away = slow - uneven
    np.testing.assert_allclose(away, away.mean(), atol=0.01)
    assert background(lattice, SAMPLING).std() < 0.05 * lattice.std()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 2), (2, 40)])
def test_background_of_narrow_images(shape, rng):
    image = 5 + rng.standard_normal(shape)
    assert background(image, SAMPLING).shape == shape
    np.testing.assert_allclose(background(0 * image + 5, SAMPLING), 5, rtol=1e-6)


def test_fit_gives_the_lattice_the_trained_contrast(rng):
    noise = noise_of(7 * hexagonal() + 2 * rng.standard_normal((256, 256)))
    fitted = fit(7.0, noise, TRAINED, sampling=SAMPLING)
    assert fitted.gain * 7 == pytest.approx(TRAINED.contrast, rel=0.05)
    assert fitted.noise_over_contrast == pytest.approx(2 / 7, rel=0.05)
    # coarser pixels where there is more noise than trained on, and never out of range
    strong = fit(1.0, noise_of(10 * rng.standard_normal((256, 256))), TRAINED, sampling=SAMPLING)
    assert strong.sampling == pytest.approx(INSIDE * TRAINED.sampling[1])
    assert strong.c_noise <= TRAINED.c_noise[1]
    coarse = fit(7.0, noise, TRAINED, sampling=(0.5, 0.5))
    assert coarse.sampling == pytest.approx(INSIDE * TRAINED.sampling[1])
    nothing = fit(0.0, noise, TRAINED, sampling=SAMPLING)
    assert nothing.noise_over_contrast == np.inf
    assert nothing.c_noise == TRAINED.c_noise[1]


def test_a_model_says_what_crystals_and_pixel_sizes_it_was_trained_on():
    lattices = {name: [0.5 + 0.2 * hexagonal(spacing=s)] for name, s in SPACINGS.items()}
    about = described(lattices, mode="adf", sampling=SAMPLING, samplings=[0.1, 0.3])
    about |= {"c_noise_train": [0.1, 2.0], "sampling_angstrom": SAMPLING}
    found = trained_range(about)
    assert found.spacings == pytest.approx(SPACINGS, rel=0.01)
    assert (found.kind, found.sampling) == ("adf", (0.1, 0.3))
    assert (found.mean, found.contrast) == pytest.approx((0.5, 0.2), rel=0.02)
    alone = described(lattices, mode="adf", sampling=SAMPLING)
    assert "sampling_range_angstrom" not in alone


def test_range_of_a_model_that_says_little():
    found = trained_range({"c_noise_train": [0.02, 0.5], "sampling_angstrom": [0.2, 0.2]})
    assert found.kind == "density"
    assert found.sampling == pytest.approx((0.19, 0.21))
    assert found.spacings == {}


@pytest.fixture
def noisy(rng):
    return 50 + hexagonal((256, 240)) + 1.5 * rng.standard_normal((256, 240))


def oracle(noisy, clean_of):
    """A denoiser that knows the clean quarter."""
    quarters = {
        noisy[i::2, j::2].astype(np.float64).tobytes(): clean_of[i::2, j::2]
        for i in (0, 1)
        for j in (0, 1)
    }
    return lambda quarter: quarters[np.ascontiguousarray(quarter).tobytes()]


def test_a_perfect_denoiser_explains_all_that_is_no_noise(noisy):
    clean = 50 + hexagonal((256, 240))
    score = quarter_score(noisy, [oracle(noisy, clean)], noise_of(noisy))
    # variance of the lattice is 1, of the noise 2.25
    assert score.network == pytest.approx(1 / 3.25, abs=0.02)
    assert 0.1 < score.gaussian < score.network
    # as well as the level of noise is known: within 2 %
    assert score.ceiling == pytest.approx(1 / 3.25, abs=0.04 * 2.25 / 3.25)
    assert score.winner == "network"
    assert score.ratio > 1


def test_a_constant_and_a_copy_explain_nothing(noisy):
    noise = noise_of(noisy)
    flat = quarter_score(noisy, [lambda quarter: np.full_like(quarter, quarter.mean())], noise)
    assert flat.network == pytest.approx(0, abs=1e-12)
    copy = quarter_score(noisy, [lambda quarter: quarter], noise)
    assert copy.network < 0
    assert copy.winner == flat.winner == "gaussian"


def test_the_best_gaussian_against_itself_is_a_draw(noisy):
    noise = noise_of(noisy)
    best = quarter_score(noisy, [lambda q: q], noise)
    same = quarter_score(
        noisy, [lambda q: gaussian_filter(q, best.sigma / 2, mode="mirror")], noise
    )
    assert same.difference == pytest.approx(0, abs=1e-12)
    assert same.winner == "neither"


def test_the_better_of_several_scales_counts(noisy):
    good = lambda q: gaussian_filter(q, 1.5, mode="mirror")  # noqa: E731
    score = quarter_score(noisy, [lambda q: q, good], noise_of(noisy))
    assert score.chosen == 1


def test_noise_of_rows_is_not_taken_for_signal(rng):
    image = rng.standard_normal((256, 256)) + rng.standard_normal((256, 1))
    noise = noise_of(image)
    assert "rows" in noise.kinds
    keeps_rows = [lambda q: np.repeat(q.mean(1, keepdims=True), q.shape[1], 1)]
    assert quarter_score(image, keeps_rows, noise).network < 0.02


def test_correlated_noise_makes_the_score_void(rng):
    image = gaussian_filter(rng.standard_normal((256, 256)), 0.8)
    score = quarter_score(image, [lambda q: q], noise_of(image))
    assert not score.valid
    assert score.winner == "neither"


def test_too_small_to_score():
    with pytest.raises(ValueError, match="at least 64"):
        quarter_score(np.zeros((60, 60)), [lambda q: q], None)


def test_residual_of_a_perfect_denoiser_is_white(noisy):
    noise, found = noise_of(noisy), spectrum(noisy, SAMPLING)
    clean = 50 + hexagonal((256, 240))
    right, _ = residual_of(noisy, clean, noise, found, sampling=SAMPLING)
    assert np.abs(right.correlation).max() < 0.02
    assert right.over_noise == pytest.approx(1, rel=0.05)
    assert right.lattice_left < 0.05
    flat, _ = residual_of(noisy, np.full_like(noisy, 50), noise, found, sampling=SAMPLING)
    assert flat.lattice_left > 0.9


def test_a_lattice_out_of_nothing_is_caught(rng):
    image = 3 * rng.standard_normal((256, 256))
    found, slow = spectrum(image, SAMPLING), np.zeros((256, 256))
    invented = invention(hexagonal(), np.full((256, 256), 0.1), found, slow=slow, sampling=SAMPLING)
    assert invented.shown == 3
    assert invented.seen <= 1
    assert invented.suspected
    flat = invention(
        0.05 * hexagonal(), np.full((256, 256), 0.1), found, slow=slow, sampling=SAMPLING
    )
    assert flat.flat
    assert not flat.suspected
    there = image + hexagonal()
    seen = invention(
        hexagonal(),
        np.full((256, 256), 0.1),
        spectrum(there, SAMPLING),
        slow=slow,
        sampling=SAMPLING,
    )
    assert not seen.suspected


def test_kind_is_judged_by_the_tail_of_the_brightness():
    dots = np.exp(3 * hexagonal())
    assert kind_of(dots) == "adf"
    assert kind_of(-dots) == "density"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.full((64, 64), np.nan), "every pixel is missing"),
        (np.full((64, 64), 7), "same value, 7"),
        (np.where(np.arange(4096).reshape(64, 64) % 3, np.nan, 1.0), "% of the pixels are missing"),
        (np.clip(np.arange(4096).reshape(64, 64), 0, 1500), "saturated"),
    ],
)
def test_frames_that_hold_no_picture(frame, message):
    with pytest.raises(DataError, match=message):
        prepare(frame, TRAINED, sampling=SAMPLING)


def test_few_saturated_and_missing_pixels_are_borne(noisy):
    frame = noisy.copy()
    frame[3, 3:9] = np.nan
    frame[100:110, 100:110] = frame[np.isfinite(frame)].max() + 1
    prepared = prepare(frame, TRAINED, sampling=SAMPLING)
    assert np.isfinite(prepared.image).all()
    assert prepared.replaced >= 6
    assert prepared.saturated > 0


def scored(network, gaussian):
    return Score(network, gaussian, 2.0, network - gaussian, 0.01, 0, 0.4, True)


def verdict_of(noisy, **changes):
    prepared = prepare(noisy, changes.pop("trained", TRAINED), sampling=SAMPLING)
    ring = first_ring(lattice_peaks(prepared.spectrum))
    given = {
        "calibration": check(ring, SAMPLING, TRAINED.spacings, certain=True),
        "score": scored(0.3, 0.2),
        "residual": Residual((0.0, 0.0), 1.0, 0.01),
        "invented": Invention(6, 6, flat=False),
        "kind": "adf",
        "replaced_share": 0.0,
    } | changes
    order = ("calibration", "score", "residual", "invented")
    return judge(
        prepared,
        TRAINED,
        *(given[k] for k in order),
        kind=given["kind"],
        replaced_share=given["replaced_share"],
    )


def test_verdict_when_all_is_well(noisy):
    verdict = verdict_of(noisy)
    assert verdict.level == "good", verdict.reasons
    assert not verdict.use_gaussian
    assert verdict.remedies == []
    assert "better than the best Gaussian" in verdict.headline


@pytest.mark.parametrize(
    ("change", "level", "text"),
    [
        ({"score": scored(0.2, 0.3)}, "no", "plain Gaussian predicts"),
        ({"score": scored(0.2, 0.2)}, "careful", "no better than a plain"),
        ({"score": None}, "careful", "too small to be scored"),
        ({"invented": Invention(1, 6, flat=False)}, "no", "invented structure"),
        ({"kind": "density"}, "careful", "looks like a projected density"),
        ({"residual": Residual((0.0, 0.0), 1.0, 0.3)}, "careful", "30 % of the lattice"),
        ({"replaced_share": 0.05}, "careful", "out of all proportion"),
        (
            {"calibration": check(Ring(3.1, 3, 0), SAMPLING, {"mos2": 2.7}, certain=True)},
            "no",
            "disagrees with the lattice",
        ),
    ],
)
def test_verdict_names_what_is_wrong(change, level, text, noisy):
    verdict = verdict_of(noisy, **change)
    assert verdict.level == level
    assert text in verdict.headline
    assert verdict.use_gaussian == ("plain Gaussian predicts" in text)


def test_verdict_on_more_noise_than_trained_on(rng):
    image = hexagonal((512, 512)) + 6 * rng.standard_normal((512, 512))
    weak = Range("adf", (0.14, 0.16), (0.02, 0.25), 0.5, 0.25, {})
    prepared = prepare(image, weak, sampling=SAMPLING)
    assert prepared.fit.c_noise == pytest.approx(0.25)
    verdict = judge(
        prepared,
        weak,
        check(None, SAMPLING, {}, certain=False),
        None,
        Residual((0.0, 0.0), 1.0, 0.0),
        Invention(3, 3, flat=False),
        kind="adf",
        replaced_share=0.0,
    )
    assert verdict.level == "no"
    assert "more than the model was trained on (1.0 times)" in verdict.reasons[0]
    assert any("bin the image" in remedy for remedy in verdict.remedies)


def test_middle_keeps_small_images():
    image = np.arange(12).reshape(3, 4)
    assert middle(image) is not None
    np.testing.assert_array_equal(middle(image, 2), [[1, 2], [5, 6]])
