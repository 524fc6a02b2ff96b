"""The package as a user gets it: built, installed in an empty environment, used from elsewhere.

The commands are those of the README's section on one's own micrograph. `make test-install`
prints what was measured.
"""

import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from temdenoise.foundation.extras import install_hint

pytestmark = pytest.mark.install

PACKAGE = "workflow/scripts/temdenoise/"
SECTION = "Denoise your own micrograph"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIXELS, SAMPLING = 512, 0.2  # of the frame [pixels], [Å]
LARGEST = 1.3e9  # size of the environment [bytes]
LONGEST = {"temdenoise --help": 0.4, "import temdenoise": 0.1, "first result": 8.0}  # [s]
# where other work is at hand, the processors' time tells what the clock cannot
LONGEST_BUSY = LONGEST | {"first result": 20.0, "first result, by one of two processors": 8.0}

# what draws the report of a run, and what computes one
OTHERS = {"ase", "gpaw", "pytorch-lightning", "scikit-image", "snakemake", "vl-convert-python"}
OTHERS |= {"hyperspy", "imagecodecs", "onnx", "zarr"}


def tracked():
    """Files of the checkout that git knows, or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def readme_section():
    """Text of the README's section."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(rf"^## {SECTION}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL).group(1)


FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell_lines(text):
    """Lines of the shell, from blocks of code that hold no output, without what is said there."""
    fenced = [block for language, block in FENCE.findall(text) if language in ("", "bash", "sh")]
    indented = re.findall(r"^ {4}(?=\S)(.*)$", FENCE.sub("", text), re.MULTILINE)
    lines = [*indented, *"".join(fenced).splitlines()]
    return [bare for line in lines if (bare := re.sub(r"\s{2,}#.*", "", line).strip())]


LINES = shell_lines(readme_section())
INSTALLING = [line for line in LINES if not line.startswith("temdenoise ")]
COMMANDS = [line for line in LINES if line.startswith("temdenoise ")]
PYTHON = [block for language, block in FENCE.findall(readme_section()) if language == "python"]


def user(programs, home):
    """Environment variables of a user who has nothing but these programs and the system's."""
    kept = ("PIP_", "SSL_", "HTTP_", "HTTPS_", "NO_PROXY", "http_", "https_", "no_proxy", "LANG")
    variables = {name: value for name, value in os.environ.items() if name.startswith(kept)}
    return variables | {"HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin"}


def run(command, folder, variables, *, check=True):
    done = subprocess.run(
        ["bash", "-c", command] if isinstance(command, str) else command,
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def seconds(*arguments, **options):
    """Seconds on the clock, and of the processors."""
    began, used = time.perf_counter(), processor_seconds()
    run(*arguments, **options)
    return time.perf_counter() - began, processor_seconds() - used


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist of the files that git knows, and the package's part of these files."""
    folder = tmp_path_factory.mktemp("built")
    tree, names = folder / "tree", tracked()
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    run([sys.executable, "-m", "build", "--outdir", folder / "dist", tree], folder, os.environ)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    source = {
        name.removeprefix("workflow/scripts/"): (tree / name).read_bytes()
        for name in names
        if name.startswith(PACKAGE)
    }
    return SimpleNamespace(wheel=wheel, sdist=sdist, source=source)


def unpacked(sdist, folder):
    """Unpack it; returns the project's folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (project,) = folder.iterdir()
    return project


@pytest.fixture(scope="module")
def constraints(tmp_path_factory):
    """The pinned versions, but for zarr, of which .zspy files need an older one."""
    pins = [pin for group in PROJECT["dependency-groups"].values() for pin in group]
    pins += [line for line in (ROOT / "envs/constraints.txt").read_text().splitlines() if line]
    chosen = {pin for pin in pins if not re.match(r"#|zarr==|numcodecs==", pin)}
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    path.write_text("\n".join(sorted(chosen)) + "\n")
    return path


@pytest.fixture(scope="module")
def installed(built, constraints, tmp_path_factory):
    """An environment made and filled by the README's lines, in the folder of the sdist."""
    folder = tmp_path_factory.mktemp("installed")
    home, project = folder / "home", unpacked(built.sdist, folder / "unpacked")
    # the user's Python; nothing is installed there
    run([sys._base_executable, "-m", "venv", home / "python"], folder, os.environ)
    # pip keeps what it fetched, elsewhere nothing of the one who runs the tests is used
    pip = user(home / "python/bin", os.environ.get("HOME", home))
    pip["PIP_CONSTRAINT"] = str(constraints)
    said = run("\n".join(["set -e", *INSTALLING, "command -v temdenoise"]), project, pip)
    programs = Path(said.stdout.splitlines()[-1]).parent
    (site,) = programs.parent.glob("lib/python*/site-packages")
    variables = user(programs, home)
    yield SimpleNamespace(
        project=project,
        bin=programs,
        site=site,
        home=home,
        variables=variables,
        pip=pip | {"PATH": variables["PATH"]},
    )
    shutil.rmtree(folder)  # more than a gigabyte


@pytest.fixture(scope="module")
def frame():
    """A noisy micrograph of a hexagonal lattice with dark pores, and without its noise."""
    x, y = SAMPLING * np.mgrid[:PIXELS, :PIXELS]
    wave = 4 * np.pi / (np.sqrt(3) * 2.46)  # of graphene's first ring [1/Å]
    angles = np.radians([0, 60, 120])
    clean = sum(np.cos(wave * (np.cos(a) * x + np.sin(a) * y)) for a in angles)
    clean = 1000 - 200 * clean
    rng = np.random.default_rng(3)
    return (clean + rng.normal(0, 150, clean.shape)).astype(np.float32), clean


@pytest.fixture(scope="module")
def place(frame, tmp_path_factory):
    """A folder far from the project, with the files that the README's lines name."""
    folder = tmp_path_factory.mktemp("elsewhere")
    text = " ".join([*COMMANDS, *PYTHON])
    for name in set(re.findall(r"(?<![\w/.-])[\w-]+\.(?:dm3|dm4|emd|mrc|npy|ser|tiff?)\b", text)):
        write(folder / name, frame[0])
    write(folder / "frame.tif", frame[0])
    return folder


def write(path, image):
    """Write what a file's content, not its ending, is judged by."""
    if path.suffix == ".npy":
        np.save(path, image)
    else:
        resolution = (10 / SAMPLING, 10 / SAMPLING)
        tifffile.imwrite(path, image, imagej=True, resolution=resolution, metadata={"unit": "nm"})


@pytest.fixture(scope="module")
def measured(installed, place):
    """Seconds of fresh processes, the fewest of a few tries, and the size of the environment."""

    def best(command, tries=5):
        return min(seconds(command, place, installed.variables) for _ in range(tries))

    denoise = "temdenoise denoise frame.tif -o first"
    after, _ = best(denoise, 1)
    # other work on the machine makes the clock run on, and hardly the processors'
    first, used = best(denoise, 3)
    times = {"first result after installation": after, "first result": first}
    times["first result, by one of two processors"] = used / 2
    for name, command in {
        "temdenoise --help": "temdenoise --help",
        "import temdenoise": "python -c 'import temdenoise'",
        "python alone": "python -c pass",
    }.items():
        times[name], _ = best(command)
    times["import temdenoise"] -= times.pop("python alone")
    size = sum(p.lstat().st_size for p in installed.bin.parent.rglob("*") if not p.is_dir())
    return SimpleNamespace(seconds=times, size=size)


def digests(files):
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_the_readme_has_the_lines_to_run():
    assert any(re.search(r"\bpip install\b.* \.(\s|$)", line) for line in INSTALLING)
    assert any(line.startswith("temdenoise denoise ") for line in COMMANDS)
    assert any("import temdenoise" in block for block in PYTHON)


def test_wheel_and_sdist_hold_the_package_and_nothing_else(built, tmp_path):
    assert {"temdenoise/py.typed", "temdenoise/models/models.json"} <= set(built.source)
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    rest = {name for name in held if not name.startswith("temdenoise/")}
    assert digests({name: held[name] for name in held.keys() - rest}) == digests(built.source)
    assert all(".dist-info/" in name for name in rest)
    assert any(name.endswith("LICENSE") for name in rest)
    project = unpacked(built.sdist, tmp_path)
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    package = {name for name in files if name.startswith(PACKAGE)}
    assert digests(built.source) == digests(
        {name.removeprefix("workflow/scripts/"): (project / name).read_bytes() for name in package}
    )
    assert {"pyproject.toml", "README.md", "LICENSE"} <= files
    assert not [name for name in files if name.startswith(("tests/", "results/", "docs/"))]


def test_the_sdist_installs_what_the_wheel_holds(built, installed):
    """By the README's lines it was installed from the sdist."""
    with zipfile.ZipFile(built.wheel) as wheel:
        held = [name for name in wheel.namelist() if name.startswith("temdenoise/")]
        for name in held:
            assert (installed.site / name).read_bytes() == wheel.read(name), name


def test_the_environment_is_small_and_holds_nothing_that_draws_the_report_of_a_run(
    installed, measured
):
    names = run([installed.bin / "pip", "list", "--format", "freeze"], "/", installed.variables)
    packages = {line.partition("==")[0].lower() for line in names.stdout.split()}
    assert {"temdenoise", "torch", "rosettasciio"} <= packages
    assert not packages & OTHERS
    cuda = run("python -c 'import torch; print(torch.version.cuda)'", "/", installed.variables)
    assert cuda.stdout.strip() == "None", "PIP_EXTRA_INDEX_URL: name PyTorch's CPU packages"
    assert measured.size <= LARGEST


@pytest.mark.parametrize("command", [*COMMANDS, "temdenoise --help", "temdenoise models"])
def test_command_of_the_readme(installed, place, frame, command):
    done = run(command, place, installed.variables)
    words = command.split()
    if words[1] == "denoise":
        folder = place / (words[words.index("-o") + 1] if "-o" in words else ".")
        stem = Path(words[2]).stem
        assert (folder / f"{stem}_summary.html").read_text(encoding="utf-8")
        denoised, sigma = (
            tifffile.imread(folder / f"{stem}_{what}.tif") for what in ("denoised", "sigma")
        )
        noisy, clean = frame
        assert np.std(denoised - clean) < 0.5 * np.std(noisy - clean)
        assert sigma.shape == denoised.shape
        assert (sigma > 0).all()
    elif words[1] == "models":
        shipped = {path.stem for path in (ROOT / PACKAGE / "models").glob("*.pt")}
        assert shipped <= set(re.findall(r"^\w+", done.stdout, re.MULTILINE))
    else:
        assert set(COMMANDS_OF_HELP) <= set(re.findall(r"[\w-]+", done.stdout))


COMMANDS_OF_HELP = ["denoise", "inspect", "judge", "models", "export", "publish", "new-project"]


@pytest.mark.parametrize("block", PYTHON)
def test_python_of_the_readme(installed, place, block):
    before = set(place.rglob("*"))
    run([installed.bin / "python", "-c", block], place, installed.variables)
    if "save(" in block:
        assert set(place.rglob("*")) - before


def test_a_project_is_made_for_a_built_in_crystal(installed, tmp_path):
    run("temdenoise new-project graphene -o mine", tmp_path, installed.variables)
    assert "graphene" in (tmp_path / "mine/config.yaml").read_text()


@pytest.mark.parametrize(
    ("command", "package"),
    [
        ("temdenoise export density --onnx model.onnx", "onnxscript"),
        ("temdenoise denoise scan.zspy", "zarr"),
    ],
)
def test_what_is_missing_is_named_with_what_to_type(installed, tmp_path, command, package):
    (tmp_path / "scan.zspy").mkdir()
    done = run(command, tmp_path, installed.variables, check=False)
    assert done.returncode == 1
    assert install_hint(package) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def extended(installed, tmp_path_factory):
    """Another environment, with the extras that are small, over the first."""
    environment = tmp_path_factory.mktemp("extended") / "environment"
    run([sys._base_executable, "-m", "venv", environment], "/", os.environ)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "first.pth").write_text(f"{installed.site}\n")
    pip = installed.pip | {"PATH": f"{environment / 'bin'}:/usr/bin:/bin"}
    run("pip install '.[crystals,zspy]'", installed.project, pip)
    return user(environment / "bin", installed.home)


def test_extras_do_what_they_are_for(extended, frame, tmp_path):
    np.save(tmp_path / "frame.npy", frame[0])
    writing = (
        "import numpy as np; from rsciio.zspy import file_writer; image = np.load('frame.npy');"
        f"axis = dict(scale={SAMPLING}, offset=0, units='Å', navigate=False);"
        "axes = [axis | dict(name=n, size=s) for n, s in zip('yx', image.shape)];"
        "about = dict(General=dict(title='frame'), Signal=dict(signal_type=''));"
        "empty = dict.fromkeys(['original_metadata', 'learning_results', 'models'], {});"
        "package = dict(package='hyperspy', package_version='2');"
        "signal = dict(data=image, axes=axes, metadata=about, package_info=package) | empty;"
        "file_writer('scan.zspy', signal | dict(attributes=dict(_lazy=False), tmp_parameters={}))"
    )
    run(["python", "-c", writing], tmp_path, extended)
    run("temdenoise denoise scan.zspy -o denoised", tmp_path, extended)
    assert (tmp_path / "denoised/scan_denoised.zspy").exists()
    run(
        "python -c \"from ase.build import mx2; mx2('WSe2', vacuum=6).write('wse2.cif')\"",
        tmp_path,
        extended,
    )
    run("temdenoise new-project wse2.cif -o mine", tmp_path, extended)
    assert "wse2.cif" in (tmp_path / "mine/config.yaml").read_text()


def test_every_extra_can_be_installed(installed):
    extras = ",".join(PROJECT["project"]["optional-dependencies"].keys() - {"zspy"})
    run(f"pip install --dry-run '.[{extras}]'", installed.project, installed.pip)


def test_it_starts_at_once(measured, capsys):
    with capsys.disabled():
        rows = [f"| {name} | {value:.2f} s |" for name, value in measured.seconds.items()]
        rows.append(f"| size of the environment | {measured.size / 1e9:.2f} GB |")
        print("\n" + "\n".join(["| what | measured |", "|---|---|", *rows]))
    times = measured.seconds
    busy = times["first result"] > 1.25 * max(times["first result, by one of two processors"], 5)
    most = LONGEST_BUSY if busy else LONGEST
    assert {name: value for name, value in most.items() if times[name] > value} == {}
