"""Joints of every family of disorder at the default supercell and DFT settings."""

import numpy as np
import pytest
import yaml
from conftest import snakemake
from temdenoise.foundation.files import read_json, read_table
from temdenoise.groundtruth.families import FAMILIES
from temdenoise.groundtruth.mosaics import join, joint_ratio
from temdenoise.images.storage import read_images

pytestmark = pytest.mark.slow


def test_no_family_leaves_a_joint_that_can_be_told(tmp_path, capsys):
    families = {name: {"share": 1} for name in FAMILIES}
    families["substitution"]["replace"] = {"C": ["Si"]}
    families["vacancies"] |= {"share": 1, "count": [1, 2]}
    count = {"train": len(FAMILIES), "val": 1, "test": 1}
    overlay = tmp_path / "families.yaml"
    overlay.write_text(yaml.safe_dump({"structures": {"families": families, "count": count}}))
    targets = ["results/structures/structures.csv", "results/mosaics/train/joints.json"]
    done = snakemake(
        tmp_path, "--cores", "2", "--configfile", overlay, "--quiet", "rules", "--", *targets
    )
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results"
    rows = read_table(results / "structures/structures.csv")
    family = {row["structure"]: row["family"] for row in rows if row["split"] == "train"}
    assert sorted(family.values()) == sorted(FAMILIES)
    maps = {
        family[name]: read_images(results / f"maps/{name}.tif").data.astype(np.float64)
        for name in family
    }
    plain = maps["displacements"]
    # each family's map among maps without a defect
    ratios = {
        name: joint_ratio(join([plain, image], np.array([[0, 1], [1, 0]])), plain.shape)
        for name, image in maps.items()
    }
    mixed = read_json(results / "mosaics/train/joints.json")["worst_joint_ratio"]
    with capsys.disabled():
        print("\nJoint ratio beside a structure without defect")
        for name, ratio in ratios.items():
            print(f"  {name:18s} {ratio:.2f}")
        print(f"  all families mixed {mixed:.2f}")
    assert max(*ratios.values(), mixed) <= 1.1
