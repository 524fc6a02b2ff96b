"""The report's tables, charts, pictures and page from made-up numbers."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import made_up
import numpy as np
import pytest
import vl_convert
from matplotlib import colormaps
from PIL import Image
from temdenoise.foundation.files import read_benchmarks
from temdenoise.images.noise import NOISES as ALL_NOISES
from temdenoise.images.noise import PAPER_NOISES as NOISES
from temdenoise.report import charts, pictures, tables
from temdenoise.report.catalogue import figure_names
from temdenoise.report.methods import NETWORK_METHODS
from temdenoise.report.run import CONTENTS, LIMIT, report, specifications


@pytest.fixture(scope="module")
def run(tmp_path_factory, lattice):
    return made_up.run(tmp_path_factory.mktemp("figures"), lattice)


@pytest.fixture(scope="module")
def page(run):
    return report(run)


class Outline(HTMLParser):
    """Headings, ids, links, pictures and tables of a page."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.ids, self.links, self.pictures = [], [], [], []
        self.sources, self.heads, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.sources += [attrs[k] for k in ("src", "href") if tag != "a" and k in attrs]
        self.pictures += [attrs.get("alt")] if tag == "img" else []
        self.heads += [attrs.get("scope")] if tag == "th" else []


def test_fidelity_table_has_every_method_once():
    rows = tables.fidelity_table(made_up.fidelity(), 0.2)
    assert len(rows) == len(NOISES) * (len(made_up.LOST) + len(NETWORK_METHODS))
    assert rows[0]["cells"] == ["0.1", "+0.125", "0.12", "–", "0.12", "–"]
    assert {row["method"] for row in rows} >= {"Universal CNN", "Gaussian blur", "Noisy"}


def test_summary_compares_with_the_best_rival():
    rows = tables.summary(made_up.quality(), 0.2)
    assert {row["rival"] for row in rows} == {"gaussian blur"}
    assert [row["noise"] for row in rows] == [ALL_NOISES[noise].title for noise in NOISES]
    assert all(row["ratio"] == pytest.approx(0.5) for row in rows)
    table = tables.cross_table(made_up.quality(), 0.2)
    for index, (_, values) in enumerate(table["rows"]):
        assert int(np.argmax(values)) == index


def test_coverage_is_summed_up_by_method_and_region():
    rows = tables.coverage(made_up.fidelity())
    assert [r["method"] for r in rows][:2] == ["CNN of this noise", "Universal CNN"]
    assert rows[0]["interpolation"] == pytest.approx((0.6, 0.7))
    assert rows[0]["extrapolation"] == pytest.approx((0.8, 0.8))


def test_provenance_is_told_by_rule_and_file():
    shown = tables.provenance(made_up.PROVENANCE)
    assert shown["about"][:3] == [
        ("temdenoise.version", "0.1.0"),
        ("temdenoise.code", "c0de"),
        ("repository", "–"),
    ]
    assert shown["rules"] == [
        {
            "rule": "run_dft",
            "files": 3,
            "python": "3.11.2, 3.12.1",
            "machines": "node, EPYC, Linux",
            "packages": "ase 3.29.0, gpaw 26.7.0 and 26.8.0",
        }
    ]
    assert shown["files"][1] == ("dft/*/density.tif, 3 files together", 64 * "b")


def test_errors_of_the_learned_density_are_pooled_by_site(lattice):
    rows = made_up.learned_density(lattice).accuracy
    bulk, vacancy = tables.density_accuracy(rows, seed=1)
    assert (bulk["site"], bulk["structures"], vacancy["structures"]) == ("bulk", 6, 1)
    expected = np.sqrt(np.mean([row["rms_over_std"] ** 2 for row in rows[:6]]))
    assert bulk["rms"] == pytest.approx(expected)
    assert bulk["superposition"] == pytest.approx(0.12)
    assert bulk["interval"][0] < bulk["rms"] < bulk["interval"][1]
    # one structure does not say how much they vary
    assert (vacancy["interval"], vacancy["unlike"]) == (None, pytest.approx(0.125))


def test_costs_add_up():
    job = {"s": 60.0, "max_rss": 500.0, "cpu_time": 72.0}
    short = {"s": 0.2, "max_rss": "NA", "cpu_time": "NA"}
    rows = tables.costs({"build": [short], "run_dft": [job, job | {"s": 90.0, "max_rss": 700.0}]})
    assert [row["rule"] for row in rows] == ["run_dft", "build", "all"]
    assert rows[0] == {
        "rule": "run_dft",
        "jobs": 2,
        "wall_s": 150.0,
        "longest_s": 90.0,
        "memory_mb": 700.0,
        "core_hours": 144 / 3600,
    }
    assert rows[1]["memory_mb"] == rows[1]["core_hours"] == 0
    assert rows[2]["wall_s"] == pytest.approx(150.2)
    assert tables.costs({}) == []


def test_benchmarks_are_read_by_rule(tmp_path):
    (tmp_path / "run_dft").mkdir()
    text = "s\th:m:s\tmax_rss\tcpu_time\n46.47\t0:00:46\t690.24\t44.30\n"
    for path in ("run_dft/train-0000.tsv", "run_dft/train-0001.tsv", "build_crystal.tsv"):
        (tmp_path / path).write_text(text)
    found = read_benchmarks(tmp_path)
    assert {rule: len(rows) for rule, rows in found.items()} == {"run_dft": 2, "build_crystal": 1}
    assert found["run_dft"][0] == {
        "s": 46.47,
        "h:m:s": "0:00:46",
        "max_rss": 690.24,
        "cpu_time": 44.3,
    }
    assert read_benchmarks(tmp_path / "none") == {}


def test_pictures_keep_axes_and_colours():
    image = np.zeros((20, 10))
    image[15, 2] = 1.0
    text = pictures.data_uri(image, vmin=0, vmax=1, cmap="gray")
    assert text.startswith("data:image/png;base64,")
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))).convert("RGB"))
    # x to the right, y up
    assert found.shape == (10, 20, 3)
    assert np.argwhere(found[..., 0] == 255).tolist() == [[10 - 1 - 2, 15]]
    assert (found[0, 0] == 0).all()


def test_large_figures_are_embedded_smaller(tmp_path):
    Image.new("RGB", (2100, 600), "white").save(tmp_path / "wide.png")
    for width, size in ((1400, (1400, 400)), (3000, (2100, 600))):
        text = pictures.embedded(tmp_path / "wide.png", width=width)
        found = Image.open(io.BytesIO(base64.b64decode(text.split(",")[1])))
        assert found.size == size


def test_figures_full_of_noise_stay_small_and_true(tmp_path, rng):
    grey = np.clip(0.5 + 0.2 * rng.standard_normal((100, 140)), 0, 1).repeat(3, 0).repeat(3, 1)
    image = np.rint(255 * colormaps["magma"](grey)[..., :3]).astype(np.uint8)
    # as matplotlib writes figures
    Image.fromarray(image).convert("RGBA").resize((417, 297)).save(tmp_path / "noisy.png")
    image = np.asarray(Image.open(tmp_path / "noisy.png").convert("RGB"))
    text = pictures.embedded(tmp_path / "noisy.png")
    assert text.startswith("data:image/webp;base64,")
    assert len(text) < (tmp_path / "noisy.png").stat().st_size / 2
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))), dtype=float)
    assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.95


def test_micrographs_are_shown_with_their_first_row_on_top(lattice):
    marked = made_up.marked(lattice)
    marked.data[1] = 0
    marked.data[1, 10, 3] = 1  # the fourth row, the eleventh column
    numbers = {"model": "m", "frames": [{"frame": 1, "verdict": {"headline": "x"}}]}
    (card,) = pictures.micrograph_cards({"a": marked}, {"a": numbers})
    picture = Image.open(io.BytesIO(base64.b64decode(card["after"].split(",")[1])))
    values = np.asarray(picture.convert("L"))
    assert values.shape == lattice.shape
    assert np.argwhere(values == values.max()).tolist() == [[3, 10]]
    assert (card["certain"], card["suspected"], card["nm"]) == (1, 1, pytest.approx(3.84))


def test_enlarged_images_keep_the_levels_asked_for(lattice, monkeypatch):
    monkeypatch.setattr(pictures, "LEVELS", 2)
    found = pictures.enlarged(made_up.images(lattice, (0.2,)))
    assert list(found) == list(NOISES)
    assert list(found["poisson"]["levels"]) == ["0.1", "0.2", "0.3"]
    assert set(found["poisson"]["levels"]["0.1"]) == {"raw", *NETWORK_METHODS}
    assert found["poisson"]["nm"] == pytest.approx(128 * 0.02)
    found = pictures.enlarged(made_up.images(lattice, ()))
    assert list(found["poisson"]["levels"]) == ["0.1", "0.3"]


def test_worst_cases_are_framed_where_the_error_is(lattice):
    cases = pictures.worst_cases(made_up.worst(lattice))
    assert [case["noise"] for case in cases] == list(NOISES)
    error = cases[0]["error"].split(",")[1]
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(error))))
    # all 20 x 20 wrong pixels are inside, in the last colour
    assert (found == 255).sum() == 400


def test_atoms_are_drawn_where_they_are(run):
    svg = run.ground_truth.cards[0]["atoms"]
    # y points up: an atom at y = 1 Å of 6 Å stands 5 Å from the top
    assert 'cx="1.000" cy="5.000"' in svg
    assert 'cx="2.000" cy="3.000" r="0.9" class="defect"' in svg
    assert 'aria-label="2 atoms seen from above; vacancy (C)"' in svg


def test_charts_hold_the_numbers_of_the_tables(run):
    specs = specifications(run, tables.costs(run.record.benchmarks))
    assert {f"{kind}-{n}" for kind in ("quality", "fidelity", "coverage") for n in NOISES} < set(
        specs
    )
    values = {
        (v["Method"], v["C"]): v["value"]
        for v in specs["quality-poisson"]["data"]["values"]
        if v["quantity"] == "MS-SSIM"
    }
    for row in run.evaluation.quality:
        if row["noise"] == "poisson" and row["method"] == "universal":
            assert values["Universal CNN", row["c_noise"]] == row["ms_ssim"]
        if row["noise"] == row["trained_on"] == "poisson" and row["method"] == "cnn":
            assert values["CNN of this noise", row["c_noise"]] == row["ms_ssim"]
    # each single classical method may be picked beside the best of them
    assert values["Gaussian blur", 0.1] == values["Best classical (tuned)", 0.1]
    bands = specs["quality-poisson"]["layer"][0]["data"]["values"]
    assert [band["region"] for band in bands] == ["interpolation", "extrapolation"]
    assert bands[0]["to"] == bands[1]["from"] == pytest.approx(0.25)
    covered = {v["Method"] for v in specs["coverage-poisson"]["data"]["values"]}
    assert covered == {"CNN of this noise", "Universal CNN", "Paper-like CNN"}
    steps = [v["step"] for v in specs["convergence"]["data"]["values"] if v["change"] is None]
    assert steps == []


def test_every_chart_can_be_compiled(run):
    for name, spec in specifications(run, tables.costs(run.record.benchmarks)).items():
        vega = vl_convert.vegalite_to_vega(spec | {"width": 300})
        assert vega["marks"], name


def test_methods_can_be_told_apart_without_colour():
    looks = charts.methods(charts.every_method(made_up.quality()))
    assert [look["name"] for look in looks][:5] == [
        "raw",
        "best_classical",
        "paper_like",
        "cnn",
        "universal",
    ]
    assert len({(look["shape"], tuple(look["dash"])) for look in looks}) == len(looks)
    assert {look["shape"] for look in looks} <= set(charts.GLYPHS)


def test_report_needs_no_other_file(page):
    outline = Outline(page.split('<script type="application/json"')[0])
    assert all(link.startswith("#") for link in outline.links)
    assert all(source.startswith("data:") for source in outline.sources)
    assert not re.search(r"url\(|@import", page.split("<body>")[0])
    assert "<link" not in page.replace('<link rel="icon" href="data:,">', "")
    assert not re.search(r"<script[^>]*src", page)
    assert len(page.encode()) < LIMIT


def test_report_is_well_built(page, run):
    outline = Outline(page.split('<script type="application/json"')[0])
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids)
    assert set(CONTENTS) <= set(outline.ids)
    assert all(link[1:] in outline.ids for link in outline.links)
    assert None not in outline.pictures
    assert set(outline.heads) == {"col", "row"}
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    places = re.findall(r'<div class="chart" id="([^"]+)"', page)
    assert sorted(places) == sorted(data["charts"])
    for name in figure_names(["my_scan"]):
        assert f"figure-{name}" in outline.ids
    assert "1 pores are certain, 1 suspected inventions" in page
    # 1 - MS-SSIM of the specialist at C = 0.2 is 0.03 for the first noise
    assert "0.9700" in page
    assert "leaves 50 to\n50 % of the dissimilarity" in page
    assert "EPYC" in page


def test_defects_are_counted_by_kind_over_all_noises(tmp_path, lattice):
    about = {"crystal": "graphene", "kind": "substitution", "element": "C by Si", "n_defects": 5}
    rows = [
        about | {"method": method, "noise": noise, "c_noise": 0.2, "found": found}
        for method, found in (("raw", 1), ("cnn", 4))
        for noise in ("gaussian", "poisson")
    ]
    page = report(made_up.run(tmp_path, lattice, defects=rows))
    text = " ".join(page.split())
    assert "substitution, C by Si</td><td>2 of 10</td><td>8 of 10</td>" in text
    assert "Which defects are found" not in report(made_up.run(tmp_path, lattice))


def test_learned_density_is_shown_with_its_scales(page):
    text = " ".join(page.split())
    assert "from the DFT maps of the 8 training structures" in text
    assert "drew the 2 scenes" in text
    assert "vacancy</th><td>1</td><td>3.00</td><td>–</td><td>12.0</td><td>12.5</td>" in text
    assert "test-0001 at (3.0, 4.5) Å" in text
    assert "full colour at 0.10 e/Å²" in text
    assert "0.50 % of the atoms have unknown surroundings, in one scene at most 1.00 %" in text


def test_what_was_not_recorded_is_left_out(tmp_path, lattice):
    text = report(made_up.run(tmp_path, lattice, provenance=None, benchmarks={}, density=None))
    assert 'id="provenance"' not in text
    assert 'id="density"' not in text
    assert 'href="#density"' not in text
    assert 'href="#costs"' not in text
    # free atoms added up have no energy and no steps
    bare = made_up.structure(0) | {"energy_ev": None, "fermi_level_ev": None}
    names = ("train-0000", "train-0001", "train-0002")
    text = report(made_up.run(tmp_path, lattice, calculations=dict.fromkeys(names, bare)))
    assert "Energy – eV" in text
