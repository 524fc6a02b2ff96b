"""Mutated and truncated files of every format.

Every file has its own seed, so that any one can be made again (`mutated`).
"""

import random
import struct
import zipfile
import zlib

import h5py
import numpy as np
import tifffile
from made_up_files import (
    EMI,
    PLAIN,
    X,
    Y,
    velox,
    write_axes,
    write_delmic,
    write_dm,
    write_emd,
    write_hspy,
    write_imagej,
    write_mrc,
    write_ncem_emd,
    write_nexus,
    write_ser,
    write_zspy,
)
from PIL import Image

SAMPLING = 0.137  # Å


def lattice(frames=None):
    """Counts of a lattice: 48 x 64 pixels, or a stack of them."""
    rows, columns = SAMPLING * np.mgrid[:48, :64]
    angles = np.radians([0, 60, 120])
    waves = sum(np.cos(2.6 * (np.cos(a) * columns + np.sin(a) * rows)) for a in angles)
    shape = (48, 64) if frames is None else (frames, 48, 64)
    return np.random.default_rng(7).poisson(900 + 80 * np.broadcast_to(waves, shape)).astype("u2")


def _tiff(path, **options):
    tifffile.imwrite(path, lattice(), **({"photometric": "minisblack"} | options))


def _ome(path):
    said = {
        f"PhysicalSize{axis}{end}": v for axis in "XY" for end, v in (("", 0.137), ("Unit", "Å"))
    }
    tifffile.imwrite(path, lattice(2), ome=True, metadata={"axes": "TYX", **said})


def _other_hdf5(path, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("run/image", data=lattice(), **options)
        file["run/dose"] = 3.0


def _series(path):
    write_ser(path, lattice(2).astype("u2"))


def _emi(path):
    _series(path.with_name(f"{path.stem}_1.ser"))
    path.write_text(EMI.format("TEM uP SA Zoom Image", ""))


def _zarr(path, version):
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    group.create_array("0", data=lattice())
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "yx"]
    scale = [{"type": "scale", "scale": [SAMPLING, SAMPLING]}]
    images = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group.attrs["multiscales"] = images


def _zspy(path):
    """By its own writer where it can be read, else as much as is looked at before."""
    import zarr

    if zarr.__version__.startswith("2."):
        write_zspy(path, lattice(2))
        return
    group = zarr.open_group(str(path), mode="w", zarr_format=2, attributes=HYPERSPY)
    group.create_group("Experiments")


HYPERSPY = {"file_format": "ZSpy", "package": "hyperspy"}

SEEDS = {
    "tif": {
        "imagej.tif": lambda path: write_imagej(path, lattice(2), units="angstrom", scale=SAMPLING),
        "plain.tif": _tiff,
        "zlib.tif": lambda path: _tiff(path, compression="zlib"),
        "lzw.tif": lambda path: _tiff(path, compression="lzw", predictor=True, rowsperstrip=9),
        "tiles.btf": lambda path: _tiff(path, tile=(16, 32), bigtiff=True, compression="zstd"),
        "jpeg2000.tif": lambda path: _tiff(path, compression="jpeg2000"),
        "planes.tif": lambda path: tifffile.imwrite(
            path, lattice(3), photometric="rgb", planarconfig="separate"
        ),
        "order.tif": lambda path: _tiff(path, byteorder=">"),
        "a.ome.tif": _ome,
    },
    "velox": {
        "velox.emd": lambda path: velox(path, lattice(), edx=True, frames=2),
        "fft.emd": lambda path: velox(path, lattice(), compound=True),
    },
    "hspy": {
        "a.hspy": lambda path: write_axes(path, lattice(2), (PLAIN, Y, X)),
        "b.hspy": lambda path: write_hspy(path, lattice()),
    },
    "emd": {
        "ncem.emd": lambda path: write_ncem_emd(path, lattice()),
        "a.emd": lambda path: write_emd(path, lattice(2)),
    },
    "nexus": {"a.nxs": lambda path: write_nexus(path, lattice())},
    "delmic": {"delmic.h5": lambda path: write_delmic(path, lattice())},
    "hdf5": {
        "a.h5": _other_hdf5,
        "chunks.h5": lambda path: _other_hdf5(path, chunks=(16, 16), compression="gzip"),
    },
    "png": {"a.png": lambda path: Image.fromarray(lattice()).save(path)},
    "jpg": {
        "a.jpg": lambda path: Image.fromarray((lattice() // 8).astype("u1")).save(path),
        "progressive.jpg": lambda path: Image.fromarray((lattice() // 8).astype("u1")).save(
            path, progressive=True
        ),
    },
    "npy": {"a.npy": lambda path: np.save(path, lattice())},
    "npz": {
        "a.npz": lambda path: np.savez(path, data=lattice(), dose=3.0),
        "packed.npz": lambda path: np.savez_compressed(path, data=lattice(2)),
    },
    "dm": {
        "a.dm3": lambda path: write_dm(path, lattice()),
        "a.dm4": lambda path: write_dm(path, lattice(2)),
        "order.dm3": lambda path: write_dm(path, lattice(), order=">"),
    },
    "ser": {"a_1.ser": _series},
    "emi": {"a.emi": _emi},
    "mrc": {
        "a.mrc": lambda path: write_mrc(path, lattice(2), scale=SAMPLING / 10),
        "b.mrc": lambda path: write_mrc(path, lattice().astype("f4"), scale=SAMPLING / 10),
    },
    "zspy": {"a.zspy": _zspy},
    "zarr": {
        "two.zarr": lambda path: _zarr(path, 2),
        "three.zarr": lambda path: _zarr(path, 3),
    },
}
"""Writers of sound files, by the names of formats; each with its ending."""


def changed(content, chance):
    """Cut a file off, or put extreme bytes into it, most of them near its start."""
    if not content:
        return content
    if chance.random() < 0.2:
        return content[: chance.randrange(1, len(content) + 1)]
    new = bytearray(content)
    reach = min(len(new), chance.choice([64, 256, 1024, 4096, len(new)]))
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at, length = chance.randrange(reach), chance.choice([1, 1, 2, 4, 8])
        if chance.random() < 0.1:  # what describes an archive or a series may be at its end
            at = len(new) - 1 - at
        value = chance.choice([0xFF, 0x00, 0x7F, 0x80, 0x01, chance.randrange(256)])
        new[at : at + length] = bytes([value]) * len(new[at : at + length])
    return bytes(new)


def _sealed_png(content):
    """Give every chunk its checksum, so that what the chunks say is read."""
    parts, at = [content[:8]], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        body = content[at + 4 : at + 8 + length]
        parts.append(content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts)


def _array_within(path, chance):
    """Change an array of an archive, and not the archive around it."""
    with zipfile.ZipFile(path) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(list(arrays))
    arrays[name] = changed(arrays[name], chance)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)


def mutated(form, number, folder):
    """Make one mutated file of a format in an empty folder; returns its path."""
    names = list(SEEDS[form])
    name = names[number % len(names)]
    path, chance = folder / name, random.Random(f"{form} {number}")
    SEEDS[form][name](path)
    if form == "npz" and chance.random() < 0.5:
        _array_within(path, chance)
        return path
    if path.is_file():
        beside = [other for other in folder.iterdir() if other != path]
        target = chance.choice([path, path, *beside])
    else:
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        described = [file for file in inside if "z" in file.name]
        target = chance.choice([*inside, *described])
        if chance.random() < 0.1:
            target.unlink()
            return path
    content = changed(target.read_bytes(), chance)
    target.write_bytes(_sealed_png(content) if form == "png" and number % 2 else content)
    return path
