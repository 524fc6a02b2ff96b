"""A second opinion on what other programs made of a frame: oracles that tell the truth or lie."""

import doctest
import json
import shlex
import sys

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from made_up_frames import PIXEL, crystal
from PIL import Image
from scipy.ndimage import gaussian_filter, shift
from temdenoise import cli as commands
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.foreign_verdict import CHECKS
from temdenoise.micrographs.sites import KINDS, OUTCOMES
from temdenoise.micrographs.verdict import Weight
from temdenoise.second_opinion import CONTRADICTED, judge_result

SHAPE = (256, 240)
WIDE = (460, 460)  # some 560 sites
MEAN = 5.0
WIDTH = 0.42


class Scene:
    """Atoms on a lattice, 15 of them missing, and lies about them."""

    def __init__(self, shape=SHAPE, *, seed=1, missing=15):
        clean, self.atoms, self.missing = crystal(shape, missing=missing, seed=seed)
        self.clean = clean + MEAN
        self.height = np.ptp(clean)
        self.shape = shape

    def with_atoms(self, places):
        """Put atoms at places [pixels] into the true image."""
        x, y = (step * np.arange(n) for n, step in zip(self.shape, PIXEL, strict=True))
        image = self.clean.copy()
        for row, column in places * np.array(PIXEL):
            bump = [
                np.exp(-((axis - at) ** 2) / (2 * WIDTH**2)) for axis, at in ((x, row), (y, column))
            ]
            image += self.height * np.outer(*bump)
        return image

    def filled(self):
        return self.with_atoms(self.missing)

    def invented(self, number=5):
        """Atoms in the middle of triangles of the lattice."""
        inner = ((self.atoms > 40) & (self.atoms < np.array(self.shape) - 60)).all(axis=1)
        apart = self.atoms[inner][:: max(1, inner.sum() // number)][:number]
        away = 3.1 / np.sqrt(3) / PIXEL.rows
        turn = 0.2 + np.pi / 6
        return apart + away * np.array([np.cos(turn), np.sin(turn)])

    def noisy(self, level, seed=0):
        return self.clean + level * np.random.default_rng(seed).standard_normal(self.shape)


@pytest.fixture(scope="module")
def scene():
    return Scene()


@pytest.fixture(scope="module")
def frame(scene):
    return scene.noisy(1.0)


def judge(frame, result=None, **options):
    return judge_result(frame, result, sampling=PIXEL.rows, **options)


def findings(opinion):
    return {finding.check: finding.weight for finding in opinion.verdict.findings}


def contradicted(opinion):
    sites = opinion.seen.sites
    return sites.positions[sites.outcome == OUTCOMES.index("contradicted")]


def hit(places, wanted, within=6.0):
    """Which of the wanted places one of the places lies at."""
    if not len(places):
        return np.zeros(len(wanted), bool)
    return (np.linalg.norm(wanted[:, None] - places, axis=-1) < within).any(axis=1)


def test_the_truth_is_left_open_and_never_supported(scene):
    alarms = sites = 0
    for level, seed in ((0.5, 0), (1.0, 1), (1.0, 2), (3.0, 3)):
        found = judge(scene.noisy(level, seed), scene.clean)
        assert found.verdict.level == "careful", found.verdict.reasons
        assert found.verdict.findings[0].check == "left_open"
        assert found.seen.sites.count("supported") == 0
        assert "contradicts it" in found.verdict.headline
        assert found.seen.rest_over_noise == pytest.approx(1, abs=0.02)
        alarms += len(contradicted(found))
        sites += len(found.seen.sites.outcome)
    assert sites > 600
    assert alarms <= 1


@pytest.mark.parametrize("level", [0.5, 1.0])
def test_filled_vacancies_are_contradicted(level):
    scene = Scene(WIDE)
    found = judge(scene.noisy(level), scene.filled())
    places = contradicted(found)
    assert hit(places, scene.missing).sum() >= 14
    assert (~hit(scene.missing, places)).sum() <= 1
    assert found.verdict.level == "no"
    assert findings(found)["contradicted_sites"] is Weight.AGAINST
    assert found.seen.sites.count("supported") == 0
    why = found.sentences[1]
    assert "shows an atom of strength" in why
    assert "the frame's own data have" in why


def test_invented_atoms_are_contradicted(scene, frame):
    places = scene.invented()
    found = judge(frame, scene.with_atoms(places))
    assert hit(contradicted(found), places).all()
    assert len(contradicted(found)) <= 6
    beside = found.seen.sites.species == -1
    assert (found.seen.sites.shown[beside] == KINDS.index("other")).all()
    assert found.verdict.level == "no"


def test_a_lattice_of_another_spacing_is_invented(frame):
    found = judge(frame, MEAN + crystal(SHAPE, spacing=2.6)[0])
    assert found.verdict.level == "no"
    assert {"unrelated", "invented_structure"} <= findings(found).keys()
    assert found.seen.sites is None
    (remedy,) = (r for r in found.verdict.remedies if "magnified" in r)
    assert "0.83" in remedy or "0.84" in remedy


def test_erased_amorphous_contrast_is_doubted(scene, rng):
    slow = gaussian_filter(rng.standard_normal(SHAPE), 2.0 / PIXEL.rows, mode="wrap")
    slow *= 0.5 / slow.std()
    frame = scene.noisy(1.0) + slow
    kept = judge(frame, scene.clean + slow)
    assert "removed_contrast" not in findings(kept)
    erased = judge(frame, scene.clean)
    assert findings(erased)["removed_contrast"] is Weight.DOUBT
    assert "slow contrast" in " ".join(erased.verdict.reasons)
    bands = {band.name: band for band in erased.seen.bands}
    assert bands["slow contrast"].removed > 0.6
    assert abs(bands["lattice and finer contrast"].removed) < 0.1


def test_a_difference_that_is_no_noise_is_doubted(frame):
    smooth = judge(frame, gaussian_filter(frame, 4))
    assert findings(smooth)["lattice_removed"] is Weight.AGAINST  # most of it
    assert findings(smooth)["no_noise"] is Weight.DOUBT
    # what is that smooth shows no atoms, so that it cannot be wrong about one
    assert judge(frame, gaussian_filter(frame, 8)).seen.sites is None
    faint = judge(frame, gaussian_filter(frame, 0.5))
    assert "much noise is left" in " ".join(faint.verdict.reasons)


def test_the_frame_itself_and_nothing_are_said(frame):
    same = judge(frame, frame)
    assert "nothing was denoised" in same.verdict.headline
    assert same.verdict.level == "careful"
    with pytest.raises(DataError, match="constant, 3 everywhere"):
        judge(frame, np.full(SHAPE, 3.0))


@pytest.mark.parametrize("bits", [False, True])
def test_gain_and_offset_are_fitted(scene, frame, bits):
    result = (scene.filled() - MEAN) / 7 + 100
    if bits:
        result = np.rint(255 * (result - result.min()) / np.ptp(result)).astype(np.uint8)
    found = judge(frame, result)
    assert not found.seen.match.kept
    assert hit(contradicted(found), scene.missing).sum() >= 14
    plain = judge(frame, scene.filled())
    assert found.seen.rest_over_noise == pytest.approx(plain.seen.rest_over_noise, abs=0.01)


def test_a_result_that_weakens_all_is_not_made_stronger(frame):
    smooth = gaussian_filter(frame, 3)
    assert judge(frame, smooth).seen.match.kept
    scaled = judge(frame, (smooth - smooth.min()) / np.ptp(smooth))
    assert not scaled.seen.match.kept
    assert scaled.seen.residual.lattice_left < judge(frame, smooth).seen.residual.lattice_left


def test_a_contrast_that_is_too_strong_is_no_matter_of_single_atoms(scene, frame):
    found = judge(frame, MEAN + 1.5 * (scene.clean - MEAN))
    assert len(contradicted(found)) <= 1


def test_inverted_contrast_is_refuted(scene, frame):
    found = judge(frame, -scene.clean)
    assert found.verdict.findings[0].check == "inverted"
    assert found.verdict.level == "no"


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda image: image[::-1], "upside down"),
        (lambda image: image[:, ::-1], "mirrored"),
        (lambda image: image[::-1, ::-1], "turned by 180"),
    ],
)
def test_turned_results_are_refused(scene, turn, words):
    # a lattice alone would lie on itself
    frame = scene.noisy(0.5)
    frame[30:60, 20:50] += 2
    clean = scene.clean.copy()
    clean[30:60, 20:50] += 2
    with pytest.raises(DataError, match=words):
        judge(frame, turn(clean))


def test_a_transposed_result_of_a_square_frame_is_refused():
    scene = Scene((240, 240), seed=2)
    with pytest.raises(DataError, match="transposed"):
        judge(scene.noisy(1.0), scene.clean.T)


def test_a_displaced_result_is_said(scene, frame):
    found = judge(frame, shift(scene.clean, (0.5, 0), mode="mirror"))
    assert findings(found)["displaced"] is Weight.DOUBT
    assert found.seen.match.displaced[0] == pytest.approx(0.5, abs=0.15)
    assert "displaced" not in findings(judge(frame, gaussian_filter(frame, 2)))


def test_swapped_files_are_refused(scene, frame):
    with pytest.raises(DataError, match="name the frame first"):
        judge(scene.clean + 0.05 * np.random.default_rng(0).standard_normal(SHAPE), frame)


@pytest.mark.parametrize("how", ["smoothed", "interpolated"])
def test_of_a_filtered_frame_nothing_is_supported(scene, how):
    noise = np.random.default_rng(5).standard_normal(SHAPE)
    if how == "smoothed":
        frame = gaussian_filter(scene.clean + noise, 1.2)
    else:
        half = scene.clean[::2, ::2] + noise[::2, ::2]
        frame = np.kron(half, np.ones((2, 2)))
        frame = gaussian_filter(frame, 1.0)
    found = judge(frame, program=lambda image: gaussian_filter(image, 1.5))
    assert found.verdict.level != "good"
    assert findings(found)["filtered_frame"] is Weight.DOUBT
    assert found.seen.sites.count("supported") == 0
    assert not found.seen.score.valid
    assert "held_out_score" not in findings(found)
    # nor can anything be refuted for certain
    lie = judge(frame, gaussian_filter(scene.filled(), 1.2))
    assert findings(lie).get("contradicted_sites") is not Weight.AGAINST


def truth(scene):
    """A program that knows the true image, whatever it is given."""
    return lambda image: scene.clean.copy()


def test_a_program_can_be_supported(scene):
    found = judge(scene.noisy(0.5), program=truth(scene))
    sites = found.seen.sites
    assert sites.count("supported") > 0.95 * len(sites.outcome)
    assert sites.count("contradicted") <= 1
    assert found.verdict.level == "good", found.verdict.reasons
    assert {"supported_sites", "held_out_score"} <= findings(found).keys()
    assert found.seen.data == "the data held out"


def test_a_program_that_lies_is_refuted(scene):
    filled = scene.filled()
    found = judge(scene.noisy(0.5), program=lambda image: filled)
    assert hit(contradicted(found), scene.missing).sum() >= 14
    assert found.verdict.level == "no"


def test_a_gaussian_is_no_worse_than_a_gaussian(scene):
    frame = scene.noisy(1.0)
    worse = judge(frame, program=lambda image: gaussian_filter(image, 0.9))
    assert findings(worse)["worse_than_gaussian"] is Weight.DOUBT
    best = worse.seen.score.sigma
    found = judge(frame, program=lambda image: gaussian_filter(image, best))
    assert "worse_than_gaussian" not in findings(found)
    assert findings(found)["held_out_score"] is Weight.DOUBT
    noise = judge(frame, program=np.copy)
    assert findings(noise)["worse_than_gaussian"] is Weight.AGAINST


def exposures(displaced, level=0.7):
    """Two exposures of one place, the second displaced, and the true image of the first."""
    scene = Scene((340, 330), seed=3)
    second = shift(scene.clean - MEAN, displaced, order=3, mode="mirror") + MEAN
    parts = (slice(30, 30 + SHAPE[0]), slice(30, 30 + SHAPE[1]))
    rng = np.random.default_rng(9)
    noisy = [image[parts] + level * rng.standard_normal(SHAPE) for image in (scene.clean, second)]
    inside = ((scene.missing > 40) & (scene.missing < np.array(SHAPE) + 15)).all(axis=1)
    return (*noisy, scene.clean[parts], scene.filled()[parts], scene.missing[inside] - 30)


@pytest.mark.parametrize("displaced", [(0.0, 0.0), (3.4, -7.7), (-21.3, 12.5)])
def test_another_exposure_can_support(displaced):
    first, second, clean, filled, missing = exposures(displaced)
    # more electrons, another gain
    found = judge(first, clean, other=3 * second + 40)
    assert found.seen.unseen.certain
    assert found.seen.data == "the data of the other exposure"
    sites = found.seen.sites
    assert sites.count("supported") > 0.9 * len(sites.outcome)
    assert sites.count("contradicted") <= 1
    assert found.verdict.level == "good", found.verdict.reasons
    lie = judge(first, filled, other=3 * second + 40)
    assert hit(contradicted(lie), missing).mean() > 0.9
    assert lie.verdict.level == "no"


def test_exposures_of_other_places_are_refused_or_doubted(rng):
    first, _, clean, filled, _ = exposures((0.0, 0.0))
    with pytest.raises(DataError, match="does not correlate"):
        judge(first, clean, other=MEAN + rng.standard_normal(SHAPE))
    # another place of the same crystal: the lattice alone lies on the other
    perfect = MEAN + crystal(SHAPE, seed=8)[0] + 0.7 * rng.standard_normal(SHAPE)
    found = judge(first, filled, other=perfect)
    assert findings(found)["uncertain_place"] is Weight.DOUBT
    assert findings(found).get("contradicted_sites") is not Weight.AGAINST
    assert found.verdict.level != "good"


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (lambda image: image[::2, ::2], "looks binned by 2: resample it to 256 x 240"),
        (lambda image: np.kron(image, np.ones((2, 2))), "looks magnified by 2: bin it by 2"),
        (lambda image: image.T, "looks transposed: exchange its rows and columns"),
        (lambda image: image[4:-4, 4:-4], "looks cut, by 8 rows and 8 columns"),
        (lambda image: np.pad(image, 3), "looks padded, by 6 rows and 6 columns: cut it"),
        (lambda image: image[: 256 * 3 // 5, : 240 * 3 // 5], "looks resampled"),
        (lambda image: image[:100, :230], "looks cut, by 156 rows and 10 columns"),
        (lambda image: np.pad(image[:, 40:], ((0, 30), (0, 0))), "not show the same area"),
        (lambda image: image[None], "expected one image"),
    ],
)
def test_results_of_another_shape_are_named(scene, frame, cut, words):
    with pytest.raises(DataError, match=words):
        judge(frame, cut(scene.clean))


def test_missing_pixels_are_refused(scene, frame):
    result = scene.clean.copy()
    result[3, 4:7] = np.nan
    with pytest.raises(DataError, match="3 of the 61440 pixels of the result are not finite"):
        judge(frame, result)
    # where the frame has none either, there is nothing to judge
    blank = frame.copy()
    blank[:60] = 0
    result = np.where(np.arange(SHAPE[0])[:, None] < 60, np.nan, scene.clean)
    assert judge(blank, result).verdict.level == "careful"


def test_either_a_result_or_a_program(frame):
    with pytest.raises(ValueError, match="either"):
        judge(frame)
    with pytest.raises(ValueError, match="either"):
        judge(frame, frame, program=np.copy)


def test_a_named_crystal_checks_the_pixel_size(scene, frame):
    found = judge(frame, scene.clean, crystal="graphene")
    assert findings(found)["wrong_pixel_size"] is Weight.DOUBT
    found = judge(frame, scene.clean, kind="density")
    assert findings(found)["other_contrast"] is Weight.DOUBT
    assert "other_contrast" not in findings(judge(frame, scene.clean, kind="adf"))


def test_frames_of_noise_alone_support_and_refute_nothing_but_lattices(rng):
    frame = MEAN + rng.standard_normal(SHAPE)
    smooth = judge(frame, gaussian_filter(frame, 2))
    assert smooth.verdict.level == "careful"
    assert "no_lattice" in findings(smooth)
    invented = judge(frame, MEAN + crystal(SHAPE)[0])
    assert invented.verdict.level == "no"


def test_the_page_shows_what_runs():
    page = ROOT / "docs/judge.md"
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


def test_every_check_is_named_as_its_finding():
    names = [check.__name__ for check in CHECKS]
    assert len(set(names)) == len(names)


# the command


def run(capsys, *arguments):
    code = commands.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.fixture
def no_page(monkeypatch):
    """Leave out the drawing, which takes long."""
    from temdenoise.report import judged

    monkeypatch.setattr(judged, "summarise", lambda *_: (b"", ""))


@pytest.fixture
def folder(tmp_path, scene, frame):
    np.save(tmp_path / "frame.npy", frame)
    np.save(tmp_path / "true.npy", scene.clean)
    np.save(tmp_path / "lie.npy", scene.filled().astype(np.float32))
    return tmp_path


SAMPLING = ("--sampling", PIXEL.rows)


def test_the_command_writes_page_picture_and_numbers(folder, capsys):
    out = folder / "out"
    code, said = run(
        capsys, "judge", folder / "frame.npy", folder / "lie.npy", *SAMPLING, "-o", out
    )
    assert code == CONTRADICTED == 3
    assert "Do not trust it: the frame's own data contradict" in said
    assert "What would help:" in said
    assert sorted(path.name for path in out.iterdir()) == [
        "lie_judged.html",
        "lie_judged.json",
        "lie_judged.png",
    ]
    numbers = json.loads((out / "lie_judged.json").read_text())
    assert numbers["verdict"]["level"] == "no"
    assert len(numbers["verdict"]["sentences"]) == 3
    assert numbers["sites"]["contradicted"] == len(numbers["sites"]["contradicted_sites"]) >= 14
    assert numbers["judged_by"] == "the frame's own data"
    page = (out / "lie_judged.html").read_text()
    assert numbers["verdict"]["headline"].replace("'", "&#39;") in page
    assert "Contradicted sites" in page
    assert "http://" not in page
    with Image.open(out / "lie_judged.png") as picture:
        assert picture.width > 1200


@pytest.mark.usefixtures("no_page")
def test_exit_code_0_if_nothing_contradicts(folder, capsys):
    code, said = run(capsys, "judge", folder / "frame.npy", folder / "true.npy", *SAMPLING)
    assert code == 0
    assert "With care: nothing in the frame contradicts it" in said
    numbers = json.loads((folder / "true_judged.json").read_text())
    assert numbers["sites"]["supported"] == 0
    # the picture is taken for no image that somebody recorded
    (folder / "true_judged.png").write_bytes(b"")
    from temdenoise.denoise_files import images_at

    assert folder / "true_judged.png" not in images_at(folder)


@pytest.mark.usefixtures("no_page")
def test_a_command_is_run_and_can_be_supported(tmp_path, scene, capsys):
    np.save(tmp_path / "frame.npy", scene.noisy(0.5))
    np.save(tmp_path / "true.npy", scene.clean)
    code = (
        "import sys, numpy as np, tifffile; given = tifffile.imread(sys.argv[1]); "
        "true = np.load(sys.argv[2]); assert given.shape == true.shape; "
        "tifffile.imwrite(sys.argv[3], true)"
    )
    words = [sys.executable, "-c", code, "{input}", str(tmp_path / "true.npy"), "{output}"]
    command = f"oracle={shlex.join(words)}"
    frame = tmp_path / "frame.npy"
    code, said = run(capsys, "judge", frame, "--command", command, *SAMPLING)
    assert code == 0, said
    assert "Can be trusted" in said
    numbers = json.loads((tmp_path / "frame_oracle_judged.json").read_text())
    assert numbers["sites"]["supported"] > 100
    assert numbers["judged_by"] == "the data held out"
    code, said = run(capsys, "judge", frame, "--command", "false {input} {output}", *SAMPLING)
    assert code == 1
    assert "exit code 1" in said


@pytest.mark.usefixtures("no_page")
def test_frames_of_a_stack_judge_each_other(tmp_path, capsys):
    first, second, clean, filled, _ = exposures((2.0, 5.0))
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.stack([first, second]).astype(np.float32))
    np.save(tmp_path / "true.npy", clean)
    np.save(tmp_path / "lie.npy", filled)
    options = ["--frame", 1, "--other", stack, "--other-frame", 2, *SAMPLING]
    code, said = run(capsys, "judge", stack, tmp_path / "true.npy", *options)
    assert (code, "Can be trusted" in said) == (0, True), said
    assert run(capsys, "judge", stack, tmp_path / "lie.npy", *options)[0] == CONTRADICTED
    code, said = run(capsys, "judge", stack, tmp_path / "true.npy", *SAMPLING)
    assert (code, "holds 2 frames" in said, "--frame N" in said) == (1, True, True)
    options[-3] = 1
    code, said = run(capsys, "judge", stack, tmp_path / "true.npy", "--frame", 1, *options)
    assert (code, "is the frame itself" in said) == (1, True)
    code, said = run(capsys, "judge", stack, tmp_path / "true.npy", "--frame", 3, *SAMPLING)
    assert (code, "from 1 to 2" in said) == (1, True)


@pytest.mark.usefixtures("no_page")
def test_files_that_do_not_belong_together_are_refused(folder, scene, capsys):
    frame = folder / "frame.npy"
    colours = np.stack([np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % n for n in (250, 90, 40)])
    Image.fromarray(np.moveaxis(colours, 0, -1).astype(np.uint8)).save(folder / "screen.png")
    np.savez(folder / "two.npz", a=scene.clean, b=scene.clean)
    calibrated = {"unit": "nm", "spacing": 1, "axes": "YX"}
    tifffile.imwrite(
        folder / "other.tif",
        scene.clean.astype(np.float32),
        imagej=True,
        resolution=(1 / 0.03, 1 / 0.03),
        metadata=calibrated,
    )
    tifffile.imwrite(
        folder / "frame.tif",
        scene.noisy(1.0).astype(np.float32),
        imagej=True,
        resolution=(1 / 0.015, 1 / 0.015),
        metadata=calibrated,
    )
    for first, second, words in (
        (frame, "screen.png", "a picture in colours, such as a screenshot"),
        (frame, "two.npz", "holds 2 images"),
        (frame, "missing.tif", "there is no such file"),
    ):
        code, said = run(capsys, "judge", first, folder / second, *SAMPLING)
        assert (code, words in said) == (1, True), said
    code, said = run(capsys, "judge", folder / "frame.tif", folder / "other.tif")
    assert code == 1
    assert "its pixels are of 0.3 x 0.3 Å, those of the frame of 0.15 x 0.15 Å (2 times)" in said
    code, said = run(capsys, "judge", frame, folder / "true.npy")
    assert (code, "does not say its pixel size" in said) == (1, True)
    assert run(capsys, "judge", frame)[0] == 2
    assert run(capsys, "judge", frame, folder / "true.npy", "--command", "a")[0] == 2
    assert not list(folder.glob("*_judged*"))
