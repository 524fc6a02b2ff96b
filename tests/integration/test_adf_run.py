"""Two crystals through the microscope, to tables and report, and a network that names both."""

import subprocess

import pytest
import yaml
from conftest import DRIVE
from temdenoise.foundation.files import read_table
from temdenoise.learning.inference import load

pytestmark = pytest.mark.slow

OVERLAY = {
    "image": {"mode": "adf"},
    "structures": {
        "relaxation": "none",  # one period of a bulk crystal would relax as a film does
        "repeat": [5, 3],
        "families": {"vacancies": {"share": 1, "count": [1, 1]}, "displacements": {"share": 0}},
        "others": [
            {
                "crystal": "config/crystals/srtio3_001.cif",
                "repeat": [4, 4],
                "families": {"substitution": {"share": 1, "replace": {"Sr": ["La"]}}},
            }
        ],
        "count": {"train": 2, "val": 2, "test": 2},
    },
    "mosaics": {"sampling": 0.15, "count": {"train": 2, "val": 2, "test": 2}},
    "datasets": {"noises": ["dose", "scan_lines"], "white": 0.99},
    "training": {
        "universal": {
            "c_spacing": "logarithmic",
            "mixtures": 0.5,
            "standardised": True,
            "rotation": True,
            "sampling": [0.1, 0.2],
            "edges": 0.2,
        }
    },
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adf")
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    done = subprocess.run(
        [*DRIVE, str(folder / "overlay.yaml"), "--cores", "2"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return folder / "results"


def test_every_crystal_has_its_rows(results):
    rows = read_table(results / "evaluation/crystals.csv")
    assert {row["crystal"] for row in rows} == {"graphene", "srtio3_001"}
    assert {row["method"] for row in rows} >= {"raw", "gaussian_blur", "cnn", "universal"}
    # one image of each crystal; the pooled table has both
    assert {row["n_images"] for row in rows} == {1}
    pooled = read_table(results / "evaluation/fidelity.csv")
    assert {row["n_images"] for row in pooled} == {2}


def test_defects_are_told_apart_by_crystal_and_kind(results):
    rows = read_table(results / "evaluation/defects.csv")
    kinds = {(row["crystal"], row["kind"], row["element"]) for row in rows}
    assert ("graphene", "vacancy", "C") in kinds
    assert all(0 <= row["recall"] <= 1 and row["found"] <= row["n_defects"] for row in rows)


def test_the_universal_model_says_what_it_knows(results):
    found = load(results / "models/universal/model.pt").description
    assert found.mode.name == "adf"
    assert found.pixels == (0.1, 0.2)
    assert found.universal
    assert found.standardised
    assert found.spacings["graphene"] == pytest.approx(2.13, rel=0.03)
    assert set(found.spacings) == {"graphene", "srtio3_001"}


def test_the_report_is_written(results):
    assert (results / "report.html").stat().st_size > 1e5
    assert (results / "provenance.json").exists()
