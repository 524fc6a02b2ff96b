"""Mutated and truncated files of every format, sent through the command by worker processes.

A worker is a process of its own, since nothing else ends a library that loops: one that does
not answer in time is killed, and the file reported. Every file has its own seed, so that any
one can be made again (`mutated`).
"""

import contextlib
import io
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import shutil
import struct
import sys
import time
import traceback
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

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

LONGEST = 10  # s of the processors
GIVEN_UP = 15  # s of the processors, when a worker is killed
NO_ANSWER = 180  # s on the clock, however busy the machine is
MOST = 2 * 2**30  # bytes in memory, all of the process
CEILING = 8 * 2**30  # bytes of address space, lest a fault takes the machine down

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


@dataclass(frozen=True)
class Answer:
    """What became of a file: the format and number, the command, its exit code and faults."""

    form: str
    number: int
    command: str
    code: int
    faults: tuple[str, ...]
    said: str
    seconds: float = 0.0
    bytes: int = 0


def _used(pid):
    """Time of the processors that a process has used, with its children [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _processors():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _most_memory():
    """Largest size of this process in memory since `_forget_memory` [bytes]."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def _forget_memory():
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def half_written(folder):
    """What is wrong with the results in a folder: all of an image are there and whole, or none."""
    from temdenoise.micrographs.results import ENDINGS
    from temdenoise.micrographs.signals import signals

    names = {path.name for path in folder.iterdir()}
    endings = {key: end for key, end in ENDINGS.items() if key != "gaussian"}
    stems = {n.removesuffix(end) for end in endings.values() for n in names if n.endswith(end)}
    wrong = [
        f"{s}{end} is missing" for s in stems for end in endings.values() if s + end not in names
    ]
    own = tuple(f"{stem}_" for stem in stems)
    wrong += [f"{name} is left" for name in names if not name.startswith(own)]
    for name in names:
        try:
            if name.endswith(".tif"):
                tifffile.imread(folder / name)
            elif name.endswith(".json"):
                json.loads((folder / name).read_text())
            elif name.endswith(".html"):
                assert (folder / name).read_text().rstrip().endswith("</html>")
            elif name.endswith(".png"):
                Image.open(folder / name).load()
            else:
                signals(folder / name)
        except Exception as error:
            wrong.append(f"{name} is half written: {error!r}")
    return wrong


def _run(form, number, command, folder):
    from temdenoise import cli
    from temdenoise.foundation.errors import DataError

    shutil.rmtree(folder, ignore_errors=True)
    results = folder / "results"
    results.mkdir(parents=True)
    (folder / "in").mkdir()
    path = mutated(form, number, folder / "in")
    words = [command, str(path)]
    if command == "denoise":
        words += ["-o", str(results), "--device", "cpu", "--threads", "1", "--quiet"]
        # whatever the file still says, the network is reached
        words += ["--sampling", str(SAMPLING)] if number % 2 else []
    out, err = io.StringIO(), io.StringIO()
    faults, raised = [], []

    def say(text):
        raised.append(sys.exc_info()[1])
        err.write(f"{text}\n")

    cli._say = say
    _forget_memory()
    began = _processors()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(words)
        except BaseException:
            code = -1
            faults.append(traceback.format_exc())
    seconds, memory, said = _processors() - began, _most_memory(), err.getvalue()
    if code not in (0, 1):
        faults.append(f"exit code {code}")
    if "Traceback" in said:
        faults.append("a traceback was printed")
    # anything else is an accident whose text says nothing of the file
    wrong = [error for error in raised if not isinstance(error, DataError | OSError | None)]
    faults += ["".join(traceback.format_exception(error)) for error in wrong]
    if code and "error: " not in said:
        faults.append("no cause is said")
    if code and str(path) not in said:
        faults.append("the file is not named")
    if seconds > LONGEST:
        faults.append(f"{seconds:.1f} s")
    if memory > MOST:
        faults.append(f"{memory / 2**30:.1f} GB")
    left = half_written(results)
    return Answer(form, number, command, code, (*faults, *left), said[-500:], seconds, memory)


def work(pipe, folder):
    """Answer for one file after the other, until None comes."""
    # what a reader leaves open, and what the library HDF5 says, is not for the terminal
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, resource.getrlimit(resource.RLIMIT_AS)[1]))
    from temdenoise import cli  # noqa: F401

    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        pipe.send(_run(*task, Path(folder)))


class Workers:
    """Worker processes, each with a pipe and a folder of its own.

    Parameters
    ----------
    number
        How many.
    folder
        Of all their files.
    """

    def __init__(self, number, folder):
        self.context = multiprocessing.get_context("spawn")
        self.folder = folder
        self.idle = [self._start(n) for n in range(number)]

    def _again(self, worker):
        worker[1].kill()
        worker[1].join()
        return self._start(worker[0])

    def _start(self, number):
        mine, theirs = self.context.Pipe()
        folder = self.folder / f"worker {number}"
        process = self.context.Process(target=work, args=(theirs, str(folder)), daemon=True)
        process.start()
        theirs.close()
        # what is imported costs seconds that are no file's
        mine.recv()
        return number, process, mine

    def answers(self, tasks):
        """Yield the answer for each (format, number, command), in the order in which they come."""
        waiting, busy = list(reversed(tasks)), {}
        try:
            while waiting or busy:
                while waiting and self.idle:
                    worker, task = self.idle.pop(), waiting.pop()
                    worker[2].send(task)
                    busy[worker[2]] = (worker, task, time.monotonic(), _used(worker[1].pid))
                multiprocessing.connection.wait(list(busy), timeout=1)
                for pipe, (worker, task, began, used) in list(busy.items()):
                    if pipe.poll():
                        try:
                            answer = pipe.recv()
                        except EOFError:
                            answer = Answer(*task, -1, ("the process ended",), "")
                            worker = self._again(worker)
                    elif (
                        _used(worker[1].pid) - used > GIVEN_UP
                        or time.monotonic() - began > NO_ANSWER
                    ):
                        answer = Answer(*task, -1, ("it does not come to an end",), "")
                        worker = self._again(worker)
                    else:
                        continue
                    del busy[pipe]
                    self.idle.append(worker)
                    yield answer
        finally:
            for worker, *_ in busy.values():
                worker[1].kill()

    def close(self):
        """End them all."""
        for _, process, _ in self.idle:
            process.kill()
