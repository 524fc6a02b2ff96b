"""Frames that wait until they are written: in memory or on the disk, the same."""

from types import SimpleNamespace

import numpy as np
import pytest
from made_up_frames import PIXEL, counts
from made_up_models import ADF, made_up
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs import frame_store, memory
from temdenoise.micrographs.formats import Stored
from temdenoise.micrographs.frame_store import FrameStore
from temdenoise.micrographs.stack import denoise_stack


@pytest.mark.parametrize("shape", [(5, 6), (3, 5, 6), (2, 2, 5, 6)])
def test_on_the_disk_it_is_the_same_as_in_memory(shape, rng, tmp_path):
    number = int(np.prod(shape[:-2]))
    images = rng.normal(size=(number, 5, 6)).astype(np.float32)
    memory_store, disk_store = FrameStore(shape), FrameStore(shape, tmp_path)
    for store in (memory_store, disk_store):
        for index in reversed(range(number)):
            if index != 1:
                store.put(index, images[index])
        assert np.isnan(store.get(1)).all() if number > 1 else True
    stored = disk_store.values
    assert isinstance(stored, Stored)
    np.testing.assert_array_equal(np.asarray(stored), memory_store.values)
    np.testing.assert_array_equal(stored[..., 1:3, :], memory_store.values[..., 1:3, :])
    # without a name: nothing is left, however the program ends
    assert list(tmp_path.iterdir()) == []


def test_stored_images_are_indexed_like_an_array(rng):
    array = rng.normal(size=(3, 4, 5, 6))
    asked = []

    def image(index):
        asked.append(index)
        return array[index]

    stored = Stored(array.shape, array.dtype, image)
    for index in (
        1,
        (1, 2),
        (-1, -1),
        (slice(1, 3), 0),
        (2, slice(None, None, 2), 1),
        (0, 1, 2, 3),
    ):
        asked.clear()
        np.testing.assert_array_equal(stored[index], array[index])
        assert len(asked) <= 4
    np.testing.assert_array_equal(stored[3:], array[3:])
    np.testing.assert_array_equal(stored[np.array([0, 2])], array[[0, 2]])


def test_a_stack_is_worked_on_frame_by_frame(rng, tmp_path):
    frames = np.stack([counts(rng)[:80, :90] for _ in range(4)])
    frames[2] = 7
    held = []

    def image(index):
        held.append(index)
        return frames[index]

    stored = Stored(frames.shape, frames.dtype, image)
    model = made_up(ADF, stirred=1.0)
    found = denoise_stack(stored, model, sampling=PIXEL, folder=tmp_path)
    assert held == [(0,), (1,), (2,), (3,)]
    assert list(tmp_path.iterdir()) == []
    whole = denoise_stack(frames, model, sampling=PIXEL)
    for name in ("denoised", "sigma", "gaussian"):
        on_disk, in_memory = getattr(found, name), getattr(whole, name)
        assert isinstance(on_disk, Stored)
        np.testing.assert_array_equal(np.asarray(on_disk), in_memory)
    assert np.isnan(whole.gaussian[2]).all()
    assert (
        found.broken
        == whole.broken
        == {3: "every pixel has the same value, 7: there is no picture in it"}
    )


def test_results_that_do_not_fit_are_refused_before_the_work(rng, tmp_path, monkeypatch):
    frames = np.stack([counts(rng)[:80, :90]] * 4)
    model = made_up(ADF)
    monkeypatch.setattr(memory, "available", lambda: 40 * 80 * 90 + 12 * 80 * 90)
    with pytest.raises(DataError, match="a stack of 4 frames of 80 x 90 pixels needs"):
        denoise_stack(frames, model, sampling=PIXEL)
    denoise_stack(frames, model, sampling=PIXEL, folder=tmp_path)
    monkeypatch.setattr(frame_store.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"need 0\.0 GB on the disk.*-o, or split the stack"):
        denoise_stack(frames, model, sampling=PIXEL, folder=tmp_path)
