"""The validation on the tiny configuration, for real."""

import pytest
from conftest import ROOT, snakemake
from temdenoise.foundation.files import read_json, read_table

pytestmark = pytest.mark.slow


def test_validation_of_the_tiny_run(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("validation: {cutoff: 250}\n")
    done = snakemake(
        tmp_path,
        "validation",
        "--configfile",
        ROOT / "config/tiny.yaml",
        overlay,
        "--quiet",
        "rules",
    )
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results"
    rows = {row["variant"]: row for row in read_table(results / "validation/accuracy.csv")}
    assert rows["plane_waves"]["rms_over_std"] == 0
    assert rows["superposition"]["scf_steps"] == 0
    # the better basis is closer to plane waves than the one configured (sz), atoms are further
    assert rows["larger_basis"]["rms_over_std"] < rows["as_configured"]["rms_over_std"]
    assert rows["as_configured"]["rms_over_std"] < rows["superposition"]["rms_over_std"]
    for row in rows.values():
        assert row["valence_electrons"] == pytest.approx(32, rel=1e-3)
    # the smallest basis on the coarsest grid
    a = read_json(results / "validation/lattice.json")["equilibrium_angstrom"]
    assert a == pytest.approx(2.46, rel=0.03)
    assert "data:image/png" in (results / "validation.html").read_text()
    # and nothing else was made
    assert not (results / "models").exists()
