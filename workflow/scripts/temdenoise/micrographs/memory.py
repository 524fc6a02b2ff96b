"""Refuse an image that does not fit into memory before it takes the machine down."""

import os
from pathlib import Path

from temdenoise.errors import DataError

BYTES_PER_PIXEL = 40
"""Estimated need while one frame is worked on: ten 32-bit copies of it."""


def available() -> float:
    """Memory that can be had without swapping [bytes]; infinite if the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def require(rows: int, columns: int) -> None:
    """Raise if a frame of that size cannot be worked on.

    Raises
    ------
    DataError
        With what is needed, what there is, and what helps.
    """
    needed, free = BYTES_PER_PIXEL * rows * columns, available()
    if needed > free:
        raise DataError(
            f"an image of {rows} x {columns} pixels needs {needed / 2**30:.1f} GB of memory, "
            f"{free / 2**30:.1f} GB are free: cut it into parts, or bin it"
        )
