"""What several test files need."""

from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def lattice():
    """A clean, normalised image of dark pores, 192 x 192 pixels."""
    x, y = np.meshgrid(np.arange(192), np.arange(192), indexing="ij")
    image = np.cos(2 * np.pi * x / 12) + np.cos(2 * np.pi * (x / 24 + y / 14))
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)
