"""Read all of an HDF5 file; run as a program of its own, since damaged files may never end.

The library HDF5 loops in some damaged files, or ends the process, and nothing in the process
can stop it.
"""

import sys
from contextlib import suppress
from typing import Any

LARGEST = 2**27
"""Maximum size of the values of one data set that are read [bytes]."""

DAMAGED = 70
"""Exit code if a file is damaged, in a way that the library does not notice."""

MEMORY = 2**31
"""Maximum address space of the program [bytes]."""


def probe(path: str) -> None:
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
        for dimension in value.dims if isinstance(value, h5py.Dataset) else ():
            with suppress(Exception):
                dimension.label, dict(dimension.items())
        if isinstance(value, h5py.Dataset) and value.chunks and len(value.chunks) != value.ndim:
            sys.exit(DAMAGED)  # the library would loop in it, or not
        if isinstance(value, h5py.Dataset) and value.size:
            with suppress(Exception):
                if value.size * value.dtype.itemsize <= LARGEST:
                    value[()]

    with h5py.File(path, "r") as file:
        look("/", file)
        file.visititems(look)


if __name__ == "__main__":
    with suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
    # what the library says itself is not for the user
    sys.tracebacklimit = 0
    probe(sys.argv[1])
