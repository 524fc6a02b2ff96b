"""The graph of jobs, without running any."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT, snakemake
from temdenoise.foundation.configuration import checked, crystals_of, families_of, learned
from temdenoise.groundtruth.relaxation import RELAXED
from temdenoise.images.noise import PAPER_NOISES as NOISES
from temdenoise.report.workflow_graph import parse_job_counts

SCIENCE = ("numpy", "scipy", "ase", "gpaw", "torch", "tifffile", "matplotlib")


def jobs(folder, *arguments):
    done = snakemake(folder, "--dry-run", "--quiet", "rules", *arguments)
    assert done.returncode == 0, done.stderr
    return parse_job_counts(done.stdout + done.stderr)


def relaxations(config):
    """Count pairs of a crystal and a family that occur and whose defects are relaxed."""
    options = checked(config)["structures"]
    crystals = crystals_of(options)
    if options["relaxation"] == "none":
        return 0
    found = set()
    for count in options["count"].values():
        families = [families_of(crystal["families"], count) for crystal in crystals]
        for i in range(count):
            found.add((i % len(crystals), families[i % len(crystals)][i // len(crystals)]))
    return sum(family in RELAXED for _, family in found)


def expected(config, noises=tuple(NOISES)):
    config = checked(config)
    structures = sum(config["structures"]["count"].values())
    learning = ("train_density", "judge_density", "compose_scenes", "draw_scenes")
    relaxed = relaxations(config)
    return {
        "build_crystal": 1,
        **({"relax_defect": relaxed} if relaxed else {}),
        "build_structure": structures,
        "list_structures": 1,
        "run_dft": structures,
        "project_density": structures,
        "join_maps": 3,
        "make_dataset": 3 * len(noises),
        "evaluate": len(noises),
        "calibrate_detector": 1,
        "collect_tables": 3,
        "draw_workflow": 1,
        "record_provenance": 1,
        "plot_figure": 7,
        "report_ms_ssim": 1,
        "all": 1,
        **(dict.fromkeys(learning, 1) if learned(config) else {}),
        **{f"train_{noise}": 1 for noise in noises},
        "train_universal": 1,
        "train_paper_like": len(noises),
    }


@pytest.mark.parametrize("name", ["config", "tiny", "mos2", "reference", "paper"])
def test_graph_of_each_configuration(tmp_path, name):
    config = checked(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    found = jobs(tmp_path, "--configfile", f"config/{name}.yaml")
    assert found == expected(config)


@pytest.mark.parametrize("name", ["adf", "hrtem"])
def test_graph_of_several_crystals(tmp_path, name):
    config = checked(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    found = jobs(tmp_path, "--configfile", f"config/{name}.yaml")
    assert found["build_other_crystal"] == len(config["structures"]["others"])
    assert found["form_image"] == sum(config["structures"]["count"].values())
    assert found["collect_tables"] == 4
    assert "run_dft" not in found
    # periods of bulk crystals are not relaxed
    assert found.get("relax_defect", 0) == relaxations(config)
    assert ("relax_defect" in found) == (name == "hrtem")


def test_defects_are_relaxed_once_for_each_family_and_crystal(tmp_path):
    config = checked(yaml.safe_load((ROOT / "config/test_set.yaml").read_text()))
    found = jobs(tmp_path, "--configfile", "config/test_set.yaml")
    assert found["relax_defect"] == relaxations(config) > 10
    assert found["build_structure"] > 80
    ideal = jobs(tmp_path, "--config", "structures={relaxation: none}")
    assert "relax_defect" not in ideal


@pytest.mark.parametrize("mode", ["adf", "hrtem"])
def test_images_of_independent_atoms_need_no_dft(tmp_path, mode):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    wanted = expected(config | {"image": {"mode": mode}})
    del wanted["run_dft"]
    wanted["form_image"] = wanted.pop("project_density")
    assert jobs(tmp_path, "--config", f"image={{mode: {mode}}}") == wanted


def test_images_with_bonding_need_the_density_and_that_of_free_atoms(tmp_path):
    found = jobs(tmp_path, "--config", "image={mode: hrtem, potential: dft}")
    assert found["run_dft"] == found["superpose_atoms"] == found["form_image"] > 0
    assert "project_density" not in found


def test_one_noise_alone(tmp_path):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    found = jobs(tmp_path, "--config", "datasets={noises: [poisson]}")
    assert found == expected(config, noises=["poisson"])


def test_each_training_has_the_rule_of_its_noise(tmp_path):
    done = snakemake(tmp_path, "--rulegraph", "dot")
    assert done.returncode == 0, done.stderr
    names = set(re.findall(r'label = "(\w+)"', done.stdout))
    assert {f"train_{noise}" for noise in NOISES} < names
    assert "train" not in names


def test_scenes_are_trained_on_and_nothing_is_judged_by_them(tmp_path):
    """What follows in the graph from what the learned density draws; the report shows a scene."""
    done = snakemake(tmp_path, "--rulegraph", "dot")
    assert done.returncode == 0, done.stderr
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', done.stdout))
    edges = [(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", done.stdout)]

    def after(rule):
        return {later for earlier, later in edges if earlier == rule}

    networks = {"train_universal", *(f"train_{noise}" for noise in NOISES)}
    shown = {"report_ms_ssim", "record_provenance"}
    assert after("draw_scenes") == networks | shown
    assert after("train_density") == {"draw_scenes", "judge_density", "record_provenance"}
    # the baseline and every data set that is judged are of joined DFT maps
    assert after("join_maps") >= {"make_dataset", "evaluate"}
    assert after("make_dataset") >= {"train_paper_like", "evaluate", "calibrate_detector"}


def test_default_run_is_large_enough():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    count, repeat = config["structures"]["count"], config["structures"]["repeat"]
    assert sum(count.values()) >= 12
    assert count["train"] >= 8
    assert 4 * repeat[0] * repeat[1] == 60
    assert config["mosaics"]["size"] >= 256


def test_dry_run_needs_no_scientific_package(tmp_path):
    block = "".join(f"sys.modules[{name!r}] = None; " for name in SCIENCE)
    code = (
        f"import sys; {block}from snakemake.cli import main; "
        f"main(['-n', '-q', 'all', '--directory', {str(tmp_path)!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mosaics": {"siez": 256}}, "`mosaics.siez` = 256: there is no such key; did you mean"),
        ({"training": {"steps": "x"}}, "`training.steps` = 'x': expected integer"),
        ({"datasets": {"noises": ["pink"]}}, "'pink': expected one of gaussian"),
        ({"datasets": {"c_noise_train": [-1, 0.2]}}, "`datasets.c_noise_train.0` = -1: expected"),
        ({"mosaics": {"size": 128}}, "MS-SSIM with 5 scales and an 11-pixel window needs"),
        ({"structures": {"count": {"val": 0}}}, "no split may be empty"),
    ],
)
def test_wrong_configuration_stops_before_any_job(tmp_path, wrong, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(wrong))
    done = snakemake(tmp_path, "--configfile", path)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_section_that_stands_twice_stops_before_any_job(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("training: {steps: 6}\ntraining: {width: 8}\n")
    done = snakemake(tmp_path, "--configfile", path)
    assert done.returncode != 0
    assert "wrong.yaml: `training` stands twice (lines 1 and 2)" in done.stderr
    assert "Traceback" not in done.stderr


def test_lint(tmp_path):
    done = snakemake(tmp_path, "--lint")
    assert done.returncode == 0, done.stderr


def test_edited_module_reruns_what_it_changes(tmp_path):
    """What a recipe contains is tested in `test_recipes`; here, that Snakemake heeds it."""
    project = tmp_path / "project"
    for name in ("workflow", "config", "envs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", project)

    def build(*arguments):
        options = ("--snakefile", project / "Snakefile", "--cores", "1", *arguments)
        done = snakemake(tmp_path / "run", "results/structures/pristine.extxyz", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def edit(module, old, new):
        path = project / "workflow/scripts/temdenoise" / module
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return build("--dry-run")

    build()
    assert "Nothing to be done" in edit("groundtruth/crystals.py", '"""', '"""Edited. ')
    assert "Nothing to be done" in edit("report/run.py", "return", "print(0)\n    return")
    assert "Nothing to be done" in edit("foundation/jobs.py", "perf_counter()", "time()")
    # reached through its name in `crystals`
    changed = edit("foundation/errors.py", "(ValueError):", "(ValueError):\n    edited = True")
    assert "Params have changed" in changed


def test_graph_file_of_figure_5_is_that_of_snakemake(tmp_path):
    done = snakemake(tmp_path, "results/figures/workflow.json", "--quiet", "all")
    assert done.returncode == 0, done.stderr
    graph = json.loads((tmp_path / "results/figures/workflow.json").read_text())
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert graph["jobs"] == expected(config)
    assert ["run_dft", "project_density"] in graph["edges"]
    for noise in NOISES:
        assert [f"train_{noise}", "evaluate"] in graph["edges"]
