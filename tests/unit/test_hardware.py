"""What trainings and models run on: several processes, precision, GPUs; no silent fallback."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from made_up_models import DENSITY, made_up
from temdenoise.foundation.errors import ConfigurationError
from temdenoise.learning.batches import Batches, Share, Steps, ValidationFrames
from temdenoise.learning.devices import Resources, device_of, exact_convolutions, hardware
from temdenoise.learning.inference import load
from temdenoise.learning.networks import NETWORKS, network_of
from temdenoise.learning.training import train
from test_learning import ONE_CPU, dataset, options
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")

TWO = Resources(threads=1, gpus=0, processes=2)
GIVEN = {"gpus": None, "processes": None, "batch": 4, "precision": "float32"}


@pytest.fixture(scope="module")
def images(lattice):
    clean = np.stack([lattice[:96, :96], lattice[50:146, 20:116]])
    return {noise: dataset(clean, noise) for noise in ("gaussian", "salt_pepper")}


@pytest.fixture
def gpus(monkeypatch):
    """A machine with two GPUs that do not know bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old One")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)


def apart(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(float((x - y).abs().max()) for x, y in pairs)


def curve(history):
    return np.array([[row["train_l1"], row["val_l1"]] for row in history])


@pytest.mark.parametrize(
    ("given", "accelerator", "devices"),
    [
        ({}, "gpu", 1),
        ({"gpus": 2}, "gpu", 2),
        ({"gpus": 0}, "cpu", 1),
        ({"processes": 4}, "cpu", 4),
    ],
)
def test_what_was_given_is_used(gpus, given, accelerator, devices):
    chosen = hardware(**GIVEN | given)
    assert (chosen["accelerator"], chosen["devices"]) == (accelerator, devices)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpus": 3}, r"gpu = 3 .* finds 2 here .*; install .* or set gpu to 2"),
        ({"gpus": 2, "batch": 5}, r"`training\.batch` = 5: 2 GPUs share .* multiple of 2"),
        ({"processes": 3}, r"`training\.batch` = 4: 3 processes share .* multiple of 3"),
        ({"gpus": 1, "processes": 2}, r"gpu = 1 and processes = 2 .* leave processes out"),
        ({"precision": "bfloat16"}, r"`training\.precision` = 'bfloat16': Old One does not"),
    ],
)
def test_what_cannot_be_had_is_named(gpus, given, said):
    with pytest.raises(ConfigurationError, match=said):
        hardware(**GIVEN | given)


@pytest.mark.parametrize(
    ("has", "precision"),
    [
        ({"avx512_bf16": True, "avx2": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16-mixed"),
        ({"avx2": True}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_auto_is_what_the_processor_has_instructions_for(monkeypatch, has, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    given = GIVEN | {"precision": "auto", "gpus": 0}
    assert hardware(**given)["precision"] == precision


def test_auto_on_a_gpu_is_what_it_knows(gpus, monkeypatch):
    given = GIVEN | {"precision": "auto", "gpus": 1}
    assert hardware(**given)["precision"] == "32-true"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert hardware(**given)["precision"] == "bf16-mixed"


def test_shares_of_a_batch_are_the_batch(images):
    whole = Batches(images, options())[3]
    shares = [Batches(images, options(), Share(rank, 2))[3] for rank in (0, 1)]
    for part, wanted in enumerate(whole):
        assert torch.equal(torch.stack([s[part] for s in shares], 1).flatten(0, 1), wanted)


def test_validation_frames_are_shared_or_had_by_all(images):
    def pairs(*share):
        given = options()
        return ValidationFrames(images, given.c_noise_range, given.patches, *share).pairs

    parts = [pairs(Share(rank, 3)) for rank in range(3)]
    whole = pairs()
    assert sorted(f.index for part in parts for _, f in part) == sorted(f.index for _, f in whole)
    assert len(pairs(Share(8, 9))) == len(whole) == 8


def test_batches_drawn_by_workers_are_the_same(images):
    batches = Batches(images, options())
    done = 3
    loader = DataLoader(
        batches,
        sampler=Steps(lambda: done, 4),
        batch_size=None,
        num_workers=2,
        persistent_workers=True,
    )
    for epoch in (range(3, 7), range(7, 11)):
        drawn = list(loader)
        assert len(drawn) == 4
        for step, batch in zip(epoch, drawn, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(batch, batches[step], strict=True))
        done += 4


def test_two_processes_end_with_the_weights_of_one(images, tmp_path):
    alone, history = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "one")
    shared, other = train(images, images, options(), resources=TWO, work=tmp_path / "two")
    assert 0 < apart(alone, shared) < 1e-5
    assert curve(other) == pytest.approx(curve(history), abs=1e-5)
    assert [row["step"] for row in other] == [2, 4, 6, 8]
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["last.ckpt", "metrics.csv"]


@pytest.mark.slow
def test_a_training_goes_on_with_another_number_of_processes(images, tmp_path, monkeypatch):
    alone, history = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "one")
    make = Batches.__getitem__

    def fail(self, step):
        if step == 5:
            raise OSError("killed")
        return make(self, step)

    monkeypatch.setattr(Batches, "__getitem__", fail)
    with pytest.raises(OSError, match="killed"):
        train(images, images, options(), resources=ONE_CPU, work=tmp_path / "two")
    monkeypatch.setattr(Batches, "__getitem__", make)
    shared, other = train(images, images, options(), resources=TWO, work=tmp_path / "two")
    assert apart(alone, shared) < 1e-5
    assert curve(other) == pytest.approx(curve(history), abs=1e-5)
    # nothing is left to do, so one process finds the same
    again, _ = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "two")
    assert apart(again, shared) == 0


def test_bfloat16_learns_the_same(images, tmp_path):
    curves = {}
    for precision in ("float32", "bfloat16"):
        given = options(steps=100, checkpoint_every=25, average=0.9, precision=precision)
        work = tmp_path / precision
        network, history = train(images, images, given, resources=ONE_CPU, work=work)
        assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
        assert {row["precision"] for row in history} == {precision}
        curves[precision] = curve(history)
    assert (curves["bfloat16"] != curves["float32"]).all()
    assert curves["bfloat16"] == pytest.approx(curves["float32"], rel=0.03)
    assert curves["bfloat16"][-1, 1] < curves["bfloat16"][0, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(("precision", "close"), [("float32", 0.03), ("bfloat16", 0.05)])
def test_a_gpu_learns_what_a_cpu_does(images, tmp_path, precision, close):
    given = options(steps=100, checkpoint_every=25, average=0.9)
    _, expected = train(images, images, given, resources=ONE_CPU, work=tmp_path / "cpu")
    given = options(steps=100, checkpoint_every=25, average=0.9, precision=precision)
    gpu = Resources(threads=3, gpus=1)
    network, history = train(images, images, given, resources=gpu, work=tmp_path / "gpu")
    again, _ = train(images, images, given, resources=gpu, work=tmp_path / "again")
    assert {str(value.device) for value in network.state_dict().values()} == {"cpu"}
    assert curve(history) == pytest.approx(curve(expected), rel=close)
    assert apart(network, again) == 0


@pytest.mark.parametrize(
    ("here", "chosen"),
    [({"cuda", "mps"}, "cuda"), ({"cuda"}, "cuda"), ({"mps"}, "mps"), (set(), "cpu")],
    ids=["both", "cuda", "mps", "none"],
)
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, here, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in here)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in here)
    assert device_of() == device_of("auto") == torch.device(chosen)
    assert device_of("cpu") == torch.device("cpu")
    for name in ("cuda", "mps"):
        if name in here:
            assert device_of(name) == torch.device(name)
        else:
            there = ", ".join([*sorted(here), "cpu"])
            with pytest.raises(ConfigurationError, match=f"'{name}': .* only {there}; choose"):
                device_of(name)


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigurationError, match=r"'tpu': expected one of auto, cpu, cuda, mps"):
        device_of("tpu")


def test_a_model_goes_to_a_device_and_stays_where_it_was(lattice):
    model = made_up(DENSITY, stirred=0.1)
    there = model.to("meta")
    assert (there.device.type, model.device.type) == ("meta", "cpu")
    assert {value.device.type for value in model.network.state_dict().values()} == {"cpu"}
    assert model.to("cpu") is model
    assert there.description == model.description
    # all is computed there; what holds no numbers just cannot be brought back
    with pytest.raises(NotImplementedError, match="meta tensor"):
        there.denoise(lattice)


class Devices(TorchDispatchMode):
    """Notes where every tensor that is made lies."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = (leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor))
        self.seen |= {tensor.device.type for tensor in tensors}
        return result


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(64, 64), (63, 50)])
def test_a_network_makes_every_tensor_on_the_device_of_the_image(name, shape):
    """So it can run on a GPU; seen without one."""
    network = network_of(name, {"width": 4, "levels": 3}).to("meta")
    noisy = torch.rand(2, 1, *shape, device="meta")
    with Devices() as devices, torch.inference_mode():
        answers = network(noisy)
    assert devices.seen == {"meta"}
    assert [answer.shape for answer in answers] == [noisy.shape] * 2


def test_convolutions_are_exact_only_while_they_must_be(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.backends.cudnn.allow_tf32
    with exact_convolutions():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("name", ["density", "adf"])
@pytest.mark.parametrize("tile", [64, 768])
def test_a_gpu_answers_as_a_cpu_does(lattice, rng, device, name, tile):
    if not {"cuda": torch.cuda, "mps": torch.backends.mps}[device].is_available():
        pytest.skip(f"PyTorch finds no {device} here")
    model = load(ROOT / f"workflow/scripts/temdenoise/models/{name}.pt")
    noisy = lattice[:150, :187] + 0.2 * rng.standard_normal((150, 187))
    there = model.to(device_of(device))
    for answer, expected in zip(
        there.denoise(noisy, tile=tile), model.denoise(noisy, tile=tile), strict=True
    ):
        assert np.abs(answer - expected).max() < 1e-4 * np.ptp(noisy)
