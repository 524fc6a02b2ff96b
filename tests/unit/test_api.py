"""The interface in Python: what it takes, returns, refuses and writes, and what it costs."""

import inspect
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import temdenoise
from conftest import ROOT
from made_up_frames import MOS2, PIXEL, counts, hexagonal
from made_up_models import ADF, DENSITY, made_up
from made_up_signals import Signal
from PIL import Image
from temdenoise import Options, api, cli, denoise, load_model
from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.foundation.modes import IMAGE_MODES, image_mode
from temdenoise.foundation.quantities import PixelSize
from temdenoise.learning.inference import Model
from temdenoise.micrographs import models, stack
from temdenoise.micrographs.evidence import Score
from temdenoise.micrographs.readers import Micrograph, read
from temdenoise.micrographs.stack import GAINS
from temdenoise.micrographs.verdict import TITLES, Weight

SAMPLING = PIXEL.rows


@pytest.fixture(scope="module")
def model():
    """It takes nothing away, and minds no unit: no scale is tried, so it is fast."""
    return made_up(ADF | {"standardised": True})


@pytest.fixture(scope="module")
def image():
    return counts(np.random.default_rng(7))


@pytest.fixture(scope="module")
def denoised(image, model):
    return denoise(image, sampling=SAMPLING, model=model)


def test_an_image_comes_back_with_all_that_is_known_of_it(denoised, image):
    assert denoised.image.shape == denoised.sigma.shape == image.shape
    assert denoised.image.dtype == denoised.sigma.dtype == np.float32
    # in the unit of the image
    assert denoised.image.mean() == pytest.approx(image.mean(), rel=1e-3)
    assert 60 < denoised.image.std() < image.std()
    assert (denoised.sigma > 0).all()
    assert denoised.sampling == PIXEL
    assert denoised.noise.kinds == ("white",)
    assert denoised.noise.sigma == pytest.approx(60, rel=0.1)
    assert denoised.lattice.spacing == pytest.approx(MOS2, rel=0.01)
    assert denoised.pixel_check.agrees is True
    assert isinstance(denoised.score, Score)
    assert denoised.verdict.level in TITLES
    assert denoised.findings == denoised.verdict.findings
    assert {finding.check for finding in denoised.findings} >= {"right_pixel_size"}
    assert denoised.broken == {}
    (frame,) = denoised.frames
    assert frame["verdict"]["level"] == denoised.verdict.level
    assert frame["noise"]["sigma"] == denoised.noise.sigma
    assert frame["score"]["network"] == denoised.score.network
    assert denoised.summary["frames"] is denoised.frames
    assert denoised.summary["shape"] == list(image.shape)
    # plain values alone
    assert json.loads(json.dumps(denoised.summary)) == denoised.summary


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.astype(np.float64),
        lambda image: image.astype(">u2"),
        lambda image: image.astype(np.int32),
        np.asfortranarray,
        lambda image: np.repeat(image, 2, axis=1)[:, ::2],
        lambda image: image.tolist(),
        lambda image: image[None],
    ],
    ids=["float64", "big-endian", "int32", "fortran", "view", "list", "one frame"],
)
def test_type_and_order_of_an_array_do_not_matter(change, image, denoised, model):
    given = change(image)
    before = np.array(given)
    found = denoise(given, sampling=SAMPLING, model=model)
    np.testing.assert_array_equal(found.image.reshape(image.shape), denoised.image)
    np.testing.assert_array_equal(found.sigma.reshape(image.shape), denoised.sigma)
    assert found.image.shape == before.shape
    # what was given is left as it is
    np.testing.assert_array_equal(given, before)


def test_a_stack_is_denoised_frame_by_frame(image, denoised, model):
    done = []
    options = Options(progress=lambda n, total: done.append((n, total)))
    frames = np.stack([image, 0 * image, image])
    found = denoise(frames, sampling=SAMPLING, model=model, options=options)
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert found.image.shape == frames.shape
    for number in (0, 2):
        np.testing.assert_array_equal(found.image[number], denoised.image)
        np.testing.assert_array_equal(found.sigma[number], denoised.sigma)
    assert np.isnan(found.image[1]).all()
    assert np.isnan(found.sigma[1]).all()
    assert [frame["frame"] for frame in found.frames] == [1, 3]
    assert list(found.broken) == [2]
    assert "same value" in found.broken[2]
    with pytest.raises(DataError, match="same value, 0"):
        denoise(0 * frames, sampling=SAMPLING, model=model)


def test_of_a_stack_the_worst_frame_is_judged(image, model, monkeypatch):
    levels = iter(["careful", "good", "no", "careful"])
    judge = stack.judge
    monkeypatch.setattr(stack, "judge", lambda seen: replace(judge(seen), level=next(levels)))
    found = denoise(np.stack([image] * 4), sampling=SAMPLING, model=model)
    assert found.verdict.level == "no"
    assert found.summary["shown_frame"] == 3


@pytest.mark.parametrize("pixel", [PixelSize(0.15, 0.12), PixelSize(0.12, 0.15)])
def test_pixels_need_not_be_square(pixel, rng, model):
    image = 100 * hexagonal(sampling=pixel) + 50 * rng.standard_normal((256, 256))
    found = denoise(image, sampling=tuple(pixel), model=model)
    assert found.sampling == pixel
    assert found.lattice.spacing == pytest.approx(MOS2, rel=0.01)
    assert found.lattice.spread < 0.02
    turned = denoise(image.T, sampling=(pixel.columns, pixel.rows), model=model)
    np.testing.assert_allclose(turned.image.T, found.image, atol=0.2 * image.std())
    # the other way round the lattice is distorted
    other = denoise(image, sampling=(pixel.columns, pixel.rows), model=model)
    assert other.lattice is None or other.lattice.spread > 0.02


def test_masked_and_missing_pixels_are_replaced(image, model):
    marked = image.astype(np.float32)
    marked[10, 20:24] = np.nan
    expected = denoise(marked, sampling=SAMPLING, model=model)
    masked = np.ma.masked_array(image.copy(), np.isnan(marked))
    masked.data[masked.mask] = 60000
    found = denoise(masked, sampling=SAMPLING, model=model)
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.frames[0]["replaced_pixels"] == 4


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(64), r"shape \(64,\) and type float64: expected real numbers"),
        (np.zeros((64, 64), complex), "complex128: expected real numbers"),
        (np.array([["a", "b"]]), "expected real numbers"),
        (None, "object: expected real numbers"),
        (np.zeros((0, 64)), "at least 32"),
        (np.zeros((0, 64, 64)), r"shape \(0, 64, 64\)"),
        (np.zeros((3, 64, 31)), r"shape \(3, 64, 31\): expected sides of at least 32 pixels"),
    ],
)
def test_what_is_no_image_is_refused(image, message, model):
    with pytest.raises(ValueError, match=message):
        denoise(image, sampling=SAMPLING, model=model)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"device": "tpu"},
            ConfigurationError,
            "device 'tpu': expected one of auto, cpu, cuda, mps",
        ),
        ({"options": Options(mode="sem")}, DataError, "'sem': expected one of density, adf, hrtem"),
        (
            {"model": "nope"},
            FileNotFoundError,
            r"nope: there is no such model; .*pretrained one \(adf, density\)",
        ),
        ({"model": "no/such/model.pt"}, FileNotFoundError, "there is no such model"),
        (
            {"crystal": "unobtainium"},
            DataError,
            "'unobtainium': expected one of graphene, hbn, mos2, srtio3, cdte, au, wse2; .*spacing",
        ),
        ({"options": Options(spacing=-2.7)}, DataError, "spacing = -2.7: expected .* above 0"),
        ({"options": Options(spacing=np.nan)}, DataError, "spacing = nan"),
        ({"sampling": 0}, ValueError, "sampling = 0: expected the pixel size in Å"),
        ({"sampling": (0.1, 0.1, 0.1)}, ValueError, "one number above 0 or two"),
        ({"sampling": 100.0}, DataError, "an overview image"),
        ({"sampling": None}, DataError, "sampling= in Python.*or the crystal"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(options, error, message, image):
    model = made_up(ADF | {"spacings_angstrom": {"wse2": 2.85}})
    with pytest.raises(error, match=message):
        denoise(image, **({"sampling": SAMPLING, "model": model} | options))


@pytest.mark.parametrize("name", ["mos2", "MoS2", "wse2", "WSe2"])
def test_a_pixel_size_is_taken_from_the_lattice_of_a_crystal(name, image):
    """Of one with a name here, or of one that the model was trained on."""
    model = made_up(ADF | {"spacings_angstrom": {"wse2": MOS2}, "standardised": True})
    found = denoise(image, crystal=name, model=model)
    assert found.sampling == pytest.approx(PIXEL, rel=0.01)
    # it cannot be checked by what it was taken from
    assert found.pixel_check.agrees is None
    given = denoise(image, crystal=name, model=model, sampling=1.1 * SAMPLING)
    assert given.sampling == pytest.approx((0.165, 0.165))
    assert given.pixel_check.agrees is False
    assert given.pixel_check.suggested == pytest.approx(PIXEL, rel=0.01)
    assert given.findings[0].check == "wrong_pixel_size"


@pytest.mark.parametrize("name", ["srtio3", "SrTiO3", "srtio3_001"])
def test_a_crystal_is_known_by_its_name_and_by_that_of_its_file(name, image, model):
    # at this pixel size the planes lie as far apart as those of the titanate
    sampling = SAMPLING * 3.905 / MOS2
    found = denoise(image, crystal=name, sampling=sampling, model=model)
    assert found.pixel_check.agrees is True
    assert found.lattice.spacing == pytest.approx(3.905, rel=0.01)


def test_a_spacing_stands_for_a_crystal_without_a_name(image, model):
    found = denoise(image, model=model, options=Options(spacing=MOS2))
    assert found.sampling == pytest.approx(PIXEL, rel=0.01)
    named = denoise(
        image, model=model, sampling=SAMPLING, crystal="mine", options=Options(spacing=MOS2)
    )
    assert named.pixel_check.agrees is True
    assert "mine" in named.pixel_check.text


def test_no_lattice_to_take_a_pixel_size_from(rng, model):
    with pytest.raises(DataError, match="no lattice ring was found"):
        denoise(rng.standard_normal((128, 128)), crystal="mos2", model=model)


def test_a_model_by_itself_its_path_or_its_name(image, denoised, model, tmp_path):
    path = tmp_path / "mine.pt"
    model.save(path)
    for given in (path, str(path)):
        found = denoise(image, sampling=SAMPLING, model=given)
        assert found.model == found.summary["model"] == str(path)
        np.testing.assert_array_equal(found.image, denoised.image)
    # a model says what it is called, if it has a name
    assert denoised.model == "model"
    named = replace(model, description=replace(model.description, name="mine"))
    assert denoise(image, sampling=SAMPLING, model=named).model == "mine"


def plan_of(image, **options):
    micrograph = Micrograph(path=ROOT / "image", label="", data=image, sampling=PIXEL)
    return api.plan_of(micrograph, **options)


@pytest.mark.parametrize(("sign", "name"), [(1, "adf"), (-1, "density")])
def test_the_pretrained_model_is_chosen_by_the_image(sign, name, image):
    atoms = np.exp(hexagonal(image.shape))
    chosen = plan_of(sign * atoms)
    assert (chosen.name, chosen.mode.name, chosen.judged) == (name, name, True)
    assert chosen.model is load_model(name)
    # unless it is said, whatever the image looks like
    said = plan_of(sign * atoms, options=Options(mode="adf"))
    assert (said.name, said.mode.name, said.judged) == ("adf", "adf", False)
    given = plan_of(sign * atoms, model="density")
    assert (given.name, given.mode.name) == ("density", name)


def test_models_are_loaded_by_name_or_path(model, tmp_path):
    found = load_model("adf")
    assert isinstance(found, temdenoise.Model)
    assert found.description.mode is image_mode("adf")
    # once, as long as the file stays as it is
    assert load_model("adf") is found
    path = tmp_path / "model.pt"
    model.save(path)
    assert load_model(path).description == model.description
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="not a model file"):
        load_model(path)
    with pytest.raises(FileNotFoundError, match="there is no such model"):
        load_model(tmp_path / "other.pt")


def test_a_model_describes_itself():
    lines = made_up(ADF | {"name": "mine"}).describe().splitlines()
    assert lines[0] == f"mine: {image_mode('adf').title}"
    assert "0.120 to 0.170 Å" in lines[1]
    assert "up to 8.0 times" in lines[2]
    assert "mos2 (2.74 Å)" in lines[3]
    assert "unet" in lines[4]
    assert "width 4" in lines[4]
    little = made_up(DENSITY | {"trained_on": ""}).describe().splitlines()
    assert len(little) == len(lines)
    assert "Å" not in little[3]


@pytest.mark.parametrize("name", IMAGE_MODES)
def test_a_model_of_any_mode_can_be_trusted(name, image):
    """The same network under the name of each mode, and images of either sign."""
    network = load_model("adf")
    described = replace(network.description, mode=image_mode(name))
    found = denoise(image, sampling=SAMPLING, model=Model(network.network, described))
    weights = {finding.check: finding.weight for finding in found.findings}
    assert weights["held_out_score"] is Weight.FOR
    if name == "density":  # bright atoms are none
        assert found.verdict.level == "careful"
        assert weights["other_mode"] is Weight.DOUBT
    else:
        assert found.verdict.level == "good", found.verdict.reasons
        assert "other_mode" not in weights


def test_a_model_of_phase_contrast_can_be_doubted(image, rng):
    phase = made_up(ADF | {"image_kind": "hrtem"}, stirred=1.0)
    rows = 60 * rng.standard_normal((len(image), 1))
    for given, level, check in (
        (image[:60, :60], "careful", "held_out_score"),  # too small to be scored
        (image + rows, "no", "worse_than_gaussian"),
    ):
        found = denoise(given, sampling=SAMPLING, model=phase)
        assert found.verdict.level == level
        checks = {finding.check for finding in found.findings}
        assert check in checks
        assert "other_mode" not in checks


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved(denoised, tmp_path):
    folder = tmp_path / "results" / "today"
    found = denoised.save(folder)
    names = {
        "denoised": "image_denoised.tif",
        "sigma": "image_sigma.tif",
        "eyes": "image_denoised.png",
        "page": "image_summary.html",
        "picture": "image_summary.png",
        "numbers": "image_summary.json",
    }
    assert found == {kind: folder / name for kind, name in names.items()}
    assert files(folder) == sorted(names.values())
    for kind in ("denoised", "sigma"):
        (stored,) = read(found[kind])
        expected = denoised.image if kind == "denoised" else denoised.sigma
        np.testing.assert_array_equal(stored.data, expected)
        assert stored.sampling == pytest.approx(PIXEL, rel=1e-5)
    written = {"files": names, "scales": {}}
    assert json.loads(found["numbers"].read_text()) == {**denoised.summary, **written}
    with Image.open(found["eyes"]) as eyes:
        # enlarged to what is seen well, with a scale bar
        assert (eyes.mode, eyes.size) == ("L", tuple(4 * n for n in denoised.image.shape[::-1]))
        assert np.asarray(eyes)[-60:, :200].max() == 255
    assert found["picture"].read_bytes().startswith(b"\x89PNG")
    page = found["page"].read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "data:image/png;base64," in page
    # again, and with what figure 3 shows
    again = denoised.save(folder, marked=True)
    assert again["marked"] == folder / "image_marked.tif"
    assert set(again) == {*found, "marked"}
    with_figure = denoised.save(folder, figure=True)
    assert {path.suffix for kind, path in with_figure.items() if kind not in again} == {
        ".pdf",
        ".png",
        ".csv",
    }
    assert files(folder) == sorted(path.name for path in with_figure.values())


def test_the_gaussian_is_saved_where_it_is_preferred(denoised, image, rng, tmp_path):
    stale = tmp_path / "image_gaussian.tif"
    stale.touch()
    bad = made_up(ADF, stirred=1.0)
    rows = 60 * rng.standard_normal((len(image), 1))
    preferred = denoise(image + rows, sampling=SAMPLING, model=bad)
    assert preferred.verdict.use_gaussian
    found = preferred.save(tmp_path)
    assert found["gaussian"] == stale
    (stored,) = read(stale)
    np.testing.assert_array_equal(stored.data, preferred.result.gaussian)
    # one of an earlier run would seem to belong to this one
    assert "gaussian" not in denoised.save(tmp_path)
    assert not stale.exists()


def test_a_folder_that_cannot_be_written_to(denoised, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write to"):
        denoised.save(tmp_path / "file" / "results")


def test_a_signal_comes_back_as_a_signal(image, denoised, model, tmp_path):
    signal = Signal(np.stack([image, 0 * image]))
    found = denoise(signal, model=model)
    assert isinstance(found.image, Signal)
    assert found.sampling == pytest.approx(PIXEL)
    np.testing.assert_array_equal(found.image.data[0], denoised.image)
    np.testing.assert_array_equal(found.sigma.data[0], denoised.sigma)
    assert found.image.metadata.General.title == "scan (denoised)"
    assert found.sigma.metadata.General.title == "scan (sigma)"
    verdicts = found.image.metadata.Denoising["verdict"]
    assert verdicts == [found.verdict.headline, found.broken[2]]
    assert signal.data is not found.image.data
    # what is saved are the arrays
    (stored,) = read(found.save(tmp_path)["denoised"])
    np.testing.assert_array_equal(stored.data, found.image.data)
    # a pixel size that is given counts more than the signal's
    assert denoise(signal, sampling=0.12, model=model).sampling == PixelSize.of(0.12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal_axes": 1}, "1 signal axes, expected the 2"),
        ({"units": None}, "no pixel size"),
        ({"units": "1/nm"}, "diffraction"),
    ],
)
def test_signals_that_are_no_calibrated_image(options, message, image, model):
    with pytest.raises(DataError, match=message):
        denoise(Signal(image, **options), model=model)


IMPORTED = """
import sys, time
start = time.process_time()
import temdenoise
seconds = time.process_time() - start
print(seconds)
print(" ".join(sorted(sys.modules)))
assert set(temdenoise.__all__) <= set(dir(temdenoise))
"""


def test_nothing_heavy_is_imported_before_it_is_used():
    done = [
        subprocess.run(
            [sys.executable, "-c", IMPORTED],
            cwd=ROOT / "workflow/scripts",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for _ in range(3)
    ]
    for _, modules in done:
        loaded = set(modules.split())
        assert "temdenoise" in loaded
        assert not loaded & {"numpy", "torch", "scipy", "matplotlib", "temdenoise.api"}
    assert min(float(seconds) for seconds, _ in done) < 0.1


def test_the_interface_is_what_it_says():
    assert set(temdenoise.__all__) == {
        "Denoised",
        "Model",
        "Options",
        "Output",
        "__version__",
        "denoise",
        "load_model",
    }
    for name in temdenoise.__all__:
        assert getattr(temdenoise, name) is not None
    assert list(inspect.signature(denoise).parameters) == [
        "image",
        "sampling",
        "model",
        "crystal",
        "device",
        "options",
    ]
    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        temdenoise.denoize  # noqa: B018


class Calls:
    """Counts the calls of functions, wherever they were imported to."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.arguments = monkeypatch, {}

    def count(self, module, name):
        function, calls = getattr(module, name), self.arguments.setdefault(name, [])

        def counted(*arguments, **options):
            calls.append(arguments)
            return function(*arguments, **options)

        for place in [m for n, m in sys.modules.items() if n.startswith("temdenoise")]:
            for key, value in list(vars(place).items()):
                if value is function:
                    self.monkeypatch.setattr(place, key, counted)
        if isinstance(module, type):
            self.monkeypatch.setattr(module, name, counted)

    def __getitem__(self, name):
        return self.arguments[name]


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("correlated", [False, True])
def test_a_frame_is_analysed_once(standardised, correlated, image, monkeypatch, rng):
    from temdenoise.measuring import lattice, noise, spectrum
    from temdenoise.micrographs import frame

    calls = Calls(monkeypatch)
    for module, name in (
        (frame, "analyse"),
        (spectrum, "spectrum"),
        (noise, "estimate"),
        (lattice, "first_ring"),
        (Model, "denoise"),
    ):
        calls.count(module, name)
    if correlated:
        from scipy.ndimage import gaussian_filter

        image = 2000 + 120 * hexagonal(image.shape)
        image += 180 * gaussian_filter(rng.standard_normal(image.shape), 0.8)
    model = made_up(ADF | {"standardised": standardised})
    found = denoise(image, sampling=SAMPLING, model=model)
    assert ("correlated" in found.noise.kinds) == correlated
    # the part that is given is a frame of its own, and where the scale matters a part of it with
    # each of the scales, to choose it; noise that was filtered cannot be split so
    parts = 1 + (0 if correlated or standardised else len(GAINS))
    assert len(calls["analyse"]) == len(calls["first_ring"]) == 1
    assert len(calls["estimate"]) == 1 + parts
    # of the frame once, of the result, of the network's part of it, and of what was taken away
    of_frame = [
        given
        for given, *_ in calls["spectrum"]
        if np.shares_memory(given, found.result.worst.frame.image)
    ]
    assert len(of_frame) == 1
    assert len(calls["spectrum"]) == 4 + parts
    # where the noise is white, each is denoised once more with a small change, to tell what
    # follows the noise
    assert len(calls["denoise"]) == (1 if correlated else 2) * (1 + parts)


def test_a_model_is_hashed_and_loaded_once_for_all_images_of_a_command(
    image, tmp_path, monkeypatch, capsys
):
    from temdenoise.learning import inference
    from temdenoise.report import micrograph

    calls = Calls(monkeypatch)
    calls.count(models, "digest")
    calls.count(inference, "load")
    models._loaded.cache_clear()
    monkeypatch.setattr(micrograph, "summarise", lambda *_: (b"", ""))
    network = made_up(ADF)
    monkeypatch.setattr(Model, "denoise", lambda _, noisy: network_answer(network, noisy))
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.npy"))
        np.save(paths[-1], image)
    assert cli.main(["denoise", *paths, "--sampling", "0.15", "--quiet"]) == 0, capsys.readouterr()
    # both models are tried, once for all
    assert len(calls["digest"]) == len(calls["load"]) == 2
    # a file that is written anew is another model
    path = tmp_path / "model.pt"
    for about in (ADF, ADF | {"name": "second"}):
        made_up(about).save(path)
        assert load_model(path).description.name == about.get("name", "")
    assert len(calls["load"]) == 4


def network_answer(model, noisy):
    """Answer in the place of a pretrained model, which takes longer."""
    return DENOISE(model, noisy)


DENOISE = Model.denoise
