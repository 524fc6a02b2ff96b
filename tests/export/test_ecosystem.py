"""Models and images in other programs, with these programs: run by `make test-export`."""

import doctest
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import temdenoise
from conftest import ROOT
from made_up_models import SCALED, made_up
from temdenoise import cli as commands
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.inference import Model, load
from temdenoise.micrographs.index import FOLDER
from temdenoise.sharing.example import example_image
from temdenoise.sharing.signals import denoise_signal

# what other programs warn of on their way
pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

PRETRAINED = sorted(FOLDER.glob("*.pt"))
TRAINED = ModelDescription.from_dict(SCALED)


def made(folder, *, standardised, levels=3):
    """A model with random weights that does change what it is given, as its file."""
    about = SCALED | {"standardised": standardised}
    path = folder / f"{'standardised' if standardised else 'plain'}-{levels}.pt"
    made_up(about, width=8, levels=levels, stirred=0.03).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(
    scope="module",
    params=["plain", "standardised", *PRETRAINED],
    ids=lambda p: str(p).split("/")[-1],
)
def model(request, folder):
    """A model of either kind, and those that come with the package."""
    if isinstance(request.param, Path):
        return request.param
    levels = 4 if request.param == "standardised" else 3
    return made(folder, standardised=request.param == "standardised", levels=levels)


def run(*arguments):
    assert commands.main([str(a) for a in arguments]) == 0


def test_onnx_is_pytorch_at_every_size(model, folder, rng):
    import onnxruntime

    path = folder / f"{model.stem}.onnx"
    run("export", model, "--onnx", path)
    session = onnxruntime.InferenceSession(path)
    denoiser = load(model)
    for count, shape in ((1, (32, 48)), (3, (64, 64)), (1, (200, 91)), (2, (33, 157))):
        pairs = [example_image(denoiser.description, shape=shape, seed=i) for i in range(count)]
        noisy = np.stack([pair[0] for pair in pairs])
        denoised, sigma = session.run(["denoised", "sigma"], {"noisy": noisy[:, None]})
        assert denoised.shape == sigma.shape == (count, 1, *shape)
        for number in range(count):
            mine, its_sigma = denoiser.denoise(noisy[number])
            assert np.abs(mine - noisy[number]).max() > 0.01
            np.testing.assert_allclose(denoised[number, 0], mine, rtol=0, atol=1e-4)
            np.testing.assert_allclose(sigma[number, 0], its_sigma, rtol=0, atol=1e-4)
    said = session.get_modelmeta().custom_metadata_map
    assert ModelDescription.from_dict(json.loads(said["temdenoise"])) == denoiser.description
    low, high = denoiser.description.pixels
    assert said["scaling"].startswith(f"Pixels of {low:.3g} to {high:.3g} Å")


def test_onnx_minds_no_unit_where_the_model_does_not(folder, rng):
    import onnxruntime

    model = made(folder, standardised=True)
    run("export", model, "--onnx", folder / "unit.onnx")
    session = onnxruntime.InferenceSession(folder / "unit.onnx")
    image, _ = example_image(TRAINED, shape=(96, 64))
    for scale, offset in ((1e-10, 3e-9), (4000, 3e4)):
        noisy = (scale * image + offset).astype(np.float32)
        denoised, sigma = session.run(None, {"noisy": noisy[None, None]})
        mine, its_sigma = load(model).denoise(noisy)
        # of an offset of so many scales 32 bits keep no more
        np.testing.assert_allclose(denoised[0, 0], mine, rtol=0, atol=1e-4 * scale + 1e-6 * offset)
        np.testing.assert_allclose(sigma[0, 0], its_sigma, rtol=0, atol=1e-4 * scale)


def test_the_zoo_accepts_the_package(model, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    from bioimageio.core import load_model_description, test_model
    from bioimageio.spec import InvalidDescr

    path = folder / f"{model.stem}.zip"
    run("export", model, "--zoo", path)
    described = load_model_description(path)
    assert not isinstance(described, InvalidDescr)
    summary = test_model(path)
    assert summary.status == "passed", summary.format()
    # it is the description of our model, and of the format as it is
    assert [str(t.id) for t in described.outputs] == ["denoised", "sigma"]
    assert described.license == "MIT"
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert names == {
            *("rdf.yaml", "model.onnx", "README.md", "cover.png"),
            *("noisy.npy", "denoised.npy", "sigma.npy"),
        }
        text = archive.read("README.md").decode()
    assert "## Not to be used for" in text
    assert "## Before and after the network" in text
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        noisy, denoised, sigma = (
            np.load(io.BytesIO(archive.read(f"{name}.npy")))[0, 0]
            for name in ("noisy", "denoised", "sigma")
        )
    # the example is one the model knows, with its own answers
    expected = load(model).denoise(noisy)
    np.testing.assert_array_equal(denoised, expected[0])
    np.testing.assert_array_equal(sigma, expected[1])


def test_the_zoo_refuses_answers_that_are_not_the_models(folder, monkeypatch, tmp_path):
    """That the check above can fail."""
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    from bioimageio.core import test_model
    from temdenoise.sharing import zoo

    model = made(folder, standardised=False)
    real = Model.denoise
    monkeypatch.setattr(
        Model, "denoise", lambda self, noisy: tuple(1.05 * a for a in real(self, noisy))
    )
    zoo.export_zoo(load(model), folder / "wrong.zip", name="wrong", documentation="# wrong")
    summary = test_model(folder / "wrong.zip")
    assert summary.status == "valid-format"
    # it is the answers that are wrong, not the form
    assert "elements disagree with expected values" in summary.format()


@pytest.fixture
def signal(rng):
    """A series of two frames, calibrated, with metadata."""
    import hyperspy.api as hs

    frames = [example_image(TRAINED, shape=(96, 128), seed=i)[0] for i in (0, 1)]
    made = hs.signals.Signal2D((4000 + 800 * np.stack(frames)).astype(np.uint16))
    for axis, name in zip(made.axes_manager.signal_axes, "xy", strict=True):
        axis.name, axis.scale, axis.units, axis.offset = name, 0.015, "nm", 7.0
    made.axes_manager[0].name, made.axes_manager[0].scale = "time", 0.5
    made.axes_manager[0].units = "s"
    made.metadata.General.title = "scan"
    made.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 60.0)
    return made


def test_a_signal_keeps_axes_calibration_and_metadata(signal, folder, tmp_path):
    import hyperspy.api as hs

    model = made(folder, standardised=True)
    denoised, sigma = denoise_signal(signal, model, sigma=True)
    for found in (denoised, sigma):
        assert type(found) is type(signal)
        assert found.data.dtype == np.float32
        for mine, its in zip(signal.axes_manager._axes, found.axes_manager._axes, strict=True):
            for key in ("name", "scale", "offset", "units", "size", "navigate"):
                assert getattr(its, key) == getattr(mine, key)
        assert found.metadata.Acquisition_instrument.TEM.beam_energy == 60.0
    assert denoised.metadata.General.title == "scan (denoised)"
    assert signal.metadata.General.title == "scan"
    # the unit of the input
    assert denoised.data.mean() == pytest.approx(signal.data.mean(), rel=0.01)
    assert (sigma.data > 0).all()
    for frame, found in zip(signal.data, denoised.data, strict=True):
        expected = temdenoise.denoise(frame, sampling=0.15, model=model)
        np.testing.assert_allclose(found, expected.image, rtol=1e-6)
    denoised.save(tmp_path / "denoised.hspy")
    again = hs.load(tmp_path / "denoised.hspy")
    np.testing.assert_array_equal(again.data, denoised.data)
    assert list(again.metadata.Denoising.verdict) == list(denoised.metadata.Denoising.verdict)


def test_a_lazy_signal_stays_lazy_and_gives_the_same(signal, folder):
    model = made(folder, standardised=True)
    expected, of_sigma = denoise_signal(signal, model, sigma=True)
    denoised, sigma = denoise_signal(signal.as_lazy(), model, sigma=True)
    assert denoised._lazy
    assert sigma._lazy
    np.testing.assert_array_equal(denoised.data.compute(), expected.data)
    np.testing.assert_array_equal(sigma.data.compute(), of_sigma.data)
    assert denoised.axes_manager[-1].scale == 0.015
    # a frame that cannot be denoised is left empty
    broken = signal.deepcopy()
    broken.data[1] = 5
    frames = denoise_signal(broken.as_lazy(), model).data.compute()
    assert np.isnan(frames[1]).all()
    assert np.isfinite(frames[0]).all()


def test_the_page_about_other_programs_does_what_it_shows(signal, tmp_path, monkeypatch):
    """Its examples are run as they stand, in a folder with a model and a scan."""
    monkeypatch.chdir(tmp_path)
    about = SCALED | {"standardised": True}
    made_up(about, width=8, levels=3, stirred=0.1).save(tmp_path / "model.pt")
    image = signal.inav[0]
    image.save(tmp_path / "scan.hspy")
    run("export", "model.pt", "--onnx", "model.onnx", "--zoo", "model.zip")
    failed, tried = doctest.testfile(
        str(ROOT / "docs/ecosystem.md"),
        module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert tried > 8
    assert failed == 0


def test_an_installed_package_brings_its_models_along(folder, tmp_path):
    """A wheel of this checkout with one model more, installed where nothing else of it is."""
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "pyproject.toml", "README.md", "LICENSE", "workflow/scripts"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for file in tracked.stdout.split():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, source / file)
    own = source / "workflow/scripts/temdenoise/models"
    for extra in ("trial.pt", "trial.md"):
        shutil.copyfile(made(folder, standardised=False), own / extra)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    target = tmp_path / "target"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, source], check=True)
    installed = {p.name for p in (target / "temdenoise/models").iterdir()}
    assert installed - {"__pycache__"} == {p.name for p in own.iterdir()}
    (target / "temdenoise/models/models.json").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "temdenoise.cli", "models"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "trial: adf, pixels of 0.120 to 0.170 Å" in done.stdout
