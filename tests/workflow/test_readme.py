"""Every command of the README, executed: as it stands, dry, or by the tests named here.

A command that is new in the README fails `test_every_command_is_executed` until it has a row in
`EXECUTED`.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ase import Atoms
from conftest import ROOT
from temdenoise.foundation.configuration import SPLITS, checked

README = (ROOT / "README.md").read_text(encoding="utf-8")

EXECUTED = {
    # command: what executes it besides `test_make_says_what_it_would_do`; tests of this file by
    # their name alone
    "make run": "tests/integration/test_tiny_run.py::test_figures_and_report",
    "make test": "tests/workflow/test_readme.py::test_make_says_what_it_would_do",
    'make run-slurm ARGS="--configfile config/paper.yaml"': "tests/integration/test_slurm.py::"
    "test_tiny_workflow_on_slurm",
    'make run ARGS="--configfile config/mos2.yaml --directory ../mos2"': "test_plans",
    'make run ARGS="--configfile config/tiny.yaml --directory /tmp/tiny"': "test_plans",
    'make run ARGS="--configfile config/paper.yaml -n"': "test_plans",
    "make validate": "tests/integration/test_validation_page.py::test_validation_of_the_tiny_run",
    "make benchmark": "tests/unit/test_reference.py::test_command_writes_the_tables",
    "make figures": "tests/integration/test_tiny_run.py::"
    "test_figures_are_drawn_again_without_anything_else",
    "make docs": "tests/browser/test_documents_in_browser.py::test_every_page_is_built",
    "make acceptance": "tests/acceptance/test_default_run.py::"
    "test_networks_beat_the_best_classical_method",
    **dict.fromkeys(
        (
            "python3 -m venv env && . env/bin/activate",
            "pip install .",
            "temdenoise denoise scan.dm4 -o denoised",
            "temdenoise models",
            "temdenoise --help",
        ),
        "tests/installation/test_installed.py::test_command_of_the_readme",
    ),
    "temdenoise export": "tests/export/test_ecosystem.py::test_onnx_is_pytorch_at_every_size",
    "temdenoise judge FRAME RESULT": "tests/unit/test_judge.py::"
    "test_the_command_writes_page_picture_and_numbers",
    "temdenoise implant FRAME": "tests/unit/test_implants.py::test_command",
    "temdenoise publish": "tests/unit/test_publishing.py::"
    "test_a_published_model_is_small_described_and_known",
    "snakemake --cores 4": "test_plans",
    "snakemake --cores 4 results/maps/train-0000.tif": "test_plans",
    "snakemake --sdm conda --cores 4": "tests/integration/test_one_environment_per_step.py::"
    "test_tiny_workflow_with_one_environment_per_step",
}
MAKE = [command for command in EXECUTED if command.startswith("make ")]


def blocks(text):
    """Blocks of indented code."""
    return [
        "\n".join(line[4:] for line in block.rstrip("\n").split("\n"))
        for block in re.findall(r"(?:^(?: {4}.*)?\n)+", text, flags=re.MULTILINE)
        if block.strip()
    ]


def is_configuration(block):
    return block.lstrip("\n").split("\n")[0].endswith(":")


def commands(text):
    """Commands in blocks and in code font, without what is said beside them."""
    lines = [
        line for block in blocks(text) if not is_configuration(block) for line in block.split("\n")
    ]
    spans = re.findall(
        r"`((?:time )?(?:make|snakemake|pip|temdenoise) [^`]+)`", text.replace("\n", " ")
    )
    found = [re.sub(r"\s{2,}#.*", "", line).strip() for line in lines]
    found += [span.removeprefix("time ") for span in spans]
    return [command for command in dict.fromkeys(found) if command]


def configurations(text):
    return [block.strip("\n") + "\n" for block in blocks(text) if is_configuration(block)]


def test_every_command_is_executed():
    assert sorted(commands(README)) == sorted(EXECUTED)
    for where in EXECUTED.values():
        path, _, name = where.rpartition("::")
        path = ROOT / path if path else Path(__file__)
        assert re.search(rf"^def {name}\(", path.read_text(), flags=re.MULTILINE), where


def test_commands_are_told_from_what_is_said_about_them():
    text = "Say\n\n    make run     # all\n\nor `time make test`.\n\n    a:\n      b: 1\n"
    assert commands(text) == ["make run", "make test"]
    assert configurations(text) == ["a:\n  b: 1\n"]


@pytest.mark.parametrize("command", MAKE)
def test_make_says_what_it_would_do(command):
    """Make itself, dry: the target exists and calls what the other tests call."""
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    program = {
        "test": "-m pytest",
        "docs": "mkdocs build",
        "benchmark": "temdenoise.cli benchmark -o docs/results",
        "acceptance": "-m pytest -m acceptance tests/acceptance",
    }.get(command.split()[1], "workflow/drive.py")
    assert program in done.stdout
    if "ARGS=" in command:
        assert shlex.split(command)[2].removeprefix("ARGS=") in done.stdout


PLANNED = [command for command, where in EXECUTED.items() if where == "test_plans"]


@pytest.mark.parametrize("command", PLANNED)
def test_plans(command, tmp_path):
    """Snakemake with these arguments, dry and in a folder of its own."""
    words = shlex.split(command)
    if words[0] == "make":
        words = ["snakemake", *words[2].removeprefix("ARGS=").split()]
    if "--directory" in words:
        place = words.index("--directory")
        del words[place : place + 2]
    words = [word for word in words[1:] if word != "-n"]
    done = _snakemake(ROOT, *words, "--directory", tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "run_dft" in done.stdout + done.stderr


def test_configurations_of_the_readme_are_run(tmp_path):
    """The overlay gives a structure of the crystal it names; the module plans its jobs."""
    overlay, module = sorted(configurations(README), key=lambda block: "module" in block)
    checked(yaml.safe_load(overlay) | {"structures": {}})
    cell = [3.755, 3.755, 16.0, 90, 90, 120]  # gallium selenide, one layer
    layer = Atoms("Ga2Se2", cell=cell, pbc=True)
    layer.set_scaled_positions(
        [(0, 0, 0.42), (0, 0, 0.58), (1 / 3, 2 / 3, 0.35), (1 / 3, 2 / 3, 0.65)]
    )
    name = yaml.safe_load(overlay)["structures"]["crystal"]
    layer.write(tmp_path / name)
    (tmp_path / "overlay.yaml").write_text(overlay)
    wanted = "results/structures/train-0000.extxyz"
    options = ["--directory", tmp_path, "--configfile", tmp_path / "overlay.yaml"]
    # its 96 atoms take minutes to relax: planned here, done in graphene by `test_relaxation`
    done = _snakemake(ROOT, "--dry-run", wanted, *options)
    assert "relax_defect" in done.stdout + done.stderr
    done = _snakemake(ROOT, wanted, *options, "--config", "structures={relaxation: none}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / wanted).exists()

    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "temdenoise").symlink_to(ROOT)
    text = 'configfile: "outer.yaml"\n' + module.replace("use rule", "\nuse rule")
    (outer / "Snakefile").write_text(text)
    (outer / "outer.yaml").write_text("images: {seed: 1}\n")
    done = _snakemake(outer, "--dry-run", "images/results/report.html")
    assert done.returncode == 0, done.stderr
    assert "images_run_dft" in done.stdout + done.stderr


def _snakemake(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments, "--quiet", "rules"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_numbers_of_the_default_run_are_those_of_the_configuration():
    config = checked(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    said = " ".join(README.split())
    structures = sum(config["structures"]["count"][split] for split in SPLITS)
    assert f"`make run` makes {structures} disordered supercells" in said
    assert f"images of {config['mosaics']['size']} pixels" in said
    low, high = config["datasets"]["c_noise_train"]
    grid = config["datasets"]["c_noise_grid"]
    assert f"trained on {low:g} to {high:g} (interpolation); tested at {grid[0]:.2f} to" in said
    assert f"to {grid[-1]:.2f}, above {high:g} is extrapolation" in said
