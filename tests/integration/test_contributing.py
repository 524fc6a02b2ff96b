"""CONTRIBUTING.md by doing it: one more of everything that has a table.

Added to a copy of the project, exactly where the page says; then its own tests, the tiny
workflow and the command run there, with what was added in every table and in every result.
"""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import yaml
from conftest import ROOT
from temdenoise.foundation.files import read_json, read_table
from temdenoise.images.storage import read_images

pytestmark = pytest.mark.slow

PACKAGE = "workflow/scripts/temdenoise"
SCHEMA = "workflow/schemas/config.schema.yaml"
MOST_FILES = 3

MODE = """        "phase": ImageMode(
            name="phase",
            title="the phase of the exit wave",
            images="phases of exit waves",
            looks="bright atoms",
            feature="atoms",
            contrast=None,
            preset="phase_80kv",
            unlike="intensities",
        ),
"""
PRESET = """    "phase_80kv": {
        "mode": "phase",
        "energy": 80.0,
        "aperture": 30.0,
        "inner": 0.0,
        "outer": 0.0,
        "cs": 0.0,
        "defocus": 0.0,
        "focal_spread": 0.0,
        "source_size": 0.0,
    },
"""
FORMING = """def _phase(
    potential: Any, microscope: Mapping[str, Any], *, extent: tuple[float, float]
) -> np.ndarray:
    return np.angle(exit_wave(potential, microscope)).astype(float)


"""
CRYSTAL = """        "silicene": Lattice(
            name="silicene",
            title="silicene, flat",
            spacing=3.35,
            lattice_constant=3.87,
            sites=({0.0: "Si"}, {0.0: "Si"}),
        ),
"""
NETWORK = '''class Shallow(UNet):
    """A U-Net of one resolution less, which another class stands for here."""


'''
READER = '''"""Tables of numbers as text."""

from pathlib import Path

import numpy as np

from temdenoise.micrographs.formats.base import Content


def read_text(path: Path) -> list[Content]:
    """Read one image."""
    return [Content(np.loadtxt(path, dtype=np.float32))]
'''
FORMAT = """    Format(
        name="text",
        title="a table of numbers",
        endings=("txt",),
        signature_needed=False,
        read=text.read_text,
    ),
"""
NOISE = '''def speckle(clean: np.ndarray, c_noise: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply with noise: y = x (1 + C n)."""
    return clean * (1 + c_noise * rng.standard_normal(clean.shape))


'''
FAMILY = '''def breathing(cell: Supercell, rng: np.random.Generator, *, limit: float) -> None:
    """Widen or narrow the inside."""
    middle = cell.pristine.cell.lengths()[:2] / 2
    shift = rng.uniform(-limit, limit) * (cell.pristine.positions[:, :2] - middle)
    cell.atoms.positions[:, :2] += cell.weights[:, None] * shift


'''
OPTIONS = """          breathing:
            type: object
            additionalProperties: false
            default: {}
            description: Wider or narrower inside.
            properties:
              share: *no_share
              limit: {type: number, minimum: 0, maximum: 0.1, default: 0.02, description: Largest.}
"""
METHOD = '''def opening(noisy: np.ndarray, *, sigma: float, side: float) -> np.ndarray:
    """Grey opening; side: of the square [pixels]."""
    return grey_opening(noisy, size=int(side))


'''
MERIT = """def _bias(image: DenoisedImage) -> float:
    return float(np.mean(image.denoised - image.truth.clean))


"""
FIGURE = '''def figure_s9(*, structures: Rows) -> tuple[Figure, Rows]:
    """Atoms of every structure."""
    figure, axes = plt.subplots()
    axes.bar(range(len(structures)), [row["n_atoms"] for row in structures])
    return figure, [{k: row[k] for k in ("structure", "n_atoms")} for row in structures]


'''
ENTRY = """        "S9": Entry(
            "Atoms.",
            draw="supplement:figure_s9",
            files={"structures": "results/structures/structures.csv"},
        ),
"""
# by section of the page: file, what stands there, what is written before it; a file that is
# not there is made
ADDED = {
    "A further image mode": [
        (f"{PACKAGE}/foundation/modes.py", '        "adf": ImageMode(', MODE),
        (f"{PACKAGE}/foundation/microscopes.py", '    "adf_60kv_medium": {', PRESET),
        (f"{PACKAGE}/groundtruth/microscope.py", "class Forming(Protocol)", FORMING),
        (
            f"{PACKAGE}/groundtruth/microscope.py",
            '        "hrtem": Imaging(',
            '        "phase": Imaging(_phase, "rad"),\n',
        ),
    ],
    "A further crystal": [
        (f"{PACKAGE}/foundation/lattices.py", '        "srtio3": Lattice(', CRYSTAL),
    ],
    "A further network": [
        (f"{PACKAGE}/learning/networks.py", "NETWORKS: Mapping", NETWORK),
        (f"{PACKAGE}/learning/networks.py", '"unet": UNet}', '"shallow": Shallow, '),
    ],
    "A further format": [
        (f"{PACKAGE}/micrographs/formats/text.py", "", READER),
        (f"{PACKAGE}/micrographs/formats/__init__.py", "    tia,\n", "    text,\n"),
        (
            f"{PACKAGE}/micrographs/formats/__init__.py",
            '    Format(\n        name="mrc"',
            FORMAT,
        ),
    ],
    "A further noise": [
        (f"{PACKAGE}/images/noise.py", "@dataclass(frozen=True)\nclass NoiseModel", NOISE),
        (
            f"{PACKAGE}/images/noise.py",
            "        # of real detectors; not among",
            '        "speckle": NoiseModel(speckle, "SPK", "Speckle"),\n',
        ),
    ],
    "A further family of disorder": [
        (f"{PACKAGE}/groundtruth/families.py", "def _apart(", FAMILY),
        (f"{PACKAGE}/groundtruth/families.py", "        strain,\n    )", "        breathing,\n"),
        (SCHEMA, "          double_vacancies:\n", OPTIONS),
        ("tests/unit/test_structures.py", '    "strain": {', '    "breathing": {"limit": 0.02},\n'),
    ],
    "A method to compare with": [
        (f"{PACKAGE}/judging/classical.py", "@dataclass(frozen=True)\nclass Baseline", METHOD),
        (
            f"{PACKAGE}/judging/classical.py",
            '        "median": Baseline(',
            '        "opening": Baseline("grey opening", opening, grid(side=(3, 5))),\n',
        ),
        (f"{PACKAGE}/judging/classical.py", "median_filter\n", "grey_opening, "),
    ],
    "A figure of merit": [
        (f"{PACKAGE}/judging/merits.py", "def _squared_distances(", MERIT),
        (
            f"{PACKAGE}/judging/merits.py",
            '    FigureOfMerit("roundness_bias"',
            '    FigureOfMerit("bias", _bias, _mean),\n',
        ),
    ],
    "A figure": [
        (f"{PACKAGE}/report/supplement.py", "def figure_s2(", FIGURE),
        (f"{PACKAGE}/report/catalogue.py", '        "S2": Entry(', ENTRY),
    ],
}
TINY = {
    "image": {"mode": "phase"},
    "microscope": {"sampling": 0.2},
    "structures": {
        "crystal": "silicene",
        "repeat": [2, 1],
        "families": {"displacements": {"share": 0}, "breathing": {"share": 1}},
    },
    "datasets": {"noises": ["gaussian", "speckle"]},
    "training": {"network": "shallow"},
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with all additions."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("workflow", "config", "envs", "profiles", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "pyproject.toml", "README.md", "Makefile"):
        shutil.copy(ROOT / name, folder)
    for additions in ADDED.values():
        for name, place, text in additions:
            path = folder / name
            content = path.read_text() if place else ""
            assert content.count(place) == 1, f"{name}: {place}"
            path.write_text(content.replace(place, text + place))
    return folder


@pytest.fixture(scope="module")
def results(copy, tmp_path_factory):
    """What the tiny workflow makes of all additions."""
    folder = tmp_path_factory.mktemp("run")
    overlay = folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(TINY))
    command = [sys.executable, str(copy / "workflow/drive.py")]
    command += ["--snakefile", str(copy / "Snakefile"), "--configfile"]
    command += [str(copy / "config/tiny.yaml"), str(overlay)]
    done = run(command, folder)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder / "results"


def run(command, folder, **more):
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | more,
    )


@pytest.mark.parametrize("section", ADDED)
def test_the_page_names_every_place_and_there_are_few(section):
    page = (ROOT / "CONTRIBUTING.md").read_text()
    text = re.search(rf"## {section}\n(.*?)\n## ", page, re.DOTALL).group(1)
    files = {name for name, _, _ in ADDED[section]}
    for name in files:
        # a module of one's own has a name of one's own
        if any(name == file and place for file, place, _ in ADDED[section]):
            assert name.removeprefix(f"{PACKAGE}/") in text, name
    assert len([name for name in files if not name.startswith("tests/")]) <= MOST_FILES


def test_its_own_tests_take_in_what_was_added(copy):
    command = [sys.executable, "-m", "pytest", "-q", "-k", "speckle or breathing or every"]
    command += ["tests/unit/test_noise.py", "tests/unit/test_structures.py"]
    done = run(command, copy)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > 5


def test_crystal_and_family_are_built(results):
    structures = read_table(results / "structures/structures.csv")
    assert {row["family"] for row in structures} == {"breathing"}
    assert "Si8" in (results / "logs/build_structure/train-0000.log").read_text()


def test_the_mode_forms_the_images(results):
    image = read_images(results / "maps/train-0000.tif")
    assert image.unit == "rad"
    assert 0 < np.ptp(image.data) < 2 * np.pi
    assert read_json(results / "evaluation/detector.json")["feature"] == "atoms"


def test_rival_noise_and_merit_are_in_the_tables(results):
    quality = read_table(results / "evaluation/quality.csv")
    speckled = {r["method"] for r in quality if r["noise"] == "speckle"}
    assert speckled >= {"cnn", "universal", "paper_like", "opening"}
    biases = [row["bias"] for row in read_table(results / "evaluation/fidelity.csv")]
    assert max(map(abs, biases)) > 0


def test_the_figure_is_drawn_and_shown(results):
    structures = read_table(results / "structures/structures.csv")
    shown = read_table(results / "figures/figure_S9.csv")
    assert [row["n_atoms"] for row in shown] == [row["n_atoms"] for row in structures]
    assert 'id="figure-S9"' in (results / "report.html").read_text()


def test_the_network_of_the_new_mode_denoises_a_file_of_the_new_format(copy, results, tmp_path):
    model = results / "models/universal/model.pt"
    code = f"import temdenoise; print(temdenoise.load_model({str(model)!r}).describe())"
    told = run([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(copy / PACKAGE / ".."))
    assert told.returncode == 0, told.stderr
    assert "the phase of the exit wave" in told.stdout
    assert "network: shallow" in told.stdout
    noisy = read_images(results / "datasets/gaussian/test/noisy.tif").data[0]
    np.savetxt(tmp_path / "scan.txt", noisy)
    command = [sys.executable, "-W", "ignore", "-m", "temdenoise.cli", "denoise", "scan.txt"]
    command += ["--model", str(model), "--sampling", "0.2", "--crystal", "silicene"]
    done = run(command, tmp_path, PYTHONPATH=str(copy / PACKAGE / ".."))
    assert done.returncode == 0, done.stderr
    assert tifffile.imread(tmp_path / "scan_denoised.tif").shape == noisy.shape
    assert read_json(tmp_path / "scan_summary.json")["model_kind"] == "phase"
