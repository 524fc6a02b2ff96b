"""The picture and the page about a denoised micrograph."""

import html
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import temdenoise
from made_up_frames import PIXEL, counts
from made_up_models import ADF, made_up
from PIL import Image
from temdenoise.foundation.modes import IMAGE_MODES
from temdenoise.micrographs.verdict import TITLES
from temdenoise.report.micrograph import figure, summarise
from temdenoise.report.style import journal


@pytest.fixture(scope="module")
def stack():
    """Two frames, the second of which is broken, by a model of phase contrast."""
    image = counts(np.random.default_rng(7))
    model = made_up(ADF | {"image_kind": "hrtem", "standardised": True, "name": "mine"})
    return temdenoise.denoise(np.stack([image, 0 * image, image]), sampling=PIXEL.rows, model=model)


@pytest.fixture
def drawn(stack):
    with journal():
        drawn = figure(stack.result.worst)
    yield drawn
    plt.close(drawn)


def test_the_picture_shows_what_was_recorded_and_what_became_of_it(drawn, stack):
    shown = stack.result.worst.shown
    pictures = {axes.get_title(): axes for axes in drawn.axes}
    for title, expected in (
        ("Before", shown.before),
        ("After", shown.after),
        ("Difference", shown.before - shown.after),
        ("Sigma (68 %)", shown.sigma),
    ):
        (image,) = pictures[title].images
        found = image.get_array()
        assert image.origin == "lower"
        # the first row is on top
        np.testing.assert_allclose(found[::-1], expected, rtol=1e-6)
        left, right, bottom, top = image.get_extent()
        assert (right - left, top - bottom) == pytest.approx(
            (expected.shape[1] * 0.015, expected.shape[0] * 0.015)
        )
    (score,) = (axes for title, axes in pictures.items() if title.startswith("Variance"))
    heights = [bar.get_height() for bar in score.patches]
    found = stack.score
    assert heights == pytest.approx([0, 100 * found.gaussian, 100 * found.network])


def test_features_are_drawn_where_they_are(drawn, stack):
    features, shown = stack.result.worst.features, stack.result.worst.shown
    (enlarged,) = (axes for axes in drawn.axes if axes.get_title() == "Enlarged, after")
    side = min(shown.before.shape)  # all of the shorter side is shown
    corner = [(n - side) // 2 for n in shown.before.shape]
    inside = ((features.centres >= corner) & (features.centres < np.add(corner, side))).all(axis=1)
    drawn_at = np.concatenate([line.get_xydata() for line in enlarged.lines])
    assert len(drawn_at) == inside.sum() > 20
    rows, columns = (features.centres[inside] - corner).T
    expected = np.stack([(columns + 0.5) * 0.015, (side - rows - 0.5) * 0.015], axis=1)
    order = np.lexsort(expected.T), np.lexsort(drawn_at.T)
    np.testing.assert_allclose(drawn_at[order[1]], expected[order[0]])


def test_the_page_says_what_was_found(stack):
    picture, page = summarise(stack.result.worst, stack.summary)
    assert min(Image.open(io.BytesIO(picture)).size) > 500
    text = html.unescape(page)
    verdict = stack.verdict
    assert verdict.headline in text
    for said in (*verdict.reasons, *verdict.remedies):
        assert said[1:] in text  # the first letter of a sentence is a capital
    assert f"frame 2: {stack.broken[2]}" in text
    # every other frame has its row
    assert text.count(f"<td>{TITLES[verdict.level]}</td></tr>") == 2
    # what the image looks like, and what the model was trained on
    assert IMAGE_MODES["adf"].looks in text
    assert f"mine, trained on {IMAGE_MODES['hrtem'].images}" in text
    assert "Prefer the plain Gaussian" not in text
    assert "(the file says none)" in text


def test_the_page_of_an_image_too_small_to_be_scored():
    image = counts(np.random.default_rng(7))[:60, :60]
    found = temdenoise.denoise(image, sampling=PIXEL.rows, model=made_up(ADF))
    assert found.score is None
    _, page = summarise(found.result.worst, found.summary)
    assert found.verdict.headline in html.unescape(page)
    assert "explained by the network" not in page
    assert "Every frame" not in page
