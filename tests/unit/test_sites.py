"""The evidence at each atom: what data support, contradict and cannot tell, with known answers."""

import numpy as np
import pytest
from made_up_frames import PIXEL, crystal, noise_of
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.stats import binomtest, kstest
from temdenoise.foundation.seeding import generator
from temdenoise.measuring.noise_model import measure
from temdenoise.measuring.spectrum import lattice_peaks, spectrum
from temdenoise.micrographs.fission import smoothed, split
from temdenoise.micrographs.sites import KINDS, OUTCOMES, RATE, atoms_of, evidence_at_sites

SHAPE = (384, 384)


def scene(noise, *, missing=15, seed=0):
    """A frame, split; the truth with its vacancies, and with all of them filled; where they are."""
    clean, _, away = crystal(SHAPE, missing=missing, seed=seed)
    filled = crystal(SHAPE, seed=seed)[0]
    rng = np.random.default_rng(seed)
    frame = clean + noise * rng.standard_normal(SHAPE)
    level = measure(frame, noise_of(frame), PIXEL)
    parts = split(frame, level, smoothed(frame), generator(seed, "split"))
    atoms = atoms_of(frame, lattice_peaks(spectrum(frame, PIXEL)), PIXEL, noise=noise)
    return parts, atoms, clean, filled * clean.max() / filled.max(), away


def at(found, places):
    """Which sites lie at some places."""
    return cKDTree(places).query(found.positions)[0] * PIXEL.rows < 0.6


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_filled_vacancies_are_contradicted(noise):
    parts, atoms, clean, filled, away = scene(noise)
    lie = evidence_at_sites(parts, filled, atoms)
    holes = at(lie, away)
    assert holes.sum() == 15
    against = lie.outcome == OUTCOMES.index("contradicted")
    assert against[holes].sum() >= 14
    assert against[~holes].sum() <= len(lie.outcome) / 1000
    assert lie.count("supported") > 0.98 * np.sum(~holes)
    # the truth is not
    truth = evidence_at_sites(parts, clean, atoms)
    assert truth.count("contradicted") == 0
    assert (truth.outcome == OUTCOMES.index("supported")).mean() > 0.98
    assert (truth.shown[at(truth, away)] == KINDS.index("empty")).all()
    numbers = lie.numbers()
    assert numbers["contradicted"] == len(numbers["contradicted_sites"]) == against.sum()
    assert numbers["sites"] == len(lie.outcome)
    assert numbers["false_discovery_rate"] == RATE
    assert {place["shown"] for place in numbers["contradicted_sites"]} == {"atom"}


def test_where_electrons_do_not_suffice_nothing_is_told():
    parts, atoms, _, filled, away = scene(8.0)
    found = evidence_at_sites(parts, filled, atoms)
    assert found.count("cannot be told") > 0.7 * len(found.outcome)
    # no filled vacancy is called an atom, but for the stated rate
    assert np.sum(found.outcome[at(found, away)] == OUTCOMES.index("supported")) <= 1


def test_false_discoveries_stay_within_their_rate():
    """Every supported atom that is not there is a false discovery."""
    false = supported = 0
    for seed in range(6):
        parts, atoms, _, filled, away = scene(2.5, missing=40, seed=seed)
        found = evidence_at_sites(parts, filled, atoms)
        known = found.outcome == OUTCOMES.index("supported")
        false += int(np.sum(known & at(found, away)))
        supported += int(known.sum())
    assert supported > 500
    assert binomtest(false, supported, RATE, alternative="greater").pvalue > 0.01


def test_p_values_of_what_is_true_are_uniform():
    p = []
    for seed in range(4):
        parts, atoms, clean, _, away = scene(1.5, seed=seed)
        found = evidence_at_sites(parts, clean, atoms)
        inner = ((found.positions > 12) & (found.positions < 370)).all(axis=1) & ~at(found, away)
        p.append(found.p_contradict[inner])
    p = np.concatenate(p)
    assert len(p) > 800
    assert kstest(p, "uniform").pvalue > 0.01
    assert kstest(p**2, "uniform").pvalue < 1e-6  # the test can fail


def test_an_invented_atom_and_a_strong_one_are_weighed(rng):
    parts, atoms, clean, _, _ = scene(0.7, missing=0)
    place = atoms.positions()[0]
    middle, other = place[cKDTree(place).query([[192, 192], [100, 250]])[1]]
    rows, columns = np.indices(SHAPE)

    def atom(where, height):
        away = ((rows - where[0]) ** 2 + (columns - where[1]) ** 2) * PIXEL.rows**2
        return height * np.exp(-away / (2 * 0.42**2))

    height = atoms.motif.heights.max()
    # in the middle of three atoms
    beside = place[cKDTree(place).query(other, k=7)[1][[0, 1]]].sum(axis=0)
    beside = (beside + place[cKDTree(place).query(beside / 2, k=3)[1]][2]) / 3
    heavy, extra = atom(middle, height), atom(beside, height)
    lie = evidence_at_sites(parts, clean + heavy + extra, atoms)
    for where in (middle, beside):
        nearest = cKDTree(lie.positions).query(where)[1]
        assert lie.shown[nearest] == KINDS.index("other")
        assert lie.outcome[nearest] == OUTCOMES.index("contradicted")
    # were they there, they would be supported
    true = split(parts.recorded + heavy + extra, parts.noise, parts.mean, generator(0, "split"))
    truth = evidence_at_sites(true, clean + heavy + extra, atoms)
    for where in (middle, beside):
        nearest = cKDTree(truth.positions).query(where)[1]
        assert truth.outcome[nearest] == OUTCOMES.index("supported")


def test_what_the_frames_own_result_shows_otherwise_is_not_told():
    parts, atoms, clean, filled, away = scene(0.5)
    found = evidence_at_sites(parts, clean, atoms, whole=filled)
    holes = at(found, away)
    assert (found.outcome[holes] == OUTCOMES.index("cannot be told")).all()
    assert (found.outcome[~holes] == OUTCOMES.index("supported")).mean() > 0.98


def test_a_blur_is_no_reason_to_contradict_it():
    parts, atoms, _, _, _ = scene(0.7, missing=0)
    found = evidence_at_sites(parts, gaussian_filter(parts.given, 2.5, mode="mirror"), atoms)
    assert found.count("contradicted") <= len(found.outcome) / 1000


def test_coloured_noise_widens_the_errors(rng):
    clean = crystal(SHAPE)[0]
    white = rng.standard_normal(SHAPE)
    coloured = gaussian_filter(rng.standard_normal(SHAPE), 1.5)
    coloured = np.sqrt(0.8) * coloured / coloured.std() + np.sqrt(0.2) * white
    errors = []
    for noise in (white, coloured):
        frame = clean + noise
        level = measure(frame, noise_of(frame), PIXEL)
        parts = split(frame, level, smoothed(frame), generator(0, "split"))
        atoms = atoms_of(frame, lattice_peaks(spectrum(frame, PIXEL)), PIXEL, noise=1.0)
        found = evidence_at_sites(parts, clean, atoms)
        assert found.count("contradicted") == 0
        errors.append(np.median(found.error))
    assert errors[1] > 2 * errors[0]
