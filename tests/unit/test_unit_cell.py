"""The unit cell of a frame: its sites, its average and its atoms, however the scan bends it."""

import numpy as np
import pytest
from made_up_frames import PIXEL, crystal, hexagonal
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from temdenoise.measuring.spectrum import Peak, lattice_peaks, spectrum
from temdenoise.measuring.unit_cell import basis, cells_of

SHAPE = (256, 240)


def cells(image, noise=0.0):
    return cells_of(image, lattice_peaks(spectrum(image, PIXEL)), PIXEL, noise=noise)


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_every_atom_has_a_site_and_every_site_an_atom(noise, rng):
    clean, atoms, _ = crystal(SHAPE)
    frame = 50 + clean + noise * rng.standard_normal(SHAPE)
    found = cells(frame, noise)
    motif = found.motif(found.average(frame), PIXEL)
    assert len(motif.heights) == 1
    assert motif.width == pytest.approx(0.42, rel=0.15)
    sites = found.sites(motif.places[0])
    inner = ((atoms > 12) & (atoms < np.array(SHAPE) - 12)).all(axis=1)
    assert cKDTree(sites).query(atoms[inner])[0].max() * PIXEL.rows < 0.35
    inner = ((sites > 12) & (sites < np.array(SHAPE) - 12)).all(axis=1)
    assert cKDTree(atoms).query(sites[inner])[0].max() * PIXEL.rows < 0.35


def test_missing_atoms_have_sites_too(rng):
    clean, _, missing = crystal(SHAPE, missing=15)
    frame = clean + rng.standard_normal(SHAPE)
    found = cells(frame, 1.0)
    sites = found.sites(found.motif(found.average(frame), PIXEL).places[0])
    assert cKDTree(sites).query(missing)[0].max() * PIXEL.rows < 0.35


def test_a_bent_lattice_is_followed(rng):
    clean, atoms, _ = crystal(SHAPE)
    rows, columns = np.indices(SHAPE).astype(float)
    bend = 3 * np.sin(2 * np.pi * columns / 240)  # pixels, along rows
    frame = map_coordinates(clean, [rows + bend, columns], order=3, mode="nearest")
    frame = frame + 0.5 * rng.standard_normal(SHAPE)
    moved = atoms.copy()
    moved[:, 0] -= np.interp(atoms[:, 1], np.arange(240), bend[0])
    found = cells(frame, 0.5)
    sites = found.sites(found.motif(found.average(frame), PIXEL).places[0])
    inner = ((moved > 20) & (moved < np.array(SHAPE) - 20)).all(axis=1)
    assert cKDTree(sites).query(moved[inner])[0].max() * PIXEL.rows < 0.4


def test_an_averaged_cell_laid_out_is_the_lattice_without_its_noise(rng):
    clean = hexagonal(SHAPE)
    frame = clean + rng.standard_normal(SHAPE)
    found = cells(frame, 1.0)
    laid = found.lay(found.average(frame))
    inner = (slice(16, -16), slice(16, -16))
    assert np.std((laid - clean)[inner]) < 0.2
    # what is asked to be left out has no part in it
    frame[:, :60] += 100
    kept = np.ones(SHAPE, bool)
    kept[:, :60] = False
    assert found.average(frame, kept).mean() == pytest.approx(0, abs=0.1)


def test_two_atoms_of_unequal_brightness_are_told_apart(rng):
    frame = crystal(SHAPE, second=0.4)[0] + 0.5 * rng.standard_normal(SHAPE)
    found = cells(frame, 0.5)
    motif = found.motif(found.average(frame), PIXEL)
    assert len(motif.heights) == 2
    assert motif.heights[1] / motif.heights[0] == pytest.approx(0.4, abs=0.08)


def test_no_lattice_no_cell(rng):
    assert cells(rng.standard_normal(SHAPE)) is None
    assert basis([]) is None
    assert basis([Peak(0.3, 0.1, 50.0), Peak(0.6, 0.2, 20.0)]) is None  # along one line


def test_the_basis_explains_most_peaks_with_the_smallest_cell():
    one, other = np.array([0.4, 0.05]), np.array([-0.1, 0.38])
    places = [one, other, one + other, 2 * one, one - other]
    peaks = [Peak(*place, height=100 / (n + 1)) for n, place in enumerate(places)]
    stray = Peak(0.23, 0.31, 15.0)
    chosen = basis([*peaks, stray])
    area = abs(np.linalg.det([(p.rows, p.columns) for p in chosen]))
    assert area == pytest.approx(abs(np.linalg.det([one, other])), rel=1e-6)
