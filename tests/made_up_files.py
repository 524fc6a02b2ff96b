"""Files of microscopes, each written with its own library or by its specification."""

import json
import struct
from types import MappingProxyType

import h5py
import numpy as np
import tifffile

PIXEL = 0.0137  # nm


def signal(data, units="nm", scale=PIXEL):
    """What RosettaSciIO's writers take."""
    axes = [
        {
            "name": name,
            "units": units if name in "xy" else None,
            "scale": scale if name in "xy" else 1.0,
            "offset": 0.0,
            "size": size,
            "navigate": name not in "xy",
            "index_in_array": i,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for i, (name, size) in enumerate(zip("tyx"[-data.ndim :], data.shape, strict=True))
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "test"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "package_info": {"package": "hyperspy", "package_version": "2"},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
    }


def write_hspy(path, data, **options):
    from rsciio.hspy import file_writer

    file_writer(str(path), signal(data, **options), show_progressbar=False)


def write_zspy(path, data, **options):
    from rsciio.zspy import file_writer

    file_writer(str(path), signal(data, **options), show_progressbar=False)


def write_emd(path, data, **options):
    from rsciio.emd import file_writer

    file_writer(str(path), signal(data, **options))


def write_ncem_emd(path, data, units=b"n_m", scale=PIXEL):
    """Write Berkeley's EMD by hand, with the unit as openNCEM writes it; x comes first."""
    data = data.T
    with h5py.File(path, "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = data
        for i, name in enumerate("xyz"[: data.ndim]):
            group[f"dim{i + 1}"] = scale * np.arange(data.shape[i])
            group[f"dim{i + 1}"].attrs.update(name=name, units=units)


def write_imagej(path, data, units="nm", scale=PIXEL, **options):
    tifffile.imwrite(
        path,
        data,
        imagej=True,
        resolution=(1 / scale, 1 / scale),
        metadata={"unit": units, "axes": "TYX"[-data.ndim :]},
        **options,
    )


def write_mrc(path, data, scale=PIXEL):
    """MRC 2014 by its specification: header of 1024 bytes, cell in Å."""
    modes = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}
    frames = data[None] if data.ndim == 2 else data
    n, rows, columns = frames.shape
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, columns, rows, n, modes[str(data.dtype)])
    struct.pack_into("<3i", header, 28, columns, rows, n)
    struct.pack_into("<6f", header, 40, 10 * scale * columns, 10 * scale * rows, n, 90, 90, 90)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:212] = b"MAP "
    header[212:216] = bytes([0x44, 0x44, 0, 0])
    path.write_bytes(bytes(header) + frames.tobytes())


def write_ser(path, data, scale=PIXEL):
    """Write a TIA series by its specification: header, offsets, one element per image."""
    frames = data[None] if data.ndim == 2 else data
    n, rows, columns = frames.shape
    codes = {"uint16": 2, "int16": 5, "int32": 6, "float32": 7}
    elements = []
    for frame in frames:
        head = b"".join(struct.pack("<ddi", 0.0, scale * 1e-9, 0) for _ in range(2))
        head += struct.pack("<hii", codes[str(data.dtype)], columns, rows)
        elements.append(head + frame.astype("<" + data.dtype.str[1:]).tobytes())
    dimension = struct.pack("<iddii", n, 0.0, 1.0, 0, 0) + struct.pack("<i", 0)
    start = 30 + len(dimension)
    body = start + 8 * n
    places, offset = [], body
    for element in elements:
        places.append(offset)
        offset += len(element)
    tags = [offset + 8 * i for i in range(n)]
    header = struct.pack("<HHHiiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, n, n, start, 1)
    path.write_bytes(
        header
        + dimension
        + struct.pack(f"<{n}i", *places)
        + struct.pack(f"<{n}i", *tags)
        + b"".join(elements)
        + struct.pack("<HHI", 0x4152, 0, 0) * n
    )


WRITERS = {
    "hspy": write_hspy,
    "zspy": write_zspy,
    "emd": write_emd,
    "ncem.emd": write_ncem_emd,
    "tif": write_imagej,
    "mrc": write_mrc,
    "ser": write_ser,
}


def imagej(path, data, unit="nm", step=0.012, **options):
    tifffile.imwrite(
        path, data, imagej=True, resolution=(1 / step, 1 / step), metadata={"unit": unit}, **options
    )


def header(shape, mode, order="<", *, step=0.12, grid=None, version=20140, limits=(0, 0, 0)):
    """Make an MRC header by its specification, as a byte array."""
    frames, rows, columns = shape
    head = bytearray(1024)
    grid = (columns, rows, frames) if grid is None else grid
    struct.pack_into(f"{order}4i", head, 0, columns, rows, frames, mode)
    struct.pack_into(f"{order}3i", head, 28, *grid)
    struct.pack_into(f"{order}6f", head, 40, *(n * step for n in grid), 90, 90, 90)
    struct.pack_into(f"{order}3i", head, 64, 1, 2, 3)
    struct.pack_into(f"{order}3f", head, 76, *limits)
    struct.pack_into(f"{order}i", head, 108, version)
    head[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    return head


def velox(path, image, *, edx=False, frames=1, compound=False):
    """Write a file as Velox does: an image of HAADF, a map of X-rays and a stream of them."""
    described = {
        "Core": {"MetadataDefinitionVersion": "7.9"},
        "Instrument": {"InstrumentModel": "X"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}},
        "Optics": {"AccelerationVoltage": "200000"},
        "Stage": {"AlphaTilt": "0", "BetaTilt": "0", "Position": {"x": "0", "y": "0", "z": "0"}},
        "Scan": {"FrameTime": "1", "DwellTime": "1e-6"},
        "Detectors": {
            "Detector-0": {"DetectorName": "HAADF", "DetectorType": "ScanningDetector"},
            "Detector-1": {"DetectorName": "SuperXG11", "DetectorType": "AnalyticalDetector"},
        },
        "CustomProperties": {},
    }
    result = {
        "PixelSize": {"width": "1.2e-11", "height": "1.2e-11"},
        "Offset": {"x": "0", "y": "0"},
        "PixelUnitX": "m",
        "PixelUnitY": "m",
    }

    def block(binary):
        text = json.dumps(described | {"BinaryResult": result | binary}).encode()
        return np.frombuffer(text.ljust(20000, b"\0"), np.uint8)[:, None]

    text = h5py.special_dtype(vlen=bytes)

    def say(group, name, content):
        group.create_dataset(name, data=np.array([json.dumps(content).encode()], text), dtype=text)

    with h5py.File(path, "w") as file:
        say(file, "Version", {"format": "Velox", "version": "10"})
        haadf = file.create_group("Data/Image/1")
        stack = np.stack([image] * frames, -1)
        if compound:
            pair = np.dtype([("realFloatHalfEven", "<f4"), ("imagFloatHalfEven", "<f4")])
            fft = file.create_group("Data/Image/0")
            fft["Data"] = np.zeros((50, 33, 1), pair)
            fft["Metadata"] = block({"PixelUnitX": "1/m", "PixelUnitY": "1/m"})
        haadf["Data"] = stack
        haadf["Metadata"] = block({"Detector": "HAADF", "DetectorIndex": "0"})
        if edx:
            carbon = file.create_group("Data/Image/2")
            carbon["Data"] = image.astype(np.float32)[..., None]
            carbon["Metadata"] = block({"Detector": "SuperXG1"})
            file.create_group("Data/SpectrumImage/3")
            stream = file.create_group("Data/SpectrumStream/4")
            stream["Data"] = np.full((100, 1), 65535, np.uint16)
            say(
                stream,
                "AcquisitionSettings",
                {"bincount": "4096", "RasterScanDefinition": {"Width": "64", "Height": "48"}},
            )


def write_axes(path, data, axes, signal_type=""):
    """Write with HyperSpy's names; axes as (name, unit, scale, navigate)."""
    from rsciio.hspy import file_writer

    described = [
        {
            "name": name,
            "units": unit,
            "scale": scale,
            "offset": 0.0,
            "size": size,
            "navigate": navigate,
            "index_in_array": index,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for index, ((name, unit, scale, navigate), size) in enumerate(
            zip(axes, data.shape, strict=True)
        )
    ]
    file_writer(
        str(path),
        {
            "data": data,
            "axes": described,
            "metadata": {"General": {"title": "t"}, "Signal": {"signal_type": signal_type}},
            "original_metadata": {},
            "attributes": {"_lazy": False},
            "learning_results": {},
            "models": {},
            "package_info": {"package": "x", "package_version": ""},
            "tmp_parameters": {},
        },
        show_progressbar=False,
    )


Y, X = ("y", "nm", 0.012, False), ("x", "nm", 0.012, False)
KY, KX = ("ky", "1/nm", 0.1, False), ("kx", "1/nm", 0.1, False)
PLAIN = ("", None, 1.0, False)


def write_image_ser(path, data, step):
    """Write one TIA image by its specification."""
    rows, columns = data.shape
    element = b"".join(struct.pack("<ddi", 0.0, step, 0) for _ in range(2))
    element += struct.pack("<hii", 7, columns, rows) + data.astype("<f4").tobytes()
    dimension = struct.pack("<iddii", 1, 0.0, 1.0, 0, 0) + struct.pack("<i", 0)
    start = 30 + len(dimension)
    head = struct.pack("<HHHiiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, start, 1)
    places = struct.pack("<ii", start + 8, start + 8 + len(element))
    path.write_bytes(head + dimension + places + element + struct.pack("<HHI", 0x4152, 0, 0))


class DigitalMicrograph:
    """Writes DM3 or DM4 as Gatan's programs do: a tree of tags, the first image a thumbnail.

    Tags of a group are named or not; numbers are in the byte order of the file, all that
    describes them is big-endian.
    """

    TYPES = MappingProxyType(
        {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "b1": 8, "i1": 9, "u1": 10, "i8": 11}
    )
    CODES = MappingProxyType(
        {"i2": 1, "f4": 2, "c8": 3, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12}
    )

    def __init__(self, version, order="<"):
        self.version, self.order = version, order
        self.count = ">q" if version == 4 else ">i"

    def numbers(self, *values):
        """Lengths, counts and types: 32 bits in DM3, 64 in DM4."""
        return b"".join(struct.pack(self.count, value) for value in values)

    def value(self, value):
        """What follows the name of a tag that is no group: its type, and itself."""
        if isinstance(value, str):  # an array of UTF-16
            value = np.frombuffer(value.encode("utf-16-le"), "<u2")
        array = np.asarray(value)
        if array.dtype.kind == "c":
            parts = "f4" if array.dtype.itemsize == 8 else "f8"
            info = (20, 15, 0, 2, 0, self.TYPES[parts], 0, self.TYPES[parts], array.size)
        elif array.ndim:
            info = (20, self.TYPES[array.dtype.str[1:]], array.size)
        else:
            info = (self.TYPES[array.dtype.str[1:]],)
        stored = array.astype(self.order + array.dtype.str[1:]).tobytes()
        return b"%%%%" + self.numbers(len(info), *info) + stored

    def tag(self, name, value):
        """One tag, with all that it holds."""
        group = isinstance(value, dict | list)
        body = self.group(value) if group else self.value(value)
        size = struct.pack(">q", len(body)) if self.version == 4 else b""
        return struct.pack(">BH", 20 if group else 21, len(name)) + name.encode() + size + body

    def group(self, entries):
        """Tags of a group: a dictionary of named ones, or a list."""
        pairs = entries.items() if isinstance(entries, dict) else (("", one) for one in entries)
        tags = [self.tag(name, value) for name, value in pairs]
        return struct.pack(">BB", 1, 0) + self.numbers(len(tags)) + b"".join(tags)

    def image(self, data, calibrations, name="image", **more):
        """Tags of one image; calibrations as (scale, unit) of each axis, columns first."""
        code = more.pop("code", None) or self.CODES[data.dtype.str[1:]]
        dimensions = [
            {"Origin": np.float32(0), "Scale": np.float32(scale), "Units": unit}
            for scale, unit in calibrations
        ]
        brightness = {"Origin": np.float32(0), "Scale": np.float32(1), "Units": ""}
        shape = more.pop("shape", data.shape)
        image = {
            "Calibrations": {"Brightness": brightness, "Dimension": dimensions},
            "Data": data.ravel(),
            "DataType": np.uint32(code),
            "Dimensions": [np.uint32(n) for n in reversed(shape)],
            "PixelDepth": np.uint32(data.dtype.itemsize),
        }
        return {"ImageData": image, "ImageTags": more.pop("tags", {}), "Name": name, **more}

    def file(self, images):
        """The whole file; the first of the images is the thumbnail."""
        root = {"ImageList": list(images), "Thumbnails": [{"ImageIndex": np.uint32(0)}]}
        tags = self.group(root)
        little = struct.pack(">i", self.order == "<")
        end = bytes(8)
        return struct.pack(">i", self.version) + self.numbers(len(tags)) + little + tags + end


def write_dm(path, data, *, version=None, order="<", scale=PIXEL, units="nm", **more):
    """Write an image or a stack as DM3 or DM4 (by the ending, unless told), with a thumbnail."""
    file = DigitalMicrograph(version or int(path.suffix[-1]), order)
    picture = np.zeros((12, 16, 4), np.uint8)
    small = file.image(
        picture.view("<i4")[..., 0], [(1.0, "")] * 2, "", code=23, shape=picture.shape[:2]
    )
    calibrations = [(scale, units)] * 2 + [(1.0, "s")] * (data.ndim - 2)
    path.write_bytes(file.file([small, file.image(data, calibrations, **more)]))


def write_delmic(path, data):
    """Write one acquisition as Delmic's Odemis does: an image of axes C, T, Z, Y, X in metres."""
    with h5py.File(path, "w") as file:
        group = file.create_group("Acquisition0")
        group["SVIData/Company"], group["SVIData/WriterVersion"] = "Delmic", "3"
        images = group.create_group("ImageData")
        images["Image"] = data[None, None, None]
        for number, name in enumerate("CTZYX"):
            images["Image"].dims[number].label = name
            if name != "C":
                images[f"{name}Offset"] = 0.0
            if name in "ZYX":
                images[f"DimensionScale{name}"] = 1e-9 * PIXEL
                images[f"DimensionScale{name}"].make_scale(name)
                images["Image"].dims[number].attach_scale(images[f"DimensionScale{name}"])
        about = group.create_group("PhysicalData")
        about["Title"] = "Secondary electrons survey"
        for name in ("AccelerationVoltage", "IntegrationTime", "Magnification", "EmissionCurrent"):
            about[name] = [1.0]
        about["ChannelDescription"] = [b"Secondary electrons survey"]
        for name in about:
            about[name].attrs["State"] = np.array([114], np.int32)


def write_nexus(path, data, units="nm", scale=PIXEL):
    """Write NeXus with the axes of its image."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        group = entry.create_group("scan")
        group.attrs.update(NX_class="NXdata", signal="data", axes=["y", "x"])
        group["data"] = data
        for name, size in zip("yx", data.shape, strict=True):
            group[name] = scale * np.arange(size)
            group[name].attrs["units"] = units


EMI = """JK<ObjectInfo><ExperimentalDescription><Root><Data><Label>Mode</Label><Value>{}</Value>
<Unit></Unit></Data></Root></ExperimentalDescription><AcquireInfo>{}</AcquireInfo></ObjectInfo>"""
"""Description of TIA, of a mode, with what was acquired."""
