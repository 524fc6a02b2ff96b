"""The examples of the documents, run as they stand."""

import doctest

from conftest import ROOT


def test_the_examples_of_the_page_on_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs/python.md"
    done = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8"
    )
    assert done.attempted > 15
    assert done.failed == 0
