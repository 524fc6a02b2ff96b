"""Seals: what each file held when its job was done, so that damage is noticed.

Snakemake looks at the times of files, not into them: a byte that flipped on a
disk, or a copy that was cut short, would go into every later result. Each job
leaves a seal beside each of its outputs (``maps/a.tif``: ``maps/.a.tif.seal``)
and compares its inputs with theirs. Needs the standard library only.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_json, write_json


def digest(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a file of any size."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal_of(path: str | os.PathLike[str]) -> Path:
    """Name the seal of a file."""
    path = Path(path)
    return path.with_name(f".{path.name}.seal")


def seal(path: str | os.PathLike[str], about: Mapping[str, Any]) -> None:
    """Note what a file holds now.

    Parameters
    ----------
    path
        The file.
    about
        Where it comes from; plain values.
    """
    write_json(seal_of(path), {"sha256": digest(path), **about})


def unseal(path: str | os.PathLike[str]) -> None:
    """Forget what a file held, before it is made anew."""
    seal_of(path).unlink(missing_ok=True)


def read_seal(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the seal of a file; of one without a seal, its digest alone.

    Raises
    ------
    DataError
        If the seal is not readable.
    """
    found = seal_of(path)
    return read_json(found) if found.exists() else {"sha256": digest(path)}


def check(path: str | os.PathLike[str]) -> None:
    """Refuse a file that is not what its job wrote; one without a seal passes.

    Raises
    ------
    DataError
        If it has changed since it was sealed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_text("whole")
    >>> seal(path, {"rule": "copy"})
    >>> check(path)
    >>> _ = path.write_text("whale")
    >>> check(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    temdenoise.foundation.errors.DataError: ...a.txt: not what its job wrote (SHA-256 ...
    """
    if not seal_of(path).exists():
        return
    expected, found = read_seal(path)["sha256"], digest(path)
    if found != expected:
        raise DataError(
            f"{path}: not what its job wrote (SHA-256 {found[:12]}, expected {expected[:12]}): "
            "damaged, or edited since; delete it and run the workflow again, which makes it and "
            f"what follows from it anew (to keep an edit, delete {seal_of(path)} instead)"
        )
