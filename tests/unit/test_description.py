"""What a model says of its training images, and that a micrograph is fitted to it by."""

import numpy as np
import pytest
from made_up_frames import PIXEL, hexagonal
from temdenoise.foundation.lattices import BUILT_IN, LATTICES
from temdenoise.foundation.quantities import NoiseRange
from temdenoise.learning.description import ModelDescription, training_images


def test_a_model_says_what_crystals_and_intensities_it_was_trained_on():
    spacings = {name: LATTICES[name].spacing for name in BUILT_IN}
    lattices = {name: [0.5 + 0.2 * hexagonal(spacing=s)] for name, s in spacings.items()}
    found = training_images(lattices, sampling=PIXEL)
    assert found.spacings == pytest.approx(spacings, rel=0.01)
    assert (found.mean, found.contrast) == pytest.approx((0.5, 0.2), rel=0.02)
    # mean and contrast are those of all images, the spacing is that of each crystal
    lattices["bright"] = [0.9 + 0.4 * hexagonal(spacing=3.0)] * 3
    found = training_images(lattices, sampling=PIXEL)
    assert found.mean == pytest.approx((3 * 0.5 + 3 * 0.9) / 6, rel=0.02)
    assert found.contrast == pytest.approx(np.sqrt((3 * 0.2**2 + 3 * 0.4**2) / 6), rel=0.02)
    assert found.spacings == pytest.approx(spacings | {"bright": 3.0}, rel=0.01)


def test_a_crystal_whose_lattice_cannot_be_seen_has_no_spacing(rng):
    found = training_images(
        {"glass": [rng.standard_normal((128, 128))], "mos2": [hexagonal()]}, sampling=PIXEL
    )
    assert set(found.spacings) == {"mos2"}


def test_noise_beside_the_contrast_is_what_is_compared_with_an_image():
    description = ModelDescription(NoiseRange(0.1, 1.0), clean_std=0.2)
    assert description.noise_over_contrast == pytest.approx(5)
