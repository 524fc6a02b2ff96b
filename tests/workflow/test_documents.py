"""What the documents say exists."""

import re

import pytest
from conftest import ROOT

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "config/README.md",
    "docs/ablation.md",
    "docs/architecture.md",
    "docs/cluster.md",
    "docs/denoising.md",
    "docs/ecosystem.md",
    "docs/ground-truth.md",
    "docs/implants.md",
    "docs/judge.md",
    "docs/learned-density.md",
    "docs/microscope.md",
    "docs/micrographs.md",
    "docs/python.md",
    "docs/results.md",
    "docs/science.md",
    "docs/tutorial.md",
    "docs/tutorial-mos2.md",
    "results/README.md",
]


def code(text):
    """Words in code font, and the lines of indented code."""
    spans = re.findall(r"`([^`\n]+)`", text)
    return spans + re.findall(r"^    (\S.*)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_paths_exist(name):
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in link:
            assert ((ROOT / name).parent / link.split("#")[0]).exists(), link
    places = ("workflow", "config", "envs", "profiles", "tests", ".ci")
    for words in code(text):
        for word in re.split(r"[\s\"'=,]+", words):
            if word.split("/")[0] in places and "/" in word and not re.search(r"[*{}<>]", word):
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_exist(name):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for words in code((ROOT / name).read_text()):
        if words.startswith("make "):
            assert words.split()[1] in targets, words


def test_rules_of_the_readme_exist():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    text = (ROOT / "README.md").read_text() + (ROOT / "results/README.md").read_text()
    for rule in set(re.findall(r"`((?:build|run|project|join|make|train|plot|report)_\w+)`", text)):
        assert re.search(rf"^ *(use )?rule .*\b{rule}\b", rules, flags=re.MULTILINE), rule


def test_every_document_is_listed():
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert found <= set(DOCUMENTS)
