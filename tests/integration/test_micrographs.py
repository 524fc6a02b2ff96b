"""A micrograph of one's own through the workflow, without a run before it."""

import html
import json

import numpy as np
import pytest
import tifffile
from conftest import snakemake
from made_up_models import DENSITY, made_up
from temdenoise.foundation.files import read_table
from temdenoise.images.storage import read_images
from temdenoise.micrographs.readers import read
from temdenoise.report.workflow_graph import parse_job_counts


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
    assert finding["text"][1:] in page  # it may begin a sentence
    again = run(project, "--", "micrographs")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.slow
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


@pytest.fixture
def two_images(project, rng):
    """A file of two data sets, and one without an image."""
    with tifffile.TiffWriter(project / "two.tif") as file:
        file.write(rng.poisson(100, (96, 112)).astype(np.uint16))
        file.write(rng.poisson(100, (80, 96)).astype(np.uint16))
    np.save(project / "profile.npy", np.arange(300.0))
    return project


@pytest.mark.slow
def test_each_image_of_a_file_is_denoised(two_images):
    """A file without an image holds up no other, and is named."""
    folder, graph = two_images / "results/micrographs", "results/figures/workflow.json"
    done = run(two_images, "--", "micrographs", images="profile.npy, two.tif")
    assert done.returncode == 1
    cause = "profile.npy: holds 1-dimensional data of shape (300,): expected an image"
    assert f"[list_images:profile] failed: DataError: {cause}" in done.stderr
    assert cause in (two_images / "results/logs/list_images/profile.log").read_text()
    for number, shape in ((1, (96, 112)), (2, (80, 96))):
        assert read(folder / f"two_{number}_denoised.tif")[0].data.shape == shape
        assert json.loads((folder / f"two_{number}_summary.json").read_text())["file"] == "two.tif"
    assert not (folder / "two_denoised.tif").exists()

    done = run(two_images, "--", "micrographs", graph, images="two.tif")
    assert done.returncode == 0, done.stderr
    assert parse_job_counts(done.stdout + done.stderr) == {"draw_workflow": 1}
    counts = json.loads((two_images / graph).read_text())["jobs"]
    assert (counts["list_images"], counts["denoise_micrograph"]) == (1, 2)

    # as it is called by a job on a cluster, which plans nothing else
    (folder / "two_2_denoised.tif").unlink()
    job = ["--target-jobs", "denoise_micrograph:micrograph=two_2", "--allowed-rules"]
    done = run(two_images, "--dry-run", *job, "denoise_micrograph", images="two.tif")
    assert parse_job_counts(done.stdout + done.stderr) == {"denoise_micrograph": 1}

    wrong = "results/micrographs/two_denoised.tif"
    done = run(two_images, "--dry-run", "--", wrong, images="two.tif")
    assert done.returncode == 1
    assert "no micrograph 'two': two.tif holds two_1, two_2" in done.stdout + done.stderr


def test_a_plan_reads_no_micrograph(project):
    (project / "torn.dm4").write_bytes(b"no micrograph at all")
    done = run(project, "--dry-run", "--quiet", "rules", images="scan.v2.npy, torn.dm4")
    assert done.returncode == 0, done.stderr
    assert parse_job_counts(done.stdout + done.stderr)["list_images"] == 2


def test_default_target_makes_them_too(project):
    done = run(project, "--", "results/micrographs/scan.v2_images.json")
    assert done.returncode == 0, done.stderr
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
