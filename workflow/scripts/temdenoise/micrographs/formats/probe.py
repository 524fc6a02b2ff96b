"""Read all of a file; run as a program of its own: ``python -I probe.py LIBRARY FILE SECONDS``.

HDF5 loops in some damaged files, or ends the process; the decoder of Blosc, in Zarr,
trusts what a chunk says of itself. Nothing in the same process can stop them.
"""

import sys
from contextlib import suppress
from typing import Any

LARGEST = 2**27
"""Maximum size of the values of one array that are read [bytes]."""

DAMAGED = 70
"""Exit code if a file is damaged, in a way that the library does not notice."""

MEMORY = {"hdf5": 2**31, "zarr": 2**32}
"""Maximum address space of the program [bytes]; the threads of zarr take more than they fill."""


def probe_hdf5(path: str) -> None:
    """Read every attribute and scale of a file, and the values that are few enough."""
    import h5py

    def look(_: str, value: Any) -> None:
        # what cannot be read, the reader will say if it matters
        names: list[str] = []
        with suppress(Exception):
            names += value.attrs
        for name in names:
            with suppress(Exception):
                value.attrs[name]
        if not isinstance(value, h5py.Dataset):
            return
        for dimension in value.dims:
            with suppress(Exception):
                dimension.label, dict(dimension.items())
        if value.chunks and len(value.chunks) != value.ndim:
            sys.exit(DAMAGED)  # the library would loop in it, or not
        with suppress(Exception):
            if value.size and value.size * value.dtype.itemsize <= LARGEST:
                value[()]

    with h5py.File(path, "r") as file:
        look("/", file)
        file.visititems(look)


def probe_zarr(path: str) -> None:
    """Read the arrays of a store whose values are few enough."""
    import zarr

    def look(value: Any) -> None:
        with suppress(Exception):
            if hasattr(value, "dtype") and value.nbytes <= LARGEST:
                value[...]
        with suppress(Exception):
            for _, inner in (*value.arrays(), *value.groups()):
                look(inner)

    look(zarr.open(path, mode="r"))


PROBES = {"hdf5": probe_hdf5, "zarr": probe_zarr}
"""What reads a file, by the name of its library."""

if __name__ == "__main__":
    library, file_name, seconds = sys.argv[1:]
    with suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY[library],) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds),) * 2)
    # what the library says itself is not for the user
    sys.tracebacklimit = 0
    PROBES[library](file_name)
