"""HyperSpy signals in and out, with a stand-in for HyperSpy; the real one: tests/export."""

import numpy as np
import pytest
import temdenoise
from made_up_models import ADF, made_up
from made_up_signals import Signal
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.hyperspy_signals import pixel_size_of
from temdenoise.sharing.signals import denoise_signal

PIXEL = 0.15  # Å


@pytest.fixture(scope="module")
def model():
    """It takes nothing away."""
    return made_up(ADF | {"standardised": True})


@pytest.fixture
def image(rng):
    rows, columns = (PIXEL * np.arange(n) for n in (96, 80))
    lattice = np.add.outer(np.cos(2 * np.pi * rows / 2.7), np.cos(2 * np.pi * columns / 2.7))
    return (2000 + 120 * lattice + 60 * rng.standard_normal(lattice.shape)).astype(np.uint16)


def test_a_stack_with_a_broken_frame(image, model):
    signal = Signal(np.stack([image, 0 * image, image]))
    denoised, sigma = denoise_signal(signal, model, sigma=True)
    assert denoised.data.dtype == np.float32
    np.testing.assert_array_equal(denoised.data[0], denoised.data[2])
    # the scale is the image's; noise that follows noise was damped
    assert denoised.data[0].mean() == pytest.approx(image.mean(), rel=1e-3)
    assert 0.5 * image.std() < denoised.data[0].std() < image.std()
    expected = temdenoise.denoise(image, sampling=PIXEL, model=model)
    np.testing.assert_array_equal(denoised.data[0], expected.image)
    np.testing.assert_array_equal(sigma.data[0], expected.sigma)
    assert np.isnan(denoised.data[1]).all()
    assert (sigma.data[[0, 2]] > 0).all()
    found = denoised.metadata.Denoising
    assert found == sigma.metadata.Denoising
    headline = expected.verdict.headline
    assert found["verdict"][::2] == [headline, headline]
    assert "same value" in found["verdict"][1]
    for key in ("network", "gaussian"):
        value = getattr(expected.score, key)
        assert found[key] == [value, -1, value]
        assert 0 < value < 1
    assert (denoised.metadata.General.title, sigma.metadata.General.title) == (
        "scan (denoised)",
        "scan (sigma)",
    )
    assert signal.metadata.General.title == "scan"


def test_a_model_by_its_path(image, model, tmp_path):
    model.save(tmp_path / "model.pt")
    found = denoise_signal(Signal(image), tmp_path / "model.pt")
    np.testing.assert_array_equal(found.data, denoise_signal(Signal(image), model).data)


def test_a_signal_counts_its_columns_first(image, model):
    signal = Signal(image, scale=(0.015, 0.02))
    assert pixel_size_of(signal) == pytest.approx((0.2, 0.15))
    expected = temdenoise.denoise(image, sampling=(0.2, 0.15), model=model)
    np.testing.assert_array_equal(denoise_signal(signal, model).data, expected.image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal_axes": 1}, "1 signal axes, expected the 2"),
        ({"units": None}, "no pixel size"),
        ({"units": "1/nm"}, "diffraction"),
    ],
)
def test_signals_that_are_no_calibrated_image(image, model, options, message):
    with pytest.raises(DataError, match=message):
        denoise_signal(Signal(image, **options), model)
