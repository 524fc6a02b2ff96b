"""Read all of a store of Zarr; run as a program of its own, since damaged chunks may end it.

The decoder of Blosc trusts what a chunk says of itself.
"""

import sys
from contextlib import suppress
from typing import Any

LARGEST = 2**27
"""Maximum size of the values of one array that are read [bytes]."""

MEMORY = 2**32
"""Maximum address space of the program [bytes]; its threads take more than they fill."""


def probe(path: str) -> None:
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


if __name__ == "__main__":
    with suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
    sys.tracebacklimit = 0
    probe(sys.argv[1])
