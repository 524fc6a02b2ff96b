"""Refuse an image that does not fit into memory before it takes the machine down."""

import math
import os
from pathlib import Path

from temdenoise.foundation.errors import DataError

BYTES_PER_PIXEL = 40
"""Estimated need while one frame is worked on: ten 32-bit copies of it."""

HELD_PER_PIXEL = 12
"""Need of every frame of a stack whose results are held: three 32-bit images."""

PROGRAM_SPACE = 1.7 * 2**30
"""Estimated address space of the program itself [bytes]: more than it fills, by its libraries."""


def available() -> float:
    """Memory that can be had without swapping [bytes]; infinite if the system does not say.

    The least of what the machine has free, and of what the limits of a scheduler or container
    (control groups) leave to this process.
    """
    return min(_of_machine(), _of_control_group())


def _of_machine() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _of_control_group(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Tell what a container's or a job's control group leaves; infinite without a limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    left = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage, cache = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit = root / "memory", "memory.limit_in_bytes"
            usage, cache = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        own = base / path.lstrip("/")
        # limits of the groups above hold as well; a container sees its own as the root
        for folder in {own, *(parent for parent in own.parents if parent.is_relative_to(base))}:
            try:
                most = float((folder / limit).read_text())
                used = float((folder / usage).read_text())
            except (OSError, ValueError):  # no such group, or "max"
                continue
            left = min(left, most - used + _counted(folder / "memory.stat", cache))
    return max(left, 0.0)


def _counted(path: Path, name: str) -> float:
    """One number of a control group's statistics: what is cached can be given back."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return float(value)
    except (OSError, ValueError):
        pass
    return 0.0


def address_space() -> float:
    """Limit of the address space of this process (``ulimit -v``) [bytes]; infinite if none."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return math.inf
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if most == resource.RLIM_INFINITY else float(most)


def require_bytes(needed: float, what: str) -> None:
    """Raise if so many bytes cannot be had.

    Parameters
    ----------
    needed
        To be held at once [bytes].
    what
        What needs them.

    Raises
    ------
    DataError
        With what is needed, what there is, and what helps.
    """
    free = min(available(), address_space())
    if needed > free:
        raise DataError(
            f"{what} needs {needed / 2**30:.1f} GB of memory, {free / 2**30:.1f} GB are free: "
            "save its images as a file that is read one by one (.npy, .mrc, uncompressed TIFF)"
        )


def require(rows: int, columns: int, *, frames: int = 1) -> None:
    """Raise if an image or a stack of that size cannot be worked on.

    Parameters
    ----------
    rows, columns
        Size of a frame [pixels].
    frames
        Number of frames.

    Raises
    ------
    DataError
        With what is needed, what there is, and what helps.
    """
    pixels = rows * columns
    needed, free = BYTES_PER_PIXEL * pixels, available()
    what, helps = f"an image of {rows} x {columns} pixels", "cut it into parts, or bin it"
    space = address_space()
    left = min(free, space - PROGRAM_SPACE)
    if needed <= left and frames > 1:
        fitting = 1 + int((left - needed) / (HELD_PER_PIXEL * pixels or 1))
        needed += HELD_PER_PIXEL * pixels * (frames - 1)
        what = f"a stack of {frames} frames of {rows} x {columns} pixels"
        helps = f"split it into stacks of at most {fitting} frames, or bin it"
    if needed > free:
        raise DataError(
            f"{what} needs {needed / 2**30:.1f} GB of memory, {free / 2**30:.1f} GB are free: "
            f"{helps}"
        )
    if needed > left:
        raise DataError(
            f"{what} needs {(needed + PROGRAM_SPACE) / 2**30:.1f} GB of memory, and this process "
            f"is limited to {space / 2**30:.1f} GB (ulimit -v): {helps}, or raise the limit"
        )
