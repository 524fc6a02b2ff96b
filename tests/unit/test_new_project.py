"""A crystal of one's own: the folder that is set up for it."""

import pytest
import yaml
from ase.build import mx2
from temdenoise import cli as commands
from temdenoise.foundation.configuration import checked


@pytest.fixture
def crystal(tmp_path):
    atoms = mx2("WSe2", a=3.28, thickness=3.34, vacuum=8.0)
    path = tmp_path / "wse2.cif"
    atoms.write(path)
    return path


def test_project_of_a_file_can_be_run(crystal, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    assert commands.main(["new-project", str(crystal), "-o", str(folder)]) == 0
    assert f"--configfile {folder}/config.yaml --directory {folder}" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["config.yaml", "wse2.cif"]
    monkeypatch.chdir(folder)
    config = checked(yaml.safe_load((folder / "config.yaml").read_text()))
    assert config["structures"]["crystal"] == "wse2.cif"
    # 4 x 3.28 Å and 3 x 5.68 Å, the sides of the orthogonal cell
    assert config["structures"]["repeat"] == [4, 3]


def test_project_of_a_built_in_crystal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert commands.main(["new-project", "MoS2"]) == 0
    config = checked(yaml.safe_load((tmp_path / "mos2/config.yaml").read_text()))
    assert config["structures"]["crystal"] == "mos2"
    assert config["image"]["mode"] == "density"
    # a project is never overwritten
    assert commands.main(["new-project", "mos2"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_project_for_bright_atoms(crystal, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "adf"
    assert commands.main(["new-project", str(crystal), "--kind", "adf", "-o", str(folder)]) == 0
    said = capsys.readouterr().err
    assert "make imaging" in said
    assert f"--configfile {folder}/config.yaml --directory {folder}" in said
    monkeypatch.chdir(folder)
    config = checked(yaml.safe_load((folder / "config.yaml").read_text()))
    assert config["image"]["mode"] == "adf"
    # a micrograph comes in any unit, at any angle and at many pixel sizes
    universal = config["training"]["universal"]
    assert universal["standardised"]
    assert universal["rotation"]
    assert universal["sampling"] == [0.08, 0.3]


def test_crystals_that_cannot_be_used(tmp_path, capsys):
    assert commands.main(["new-project", str(tmp_path / "no.cif")]) == 1
    assert "there is no such file" in capsys.readouterr().err
    (tmp_path / "bad.cif").write_text("not a crystal")
    assert commands.main(["new-project", str(tmp_path / "bad.cif"), "-o", str(tmp_path / "p")]) == 1
    assert "not a structure ASE can read" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
