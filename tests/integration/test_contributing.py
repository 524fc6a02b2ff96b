"""CONTRIBUTING.md by doing it: a noise, a family, a method, a measure and a figure are added.

To a copy of the project, exactly where the page says; then its own tests and the
tiny workflow run there, with what was added in every table.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from temdenoise.files import read_table

pytestmark = pytest.mark.slow

PACKAGE = "workflow/scripts/temdenoise"
SCHEMA = "workflow/schemas/config.schema.yaml"
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
METHOD = '''def opening(noisy: np.ndarray, *, parameter: float, sigma: float) -> np.ndarray:
    """Grey opening; the parameter is its side [pixels]."""
    return grey_opening(noisy, size=int(parameter))


'''
FIGURE = '''def figure_s9(*, structures: Rows) -> tuple[Figure, Rows]:
    """Atoms of every structure."""
    figure, axes = plt.subplots()
    axes.bar(range(len(structures)), [row["n_atoms"] for row in structures])
    return figure, [{k: row[k] for k in ("structure", "n_atoms")} for row in structures]


'''
INPUTS = """    if wildcards.figure == "S9":
        return {"structures": "results/structures/structures.csv"}
"""
BRANCH = """    elif number == "S9":
        figure, rows = supplement.figure_s9(structures=read_table(given.structures))
"""
# by section of the page: file, what stands there, what is written before it
ADDED = {
    "A further noise": [
        (f"{PACKAGE}/images/noise.py", "@dataclass(frozen=True)\nclass NoiseModel", NOISE),
        (
            f"{PACKAGE}/images/noise.py",
            "        # of real detectors; not among",
            '        "speckle": NoiseModel(speckle, "SPK", "Speckle"),\n',
        ),
        (SCHEMA, "dose, scan_lines, camera, contamination]", "speckle, "),
    ],
    "A further family of disorder": [
        (f"{PACKAGE}/groundtruth/families.py", "def _apart(", FAMILY),
        (f"{PACKAGE}/groundtruth/families.py", "        strain,\n    )", "        breathing,\n"),
        (SCHEMA, "          double_vacancies:\n", OPTIONS),
        ("tests/unit/test_structures.py", '    "strain": {', '    "breathing": {"limit": 0.02},\n'),
    ],
    "A method to compare with": [
        (f"{PACKAGE}/judging/baselines.py", "@dataclass(frozen=True)\nclass Baseline", METHOD),
        (
            f"{PACKAGE}/judging/baselines.py",
            '        "median": Baseline(',
            '        "opening": Baseline("grey opening", opening, (3, 5)),\n',
        ),
        (f"{PACKAGE}/judging/baselines.py", "median_filter\n", "grey_opening, "),
    ],
    "A figure of merit": [
        (
            f"{PACKAGE}/judging/evaluation.py",
            "    invented: int = 0\n",
            "    biases: list[float] = field(default_factory=list)\n",
        ),
        (
            f"{PACKAGE}/judging/evaluation.py",
            "        if model is not None:\n            # in tiles",
            "        self.biases.append(float(np.mean(denoised - truth.clean)))\n",
        ),
        (
            f"{PACKAGE}/judging/evaluation.py",
            '            "n_images": self.images,',
            '            "bias": float(np.mean(self.biases)),\n',
        ),
    ],
    "A figure": [
        (f"{PACKAGE}/showing/supplement.py", "def figure_s2(", FIGURE),
        ("workflow/rules/common.smk", '"S2", "S3"]', '"S9", '),
        ("workflow/rules/common.smk", '    if wildcards.figure == "S1":', INPUTS),
        (f"{PACKAGE}/showing/captions.py", '    "S2": "Circles', '    "S9": "Atoms.",\n'),
        ("workflow/scripts/plot_figure.py", '    elif number == "S1":', BRANCH),
    ],
}
TINY = {
    "datasets": {"noises": ["gaussian", "speckle"]},
    "structures": {"families": {"displacements": {"share": 0}, "breathing": {"share": 1}}},
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
            content = (folder / name).read_text()
            assert content.count(place) == 1, f"{name}: {place}"
            (folder / name).write_text(content.replace(place, text + place))
    return folder


@pytest.mark.parametrize("section", ADDED)
def test_the_page_names_every_place(section):
    page = (ROOT / "CONTRIBUTING.md").read_text()
    text = re.search(rf"## {section}\n(.*?)\n## ", page, re.DOTALL).group(1)
    for name, _, _ in ADDED[section]:
        assert name.removeprefix(f"{PACKAGE}/") in text, name


def test_its_own_tests_take_in_what_was_added(copy):
    command = [sys.executable, "-m", "pytest", "-q", "-k", "speckle or breathing or every"]
    command += ["tests/unit/test_noise.py", "tests/unit/test_structures.py"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > 5


def test_the_workflow_takes_in_what_was_added(copy, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(TINY))
    command = [sys.executable, str(copy / "workflow/drive.py")]
    command += ["--snakefile", str(copy / "Snakefile"), "--configfile"]
    command += [str(copy / "config/tiny.yaml"), str(overlay)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr[-5000:]
    results = tmp_path / "results"
    structures = read_table(results / "structures/structures.csv")
    assert {row["family"] for row in structures} == {"breathing"}
    quality = read_table(results / "evaluation/quality.csv")
    speckled = {r["method"] for r in quality if r["noise"] == "speckle"}
    assert speckled >= {"cnn", "universal", "paper_like", "opening"}
    biases = [row["bias"] for row in read_table(results / "evaluation/fidelity.csv")]
    assert max(map(abs, biases)) > 0
    shown = read_table(results / "figures/figure_S9.csv")
    assert [row["n_atoms"] for row in shown] == [row["n_atoms"] for row in structures]
    assert 'id="figure-S9"' in (results / "report.html").read_text()
