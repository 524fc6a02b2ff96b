"""Model files: what is saved is loaded again, and nothing else gets in."""

import os
import pickle
import re
import resource
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_models import ADF, DENSITY, SCALED, made_up
from temdenoise import __version__
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import NoiseRange
from temdenoise.learning.description import MOST_VALUES, ModelDescription
from temdenoise.learning.inference import FORMATS, Model, load

MEGABYTE = 1000  # as `ru_maxrss` counts on Linux: kB


LAUGHS = ["ha"]
for _ in range(30):
    LAUGHS = [LAUGHS] * 10  # 10^30 values in a kilobyte


@pytest.fixture
def model():
    return made_up(SCALED, stirred=0.1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.fixture
def content(model, path):
    """What a whole model file holds; to be changed and saved again."""
    model.save(path)
    return torch.load(path, weights_only=True)


def refused(path, said):
    """Load what must be refused, with its path in the message, at once and without memory."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: (?s:.*){said}") as error:
        load(path)
    assert time.monotonic() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * MEGABYTE
    assert len(str(error.value)) < 1000


def rewritten(path, change, rename=str):
    """Change the pickle inside a model file, and its name, with checksums that fit."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    changed = change(entries.pop(name))
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in (entries | {rename(name): changed}).items():
            archive.writestr(entry, data)


def test_saved_model_is_the_same_model_in_the_same_bytes(model, tmp_path, lattice):
    for name in ("a.pt", "b.pt"):
        model.save(tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    loaded = load(tmp_path / "a.pt")
    assert loaded.description == model.description
    assert (loaded(lattice) == model(lattice)).all()


@pytest.mark.parametrize("about", [DENSITY, ADF, SCALED, ADF | {"seed": 0, "patch": 32}])
def test_a_description_survives_a_file(about, path):
    model = made_up(about)
    model.save(path)
    found = load(path).description
    assert found == model.description
    assert found.seed == about.get("seed")
    for key in about:
        if not key.startswith(("sampling", "c_noise")):
            assert found.to_dict()[key] == about[key]


def test_a_description_says_what_its_file_said():
    about = ModelDescription.from_dict(ADF)
    assert (about.noise, about.mode.name, about.universal) == (NoiseRange(0.02, 2.0), "adf", True)
    assert (about.sampling, about.pixels) == ((0.15, 0.15), (0.12, 0.17))
    assert about.spacings == {"mos2": 2.7366}
    assert ModelDescription.from_dict(DENSITY).pixels == pytest.approx((0.19, 0.21))


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt: there is no such model"):
        load(path)


@pytest.mark.parametrize("number", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(content, path, number):
    whole = path.read_bytes()
    path.write_bytes(whole[: number if isinstance(number, int) else int(number * len(whole))])
    refused(path, r"damaged, truncated or not a model file .*; run its training again")


@pytest.mark.parametrize("text", [b"hello", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x89PNG\r\n"])
def test_other_files_are_refused(path, text):
    path.write_bytes(text)
    refused(path, "damaged, truncated or not a model file")


def test_no_flipped_bit_goes_unnoticed(content, path, model, rng):
    whole = path.read_bytes()
    places = {int(p) for p in rng.integers(0, len(whole), 150)} | set(range(40))
    places |= set(range(len(whole) - 60, len(whole)))
    weights = model.network.state_dict()
    noticed = 0
    for place in sorted(places):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            loaded = load(path)
        except DataError:
            noticed += 1
            continue
        # a date, or the space between two entries
        assert loaded.description == model.description
        found = loaded.network.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in weights.items())
    assert noticed > 0.5 * len(places)


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("place", ["format", "version", "about", "network", "state_dict"])
def test_code_is_not_executed(content, path, tmp_path, place):
    torch.save(content | {place: Harmful(tmp_path / "victim")}, path)
    refused(path, "holds code or objects, which are not loaded .*mkdir")
    assert not (tmp_path / "victim").exists()
    # it would be by a loader that trusts
    torch.load(path, weights_only=False)
    assert (tmp_path / "victim").exists()


def test_code_in_a_bare_pickle_is_not_executed(path, tmp_path):
    path.write_bytes(pickle.dumps(Harmful(tmp_path / "victim")))
    refused(path, "not a model file")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "call",
    [
        b"c__builtin__\nbytearray\nI10000000000\n\x85R",
        b"ctorch\nFloatTensor\n(I3000000000\ntR",
        b"ctorch\nTensor\nI3000000000\n\x85\x81",
        b"c__builtin__\neval\nX\x03\x00\x00\x001+1\x85R",
        b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93X\x02\x00\x00\x00id\x85R",
    ],
    ids=["bytearray", "tensor by call", "tensor by class", "eval", "by name on the stack"],
)
def test_what_is_called_by_name_is_refused_before_it_is_read(content, path, call):
    """PyTorch itself would make the first three: gigabytes from a few bytes."""
    rewritten(path, lambda data: data[:-1] + call + b".")
    refused(path, "holds code or objects, which are not loaded")


def test_a_pickle_is_looked_at_in_any_case_of_its_name(content, path, tmp_path):
    torch.save(content | {"about": Harmful(tmp_path / "victim")}, path)
    rewritten(path, bytes, rename=lambda name: name.replace("data.pkl", "DATA.PKL"))
    refused(path, "holds code or objects, which are not loaded .*mkdir")
    # PyTorch finds it
    torch.load(path, weights_only=False)
    assert (tmp_path / "victim").exists()


def test_a_zip_bomb_is_refused(content, path):
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data/999", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1_000_000))
    assert path.stat().st_size < 1e6
    refused(path, r"would unpack to 30\d MB from 0\.\d+ MB, and models are not compressed")


def test_entries_that_share_their_bytes_are_refused(content, path):
    """A zip bomb without compression: a hundred entries that are one and the same."""
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        archive.filelist += [largest] * 100
        archive._didModify = True
    refused(path, "would unpack to")


def test_a_long_description_is_refused(content, path):
    torch.save(content | {"about": content["about"] | {"name": "x" * 5_000_000}}, path)
    refused(path, "a description of 5 MB")


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"width": 10**9, "levels": 2}, "width = 1000000000: expected .* from 1 to 1024"),
        ({"width": 4, "levels": 10**6}, "levels = 1000000: expected .* from 1 to 8"),
        ({"width": -4, "levels": 2}, "width = -4: expected"),
        ({"width": 2**200, "levels": 2}, "'width' of its network is 1606.*, expected a number"),
        ({"width": 10**5000, "levels": 2}, "its description is no plain pickle"),
        ({"width": "4", "levels": 2}, "'width' of its network is '4', expected a number"),
        ({"width": 4.0, "levels": 2}, r"'width' of its network is 4\.0, expected a number"),
        ({"width": True, "levels": 2}, "'width' of its network is True, expected a number"),
        ({"width": LAUGHS, "levels": 2}, "'width' of its network is .*, expected a number"),
        ({"levels": 2}, "width"),
        ({}, "width"),
        ({"width": 4, "levels": 2, "depth": 1}, "depth"),
        ({"width": 4, "levels": 2, "name": "resnet"}, "network 'resnet': expected one of unet"),
        (
            {"width": 4, "levels": 2, "name": ["unet"]},
            r"its network is \['unet'\], expected",
        ),
        ({1: 4, "levels": 2}, "keywords must be strings"),
        ([4, 2], "."),
        (None, "."),
        (7, "."),
        ({"width": 8, "levels": 2}, r"weight \S+ has the shape .* expected"),
        ({"width": 4, "levels": 1}, "its weights are not those of its network"),
        ({"width": 1024, "levels": 8}, "its weights are not those of its network"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(content, path, network, said):
    torch.save(content | {"network": network}, path)
    refused(path, said)


def claimed(width, levels):
    """Weights of a network of any size in no space: each a single number, seen many times."""
    with torch.device("meta"):
        shapes = {
            key: value.shape for key, value in made_up_network(width, levels).state_dict().items()
        }
    return {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}


def made_up_network(width, levels):
    from temdenoise.learning.networks import UNet

    return UNet(width=width, levels=levels)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_weights_that_the_file_does_not_hold_are_refused(content, path, version):
    network = {"width": 1024, "levels": 8}
    weights = claimed(**network)
    assert sum(value.numel() for value in weights.values()) > 2e8
    torch.save(
        content
        | {"network": network, "state_dict": weights, "format": f"temdenoise-denoiser-{version}"},
        path,
    )
    assert path.stat().st_size < 1e5
    refused(path, r"weight \S+ has the shape .* which the file of \d+\.\d+ MB cannot hold")


def test_a_tensor_larger_than_its_bytes_is_refused(content, path):
    # of 4 numbers that are stored, 10 000 000 000 are asked for
    short, long = (pickle.dumps(number, 2)[2:-1] for number in (4, 10**10))
    torch.save(content | {"state_dict": {"a": torch.zeros(4)}}, path)
    rewritten(path, lambda data: data.replace(short + b"\x85q", long + b"\x85q", 1))
    refused(path, "damaged, truncated or not a model file .*storage")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.to(torch.complex64), "no tensor of floating-point numbers"),
        (lambda w: w.to(torch.int64), "no tensor of floating-point numbers"),
        (lambda w: w > 0, "no tensor of floating-point numbers"),
        (lambda w: w.tolist(), "no tensor of floating-point numbers"),
        (lambda _: None, "no tensor of floating-point numbers"),
        (lambda _: "weight", "no tensor of floating-point numbers"),
        (lambda w: w * torch.nan, "holds values that are not finite"),
        (lambda w: w + torch.inf, "holds values that are not finite"),
        (lambda w: w[:1], r"has the shape \(1, .*, expected \(4, "),
        (lambda w: w[None], r"has the shape \(1, 4, .*, expected \(4, "),
        (lambda w: w.flatten(), r"has the shape \(\d+,\), expected \(4, "),
        (lambda w: w[0, 0, 0, 0], r"has the shape \(\), expected \(4, "),
        # PyTorch would take these; this project writes none
        (lambda w: w.to(torch.float8_e4m3fn), "code or objects, .*_rebuild_tensor_v3"),
        (lambda w: w.to_sparse(), "holds code or objects, which are not loaded .*sparse"),
        (lambda w: w.to("meta"), "holds code or objects, which are not loaded .*meta"),
        (
            lambda w: torch.nn.Parameter(w),
            "holds code or objects, which are not loaded .*parameter",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weights_that_are_none_are_refused(content, path, change, said):
    weights = dict(content["state_dict"])
    weights["stem.weight"] = change(weights["stem.weight"])
    torch.save(content | {"state_dict": weights}, path)
    refused(path, said)


@pytest.mark.parametrize("state", [None, 3, "weights", [1, 2], {}, {"a": torch.zeros(3)}])
def test_a_file_without_weights_is_refused(content, path, state):
    torch.save(content | {"state_dict": state}, path)
    refused(path, "run its training again")


def test_lacking_and_other_weights_are_named(content, path):
    weights = dict(content["state_dict"])
    weights["stem.colour"] = weights.pop("stem.bias")
    torch.save(content | {"state_dict": weights}, path)
    refused(path, r"without \['stem\.bias'\], with \['stem\.colour'\]")


@pytest.mark.parametrize("key", ["format", "about", "network", "state_dict"])
def test_missing_parts_are_refused(content, path, key):
    torch.save({name: value for name, value in content.items() if name != key}, path)
    refused(path, "not a model of this project" if key == "format" else f"lacks '{key}'")


@pytest.mark.parametrize("whole", [None, 3, "model", [1], {}, torch.zeros(3), {"format": [1]}])
def test_a_file_of_something_else_is_refused(path, whole):
    torch.save(whole, path)
    refused(path, "not a model of this project")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"c_noise_train": None}, "lacks `c_noise_train`"),
        ({"c_noise_train": "all"}, "`c_noise_train` .*'all', expected a finite number"),
        ({"c_noise_train": [0.1]}, "`c_noise_train` .*expected two numbers"),
        ({"c_noise_train": [0.1, float("nan")]}, "`c_noise_train` .*nan, expected a finite number"),
        ({"c_noise_train": [0.1, 10**400]}, "`c_noise_train` .*expected a finite number"),
        ({"c_noise_train": [0.1, 10**5000]}, "its description is no plain pickle"),
        ({"c_noise_train": [0.1, torch.ones(2)]}, "`c_noise_train` .*expected a finite number"),
        ({"image_kind": "haadf"}, "image mode 'haadf': expected one of density, adf, hrtem"),
        ({"image_kind": 3}, "`image_kind` .*3, expected text"),
        ({"image_kind": ["adf"]}, "`image_kind` .*expected text"),
        ({"method": LAUGHS}, "`method` .*expected text"),
        ({"sampling_angstrom": -0.1}, r"`sampling_angstrom` .*-0\.1, expected .*above 0"),
        ({"sampling_angstrom": [0.1, 0]}, "`sampling_angstrom` .*0, expected .*above 0"),
        ({"sampling_range_angstrom": [0.1, True]}, "`sampling_range_angstrom` .*True, expected"),
        ({"clean_mean": None}, "`clean_mean` .*None, expected a finite number"),
        ({"clean_std": 0.0}, r"`clean_std` .*0\.0, expected .*above 0"),
        ({"sigma_factor": float("inf")}, "`sigma_factor` .*inf, expected"),
        ({"standardised": torch.ones(2)}, "`standardised` .*expected true or false"),
        ({"standardised": 1}, "`standardised` .*1, expected true or false"),
        ({"patch": 0}, "`patch` .*0, expected a whole number of at least 1"),
        ({"patch": 32.5}, r"`patch` .*32\.5, expected a whole number"),
        ({"seed": -1}, "`seed` .*-1, expected a whole number of at least 0"),
        ({"structures": 5}, "`structures` .*5, expected a list of texts"),
        ({"structures": LAUGHS}, "`structures` .*expected a list of texts"),
        ({"spacings_angstrom": [2.1]}, "`spacings_angstrom` .*expected a dictionary"),
        ({"spacings_angstrom": {"mos2": 0}}, r"`spacings_angstrom\.mos2` .*0, expected"),
        ({"spacings_angstrom": {2: 2.0}}, "`spacings_angstrom` .*expected text, numbers"),
        ({"options": "many"}, "`options` .*expected a dictionary"),
        ({"options": {"weights": torch.ones(3)}}, "`options` .*expected text, numbers"),
        ({"options": {"a": LAUGHS}}, f"`options` .*more than {MOST_VALUES} values"),
        ({"provenance": {"a": {"b": {1}}}}, "holds code or objects, which are not loaded .*set"),
        ({"provenance": {"a": [0] * MOST_VALUES}}, "`provenance` .*more than"),
        ({"scale": {"offset": 1j}}, "holds code or objects, which are not loaded .*complex"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_description_of_wrong_types_is_refused(content, path, changes, said):
    torch.save(content | {"about": content["about"] | changes}, path)
    refused(path, said)


@pytest.mark.parametrize("about", [None, 3, "adf", [1, 2], torch.ones(2)])
def test_a_description_that_is_none_is_refused(content, path, about):
    torch.save(content | {"about": about}, path)
    refused(path, "the description of the model is a .*, expected a dictionary")


def test_a_file_of_a_later_version_says_so_and_what_to_do(content, path):
    later = {"format": "temdenoise-denoiser-12", "version": "3.1"}
    torch.save(content | later, path)
    said = rf"denoiser-12', written by temdenoise 3\.1; this is {re.escape(__version__)}, .*"
    refused(path, said + "denoiser-4: install the version that wrote it$")
    del content["version"]
    torch.save(content | {"format": "temdenoise-denoiser-12"}, path)
    refused(path, "written by another version; .*: install the version that wrote it$")


def test_a_file_of_the_first_version_says_what_to_do(content, path):
    torch.save(content | {"format": "temdenoise-denoiser-1"}, path)
    refused(path, "denoiser-1', .*denoiser-2, .*denoiser-4; run its training again")


@pytest.mark.parametrize("found", ["", "temdenoise", "temdenoise-denoiser-", 4, None, LAUGHS])
def test_a_file_of_no_format_is_refused(content, path, found):
    torch.save(content | {"format": found}, path)
    refused(path, "not a model of this project")


def test_the_file_says_which_version_wrote_it_and_which_network_it_holds(content):
    assert (content["format"], content["version"]) == (list(FORMATS)[-1], __version__)
    assert content["network"] == {"name": "unet", "width": 4, "levels": 2}


def test_a_file_without_the_name_of_its_network_is_a_unet(content, path, model, lattice):
    old = {key: value for key, value in content.items() if key != "version"}
    old |= {"format": "temdenoise-denoiser-3", "network": {"width": 4, "levels": 2}}
    torch.save(old, path)
    loaded = load(path)
    assert loaded.description == model.description
    assert (loaded(lattice) == model(lattice)).all()


@pytest.fixture
def of_the_noise(model):
    """Weights of a network that predicted the noise; its two heads."""
    head, doubt = (
        torch.nn.Conv2d(4, 4, 1),
        torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 1)),
    )
    weights = {
        name: value
        for name, value in model.network.state_dict().items()
        if name.split(".")[0] not in ("blur", "correction", "kept", "doubt")
    }
    for name, part in (("head", head), ("doubt", doubt)):
        weights |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
    return weights, head, doubt


OLDEST = {
    "format": "temdenoise-denoiser-2",
    "about": {"c_noise_train": [0.02, 0.25]},
    "network": {"width": 4, "levels": 2},
}


def test_models_that_predicted_the_noise_answer_as_they_did(model, of_the_noise, path, lattice):
    weights, head, doubt = of_the_noise
    torch.save(OLDEST | {"state_dict": weights}, path)
    found = load(path).denoise(lattice)
    with torch.no_grad():
        noisy = torch.from_numpy(lattice)[None, None]
        features = model.network.features(torch.nn.functional.pixel_unshuffle(noisy, 2))
        noise = torch.nn.functional.pixel_shuffle(head(features), 2)
        sigma = torch.nn.functional.softplus(
            torch.nn.functional.pixel_shuffle(doubt(features), 2), beta=20
        )
    for answer, expected in zip(found, (noisy - noise, sigma), strict=True):
        assert np.abs(answer - expected[0, 0].numpy()).max() < 1e-6


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("head.weight", None, "no tensor of floating-point numbers"),
        ("doubt.0.weight", torch.zeros(4), r"weight doubt\.0\.weight has the shape \(4,\)"),
        ("doubt.0.weight", torch.zeros(4, 99, 1, 1), r"weight doubt\.0\.weight has the shape"),
        ("head.weight", torch.zeros(9, 4, 1, 1), r"weight correction\.weight has the shape"),
    ],
)
def test_faulty_weights_of_the_oldest_models_are_refused(of_the_noise, path, key, value, said):
    weights = of_the_noise[0]
    torch.save(OLDEST | {"state_dict": weights | {key: value}}, path)
    refused(path, said)
    del weights[key]
    torch.save(OLDEST | {"state_dict": weights}, path)
    refused(path, f"lacks '{key}'")


def test_a_model_is_saved_whole_or_not_at_all(model, path):
    model.save(path)
    before = path.read_bytes()
    unknown = replace(model, network=torch.nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match="network of type Conv2d: expected one of UNet"):
        unknown.save(path)
    assert path.read_bytes() == before
    assert isinstance(load(path), Model)
