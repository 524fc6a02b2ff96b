"""Judge the finished default run in results/ by its targets: `make acceptance`."""

import pytest
from conftest import ROOT
from temdenoise.files import read_json, read_table
from temdenoise.images.noise import NOISES

pytestmark = pytest.mark.acceptance

RESULTS = ROOT / "results"


def lost(noise, method, region="interpolation"):
    """(1 - MS-SSIM) by C."""
    return {
        row["c_noise"]: 1 - row["ms_ssim"]
        for row in read_table(RESULTS / "evaluation/quality.csv")
        if (row["noise"], row["method"], row["region"]) == (noise, method, region)
        and row["trained_on"] in ("", noise)
    }


def benchmarks(pattern):
    """Snakemake's benchmark of each job, with the time its file was written."""
    for path in sorted((RESULTS / "benchmarks").glob(pattern)):
        names, values = (line.split("\t") for line in path.read_text().splitlines())
        yield dict(zip(names, values, strict=True)) | {"end": path.stat().st_mtime}


def spans(pattern):
    """Start and end [s] of each job."""
    return [(job["end"] - float(job["s"]), job["end"]) for job in benchmarks(pattern)]


@pytest.mark.parametrize("noise", NOISES)
def test_specialist_beats_doing_nothing_and_the_tuned_blur(noise, capsys):
    cnn, blur, raw = (lost(noise, method) for method in ("cnn", "gaussian_blur", "raw"))
    with capsys.disabled():
        print(f"\n{noise}: 1 - MS-SSIM")
        print("  C      raw     blur    CNN     CNN/blur")
        for c in cnn:
            print(f"  {c:.2f}   {raw[c]:.4f}  {blur[c]:.4f}  {cnn[c]:.4f}  {cnn[c] / blur[c]:.2f}")
    for c, value in cnn.items():
        assert value < min(raw[c], blur[c], lost(noise, "constant")[c]), c


def test_half_of_what_the_blur_loses_at_a_fifth():
    assert lost("gaussian", "cnn")[0.2] <= 0.5 * lost("gaussian", "gaussian_blur")[0.2]


def test_joints_cannot_be_told_from_the_inside():
    for split in ("train", "val", "test"):
        assert read_json(RESULTS / f"mosaics/{split}/joints.json")["worst_joint_ratio"] <= 1.1


def test_dft_jobs_keep_the_cores_busy(capsys):
    """For a run of its own on two cores."""
    jobs = spans("run_dft/*.tsv")
    wall = max(end for _, end in jobs) - min(start for start, _ in jobs)
    total = sum(end - start for start, end in jobs)
    with capsys.disabled():
        print(
            f"\nDFT stage: {wall:.0f} s wall, {total:.0f} s in {len(jobs)} jobs, "
            f"ratio {2 * wall / total:.2f} on two cores"
        )
    assert wall <= 1.15 * total / 2


def test_two_jobs_fit_into_six_gigabytes(capsys):
    peaks = sorted(float(job["max_rss"]) for job in benchmarks("**/*.tsv") if job["max_rss"] != "-")
    with capsys.disabled():
        print(f"\nMemory: {peaks[-1]:.0f} MB in the largest job, {sum(peaks[-2:]):.0f} MB in two")
    assert sum(peaks[-2:]) + 500 < 6000


def test_trainings_run_side_by_side(capsys):
    jobs = spans("train/*.tsv")
    assert len(jobs) == 4
    wall = max(end for _, end in jobs) - min(start for start, _ in jobs)
    total = sum(end - start for start, end in jobs)
    with capsys.disabled():
        print(f"\nTraining: {wall:.0f} s wall, {total:.0f} s in {len(jobs)} jobs")
    assert wall < 0.75 * total
