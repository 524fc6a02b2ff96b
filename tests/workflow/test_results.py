"""The documents quote results as their files hold them."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/benchmarks"))
import results_page
from temdenoise.foundation.files import read_json, read_table


@pytest.mark.parametrize("page", results_page.PAGES)
def test_tables_are_those_of_the_files(page):
    """`make results-pages` writes them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert results_page.filled(text) == text


def test_every_table_is_shown_and_full():
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in results_page.PAGES)
    for name, table in results_page.TABLES.items():
        made = table()
        assert f"<!-- table {name} -->\n{made}\n<!-- end -->" in text
        assert made.count("\n") > 2 or name == "provenance", name


def test_every_method_and_crystal_has_a_name():
    rows = read_table(results_page.RESULTS / "benchmark.csv")
    assert {row["method"] for row in rows} <= {*results_page.METHODS, "constant"}
    assert {row["crystal"] for row in rows} <= {*results_page.CRYSTALS, "all", "noise alone"}


def test_results_say_where_they_come_from():
    about = read_json(results_page.RESULTS / "benchmark.json")
    assert about["commit"]["commit"]
    assert about["command"].startswith("temdenoise benchmark")
    assert "/root" not in about["command"]
