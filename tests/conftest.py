"""What several test files need."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
DRIVE = [sys.executable, str(ROOT / "workflow/drive.py"), "--snakefile", str(ROOT / "Snakefile")]
DRIVE += ["--configfile", str(ROOT / "config/tiny.yaml")]


def snakemake(folder, *arguments):
    """Run Snakemake on the workflow, with results in a folder of their own."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--directory", folder, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def drive(folder, *arguments, **options):
    """Run the tiny configuration as `make run` does, with results in a folder of their own."""
    return subprocess.run(
        [*DRIVE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        **options,
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Results of the tiny configuration (to be left as they are), and what was said."""
    folder = tmp_path_factory.mktemp("run")
    done = drive(folder)
    assert done.returncode == 0, done.stderr
    return folder / "results", done.stderr


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def lattice():
    """A clean, normalised image of dark pores, 192 x 192 pixels."""
    x, y = np.meshgrid(np.arange(192), np.arange(192), indexing="ij")
    image = np.cos(2 * np.pi * x / 12) + np.cos(2 * np.pi * (x / 24 + y / 14))
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by a program; for the tests in tests/browser."""
    from in_browser import start

    driver = start()
    yield driver
    driver.quit()
