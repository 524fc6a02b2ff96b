"""Networks, training, inference."""

import io
import shutil

import numpy as np
import pytest
import torch
from temdenoise.errors import DataError
from temdenoise.images.datasets import DataSet, frames, noisy_frames
from temdenoise.learning.inference import Denoiser, load
from temdenoise.learning.networks import UNet
from temdenoise.learning.training import Batches, train

# Lightning's own use of PyTorch, not ours
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")

NOISE = {"noise": "gaussian", "background_correlation": 0.25, "clip": False}
OPTIONS = NOISE | {
    "c_noise": (0.05, 0.25),
    "noise_source": "fresh",
    "width": 8,
    "levels": 2,
    "patch": 32,
    "batch": 4,
    "steps": 8,
    "checkpoint_every": 2,
    "learning_rate": 2e-3,
    "average": 0.5,
    "seed": 1,
    "threads": 1,
}


@pytest.fixture(scope="module")
def images(lattice):
    clean = lattice[None, :96, :96]
    listed = frames(1, [0.1, 0.2, 0.4])
    noisy = np.stack(list(noisy_frames(clean, listed, split="train", seed=1, **NOISE)))
    return DataSet(clean, noisy, listed)


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory):
    return train(images, images, work=tmp_path_factory.mktemp("training"), **OPTIONS)


def same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("shape", [(64, 64), (63, 50), (17, 100)])
@pytest.mark.parametrize("levels", [1, 3])
def test_network_keeps_any_shape(shape, levels):
    network = UNet(width=4, levels=levels)
    assert network(torch.rand(2, 1, *shape)).shape == (2, 1, *shape)


def test_batches_depend_on_step_and_seed_alone(images):
    options = {k: OPTIONS[k] for k in ("c_noise", "noise_source", "patch", "batch")} | NOISE
    first, again = (Batches(images, seed=1, **options) for _ in range(2))
    for step in (5, 0):
        for a, b in zip(first[step], again[step], strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], Batches(images, seed=2, **options)[0][0])


@pytest.mark.parametrize("source", ["fresh", "stored"])
def test_batches_hold_pairs(images, source):
    options = {k: OPTIONS[k] for k in ("c_noise", "patch")} | NOISE
    noisy, clean, c = Batches(images, seed=1, batch=200, noise_source=source, **options)[0]
    assert noisy.shape == clean.shape == (200, 1, 32, 32)
    left = (noisy - clean).std(dim=(1, 2, 3)) / c
    assert left.mean() == pytest.approx(1, abs=0.02)
    if source == "fresh":
        assert 0.05 <= c.min() < 0.06
        assert 0.24 < c.max() <= 0.25
    else:
        assert {round(float(x), 3) for x in c} == {0.1, 0.2, 0.4}


def test_same_seed_same_weights(images, undisturbed, tmp_path):
    network, history = train(images, images, work=tmp_path / "work", **OPTIONS)
    assert same(network, undisturbed[0])
    assert history == undisturbed[1]
    assert [row["step"] for row in history] == [2, 4, 6, 8]
    # stopped after the last step, before the network was saved
    again, history = train(images, images, work=tmp_path / "work", **OPTIONS)
    assert same(again, network)
    assert history == undisturbed[1]
    other, _ = train(images, images, work=tmp_path / "other", **OPTIONS | {"seed": 2})
    assert not same(network, other)


@pytest.mark.parametrize("killed_at", [0, 1, 2, 5, 7])
def test_interrupted_training_ends_with_the_same_weights(
    images, undisturbed, tmp_path, monkeypatch, killed_at
):
    make = Batches.__getitem__

    def fail(self, step):
        if step == killed_at:
            raise OSError("killed")
        return make(self, step)

    monkeypatch.setattr(Batches, "__getitem__", fail)
    with pytest.raises(OSError, match="killed"):
        train(images, images, work=tmp_path / "work", **OPTIONS)
    monkeypatch.setattr(Batches, "__getitem__", make)
    network, history = train(images, images, work=tmp_path / "work", **OPTIONS)
    assert same(network, undisturbed[0])
    assert history == undisturbed[1]


def test_progress_bar_goes_where_someone_watches(images, tmp_path, capfd):
    bar = io.StringIO()
    train(images, images, work=tmp_path / "work", progress=bar, **OPTIONS)
    assert "Epoch 3" in bar.getvalue()
    assert "Epoch" not in capfd.readouterr().out


def test_training_learns(images, tmp_path):
    options = OPTIONS | {"steps": 300, "checkpoint_every": 100, "learning_rate": 1e-2}
    _, history = train(images, images, work=tmp_path / "work", **options | {"average": 0.9})
    noise_left = np.abs(images.noisy[:2] - images.clean).mean()
    assert history[-1]["val_l1"] < 0.7 * noise_left


def test_validation_leaves_out_what_is_not_trained(images, undisturbed, tmp_path):
    fewer = DataSet(images.clean, images.noisy[:2], images.frames[:2])
    _, history = train(images, fewer, work=tmp_path / "work", **OPTIONS)
    assert history == undisturbed[1]


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return Denoiser(UNet(width=4, levels=2).eval(), {"trained_on": "gaussian"})


def test_saved_model_is_the_same_model_in_the_same_bytes(denoiser, tmp_path, lattice):
    for name in ("a.pt", "b.pt"):
        denoiser.save(tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    loaded = load(tmp_path / "a.pt")
    assert loaded.about == denoiser.about
    assert (loaded(lattice) == denoiser(lattice)).all()


def test_denoiser_takes_what_users_have(denoiser, lattice):
    expected = denoiser(lattice)
    assert expected.dtype == np.float32
    assert (denoiser(lattice.astype(np.float64)) == expected).all()
    assert denoiser(np.asfortranarray(lattice)) == pytest.approx(expected, abs=1e-6)
    assert denoiser((lattice > 0.5).astype(np.uint8)).shape == lattice.shape


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 64, 64)),
        np.zeros((64,)),
        np.zeros((0, 0)),
        np.zeros((8, 64)),
        np.zeros((64, 64), complex),
        np.full((64, 64), np.nan),
        np.full((64, 64), np.inf),
    ],
    ids=["stack", "line", "empty", "small", "complex", "nan", "inf"],
)
def test_denoiser_refuses_what_is_no_image(denoiser, image):
    with pytest.raises(ValueError, match=r"expected a real image|not finite"):
        denoiser(image)


def test_bad_model_files_are_refused_by_name(denoiser, tmp_path):
    path = tmp_path / "model.pt"
    denoiser.save(path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"model\.pt: truncated"):
            load(path)
    torch.save({"format": "temdenoise-denoiser-0"}, path)
    with pytest.raises(DataError, match="denoiser-0', expected 'temdenoise-denoiser-1'"):
        load(path)
    torch.save(DataSet, path)
    with pytest.raises(DataError, match="not a model file"):
        load(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model\.pt: there is no such model"):
        load(path)
