"""Networks, training, inference."""

import io
import zipfile
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from pytorch_lightning.accelerators import CUDAAccelerator
from scipy.ndimage import correlate1d
from temdenoise.foundation.errors import ConfigurationError
from temdenoise.foundation.quantities import NoiseRange
from temdenoise.images.datasets import DataSet, frames, noisy_frames
from temdenoise.images.noise import NoiseOptions
from temdenoise.learning import networks, training
from temdenoise.learning.batches import Batches
from temdenoise.learning.description import ModelDescription, SigmaCalibration
from temdenoise.learning.devices import Resources
from temdenoise.learning.inference import Model, load
from temdenoise.learning.module import DenoisingModule
from temdenoise.learning.networks import UNet, name_of, network_of
from temdenoise.learning.options import OptimisationOptions, TrainingOptions
from temdenoise.learning.training import discard_checkpoints, train, train_model

# Lightning's own use of PyTorch, not ours
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")

PLAN = {"name": "gaussian", "seed": 1, "c_noise": (0.05, 0.25), "network": "unet"}
OPTIONS = {
    "noise_source": "fresh",
    "mixtures": 0.0,
    "featureless": 0.0,
    "turned": True,
    "patch": 32,
    "batch": 4,
    "width": 8,
    "levels": 2,
    "steps": 8,
    "checkpoint_every": 2,
    "learning_rate": 2e-3,
    "average": 0.5,
}
ONE_CPU = Resources(threads=1, gpus=0)  # the same everywhere
SAYS_LITTLE = ModelDescription(NoiseRange(0.05, 0.25))


MODEL = PLAN | {
    "method": "cnn",
    "trained_on": "gaussian",
    "noises": ["gaussian"],
    "stitched": False,
    "mode": "adf",
    "crystals": ["config/crystals/wave.cif"],
    "options": OPTIONS,
}


def options(**changes):
    """Options of a training, changed by keys as the configuration has them."""
    plan = {key: changes.pop(key, value) for key, value in PLAN.items()}
    return TrainingOptions.of(plan | {"options": OPTIONS | changes}, NoiseOptions())


@pytest.fixture(scope="module")
def images(lattice):
    return {noise: dataset(lattice[None, :96, :96], noise) for noise in ("gaussian",)}


def dataset(clean, noise):
    listed = frames(len(clean), [0.1, 0.2, 0.4])
    noisy = noisy_frames(clean, listed, noise=noise, split="train", seed=1)
    return DataSet(clean, np.stack(list(noisy)), listed)


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory):
    return train(
        images, images, options(), resources=ONE_CPU, work=tmp_path_factory.mktemp("training")
    )


def same(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("shape", [(64, 64), (63, 50), (17, 100)])
@pytest.mark.parametrize("levels", [1, 3])
def test_network_keeps_any_shape(shape, levels):
    network = UNet(width=4, levels=levels)
    denoised, sigma = network(torch.rand(2, 1, *shape))
    assert denoised.shape == sigma.shape == (2, 1, *shape)
    assert (sigma > 0).all()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_nothing_acts_farther_than_the_reach(levels):
    torch.manual_seed(0)
    network = UNet(width=4, levels=levels)
    torch.nn.init.normal_(network.correction.weight)
    image = torch.rand(1, 1, 128, 128)
    touched = set()
    for corner in range(network.block):
        changed = image.clone()
        changed[0, 0, 64 + corner, 64] += 5
        with torch.no_grad():
            moved = (network(changed)[0] != network(image)[0])[0, 0].nonzero()
        touched |= {abs(int(x) - 64 - corner) for x in moved[:, 0]}
    assert max(touched) <= network.reach
    # nor is the reach wider than it must be
    assert max(touched) > network.reach - 2 * network.block


def test_training_starts_from_a_blurred_image(lattice):
    lattice, kept = lattice.astype(np.float64), 1 / (1 + np.exp(3))
    with torch.no_grad():
        denoised = UNet(width=4, levels=2)(torch.from_numpy(lattice).float()[None, None])[0][0, 0]
    for first in product((0, 1), repeat=2):
        # within the block of a pixel and its neighbours, six pixels along each side
        blurred = lattice
        for axis, own in enumerate(first):
            steps = np.arange(-3, 4)
            weights = np.exp(-((steps / 1.2) ** 2) / 2) * (steps >= -2 - own) * (steps <= 3 - own)
            blurred = correlate1d(blurred, weights / weights.sum(), axis=axis)
        expected = blurred + kept * (lattice - blurred)
        window = tuple(slice(4 + own, -4, 2) for own in first)
        assert denoised.numpy()[window] == pytest.approx(expected[window], abs=1e-5)


def test_pixels_that_are_kept_come_back_as_they_are():
    torch.manual_seed(0)
    network, image = UNet(width=4, levels=2), torch.rand(1, 1, 48, 40)
    torch.nn.init.normal_(network.correction.weight)
    torch.nn.init.constant_(network.kept[-1].bias, 50.0)
    with torch.no_grad():
        assert (network(image)[0] - image).abs().max() < 1e-5


def test_sigma_leaves_the_image_alone():
    torch.manual_seed(0)
    network = UNet(width=4, levels=2)
    torch.nn.init.normal_(network.doubt[-1].weight)
    network(torch.rand(1, 1, 32, 32))[1].sum().backward()
    learning = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert learning == {"doubt"}


@pytest.fixture
def loss(monkeypatch):
    """Loss of a network that is off by so much, and says it is off by so much."""
    plain = OptimisationOptions(steps=1, checkpoint_every=1, learning_rate=1e-3, average=0.5)
    module = DenoisingModule(UNet(width=4, levels=1), plain, c_noise_middle=1.0)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)

    def of(error, sigma, c_noise, low=1.0):
        module.options = replace(plain, low_noise_weight=low)
        module.c_noise_middle = float(c_noise.mean())
        monkeypatch.setattr(module.network, "forward", lambda _: (error, sigma))
        return float(module.training_step((error, torch.zeros_like(error), c_noise), 0))

    return of


@pytest.mark.parametrize("fraction", [1.0, 0.1], ids=["every pixel", "one pixel in ten"])
@pytest.mark.parametrize("c_noise", [0.02, 0.05])
def test_a_tenth_less_error_is_worth_the_same_in_every_noise(loss, c_noise, fraction):
    generator = torch.Generator().manual_seed(0)
    off = torch.rand(1, 1, 200, 200, generator=generator) < fraction
    error = 0.15 / fraction**0.5 * c_noise * torch.randn(off.shape, generator=generator) * off
    strength, sigma = torch.tensor([c_noise]), error.abs()
    gain = loss(error, sigma, strength) - loss(0.9 * error, 0.9 * sigma, strength)
    # a little less than the logarithm, since errors of a twentieth of C hardly count
    assert 0.85 < gain / (-2 * np.log(0.9)) < 1


def test_patches_that_are_easy_do_not_outweigh_the_others(loss):
    strength = torch.tensor([0.2])

    def steepness(error):
        low, high = (torch.full((1, 1, 8, 8), f * error) for f in (0.99, 1.01))
        return (loss(high, high, strength) - loss(low, low, strength)) / (0.02 * error)

    # exact to a thousandth of the noise: hardly more to gain there, though the logarithm's
    # slope would be a hundred times that at a tenth of the noise
    assert 0 < steepness(2e-4) < 0.1 * steepness(2e-2)


@pytest.mark.parametrize(("low", "ratio"), [(1.0, 1.0), (0.0, 3.0), (0.5, 5 / 3)])
def test_the_weight_of_a_patch_is_linear_in_c_from_the_low_noise_weight(loss, low, ratio):
    strength = torch.tensor([0.1, 0.3])

    def gain(better):
        error = torch.full((2, 1, 8, 8), 0.04)
        less = error.clone()
        less[better] *= 0.9
        before, after = (loss(e, e, strength, low) for e in (error, less))
        enough = (0.045 * float(strength[better])) ** 2 + 1e-8
        return 2 * (before - after) / np.log((0.04**2 + enough) / (0.036**2 + enough))

    assert gain(1) / gain(0) == pytest.approx(ratio, rel=1e-3)
    assert gain(1) + gain(0) == pytest.approx(2, rel=1e-3)


def test_sigma_is_asked_to_cover_one_deviation(loss):
    generator = torch.Generator().manual_seed(0)
    error = 0.03 * torch.randn(1, 1, 300, 300, generator=generator)
    strength, said = torch.tensor([0.1]), np.linspace(0.02, 0.04, 81)
    losses = [loss(error, torch.full_like(error, s), strength) for s in said]
    assert said[np.argmin(losses)] == pytest.approx(0.03, rel=0.02)


def test_batches_depend_on_step_and_seed_alone(images):
    first, again = (Batches(images, options()) for _ in range(2))
    for step in (5, 0):
        for a, b in zip(first[step], again[step], strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], Batches(images, options(seed=2))[0][0])


@pytest.mark.parametrize("source", ["fresh", "stored"])
def test_batches_hold_pairs(images, source):
    noisy, clean, c = Batches(images, options(batch=200, noise_source=source))[0]
    assert noisy.shape == clean.shape == (200, 1, 32, 32)
    left = (noisy - clean).std(dim=(1, 2, 3)) / c
    assert left.mean() == pytest.approx(1, abs=0.02)
    if source == "fresh":
        assert 0.05 <= c.min() < 0.06
        assert 0.24 < c.max() <= 0.25
    else:
        assert {round(float(x), 3) for x in c} == {0.1, 0.2, 0.4}


def test_universal_batches_hold_every_noise(lattice):
    clean = lattice[None, :96, :96]
    several = {noise: dataset(clean, noise) for noise in ("gaussian", "salt_pepper")}
    noisy, clean, _ = Batches(several, options(batch=100))[0]
    untouched = ((noisy == clean).float().mean(dim=(1, 2, 3)) > 0.5).float()
    assert 0.3 < untouched.mean() < 0.7
    mixed = options(batch=100, mixtures=1.0, c_noise=(0.2, 0.2001))
    noisy, clean, c = Batches(several, mixed)[0]
    assert c.mean() == pytest.approx(0.2 * 2**0.5, rel=1e-2)
    # only where salt and pepper was drawn twice does most of the image stay as it was
    untouched = ((noisy == clean).float().mean(dim=(1, 2, 3)) > 0.5).float()
    assert 0.1 < untouched.mean() < 0.4


def test_some_patches_are_partly_or_wholly_empty(images):
    clean = Batches(images, options(batch=100, featureless=1.0))[0][1].numpy()
    flat = np.ptp(clean, axis=(1, 2, 3)) == 0
    assert 0.3 < flat.mean() < 0.7
    assert {0.0} < {float(patch[0, 0, 0]) for patch in clean[flat]}
    # the others lose structure on one side
    spread = clean[~flat][:, 0]
    quarter = [np.ptp(patch.reshape(4, 8, 4, 8), axis=(1, 3)) for patch in spread]
    assert np.mean([q.min() < 0.2 * q.max() for q in quarter]) > 0.5


def test_patches_of_nothing_hold_strong_noise_the_others_any(images, lattice):
    featureless = options(batch=200, featureless=1.0, c_noise=(0.1, 0.5))
    several = {n: dataset(lattice[None, :96, :96], n) for n in ("gaussian", "background_gaussian")}
    for data in (several, images):
        noisy, clean, c = Batches(data, featureless)[0]
        flat = np.ptp(clean.numpy(), axis=(1, 2, 3)) == 0
        left = (noisy - clean).std(dim=(1, 2, 3))
        assert c[~flat].min() < 0.15
        assert min(c[flat].min(), left[flat].min()) > 0.28
        assert 0.38 < c[flat].mean() < 0.42


def test_patches_are_turned_only_if_asked(images):
    def lie_in_the_image(turned):
        clean = Batches(images, options(batch=30, turned=turned))[0][1][:, 0].numpy()
        windows = np.lib.stride_tricks.sliding_window_view(images["gaussian"].clean[0], (32, 32))
        return np.array([(windows == patch).all(axis=(2, 3)).any() for patch in clean])

    assert lie_in_the_image(turned=False).all()
    assert not lie_in_the_image(turned=True).all()


def test_no_step_counts_for_many(images, tmp_path, monkeypatch):
    norms = []
    loss = DenoisingModule.training_step

    def record(module, *_):
        norms.append(sum(p.grad.square().sum() for p in module.network.parameters()) ** 0.5)

    monkeypatch.setattr(DenoisingModule, "training_step", lambda *given: 1e4 * loss(*given))
    monkeypatch.setattr(DenoisingModule, "on_train_batch_end", record)
    train(images, images, options(steps=2), resources=ONE_CPU, work=tmp_path)
    assert norms == pytest.approx([1, 1], abs=1e-4)


def test_same_seed_same_weights(images, undisturbed, tmp_path):
    network, history = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work")
    assert same(network, undisturbed[0])
    assert history == undisturbed[1]
    assert [row["step"] for row in history] == [2, 4, 6, 8]
    # stopped after the last step, before the network was saved
    again, history = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work")
    assert same(again, network)
    assert history == undisturbed[1]
    for number, changed in enumerate((options(seed=2), options(name="poisson"))):
        work = tmp_path / f"other-{number}"
        other, _ = train(images, images, changed, resources=ONE_CPU, work=work)
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
        train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work")
    monkeypatch.setattr(Batches, "__getitem__", make)
    network, history = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work")
    assert same(network, undisturbed[0])
    assert history == undisturbed[1]


@pytest.mark.parametrize("damage", ["cut short", "one bit"])
def test_damaged_checkpoint_is_named_and_the_training_starts_again(
    images, undisturbed, tmp_path, monkeypatch, damage
):
    make = Batches.__getitem__

    def fail(self, step):
        if step == 5:
            raise OSError("killed")
        return make(self, step)

    monkeypatch.setattr(Batches, "__getitem__", fail)
    with pytest.raises(OSError, match="killed"):
        train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work")
    monkeypatch.setattr(Batches, "__getitem__", make)
    checkpoint = tmp_path / "work/last.ckpt"
    whole = checkpoint.read_bytes()
    with zipfile.ZipFile(checkpoint) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    inside = largest.header_offset + largest.file_size // 2
    broken = whole[:inside]
    if damage == "one bit":
        broken += bytes([whole[inside] ^ 1]) + whole[inside + 1 :]
    checkpoint.write_bytes(broken)
    with pytest.warns(UserWarning, match=r"last\.ckpt: damaged or cut short; .* beginning"):
        network, history = train(
            images, images, options(), resources=ONE_CPU, work=tmp_path / "work"
        )
    assert same(network, undisturbed[0])
    assert history == undisturbed[1]


def test_a_gpu_that_was_asked_for_is_not_replaced_by_the_cpu(images, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"gpu = 1 .* finds 0 here .* set gpu to"):
        train(images, images, options(), resources=Resources(gpus=1), work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_no_gpu_means_the_cpu_even_where_there_is_one(images, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(CUDAAccelerator, "is_available", lambda: True)
    network, _ = train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work")
    assert same(network, undisturbed[0])


def test_progress_bar_goes_where_someone_watches(images, tmp_path, capfd):
    bar = io.StringIO()
    train(images, images, options(), resources=ONE_CPU, work=tmp_path / "work", progress=bar)
    assert "Epoch 3" in bar.getvalue()
    assert "Epoch" not in capfd.readouterr().out


def test_training_learns(images, tmp_path):
    longer = options(steps=300, checkpoint_every=100, learning_rate=1e-2, average=0.9)
    _, history = train(images, images, longer, resources=ONE_CPU, work=tmp_path / "work")
    stored = images["gaussian"]
    noise_left = np.abs(stored.noisy[:2] - stored.clean).mean()
    assert history[-1]["val_l1"] < 0.7 * noise_left


def test_validation_leaves_out_what_is_not_trained(images, undisturbed, tmp_path):
    stored = images["gaussian"]
    fewer = DataSet(stored.clean, stored.noisy[:2], stored.frames[:2])
    _, history = train(
        images, {"gaussian": fewer}, options(), resources=ONE_CPU, work=tmp_path / "work"
    )
    assert history == undisturbed[1]


@pytest.fixture(scope="module")
def described(images):
    """The same images, with what a data set's manifest says of them."""
    manifest = {
        "background_correlation": 0.25,
        "clip": False,
        "scale": {"offset": 0.5, "range": 2.0, "unit": "e/angstrom^2"},
        "sampling_angstrom": [0.2, 0.2],
        "structures": ["train-0000"],
        "sha256": {"clean": "c", "noisy": "d"},
    }
    return {
        noise: replace(data, sampling=(0.2, 0.2), manifest=manifest)
        for noise, data in images.items()
    }


def trained(described, folder, plan=MODEL, recipe="r"):
    return train_model(plan, described, described, recipe=recipe, resources=ONE_CPU, folder=folder)


def test_a_trained_model_says_what_it_was_trained_on(described, undisturbed, tmp_path):
    result = trained(described, tmp_path)
    assert same(result.model.network, undisturbed[0])
    assert result.history == undisturbed[1]
    result.model.save(tmp_path / "model.pt")
    about = load(tmp_path / "model.pt").description
    assert about == result.model.description
    assert (about.mode.name, about.method, about.trained_on) == ("adf", "cnn", "gaussian")
    assert about.noise == (0.05, 0.25)
    assert about.options == OPTIONS | {"precision": "float32"}
    assert (about.seed, about.structures, about.patch) == (1, ("train-0000",), None)
    assert about.scale == {"offset": 0.5, "range": 2.0, "unit": "e/angstrom^2"}
    clean = described["gaussian"].clean
    assert (about.clean_mean, about.clean_std) == pytest.approx((clean.mean(), clean.std()))
    # the waves are 12.0 and 12.1 pixels long; the crystal is called by its file's name
    assert about.spacings == {"wave": pytest.approx(12 * 0.2, rel=0.03)}


def test_sigma_of_a_trained_model_is_calibrated_within_its_range(described, tmp_path):
    model = trained(described, tmp_path).model
    data = described["gaussian"]
    inside = [
        np.abs(denoised - data.clean[frame.image]) <= sigma
        for frame in data.frames
        if frame.c_noise <= 0.25
        for denoised, sigma in [model.denoise(data.noisy[frame.index])]
    ]
    assert np.mean(inside) == pytest.approx(0.6827, abs=2e-3)


def test_options_that_change_how_a_model_is_applied_are_in_its_description(described, tmp_path):
    patches = trained(described, tmp_path / "patches", MODEL | {"stitched": True})
    assert patches.model.description.patch == 32
    seen = {"standardised": True, "sampling": [0.15, 0.25], "keep_slow": 2.0, "batch": 2}
    real = trained(described, tmp_path / "real", MODEL | {"options": OPTIONS | seen})
    about = real.model.description
    assert about.standardised
    assert about.pixels == about.pixel_range == (0.15, 0.25)


@pytest.mark.parametrize(("fraction", "warned"), [(0.85, False), (0.95, True)])
def test_a_training_that_hardly_helps_is_said_to(
    described, tmp_path, monkeypatch, fraction, warned
):
    data = described["gaussian"]
    inside = [frame for frame in data.frames if frame.c_noise <= 0.25]
    noise = np.mean([np.abs(data.noisy[f.index] - data.clean[f.image]).mean() for f in inside])
    history = [{"step": 8, "val_l1": fraction * noise, "precision": "float32"}]
    network = UNet(width=8, levels=2).eval()
    monkeypatch.setattr(training, "train", lambda *_, **__: (network, history))
    first, *others = trained(described, tmp_path).messages
    assert f"{fraction * noise:.4f} on the validation split after 8 steps" in first
    assert [said.startswith("WARNING: hardly better") for said in others] == [True] * warned


def test_checkpoints_are_resumed_by_the_same_recipe_until_they_are_discarded(
    described, tmp_path, monkeypatch
):
    make, drawn = Batches.__getitem__, []

    def record(self, step):
        drawn.append(step)
        return make(self, step)

    monkeypatch.setattr(Batches, "__getitem__", record)
    first = trained(described, tmp_path)
    assert drawn == list(range(8))
    again = trained(described, tmp_path)
    assert drawn == list(range(8))
    assert again.history == first.history
    trained(described, tmp_path, recipe="another")
    assert drawn == 2 * list(range(8))
    (tmp_path / "model.pt").touch()
    discard_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


class Nothing(torch.nn.Module):
    """A second network: adds what it has learned to every pixel."""

    block, reach = 2, 0

    def __init__(self, *, width, levels):
        super().__init__()
        self.options = {"width": width, "levels": levels}
        self.added = torch.nn.Parameter(torch.zeros(1))
        self.error = torch.nn.Parameter(torch.full((1,), 0.1))

    def forward(self, noisy):
        return noisy + self.added, torch.zeros_like(noisy) + self.error.abs()


def test_another_network_is_an_entry_of_the_table(described, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "NETWORKS", {**networks.NETWORKS, "nothing": Nothing})
    model = trained(described, tmp_path, MODEL | {"network": "nothing"}).model
    assert float(model.network.added) != 0
    model.save(tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert name_of(loaded.network) == "nothing"
    assert same(loaded.network, model.network)
    assert "network: nothing (width 8, levels 2)" in loaded.describe()


def test_a_network_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match=r"network 'resnet': expected one of unet"):
        network_of("resnet", {"width": 4, "levels": 2})
    with pytest.raises(ValueError, match=r"network of type Nothing: expected one of UNet"):
        name_of(Nothing(width=4, levels=2))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"width": 10**9, "levels": 2}, r"width = 1000000000: expected .* from 1 to 1024"),
        ({"width": 8, "levels": 10**6}, r"levels = 1000000: expected .* from 1 to 8"),
        ({"width": 8.0, "levels": 2}, r"width = 8\.0: expected a whole number"),
        ({"width": 8}, r"network 'unet' .*levels"),
        ({"width": 8, "levels": 2, "depth": 3}, r"network 'unet' .*depth"),
    ],
)
def test_sizes_that_no_network_has_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        network_of("unet", sizes)


def test_an_option_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="unknown training options: colour"):
        options(colour="red")


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    network = UNet(width=4, levels=2).eval()
    for head in (network.correction, network.doubt[-1]):
        torch.nn.init.normal_(head.weight, std=0.1)
    return Model(network, replace(SAYS_LITTLE, trained_on="gaussian"))


@pytest.mark.parametrize("shape", [(192, 192), (96, 150), (61, 187)])
@pytest.mark.parametrize("tile", [1, 32, 50, 1000])
def test_tiles_give_the_whole_image(denoiser, lattice, shape, tile):
    image = lattice[: shape[0], : shape[1]]
    if tile == 1:
        image = image[:48, :48]  # tiles of one block each
    with torch.inference_mode():
        whole = denoiser.network(torch.from_numpy(image.copy())[None, None])
    assert (denoiser.at_once(image) == whole[0][0, 0].numpy()).all()
    for tiled, expected in zip(denoiser.denoise(image, tile=tile), whole, strict=True):
        assert tiled.shape == image.shape
        assert np.abs(tiled - expected[0, 0].numpy()).max() < 1e-5


def test_patches_of_the_paper_like_baseline_know_nothing_of_each_other(denoiser, lattice):
    paper_like = Model(denoiser.network, replace(SAYS_LITTLE, patch=32))
    changed = lattice.copy()
    changed[40, 40] += 1
    moved = np.argwhere(paper_like(changed) != paper_like(lattice))
    assert moved.min() >= 32
    assert moved.max() < 64
    assert np.abs(paper_like(lattice) - denoiser(lattice)).max() > 1e-4


def calibrated(model, calibration):
    return replace(model, description=replace(model.description, calibration=calibration))


class Slow(UNet):
    """Leaves the image as it is, and expects an error that grows slower than the noise."""

    def forward(self, noisy):
        return noisy, torch.full_like(noisy, float(noisy.std()) ** 0.8)


def test_sigma_is_calibrated_for_weak_noise_and_strong(rng):
    clean = np.zeros((128, 128), np.float32)
    pairs = [
        (c * rng.standard_normal(clean.shape).astype(np.float32), clean) for c in (0.05, 0.1, 0.4)
    ]
    model = Model(Slow(width=4, levels=2), SAYS_LITTLE)
    found = model.calibration(pairs)
    assert found.growth == pytest.approx(0.25, abs=0.01)  # 0.8 (1 + 0.25) = 1
    for noisy, _ in pairs:
        _, sigma = calibrated(model, found).denoise(noisy)
        assert (np.abs(noisy) <= sigma).mean() == pytest.approx(0.6827, abs=0.01)


def test_sigma_is_calibrated_on_the_pairs_given(denoiser, lattice, rng):
    pairs = [(lattice + c * rng.standard_normal(lattice.shape), lattice) for c in (0.1, 0.3)]
    found = denoiser.calibration(pairs)
    inside = []
    for noisy, clean in pairs:
        denoised, sigma = calibrated(denoiser, found).denoise(noisy)
        inside.append(np.abs(denoised - clean) <= sigma)
    assert np.mean(inside) == pytest.approx(0.6827, abs=1e-3)
    # sigma that grows too fast already is not slowed down
    assert found.growth == 0


def test_sigma_of_one_level_is_calibrated_by_a_factor_alone(denoiser, lattice, rng):
    pairs = [(lattice + 0.1 * rng.standard_normal(lattice.shape), lattice) for _ in range(3)]
    found = denoiser.calibration(pairs)
    assert found.growth == pytest.approx(0, abs=0.02)
    # an earlier calibration plays no part
    again = calibrated(denoiser, SigmaCalibration(factor=9.0, growth=0.5))
    assert again.calibration(pairs) == found


def test_sigma_is_not_calibrated_on_nothing(denoiser):
    with pytest.raises(ValueError, match="no pairs: expected at least one frame"):
        denoiser.calibration([])


def test_sigma_grows_in_what_the_network_sees(denoiser, lattice, rng):
    """Another unit of a standardised image is another unit of sigma, and no other level."""
    noisy = lattice + 0.1 * rng.standard_normal(lattice.shape)
    standardised = replace(SAYS_LITTLE, standardised=True)
    model = calibrated(Model(denoiser.network, standardised), SigmaCalibration(growth=0.5))
    _, sigma = model.denoise(noisy)
    _, scaled = model.denoise(1000 * noisy + 50)
    assert scaled == pytest.approx(1000 * sigma, rel=1e-3)


def test_denoiser_takes_what_users_have(denoiser, lattice):
    expected = denoiser(lattice)
    assert expected.dtype == np.float32
    assert (denoiser(lattice.astype(np.float64)) == expected).all()
    assert denoiser(np.asfortranarray(lattice)) == pytest.approx(expected, abs=1e-6)
    assert denoiser((lattice > 0.5).astype(np.uint8)).shape == lattice.shape
    assert denoiser(lattice[::2, ::-2]).shape == (96, 96)
    assert np.isfinite(denoiser(np.full((32, 32), 7))).all()


def test_tiles_of_no_size_are_refused(denoiser, lattice):
    with pytest.raises(ValueError, match="tile = 0: expected at least 1 pixel"):
        denoiser.denoise(lattice, tile=0)


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
        np.full((64, 64), -np.inf),
        np.zeros((1, 1)),
        np.full((64, 64), "a"),
    ],
    ids=["stack", "line", "empty", "small", "complex", "nan", "inf", "-inf", "pixel", "text"],
)
def test_denoiser_refuses_what_is_no_image(denoiser, image):
    with pytest.raises(ValueError, match=r"expected a real image|not finite"):
        denoiser(image)
