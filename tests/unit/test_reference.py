"""The reference test set: storage, images, and what is added up of each structure."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from temdenoise import benchmarking
from temdenoise.cli import main
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_json, read_table
from temdenoise.groundtruth.crystals import crystal
from temdenoise.judging import benchmark
from temdenoise.judging.benchmark import (
    FIGURES,
    PLACES,
    Judged,
    Task,
    figures_table,
    judge,
    kinds_table,
    paired_table,
    scene_of,
    sums_of,
)
from temdenoise.judging.detector import calibrate
from temdenoise.judging.metrics import ms_ssim
from temdenoise.judging.reference import (
    MARGIN,
    SAMPLING,
    ReferenceMaps,
    read_reference,
    reference_files,
    reference_image,
    write_reference,
)

STEP = (0.21, 0.19)  # pixel size of the maps [Å]
N_TEST, N_VAL = 9, 2


def drawn(positions, shape):
    """A projected sheet: Gaussians at the atoms, periodic [e/Å²]."""
    x, y = (np.arange(n) * step for n, step in zip(shape, STEP, strict=True))
    sides = np.array(shape) * STEP
    image = np.zeros(shape)
    for px, py in positions:
        dx = (x - px + sides[0] / 2) % sides[0] - sides[0] / 2
        dy = (y - py + sides[1] / 2) % sides[1] - sides[1] / 2
        image += np.exp(-(dx[:, None] ** 2 + dy[None] ** 2) / (2 * 0.5**2))
    return 0.08 + 3.3 * image  # as dense as graphene, whose scale the network knows


def made(seed=0):
    """Maps of graphene 5 x 3 with one or two vacancies each."""
    sheet = crystal("graphene", repeat=(5, 3))
    shape = (60, 64)
    sites = sheet.positions[:, :2] * (np.array(shape) * STEP / sheet.cell.lengths()[:2])
    rng = np.random.default_rng(seed)
    maps, structures = [], []
    names = [f"val-{n:04d}" for n in range(N_VAL)] + [f"test-{n:04d}" for n in range(N_TEST)]
    for number, name in enumerate(names):
        # far enough apart to be two holes
        wanted = np.array(shape) * STEP * ((0.35, 0.4), (0.65, 0.62))
        gone = [np.argsort(np.linalg.norm(sites - w, axis=1))[number % 3] for w in wanted]
        gone = gone[: 1 + number % 2]
        kept = np.delete(sites, gone, axis=0) + rng.normal(0, 0.04, (len(sites) - len(gone), 2))
        maps.append(drawn(kept, shape))
        defects = [
            {"kind": "vacancy", "element": "C", "x": float(sites[g][0]), "y": float(sites[g][1])}
            for g in gone
        ]
        positions = [[*map(float, place), 4.0] for place in kept]
        about = {"name": name, "family": "vacancies", "defects": defects, "symbols": "C"}
        structures.append(about | {"positions": positions, "cell": [*(np.array(shape) * STEP), 8]})
    return ReferenceMaps("graphene_5x3", "graphene", np.stack(maps), STEP, structures, {"seed": 1})


@pytest.fixture(scope="module")
def reference():
    return made()


@pytest.fixture(scope="module")
def image(reference):
    return reference_image(reference, "test", seed=3)


@pytest.fixture(scope="module")
def scene(reference, image):
    validation = reference_image(reference, "val", seed=3)
    detector = calibrate([validation.clean], [validation.sites], sampling=SAMPLING)
    return scene_of(image, detector)


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference")
    write_reference(path / "graphene_5x3.tif", reference)
    return path


def test_maps_are_stored_to_a_part_in_65535(reference, folder):
    again = read_reference(folder / "graphene_5x3.tif")
    span = np.ptp(reference.maps)
    assert np.abs(again.maps - reference.maps).max() <= 0.5001 * span / 65535
    assert again.structures == reference.structures
    assert (again.sampling, again.crystal, again.name) == (STEP, "graphene", "graphene_5x3")
    assert again.provenance == {"seed": 1}
    assert (folder / "graphene_5x3.tif").stat().st_size < reference.maps.astype("f4").nbytes / 1.3


def test_files_that_are_no_test_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="no reference test set; make it with `make test-set`"):
        reference_files(tmp_path)
    for content in (b"", b"II*\0 no tiff at all", b"text"):
        (tmp_path / "graphene.tif").write_bytes(content)
        with pytest.raises(DataError, match=r"graphene\.tif: no readable file of the reference"):
            read_reference(tmp_path / "graphene.tif")


def test_each_structure_stands_once_and_the_rim_repeats(reference, image):
    areas = np.bincount(image.labels[image.labels >= 0], minlength=N_TEST)
    assert len(areas) == N_TEST
    assert areas.min() > 0.95 * areas.max()
    assert (image.labels[:MARGIN] == -1).all()
    assert (image.labels[:, -MARGIN:] == -1).all()
    # one period along x is a whole number of pixels
    period = round(3 * 60 * STEP[0] / SAMPLING)
    shifted = image.clean[period:]
    assert len(shifted) == 2 * MARGIN
    assert shifted == pytest.approx(image.clean[: len(shifted)], abs=1e-5)


def test_atoms_are_bright_and_vacancies_dark(image):
    def at(points):
        return image.clean[tuple(np.rint(points).astype(int).T)]

    assert at(image.atoms).min() > np.quantile(image.clean, 0.5)
    holes = np.array([(site["x"], site["y"]) for site in image.sites])
    assert np.median(at(holes)) < 0.2 * np.median(at(image.atoms))


def test_every_defect_is_counted_once(reference, image):
    holes = np.array([(site["x"], site["y"]) for site in image.sites])
    where = image.label_of(holes)
    own = reference.of_split("test")
    for number, about in enumerate(own.structures):
        assert (where == number).sum() == len(about["defects"])
    # those of the rim are known, too, so that what is found there is not called false
    assert (where == -1).any()


def test_a_split_of_few_structures_still_fills_an_image(reference):
    validation = reference_image(reference, "val", seed=3)
    assert set(np.unique(validation.labels)) == {-1, 0, 1}
    assert min(validation.clean.shape) >= 176


def judged(scene, denoised, method, *, sigma=None, trained_on=""):
    sums, kinds = sums_of(scene, denoised, sigma)
    return Judged(
        method, trained_on, "graphene_5x3", "graphene", "gaussian", 0.2, sums=sums, kinds=kinds
    )


def table(parts):
    rows = figures_table(parts, seed=1)
    return {(r["method"], r["figure"]): r for r in rows if r["crystal"] == "graphene"}


def test_the_truth_is_judged_perfect(scene):
    clean = scene.image.clean
    rows = table([judged(scene, clean, "truth", sigma=np.zeros(clean.shape))])
    values = {figure: row["value"] for (_, figure), row in rows.items()}
    assert values["ms_ssim"] == pytest.approx(1, abs=1e-9)
    assert values["rms_error"] == values["pore_centre_rmse_pm"] == 0
    assert values["atom_intensity_rmse"] == 0
    assert values["defect_recall"] == values["defect_precision"] == 1
    assert values["false_defects_per_nm2"] == 0
    assert values["coverage_68_bulk"] == values["coverage_68_defect"] == 1
    assert values["coverage_68_edge"] == ""  # a sheet has none
    assert {row["n"] for row in rows.values()} == {N_TEST}
    assert set(values) == {figure.name for figure in FIGURES}


def test_pooled_ms_ssim_is_that_of_the_image(scene):
    """Up to the rim, which is not counted."""
    clean = scene.image.clean
    rng = np.random.default_rng(5)
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    row = table([judged(scene, noisy, "noisy")])["noisy", "ms_ssim"]
    assert row["value"] == pytest.approx(ms_ssim(denoised=noisy, clean=clean), abs=0.01)
    assert row["low"] < row["value"] < row["high"]


def test_a_filled_vacancy_is_missed_in_its_structure_alone(reference, scene):
    clean = scene.image.clean
    place = next(s for s in scene.image.sites if scene.image.label_of([(s["x"], s["y"])])[0] == 2)
    x, y = (np.arange(n) for n in clean.shape)
    hole = np.exp(-((x[:, None] - place["x"]) ** 2 + (y - place["y"]) ** 2) / (2 * 2.5**2))
    height = np.median(clean[tuple(np.rint(scene.image.atoms).astype(int).T)])
    filled = judged(scene, clean + height * hole, "fills")
    kept = judged(scene, clean, "truth")
    lost = (kept.sums["hits"] - filled.sums["hits"]).ravel()
    assert lost.tolist() == [float(n == 2) for n in range(N_TEST)]
    row = table([filled])["fills", "defect_recall"]
    assert row["value"] < 1
    assert row["low"] < row["value"] < row["high"] < 1
    assert kinds_table([filled])[0]["found"] == kinds_table([kept])[0]["found"] - 1


def test_an_invented_defect_is_false(scene):
    clean = scene.image.clean.copy()
    # an atom of the bulk taken away where no defect is known
    holes = np.array([(s["x"], s["y"]) for s in scene.image.sites])
    inside = scene.image.label_of(scene.image.atoms) >= 0
    apart = np.linalg.norm(scene.image.atoms[:, None] - holes[None], axis=2).min(axis=1)
    atom = scene.image.atoms[np.flatnonzero(inside & (apart > 25))[0]]
    x, y = (np.arange(n) for n in clean.shape)
    clean -= np.exp(-((x[:, None] - atom[0]) ** 2 + (y - atom[1]) ** 2) / (2 * 2.5**2))
    rows = table([judged(scene, clean, "invents")])
    assert rows["invents", "defect_recall"]["value"] == 1
    assert rows["invents", "defect_precision"]["value"] < 1
    assert rows["invents", "false_defects_per_nm2"]["value"] > 0


def test_a_shift_shows_in_the_pores_alone(scene):
    clean = scene.image.clean
    shift = 0.1 / SAMPLING  # 10 pm
    frequency = np.fft.fftfreq(clean.shape[0])[:, None]
    moved = np.fft.ifft(np.fft.fft(clean, axis=0) * np.exp(-2j * np.pi * frequency * shift), axis=0)
    rows = table([judged(scene, moved.real, "shifts")])
    assert rows["shifts", "pore_centre_rmse_pm"]["value"] == pytest.approx(10, abs=1)
    assert rows["shifts", "defect_recall"]["value"] == 1
    assert rows["shifts", "false_defects_per_nm2"]["value"] == 0


def test_sigma_is_judged_by_place(scene):
    """Errors of one standard deviation in the bulk, of three at the defects."""
    clean = scene.image.clean
    scale = np.where(scene.places == PLACES.index("defect"), 0.03, 0.01)
    noise = np.random.default_rng(2).normal(0, 1, clean.shape)
    sigma = np.full(clean.shape, 0.01)
    rows = table([judged(scene, clean + scale * noise, "own", sigma=sigma)])
    assert rows["own", "coverage_68_bulk"]["value"] == pytest.approx(0.683, abs=0.01)
    assert rows["own", "coverage_68_defect"]["value"] == pytest.approx(0.261, abs=0.03)


def test_methods_are_compared_on_the_same_structures(scene):
    clean = scene.image.clean
    noise = np.random.default_rng(3).normal(0, 1, clean.shape)
    parts = [
        judged(scene, clean + 0.05 * noise, "net", trained_on="all"),
        judged(scene, clean + 0.10 * noise, "rival"),
    ]
    (row,) = [r for r in paired_table(parts, seed=1) if r["crystal"] == "graphene"]
    assert (row["method"], row["other"], row["n"]) == ("net", "rival", N_TEST)
    assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]
    assert row["loss_ratio_low"] < row["loss_ratio"] < row["loss_ratio_high"] < 1
    # of the errors' squares, the ratio of the losses is a quarter where losses are small
    assert row["loss_ratio"] == pytest.approx(0.27, abs=0.06)


def test_one_task_judges_networks_classical_methods_and_programs(folder, monkeypatch):
    monkeypatch.setattr(benchmark, "FEATURELESS", (1, 192))
    chosen = benchmarking.Benchmark(
        programs=[benchmarking.Program("cp {input} {output}", "copy")],
        noises=["gaussian"],
        c_noise=[0.25],
        reference=folder,
    )
    (task,) = chosen.tasks()
    monkeypatch.setattr(benchmark, "BASELINES", {"raw": benchmark.BASELINES["raw"]})
    found = {part.method: part for part in judge(task)}
    assert set(found) == {"raw", "copy", "pretrained_density"}
    for name in found["raw"].sums:
        np.testing.assert_allclose(found["copy"].sums[name], found["raw"].sums[name], rtol=0.05)
    rows = {(r["method"], r["figure"]): r for r in figures_table(list(found.values()), seed=1)}
    assert rows["pretrained_density", "invented_per_nm2"]["high"] > 0
    (against,) = [r for r in paired_table(list(found.values()), seed=1) if r["other"] == "raw"][:1]
    assert against["loss_ratio_high"] < 0.7
    # programs are slow, so elsewhere they are left out
    other = Task(task.reference, "gaussian", 0.1, 1, (), task.programs, classical=False)
    assert judge(other) == []


@pytest.fixture
def small_set(folder, monkeypatch):
    original = benchmarking.Benchmark.tasks
    monkeypatch.setattr(
        benchmarking.Benchmark, "tasks", lambda self: original(replace(self, reference=folder))
    )


def test_command_writes_the_tables(small_set, tmp_path, capsys):
    made_in = tmp_path / "out"
    arguments = ["benchmark", "--no-classical", "--noise", "gaussian", "--c-noise", "0.1"]
    assert main([*arguments, "--jobs", "1", "-o", str(made_in)]) == 0
    assert "1 images judged" in capsys.readouterr().err
    rows = read_table(made_in / "benchmark.csv")
    assert {row["method"] for row in rows} == {"pretrained_density"}
    about = read_json(made_in / "benchmark.json")
    assert about["command"].startswith("temdenoise")
    assert {"commit", "seed", "processor", "packages"} <= set(about)
    json.dumps(about)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--noise", "pink"], "noise pink: expected some of gaussian"),
        (["--crystal", "diamond"], "crystal diamond: expected some of graphene_5x3"),
        (["--run", "."], "no models/\\*/model.pt in it; expected the folder `results`"),
        (["--command", "denoiser {input}"], "lacks {output}"),
        (["--command", "false {input} {output}"], "failed with exit code 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(small_set, capsys, arguments, message):
    assert main(["benchmark", *arguments]) == 1
    assert re.search(message, capsys.readouterr().err)
