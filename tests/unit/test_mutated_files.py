"""Mutated and truncated files: read or refused, never a traceback, soon, and within memory.

TEMDENOISE_FUZZ is the number of files of each format; those of HDF5 take longest.
"""

import os
import random
import resource
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_up_files import (
    WRITERS,
    X,
    Y,
    velox,
    write_axes,
    write_imagej,
    write_mrc,
    write_ncem_emd,
    write_ser,
)
from PIL import Image
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.readers import read
from temdenoise.micrographs.signals import signals

NUMBER = int(os.environ.get("TEMDENOISE_FUZZ", "8"))
LONGEST = 10  # s
MOST = 2 * 2**30  # bytes, besides what the tests take

# what a reader leaves open when it fails is closed when it is collected
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def write_ome(path, data):
    said = {f"PhysicalSize{axis}": 1.2e-5 for axis in "XY"}
    tifffile.imwrite(path, data, ome=True, metadata={"axes": "TYX", **said})


WRITERS_OF_SEEDS = {
    "a.tif": write_imagej,
    "packed.tif": lambda path, data: tifffile.imwrite(
        path, data, compression="zlib", photometric="minisblack"
    ),
    "a.ome.tif": write_ome,
    "a.mrc": write_mrc,
    "a.ser": lambda path, data: write_ser(path, data.astype(np.int32)),
    "velox.emd": lambda path, data: velox(path, data[0], edx=True, frames=2),
    "ncem.emd": write_ncem_emd,
    "a.emd": WRITERS["emd"],
    "a.hspy": lambda path, data: write_axes(path, data, (("t", "s", 1.0, True), Y, X)),
    "a.npy": np.save,
    "a.npz": lambda path, data: np.savez(path, data=data),
    "a.png": lambda path, data: Image.fromarray(data[0]).save(path),
    "a.jpg": lambda path, data: Image.fromarray((data[0] % 256).astype(np.uint8)).save(path),
}


def mutated(content, chance):
    """Cut a file off, or put extreme bytes into it, most of them near its start."""
    if chance.random() < 0.2:
        return content[: chance.randrange(1, len(content))]
    changed = bytearray(content)
    reach = min(len(changed), chance.choice([64, 256, 1024, 4096, len(changed)]))
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at, length = chance.randrange(reach), chance.choice([1, 1, 2, 4, 8])
        value = chance.choice([0xFF, 0x00, 0x7F, 0x80, chance.randrange(256)])
        changed[at : at + length] = bytes([value]) * len(changed[at : at + length])
    return bytes(changed)


@contextmanager
def limited_memory():
    """Limit the address space of this process to what it has, and `MOST` besides."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted by /proc")
@pytest.mark.parametrize("name", WRITERS_OF_SEEDS)
def test_mutated_files_are_read_or_refused(name, rng, tmp_path):
    frames = rng.poisson(900, (3, 48, 64)).astype(np.uint16)
    seed, path = tmp_path / name, tmp_path / f"mutated_{name}"
    WRITERS_OF_SEEDS[name](seed, frames)
    read(seed)
    content, chance = seed.read_bytes(), random.Random(name)
    for _ in range(NUMBER):
        path.write_bytes(mutated(content, chance))
        start, refused = time.monotonic(), str(path)
        with limited_memory():
            try:
                for signal in signals(path):
                    signal.describe()
                for micrograph in read(path):
                    for frame in micrograph.frames:
                        np.asarray(frame).sum()
            except DataError as error:
                refused = str(error)
        assert refused.startswith(str(path))
        assert time.monotonic() - start < LONGEST
