"""Areas of a frame that hold no data: found where they are, and nowhere else."""

import numpy as np
import pytest
from temdenoise.micrographs.nodata import without_data

SHAPE = (128, 160)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


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
