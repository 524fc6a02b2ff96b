"""Implants: what is planted looks like what is there, and responses are what was kept."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from made_up_models import ADF, made_up
from temdenoise import cli as commands
from temdenoise import implanting
from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.foundation.files import read_table
from temdenoise.foundation.quantities import PixelSize
from temdenoise.implanting import implant
from temdenoise.judging.programs import Program
from temdenoise.micrographs.implants import FEWEST, Ground, Implants, Planting

PIXEL = 0.2
SPACING = 2.0
"""Distance of neighbouring atoms [Å]."""

WIDTH = 0.42
"""Standard deviation of an atom [Å]."""

SIDE = 320
HEIGHT, BASE = 20.0, 10.0
VACANCIES = Planting(strengths=(0.0,), count=1000)


def places(seed, side=SIDE):
    """Atoms of a hexagonal lattice that moved a little [pixels]."""
    rng = np.random.default_rng(seed)
    step = SPACING / PIXEL
    angles = np.array([0.2, 0.2 + np.pi / 3])
    vectors = step * np.stack([np.cos(angles), np.sin(angles)], 1)
    number = int(3 * side / step)
    index = np.mgrid[-number:number, -number:number].reshape(2, -1).T
    found = index @ vectors + rng.uniform(0, step, 2)
    found = found[((found > -10) & (found < side + 10)).all(axis=1)]
    return found + rng.normal(0, 0.1, found.shape)


def atoms(found, side=SIDE):
    x = np.arange(side)
    rows, columns = (
        np.exp(-((x[:, None] - found[:, i]) ** 2) / (2 * (WIDTH / PIXEL) ** 2)) for i in (0, 1)
    )
    return BASE + HEIGHT * rows @ columns.T


def counted(mean, rng):
    return rng.poisson(mean).astype(float)


def detected(mean, rng):
    """Gaussian noise of variance 60 + 3 mean, a black level of 5, and no whole numbers."""
    return 5 + mean + rng.standard_normal(mean.shape) * np.sqrt(60 + 3 * mean)


def ground_of(image):
    return implanting._part_of(image, PixelSize.of(PIXEL)).ground


def cut(image, points, reach=5):
    """What is around points, shape (n, pixels)."""
    return np.array(
        [
            image[i - reach : i + reach + 1, j - reach : j + reach + 1].ravel()
            for i, j in np.rint(points).astype(int)
        ]
    )


def pairs(noise, frames):
    """Patches about planted vacancies and about true ones, at equal places in other noise."""
    planted, true = [], []
    for number in range(frames):
        rng = np.random.default_rng(number)
        found = places(number)
        ground = ground_of(noise(atoms(found), rng))
        for implants in ground.implants(VACANCIES):
            away = np.linalg.norm(found[:, None] - implants.sites, axis=-1).argmin(axis=0)
            empty = noise(atoms(np.delete(found, away, axis=0)), rng)
            planted.append(cut(ground.planted(implants, rng), found[away]))
            true.append(cut(empty, found[away]))
    return np.concatenate(planted), np.concatenate(true)


def features(patches, scale):
    """Pixels, squares of smoothed pixels, and what an atom and its displacement would change."""
    side = int(np.sqrt(patches.shape[1]))
    grid = np.mgrid[:side, :side] - side // 2
    bump = np.exp(-(grid**2).sum(0) * PIXEL**2 / (2 * WIDTH**2))
    forms = np.stack([bump, bump * grid[0], bump * grid[1]]).reshape(3, -1)
    along = patches @ (forms / np.linalg.norm(forms, axis=1, keepdims=True)).T
    squares = (patches**2).mean(axis=1, keepdims=True)
    ring = patches[:, bump.ravel() > 0.5].std(axis=1, keepdims=True)
    found = np.concatenate([patches, along, along**2 / scale, squares / scale, ring], axis=1)
    return found / scale


def classified(planted, true):
    """Area under the curve of a linear discriminant on halves it has not seen, and its error."""
    both = np.concatenate([planted, true])
    middle, scale = both.mean(), both.std()
    ours, theirs = (features(part - middle, scale) for part in (planted, true))
    order = np.random.default_rng(0).permutation(len(ours))
    scores = np.empty((2, len(ours)))
    for train, test in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        seen = np.concatenate([ours[train], theirs[train]])
        spread = np.cov(seen.T)
        spread += 0.1 * np.trace(spread) / len(spread) * np.eye(len(spread))
        weights = np.linalg.solve(spread, ours[train].mean(0) - theirs[train].mean(0))
        scores[:, test] = ours[test] @ weights, theirs[test] @ weights
    ranks = np.argsort(np.argsort(scores.ravel())) + 1
    n = len(ours)
    area = (ranks[:n].sum() - n * (n + 1) / 2) / n**2
    return area, np.sqrt((2 * n + 1) / (12 * n**2))


@pytest.mark.parametrize("noise", [counted, detected])
def test_planted_vacancies_cannot_be_told_from_true_ones(noise):
    planted, true = pairs(noise, 5)
    assert len(planted) > 500
    area, error = classified(planted, true)
    assert area - 1.96 * error > 0.45
    assert area + 1.96 * error < 0.55


def test_the_classifier_sees_what_is_planted_without_its_noise():
    """Subtracting the atom alone leaves its noise, which the test above would notice."""
    planted, true = [], []
    for number in range(15):
        rng = np.random.default_rng(number)
        found = places(number)
        inside = found[((found > 30) & (found < SIDE - 30)).all(axis=1)]
        taken = rng.choice(len(inside), 40, replace=False)
        away = np.linalg.norm(found[:, None] - inside[taken], axis=-1).argmin(axis=0)
        mean, empty = atoms(found), atoms(np.delete(found, away, axis=0))
        planted.append(cut(detected(mean, rng) - mean + empty, inside[taken]))
        true.append(cut(detected(empty, rng), inside[taken]))
    area, error = classified(np.concatenate(planted), np.concatenate(true))
    assert area - 1.96 * error > 0.55


@pytest.fixture(scope="module")
def frame():
    return counted(atoms(places(3)), np.random.default_rng(3))


def test_what_keeps_everything_has_response_1(frame):
    found = implant(frame, sampling=PIXEL, denoise=lambda image: image)
    assert [(g.kind, g.strength) for g in found.comparison.groups] == [
        ("vacancy", 0.0),
        ("foreign atom", 1.5),
        ("foreign atom", 2.0),
    ]
    for group in found.comparison.groups:
        assert group.number == 40
        assert group.response.low - 0.02 < 1 < group.response.high + 0.02
        assert group.planted == pytest.approx(group.response.value)
        assert group.kept_interval[1] == 1


def test_what_averages_the_lattice_has_response_0(frame):
    cells = ground_of(frame).atoms.cells

    def averaged(image):
        return cells.lay(cells.average(image))

    found = implant(frame, sampling=PIXEL, denoise=averaged)
    for group in found.comparison.groups:
        # each of the implants of a run moves the average by its part
        assert abs(group.response.value) < 0.15
        assert group.kept == 0


def test_what_halves_the_contrast_has_response_a_half(frame):
    found = implant(frame, sampling=PIXEL, denoise=lambda image: 3 + 0.4 * image)
    for group in found.comparison.groups:
        assert group.response.value == pytest.approx(0.4, abs=0.03)


def test_counts_stay_counts_and_other_places_as_recorded(frame):
    ground = ground_of(frame)
    assert ground.counts
    implants = ground.implants(Planting())[0]
    planted = ground.planted(implants, np.random.default_rng(0))
    np.testing.assert_array_equal(planted, np.rint(planted))
    assert planted.min() >= 0
    far = ground.drawn(implants.points, np.ones(len(implants.points))) == 0
    np.testing.assert_array_equal(planted[far], frame[far])
    assert 0.2 < far.mean() < 1


def test_noise_follows_the_mean():
    """Variance at the middle of planted atoms and vacancies, of detectors with gain."""
    rng = np.random.default_rng(1)
    mean = atoms(places(5))
    ground = ground_of(detected(mean, rng))
    assert not ground.counts
    assert ground.noise.gain == pytest.approx(3, rel=0.1)
    implants = ground.implants(Planting(strengths=(0.0, 3.0)))[0]
    for strength, expected in ((0.0, BASE), (3.0, BASE + 3 * HEIGHT)):
        own = implants.strengths == strength
        i, j = np.rint(implants.sites[own]).astype(int).T
        drawn = [
            ground.planted(implants, np.random.default_rng(n))[i, j] - ground.image[i, j]
            for n in range(60)
        ]
        known = ground.noise.of_pixels(np.full(1, 5 + expected))[0]
        before = ground.noise.of_pixels(np.full(1, 5 + BASE + HEIGHT))[0]
        fresh = known * (1 - known / before) if strength == 0 else known - before
        assert np.var(drawn, axis=0).mean() == pytest.approx(fresh, rel=0.2)


def test_sites_keep_their_distance_and_are_used_once(frame):
    ground = ground_of(frame)
    chosen = ground.implants(Planting(count=30, seed=4))
    assert 1 < len(chosen) <= 4
    every = np.concatenate([one.sites for one in chosen])
    assert len(np.unique(every, axis=0)) == len(every) == 90
    for one in chosen:
        away = np.linalg.norm(one.sites[:, None] - one.sites, axis=-1)
        assert away[away > 0].min() >= 3 * ground.spacing
        assert one.sites.min() >= 3 * ground.spacing
    again = ground.implants(Planting(count=30, seed=4))
    np.testing.assert_array_equal(again[0].points, chosen[0].points)
    other = ground.implants(Planting(count=30, seed=5))
    assert not np.array_equal(other[0].sites[:5], chosen[0].sites[:5])


def test_what_departs_from_the_lattice_is_left_alone():
    rng = np.random.default_rng(2)
    found = places(7)
    inside = np.flatnonzero(((found > 50) & (found < SIDE - 50)).all(axis=1))
    missing = rng.choice(inside, 25, replace=False)
    ground = ground_of(counted(atoms(np.delete(found, missing, axis=0)), rng))
    free = ground.sites[0][ground.free]
    nearest = np.linalg.norm(found[missing][:, None] - free, axis=-1).min(axis=1)
    assert np.sum(nearest < 3) <= 1
    assert len(free) > 0.7 * len(inside)


def test_species_are_told_by_their_height(frame):
    ground = ground_of(frame)
    motif = replace(ground.atoms.motif, heights=np.array([20.0, 17.0, 9.0, 1.0]))
    assert replace(ground, atoms=replace(ground.atoms, motif=motif)).species.tolist() == [
        *(1, 1, 2, 0)
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strengths": ()}, "expected one or more"),
        ({"strengths": (2.0, 2.0)}, "all different"),
        ({"strengths": (1.0,)}, r"strength 1: expected 0 \(a vacancy\)"),
        ({"strengths": (-1.0,)}, "strength -1"),
        ({"strengths": (float("nan"),)}, "strength nan"),
        ({"count": 1}, "count = 1: expected 5"),
        ({"runs": 5}, "runs = 5: expected 1 to 4"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_what_cannot_be_planted(options, said):
    with pytest.raises(DataError, match=said):
        Planting(**options)


def never(image):
    raise AssertionError("nothing costly before the frame is known to do")


def test_frames_that_cannot_be_used(frame, rng):
    with pytest.raises(DataError, match="no lattice of two directions"):
        implant(rng.normal(size=(256, 256)), sampling=PIXEL, denoise=never)
    with pytest.raises(DataError, match=r"too small: .* fit into 112 x 112 pixels"):
        implant(frame[:112, :112], sampling=PIXEL, denoise=never)
    with pytest.raises(ValueError, match=r"shape \(2, 320, 320\)"):
        implant(np.stack([frame, frame]), sampling=PIXEL, denoise=never)
    with pytest.raises(ValueError, match="sampling = -1"):
        implant(frame, sampling=-1, denoise=never)
    with pytest.raises(DataError, match="expected finite numbers of shape"):
        implant(frame, sampling=PIXEL, denoise=lambda image: image[1:])


def test_a_program_that_is_not_there():
    with pytest.raises(ConfigurationError, match="no program 'no-such-program'"):
        implanting.by_program(Program("no-such-program {input} {output}", "it"))


STUB = """
import sys, numpy as np, tifffile
from scipy.ndimage import gaussian_filter
image = tifffile.imread(sys.argv[1])
assert image.shape == ({rows}, {columns}), image.shape
tifffile.imwrite(sys.argv[2], gaussian_filter(image, 0.5) / 100)
"""


def run(capsys, *arguments):
    code = commands.main([str(a) for a in arguments])
    return code, capsys.readouterr().err


def test_command(frame, tmp_path, capsys):
    cropped = frame[:, 20:]
    np.save(tmp_path / "scan.npy", cropped)
    before = (tmp_path / "scan.npy").read_bytes()
    stub = tmp_path / "stub.py"
    stub.write_text(STUB.format(rows=cropped.shape[0], columns=cropped.shape[1]))
    program = f"blur={sys.executable} {stub} {{input}} {{output}}"
    options = ["--count", "10", "--strength", "0", "2", "--sampling", PIXEL, "--seed", "3"]
    out = tmp_path / "out"
    code, said = run(
        capsys, "implant", tmp_path / "scan.npy", "--command", program, *options, "-o", out
    )
    assert code == 0, said
    assert re.search(r"vacancy: 10 planted, response \d\.\d\d \(.* kept 10 \(69 to 100 %\)", said)
    assert sorted(p.name for p in out.iterdir()) == [
        f"scan_implants.{ending}" for ending in ("csv", "json", "png")
    ]
    assert (tmp_path / "scan.npy").read_bytes() == before
    rows = read_table(out / "scan_implants.csv")
    assert list(rows[0]) == ["row", "column", "species", "kind", "strength", "response", "run"]
    assert len(rows) == 20
    numbers = json.loads((out / "scan_implants.json").read_text())
    assert (numbers["file"], numbers["denoiser"], numbers["seed"]) == ("scan.npy", "blur", 3)
    assert numbers["command"] == program.removeprefix("blur=")
    (vacancies, foreign) = numbers["groups"]
    assert vacancies["number"] == foreign["number"] == 10
    mean = np.mean([row["response"] for row in rows if row["kind"] == "vacancy"])
    assert vacancies["response"] == pytest.approx(mean, rel=1e-5)
    assert 0.8 < vacancies["response"] < 1.2
    assert (out / "scan_implants.png").read_bytes().startswith(b"\x89PNG")


def test_command_with_a_model(frame, tmp_path, capsys, monkeypatch):
    """The model is chosen once; a network that takes nothing away keeps what is planted."""
    monkeypatch.setattr("temdenoise.report.implants.picture", lambda *_: b"")
    np.save(tmp_path / "scan.npy", frame[:224, :224])
    made_up(ADF).save(tmp_path / "model.pt")
    options = ["--model", tmp_path / "model.pt", "--kind", "adf", "--sampling", PIXEL]
    options += ["--strength", "0", "--count", "5", "--runs", "1"]
    code, said = run(capsys, "implant", tmp_path / "scan.npy", *options)
    assert code == 0, said
    numbers = json.loads((tmp_path / "scan_implants.json").read_text())
    assert numbers["denoiser"].startswith("model ")
    assert numbers["groups"][0]["number"] == 5
    assert numbers["groups"][0]["response"] > 0.4


def test_errors_of_the_command(frame, tmp_path, capsys):
    path = tmp_path / "scan.npy"
    np.save(path, frame)
    good = "cp {input} {output}"
    size = ["--sampling", PIXEL]
    for arguments, code, text in (
        (["--command", "cp {input}", *size], 2, "lacks {output}"),
        (["--command", good, *size, "--strength", "1"], 2, "strength 1"),
        (["--command", good, *size, "--count", "1"], 2, "count = 1"),
        (["--command", "no-such-program {input} {output}", *size], 1, "no program"),
        (["--command", good], 1, "does not say its pixel size"),
        (["--command", good, "--crystal", "unobtainium"], 1, "unobtainium"),
        (["--command", "false {input} {output}", *size], 1, "failed with exit code 1"),
    ):
        found, said = run(capsys, "implant", path, *arguments)
        assert (found, text in said) == (code, True), said
    assert [p.name for p in tmp_path.iterdir()] == ["scan.npy"]


def test_the_pixel_size_is_taken_from_the_crystal(frame, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("temdenoise.report.implants.picture", lambda *_: b"")
    # rings of this lattice lie at the spacing of graphene's, if pixels were larger
    np.save(tmp_path / "scan.npy", frame)
    code, said = run(
        capsys,
        *("implant", tmp_path / "scan.npy", "--crystal", "graphene"),
        *("--command", "cp {input} {output}", "--strength", "0", "--count", "5"),
    )
    assert code == 0, said
    numbers = json.loads((tmp_path / "scan_implants.json").read_text())
    spacing = SPACING * np.sqrt(3) / 2
    assert numbers["sampling_angstrom"][0] == pytest.approx(PIXEL * 2.13 / spacing, rel=0.02)


def test_ground_and_implants_are_what_they_say(frame):
    ground = ground_of(frame)
    assert isinstance(ground, Ground)
    (implants, *_) = ground.implants(Planting(strengths=(0.0,), count=FEWEST))
    assert isinstance(implants, Implants)
    np.testing.assert_allclose(implants.added, -implants.heights)
    assert np.linalg.norm(implants.points - implants.sites, axis=1).max() < 3
    assert implants.heights.mean() == pytest.approx(HEIGHT, rel=0.1)
