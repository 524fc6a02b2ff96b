"""Files of microscopes: each format written with its own library, and every bad one."""

import gc
import warnings
from importlib import metadata
from importlib.util import find_spec

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from made_up_files import PIXEL, WRITERS, write_hspy, write_imagej, write_mrc
from PIL import Image
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.images.storage import write_images
from temdenoise.micrographs import memory
from temdenoise.micrographs.readers import read
from temdenoise.micrographs.units import sampling_in_angstrom
from temdenoise.micrographs.writers import own_format, write_image, write_own

# zarr 2 announces zarr 3, which RosettaSciIO does not use yet
pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore")
ZARR_2 = (find_spec("zarr") is not None) and metadata.version("zarr").startswith("2.")
ZSPY = pytest.param(
    "zspy",
    marks=pytest.mark.skipif(not ZARR_2, reason=".zspy needs zarr 2; the workflow's has zarr 3"),
)


@pytest.fixture
def counts(rng):
    return rng.poisson(900, (48, 64)).astype(np.uint16)


@pytest.mark.parametrize("ending", [ZSPY if e == "zspy" else e for e in WRITERS])
@pytest.mark.parametrize("frames", [None, 3])
def test_every_format_gives_data_and_pixel_size(ending, frames, counts, tmp_path):
    data = counts if frames is None else np.stack([counts + i for i in range(frames)])
    if ending == "ser":
        data = data.astype(np.int32)
    path = tmp_path / f"image.{ending}"
    WRITERS[ending](path, data)
    (found,) = read(path)
    # TIA counts rows from below
    expected = data[..., ::-1, :] if ending == "ser" else data
    np.testing.assert_array_equal(found.data, expected)
    assert found.sampling == pytest.approx((10 * PIXEL,) * 2, rel=1e-5)
    assert found.frames.shape == (frames or 1, 48, 64)
    assert found.notes == ()


@pytest.mark.parametrize("kind", ["|u1", "<i2", ">u2", ">i4", "<f4", ">f8", "<f8"])
def test_numpy_of_every_type(kind, counts, tmp_path):
    path = tmp_path / "image.npy"
    data = (counts % 200).astype(kind) - (100 if kind[1] != "u" else 0)
    np.save(path, data)
    (found,) = read(path)
    np.testing.assert_array_equal(found.data, data)
    assert found.sampling is None


def test_big_endian_tiff(counts, tmp_path):
    write_imagej(tmp_path / "a.tif", counts, byteorder=">")
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, counts)


@pytest.mark.parametrize(("ending", "steps"), [("png", 0), ("jpg", 6)])
def test_plain_pictures_become_grey(ending, steps, tmp_path):
    grey = np.add.outer(np.arange(48), 2 * np.arange(64)).astype(np.uint8)
    for channels in (grey, np.stack([grey] * 3, -1)):
        path = tmp_path / f"a.{ending}"
        imageio.imwrite(path, channels)
        (found,) = read(path)
        assert found.data.shape == grey.shape
        assert np.abs(found.data.astype(int) - grey).max() <= steps
        assert found.notes == ()
    colours = np.stack([grey, grey[::-1], 255 - grey], -1)
    imageio.imwrite(tmp_path / "colours.png", colours)
    (found,) = read(tmp_path / "colours.png")
    assert found.data.ndim == 2
    assert "luminance" in found.notes[0]


def test_sixteen_bit_png(counts, tmp_path):
    Image.fromarray(counts).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[0].data, counts)


def test_tiffs_of_the_workflow_and_resolution_tags(counts, tmp_path):
    write_images(
        tmp_path / "own.tif",
        counts.T.astype(np.float32),
        sampling=(0.2, 0.25),
        quantity="density",
        unit="e/Å²",
    )
    (found,) = read(tmp_path / "own.tif")
    assert found.sampling == pytest.approx((0.25, 0.2))  # rows run along y
    np.testing.assert_array_equal(found.data, counts)
    for resolution, sampling in ((1e8 / 0.14, 0.14), (72, None)):
        tifffile.imwrite(
            tmp_path / "b.tif", counts, resolution=(resolution,) * 2, resolutionunit="CENTIMETER"
        )
        found = read(tmp_path / "b.tif")[0].sampling
        assert found == (None if sampling is None else pytest.approx((sampling,) * 2, rel=1e-4))


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("nm", 0.0137),
        ("n_m", 0.0137),
        ("[n_m]", 0.0137),
        ("pm", 13.7),
        ("Å", 0.137),
        ("Angstrom", 0.137),
        ("µm", 1.37e-5),
        ("um", 1.37e-5),
        ("μm", 1.37e-5),
        ("m", -1.37e-11),
    ],
)
def test_units_become_angstrom(unit, scale):
    assert sampling_in_angstrom(scale, unit) == pytest.approx(0.137)


def test_no_unit_is_no_pixel_size():
    for unit in (None, "", "px", "<undefined>"):
        assert sampling_in_angstrom(1.0, unit) is None
    assert sampling_in_angstrom(0.0, "nm") is None
    assert sampling_in_angstrom(float("nan"), "nm") is None


@pytest.mark.parametrize("unit", ["1/nm", "1 / Å", "nm^-1", "nm⁻¹", "mrad"])
def test_diffraction_is_refused(unit, counts, tmp_path):
    write_hspy(tmp_path / "a.hspy", counts, units=unit)
    with pytest.raises(DataError, match="diffraction"):
        read(tmp_path / "a.hspy")


def test_unit_of_something_else_is_no_pixel_size(counts, tmp_path):
    write_hspy(tmp_path / "a.hspy", counts, units="furlong")
    (found,) = read(tmp_path / "a.hspy")
    assert found.sampling is None
    assert "--sampling" in found.notes[0]
    write_hspy(tmp_path / "a.hspy", counts, units="eV")
    with pytest.raises(DataError, match="spectra"):
        read(tmp_path / "a.hspy")


@pytest.mark.parametrize("ending", ["hspy", "emd", "tif", "ser", "npy", "png"])
def test_truncated_files_are_named(ending, counts, tmp_path):
    path = tmp_path / f"image.{ending}"
    write = WRITERS.get(
        ending, lambda p, d: np.save(p, d) if ending == "npy" else imageio.imwrite(p, d)
    )
    write(path, counts.astype(np.int32) if ending == "ser" else counts)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"image.*(truncated|damaged)"):
        read(path)


def test_truncated_mrc(counts, tmp_path):
    write_mrc(tmp_path / "a.mrc", counts)
    whole = (tmp_path / "a.mrc").read_bytes()
    (tmp_path / "a.mrc").write_bytes(whole[:3000])
    with pytest.raises(DataError, match="truncated"):
        read(tmp_path / "a.mrc")
    with warnings.catch_warnings():
        # the plugin leaves the file open when it fails
        warnings.simplefilter("ignore")
        gc.collect()


def test_a_folder_that_is_no_zspy(tmp_path):
    (tmp_path / "a.zspy").mkdir()
    with pytest.raises(DataError, match="truncated" if ZARR_2 else "zarr 2"):
        read(tmp_path / "a.zspy")


def test_missing_empty_and_unknown_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read(tmp_path / "no.dm4")
    for name in ("a.dm3", "a.tif", "a.npy"):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match="empty"):
            read(tmp_path / name)
    (tmp_path / "notes.dm4").write_text("kV 60, 8 pm")
    with pytest.raises(DataError, match="by its content not Gatan DM3 or DM4"):
        read(tmp_path / "notes.dm4")
    (tmp_path / "notes.txt").write_text("kV 60, 8 pm")
    with pytest.raises(DataError, match=r"neither its content nor its ending '.txt'"):
        read(tmp_path / "notes.txt")


def test_wrong_ending_is_read_by_content_and_said(counts, tmp_path):
    write_imagej(tmp_path / "a.tif", counts)
    (tmp_path / "a.tif").rename(tmp_path / "a.dm4")
    (found,) = read(tmp_path / "a.dm4")
    np.testing.assert_array_equal(found.data, counts)
    assert "read as TIFF by its content" in found.notes[0]


def test_colours_of_a_microscope_are_refused(rng, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", rng.integers(0, 255, (48, 64, 3), np.uint8), photometric="rgb"
    )
    with pytest.raises(DataError, match="colour"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(100), "1-dimensional"),
        (np.zeros((2, 2, 2, 40, 40)), "5-dimensional"),
        (np.zeros((10, 10)), "10 x 10 pixels"),
        (np.zeros((40, 40), complex), "complex"),
        (np.zeros((0, 40, 40)), "no image"),
        (np.array(["a"]), "type"),
    ],
)
def test_arrays_that_are_no_image(data, message, tmp_path):
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.npy")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"a\.npy"):
        read(tmp_path / "a.npy")


def test_an_image_too_large_for_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 8 * 2.0**30)
    path = tmp_path / "huge.npy"
    header = np.lib.format.open_memmap(path, "w+", np.uint8, (30000, 30000))
    del header
    with pytest.raises(DataError, match=r"30000 x 30000 pixels needs 33.5 GB of memory, 8.0 GB"):
        read(path)


def test_memory_is_found_out():
    assert 1e8 < memory.available() < float("inf")


@pytest.mark.parametrize("shape", [(48, 64), (3, 48, 64)])
def test_tiff_keeps_values_and_is_calibrated(shape, rng, tmp_path):
    data = rng.normal(1e4, 10, shape).astype(np.float32)
    write_image(tmp_path / "a.tif", data, sampling=PixelSize(0.1367, 0.2), quantity="denoised")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.imagej_metadata["unit"] == "nm"
        x, y = tiff.pages[0].resolution
        np.testing.assert_array_equal(tiff.asarray(), data)
    assert (1 / y, 1 / x) == pytest.approx((0.01367, 0.02), rel=1e-6)
    (found,) = read(tmp_path / "a.tif")
    assert found.data.dtype == np.float32
    assert found.sampling == pytest.approx((0.1367, 0.2), rel=1e-6)
    # HyperSpy reads with this
    from rsciio.tiff import file_reader

    axes = file_reader(str(tmp_path / "a.tif"))[0]["axes"][-2:]
    assert [a["units"] for a in axes] == ["nm", "nm"]
    assert sorted(a["scale"] for a in axes) == pytest.approx([0.01367, 0.02], rel=1e-6)


@pytest.mark.parametrize("ending", ["hspy", ZSPY, "emd", "npy", "mrc"])
@pytest.mark.parametrize("frames", [None, 3])
def test_own_format_comes_back_the_same(ending, frames, counts, rng, tmp_path):
    data = counts if frames is None else np.stack([counts] * frames)
    source = tmp_path / f"image.{ending}"
    WRITERS.get(ending, np.save)(source, data)
    (before,) = read(source)
    assert own_format(before) == f".{ending}"
    denoised = rng.normal(900, 3, data.shape).astype(np.float32)
    pixel = before.sampling or PixelSize(0.137, 0.137)
    for _ in range(2):  # also over an earlier result
        write_own(tmp_path / f"out.{ending}", before, denoised, sampling=pixel)
    (after,) = read(tmp_path / f"out.{ending}")
    np.testing.assert_array_equal(after.data, denoised)
    if before.sampling:
        assert after.sampling == pytest.approx(before.sampling, rel=1e-6)
        title = after.metadata.get("General", {}).get("title", "")
        assert ending == "mrc" or title.endswith("(denoised)")


def test_formats_that_cannot_be_written(counts, tmp_path):
    imageio.imwrite(tmp_path / "a.png", (counts % 256).astype(np.uint8))
    (found,) = read(tmp_path / "a.png")
    assert own_format(found) is None
    with pytest.raises(DataError, match="not written"):
        write_own(tmp_path / "b.png", found, counts, sampling=PixelSize(0.1, 0.1))
