import ast
import json

import pytest
from conftest import ROOT
from temdenoise import provenance
from temdenoise.provenance import code_digest, module_constant, module_digest

RECIPES = ROOT / "tests/data/recipes.json"


def digest(source):
    return provenance._canonical(ast.parse(source))


def test_blind_to_comments_docstrings_and_layout():
    plain = digest("def f(x):\n    return x + 1\n")
    assert digest('# why\n\ndef f(x):\n    """Add."""\n    return (x +  1)  # one\n') == plain
    assert digest("def f(x):\n    return x + 2\n") != plain
    assert digest("def f(x):\n    return x - 1\n") != plain


def test_a_module_brings_those_it_imports():
    assert set(provenance._imports("groundtruth.structures")) == {
        "errors",
        "groundtruth.crystals",
        "groundtruth.disorder",
        "groundtruth.families",
    }
    assert code_digest("groundtruth.structures") != code_digest("groundtruth.structures", "files")
    assert code_digest("groundtruth.structures", "errors") == code_digest("groundtruth.structures")


def test_unknown_names():
    with pytest.raises(FileNotFoundError):
        code_digest("no.such")
    with pytest.raises(KeyError, match=r"errors\.py assigns no RECIPE"):
        module_constant("errors", "RECIPE")


LEARNING = ("training", "networks", "batches", "module", "augmentation")
DEAR = ["groundtruth.dft", *(f"learning.{name}" for name in LEARNING), "images.noise"]


@pytest.mark.parametrize("module", DEAR)
def test_dear_modules_changed_only_with_their_recipe(module):
    """DFT and training are not repeated for every edit, but for those that change results."""
    known = json.loads(RECIPES.read_text())[module]
    owner = "groundtruth.dft" if module.startswith("groundtruth") else "learning.training"
    found = {"recipe": module_constant(owner, "RECIPE"), "digest": module_digest(module)}
    assert found == known, (
        f"{module} has changed. If the change alters results, raise RECIPE in {owner}; "
        f"then set its entry in tests/data/recipes.json to {json.dumps(found)}"
    )
