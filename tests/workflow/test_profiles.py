"""Resources of each rule, on this machine and on a cluster."""

import importlib.util
import re

import pytest
import yaml
from conftest import ROOT, snakemake

PROFILES = {
    path.parent.name: yaml.safe_load(path.read_text())
    for path in (ROOT / "profiles").glob("*/config.yaml")
}
RULES = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
STATEMENT = r"^ *(?:rule|checkpoint) (\w+):|^use rule \w+ as (\w+)"
NAMES = set(re.findall(STATEMENT, RULES, flags=re.MULTILINE))
NAMES = {name for pair in NAMES for name in pair if name}
TRAININGS = {name for name in NAMES if name.startswith("train")} - {"train_density"}


@pytest.mark.parametrize("name", PROFILES)
def test_rules_named_in_a_profile_exist(name):
    for key in ("set-threads", "set-resources", "groups"):
        assert set(PROFILES[name].get(key, {})) <= NAMES, key
    groups = set(PROFILES[name].get("groups", {}).values())
    assert set(PROFILES[name].get("group-components", {})) == groups


def test_attempts_are_counted_by_the_driver_alone():
    """In a rule they would be counted again inside each job's allocation."""
    assert not re.search(r"^\s*retries:", RULES, flags=re.MULTILINE)
    assert PROFILES["slurm"]["retries"] >= 2


def test_a_cluster_job_asks_for_memory_time_and_gpus():
    slurm = PROFILES["slurm"]
    assert {"mem_mb", "runtime"} <= set(slurm["default-resources"])
    for rule, resources in slurm["set-resources"].items():
        assert {"mem_mb", "runtime"} <= set(resources), rule
        # what is killed for too little gets more
        assert "attempt" in str(resources["mem_mb"]) or rule == "build_structure", rule
    assert {r for r, options in slurm["set-resources"].items() if options.get("gpu")} == TRAININGS
    assert set(slurm["set-threads"]) >= TRAININGS | {"run_dft"}
    assert max(slurm["set-threads"].values()) <= slurm["cores"]


@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the executor plugin is not installed (make run-slurm, make test-slurm)",
)
def test_groups_make_few_jobs_of_many(tmp_path):
    """250 structures, three groups of at most 100, planned without a scheduler."""
    config = tmp_path / "many.yaml"
    config.write_text("structures: {count: {train: 200, val: 25, test: 25}}")
    done = snakemake(
        tmp_path,
        *("--workflow-profile", "profiles/slurm", "--configfile", config),
        *("--dry-run", "--until", "build_structure"),
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout + done.stderr
    assert len(re.findall(r"Group job structures", found)) == 3


def test_what_a_job_is_given_reaches_it(tmp_path):
    """Resources of the profile decide on GPUs and MPI processes, or the job says why not."""
    done = snakemake(
        tmp_path,
        "results/dft/val-0000/density.tif",
        *("--set-resources", "run_dft:tasks=2", "run_dft:mpi=no_such_launcher"),
        *("--configfile", "config/tiny.yaml", "--cores", "1", "--quiet", "all"),
    )
    assert done.returncode == 1
    assert re.search(r"2 MPI processes .*(built without MPI|there is no no_such)", done.stderr)
