"""HyperSpy signals in and out, with a stand-in for HyperSpy; the real one: tests/export."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from made_up_models import ADF, made_up
from temdenoise.foundation.errors import DataError
from temdenoise.sharing.signals import denoise_signal

PIXEL = 0.15  # Å


class Metadata(SimpleNamespace):
    def add_dictionary(self, entries):
        vars(self).update(entries)


class Signal:
    """As much of a signal as is used, with HyperSpy's names."""

    def __init__(self, data, *, units="nm", scale=PIXEL / 10, signal_axes=2):
        axes = [SimpleNamespace(scale=scale, units=units) for _ in range(signal_axes)]
        self.data, self.axes_manager = data, SimpleNamespace(signal_axes=tuple(axes))
        self.metadata = Metadata(General=SimpleNamespace(title="scan"))

    def _deepcopy_with_new_data(self, data):
        new = deepcopy(self)
        new.data = data
        return new


@pytest.fixture(scope="module")
def model():
    """It takes nothing away."""
    return made_up(ADF)


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
    assert np.isnan(denoised.data[1]).all()
    assert (sigma.data[[0, 2]] > 0).all()
    told = denoised.metadata.Denoising
    titles = {"Can be trusted", "With care", "Do not trust it"}
    assert {text.split(":")[0] for text in told["verdict"][::2]} <= titles
    assert "same value" in told["verdict"][1]
    assert told["network"][1] == -1
    assert 0 < told["network"][0] < 1
    assert 0 < told["gaussian"][0] < 1
    assert (denoised.metadata.General.title, sigma.metadata.General.title) == (
        "scan (denoised)",
        "scan (sigma)",
    )
    assert signal.metadata.General.title == "scan"


def test_a_model_by_its_path(image, model, tmp_path):
    model.save(tmp_path / "model.pt")
    found = denoise_signal(Signal(image), tmp_path / "model.pt")
    np.testing.assert_array_equal(found.data, denoise_signal(Signal(image), model).data)


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
