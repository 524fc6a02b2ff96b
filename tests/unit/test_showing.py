"""Figures and the page of the validation from made-up numbers."""

from html.parser import HTMLParser

import made_up
import numpy as np
import pytest
from ase import Atoms
from temdenoise.configuration import checked
from temdenoise.files import read_table
from temdenoise.images.noise import PAPER_NOISES as NOISES
from temdenoise.showing import figures, supplement, validation
from temdenoise.showing.comparison import NETWORKS, compared
from temdenoise.showing.marked import figure_3, write_figure_3
from temdenoise.showing.style import journal
from temdenoise.storage import Images


@pytest.fixture(scope="module")
def quality():
    return made_up.quality()


@pytest.fixture(scope="module")
def images(lattice):
    return made_up.images(lattice)


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
            data=images["data"]["gaussian"],
            noisy={noise: (images["noisy"][noise][0.2], 0.2) for noise in NOISES},
            fade_width=1.0,
        )
        figure.canvas.draw()
    values = {(r["item"], r["quantity"]): r["value"] for r in rows}
    assert values["gaussian", "rms_difference"] == pytest.approx(0.2, rel=0.02)
    assert values["all images", "worst_joint_ratio"] == 0.7
    assert values["train-0000", "electrons_in_map"] == 8.0


def test_figures_2_and_4_show_specialists_only(quality, images):
    with journal():
        two, rows = figures.figure_2(quality=quality, c_noise=(0.2, 0.3), **images)
        two.canvas.draw()
        four, rows_four = figures.figure_4(quality=quality, c_noise=0.3, **images)
        four.canvas.draw()
    assert {r["trained_on"] for r in rows if r["method"] == "cnn"} == set(NOISES)
    networks = [r for r in rows if r["method"] in NETWORKS]
    assert all(r["trained_on"] in ("all", r["noise"]) for r in networks)
    assert {r["trained_on"] for r in rows if r["method"] == "best_classical"} == {"gaussian_blur"}
    assert {r["c_noise"] for r in rows_four} == {0.3}
    titles = [axes.get_title() for axes in four.axes]
    assert sum("CNN, MS-SSIM 0.955" in title for title in titles) == len(NOISES)


def test_figure_s2_outlines_the_pores_where_patches_meet(images):
    with journal():
        figure, rows = supplement.figure_s2(c_noise=0.2, patch=64, **images)
        figure.canvas.draw()
    assert len(rows) == len(NOISES) * len(NETWORKS)
    assert {r["rms_error_in_panel"] for r in rows} == {0}
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
