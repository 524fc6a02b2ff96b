"""What makes code hard to change is counted, and stays low (tests/structure_counts.py)."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from structure_counts import counts

MOST = {
    # where image modes are named, their microscopes, how their images are formed, a noise that is
    # named after it, the interface's docstring, a doctest that lists the modes, a rule's comment
    "code naming hrtem": 7,
    "functions with too many parameters": 0,
    "about[...] outside loading": 0,
    "scripts that are too long": 0,
}


@pytest.mark.parametrize("kind", MOST)
def test_counts(kind):
    found = counts(ROOT)
    assert set(found) == set(MOST)
    assert len(found[kind]) <= MOST[kind], found[kind]
