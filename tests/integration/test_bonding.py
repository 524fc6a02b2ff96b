"""What bonds do to a micrograph: the potential of the DFT beside that of independent atoms.

Published: ADF contrast hardly minds the valence electrons, the contrast of a phase image of
hBN clearly does (doi:10.1038/nmat2941 measured it; PMC10446032, figure 2, computed both).
"""

import os
from dataclasses import replace

import numpy as np
import pytest
from temdenoise.foundation.configuration import checked
from temdenoise.foundation.microscopes import PRESETS
from temdenoise.groundtruth import microscope
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.density import project_density
from temdenoise.groundtruth.dft import DftSettings, run_dft

pytestmark = pytest.mark.slow

DFT = DftSettings(**checked({"dft": {"density": "valence"}})["dft"])


@pytest.fixture(scope="module", params=["graphene", "hbn"])
def potentials(request):
    """A pristine crystal, and the potential its bonds add [V Å]."""
    atoms = crystal(request.param, repeat=(2, 1), vacuum=4.0)
    maps = []
    for ground_truth in ("dft", "superposition"):
        found = run_dft(atoms, replace(DFT, ground_truth=ground_truth), txt=os.devnull)
        maps.append(project_density(np.moveaxis(found.n_R, 2, 0), found.spacing[2]))
    bonding = microscope.bonding_potential(*maps, extent=tuple(atoms.cell.lengths()[:2]))
    # optics need a supercell that holds the probe
    return (
        request.param,
        crystal(request.param, repeat=(6, 3), vacuum=4.0),
        np.tile(bonding, (3, 3)),
    )


def change(potentials, preset):
    """Root mean square change by the bonds over the contrast (standard deviation)."""
    _, atoms, bonding = potentials
    lens = PRESETS[preset] | {"sampling": 0.06}
    free, bonded = (microscope.form_image(atoms, lens, bonding=b)[0] for b in (None, bonding))
    assert free.std() > 0
    return float((bonded - free).std() / free.std())


def test_bonds_show_in_phase_contrast_and_not_in_adf(potentials):
    name = potentials[0]
    adf, hrtem = (change(potentials, preset) for preset in ("adf_60kv_medium", "hrtem_80kv"))
    print(f"{name}: bonds change ADF by {100 * adf:.2f} %, HRTEM by {100 * hrtem:.1f} %")
    assert adf < 0.03
    assert hrtem > 0.03
    assert hrtem > 4 * adf


def test_bonds_of_hbn_carry_charge_from_boron_to_nitrogen(potentials):
    name, atoms, bonding = potentials
    # electrons gathered lower the potential, electrons gone raise it
    at = {"B": [], "N": [], "C": []}
    for symbol, position in zip(atoms.symbols, atoms.positions, strict=True):
        where = position[:2] / atoms.cell.lengths()[:2] * bonding.shape
        at[symbol].append(bonding[tuple(np.round(where).astype(int) % bonding.shape)])
    if name == "hbn":
        assert np.mean(at["B"]) > np.mean(at["N"])
    else:
        assert np.ptp(at["C"]) < 0.1 * np.ptp(bonding)
