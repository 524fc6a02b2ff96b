"""Baselines and evaluation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from temdenoise.foundation.quantities import NoiseRange
from temdenoise.images.datasets import DataSet, frames, noisy_frames
from temdenoise.judging import classical as baselines
from temdenoise.judging import evaluation, merits
from temdenoise.judging.classical import BASELINES, Baseline, tune
from temdenoise.judging.detector import calibrate, detectors_from_dict, detectors_to_dict
from temdenoise.judging.evaluation import (
    Conditions,
    evaluate,
    evaluate_noise,
    pictures,
    tuned,
    worst_frames,
)
from temdenoise.judging.merits import DenoisedImage, FigureOfMerit
from temdenoise.judging.metrics import ms_ssim
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.inference import Model

CONDITIONS = Conditions("gaussian", c_noise_train=(0.02, 0.25), patch=64, seed=1)


class Nothing(torch.nn.Module):
    """A network that changes nothing and expects an error of 0.1."""

    block, reach = 1, 0

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))  # says where the network computes

    def forward(self, noisy):
        return noisy, torch.full_like(noisy, 0.1)


def nothing(method, trained_on):
    about = ModelDescription(NoiseRange(0.02, 0.25), method=method, trained_on=trained_on)
    return Model(Nothing(), about)


def dataset(clean, noise="gaussian"):
    listed = frames(len(clean), [0.1, 0.4])
    noisy = noisy_frames(clean, listed, noise=noise, split="test", seed=1)
    return DataSet(clean, np.stack(list(noisy)), listed)


@pytest.fixture(scope="module")
def data(lattice):
    return dataset(np.stack([lattice, lattice[::-1]]))


@pytest.fixture(scope="module")
def settings(data):
    return tuned(replace(data, frames=[frame for frame in data.frames if frame.image == 0]))


def test_constant_and_raw(lattice):
    assert baselines.raw(lattice, sigma=0.1) is lattice
    constant = baselines.constant(lattice, sigma=0.1)
    assert np.unique(constant) == pytest.approx([lattice.mean()])


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_keeps_shape_and_a_flat_image(name):
    baseline = BASELINES[name]
    if not baseline.available:
        pytest.skip(f"{baseline.requires} is not installed: its licence keeps it from being pinned")
    flat = np.full((96, 90), 0.5)
    for setting in baseline.settings:
        result = baseline.apply(flat, sigma=0.1, **setting)
        assert result.shape == flat.shape
        assert result == pytest.approx(flat, abs=1e-3)


@pytest.mark.parametrize(
    "name", [n for n in BASELINES if BASELINES[n].available and n not in ("raw", "constant")]
)
def test_every_tuned_baseline_takes_noise_away(name, data, settings):
    frame = data.at(0.1)[0]
    setting, sigma = settings[0.1][name]
    assert sigma == pytest.approx(0.1, rel=0.01)
    denoised = BASELINES[name].apply(data.noisy[frame.index], sigma=sigma, **setting)
    clean = data.clean[frame.image]
    assert np.std(denoised - clean) < 0.8 * np.std(data.noisy[frame.index] - clean)


def test_blur_is_tuned_by_noise(settings):
    weak, strong = (settings[c]["gaussian_blur"][0]["width"] for c in (0.1, 0.4))
    assert 0.4 <= weak < strong < 3


def test_tuned_setting_is_the_best_of_those_tried(data):
    method = Baseline("blur", baselines.gaussian_blur, baselines.grid(width=(0.3, 0.8, 1.2)))
    pairs = [(data.noisy[f.index], data.clean[f.image]) for f in data.at(0.4)]
    best, sigma = tune(method, pairs)
    assert sigma == pytest.approx(0.4, rel=0.01)

    def score(setting):
        blurred = (baselines.gaussian_blur(n, sigma=sigma, **setting) for n, _ in pairs)
        scores = [ms_ssim(denoised=b, clean=c) for b, (_, c) in zip(blurred, pairs, strict=True)]
        return np.mean(scores)

    assert score(best) == max(map(score, method.settings))


def test_missing_module_leaves_a_baseline_out():
    assert not Baseline("x", baselines.raw, requires="no_such_module").available
    assert Baseline("x", baselines.raw).available


@pytest.fixture(scope="module")
def models():
    return [
        nothing("cnn", "gaussian"),
        nothing("cnn", "poisson"),
        nothing("universal", "all"),
        nothing("paper_like", "gaussian"),
    ]


@pytest.fixture(scope="module")
def tables(data, settings, models):
    sites = [[], []]
    return evaluate(
        data,
        models,
        settings=settings,
        detector=calibrate(data.clean, sites, sampling=0.2),
        sites=sites,
        conditions=CONDITIONS,
    )


def by_method(rows):
    return {(r["method"], r["trained_on"], r["c_noise"]): r for r in rows}


def test_table_has_every_method_and_marks_the_region(tables, settings):
    quality, fidelity, frames, defects = tables
    assert defects == []  # the images hold none
    columns = "method trained_on noise c_noise region ms_ssim psnr_db n_images"
    assert list(quality[0]) == columns.split()
    assert len(quality) == 2 * (4 + len(settings[0.1]))
    # what a network trained on another noise does to the pores nobody asks
    assert len(fidelity) == len(quality) - 2
    # of every frame that a network of this noise denoised
    assert len(frames) == 3 * 4
    worst = {f["method"]: f for f in worst_frames(frames)}
    assert {m: (f["c_noise"], f["region"]) for m, f in worst.items()} == {
        "cnn": (0.1, "interpolation"),
        "universal": (0.4, "extrapolation"),
    }
    scores = [f["ms_ssim"] for f in frames if (f["method"], f["c_noise"]) == ("cnn", 0.1)]
    assert worst["cnn"]["ms_ssim"] == min(scores)
    assert {(r["c_noise"], r["region"]) for r in quality} == {
        (0.1, "interpolation"),
        (0.4, "extrapolation"),
    }
    table = by_method(quality)
    raw = table["raw", "", 0.1]
    # noise of standard deviation C has a PSNR of -20 log10 C
    assert raw["psnr_db"] == pytest.approx(20, abs=0.1)
    assert raw["n_images"] == 2
    assert table["cnn", "poisson", 0.1]["ms_ssim"] == pytest.approx(raw["ms_ssim"], abs=1e-6)
    assert table["gaussian_blur", "", 0.4]["ms_ssim"] > table["raw", "", 0.4]["ms_ssim"]
    assert table["constant", "", 0.1]["ms_ssim"] < 0.2


def test_fidelity_has_the_columns_of_its_definition(tables):
    wanted = (
        "method trained_on noise c_noise region pore_centre_rmse_pm roundness_bias "
        "roundness_rmse defect_precision defect_recall defect_f1 seam_ratio "
        "tiled_minus_whole_max invented_per_nm2 invented_per_nm2_high coverage_68 n_images"
    )
    assert set(wanted.split()) <= set(tables.fidelity[0])
    assert len({tuple(row) for row in tables.fidelity}) == 1


def test_fidelity_of_what_is_known(tables, data):
    table = by_method(tables.fidelity)
    cnn, raw = table["cnn", "gaussian", 0.1], table["raw", "", 0.1]
    # a network that does nothing is the raw image
    assert cnn["pore_centre_rmse_pm"] == pytest.approx(raw["pore_centre_rmse_pm"], rel=1e-3)
    assert cnn["tiled_minus_whole_max"] == 0
    # normal noise of standard deviation C lies within C for 68.27 %
    assert cnn["coverage_68"] == pytest.approx(0.6827, abs=0.01)
    assert table["cnn", "gaussian", 0.4]["coverage_68"] == pytest.approx(0.1974, abs=0.01)
    assert raw["coverage_68"] == raw["tiled_minus_whole_max"] == ""
    assert raw["seam_ratio"] == ""
    assert cnn["seam_ratio"] == 1
    # no defects are known, so none can be missed
    assert raw["defect_recall"] == ""
    assert raw["n_defects"] == 0
    flat = table["constant", "", 0.4]
    assert flat["pore_centre_rmse_pm"] == flat["roundness_bias"] == ""
    assert flat["pore_f1"] == flat["invented_per_nm2"] == 0
    assert table["raw", "", 0.4]["invented_per_nm2"] > 0.1
    noisy = table["raw", "", 0.4]
    assert noisy["invented_per_nm2_high"] > noisy["invented_per_nm2"]
    # none seen may still be three expected, once in twenty times
    border = calibrate(data.clean, [[], []], sampling=0.2).border
    area = 2 * (191 - 2 * border) ** 2 * 0.02**2  # of two featureless images, in nm²
    assert flat["invented_per_nm2_high"] == pytest.approx(-np.log(0.05) / area, rel=1e-3)
    assert table["gaussian_blur", "", 0.1]["pore_f1"] > 0.99


def test_a_figure_of_merit_is_one_entry(monkeypatch, data, models, settings):
    bias = FigureOfMerit(
        "bias",
        lambda image: float(np.mean(image.denoised - image.truth.clean)),
        lambda values, detector: float(np.mean(values)),
    )
    monkeypatch.setattr(evaluation, "FIDELITY", (*merits.FIDELITY, bias))
    found = evaluate(
        data,
        models[:1],
        settings={c: {"raw": settings[c]["raw"]} for c in settings},
        detector=calibrate(data.clean, sampling=0.2),
        sites=[[], []],
        conditions=CONDITIONS,
    )
    assert [abs(row["bias"]) < 0.01 for row in found.fidelity] == 4 * [True]
    assert list(found.fidelity[0])[-1] == "bias"


def test_featureless_images_have_no_truth(data):
    detector = calibrate(data.clean, sampling=0.2)
    image = DenoisedImage(data.noisy[0], data.noisy[0], None, detector)
    with pytest.raises(ValueError, match="featureless"):
        _ = image.truth


def test_two_crystals_are_judged_each_with_its_own_detector_and_pooled(data, models, monkeypatch):
    few = {name: BASELINES[name] for name in ("raw", "gaussian_blur", "median")}
    monkeypatch.setattr(evaluation, "BASELINES", few)
    detectors = [calibrate(data.clean[i : i + 1], sampling=0.2) for i in range(2)]
    assert detectors_from_dict(detectors_to_dict(detectors)) == detectors
    crystals = list(zip(("one", "other"), detectors, strict=True))
    options = {"sites": [[], []], "conditions": CONDITIONS}
    found = evaluate_noise(data, data, models, crystals=crystals, **options)
    assert set(found.tables) == {"quality", "fidelity", "defects", "tuned", "crystals"}
    assert {row["n_images"] for row in found.tables["crystals"]} == {1}
    assert {row["n_images"] for row in found.tables["quality"]} == {2}
    names = [row["crystal"] for row in found.tables["crystals"]]
    assert names == len(names) // 2 * ["one"] + len(names) // 2 * ["other"]
    assert {row["method"] for row in found.tables["tuned"]} >= {"gaussian_blur", "median"}
    assert "MS-SSIM of the specialist" in found.summary()
    # the worst frames name the image of the whole split
    for row in found.worst:
        frame = next(f for f in data.at(row["c_noise"]) if f.image == row["image"])
        denoised, clean = data.noisy[frame.index], data.clean[frame.image]
        assert row["ms_ssim"] == pytest.approx(ms_ssim(denoised=denoised, clean=clean), abs=1e-6)
    shown = {p.name: p for p in pictures(data, models, found.worst, noise="gaussian")}
    assert list(shown) == ["cnn", "universal", "paper_like", "worst"]
    assert shown["cnn"].stack.shape == (2, 2, 192, 192)
    assert shown["cnn"].about["c_noise"] == [0.1, 0.4]
    assert shown["worst"].stack.shape == (2, 4, 192, 192)
    assert (shown["worst"].stack[0, 1] == shown["worst"].stack[0, 0]).all()


def test_filters_that_know_lattices_are_the_strongest_classical_ones(rng):
    """Of a lattice in strong noise; each with its best setting."""
    from made_up_frames import hexagonal

    clean = 0.5 + 0.1 * hexagonal((256, 256)).astype(np.float32)
    noisy = clean + 0.3 * rng.standard_normal(clean.shape).astype(np.float32)
    error = {
        name: min(
            np.mean((BASELINES[name].apply(noisy, sigma=0.3, **setting) - clean) ** 2)
            for setting in BASELINES[name].settings
        )
        for name in ("gaussian_blur", "background_subtraction", "radial_wiener", "local_bragg")
    }
    blur = error.pop("gaussian_blur")
    assert error.pop("background_subtraction") < blur
    assert max(error.values()) < 0.5 * blur
