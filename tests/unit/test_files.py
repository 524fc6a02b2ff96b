"""Files that appear whole or not at all, and TIFFs that know their sampling."""

import os
import zipfile

import numpy as np
import pytest
import tifffile
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import (
    atomic,
    columns_of,
    intact_archive,
    read_json,
    read_table,
    write_json,
    write_table,
)
from temdenoise.foundation.seeding import generator
from temdenoise.images.storage import read_images, write_images

ABOUT = {"sampling": (0.2, 0.25), "quantity": "density", "unit": "e/angstrom^2"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a**b.csv", "[x]?.csv", "{y}.csv"])
def test_names_of_any_kind(tmp_path, name):
    stale = tmp_path / f".{name}.999999999.part.csv"
    stale.write_text("of a process that is gone")
    with atomic(tmp_path / name) as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_leftovers_of_killed_processes_go_those_of_living_stay(tmp_path):
    dead, living = (tmp_path / f".a.txt.{pid}.part.txt" for pid in (2**22 + 1, os.getppid()))
    dead.touch()
    living.touch()
    with atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == sorted([living.name, "a.txt"])


@pytest.mark.parametrize("shape", [(6, 9), (4, 6, 9)])
def test_images_come_back_with_their_sampling(tmp_path, rng, shape):
    data = rng.random(shape).astype(np.float32)
    write_images(tmp_path / "a.tif", data, **ABOUT, electrons=240.0)
    images = read_images(tmp_path / "a.tif")
    assert (images.data == data).all()
    assert images.sampling == (0.2, 0.25)
    assert images.unit == "e/angstrom^2"
    assert images.metadata["electrons"] == 240.0
    with pytest.raises(ValueError, match="read-only"):
        images.data[0] = 1


def test_viewers_see_x_to_the_right_and_the_pixel_size(tmp_path):
    data = np.arange(6, dtype=np.float32).reshape(3, 2)  # 3 pixels along x, 2 along y
    write_images(tmp_path / "a.tif", data, **ABOUT)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages[0]
        assert (page.imagewidth, page.imagelength) == (3, 2)
        assert (page.asarray()[1] == data[:, 1]).all()
        per_cm = [n / d for n, d in (page.tags[t].value for t in ("XResolution", "YResolution"))]
        assert per_cm == pytest.approx([1e8 / 0.2, 1e8 / 0.25], rel=1e-6)


def test_images_one_by_one_are_the_same_file(tmp_path, rng):
    data = rng.random((5, 8, 7)).astype(np.float32)
    write_images(tmp_path / "a.tif", data, **ABOUT)
    write_images(tmp_path / "b.tif", iter(data), shape=data.shape, **ABOUT)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    with pytest.raises(TypeError, match="shape"):
        write_images(tmp_path / "c.tif", iter(data), **ABOUT)


def test_bad_tiffs_are_refused_by_name(tmp_path):
    path = tmp_path / "a.tif"
    write_images(path, np.ones((50, 50), np.float32), **ABOUT)
    whole = path.read_bytes()
    for content in (b"", b"no tiff at all", whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tif: .*run the workflow again"):
            read_images(path)
    tifffile.imwrite(path, np.ones((5, 5), np.float32))
    with pytest.raises(DataError, match="no sampling"):
        read_images(path)


def test_json_refuses_nan_and_names_a_broken_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(DataError, match=r"a\.json: not valid JSON"):
        read_json(tmp_path / "a.json")


def test_table_round_trip(tmp_path):
    rows = [{"a": 1, "b": 0.25, "c": "x", "d": ""}, {"a": 2, "b": 1e-9, "c": "y,z", "d": ""}]
    write_table(tmp_path / "a.csv", rows)
    assert read_table(tmp_path / "a.csv") == rows
    assert columns_of(tmp_path / "a.csv") == ["a", "b", "c", "d"]


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    write_table(tmp_path / "a.csv", [], columns=("a", "b"))
    assert read_table(tmp_path / "a.csv") == []
    assert columns_of(tmp_path / "a.csv") == ["a", "b"]


def test_archives_tell_any_damage_to_their_content(tmp_path, rng):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights", rng.bytes(500))
        start = archive.getinfo("weights").header_offset + 30 + len("weights")
    assert intact_archive(path)
    whole = path.read_bytes()
    for place in range(start, start + 500, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        assert not intact_archive(path), place
    for length in (0, 10, start + 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert not intact_archive(path), length


def test_streams_are_independent():
    a, b, c = (generator(1, *path).random(10_000) for path in (("x", 1), ("x", 2), ("x", "1")))
    assert abs(np.corrcoef([a, b, c])[np.triu_indices(3, 1)]).max() < 0.05
