import numpy as np
import pytest
from temdenoise.foundation.errors import DataError
from temdenoise.groundtruth.density import blur_periodic, check_electrons, project_density


def test_projection_is_linear_and_conserves_electrons(rng):
    density = rng.random((20, 6, 8))
    projected = project_density(density, 0.5)
    assert projected.shape == (6, 8)
    assert projected.sum() == pytest.approx(density.sum() * 0.5)
    assert project_density(2 * density, 0.5) == pytest.approx(2 * projected)


def test_projection_refuses_nan():
    with pytest.raises(DataError, match="not finite"):
        project_density(np.full((2, 2, 2), np.nan), 0.1)


def test_lost_electrons_are_refused():
    with pytest.raises(DataError, match=r"holds 99\.8000 electrons, expected 100\.0000"):
        check_electrons(np.full((10, 10), 0.998), sampling=(1, 1), expected=100)
    assert check_electrons(np.full((10, 10), 0.9995), sampling=(1, 1), expected=100) > 99.9


def test_blur_conserves_electrons_and_damps_waves_as_theory_says():
    x = np.arange(40) * 0.1
    wave = np.cos(2 * np.pi * x / 2.0)[:, None] * np.ones(30) + 3
    blurred = blur_periodic(wave, resolution=0.4, sampling=(0.1, 0.2))
    assert blurred.mean() == pytest.approx(wave.mean())
    damping = np.exp(-2 * (np.pi * 0.4 / 2.0) ** 2)
    assert np.ptp(blurred) / np.ptp(wave) == pytest.approx(damping, rel=1e-9)
    assert blur_periodic(wave, resolution=0.0, sampling=(0.1, 0.2)) is wave
