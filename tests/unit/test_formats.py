"""Formats of the field: flavours, kinds of signals, pixel sizes; inputs made by the tests."""

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from made_up_files import (
    EMI,
    KX,
    KY,
    PLAIN,
    X,
    Y,
    header,
    imagej,
    velox,
    write_axes,
    write_delmic,
    write_image_ser,
    write_ncem_emd,
    write_nexus,
    write_ser,
)
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats import FORMATS, Kind, Stored, reference_table, rosettasciio
from temdenoise.micrographs.readers import read
from temdenoise.micrographs.results import Output
from temdenoise.micrographs.signals import signals
from temdenoise.micrographs.units import dimension, parse_length, require_resolving
from temdenoise.micrographs.writers import scale_of, write_image

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


@pytest.fixture
def counts(rng):
    return rng.poisson(900, (48, 64)).astype(np.uint16)


# ---------------------------------------------------------------- import and the table


def test_nothing_heavy_is_imported_before_a_file_is_read():
    heavy = ("torch", "rsciio", "h5py", "PIL", "tifffile", "mrcfile", "dask", "zarr", "scipy")
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); "
        "import temdenoise.micrographs.readers, temdenoise.micrographs.writers; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_formats_have_one_name_each_and_an_ending():
    names = [entry.name for entry in FORMATS]
    assert len(names) == len(set(names))
    assert all(entry.endings and entry.title for entry in FORMATS)


def test_reference_is_that_of_the_table():
    page = (SCRIPTS.parents[1] / "docs/micrographs.md").read_text()
    assert f"\n\n{reference_table()}\n\n" in page, "repair it with: make formats-reference"
    assert all(entry.library and entry.reads and entry.pixel_size for entry in FORMATS)


# ---------------------------------------------------------------- TIFF


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "deflate", "predictor": True},
        {"compression": "zstd"},
        {"compression": "zstd", "predictor": True, "tile": (16, 32)},
        {"compression": "jpeg2000"},
        {"compression": "lzma"},
        {"compression": "lerc"},
        {"compression": "packbits"},
        {"tile": (16, 32)},
        {"tile": (16, 32), "compression": "zlib"},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"rowsperstrip": 5},
    ],
    ids=str,
)
def test_tiff_of_every_layout(options, counts, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", counts, **options)
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, counts)
    assert found.notes == ()


@pytest.mark.parametrize(
    "kind", ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
)
def test_tiff_of_every_depth(kind, counts, tmp_path):
    data = (counts % 100).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", data)
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data)


@pytest.mark.parametrize("bits", [2, 4, 7, 10, 12, 14])
def test_tiff_of_fewer_bits_than_bytes(bits, counts, tmp_path):
    data = counts % 2**bits
    data = data.astype(np.uint8) if bits < 8 else data
    tifffile.imwrite(tmp_path / "a.tif", data, bitspersample=bits, photometric="minisblack")
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data)


def test_smaller_copies_within_a_page_are_left_out(counts, tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(counts, subifds=1)
        file.write(counts[::2, ::2], subfiletype=1)
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, counts)


def test_jpeg_in_tiff(tmp_path):
    smooth = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", smooth, compression="jpeg")
    (found,) = read(tmp_path / "a.tif")
    assert np.abs(found.data.astype(int) - smooth).max() <= 4


@pytest.fixture
def no_codecs(monkeypatch):
    """Without imagecodecs, as tifffile says it."""

    def missing(self, *_args, **_kwargs):
        raise ValueError(f"{self.keyframe.compression!r} requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", missing)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("compression", "kind"), [("lzw", "u2"), ("lzw", "u1"), ("lzw", "f4"), ("zstd", "u2")]
)
def test_common_codecs_need_no_package(
    large, compression, kind, counts, tmp_path, no_codecs, monkeypatch
):
    if large:
        monkeypatch.setattr("temdenoise.micrographs.formats.tiff.LARGE", 1)
    frames = np.stack([counts, counts // 2]).astype(kind)
    options = {"predictor": kind != "f4", "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", frames, compression=compression, **options)
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, frames)


@pytest.mark.parametrize(
    ("compression", "kind"), [("jpeg2000", "u2"), ("lerc", "f4"), ("lzw", "u4"), ("lzw", "f8")]
)
def test_a_missing_codec_is_named(compression, kind, counts, tmp_path, no_codecs):
    tifffile.imwrite(tmp_path / "a.tif", counts.astype(kind), compression=compression)
    with pytest.raises(
        DataError, match=r"compressed with \w+.*pip install '\.\[codecs\]'"
    ) as error:
        read(tmp_path / "a.tif")
    assert "damaged" not in str(error.value)


def test_a_tiff_that_claims_what_it_cannot_hold_is_refused_at_once(tmp_path):
    zeros = np.zeros((1, 64), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", zeros, metadata=None, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages[0].tags["ImageLength"].overwrite(2**28)
    with pytest.raises(DataError, match=r"claims 268435456 x 64 values, 16384 MB, in a file of"):
        signals(tmp_path / "a.tif")


def test_grey_with_opacity_and_planar_samples(counts, tmp_path):
    opaque = np.full_like(counts, 65535)
    for planar in ("contig", "separate"):
        stacked = np.stack([counts, opaque], -1 if planar == "contig" else 0)
        tifffile.imwrite(
            tmp_path / "a.tif",
            stacked,
            photometric="minisblack",
            planarconfig=planar,
            extrasamples=["unassalpha"],
        )
        (found,) = read(tmp_path / "a.tif")
        np.testing.assert_array_equal(found.data, counts)


def test_frames_that_are_samples_of_a_page(counts, tmp_path):
    frames = np.stack([counts + i for i in range(6)])
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(frames, 0, -1),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unspecified"] * 5,
    )
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, frames)


def test_stacks_of_three_that_tifffile_stores_as_colours(counts, tmp_path):
    frames = np.stack([counts, counts + 1, counts + 2])
    options = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", frames, **options)
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, frames)
    assert "taken as frames" in found.notes[0]
    # three planes of bytes by another program are a picture
    planes = (frames * [[[1]], [[7]], [[13]]] % 256).astype(np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", planes, metadata=None, **options)
    with pytest.raises(DataError, match="colour"):
        read(tmp_path / "b.tif")


def test_white_as_zero_is_said(counts, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", counts, photometric="miniswhite")
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, counts)
    assert "MinIsWhite" in found.notes[0]


@pytest.mark.parametrize("grey", [True, False])
def test_colour_tables(grey, counts, tmp_path):
    data = (counts % 256).astype(np.uint8)
    ramp = np.arange(0, 65536, 256, dtype=np.uint16)
    table = np.stack([ramp, ramp if grey else ramp[::-1], ramp])
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="palette", colormap=table)
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data)
    assert ("colour table" in " ".join(found.notes)) is not grey


def test_display_copies_and_thumbnails_are_left_out(counts, tmp_path):
    shown = (counts % 256).astype(np.uint8)
    pages = {
        "display": (np.stack([shown, 0 * shown, shown], -1), {"photometric": "rgb"}),
        "copy": (shown, {}),
        "thumbnail": (shown[::2, ::2], {}),
        "reduced": (counts[::2, ::2], {"subfiletype": 1}),
    }
    kinds = [Kind.COLOUR, Kind.DISPLAY, Kind.THUMBNAIL, Kind.THUMBNAIL]
    for (name, (page, options)), kind in zip(pages.items(), kinds, strict=True):
        path = tmp_path / f"{name}.tif"
        big = (
            np.kron(counts, np.ones((4, 4), np.uint16))
            if "r" in name[:1] or name[0] == "t"
            else counts
        )
        page = np.kron(page, np.ones((2, 2), page.dtype)) if big is not counts else page
        with tifffile.TiffWriter(path) as file:
            file.write(page, **options)
            file.write(big)
        first, second = signals(path)
        assert (first.kind, second.kind) == (kind, Kind.IMAGE)
        (found,) = read(path)
        np.testing.assert_array_equal(found.data, big)
        assert found.label == "2"
        assert "left out" in found.notes[0]
    (chosen,) = read(tmp_path / "copy.tif", signal=1)
    np.testing.assert_array_equal(chosen.data, shown)
    with pytest.raises(DataError, match="colour"):
        read(tmp_path / "display.tif", signal=1)


@pytest.mark.parametrize("unit", ["nm", "pm", "Å", "angstrom", "µm", "um", "micron", None])
def test_ome_tiff(unit, counts, tmp_path):
    steps = {"nm": 0.012, "pm": 12.0, "Å": 0.12, "angstrom": 0.12}
    step = steps.get(unit, 1.2e-5)
    said = {f"PhysicalSize{axis}": step for axis in "XY"}
    if unit:
        said |= {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    frames = np.stack([counts, counts + 1])
    tifffile.imwrite(tmp_path / "a.ome.tif", frames, ome=True, metadata={"axes": "TYX", **said})
    (found,) = read(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(found.data, frames)
    assert found.sampling == pytest.approx((0.12, 0.12), rel=1e-6)


@pytest.mark.parametrize(
    ("unit", "per"),
    [
        ("nm", 10),
        ("micron", 1e4),
        ("um", 1e4),
        ("\\u00B5m", 1e4),
        ("µm", 1e4),
        ("pm", 0.01),
        ("Å", 1),
        ("\\u00C5", 1),
        ("A", 1),
        ("nanometre", 10),
        ("angstrom", 1),
        ("\\\\u00B5m", 1e4),
        ("Âµm", 1e4),
    ],
)
def test_units_of_imagej(unit, per, counts, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        counts,
        resolution=(per / 0.12, per / 0.12),
        metadata=None,
        description=f"ImageJ=1.54f\nunit={unit}\n".encode(),
    )
    (found,) = read(tmp_path / "a.tif")
    assert found.sampling == pytest.approx((0.12, 0.12), rel=1e-5)
    assert found.notes == ()


@pytest.mark.parametrize("unit", ["inch", "pixel", "-"])
def test_what_printers_need_is_no_pixel_size(unit, counts, tmp_path):
    imagej(tmp_path / "a.tif", counts, unit=unit, step=1 / 300)
    assert read(tmp_path / "a.tif")[0].sampling is None


def test_large_stacks_stay_in_their_file(counts, tmp_path, monkeypatch):
    monkeypatch.setattr("temdenoise.micrographs.formats.tiff.LARGE", 1)
    frames = np.stack([counts + i for i in range(5)])
    tifffile.imwrite(tmp_path / "packed.tif", frames, compression="zlib")
    (found,) = read(tmp_path / "packed.tif")
    assert isinstance(found.data, Stored)
    assert found.frames.shape == (5, 48, 64)
    for frame, expected in zip(found.frames, frames, strict=True):
        np.testing.assert_array_equal(frame, expected)
    np.testing.assert_array_equal(found.frames[-1][3:5, 2], frames[-1][3:5, 2])
    np.testing.assert_array_equal(np.asarray(found.data), frames)
    imagej(tmp_path / "plain.tif", frames)
    (found,) = read(tmp_path / "plain.tif")
    assert isinstance(found.data, np.memmap)
    np.testing.assert_array_equal(found.data, frames)


def test_a_stack_that_is_damaged_half_way_is_readable_up_to_there(counts, tmp_path, monkeypatch):
    monkeypatch.setattr("temdenoise.micrographs.formats.tiff.LARGE", 1)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([counts] * 5), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        start = tiff.pages[2].dataoffsets[0]
    with (tmp_path / "a.tif").open("r+b") as file:
        file.seek(start)
        file.write(bytes(64))
    (found,) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.frames[1], counts)
    with pytest.raises(DataError, match=r"image 3 of the file cannot be read.*damaged"):
        found.frames[2]


# ---------------------------------------------------------------- MRC


MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mode", MODES)
def test_mrc_of_every_mode_and_order(mode, order, counts, tmp_path):
    low = 1000 if mode == 6 else 900
    data = np.clip(counts.astype(float) - (0 if mode == 6 else low), -128, 2 * low)
    data = np.clip(data, -128, 127) if mode == 0 else data
    data = np.stack([data, data[::-1]]).astype(order + MODES[mode])
    (tmp_path / "a.mrc").write_bytes(bytes(header(data.shape, mode, order)) + data.tobytes())
    (found,) = read(tmp_path / "a.mrc")
    np.testing.assert_array_equal(found.data, data)
    assert found.sampling == pytest.approx((0.12, 0.12), rel=1e-5)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("version", "limits", "imod", "signed"),
    [
        (20140, (0, 0, 0), None, True),
        (20140, (10, 200, 99), None, False),
        (0, (-50, 60, 3), None, True),
        (0, (0, 0, 0), 0, False),
        (0, (0, 0, 0), 1, True),
        (20140, (0, 0, 0), 0, False),
        (0, (0, 0, 0), None, None),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_signs_of_bytes_in_mrc(version, limits, imod, signed, order, counts, tmp_path):
    head = header((1, 48, 64), 0, order, version=version, limits=limits)
    if imod is not None:
        struct.pack_into(f"{order}2i", head, 152, 1146047817, imod)
    body = (counts % 256).astype(np.uint8)
    (tmp_path / "a.mrc").write_bytes(bytes(head) + body.tobytes())
    (found,) = read(tmp_path / "a.mrc")
    np.testing.assert_array_equal(found.data, body.view(np.int8) if signed else body)
    assert bool(found.notes) is (signed is None)


@pytest.mark.parametrize(("grid", "step"), [((0, 0, 0), 0.12), (None, 0.0), (None, -0.12)])
def test_uncalibrated_mrc_has_no_pixel_size(grid, step, counts, tmp_path):
    head = header((1, 48, 64), 6, grid=grid, step=step)
    (tmp_path / "a.mrc").write_bytes(bytes(head) + counts.tobytes())
    assert read(tmp_path / "a.mrc")[0].sampling is None


def test_extended_headers_of_mrc(counts, tmp_path):
    for size, kind in ((2048, b"SERI"), (131072, b"\0\0\0\0")):
        head = header((1, 48, 64), 6)
        struct.pack_into("<i", head, 92, size)
        head[104:108] = kind
        extended = bytearray(size)
        if size == 131072:  # FEI's, in metres
            struct.pack_into("<f", extended, 44, 1.5e-11)
        (tmp_path / "a.mrc").write_bytes(bytes(head + extended) + counts.tobytes())
        (found,) = read(tmp_path / "a.mrc")
        np.testing.assert_array_equal(found.data, counts)
        expected = 0.15 if size == 131072 else 0.12
        assert found.sampling == pytest.approx((expected,) * 2, rel=1e-5)


def test_pixel_size_in_the_extended_header_of_fei(counts, tmp_path):
    fields = mrcfile.dtypes.get_ext_header_dtype(b"FEI1", "<")
    extended = np.zeros(1, fields)
    extended["Metadata size"], extended["Pixel size X"] = fields.itemsize, 1.5e-11
    head = header((1, 48, 64), 6, step=0.0)
    struct.pack_into("<i", head, 92, fields.itemsize)
    head[104:108] = b"FEI1"
    (tmp_path / "a.mrc").write_bytes(bytes(head) + extended.tobytes() + counts.tobytes())
    (found,) = read(tmp_path / "a.mrc")
    np.testing.assert_array_equal(found.data, counts)
    assert found.sampling == pytest.approx((0.15, 0.15))


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (101, "4-bit.*newstack"),
        (3, "Fourier"),
        (4, "complex"),
        (16, "colour"),
        (77, "mode 77"),
    ],
)
def test_modes_of_mrc_that_are_no_image(mode, message, tmp_path):
    head = header((1, 48, 64), mode)
    (tmp_path / "a.mrc").write_bytes(bytes(head) + bytes(48 * 64 * 8))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.mrc")


def test_headers_that_claim_too_much_are_refused_at_once(counts, tmp_path):
    for shape in ((10**6, 4096, 4096), (1, 2**31 - 1, 2**31 - 1), (0, 48, 64), (-1, 48, 64)):
        head = header(shape, 6)
        (tmp_path / "a.mrc").write_bytes(bytes(head) + counts.tobytes())
        with pytest.raises(DataError, match="header claims"):
            read(tmp_path / "a.mrc")


# ---------------------------------------------------------------- HDF5


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
def test_velox_with_x_rays_needs_no_package(frames, large, counts, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr("temdenoise.micrographs.formats.hdf5.LARGE", 1)
    velox(tmp_path / "a.emd", counts, edx=True, frames=frames)
    found = signals(tmp_path / "a.emd")
    kinds = [one.kind for one in found]
    assert kinds == [
        Kind.IMAGE if frames == 1 else Kind.SERIES,
        Kind.ELEMENT_MAP,
        Kind.SPECTRUM_IMAGE,
    ]
    assert found[2].shape == (48, 64, 4096)
    (image,) = read(tmp_path / "a.emd")
    for frame in image.frames:
        np.testing.assert_array_equal(frame, counts)
    assert len(image.frames) == frames
    assert image.sampling == pytest.approx((0.12, 0.12))
    said = " ".join(image.notes)
    assert "spectrum image" in said
    assert "element" in said
    with pytest.raises(DataError, match="spectrum image"):
        read(tmp_path / "a.emd", signal=3)
    (chosen,) = read(tmp_path / "a.emd", signal=2)
    assert chosen.label == "2"


def test_fourier_transforms_of_velox_are_named(counts, tmp_path):
    velox(tmp_path / "a.emd", counts, compound=True)
    first, second = signals(tmp_path / "a.emd")
    assert first.kind is Kind.TRANSFORM
    assert second.kind is Kind.IMAGE
    (found,) = read(tmp_path / "a.emd")
    np.testing.assert_array_equal(found.data, counts)


SCAN = (("y", "nm", 1.2, True), ("x", "nm", 1.2, True))


@pytest.mark.parametrize(
    ("shape", "axes", "signal_type", "kind"),
    [
        ((40, 48, 64), (*SCAN, ("E", "eV", 0.5, False)), "EELS", Kind.SPECTRUM_IMAGE),
        ((40, 48, 64), (*SCAN, ("Energy loss", None, 0.5, False)), "", Kind.SPECTRUM_IMAGE),
        ((64, 40, 48), (("Energy", "keV", 0.01, True), Y, X), "EDS_TEM", Kind.SPECTRUM_IMAGE),
        ((48, 64), (SCAN[0], ("Wavelength", "nm", 0.09, False)), "CL", Kind.SPECTRA),
        ((48, 64), (SCAN[0], ("", "nm", 0.09, False)), "", Kind.SPECTRA),
        ((64,), (("Energy loss", "eV", 0.5, False),), "EELS", Kind.SPECTRUM),
        ((48, 64), (KY, KX), "", Kind.DIFFRACTION),
        ((3, 4, 48, 64), (*SCAN, KY, KX), "", Kind.FOUR_D),
        ((3, 4, 48, 64), (*SCAN, PLAIN, PLAIN), "", Kind.FOUR_D),
    ],
)
def test_what_is_no_image_is_named_whatever_is_given(shape, axes, signal_type, kind, tmp_path):
    write_axes(tmp_path / "a.hspy", np.ones(shape, np.float32), axes, signal_type)
    (one,) = signals(tmp_path / "a.hspy")
    assert one.kind is kind
    with pytest.raises(DataError, match=kind.value.split()[0][:6]) as error:
        read(tmp_path / "a.hspy")
    assert "--sampling" not in str(error.value)


def test_frames_on_the_last_axis_by_what_hyperspy_says(counts, tmp_path):
    frames = np.stack([counts, counts + 1, counts + 2])
    write_axes(tmp_path / "a.hspy", np.moveaxis(frames, 0, -1), (Y, X, ("time", "s", 1.0, True)))
    (found,) = read(tmp_path / "a.hspy")
    np.testing.assert_array_equal(found.data, frames)
    assert found.sampling == pytest.approx((0.12, 0.12))
    assert "frames first" in found.notes[0]


@pytest.mark.parametrize("large", [False, True])
def test_hspy_stays_in_its_file(large, counts, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr("temdenoise.micrographs.formats.hdf5.LARGE", 1)
    frames = np.stack([counts, counts + 1, counts + 2])
    write_axes(tmp_path / "a.hspy", frames, (("t", "s", 1.0, True), Y, X))
    (found,) = read(tmp_path / "a.hspy")
    assert isinstance(found.data, Stored) is large
    for frame, expected in zip(found.frames, frames, strict=True):
        np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("large", [False, True])
def test_hdf5_of_other_programs_is_listed_by_paths(large, counts, tmp_path, monkeypatch):
    if large:
        monkeypatch.setattr("temdenoise.micrographs.formats.hdf5.LARGE", 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["run/stack"] = np.stack([counts] * 3)
        file["run/small"] = counts[:4, :4]
        file["run/dose"] = 3.0
    found = {one.name: one for one in signals(tmp_path / "a.h5")}
    assert set(found) == {"run/stack", "run/small"}
    (image,) = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(np.asarray(image.data), [counts] * 3)
    assert image.sampling is None
    (image,) = read(tmp_path / "a.h5", signal="run/stack")
    with pytest.raises(DataError, match="no such signal"):
        read(tmp_path / "a.h5", signal="run/other")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["DataSetInfo/x"] = np.arange(3)
    with pytest.raises(DataError, match=r"HDF5 file of Imaris.*no data set"):
        read(tmp_path / "none.h5")


def test_delmic_is_read_with_its_pixel_size(counts, tmp_path):
    write_delmic(tmp_path / "a.h5", counts)
    (found,) = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.data, counts)
    assert found.sampling == pytest.approx((0.137, 0.137))


@pytest.mark.parametrize("name", ["a.emd", "a.h5", "a.hdf5"])
def test_berkeleys_emd_is_known_by_its_content(name, counts, tmp_path):
    write_ncem_emd(tmp_path / name, counts)
    (found,) = read(tmp_path / name)
    np.testing.assert_array_equal(found.data, counts)
    assert found.sampling == pytest.approx((0.137, 0.137))
    assert ("read as EMD by its content" in " ".join(found.notes)) is (name == "a.hdf5")


def test_nexus_is_read_by_its_axes(counts, tmp_path):
    write_nexus(tmp_path / "a.nxs", counts, scale=0.012)
    (found,) = read(tmp_path / "a.nxs")
    np.testing.assert_array_equal(found.data, counts)
    assert found.sampling == pytest.approx((0.12, 0.12))


# ---------------------------------------------------------------- arrays


def test_archives_of_arrays(counts, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", image=counts, dose=3.0)
    (found,) = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.data, counts)
    (found,) = read(tmp_path / "a.npz", signal="image")
    with pytest.raises(DataError, match="0-dimensional"):
        read(tmp_path / "a.npz", signal="dose")
    np.savez(tmp_path / "b.npz", haadf=counts, abf=counts + 1)
    assert [one.name for one in signals(tmp_path / "b.npz")] == ["haadf", "abf"]
    assert len(read(tmp_path / "b.npz")) == 2
    np.testing.assert_array_equal(read(tmp_path / "b.npz", signal="abf")[0].data, counts + 1)


def test_what_else_is_in_an_archive_of_arrays(counts, tmp_path):
    np.savez(tmp_path / "a.npz", image=counts, about={"dose": 3.0})
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("notes.txt", "of Monday")
        archive.writestr("broken.npy", b"nothing")
    kinds = {one.name: one.kind for one in signals(tmp_path / "a.npz")}
    others = dict.fromkeys(("about", "notes.txt", "broken"), Kind.OTHER)
    assert kinds == {"image": Kind.IMAGE, **others}
    np.testing.assert_array_equal(read(tmp_path / "a.npz")[0].data, counts)
    with pytest.raises(DataError, match="holds no array of numbers"):
        read(tmp_path / "a.npz", signal="about")
    np.save(tmp_path / "a.npy", {"dose": 3.0}, allow_pickle=True)
    with pytest.raises(DataError, match=r"Python objects.*may run programs"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((128, 128, 40), 2), ((96, 80, 40), 2), ((64, 40, 64), 1), ((200, 300, 3), 2)],
)
def test_the_order_of_the_axes_is_asked_for(shape, axis, tmp_path):
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(DataError, match=rf"order of the axes.*--frames-axis {axis}"):
        read(tmp_path / "a.npy")
    for given in (axis, axis - 3):
        (found,) = read(tmp_path / "a.npy", frames_axis=given)
        np.testing.assert_array_equal(found.data, np.moveaxis(data, axis, 0))
    if min(shape[1:]) >= 32:
        (found,) = read(tmp_path / "a.npy", frames_axis=0)
        np.testing.assert_array_equal(found.data, data)
    with pytest.raises(DataError, match=r"--frames-axis 7.*0 to 2"):
        read(tmp_path / "a.npy", frames_axis=7)


@pytest.mark.parametrize("shape", [(40, 96, 96), (40, 96, 80), (64, 64, 64), (96, 96, 1)])
def test_clear_orders_are_not_asked_for(shape, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    (found,) = read(tmp_path / "a.npy")
    assert found.data.shape == (shape[:2] if shape[2] == 1 else shape)


def test_scans_of_diffraction_patterns_are_no_series(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((20, 20, 64, 64), np.uint8))
    with pytest.raises(DataError, match="4-D"):
        read(tmp_path / "a.npy")
    assert read(tmp_path / "a.npy", signal=1)[0].frames.shape == (400, 64, 64)


# ---------------------------------------------------------------- Gatan, TIA


def test_diffraction_of_tia_without_its_description(counts, tmp_path):
    write_image_ser(tmp_path / "a_1.ser", counts, 1.0e8)  # 1/m
    (one,) = signals(tmp_path / "a_1.ser")
    assert one.kind is Kind.DIFFRACTION


@pytest.mark.parametrize(
    ("mode", "camera", "kind"),
    [
        ("TEM uP SA Zoom Image", "", Kind.IMAGE),
        ("TEM uP SA Zoom Diffraction", "", Kind.DIFFRACTION),
        ("STEM nP SA Zoom Diffraction", "<CameraNamePath>x</CameraNamePath>", Kind.DIFFRACTION),
    ],
)
@pytest.mark.parametrize("name", ["a_1.ser", "a.emi"])
def test_tia_takes_the_unit_of_its_description(mode, camera, kind, name, counts, tmp_path):
    folder = tmp_path / "zone [110]"
    folder.mkdir()
    write_image_ser(folder / "a_1.ser", counts, 1.2e-11)
    (folder / "a.emi").write_text(EMI.format(mode, camera))
    (one,) = signals(folder / name)
    assert one.kind is kind
    if kind is Kind.IMAGE:
        assert one.sampling == pytest.approx((0.12, 0.12))


def test_a_damaged_description_of_tia_is_said(counts, tmp_path):
    write_image_ser(tmp_path / "a_1.ser", counts, 1.2e-11)
    (tmp_path / "a.emi").write_text(EMI.format("TEM", "")[:90])
    for name in ("a_1.ser", "a.emi"):
        (found,) = read(tmp_path / name)
        # TIA counts its rows from below
        np.testing.assert_array_equal(found.data, counts[::-1])
        assert "description a.emi cannot be read" in found.notes[0]


def test_a_series_of_tia_that_was_cut_off(counts, tmp_path):
    write_ser(tmp_path / "a.ser", np.stack([counts, counts]))
    content = (tmp_path / "a.ser").read_bytes()
    (tmp_path / "a.ser").write_bytes(content[: len(content) - 2000])
    with pytest.raises(DataError, match="elements differ in size, as in a file that was cut off"):
        read(tmp_path / "a.ser")


def test_headers_of_tia_that_claim_too_much(counts, tmp_path):
    write_image_ser(tmp_path / "a.ser", counts, 1.2e-11)
    data = bytearray((tmp_path / "a.ser").read_bytes())
    data[18:22] = struct.pack("<I", 2**31)
    (tmp_path / "a.ser").write_bytes(data)
    with pytest.raises(DataError, match="counts 2147483648 elements"):
        read(tmp_path / "a.ser")


# ---------------------------------------------------------------- pixel sizes


@pytest.mark.parametrize(
    ("step", "unit", "doubt"),
    [
        (1.0, "nm", "know none"),
        (1.0, "pixel", ""),
        (1e17, "nm", "no electron microscope"),
        (1e-9, "nm", "no electron microscope"),
        (0.012, "furlong", "no length"),
        (-0.012, "nm", "above 0"),
    ],
)
def test_pixel_sizes_that_are_not_believed(step, unit, doubt, counts, tmp_path):
    write_axes(tmp_path / "a.hspy", counts, (("y", unit, step, False), ("x", unit, step, False)))
    (found,) = read(tmp_path / "a.hspy")
    assert found.sampling is None
    assert doubt in " ".join(found.notes)
    assert bool(found.notes) is bool(doubt)


def test_an_axis_that_points_upwards_is_believed(counts, tmp_path):
    write_axes(tmp_path / "a.hspy", counts, (("y", "nm", -0.012, False), ("x", "nm", 0.012, False)))
    assert read(tmp_path / "a.hspy")[0].sampling == pytest.approx((0.12, 0.12))


def test_pixels_far_from_square_are_not_believed(counts, tmp_path):
    write_axes(tmp_path / "a.hspy", counts, (("y", "nm", 20.0, False), ("x", "nm", 0.09, False)))
    assert read(tmp_path / "a.hspy")[0].sampling is None


@pytest.mark.parametrize("size", [10.0, 1e3, 1e4])
def test_overview_images_resolve_no_lattice(size):
    with pytest.raises(DataError, match=r"pixel size.*overview"):
        require_resolving(PixelSize(size, size))


def test_what_resolves_a_lattice():
    require_resolving(PixelSize(0.3, 1.9))
    require_resolving(PixelSize(4.0, 4.0), spacing=12.0)
    with pytest.raises(DataError, match=r"at most 0\.5 Å"):
        require_resolving(PixelSize(0.6, 0.1), spacing=1.0)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0.12", 0.12),
        (".12", 0.12),
        ("12pm", 0.12),
        ("12 pm", 0.12),
        ("0.012nm", 0.12),
        ("0.12A", 0.12),
        ("0.12 Å", 0.12),
        ("1.2e-5 µm", 0.12),
        ("12A", 12.0),
    ],
)
def test_lengths_that_are_typed(text, length):
    assert parse_length(text) == pytest.approx(length, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,12", r"decimal point: 0\.12"),
        ("abc", "expected a length"),
        ("", "expected a length"),
        ("-1", "above 0"),
        ("0", "above 0"),
        ("nan", "expected a length"),
        ("1e999", "above 0"),
        ("0.1 furlong", "no unit of length"),
        ("0.1 1/nm", "no unit of length"),
        ("12", "12pm"),
        ("0.012", "0.012nm"),
    ],
)
def test_lengths_that_are_none(text, message):
    with pytest.raises(DataError, match=message):
        parse_length(text)


@pytest.mark.parametrize(
    ("unit", "measured"),
    [("1/nm", "reciprocal"), ("Å⁻¹", "reciprocal"), ("keV", "energy"), ("ms", "time")],
)
def test_dimensions_of_units(unit, measured):
    assert dimension(unit) == measured


# ---------------------------------------------------------------- files as they come


@pytest.mark.parametrize(
    "name",
    [
        b"a b.npy",
        b"zone [110].npy",
        b"user's.npy",
        b"50% MoS2.npy",
        b"a**b.npy",
        b"{x}.npy",
        "α-Fe₂O₃ 試料.npy".encode(),
        b"new\nline.npy",
        b"trailing .npy",
        b"probe_\xc5.npy",
        b"x" * 200 + b".npy",
    ],
)
@pytest.mark.parametrize("write", [np.save, imagej, "mrc", "hspy"])
def test_names_of_any_kind(name, write, counts, tmp_path):
    import os

    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    if write == "mrc":
        path = path.with_suffix(".mrc")
        path.write_bytes(bytes(header((1, 48, 64), 6)) + counts.tobytes())
    elif write == "hspy":
        path = path.with_suffix(".hspy")
        write_axes(tmp_path / "plain.hspy", counts, (Y, X))
        (tmp_path / "plain.hspy").rename(path)
    else:
        with path.open("wb") as file:
            write(file, counts)
    (found,) = read(path)
    np.testing.assert_array_equal(found.data, counts)
    assert found.name == path.stem


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bcf", b"AAMVHFSS", "HyperSpy reads this ending as Bruker"),
        ("a.emd", b"text", "not EMD of Velox or EMD, as its ending '.emd' says"),
        ("a.tif.gz", b"\x1f\x8b\x08", "packed with gzip"),
        ("a.docx", b"PK\x03\x04" + bytes(50), "neither its content nor its ending"),
    ],
)
def test_what_is_not_read_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="a folder: expected a file"):
        read(tmp_path)


def test_frames_that_do_not_fit_are_refused_before_they_are_read(tmp_path, monkeypatch):
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (4, 8192, 8192))
    del array
    monkeypatch.setattr(memory, "available", lambda: 2 * 2.0**30)
    with pytest.raises(DataError, match=r"8192 x 8192 pixels needs 2.5 GB of memory.*bin it"):
        read(tmp_path / "a.npy")
    # frames are worked on one by one: their number does not matter
    monkeypatch.setattr(memory, "available", lambda: 3 * 2.0**30)
    read(tmp_path / "a.npy")
    monkeypatch.setattr(memory, "address_space", lambda: 3 * 2.0**30)
    with pytest.raises(DataError, match=r"memory.*ulimit -v"):
        read(tmp_path / "a.npy")


# ---------------------------------------------------------------- results


@pytest.mark.parametrize("ending", ["tif", "mrc", "npy", "hspy"])
@pytest.mark.parametrize("bits", [32, 16, 8])
@pytest.mark.parametrize("shape", [(48, 64), (3, 48, 64)])
def test_results_in_every_format_and_depth(ending, bits, shape, rng, tmp_path):
    data = rng.normal(50, 10, shape).astype(np.float32)
    path = tmp_path / f"a.{ending}"
    scale = scale_of(data, np.ones_like(data), bits) if bits < 32 else None
    if ending == "mrc" and bits == 8:
        scale = scale.signed
    write_image(path, data, sampling=PixelSize(0.12, 0.2), quantity="denoised", scale=scale)
    (found,) = read(path)
    assert found.data.dtype.itemsize * 8 == bits
    if ending != "npy":
        assert found.sampling == pytest.approx((0.12, 0.2), rel=1e-5)
    if bits == 32:
        assert scale is None
        np.testing.assert_array_equal(found.data, data)
        return
    values = scale.offset + scale.step * np.asarray(found.data, float)
    np.testing.assert_allclose(values, data, atol=0.501 * scale.step)
    if ending == "tif":
        with tifffile.TiffFile(path) as tiff:
            told = tiff.imagej_metadata
        assert (told["c0"], told["c1"]) == pytest.approx((scale.offset, scale.step))
    if ending == "mrc":
        with mrcfile.open(path) as file:
            assert (
                file.get_labels()[-1] == f"value = {scale.offset:.9g} + {scale.step:.9g} * stored"
            )


def test_a_stored_stack_is_written_image_by_image(rng, tmp_path):
    frames = rng.normal(50, 10, (4, 48, 64)).astype(np.float32)
    asked = []

    def image(index):
        asked.append(index)
        return frames[index]

    stack = Stored(frames.shape, frames.dtype, image)
    for ending in ("tif", "mrc", "npy"):
        write_image(tmp_path / f"a.{ending}", stack, sampling=PixelSize.of(0.1), quantity="d")
        np.testing.assert_array_equal(read(tmp_path / f"a.{ending}")[0].data, frames)
    assert len(asked) == 12


def test_tiff_is_written_as_rosettasciio_writes_it(rng, tmp_path):
    from rsciio.tiff import file_writer

    data = rng.normal(50, 10, (3, 48, 64)).astype(np.float32)
    write_image(tmp_path / "a.tif", data, sampling=PixelSize(0.12, 0.2), quantity="sigma")
    axes = [
        {"name": name, "size": size, "scale": scale, "offset": 0.0, "units": unit, "navigate": nav}
        for name, size, scale, unit, nav in zip(
            "tyx", data.shape, (1.0, 0.12 / 10, 0.2 / 10), ("", "nm", "nm"), (1, 0, 0), strict=True
        )
    ]
    told = {"General": {"title": "sigma"}, "Signal": {"quantity": "sigma"}}
    file_writer(str(tmp_path / "b.tif"), {"data": data, "axes": axes, "metadata": told})
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_huge_offsets_keep_their_digits(rng, tmp_path):
    data = 1e9 + rng.normal(0, 10, (48, 64))
    for ending in ("tif", "npy", "hspy"):
        write_image(tmp_path / f"a.{ending}", data, sampling=PixelSize.of(0.1), quantity="d")
        np.testing.assert_array_equal(read(tmp_path / f"a.{ending}")[0].data, data)
    with pytest.raises(DataError, match="64 bits"):
        write_image(tmp_path / "a.mrc", data, sampling=PixelSize.of(0.1), quantity="d")


def test_depths_and_formats_that_are_none(counts, tmp_path):
    with pytest.raises(DataError, match=r"bits = 12: expected one of 32, 16, 8"):
        Output(tmp_path, bits=12)
    with pytest.raises(DataError, match=r"format = 'png': expected one of tiff, mrc, npy, hspy"):
        Output(tmp_path, format="png")
    with pytest.raises(DataError, match=r"expected an ending of \.tif, \.mrc, \.npy, \.hspy"):
        write_image(tmp_path / "a.png", counts, sampling=PixelSize.of(0.1), quantity="d")


def test_lists_for_programs(counts, tmp_path):
    np.save(tmp_path / "a.npy", counts)
    (one,) = signals(tmp_path / "a.npy")
    told = json.loads(json.dumps(one.as_dict()))
    assert told["kind"] == "image"
    assert told["shape"] == [48, 64]
    assert "no pixel size" in one.describe()


def test_files_that_are_read_whole_ask_for_memory_first(counts, tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", image=counts)
    monkeypatch.setattr(memory, "available", lambda: 100.0)
    with pytest.raises(DataError, match="archive that is read whole"):
        read(tmp_path / "a.npz")
    assert rosettasciio.LARGE > 1e6


# ---------------------------------------------------------------- Zarr


def make_zarr(path, arrays, attributes=None, version=2):
    store = zarr.open_group(str(path), mode="w", zarr_format=version)
    for name, data in arrays.items():
        store.create_array(name, data=data)
    store.attrs.update(attributes or {})


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_has_its_pixel_size(version, counts, tmp_path):
    axes = [{"name": "y", "unit": "nanometer"}, {"name": "x", "unit": "nanometer"}]
    scale = [{"type": "scale", "scale": [0.012, 0.012]}]
    images = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    arrays = {"0": counts, "1": counts[::2, ::2]}
    for name, attributes in (
        ("a.zarr", {"multiscales": images}),
        ("b.zarr", {"ome": {"multiscales": images}}),
    ):
        make_zarr(tmp_path / name, arrays, attributes, version)
        (found,) = read(tmp_path / name)
        np.testing.assert_array_equal(found.data, counts)
        assert found.sampling == pytest.approx((0.12, 0.12))


def test_chunks_that_would_end_the_process_are_refused(counts, tmp_path):
    make_zarr(tmp_path / "a.zarr", {"image": counts})  # in version 2 by Blosc
    (chunk,) = (path for path in (tmp_path / "a.zarr/image").iterdir() if path.name[0] != ".")
    content = bytearray(chunk.read_bytes())
    content[12:21] = 9 * b"\x01"
    content[16:20] = 4 * b"\x7f"
    chunk.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "a.zarr")


def test_other_zarr_is_listed_by_names(counts, tmp_path):
    make_zarr(tmp_path / "a.zarr", {"image": counts, "dose": np.arange(3)})
    (found,) = signals(tmp_path / "a.zarr")
    assert found.name == "image"
    make_zarr(tmp_path / "b.zarr", {"dose": np.arange(3)})
    with pytest.raises(DataError, match="without an array"):
        read(tmp_path / "b.zarr")
