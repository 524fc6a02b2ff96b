import numpy as np
import pytest
from temdenoise.groundtruth.mosaics import (
    Mosaics,
    cut,
    draw_tiles,
    join,
    joined_and_shifted,
    joint_ratio,
    tiles_needed,
    worst_joint,
)


def smooth_map(shape=(40, 48), phase=0.0):
    x, y = (np.arange(n) / n for n in shape)
    return np.add.outer(np.cos(2 * np.pi * (2 * x + phase)), np.sin(2 * np.pi * 3 * y))


def test_tiles_cover_the_image_and_no_more_than_needed():
    assert tiles_needed(51.2, (12.3, 12.78)) == (5, 5)
    assert tiles_needed(10.0, (10.0, 20.0)) == (1, 1)


def test_every_map_is_used_before_any_comes_again(rng):
    counts = np.bincount(draw_tiles(rng, 7, (5, 5)).ravel(), minlength=7)
    assert counts.sum() == 25
    assert counts.max() - counts.min() <= 1


def test_join_puts_maps_where_the_layout_says():
    maps = [np.full((2, 3), value) for value in (0.0, 1.0)]
    joined = join(maps, np.array([[0, 1], [1, 0], [0, 0]]))
    assert joined.shape == (6, 6)
    assert joined[0, 5] == 1
    assert joined[3, 0] == 1
    assert joined[5, 5] == 0


def test_joint_ratio_sees_a_step_of_known_height():
    mosaic = join([smooth_map()], np.zeros((2, 2), int))
    assert joint_ratio(mosaic, (40, 48)) == pytest.approx(1)
    inside = max(np.abs(np.diff(mosaic, axis=axis)).max() for axis in (0, 1))
    mosaic[:40] += 3 * inside
    assert joint_ratio(mosaic, (40, 48)) == pytest.approx(3, rel=0.35)


def test_cut_reproduces_grid_points_and_follows_shifts():
    mosaic = smooth_map()
    options = {"mosaic_sampling": (0.1, 0.1), "size": 30, "sampling": 0.1}
    here = cut(mosaic, origin=(0.0, 0.0), **options)
    assert here == pytest.approx(mosaic[:30, :30], abs=1e-9)
    there = cut(mosaic, origin=(0.3, -0.2), **options)
    assert there == pytest.approx(np.roll(mosaic, (-3, 2), (0, 1))[:30, :30], abs=1e-9)
    # a shift by the whole mosaic changes nothing: it is periodic
    assert cut(mosaic, origin=(4.0, 4.8), **options) == pytest.approx(here, abs=1e-9)


def test_cut_between_grid_points_follows_a_known_function():
    mosaic = smooth_map((80, 96))
    image = cut(mosaic, mosaic_sampling=(0.1, 0.1), origin=(0.033, 0.071), size=60, sampling=0.12)
    x, y = (o + 0.12 * np.arange(60) for o in (0.033, 0.071))
    truth = np.add.outer(np.cos(2 * np.pi * 2 * x / 8.0), np.sin(2 * np.pi * 3 * y / 9.6))
    assert np.abs(image - truth).max() < 1e-3


def test_image_comes_from_its_record(rng):
    maps = [smooth_map(phase=p) for p in (0.0, 0.01)]
    options = {"map_sampling": (0.1, 0.1), "size": 64, "sampling": 0.15}
    shifted, joined, record, worst = joined_and_shifted(maps, rng, **options)
    assert shifted.shape == joined.shape == (64, 64)
    mosaic = join(maps, np.array(record["layout"]))
    again = cut(
        mosaic,
        mosaic_sampling=(0.1, 0.1),
        origin=record["origin_angstrom"],
        size=64,
        sampling=0.15,
    )
    assert (again == shifted).all()
    assert record["joint_ratio"] == joint_ratio(mosaic, (40, 48))
    patch, axis = worst_joint(mosaic, (40, 48), size=40)
    assert (worst[0] == patch).all()
    assert worst[1] == axis


def test_images_of_two_crystals_alternate_and_their_record_says_of_which_maps_they_are():
    maps = [smooth_map(), smooth_map((30, 36)), smooth_map(phase=0.01), smooth_map((30, 36), 0.02)]
    steps = [(0.1, 0.1), (0.2, 0.2)]
    mosaics = Mosaics(maps, steps, size=64, sampling=0.15)
    images = list(mosaics.images(4, seed=3, split="train"))
    names = ["train-0000", "train-0001", "train-0002", "train-0003"]
    record = mosaics.record(names)
    assert record["structures"] == names
    assert record["tile_angstrom"] == pytest.approx([4.0, 4.8])
    for number, (image, about) in enumerate(zip(images, record["images"], strict=True)):
        crystal = number % 2
        assert {n % 2 for row in about["layout"] for n in row} == {crystal}
        assert about["tile_angstrom"] == pytest.approx([[4.0, 4.8], [6.0, 7.2]][crystal])
        mosaic = join(maps, np.array(about["layout"]))
        again = cut(
            mosaic,
            mosaic_sampling=steps[crystal],
            origin=about["origin_angstrom"],
            size=64,
            sampling=0.15,
        )
        assert (again == image).all()
    ratios = [about["joint_ratio"] for about in record["images"]]
    assert record["worst_joint_ratio"] == mosaics.worst.ratio == max(ratios)
    assert mosaics.worst.sampling == steps[ratios.index(max(ratios)) % 2]
    assert mosaics.joined.shape == (64, 64)
    # more images leave the first as they are
    one = next(Mosaics(maps, steps, size=64, sampling=0.15).images(1, seed=3, split="train"))
    assert (one == images[0]).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_worst_joint_is_found_where_it_was_made(axis):
    tile = smooth_map((40, 48))
    mosaic = np.tile(tile, (3, 3))
    # one corner of one tile raised: a jump at the joint, sharper along one axis
    raised = np.zeros_like(mosaic)
    length = (40, 48)[axis]
    ramp = np.linspace(1, 0, 20)
    strip = [slice(60, 63), slice(60, 63)]
    strip[axis] = slice(length, length + 20)
    raised[tuple(strip)] = np.expand_dims(ramp, 1 - axis)
    patch, found = worst_joint(mosaic + raised, (40, 48), size=20)
    assert found == axis
    assert patch.shape == (20, 20)
    jump = np.abs(np.diff(patch, axis=axis))
    assert int(np.unravel_index(np.argmax(jump), jump.shape)[axis]) == 9
