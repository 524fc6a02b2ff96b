"""The stored reference test set is what its recipe gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from conftest import ROOT
from temdenoise.foundation.configuration import checked, crystals_of, families_of
from temdenoise.foundation.seeding import generator
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.density import project_density
from temdenoise.groundtruth.dft import DftSettings, run_dft
from temdenoise.groundtruth.structures import Disorder, build_structure
from temdenoise.groundtruth.validation import difference
from temdenoise.judging.reference import read_reference, reference_files

OVERLAY = ROOT / "config/test_set.yaml"
CONFIG = checked(yaml.safe_load(OVERLAY.read_text(encoding="utf-8")), files=[])
CRYSTALS = crystals_of(CONFIG["structures"])
NAMES = [f"{Path(c['crystal']).stem}_{'x'.join(map(str, c['repeat']))}" for c in CRYSTALS]
STORED = {path.stem: read_reference(path) for path in reference_files()}


def test_it_is_small_and_says_where_it_comes_from():
    assert sum(path.stat().st_size for path in reference_files()) < 8e6
    assert set(STORED) <= set(NAMES)
    for reference in STORED.values():
        assert reference.provenance["seed"] == CONFIG["seed"]
        assert reference.provenance["dft"] == CONFIG["dft"]
        assert set(reference.provenance["recipes"]) == {"groundtruth.dft"}


def test_it_holds_what_was_promised():
    graphene = [r for r in STORED.values() if r.crystal.startswith("graphene")]
    structures = [s for r in graphene for s in r.of_split("test").structures]
    assert len(structures) >= 48
    assert set(STORED) == set(NAMES)
    assert {len(r.of_split("test").structures) for r in STORED.values()} == {12}
    assert all(60 <= len(s["symbols"].split()) <= 112 for s in structures)
    every = [
        d for r in STORED.values() for s in r.of_split("test").structures for d in s["defects"]
    ]
    kinds = {d["kind"] for d in every}
    assert kinds == {"vacancy", "substitution", "rotated_bond"}
    assert sum(d["kind"] == "vacancy" for d in every) >= 240
    sizes = {r.maps.shape[1:] for r in graphene}
    assert len(sizes) == len(graphene)


@pytest.mark.parametrize("name", STORED)
def test_defects_are_those_of_the_recipe(name):
    """Drawn before anything is relaxed, from the seed of the overlay."""
    number = NAMES.index(name)
    options, stored = CRYSTALS[number], STORED[name].of_split("test")
    pristine = crystal(
        options["crystal"], repeat=options["repeat"], vacuum=CONFIG["structures"]["vacuum"]
    )
    families = families_of(options["families"], len(stored.structures))
    anew = []
    for about, family in zip(stored.structures, families, strict=True):
        parameters = {k: v for k, v in options["families"][family].items() if k != "share"}
        built = build_structure(
            pristine,
            generator(CONFIG["seed"], "structure", about["name"]),
            Disorder(
                family,
                parameters,
                options["displacement"],
                options["fade_width"],
                options["defect_margin"],
            ),
            name=about["name"],
        )
        if [_rounded(d) for d in json.loads(built.info["defects"])] != [
            _rounded(d) for d in about["defects"]
        ]:
            anew.append(about["name"])
        else:
            assert " ".join(built.symbols) == about["symbols"]
    # one whose atoms overlapped when they were relaxed is drawn again
    assert len(anew) <= (name == "graphene_ribbon_3x1")


def _rounded(defect):
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in defect.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["graphene_6x3", "hbn_6x3"])
def test_a_map_is_what_dft_gives(name, tmp_path):
    stored = STORED[name].of_split("test")
    about = stored.structures[0]
    atoms = Atoms(
        about["symbols"].split(),
        positions=about["positions"],
        cell=about["cell"],
        pbc=(True, True, False),
    )
    log = str(tmp_path / "gpaw.txt")
    result = run_dft(atoms, DftSettings(**CONFIG["dft"]), txt=log)
    projected = project_density(np.moveaxis(result.n_R, 2, 0), result.spacing[2])
    assert difference(projected, stored.maps[0])["rms_over_std"] < 1e-3
