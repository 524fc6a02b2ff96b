"""What is said of a file before anything is done with it."""

import numpy as np
import pytest
from made_up_files import imagej
from temdenoise import inspecting


def test_of_a_large_image_the_middle_is_looked_at(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(inspecting, "LARGEST", 96)
    image = rng.poisson(5000, (96, 200)).astype(np.uint16)
    rows, columns = 0.12 * np.mgrid[:96, :96]
    lattice = np.cos(2 * np.pi * rows / 2.7) + np.cos(2 * np.pi * columns / 2.7)
    image[:, 52:148] = rng.poisson(900 + 100 * lattice)
    imagej(tmp_path / "a.tif", image)
    (found,) = inspecting.inspect(tmp_path / "a.tif")
    assert found["shape"] == [96, 200]
    assert found["frame"]["pixels"] == [96, 96]
    assert found["frame"]["ring_angstrom"] == pytest.approx(2.7, rel=0.02)
    assert "looked at: its middle, 96 x 96 pixels" in "\n".join(inspecting.lines(found))
    monkeypatch.undo()
    (found,) = inspecting.inspect(tmp_path / "a.tif")
    assert found["frame"]["pixels"] == [96, 200]
    assert "middle" not in "\n".join(inspecting.lines(found))
