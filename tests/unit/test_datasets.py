import pickle
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import write_json
from temdenoise.images.datasets import (
    FILES,
    DataSet,
    DataSetPlan,
    NoisyFrame,
    frames,
    intensity_scale,
    intensity_scales,
    noisy_frames,
    read_dataset,
    write_dataset,
)
from temdenoise.images.storage import Images, StoredImages, forget, one_by_one, write_images

OPTIONS = {"noise": "gaussian", "seed": 3}


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
    one = next(noisy_frames(clean, [NoisyFrame(0, 1, 0.2)], split="test", **OPTIONS))
    many = list(noisy_frames(clean, frames(2, [0.1, 0.2]), split="test", **OPTIONS))
    other = next(noisy_frames(clean, [NoisyFrame(0, 1, 0.2)], split="val", **OPTIONS))
    assert (one == many[3]).all()
    assert (one != other).any()


@pytest.fixture
def stored(tmp_path, rng):
    """A data set on disk."""
    files = {name: str(tmp_path / name) for name in ("clean", "noisy", "manifest")}
    listed = frames(40, [0.1])
    for name in ("clean", "noisy"):
        images = rng.random((40, 128, 256), dtype=np.float32)
        write_images(files[name], images, sampling=(0.2, 0.2), quantity="any", unit="1")
    write_json(files["manifest"], {"frames": [asdict(frame) for frame in listed]})
    return read_dataset(**files)


def test_stored_images_are_read_when_they_are_used(tmp_path, rng):
    images = rng.random((4, 12, 16), dtype=np.float32)
    paths = [str(tmp_path / f"{number}.tif") for number in range(4)]
    kept = StoredImages(paths)
    for path, image in zip(paths, images, strict=True):
        write_images(path, image, sampling=(0.2, 0.2), quantity="any", unit="1")
    assert len(kept) == 4
    assert (kept[2] == images[2]).all()
    assert (np.stack(list(kept[1::2])) == images[1::2]).all()


def test_two_crystals_have_a_scale_each(tmp_path):
    maps = [np.array([[0.0, 2.0]]), np.array([[1.0, 5.0]])]
    scales = intensity_scales([*maps, *maps], 2)
    assert scales == [intensity_scale(maps[:1]), intensity_scale(maps[1:])]
    stack = np.stack([np.full((16, 16), value) for value in (2.0, 5.0, 0.0, 1.0)])
    images = Images(stack, (0.2, 0.2), "e/angstrom^2", "density", {})
    plan = DataSetPlan("dose", "test", 1, [0.1], background_correlation=0.25, clip=False)
    files = {name: str(tmp_path / name) for name in FILES}
    data = write_dataset(images, scales, plan, structures=["a", "b"], files=files)
    assert data.clean.max(axis=(1, 2)).tolist() == [1, 1, 0, 0]
    assert data.manifest["scales"] == [asdict(scale) for scale in scales]
    assert data.manifest["structures"] == ["a", "b"]
    # counting noise knows what normalising took away of each crystal
    spread = [float((data.noisy[n] - data.clean[n]).std()) for n in range(4)]
    wanted = [0.1, 0.1 * 1.25**0.5, 0, 0.1 * 0.25**0.5]
    assert spread == pytest.approx(wanted, rel=0.15)


def test_a_stored_data_set_travels_as_the_names_of_its_files(stored):
    sent = pickle.dumps(stored)
    assert len(sent) < 2000
    again = pickle.loads(sent)
    assert (again.noisy == stored.noisy).all()
    assert again.frames == stored.frames
    # a part of it, or one that was never stored, as the images themselves
    part = stored.of_crystal(1, 2)
    assert (pickle.loads(pickle.dumps(part)).clean == part.clean).all()
    kept = DataSet(np.ones((1, 2, 2)), np.ones((1, 2, 2)), [NoisyFrame(0, 0, 0.1)])
    assert pickle.loads(pickle.dumps(kept)).frames == kept.frames


def resident():
    """Memory of this process [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_images_that_were_read_can_be_forgotten(stored):
    megabytes = stored.clean.size * 4 / 1e6
    before = resident()
    total = float(stored.clean.sum())
    assert resident() - before > 0.8 * megabytes
    forget(stored.clean[3::2])
    assert resident() - before < 0.2 * megabytes
    assert sum(float(image.sum()) for image in one_by_one(stored.clean)) == pytest.approx(total)
    assert resident() - before < 0.2 * megabytes
    assert (next(one_by_one([total]))) == total
