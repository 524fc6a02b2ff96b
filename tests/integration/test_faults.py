"""Damaged files on the way: noticed, named, and mended by making again just what is needed."""

import os
import shutil

import pytest
from conftest import drive
from temdenoise.report.workflow_graph import parse_job_counts

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the whole finished run, to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(run[0].parent, folder)
    return folder


def flip(content):
    """One bit in the middle, as a bad disk would."""
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 4]) + content[half + 1 :]


def truncate(content):
    return content[: len(content) * 2 // 3]


DAMAGES = [
    # file, what happens to it, what is made from it, what must run again once it is deleted
    ("maps/test-0000.tif", flip, "mosaics/test/images.tif", {"project_density", "join_maps"}),
    ("dft/val-0000/density.tif", truncate, "maps/val-0000.tif", {"run_dft", "project_density"}),
    (
        "datasets/poisson/test/noisy.tif",
        truncate,
        "evaluation/poisson/quality.csv",
        {"make_dataset", "evaluate"},
    ),
    (
        "models/gaussian/model.pt",
        truncate,
        "evaluation/gaussian/quality.csv",
        {"train_gaussian", "evaluate"},
    ),
    ("models/universal/model.pt", flip, "provenance.json", {"train_universal"}),
    (
        "datasets/gaussian/train/manifest.json",
        lambda content: content.replace(b'"clip": false', b'"clip": true '),
        "evaluation/detector.json",
        {"make_dataset", "calibrate_detector"},
    ),
]


@pytest.mark.parametrize(("name", "damage", "target", "again"), DAMAGES, ids=lambda v: str(v)[:40])
def test_damage_is_noticed_named_and_mended(copy, run, name, damage, target, again):
    path, wanted = copy / "results" / name, copy / "results" / target
    times = path.stat()
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    # bad disks do not touch the times of files
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    wanted.unlink()
    done = drive(copy, "--", f"results/{target}")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert f"DataError: results/{name}: not what its job wrote" in said
    assert "delete it and run the workflow again" in said
    path.unlink()
    done = drive(copy, "--", f"results/{target}")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    ran = set(parse_job_counts(said))
    assert again <= ran
    # nothing dear is repeated beside what was damaged
    assert ran & {"run_dft", "train_universal", "train_poisson"} == again & {
        "run_dft",
        "train_universal",
        "train_poisson",
    }
    for kind in (name, target):
        if kind != "provenance.json":
            assert (copy / "results" / kind).read_bytes() == (run[0] / kind).read_bytes(), kind
