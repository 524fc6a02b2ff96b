"""Files of Gatan's DigitalMicrograph, which the tests write by its tags."""

import numpy as np
import pytest
from made_up_files import DigitalMicrograph, write_dm
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.formats import Kind, Stored
from temdenoise.micrographs.readers import read
from temdenoise.micrographs.signals import signals


@pytest.fixture
def counts(rng):
    return rng.poisson(900, (48, 64)).astype(np.uint16)


@pytest.mark.parametrize("ending", ["dm3", "dm4"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_values_of_every_type_and_order(ending, order, kind, counts, tmp_path):
    data = (counts % 100).astype(kind)
    write_dm(tmp_path / f"a.{ending}", data, order=order, name="HAADF 0001")
    (one,) = signals(tmp_path / f"a.{ending}")  # the thumbnail is none
    assert (one.kind, one.name) == (Kind.IMAGE, "HAADF 0001")
    (found,) = read(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(found.data, data)
    assert found.sampling == pytest.approx((0.137, 0.137))
    assert found.notes == ()


@pytest.mark.parametrize("order", ["<", ">"])
def test_stacks_stay_in_their_file(order, counts, tmp_path, monkeypatch):
    monkeypatch.setattr("temdenoise.micrographs.formats.rosettasciio.LARGE", 1)
    frames = np.stack([counts + n for n in range(3)])
    write_dm(tmp_path / "a.dm4", frames, order=order)
    (found,) = read(tmp_path / "a.dm4")
    assert isinstance(found.data, Stored)
    np.testing.assert_array_equal(np.asarray(found.data), frames)


@pytest.mark.parametrize(("units", "scale"), [("µm", 1.37e-5), ("pm", 13.7), ("Å", 0.137)])
def test_units(units, scale, counts, tmp_path):
    write_dm(tmp_path / "a.dm3", counts, units=units, scale=scale)
    assert read(tmp_path / "a.dm3")[0].sampling == pytest.approx((0.137, 0.137))


def test_what_is_no_image_is_named(counts, tmp_path):
    path = tmp_path / "a.dm4"
    write_dm(path, counts, units="1/nm", scale=0.1)
    assert signals(path)[0].kind is Kind.DIFFRACTION
    write_dm(path, counts.astype(np.complex64), units="1/nm", scale=0.1)
    assert signals(path)[0].kind is Kind.TRANSFORM
    write_dm(path, counts.astype(np.int32), code=23)
    assert signals(path)[0].kind is Kind.COLOUR
    spectra = {"Meta Data": {"Format": "Spectrum image", "Signal": "EELS"}}
    write_dm(path, np.stack([counts] * 3), tags=spectra)
    assert signals(path)[0].kind is Kind.SPECTRUM_IMAGE
    with pytest.raises(DataError, match="spectrum image"):
        read(path)


def test_several_images_of_a_file(counts, tmp_path):
    file = DigitalMicrograph(4)
    calibrations = [(0.0137, "nm")] * 2
    small = file.image(counts[:4, :4], calibrations)
    pair = [file.image(counts + n, calibrations, name=name) for n, name in enumerate(("a", "b"))]
    (tmp_path / "a.dm4").write_bytes(file.file([small, *pair]))
    assert [one.name for one in signals(tmp_path / "a.dm4")] == ["a", "b"]
    np.testing.assert_array_equal(read(tmp_path / "a.dm4", signal="b")[0].data, counts + 1)


def test_a_file_that_was_cut_off(counts, tmp_path):
    write_dm(tmp_path / "a.dm3", counts)
    content = (tmp_path / "a.dm3").read_bytes()
    (tmp_path / "a.dm3").write_bytes(content[:1000])
    with pytest.raises(DataError, match=r"Gatan DM3 or DM4 \(it ends too soon\)"):
        read(tmp_path / "a.dm3")
