"""The command line: what it writes, says and answers."""

import html
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from conftest import ROOT
from made_up_frames import PIXEL, counts
from made_up_models import ADF, made_up
from temdenoise import cli as commands
from temdenoise.denoise_files import Terminal
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_table
from temdenoise.foundation.modes import image_mode
from temdenoise.measuring.background import recorded
from temdenoise.micrographs import memory, models
from temdenoise.micrographs.evidence import CERTAIN
from temdenoise.micrographs.index import FOLDER
from temdenoise.micrographs.readers import read
from temdenoise.micrographs.weighing import Support, combined

REAL = os.environ.get("TEMDENOISE_REAL_DATA")
SAMPLING = ("--sampling", PIXEL.rows)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that takes nothing away."""
    path = tmp_path_factory.mktemp("models") / "model.pt"
    made_up(ADF).save(path)
    return path


@pytest.fixture
def bad_model(tmp_path):
    """A network of random weights, which makes everything worse."""
    made_up(ADF, stirred=1.0).save(tmp_path / "bad.pt")
    return tmp_path / "bad.pt"


@pytest.fixture
def image(rng):
    """Bright atoms of a hexagonal lattice, as counts with white noise."""
    return counts(rng)


@pytest.fixture
def no_page(monkeypatch):
    """Leave out the drawing of the summary, which takes long."""
    from temdenoise.report import micrograph

    monkeypatch.setattr(micrograph, "summarise", lambda *_: (b"", ""))
    monkeypatch.setattr(micrograph, "for_eyes", lambda *_: b"")


def run(capsys, *arguments):
    code = commands.main([str(a) for a in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def files(folder):
    return sorted(p.name for p in folder.iterdir())


def as_kept(image, frame):
    """What a network that takes nothing away leaves of an image."""
    image = image.astype(np.float32)
    kept = recorded(image, PIXEL)
    support = Support(**frame["fit"]["support"])
    return kept + combined(image - kept, image - kept, support, sampling=PIXEL)


def test_one_image(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    out = tmp_path / "out"
    options = ["--model", model, *SAMPLING, "--figure", "-o", out]
    code, _, said = run(capsys, "denoise", tmp_path / "a.npy", *options)
    assert code == 0, said
    expected = [
        "a_denoised.npy",
        "a_denoised.png",
        "a_denoised.tif",
        "a_figure_3.csv",
        "a_figure_3.pdf",
    ]
    expected += ["a_figure_3.png", "a_marked.tif", "a_sigma.tif"]
    expected += ["a_summary.html", "a_summary.json", "a_summary.png"]
    assert files(out) == expected
    numbers = json.loads((out / "a_summary.json").read_text())
    (frame,) = numbers["frames"]
    denoised = read(out / "a_denoised.tif")[0]
    assert denoised.sampling == pytest.approx(PIXEL, rel=1e-5)
    assert denoised.data.dtype == np.float32
    # shape, scale and offset come back as they went in
    np.testing.assert_allclose(denoised.data, as_kept(image, frame), atol=0.05)
    np.testing.assert_array_equal(np.load(out / "a_denoised.npy"), denoised.data)
    assert (tifffile.imread(out / "a_sigma.tif") > 0).all()
    assert 0.3 < frame["fit"]["support"]["fraction"] < 1  # noise follows the noise
    assert frame["noise"]["sigma"] == pytest.approx(60, rel=0.1)
    assert frame["ring"]["spacing"] == pytest.approx(2.7366, rel=0.01)
    assert frame["features"]["kind"] == "atoms"
    rows = read_table(out / "a_figure_3.csv")
    atoms = [row for row in rows if row["what"] == "atoms"]
    assert len(atoms) == frame["features"]["found"]
    page = (out / "a_summary.html").read_text()
    assert "å" not in page
    assert "http://" not in page
    assert 'src="data:image/png;base64' in page


@pytest.mark.usefixtures("no_page")
def test_figure_3_marks_what_the_predicted_error_doubts(image, tmp_path, capsys):
    image[:60, :50] = 2000 + (image[:60, :50] - 2000.0) / 20  # next to nothing there
    np.save(tmp_path / "a.npy", image)
    options = ["--model", "adf", *SAMPLING, "--figure", "--quiet"]
    code, _, said = run(capsys, "denoise", tmp_path / "a.npy", *options)
    assert code == 0, said
    (frame,) = json.loads((tmp_path / "a_summary.json").read_text())["frames"]
    rows = read_table(tmp_path / "a_figure_3.csv")
    atoms = [row for row in rows if row["what"] == "atoms"]
    assert len(atoms) == frame["features"]["found"]
    certain = [row for row in atoms if row["confidence"] >= CERTAIN]
    assert len(certain) == frame["features"]["certain"]
    assert sum(row["mark"] == "certain" for row in certain) > 30
    (area,) = (row for row in rows if row["mark"] == "nothing certain")
    nm = PIXEL.rows / 10
    assert area["x_nm"] < 50 * nm
    assert area["y_nm"] < 60 * nm
    assert 0.1 < area["area_nm2"] / (50 * 60 * nm**2) < 1
    assert not any(row["x_nm"] < 35 * nm and row["y_nm"] < 45 * nm for row in atoms)


def test_a_plain_gaussian_is_preferred_to_a_bad_network(image, bad_model, tmp_path, capsys, rng):
    # with noise of rows nothing of the image itself can make up for the network
    np.save(tmp_path / "a.npy", image + 60 * rng.standard_normal((len(image), 1)))
    out = tmp_path / "out"
    options = ["--model", bad_model, *SAMPLING, "-o", out]
    code, _, said = run(capsys, "denoise", tmp_path / "a.npy", *options)
    assert code == 0, said
    assert "a_gaussian.tif" in files(out)
    (frame,) = json.loads((out / "a_summary.json").read_text())["frames"]
    assert frame["score"]["winner"] == "gaussian"
    verdict = frame["verdict"]
    assert (verdict["level"], verdict["use_gaussian"]) == ("no", True)
    weights = {finding["check"]: finding["weight"] for finding in verdict["findings"]}
    assert weights["worse_than_gaussian"] == "against"
    assert f"a.npy: {verdict['headline']}" in said
    for remedy in verdict["remedies"]:
        assert remedy in said
    page = (out / "a_summary.html").read_text()
    assert "Prefer the plain Gaussian" in page
    # the gravest reason is the headline, and stands there once
    for reason in verdict["reasons"]:
        # but for its first letter, which may begin a sentence
        assert html.unescape(page.partition("<figure>")[0]).count(reason[1:]) == 1


@pytest.mark.usefixtures("no_page")
def test_results_lie_beside_the_image_by_default(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    code, _, said = run(
        capsys, "denoise", tmp_path / "a.npy", "--model", model, "--crystal", "mos2", "--quiet"
    )
    assert code == 0
    assert "a_denoised.tif" in files(tmp_path)
    stored = json.loads((tmp_path / "a_summary.json").read_text())
    # taken from the lattice, since the file says none
    assert stored["sampling_angstrom"] == pytest.approx(PIXEL, rel=0.01)
    assert stored["stored_sampling_angstrom"] is None
    # errors and warnings alone
    verdict = stored["frames"][0]["verdict"]
    expected = [] if verdict["level"] == "good" else [verdict["headline"], *verdict["remedies"]]
    assert len(said.splitlines()) == len(expected)


def test_a_stack_with_a_broken_frame_keeps_the_others(image, model, tmp_path, capsys):
    stack = np.stack([image, np.zeros_like(image), image + 7])
    tifffile.imwrite(
        tmp_path / "s.tif",
        stack,
        imagej=True,
        resolution=(10 / PIXEL.rows,) * 2,
        metadata={"unit": "nm", "axes": "TYX"},
    )
    code, _, said = run(
        capsys, "denoise", tmp_path / "s.tif", "--model", model, "-o", tmp_path / "out"
    )
    assert code == 1
    stored = json.loads((tmp_path / "out/s_summary.json").read_text())
    broken = stored["broken_frames"]
    assert list(broken) == ["2"]
    assert f"frame 2 could not be denoised: {broken['2']}" in said
    assert "every pixel has the same value, 0" in broken["2"]
    denoised = tifffile.imread(tmp_path / "out/s_denoised.tif")
    assert denoised.shape == stack.shape
    frames = stored["frames"]
    assert [frame["frame"] for frame in frames] == [1, 3]
    for frame in frames:
        place = frame["frame"] - 1
        np.testing.assert_allclose(denoised[place], as_kept(stack[place], frame), atol=0.05)
    assert np.isnan(denoised[1]).all()
    page = (tmp_path / "out/s_summary.html").read_text()
    assert f"frame 2: {broken['2']}" in page
    for frame in frames:
        assert f"<tr><td>{frame['frame']}</td>" in page


@pytest.mark.usefixtures("no_page")
def test_a_broken_file_does_not_stop_the_others(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    (tmp_path / "b.dm4").write_bytes(b"")
    code, _, said = run(
        capsys,
        "denoise",
        tmp_path / "b.dm4",
        tmp_path / "missing.tif",
        tmp_path / "a.npy",
        "--model",
        model,
        *SAMPLING,
        "-o",
        tmp_path / "out",
    )
    assert code == 1
    assert "b.dm4: the file is empty" in said
    assert "missing.tif: there is no such file" in said
    assert "a_denoised.tif" in files(tmp_path / "out")


BAD = {
    "no pixel size": (lambda image: image, [], "give it with --sampling"),
    "constant": (lambda image: np.full_like(image, 5), ["--sampling", "0.15"], "same value, 5"),
    "huge": (lambda image: image * 1e17, ["--sampling", "0.15"], "divide the image by a constant"),
    "all NaN": (lambda image: image * np.nan, ["--sampling", "0.15"], "every pixel is missing"),
    "tiny": (lambda image: image[:10, :10], ["--sampling", "0.15"], "10 x 10 pixels"),
    "one-dimensional": (lambda image: image[0], ["--sampling", "0.15"], "1-dimensional"),
    "five-dimensional": (
        lambda image: np.broadcast_to(image, (2, 2, 2, *image.shape)),
        ["--sampling", "0.15"],
        "5-dimensional",
    ),
    "saturated": (
        lambda image: np.minimum(image, 2000),
        ["--sampling", "0.15"],
        "saturated (at 2000)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_nothing_written(case, image, model, tmp_path, capsys):
    change, options, message = BAD[case]
    np.save(tmp_path / "a.npy", change(image))
    out = tmp_path / "out"
    code, _, said = run(
        capsys, "denoise", tmp_path / "a.npy", "--model", model, "-o", out, *options
    )
    assert code == 1
    assert message in said
    assert "a.npy" in said
    assert "Traceback" not in said
    assert not out.exists() or files(out) == []


def test_too_large_for_memory(image, model, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "a.npy", image)
    monkeypatch.setattr(memory, "available", lambda: 1e5)
    code, _, said = run(capsys, "denoise", tmp_path / "a.npy", "--model", model, *SAMPLING)
    assert code == 1
    assert "bin it" in said
    assert files(tmp_path) == ["a.npy"]


@pytest.mark.usefixtures("no_page")
def test_an_input_is_never_overwritten(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    np.save(tmp_path / "a_denoised.npy", image)
    code, _, said = run(
        capsys,
        "denoise",
        tmp_path / "a.npy",
        tmp_path / "a_denoised.npy",
        "--model",
        model,
        *SAMPLING,
    )
    assert code == 1
    assert "would overwrite an input" in said
    np.testing.assert_array_equal(np.load(tmp_path / "a_denoised.npy"), image)
    assert "a_denoised.tif" not in files(tmp_path)


@pytest.mark.usefixtures("no_page")
def test_two_inputs_of_one_name_do_not_overwrite_each_other(image, model, tmp_path, capsys):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", image)
    code, _, said = run(
        capsys,
        "denoise",
        tmp_path / "one/a.npy",
        tmp_path / "two/a.npy",
        "--model",
        model,
        *SAMPLING,
        "-o",
        tmp_path / "out",
    )
    assert code == 1
    assert "two/a.npy: its result" in said
    assert "would overwrite that of" in said


def test_output_that_cannot_be_written(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    (tmp_path / "file").touch()
    code, _, said = run(
        capsys,
        "denoise",
        tmp_path / "a.npy",
        "--model",
        model,
        *SAMPLING,
        "-o",
        tmp_path / "file/out",
    )
    assert code == 1
    assert "cannot write to" in said
    assert "-o" in said


@pytest.mark.usefixtures("no_page")
def test_a_disagreeing_pixel_size_is_reported(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    code, _, said = run(
        capsys,
        "denoise",
        tmp_path / "a.npy",
        "--model",
        model,
        "--sampling",
        1.12 * PIXEL.rows,
        "--crystal",
        "MoS2",
        "-o",
        tmp_path / "out",
    )
    assert code == 0
    (frame,) = json.loads((tmp_path / "out/a_summary.json").read_text())["frames"]
    assert frame["calibration"]["agrees"] is False
    assert frame["calibration"]["suggested"] == pytest.approx(PIXEL, rel=0.01)
    found = [each for each in frame["verdict"]["findings"] if each["check"] == "wrong_pixel_size"]
    assert [each["weight"] for each in found] == ["against"]
    assert found[0]["text"] in said
    assert "give the right pixel size with --sampling" in said


def test_usage_errors_answer_two(model, tmp_path, capsys):
    assert run(capsys, "denoise", "a.npy", "--crystal", "unobtainium")[0] == 2
    for arguments in ([], ["denoise"], ["denoise", "a.npy", "--sampling", "-1"], ["dance"]):
        with pytest.raises(SystemExit) as stop:
            commands.main(arguments)
        assert stop.value.code == 2
        capsys.readouterr()


def test_missing_and_broken_model(image, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    arguments = ["denoise", tmp_path / "a.npy", *SAMPLING, "--model"]
    code, _, said = run(capsys, *arguments, tmp_path / "no.pt")
    assert code == 1
    assert "there is no such model" in said
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04")
    code, _, said = run(capsys, *arguments, tmp_path / "broken.pt")
    assert code == 1
    assert "not a model file" in said


def test_models_are_listed(model, tmp_path, capsys):
    code, out, _ = run(capsys, "models", "--folder", model.parent)
    assert code == 0
    assert out.startswith("model: adf, pixels of 0.120 to 0.170 Å, noise up to 8.0 times")
    assert "mos2" in out
    code, _, said = run(capsys, "models", "--folder", tmp_path)
    assert code == 1
    assert "make run" in said


def test_the_right_model_is_chosen(model, tmp_path):
    adf, density, hrtem = map(image_mode, ("adf", "density", "hrtem"))
    with pytest.raises(DataError, match="--model"):
        models.choose(adf, tmp_path)
    (tmp_path / "atoms.pt").write_bytes(model.read_bytes())
    assert models.choose(adf, tmp_path)[0] == "atoms"
    # better another than none; the verdict says so
    assert models.choose(density, tmp_path)[0] == "atoms"
    made_up(ADF | {"image_kind": "hrtem"}).save(tmp_path / "phase.pt")
    chosen = [models.choose(mode, tmp_path)[0] for mode in (adf, density, hrtem)]
    assert chosen == ["atoms", "atoms", "phase"]
    # one for all noises before one for a single noise
    made_up(ADF | {"trained_on": "dose"}).save(tmp_path / "a_dose.pt")
    assert models.choose(adf, tmp_path)[0] == "atoms"


def test_installed_models_load():
    found = dict(models.available())
    assert set(found) == {"adf", "density"}
    for name, model in found.items():
        description = model.description
        assert description.mode.name == description.name == name
        assert description.universal
        assert 0 < description.noise.low < description.noise.high
        assert description.spacings
    assert sum(p.stat().st_size for p in FOLDER.glob("*.pt")) <= 10e6


def test_the_command_starts_at_once():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "temdenoise.cli", "--help"],
        cwd=ROOT / "workflow/scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "denoise" in done.stdout
    # however deep in other modules it is imported
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"numpy", "torch", "matplotlib", "scipy", "jinja2", "rsciio"}


@pytest.mark.skipif(not REAL, reason="TEMDENOISE_REAL_DATA is not set: no real micrographs here")
@pytest.mark.parametrize(
    ("name", "shape", "sampling", "noise"),
    [
        ("cdte_haadf.dm3", (512, 512), 0.1639, "white"),
        ("srtio3_haadf.ser", (1024, 1024), 0.1001, "rows"),
        pytest.param(
            *("acquisition.emd", (1024, 1024), 0.1225, "correlated"), marks=pytest.mark.slow
        ),
        ("mos2_haadf.npy", (512, 512), None, "white"),
    ],
)
def test_real_micrographs(name, shape, sampling, noise, model, tmp_path, capsys):
    path = Path(REAL) / "micrographs" / name
    if not path.exists():
        path = Path(REAL) / name
    (found,) = read(path)
    assert found.data.shape == shape
    assert found.sampling == (None if sampling is None else pytest.approx([sampling] * 2, rel=1e-3))
    options = [] if sampling else ["--crystal", "mos2"]
    code, _, said = run(capsys, "denoise", path, "--model", model, "-o", tmp_path, *options)
    assert code == 0, said
    numbers = json.loads((tmp_path / f"{path.stem}_summary.json").read_text())["frames"][0]
    assert noise in numbers["noise"]["kinds"]
    assert numbers["kind"] == "adf"
    denoised = read(tmp_path / f"{path.stem}_denoised.tif")[0]
    assert denoised.sampling == pytest.approx(numbers["sampling_angstrom"], rel=1e-4)
    assert denoised.data.mean() == pytest.approx(found.data.mean(), rel=1e-3)


@pytest.mark.usefixtures("no_page")
def test_results_of_the_time_before_are_no_inputs(image, model, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", image)
    options = ["--model", model, "--sampling", "15pm"]
    assert run(capsys, "denoise", tmp_path / "a.tif", *options)[0] == 0
    before = files(tmp_path)
    code, _, said = run(capsys, "denoise", *sorted(tmp_path.glob("*.tif")), *options)
    assert code == 0, said
    assert files(tmp_path) == before
    assert "a_sigma.tif: left out" in said
    # by its own name it is an image like another
    code, _, said = run(capsys, "denoise", tmp_path / "a_denoised.tif", *options)
    assert code == 0, said
    assert "a_denoised_denoised.tif" in files(tmp_path)


@pytest.mark.usefixtures("no_page")
def test_a_huge_offset_does_not_cost_the_image(image, model, tmp_path, capsys):
    options = ["--model", model, "--sampling", PIXEL.rows, "-o", tmp_path / "out"]
    for name, offset in (("plain", 0), ("offset", 10**9)):
        np.save(tmp_path / f"{name}.npy", image.astype(np.int64) + offset)
        code, _, said = run(capsys, "denoise", tmp_path / f"{name}.npy", *options)
        assert code == 0, said
    assert "an offset of 1000" in said
    plain, offset = (np.load(tmp_path / f"out/{n}_denoised.npy") for n in ("plain", "offset"))
    assert np.corrcoef(plain.ravel(), offset.ravel())[0, 1] > 0.9999


@pytest.mark.usefixtures("no_page")
def test_whose_results_are_replaced_is_said(image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    tifffile.imwrite(tmp_path / "a.tif", image)
    options = ["--model", model, "--sampling", PIXEL.rows, "-o", tmp_path / "out"]
    assert "its results replace" not in run(capsys, "denoise", tmp_path / "a.npy", *options)[2]
    assert (
        "its results replace those of a.npy"
        in run(capsys, "denoise", tmp_path / "a.tif", *options)[2]
    )


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("ending", ["tif", "tiff", "mrc", "npy", "hspy"])
def test_the_result_is_written_to_the_file_that_is_named(ending, image, model, tmp_path, capsys):
    np.save(tmp_path / "a.npy", image)
    target = tmp_path / f"result.{ending}"
    options = ["--model", model, *SAMPLING]
    code, _, said = run(capsys, "denoise", tmp_path / "a.npy", *options, "-o", target)
    assert code == 0, said
    (found,) = read(target)
    assert found.data.shape == image.shape
    own = "tif" if ending == "tiff" else ending
    others = ("denoised.png", f"sigma.{own}", "summary.html", "summary.json", "summary.png")
    assert files(tmp_path) == sorted(["a.npy", target.name, *(f"result_{n}" for n in others)])
    # it is no input the next time
    code, _, said = run(capsys, "denoise", tmp_path, *options, "-o", tmp_path / "out")
    assert code == 0, said
    assert {name.partition("_")[0] for name in files(tmp_path / "out")} == {"a"}
    # nor is it overwritten by its own result
    code, _, said = run(capsys, "denoise", target, *options, "-o", target)
    assert code == 1
    assert "would overwrite an input" in said


def test_files_that_cannot_hold_the_results(image, model, tmp_path, capsys):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", image)
    for given, images, message in (
        (("-o", tmp_path / "a.dm4"), "a", "no result can be; expected a folder"),
        (("-o", tmp_path / "r.tif", "--format", "mrc"), "a", "not that of --format mrc"),
        (("-o", tmp_path / "r.tif"), "ab", "2 images do not fit into one file"),
        (("-o", tmp_path / "a.npy"), "ab", "2 images do not fit into one file"),
    ):
        paths = [tmp_path / f"{name}.npy" for name in images]
        code, _, said = run(capsys, "denoise", *paths, *SAMPLING, *given)
        assert code == 2
        assert message in said
    assert files(tmp_path) == ["a.npy", "b.npy"]


@pytest.mark.usefixtures("no_page")
def test_a_file_of_two_images_does_not_fit_into_one(image, model, tmp_path, capsys):
    np.savez(tmp_path / "two.npz", one=image, other=image)
    options = [tmp_path / "two.npz", "--model", model, *SAMPLING, "-o", tmp_path / "r.tif"]
    code, _, said = run(capsys, "denoise", *options)
    assert code == 1
    assert "choose one with --signal" in said
    assert files(tmp_path) == ["two.npz"]
    code, _, said = run(capsys, "denoise", *options, "--signal", "2")
    assert code == 0, said
    assert read(tmp_path / "r.tif")[0].data.shape == image.shape


@pytest.mark.parametrize(
    ("form", "bits", "dtype"),
    [("tiff", 16, "u2"), ("mrc", 8, "i1"), ("hspy", 8, "u1")],
)
def test_whole_numbers_with_their_scale(form, bits, dtype, image, model, tmp_path, capsys):
    blank = image.astype(np.float32)
    blank[:20] = 0  # what is no data does not cost resolution
    np.save(tmp_path / "a.npy", blank)
    options = [tmp_path / "a.npy", "--model", model, *SAMPLING]
    code, _, said = run(capsys, "denoise", *options, "-o", tmp_path / "plain")
    assert code == 0, said
    plain = tifffile.imread(tmp_path / "plain/a_denoised.tif")
    out = tmp_path / "out"
    code, _, said = run(capsys, "denoise", *options, "--format", form, "--bits", bits, "-o", out)
    assert code == 0, said
    summary = json.loads((out / "a_summary.json").read_text())
    (found,) = read(out / summary["files"]["denoised"])
    assert found.data.dtype == dtype
    assert found.sampling == pytest.approx(PIXEL, rel=1e-5)
    scale = summary["scales"]["denoised"]
    values = scale["offset"] + scale["step"] * np.asarray(found.data, float)
    np.testing.assert_allclose(values[20:], plain[20:], atol=0.51 * scale["step"])
    assert scale["step"] * (2**bits - 1) == pytest.approx(np.ptp(plain[20:]), rel=1e-6)
    assert "value = " in (out / "a_summary.html").read_text()
    if form == "mrc":  # the file says the same
        with mrcfile.open(out / "a_denoised.mrc") as file:
            label = file.get_labels()[-1]
        assert label == f"value = {scale['offset']:.9g} + {scale['step']:.9g} * stored"


@pytest.mark.usefixtures("no_page")
def test_a_folder_stands_for_its_images(image, model, tmp_path, capsys):
    folder = tmp_path / "today"
    folder.mkdir()
    options = [folder, "--model", model, *SAMPLING]
    (folder / "notes.txt").touch()
    code, _, said = run(capsys, "denoise", *options)
    assert code == 1
    assert "a folder without images; expected files ending in" in said
    np.save(folder / "b.npy", image)
    tifffile.imwrite(folder / "a.tif", image)
    code, _, said = run(capsys, "denoise", *options)
    assert code == 0, said
    written = files(folder)
    assert {name for name in written if name.endswith("_denoised.tif")} == {
        "a_denoised.tif",
        "b_denoised.tif",
    }
    # again: what was written is not taken for more of them
    code, _, said = run(capsys, "denoise", *options)
    assert code == 0, said
    assert files(folder) == written
    code, out, _ = run(capsys, "inspect", folder)
    assert code == 0
    assert out.count("a.tif") == out.count("b.npy") == 1


def test_progress_of_a_stack_is_drawn_on_a_terminal_and_else_said_by_tenths():
    said, bar = [], io.StringIO()
    for done in range(1, 13):
        Terminal(said.append, said.append).progress(done, 12)
        Terminal(said.append, said.append, bar).progress(done, 12)
    assert len(said) == 10
    assert said[-1] == "  frame 12 of 12"
    assert bar.getvalue().count("\r") == 12
    assert bar.getvalue().endswith("frame 12 of 12\n")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("12", "12pm"), ("0,012", "0.012"), ("12 dogs", "no unit of length"), ("-1", "above 0")],
)
def test_a_length_that_is_none_names_what_is_expected(given, meant, capsys):
    with pytest.raises(SystemExit) as stop:
        commands.main(["denoise", "a.npy", f"--sampling={given}"])
    assert stop.value.code == 2
    assert meant in capsys.readouterr().err


def without_pytorch(arguments, folder):
    code = (
        "import sys; sys.modules['torch'] = None; from temdenoise.cli import main; "
        f"sys.exit(main({arguments!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_overview_image_is_refused_before_pytorch_is_imported(image, tmp_path):
    np.save(tmp_path / "a.npy", image)
    done = without_pytorch(["denoise", "a.npy", "--sampling", "5nm"], tmp_path)
    assert done.returncode == 1
    assert "an overview image" in done.stderr


@pytest.mark.parametrize("code", ["ascii", "gbk"])
def test_consoles_without_the_letters(code):
    done = subprocess.run(
        [sys.executable, "-m", "temdenoise.cli", "denoise", "--help"],
        cwd=ROOT / "workflow/scripts",
        env=os.environ | {"PYTHONIOENCODING": code},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"--sampling LENGTH" in done.stdout


def test_inspect_says_what_is_there_and_what_would_be_done(image, tmp_path, capsys):
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        imagej=True,
        resolution=(10 / PIXEL.rows,) * 2,
        metadata={"unit": "nm"},
    )
    np.save(tmp_path / "b.npy", image)
    before = files(tmp_path)
    code, out, said = run(
        capsys, "inspect", "--json", tmp_path / "a.tif", tmp_path / "b.npy", tmp_path / "no.tif"
    )
    assert code == 1
    assert "no.tif: there is no such file" in said
    (calibrated,), (plain,) = (json.loads(line)["signals"] for line in out.splitlines())
    assert calibrated["kind"] == "image"
    assert calibrated["sampling_angstrom"] == pytest.approx(PIXEL, rel=1e-3)
    frame = calibrated["frame"]
    assert frame["noise"] == ["white"]
    assert frame["ring_angstrom"] == pytest.approx(2.7366, rel=0.02)
    assert (frame["mode"], frame["model"], frame["against"]) == ("adf", "adf", [])
    assert plain["sampling_angstrom"] is None
    assert "--sampling" in plain["frame"]["against"][0]
    assert files(tmp_path) == before
    code, out, _ = run(capsys, "inspect", tmp_path / "a.tif")
    assert code == 0
    assert "first ring at 2.7" in out


def test_inspect_needs_no_pytorch(image, tmp_path):
    np.save(tmp_path / "a.npy", image)
    done = without_pytorch(["inspect", "a.npy"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("no_page")
def test_frames_on_the_last_axis(image, model, tmp_path, capsys):
    np.save(tmp_path / "s.npy", np.stack([image, image + 7], axis=-1))
    options = ["--model", model, "--sampling", PIXEL.rows, "-o", tmp_path / "out"]
    code, _, said = run(capsys, "denoise", tmp_path / "s.npy", "--frames-axis", "-1", *options)
    assert code == 0, said
    assert tifffile.imread(tmp_path / "out/s_denoised.tif").shape == (2, *image.shape)


@pytest.mark.usefixtures("no_page")
def test_an_image_that_cannot_be_denoised_costs_no_other_of_its_file(
    image, model, tmp_path, capsys
):
    np.savez(tmp_path / "two.npz", one=image, flat=0 * image)
    options = ["--model", model, *SAMPLING, "-o", tmp_path / "out"]
    code, _, said = run(capsys, "denoise", tmp_path / "two.npz", *options)
    assert code == 1
    assert "two.npz: image 2: every pixel has the same value, 0" in said
    written = files(tmp_path / "out")
    assert "two_1_denoised.tif" in written
    assert not [name for name in written if name.startswith("two_2")]
    # alone it is as with any other file
    code, _, said = run(capsys, "denoise", tmp_path / "two.npz", "--signal", "2", *options)
    assert code == 1
    assert "image 2: every pixel has the same value, 0" in said


@pytest.mark.usefixtures("no_page")
def test_a_folder_without_images_costs_no_other_input(image, model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "a.npy", image)
    options = ["--model", model, *SAMPLING, "-o", tmp_path / "out"]
    code, _, said = run(capsys, "denoise", tmp_path / "empty", tmp_path / "a.npy", *options)
    assert code == 1
    assert "empty: a folder without images" in said
    assert "a_denoised.tif" in files(tmp_path / "out")
    code, out, _ = run(capsys, "inspect", tmp_path / "empty", tmp_path / "a.npy")
    assert code == 1
    assert "a.npy" in out
