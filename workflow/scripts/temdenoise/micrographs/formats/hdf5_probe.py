"""Read all of an HDF5 file; run as a program of its own, since damaged files may never end.

The library HDF5 loops in some damaged files, or ends the process, and nothing in the process
can stop it.
"""

import sys
from contextlib import suppress
from typing import Any

LARGEST = 2**27
"""Maximum size of the values of one data set that are read [bytes]."""

MEMORY = 2**31
"""Maximum address space of the program [bytes]."""


def probe(path: str) -> None:
    """Read every attribute of a file, and the values that are few enough."""
    import h5py

    def look(_: str, value: Any) -> None:
        for name in value.attrs:
            # what cannot be read, the reader will say if it matters
            with suppress(Exception):
                value.attrs[name]
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
    # what the library says itself is not for the user
    sys.tracebacklimit = 0
    probe(sys.argv[1])
