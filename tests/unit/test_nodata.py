"""Areas of a frame that hold no data: found where they are, and nowhere else."""

import numpy as np
import pytest
from made_up_frames import PIXEL, hexagonal
from temdenoise import denoise
from temdenoise.micrographs.nodata import filled, window_with_data, without_data

SHAPE = (128, 160)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
SMOOTH = 1 + np.cos(ROWS / 4) * np.cos(COLUMNS / 5)


@pytest.fixture
def counts(rng):
    lattice = np.cos(ROWS / 3) + np.cos(COLUMNS / 3)
    return rng.poisson(300 + 15 * lattice).astype(np.uint16)


AREAS = {
    "half": ROWS >= 70,
    "one line": ROWS == 40,
    "columns": (COLUMNS >= 20) & (COLUMNS < 26),
    "border": (ROWS < 8) | (ROWS >= 120) | (COLUMNS < 8) | (COLUMNS >= 152),
    "wedge": ROWS + COLUMNS < 60,
    "part": (ROWS > 30) & (ROWS < 60) & (COLUMNS > 50) & (COLUMNS < 90),
}


@pytest.mark.parametrize("value", [0, 300, 65535, np.nan])
@pytest.mark.parametrize("name", AREAS)
def test_areas_without_data_are_found(name, value, counts):
    frame = counts.astype(np.float32) if np.isnan(value) else counts.copy()
    frame[AREAS[name]] = value
    found = without_data(frame)
    missed = AREAS[name] & ~found.mask
    wrong = found.mask & ~AREAS[name]
    # the tip of a wedge is narrower than any area that is no chance
    assert missed.sum() <= (30 if name == "wedge" else 0)
    assert wrong.sum() <= 12
    word = "missing" if np.isnan(value) else "saturated" if value == 65535 else "blank"
    assert word in found.text


def test_where_it_is(counts):
    counts[70:] = 0
    text = without_data(counts).text
    assert "blank (0) in rows 71 to 128" in text
    assert text.startswith("45.3 %")


def test_scale_bars_and_their_text_are_found(counts):
    frame = np.clip(counts - 200, 0, 250).astype(np.uint8)
    drawn = np.zeros(SHAPE, bool)
    drawn[110:116, 100:150] = True
    drawn[96:106, 110:112] = drawn[96:98, 116:122] = True  # strokes of two pixels
    frame[drawn] = 255
    found = without_data(frame)
    np.testing.assert_array_equal(found.mask, drawn)
    assert "written over" in found.text


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.normal(0, 1, SHAPE),
        lambda rng: rng.poisson(0.05, SHAPE).astype(np.uint8),
        lambda rng: rng.poisson(0.7, SHAPE),
        lambda rng: np.minimum(rng.poisson(20, SHAPE), 24),
        lambda rng: (rng.poisson(300, SHAPE) // 8 * 8).astype(np.uint16),
        # atoms cut off at the top, and the ground between them at the bottom
        lambda rng: np.clip(50 * SMOOTH + rng.normal(0, 4, SHAPE), 20, 80).round(),
        lambda rng: np.clip(50 * SMOOTH, 20, 80),
        lambda rng: (
            rng.poisson(300 + 60 * np.cos(ROWS / 5) + 60 * np.cos(COLUMNS / 5)) // 64
        ).astype(np.uint8),
    ],
)
def test_data_are_no_area_without_data(make, rng):
    assert without_data(make(rng)).text == ""


def test_sparse_counts_beside_a_blank_half(rng):
    frame = rng.poisson(0.1, SHAPE)
    frame[64:] = 0
    found = without_data(frame)
    assert found.mask[66:].all()
    assert found.mask[:60].mean() < 0.02


def test_frames_of_nothing():
    assert without_data(np.full(SHAPE, np.nan)).fraction == 1
    assert without_data(np.zeros(SHAPE)).fraction == 1


def test_single_missing_pixels_are_no_area(counts, rng):
    frame = counts.astype(np.float32)
    single = rng.random(SHAPE) < 0.02
    frame[single] = np.nan
    assert without_data(frame).text == ""
    frame[AREAS["part"]] = np.nan
    found = without_data(frame)
    assert found.mask[AREAS["part"]].all()
    assert found.mask[~AREAS["part"]].sum() < 10


@pytest.mark.parametrize("name", AREAS)
def test_areas_are_filled_with_what_lies_beside_them(name, counts):
    frame = counts.astype(np.float32)
    mask = AREAS[name]
    fill = filled(np.where(mask, np.nan, frame), mask)
    np.testing.assert_array_equal(fill[~mask], frame[~mask])
    assert np.isfinite(fill).all()
    # the same lattice and noise, not one value
    assert fill[mask].mean() == pytest.approx(frame.mean(), rel=0.08)
    assert fill[mask].std() == pytest.approx(frame.std(), rel=0.3)
    assert filled(frame, np.zeros_like(mask)) is frame


def test_a_straight_edge_is_a_mirror():
    frame = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    mask = np.zeros((4, 3), bool)
    mask[2:] = True
    # the last row with data is the mirror, and its image is mirrored in turn
    np.testing.assert_array_equal(filled(frame, mask)[:, 0], [0, 3, 0, 3])
    lonely = np.ones((4, 3), bool)
    lonely[0, 0] = False
    np.testing.assert_array_equal(filled(frame, lonely), np.zeros((4, 3)))


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("half", (0, 70), (0, 160)),
        ("one line", (0, 128), (0, 160)),
        ("border", (8, 120), (8, 152)),
        ("columns", (0, 128), (26, 160)),
    ],
)
def test_what_is_measured_is_the_largest_rectangle_with_data(name, rows, columns):
    window = window_with_data(AREAS[name])
    found = [(part.start, part.stop) for part in window]
    # to whole blocks of the search
    for (start, stop), (first, last) in zip(found, (rows, columns), strict=True):
        assert first <= start <= first + 2
        assert last - 2 <= stop <= last
    assert not AREAS[name][window].any() or name == "one line"


def test_without_a_rectangle_worth_it_the_frame_is_measured(rng):
    scattered = np.zeros((256, 256), bool)
    for row, column in rng.integers(0, 240, (60, 2)):
        scattered[row : row + 12, column : column + 12] = True
    assert window_with_data(scattered) == (slice(0, 256), slice(0, 256))


def _marks(shape):
    """A scale bar and its text, burned in."""
    drawn = np.zeros(shape, bool)
    drawn[-24:-18, 20:100] = True
    for left in range(20, 76, 14):
        drawn[-44:-30, left : left + 2] = drawn[-44:-42, left : left + 8] = True
    return drawn


Y, X = np.mgrid[:208, :192]
FAULTS = {
    "half blank": (Y >= 110, 0),
    "half missing": (X < 80, np.nan),
    "every eleventh line": (Y % 11 == 3, 0),
    "turned frame": (np.abs(Y - X) + np.abs(Y + X - 200) > 200, 0),
    "scale bar and text": (_marks(Y.shape), 65535),
    "saturated particles": (np.hypot(Y % 90 - 45, X % 80 - 40) < 10, 65535),
}


@pytest.fixture(scope="module")
def clean_and_noisy():
    rng = np.random.default_rng(3)
    dots = np.exp(1.5 * hexagonal(Y.shape))
    return dots, rng.poisson(300 + 10 * dots).astype(np.float32)


@pytest.fixture(scope="module")
def fault_free(clean_and_noisy):
    return denoise(clean_and_noisy[1], sampling=PIXEL, model="adf")


@pytest.mark.parametrize("name", FAULTS)
def test_what_holds_no_data_does_not_spoil_the_rest(name, clean_and_noisy, fault_free):
    clean, noisy = clean_and_noisy
    area, value = FAULTS[name]
    frame = np.where(area, np.float32(value), noisy)
    found = denoise(frame, sampling=PIXEL, model="adf")
    there = ~area

    def likeness(image):
        return np.corrcoef(image[there], clean[there])[0, 1]

    assert likeness(found.image) >= 0.99 * likeness(fault_free.image)
    # it is said, and left as it was, without an error that nobody knows
    assert "areas_without_data" in {finding.check for finding in found.findings}
    # (a tip narrower than any area may be taken for single pixels)
    mask = found.result.worst.frame.no_data.mask
    assert (mask & area).sum() > 0.98 * area.sum()
    np.testing.assert_array_equal(found.image[mask], frame[mask])
    np.testing.assert_array_equal(np.isnan(found.sigma), mask)
    # what is measured is that of the fault-free frame
    assert found.noise.white
    assert found.noise.sigma == pytest.approx(fault_free.noise.sigma, rel=0.05)
    assert found.lattice.spacing == pytest.approx(fault_free.lattice.spacing, rel=0.01)
