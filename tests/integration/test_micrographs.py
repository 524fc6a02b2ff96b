"""A micrograph of one's own through the workflow, without a run before it."""

import html
import json

import numpy as np
import pytest
from conftest import snakemake
from made_up_models import DENSITY, made_up
from temdenoise.foundation.files import read_table
from temdenoise.images.storage import read_images
from temdenoise.micrographs.readers import read


@pytest.fixture
def project(tmp_path, rng):
    """A folder with a model and a micrograph; what it needs on the command line."""
    made_up(DENSITY).save(tmp_path / "model.pt")
    np.save(tmp_path / "scan.v2.npy", rng.poisson(100, (96, 80)))
    return tmp_path


def run(project, *arguments, images="scan.v2.npy", model="model.pt"):
    # an overlay, since numbers on Snakemake's command line become text
    overlay = project / "overlay.yaml"
    overlay.write_text(f"micrographs: {{images: [{images}], model: {model}, sampling: 0.2}}\n")
    return snakemake(project, "--cores", "1", "--configfile", str(overlay), *arguments)


def test_target_micrographs(project):
    done = run(project, "--", "micrographs")
    assert done.returncode == 0, done.stderr
    folder = project / "results/micrographs"
    denoised = read(folder / "scan.v2_denoised.tif")[0]
    assert denoised.data.shape == (96, 80)
    assert denoised.sampling == pytest.approx((0.2, 0.2), rel=1e-5)
    (frame,) = json.loads((folder / "scan.v2_summary.json").read_text())["frames"]
    assert frame["ring"] is None
    (finding,) = (f for f in frame["verdict"]["findings"] if f["check"] == "no_lattice")
    assert finding["weight"] == "doubt"
    page = html.unescape((folder / "scan.v2_summary.html").read_text())
    assert finding["text"] in page
    again = run(project, "--", "micrographs")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_figure_3_is_drawn_of_what_is_stored(project):
    """Once with the micrograph; then again without the micrograph, its model or the network."""
    figure = "results/figures/figure_3_scan.v2.pdf"
    done = run(project, "--", figure)
    assert done.returncode == 0, done.stderr
    first = (project / figure).read_bytes()
    assert first.startswith(b"%PDF")
    marked = read_images(project / "results/micrographs/scan.v2_marked.tif")
    assert marked.data.shape == (4, 80, 96)
    rows = read_table((project / figure).with_suffix(".csv"))
    assert [row["mark"] for row in rows] == [p["mark"] for p in marked.metadata["places"]]
    options = ["--allowed-rules", "plot_figure", "--forcerun", "plot_figure"]
    done = run(project, *options, "--", figure)
    assert done.returncode == 0, done.stderr
    assert "denoise_micrograph" not in done.stderr
    assert (project / figure).read_bytes() == first


def test_default_target_makes_them_too(project):
    done = run(project, "--dry-run", model="universal")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "denoise_micrograph" in said
    assert "train_universal" in said
    # without micrographs there is no figure 3: the tiny run draws seven figures
    assert "Plotting figure 3_scan.v2" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "no.dm4"}, "there is no such file"),
        ({"model": "paper"}, "expected the path of a model file, or one of pretrained"),
        ({"images": "scan.v2.npy, sub/scan.v2.npy"}, "expected different names"),
    ],
)
def test_what_cannot_be_used_stops_before_any_job(project, options, message):
    (project / "sub").mkdir()
    (project / "sub/scan.v2.npy").write_bytes((project / "scan.v2.npy").read_bytes())
    done = run(project, "--dry-run", **options)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
