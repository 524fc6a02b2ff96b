import numpy as np
import pytest
from temdenoise.errors import DataError
from temdenoise.images.datasets import Frame, frames, intensity_scale, noisy_frames

OPTIONS = {"noise": "gaussian", "seed": 3, "background_correlation": 0.25, "clip": False}


def test_scale_sends_training_maps_to_zero_and_one_and_back():
    maps = [np.array([[0.5, 2.0]]), np.array([[1.0, 4.5]])]
    scale = intensity_scale(maps)
    assert scale.normalise(np.array([0.5, 4.5, 6.5])) == pytest.approx([0, 1, 1.5])
    assert scale.denormalise(scale.normalise(maps[1])) == pytest.approx(maps[1])


def test_constant_maps_have_no_scale():
    with pytest.raises(DataError, match="constant"):
        intensity_scale([np.ones((4, 4))])


def test_every_frame_has_its_own_noise():
    clean = np.zeros((2, 32, 32), np.float32)
    listed = frames(2, [0.1, 0.2])
    images = list(noisy_frames(clean, listed, split="test", **OPTIONS))
    unit = [image / frame.c_noise for image, frame in zip(images, listed, strict=True)]
    for i in range(4):
        for j in range(i):
            assert abs(np.corrcoef(unit[i].ravel(), unit[j].ravel())[0, 1]) < 0.15


def test_frames_do_not_depend_on_each_other_but_on_the_split():
    clean = np.zeros((2, 32, 32), np.float32)
    one = next(noisy_frames(clean, [Frame(0, 1, 0.2)], split="test", **OPTIONS))
    many = list(noisy_frames(clean, frames(2, [0.1, 0.2]), split="test", **OPTIONS))
    other = next(noisy_frames(clean, [Frame(0, 1, 0.2)], split="val", **OPTIONS))
    assert (one == many[3]).all()
    assert (one != other).any()
