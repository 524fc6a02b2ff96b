"""The whole workflow on the tiny configuration: real DFT, real training, real report."""

import platform
import re
import subprocess
import time
from hashlib import sha256

import gpaw
import numpy as np
import psutil
import pytest
import torch
from conftest import DRIVE, ROOT, drive
from temdenoise.foundation.files import read_json, read_table
from temdenoise.images.datasets import NoisyFrame, noisy_frames
from temdenoise.images.noise import PAPER_NOISES as NOISES
from temdenoise.images.noise import NoiseOptions
from temdenoise.images.storage import read_images
from temdenoise.judging.classical import BASELINES
from temdenoise.learning.inference import load
from temdenoise.report.workflow_graph import parse_job_counts

FIGURES = ("1", "2", "4", "5", "S1", "S2", "S3")
TABLES = ["evaluation/quality.csv", "evaluation/fidelity.csv", "evaluation/defects.csv"]
TABLES += [f"figures/figure_{n}.csv" for n in FIGURES]
SPLITS = ("train", "val", "test")


def test_each_job_says_what_came_out(run):
    _, text = run
    assert "[build_structure:train-0000] C8, family displacements: no defect" in text
    assert "[run_dft:train-0000] -" in text
    assert "[project_density:test-0000] 32.000 of 32.000 electrons in the map" in text
    assert "[train_gaussian:gaussian] mean absolute error" in text
    assert "on the validation split after 6 steps" in text
    assert re.search(
        r"\[evaluate:gaussian\] MS-SSIM of the specialist 0\.\d{4} at C = 0\.05, "
        r"0\.\d{4} at C = 0\.3; best there: \w+",
        text,
    )


def test_quality_table(run):
    results, _ = run
    rows = read_table(results / "evaluation/quality.csv")
    columns = "method,trained_on,noise,c_noise,region,ms_ssim,psnr_db,n_images"
    assert (results / "evaluation/quality.csv").read_text().splitlines()[0] == columns
    found = {(r["method"], r["trained_on"], r["noise"], r["c_noise"]) for r in rows}
    methods = [(name, "") for name, baseline in BASELINES.items() if baseline.available]
    methods += [("cnn", n) for n in NOISES] + [("universal", "all")]
    wanted = {(*m, n, c) for m in methods for n in NOISES for c in (0.05, 0.2, 0.3)}
    wanted |= {("paper_like", n, n, c) for n in NOISES for c in (0.05, 0.2, 0.3)}
    assert found == wanted
    assert len(rows) == len(wanted)
    assert all(0 <= r["ms_ssim"] <= 1 and np.isfinite(r["psnr_db"]) for r in rows)
    assert all((r["region"] == "extrapolation") == (r["c_noise"] > 0.25) for r in rows)
    assert all(r["n_images"] == 2 for r in rows)


def test_fidelity_table(run):
    results, _ = run
    rows = read_table(results / "evaluation/fidelity.csv")
    ours = [r for r in rows if r["method"] in ("cnn", "universal")]
    assert len(ours) == 2 * 4 * 3
    assert all(r["tiled_minus_whole_max"] <= 1e-5 for r in ours)
    assert all(r["seam_ratio"] == pytest.approx(1, abs=1e-3) for r in ours)
    assert all(0 <= r["coverage_68"] <= 1 for r in ours)
    # displacements alone: there are no defects to be found or missed
    assert {r["n_defects"] for r in rows} == {0}
    assert read_json(results / "evaluation/detector.json")["defect_threshold"] is None


def test_maps_hold_their_electrons(run):
    results, _ = run
    maps = sorted((results / "maps").glob("*.tif"))
    assert len(maps) == 6
    for path in maps:
        image = read_images(path)
        electrons = image.data.sum(dtype=np.float64) * np.prod(image.sampling)
        assert electrons == pytest.approx(32, rel=1e-3)
        assert image.unit == "e/angstrom^2"
        summary = read_json(results / "dft" / path.stem / "summary.json")
        assert summary["valence_electrons"] == 32
        assert {"energy_ev", "fermi_level_ev", "attempts"} <= set(summary)


def test_every_structure_is_listed(run):
    results, _ = run
    rows = read_table(results / "structures/structures.csv")
    assert [row["structure"] for row in rows] == [
        "train-0000",
        "train-0001",
        "train-0002",
        "train-0003",
        "val-0000",
        "test-0000",
    ]
    assert {row["family"] for row in rows} == {"displacements"}
    assert {row["n_atoms"] for row in rows} == {8}
    assert {row["seed"] for row in rows} == {2025}
    assert {row["defects"] for row in rows} == {"[]"}


@pytest.mark.parametrize("noise", NOISES)
def test_splits_share_no_structure(run, noise):
    results, _ = run
    manifests = [read_json(results / f"datasets/{noise}/{s}/manifest.json") for s in SPLITS]
    used = [set(manifest["structures"]) for manifest in manifests]
    assert all(used)
    assert not used[0] & used[1]
    assert not used[1] & used[2]
    assert not used[0] & used[2]
    structures = {
        path.read_text().split("\n", 2)[2] for path in (results / "structures").glob("*-*.extxyz")
    }
    assert len(structures) == 6
    # one scale, and it is that of the training maps
    assert len({str(manifest["scale"]) for manifest in manifests}) == 1
    maps = [read_images(results / f"maps/{s}.tif").data for s in used[0]]
    scale = manifests[2]["scale"]
    assert scale["offset"] == min(float(m.min()) for m in maps)
    assert scale["offset"] + scale["range"] == pytest.approx(max(float(m.max()) for m in maps))


@pytest.mark.parametrize("noise", NOISES)
def test_dataset_is_what_its_manifest_says(run, noise):
    results, _ = run
    folder = results / f"datasets/{noise}/test"
    manifest = read_json(folder / "manifest.json")
    clean, noisy = (read_images(folder / f"{name}.tif") for name in ("clean", "noisy"))
    assert clean.data.shape == (2, 176, 176)
    assert noisy.data.shape == (6, 176, 176)
    assert clean.sampling == noisy.sampling == (0.2, 0.2)
    # the manifest is enough to make the frames again
    about = {key: manifest[key] for key in ("noise", "split", "seed")}
    options = NoiseOptions(manifest["background_correlation"], clip=manifest["clip"])
    listed = [NoisyFrame(**frame) for frame in manifest["frames"]]
    again = noisy_frames(clean.data, listed, options=[options], **about)
    for frame, image in zip(listed, again, strict=True):
        assert (noisy.data[frame.index] == image).all()
        assert (image != clean.data[frame.image]).any()


def test_models_carry_what_applying_them_needs(run):
    results, _ = run
    for noise in NOISES:
        model = load(results / f"models/{noise}/model.pt")
        assert model.description.trained_on == noise
        assert (
            model.description.scale
            == read_json(results / f"datasets/{noise}/train/manifest.json")["scale"]
        )
        assert [r["step"] for r in read_table(results / f"models/{noise}/metrics.csv")] == [2, 4, 6]
        assert not list((results / f"models/{noise}").glob("work-*"))


def test_figures_and_report(run):
    results, _ = run
    for number in FIGURES:
        for kind, start in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("csv", b"")):
            content = (results / f"figures/figure_{number}.{kind}").read_bytes()
            assert content.startswith(start)
            assert len(content) > 60
    page = (results / "report.html").read_text()
    assert page.count('<figure id="figure-') == len(FIGURES)


def test_provenance_tells_versions_machine_seed_and_digests(run):
    results, _ = run
    found = read_json(results / "provenance.json")
    assert found["seed"] == 2025
    assert found["snakemake"].startswith("9.27")
    assert found["rules"]["run_dft"]["packages"]["gpaw"] == [gpaw.__version__]
    assert found["rules"]["train_gaussian"]["packages"]["torch"] == [torch.__version__]
    assert [m["host"] for m in found["rules"]["run_dft"]["machines"]] == [platform.node()]
    assert found["files"]["maps/*.tif"]["n"] == 6
    table = results / "evaluation/quality.csv"
    assert found["files"]["evaluation/quality.csv"] == sha256(table.read_bytes()).hexdigest()


def test_files_that_the_documents_name_are_there(run):
    """What a validation or a micrograph of one's own makes is left out: their tests look for it."""
    results, _ = run
    named = set()
    for document in ("README.md", "results/README.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        prefix = "results/" if document == "README.md" else ""
        for place in re.findall(rf"`{prefix}([\w./{{}}*-]+)`", text):
            # in results/README.md other things stand in code font, too
            if "/" in place or "." in place or prefix:
                named.add(re.sub(r"\{\w+\}", "*", place))
    named -= {"validation/", "validation.html", "micrographs/", "micrographs.images"}
    # within the folder of their row
    folders = ["", "structures/", "dft/*/", "mosaics/*/", "datasets/*/*/", "models/*/"]
    folders += ["density/", "scenes/", "evaluation/", "evaluation/*/"]
    assert len(named) > 20
    for place in named:
        if place.startswith(".") or place.endswith((".md", "seal")):
            continue
        assert any(any(results.glob(folder + place)) for folder in folders), place


def test_picture_of_the_architecture_is_of_this_workflow(run):
    results, _ = run
    graph = read_json(results / "figures/workflow.json")
    text = (ROOT / "docs/workflow.svg").read_text(encoding="utf-8")
    words = re.findall(r"<text[^>]*>([^<]+)</text>|<tspan[^>]*>([^<]+)</tspan>", text)
    drawn = "".join(a or b for a, b in words)
    for rule in graph["jobs"].keys() - {"all"}:
        assert rule in drawn, f"{rule}: draw docs/workflow.svg anew (tests/benchmarks)"


def test_report_of_snakemake_quotes_the_values_used(run):
    results, _ = run
    done = drive(results.parent, "--report", "snakemake-report.html")
    assert done.returncode == 0, done.stderr
    text = (results.parent / "snakemake-report.html").read_text()
    for category in ("Summary", "Results", "Figures", "Ground truth", "Trainings"):
        assert f'"{category}"' in text
    assert "C = 0.05, 0.2, 0.3" in text
    assert "{{" not in text.split("MS-SSIM (5 scales")[1][:400]


def test_figures_are_drawn_again_without_anything_else(run):
    results, _ = run
    options = ["--allowed-rules", "figures", "plot_figure", "--forcerun", "plot_figure"]
    makefile = (ROOT / "Makefile").read_text()
    assert " ".join(["figures", *options]) in makefile
    done = drive(results.parent, *options, "--dry-run", "--quiet", "rules", "--", "figures")
    assert done.returncode == 0, done.stderr
    planned = parse_job_counts(done.stdout + done.stderr)
    assert planned == {"plot_figure": len(FIGURES), "figures": 1}


def test_nothing_half_written_is_left(run):
    results, _ = run
    assert not [path for path in results.rglob("*") if ".part" in path.name]


def test_second_run_finds_nothing_to_do(run):
    results, _ = run
    start = time.perf_counter()
    done = drive(results.parent)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stderr
    assert time.perf_counter() - start < 15


def test_two_drivers_do_not_share_a_folder(run, tmp_path):
    results, _ = run
    first = subprocess.Popen(
        [*DRIVE, "--forcerun", "build_structure", "--until", "build_structure", "--quiet", "all"],
        cwd=results.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        for done in (drive(results.parent), drive(tmp_path, "--directory", str(results.parent))):
            assert done.returncode == 1
            assert f"Another run is at work in {results.parent}" in done.stderr
    finally:
        assert first.wait(timeout=120) == 0
    # nothing bars a run in another folder
    assert drive(tmp_path, "--directory", str(tmp_path / "other"), "-n").returncode == 0


def test_edited_table_is_noticed_downstream(run):
    """What is made from a file is made again when the file changes, and nothing else."""
    results, _ = run
    table = results / "evaluation/quality.csv"
    kept = table.read_bytes()
    try:
        table.write_bytes(kept + b"\n")
        done = drive(results.parent, "--dry-run")
    finally:
        table.write_bytes(kept)
    said = done.stdout + done.stderr
    assert "plot_figure" in said, said
    assert "run_dft" not in said
    assert "train_gaussian" not in said


def kill_tree(pid):
    """Kill a process and all its descendants at once, as a power cut would."""
    driver = psutil.Process(pid)
    for process in [driver, *driver.children(recursive=True)]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


@pytest.mark.slow
def test_killed_run_goes_on_and_ends_with_the_same_tables(run, tmp_path):
    results, _ = run
    moments = ["run_dft/train-0000.log", "train/gaussian.log", "evaluate/poisson.log"]
    for moment in moments:
        log = tmp_path / "results/logs" / moment
        with (tmp_path / "driver.txt").open("a") as output:
            driver = subprocess.Popen(DRIVE, cwd=tmp_path, stdout=output, stderr=output)
            while not log.exists() and driver.poll() is None:
                time.sleep(0.05)
            time.sleep(1.0)
            assert driver.poll() is None, (tmp_path / "driver.txt").read_text()
            kill_tree(driver.pid)
            driver.wait()
    done = drive(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on where it stopped" in done.stderr
    for table in TABLES:
        assert (tmp_path / "results" / table).read_bytes() == (results / table).read_bytes(), table
    for noise in NOISES:
        for file in (f"models/{noise}/model.pt", f"datasets/{noise}/train/noisy.tif"):
            assert (tmp_path / "results" / file).read_bytes() == (results / file).read_bytes(), file
    assert not [path for path in (tmp_path / "results").rglob("*") if ".part" in path.name]
