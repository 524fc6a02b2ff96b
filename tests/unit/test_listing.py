"""The images of a file, by the names of their results."""

import numpy as np
import pytest
import tifffile
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.listing import Listing, list_images
from temdenoise.micrographs.readers import read

IMAGE = np.arange(40 * 48, dtype=np.float32).reshape(40, 48)


def write(path, *data_sets):
    if path.suffix == ".npz":
        np.savez(path, *data_sets)
    else:
        with tifffile.TiffWriter(path) as file:
            for data in data_sets:
                file.write(data)
    return path


@pytest.mark.parametrize(
    ("name", "data_sets", "images"),
    [
        ("scan.v2.tif", [IMAGE], {"scan.v2": 1}),
        ("a.tif", [IMAGE, IMAGE[:36]], {"a_1": 1, "a_2": 2}),
        ("a.npz", [IMAGE[0], IMAGE], {"a_2": 2}),
        ("a.npz", [np.stack([IMAGE] * 3), IMAGE[0], IMAGE], {"a_1": 1, "a_3": 3}),
    ],
)
def test_images_have_the_names_of_their_results(tmp_path, name, data_sets, images):
    path = write(tmp_path / name, *data_sets)
    listing = list_images(path)
    assert listing.images == images
    assert list(images) == [micrograph.name for micrograph in read(path)]
    assert len(listing.left_out) == len(data_sets) - len(images)


def test_a_listing_is_plain_values():
    listing = Listing("a.npz", {"a_2": 2}, ("signal 1, spectrum",))
    assert listing.to_dict() == {
        "file": "a.npz",
        "images": {"a_2": 2},
        "left_out": ["signal 1, spectrum"],
    }


def test_a_file_without_an_image_is_refused(tmp_path):
    path = write(tmp_path / "a.npz", IMAGE[0], IMAGE[:, 0])
    message = r"a\.npz: holds no image that can be denoised: 1 .*: expected an image .*; 2 "
    with pytest.raises(DataError, match=message):
        list_images(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.tif: there is no such file"):
        list_images(tmp_path / "a.tif")


def test_results_of_two_files_get_different_names(tmp_path):
    path = write(tmp_path / "a.tif", IMAGE, IMAGE[:36])
    message = r"its image 2 would be named a_2, as those of a_2\.npy: expected different names"
    with pytest.raises(DataError, match=message):
        list_images(path, others={"a_2": "a_2.npy"})
    assert list_images(path, others={"a_3": "a_3.npy"}).images == {"a_1": 1, "a_2": 2}
