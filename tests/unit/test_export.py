"""Models for other programs and hands, as far as PyTorch alone can tell; the rest: tests/export."""

import numpy as np
import pytest
import torch
from made_up_models import SCALED, made_up
from temdenoise import cli as commands
from temdenoise.foundation.quantities import PixelSize
from temdenoise.learning.description import ModelDescription
from temdenoise.measuring.background import background
from temdenoise.measuring.lattice import first_ring
from temdenoise.measuring.spectrum import lattice_peaks, spectrum
from temdenoise.micrographs.frame import contrast_of
from temdenoise.sharing.example import example_image
from temdenoise.sharing.export import Portable, export_onnx, scaling
from temdenoise.sharing.zoo import export_zoo


def stirred(**about):
    """A model that does change what it is given."""
    return made_up(SCALED | about, levels=3, stirred=0.05)


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("shape", [(32, 48), (37, 64), (100, 33)])
def test_the_portable_graph_does_what_the_denoiser_does(shape, standardised, rng):
    denoiser = stirred(standardised=standardised)
    scale, offset = (700, 5000) if standardised else (1, 0)
    images = (scale * rng.random((2, *shape)) + offset).astype(np.float32)
    with torch.inference_mode():
        found = Portable(denoiser)(torch.from_numpy(images)[:, None])
    for number, image in enumerate(images):
        expected = denoiser.denoise(image)
        assert np.abs(expected[0] - image).max() > 0.01 * scale
        for mine, its in zip(expected, found, strict=True):
            np.testing.assert_allclose(its[number, 0], mine, atol=1e-5 * scale, rtol=1e-6)


def test_the_portable_graph_leaves_an_empty_image_alone():
    image = torch.full((1, 1, 32, 32), 5000.3)
    with torch.inference_mode():
        denoised, _ = Portable(stirred(standardised=True))(image)
    # the network sees an image of zeros, not rounding errors made large
    expected, _ = stirred(standardised=True).denoise(np.zeros((32, 32), np.float32))
    np.testing.assert_allclose(denoised[0, 0] - 5000.3, expected, atol=2e-3)


def test_the_scaling_is_that_of_the_training():
    said = scaling(ModelDescription.from_dict(SCALED))
    assert "mean 0.3 and standard deviation 0.2" in said
    assert "0.12 to 0.17 Å" in said
    said = scaling(ModelDescription.from_dict(SCALED | {"standardised": True}))
    assert "any unit" in said
    assert "mean 0.3" not in said


@pytest.mark.parametrize(("kind", "sign"), [("adf", 1), ("density", -1), ("hrtem", 1)])
def test_the_example_is_what_the_model_knows(kind, sign):
    trained = ModelDescription.from_dict(SCALED | {"image_kind": kind})
    noisy, clean = example_image(trained, shape=(256, 320))
    pixel = PixelSize.of(np.sqrt(0.12 * 0.17))
    assert clean.mean() == pytest.approx(0.3, abs=0.02)
    assert clean.std() == pytest.approx(0.2, rel=0.1)
    assert (noisy - clean).std() == pytest.approx(0.2, rel=0.02)
    ring = first_ring(lattice_peaks(spectrum(noisy, pixel)))
    assert ring.spacing == pytest.approx(2.7366, rel=0.01)
    # bright atoms have a tail to the bright side, dark pores to the dark side
    assert contrast_of(clean) == sign
    assert np.ptp(background(clean, pixel)) < 0.1
    again, _ = example_image(trained, shape=(256, 320))
    np.testing.assert_array_equal(again, noisy)
    assert not np.array_equal(example_image(trained, shape=(256, 320), seed=1)[0], noisy)


def test_what_cannot_be_exported(tmp_path):
    for export, right, options in (
        (export_onnx, "model.onnx", {}),
        (export_zoo, "model.zip", {"name": "adf", "documentation": "# adf"}),
    ):
        with pytest.raises(ValueError, match="ends in"):
            export(stirred(), tmp_path / "model.txt", **options)
        with pytest.raises(ValueError, match="paper-like"):
            export(stirred(patch=64), tmp_path / right, **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_is_missing(tmp_path, capsys, monkeypatch):
    path = tmp_path / "model.pt"
    stirred().save(path)
    assert commands.main(["export", str(path)]) == 2
    assert "--onnx or --zoo" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    assert commands.main(["export", str(path), "--onnx", str(tmp_path / "model.onnx")]) == 1
    assert "pip install '.[export]'" in capsys.readouterr().err
    assert commands.main(["export", "no_such", "--onnx", str(tmp_path / "model.onnx")]) == 1
    assert "there is no such model" in capsys.readouterr().err
