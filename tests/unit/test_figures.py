"""The catalogue of figures, and figures and the page of the validation from made-up numbers."""

import inspect
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module

import made_up
import numpy as np
import pytest
from ase import Atoms
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_table, write_json
from temdenoise.images.noise import PAPER_NOISES as NOISES
from temdenoise.images.storage import Images, write_images
from temdenoise.report import catalogue, figures, supplement, validation
from temdenoise.report.comparison import compared
from temdenoise.report.drawing import READERS, draw
from temdenoise.report.marked import figure_3, write_figure_3
from temdenoise.report.methods import NETWORK_METHODS
from temdenoise.report.style import journal


@pytest.fixture(scope="module")
def quality():
    return made_up.quality()


@pytest.fixture(scope="module")
def images(lattice):
    return made_up.images(lattice)


@pytest.mark.parametrize("number", catalogue.FIGURES)
def test_functions_take_what_the_catalogue_gives_them(number):
    entry = catalogue.FIGURES[number]
    module, _, function = entry.draw.partition(":")
    assert entry.module == f"report.{module}"
    given = {name for name in entry.files if name not in catalogue.TEST_IMAGES} | set(
        entry.settings
    )
    if len(given) < len(entry.files) + len(entry.settings):
        given.add("shown")
    taken = inspect.signature(getattr(import_module(f"temdenoise.{entry.module}"), function))
    assert set(taken.parameters) == given
    assert ("shown" in given) == (entry.c_noise is not None)
    assert {f".{path.rpartition('.')[2]}" for path in entry.files.values()} <= set(READERS)
    assert entry.of_micrograph == any("{micrograph}" in path for path in entry.files.values())


def test_files_and_settings_of_a_figure():
    names = {"noise": ["poisson"], "split": ["train", "val"], "structure": ["train-0000"]}
    assert catalogue.files_of("S1", names) == {
        "worst": ["results/mosaics/train/worst.tif", "results/mosaics/val/worst.tif"]
    }
    scan = catalogue.files_of("3_a {noise} scan", names)
    assert scan == {"marked": "results/micrographs/a {noise} scan_marked.tif"}
    config = checked({"report": {"c_noise": [0.2, 0.3]}, "training": {"patch": 32}})
    assert catalogue.settings_of("S2", config) == {"patch": 32}
    shown = {name: catalogue.c_noise_of(name, config) for name in ("1", "2", "4", "S1")}
    assert shown == {"1": [0.2], "2": [0.2, 0.3], "4": [0.3], "S1": []}


@pytest.mark.parametrize("name", ["6", "S1_scan", "3", "3_"])
def test_an_unknown_figure_is_refused_with_those_there_are(name):
    with pytest.raises(DataError, match=rf"figure '{name}': expected one of 1, 2, 3_<micrograph>"):
        catalogue.entry_of(name)


def test_a_figure_is_drawn_from_its_files(lattice, tmp_path):
    about = {"sampling": (0.1, 0.1), "quantity": "density", "unit": "e/angstrom^2"}
    paths = [tmp_path / f"results/mosaics/{split}/worst.tif" for split in ("train", "val")]
    for number, path in enumerate(paths):
        write_images(path, lattice[:40, :40], **about, joint_ratio=0.5 * number, axis=number)
    files = {"worst": list(map(str, paths))}
    with journal():
        _, rows = draw("S1", files, c_noise=[], settings={})
    assert [(r["split"], r["worst_joint_ratio"]) for r in rows] == [("train", 0.0), ("val", 0.5)]
    graph = tmp_path / "workflow.json"
    write_json(graph, {"edges": [["a", "b"]], "jobs": {"a": 3, "b": 1}})
    with journal():
        _, rows = draw("5", {"graph": str(graph)}, c_noise=[], settings={})
    assert [(r["from"], r["to"]) for r in rows] == [("a", "b")]


def test_figure_1(lattice, images):
    atoms = Atoms("CC", [(1, 1, 0), (3, 3, 0)], cell=[6, 6, 6], info={"defects": "[]"})
    density = Images(lattice[:60, :60], (0.1, 0.1), "e/angstrom^2", "", {"electrons": 8.0})
    with journal():
        figure, rows = figures.figure_1(
            atoms={"train-0000": atoms, "train-0001": atoms},
            maps={"train-0000": density, "train-0001": density},
            joined=Images(lattice, (0.2, 0.2), "e/angstrom^2", "", {}),
            shifted=Images(lattice[None], (0.2, 0.2), "e/angstrom^2", "", {}),
            joints={"worst_joint_ratio": 0.7, "images": [{"origin_angstrom": [1.0, 2.0]}]},
            shown=replace(images, c_noise=(0.2,)),
            fade_width=1.0,
        )
        figure.canvas.draw()
    values = {(r["item"], r["quantity"]): r["value"] for r in rows}
    assert values["gaussian", "rms_difference"] == pytest.approx(0.2, rel=0.02)
    assert values["all images", "worst_joint_ratio"] == 0.7
    assert values["train-0000", "electrons_in_map"] == 8.0


def test_figures_2_and_4_show_specialists_only(quality, images):
    with journal():
        two, rows = figures.figure_2(quality=quality, shown=replace(images, c_noise=(0.2, 0.3)))
        two.canvas.draw()
        four, rows_four = figures.figure_4(quality=quality, shown=replace(images, c_noise=(0.3,)))
        four.canvas.draw()
    assert {r["trained_on"] for r in rows if r["method"] == "cnn"} == set(NOISES)
    networks = [r for r in rows if r["method"] in NETWORK_METHODS]
    assert all(r["trained_on"] in ("all", r["noise"]) for r in networks)
    assert {r["trained_on"] for r in rows if r["method"] == "best_classical"} == {"gaussian_blur"}
    assert {r["c_noise"] for r in rows_four} == {0.3}
    titles = [axes.get_title() for axes in four.axes]
    assert sum("CNN, MS-SSIM 0.955" in title for title in titles) == len(NOISES)


def test_figure_s2_outlines_the_pores_where_patches_meet(images, lattice):
    away = {method: 0.1 * (n + 1) for n, method in enumerate(NETWORK_METHODS)}
    denoised = {
        method: {noise: {0.2: lattice + error} for noise in NOISES}
        for method, error in away.items()
    }
    with journal():
        figure, rows = supplement.figure_s2(
            shown=replace(images, denoised=denoised, c_noise=(0.2,)), patch=64
        )
        figure.canvas.draw()
    assert [(r["noise"], r["method"]) for r in rows] == [
        (noise, method) for noise in NOISES for method in NETWORK_METHODS
    ]
    for row in rows:
        assert row["rms_error_in_panel"] == pytest.approx(away[row["method"]], rel=1e-4)
    assert figure.axes[0].get_title() == "clean"


def test_figure_s3_frames_the_largest_error(lattice):
    worst = made_up.worst(lattice)
    with journal():
        figure, rows = supplement.figure_s3(worst=worst)
        figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:5] == ["noisy", "denoised", "clean", "error", "predicted sigma"]
    assert [r["noise"] for r in rows] == list(NOISES)
    assert all(r["x_px"] <= 100 and r["x_px"] + r["side_px"] >= 120 for r in rows)
    assert all(r["y_px"] <= 60 and r["y_px"] + r["side_px"] >= 80 for r in rows)


def test_figure_3_draws_every_place_where_it_lies(lattice, tmp_path):
    marked = made_up.marked(lattice)
    with journal():
        figure, rows = figure_3(marked=marked)
        figure.canvas.draw()
    places = marked.metadata["places"]
    assert [r["mark"] for r in rows] == [place["mark"] for place in places]
    assert rows[0]["x_nm"] == pytest.approx(30.5 * 0.02)
    assert rows[0]["y_nm"] == pytest.approx(10.5 * 0.02)
    assert rows[2]["area_nm2"] == pytest.approx(18432 * 0.02**2)
    assert [r["confidence"] for r in rows] == [0.99, 0.6, "", ""]
    top, enlarged = figure.axes[3], figure.axes[7]
    # the first row of the image is on top
    height = lattice.shape[1] * 0.02
    rings = [line for line in top.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(rings[0].get_xydata(), [[150.5 * 0.02, height - 20.5 * 0.02]])
    # enlarged around the largest error, which is in the top right corner
    assert figure.axes[7].get_title() == ""
    frame = top.get_xlim()[1], top.get_ylim()[1]
    patch = figure.axes[0].patches[-1]
    assert patch.get_x() + patch.get_width() == pytest.approx(frame[0])
    assert patch.get_y() + patch.get_height() == pytest.approx(frame[1])
    assert enlarged.get_xlim()[1] < frame[0]
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert labels[:2] == ["pores, certain: 1", "pores, uncertain: 0"]
    assert labels[2] == "pores, suspected inventions: 1"
    assert "my scan.dm4: With care" in figure.get_suptitle()

    files = {kind: tmp_path / f"figure_3.{kind}" for kind in ("pdf", "png", "csv")}
    write_figure_3(marked, files)
    assert files["pdf"].read_bytes().startswith(b"%PDF")
    assert read_table(files["csv"])[1]["confidence"] == 0.6
    first = files["pdf"].read_bytes()
    write_figure_3(marked, files)
    assert files["pdf"].read_bytes() == first


def test_figure_3_of_an_image_without_any_feature(lattice):
    marked = made_up.marked(lattice)
    marked.metadata["places"].clear()
    marked.data[3] = 0
    with journal():
        figure, rows = figure_3(marked=marked)
        figure.canvas.draw()
    assert rows == [
        {
            "file": "my scan.dm4",
            "what": "pores",
            "mark": "none found",
            "x_nm": "",
            "y_nm": "",
            "confidence": "",
            "evidence": "",
            "area_nm2": "",
        }
    ]


def test_the_best_rival_is_found_at_each_c():
    def row(method, c, value, trained_on=""):
        return {
            "method": method,
            "trained_on": trained_on,
            "noise": "gaussian",
            "c_noise": c,
            "ms_ssim": value,
        }

    rows = compared(
        [
            row("raw", 0.1, 0.99),
            row("constant", 0.1, 1.0),
            row("wavelet", 0.1, 0.7),
            row("median", 0.1, 0.8),
            row("wavelet", 0.2, 0.6),
            row("cnn", 0.1, 0.9, "gaussian"),
            row("cnn", 0.1, 0.95, "poisson"),
        ]
    )
    rivals = [(r["c_noise"], r["trained_on"]) for r in rows if r["method"] == "best_classical"]
    assert rivals == [(0.1, "median"), (0.2, "wavelet")]
    assert [r["trained_on"] for r in rows if r["method"] == "cnn"] == ["gaussian"]
    assert "constant" not in {r["method"] for r in rows}


def test_figure_5_marks_edges_that_follow_from_others():
    graph = {
        "edges": [["a", "b"], ["a", "c"], ["b", "c"], ["x", "c"]],
        "jobs": {"a": 3, "b": 1, "c": 1, "x": 1},
    }
    with journal():
        figure, rows = figures.figure_5(graph=graph)
        figure.canvas.draw()
    drawn = {(r["from"], r["to"]): r["drawn"] for r in rows}
    assert drawn == {("a", "b"): True, ("a", "c"): False, ("b", "c"): True, ("x", "c"): True}
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"a\n3 jobs", "b\n1 job"} <= texts


def test_figure_s1_marks_the_joints(lattice):
    worst = {
        split: Images(
            lattice[:40, :40], (0.1, 0.1), "e/angstrom^2", "density", {"joint_ratio": r, "axis": a}
        )
        for split, r, a in (("train", 0.5, 0), ("val", 0.25, 1))
    }
    with journal():
        figure, rows = supplement.figure_s1(worst=worst)
        figure.canvas.draw()
    assert rows == [
        {"split": "train", "worst_joint_ratio": 0.5, "crossed_along": "x"},
        {"split": "val", "worst_joint_ratio": 0.25, "crossed_along": "y"},
    ]
    assert figure.axes[0].get_title() == "train: ratio 0.50"
    # both arrows are within what is saved, above and below or left and right
    for axes, markers in zip(figure.axes, ("^v", "><"), strict=False):
        arrows = [line for line in axes.lines if line.get_marker() in markers]
        assert [line.get_marker() for line in arrows] == list(markers)
        box, whole = axes.get_tightbbox(), figure.get_tightbbox()
        for line in arrows:
            bounds = line.get_window_extent()
            assert box.x0 <= bounds.x0
            assert bounds.x1 <= box.x1
            assert whole.y0 * figure.dpi <= bounds.y0
            assert bounds.y1 <= whole.y1 * figure.dpi


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ("src", "href")]


def accuracy_rows():
    return [
        {
            "variant": variant,
            "rms_over_std": 0.0 if variant == "plane_waves" else 0.02,
            "largest_over_range": 0.01,
            "valence_electrons": 240.0,
            "scf_steps": 12,
            "seconds": 40.0,
        }
        for variant in ("as_configured", "plane_waves", "superposition")
    ]


@pytest.mark.parametrize("with_lattice", [True, False])
def test_validation_page_needs_no_other_file(lattice, tmp_path, with_lattice):
    maps = {
        variant: Images(lattice + 0.01 * i, (0.1, 0.1), "e/angstrom^2", "density", {})
        for i, variant in enumerate(validation.SHOWN)
    }
    curve = [
        {"lattice_constant_angstrom": a, "energy_ev_per_atom": (a - 2.46) ** 2}
        for a in (2.4, 2.44, 2.48, 2.52)
    ]
    result = {"curve": curve, "equilibrium_angstrom": 2.46}
    result |= {"bond_length_angstrom": 1.42, "bond_density_e_per_angstrom3": 2.0}
    given = result if with_lattice else None
    titles = {"variants": {v: f"Variant {v}" for v in validation.SHOWN}}
    png = tmp_path / "figure.png"
    with journal():
        figure = validation.figure(maps, accuracy_rows(), given, **titles)
        figure.savefig(png)
    text = validation.page(accuracy_rows(), given, **titles, config=checked({}), png=png)
    page = Page()
    page.feed(text)
    assert all(link.startswith(("data:", "https://doi.org/")) for link in page.links)
    assert "script" not in page.tags
    assert "<strong>2.0 %</strong>" in text
    assert ("2.4600" in text) == with_lattice
    assert ("10.1154/1.1536926" in text) == with_lattice
