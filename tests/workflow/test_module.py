"""The workflow as a part of another one, and where the Workflow Catalog looks for it."""

import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, snakemake
from temdenoise.report.workflow_graph import parse_job_counts

OUTER = """
configfile: "outer.yaml"

module images:
    snakefile: "{snakefile}"
    config: config["images"]
    prefix: "images"

use rule * from images as images_*

rule mine:
    default_target: True
    input: "images/results/report.html"
    output: "mine.txt"
    shell: "touch {{output}}"
"""


@pytest.fixture
def outer(tmp_path):
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=ROOT / "Snakefile"))
    tiny = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump({"images": tiny}))
    return tmp_path


def run(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "1", "--quiet", "rules"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_another_workflow_plans_the_same_jobs(outer):
    done = snakemake(outer, *("--configfile", "config/tiny.yaml", "--dry-run", "--quiet", "rules"))
    alone = parse_job_counts(done.stdout + done.stderr)
    found = parse_job_counts(run(outer, "--dry-run"))
    assert found.pop("mine") == 1
    assert alone.pop("all") == 1
    assert found == {f"images_{rule}": count for rule, count in alone.items()}


def test_jobs_of_a_module_stay_in_its_folder(outer):
    run(outer, "images/results/structures/train-0000.extxyz")
    assert (outer / "images/results/structures/train-0000.extxyz").exists()
    assert (outer / "images/results/logs/build_crystal.log").exists()
    assert not (outer / "results").exists()


def test_the_stub_for_the_catalog_has_the_same_default(tmp_path):
    both = []
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        done = snakemake(tmp_path, "--snakefile", snakefile, "--dry-run", "--quiet", "rules")
        assert done.returncode == 0, done.stderr
        both.append(parse_job_counts(done.stdout + done.stderr))
    assert both[0].pop("all") == both[1].pop("default") == 1
    assert both[0] == both[1]


def test_the_catalog_finds_what_it_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= set(usage)
    for name in ("config/README.md", "workflow/Snakefile", "LICENSE", "CITATION.cff"):
        assert (ROOT / name).is_file()
