from dataclasses import asdict

import numpy as np
import pytest
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.source import module_constant
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.dft import DftSettings, run_dft
from temdenoise.groundtruth.validation import (
    VARIANTS,
    accuracy,
    bond_density,
    difference,
    equilibrium,
    run_variant,
    variant_settings,
)

COARSE = {"basis": "sz(dzp)", "grid_spacing": 0.3, "kpt_density": 0.5, "density_convergence": 1e-3}


def settings(variant, **changed):
    dft = DftSettings(**checked({})["dft"] | COARSE | changed)
    return variant_settings(variant, dft, cutoff=300)


def projected(result):
    return result.n_R.sum(axis=2) * result.spacing[2]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_changes_one_thing(variant):
    plain = DftSettings(**checked({})["dft"])
    changed = asdict(variant_settings(variant, plain, cutoff=500))
    differing = [key for key, value in asdict(plain).items() if changed[key] != value]
    assert len(differing) == (variant != "as_configured")


def test_an_ablation_is_still_compared_with_the_real_thing():
    dft = DftSettings(**checked({"dft": {"ground_truth": "superposition"}})["dft"])
    assert variant_settings("as_configured", dft, cutoff=500).ground_truth == "dft"


def test_the_graph_can_read_the_names_without_importing():
    assert module_constant("groundtruth.validation", "VARIANTS") == VARIANTS


def test_difference_of_a_known_error(rng):
    reference = rng.normal(size=(200, 200))
    found = difference(reference + 0.1 * rng.normal(size=reference.shape), reference)
    assert found["rms_over_std"] == pytest.approx(0.1, rel=0.02)
    assert difference(reference, reference) == {"rms_over_std": 0, "largest_over_range": 0}


def test_accuracy_lists_every_variant():
    summary = {"electrons_in_density": 8.0, "scf_steps": 3, "scf_seconds": 1.0}
    summary |= {"extraction_seconds": 0.5}
    maps = {"as_configured": np.eye(4) + 0.1, "plane_waves": np.eye(4)}
    rows = accuracy(maps, dict.fromkeys(maps, summary))
    assert [row["variant"] for row in rows] == ["as_configured", "plane_waves"]
    assert rows[0]["rms_over_std"] > rows[1]["rms_over_std"] == 0
    assert rows[0]["seconds"] == 1.5


def test_a_curve_without_minimum_is_an_error():
    a = np.linspace(2.4, 2.5, 5)
    with pytest.raises(ValueError, match=r"no minimum of the energy between 2\.4 and 2\.5 Å"):
        equilibrium(a, a)


def test_larger_basis_is_generated_and_used(tmp_path):
    atoms = crystal("graphene", vacuum=3.0)
    dft = DftSettings(**checked({})["dft"] | COARSE)
    small, large = (
        run_variant(atoms, variant, dft, cutoff=300, txt=str(tmp_path / "log"))
        for variant in ("as_configured", "larger_basis")
    )
    # variational: more functions, lower energy
    assert large.summary["energy_ev"] < small.summary["energy_ev"] - 0.1


def test_plane_waves_agree_with_orbitals_and_the_bond_holds_charge(tmp_path):
    atoms = crystal("graphene", vacuum=3.0)
    log = str(tmp_path / "log")
    lcao = run_dft(atoms, settings("as_configured", basis="dzp"), txt=log)
    waves = run_dft(atoms, settings("plane_waves"), txt=log)
    assert difference(projected(lcao), projected(waves))["rms_over_std"] < 0.15
    fine = {"density": "all_electron", "density_grid_spacing": 0.08}
    bond = bond_density(atoms, run_dft(atoms, settings("plane_waves", **fine), txt=log))
    assert bond["bond_length_angstrom"] == pytest.approx(2.46 / np.sqrt(3))
    # between that of free atoms and that of a triple bond
    free = bond_density(atoms, run_dft(atoms, settings("superposition", **fine), txt=log))
    middle = "bond_density_e_per_angstrom3"
    assert free[middle] < bond[middle] < 3
