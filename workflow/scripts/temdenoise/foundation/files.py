"""Files that appear whole or not at all: JSON and tidy CSV; archives that are whole.

A file is written under a temporary name that contains the process id, and
renamed when complete. Needs the standard library only.
"""

import csv
import glob
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block succeeds.

    Leftovers of killed processes beside it are removed.

    Parameters
    ----------
    path
        The file to write; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix, suffix = f".{path.name}.", f".part{path.suffix}"
    for stale in path.parent.glob(f"{glob.escape(prefix)}*{glob.escape(suffix)}"):
        pid = stale.name[len(prefix) : -len(suffix)]
        if pid.isdigit() and not _alive(int(pid)):
            stale.unlink(missing_ok=True)
    temporary = path.parent / f"{prefix}{os.getpid()}{suffix}"
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON that a person can read; NaN is refused."""
    text = json.dumps(content, indent=1, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError
        If the file is not valid JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: not valid JSON ({error}); delete it and run the workflow again"
        ) from error


def write_table(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Sequence[str] | None = None,
) -> None:
    """Write rows with equal keys as CSV; floats to 7 significant digits.

    Parameters
    ----------
    path
        Where to.
    rows
        At least one, unless `columns` names the keys.
    columns
        Keys in order; None: those of the first row.
    """
    columns = list(rows[0]) if columns is None else list(columns)
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.7g}" if isinstance(v, float) else v for k, v in row.items()})


def columns_of(path: str | os.PathLike[str]) -> list[str]:
    """Read the names of a CSV's columns, also of one without rows."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def read_table(path: str | os.PathLike[str], *, delimiter: str = ",") -> list[dict[str, Any]]:
    """Read a CSV (or a table with another delimiter); cells that look like numbers become numbers.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "table.csv"
    >>> write_table(path, [{"method": "raw", "c_noise": 0.05, "n_images": 4}])
    >>> read_table(path)
    [{'method': 'raw', 'c_noise': 0.05, 'n_images': 4}]
    """

    def parse(cell: str) -> Any:
        for kind in (int, float):
            try:
                return kind(cell)
            except ValueError:
                continue
        return cell

    with Path(path).open(newline="", encoding="utf-8") as file:
        return [
            {k: parse(v) for k, v in row.items()}
            for row in csv.DictReader(file, delimiter=delimiter)
        ]


def read_benchmarks(folder: str | os.PathLike[str]) -> dict[str, list[dict[str, Any]]]:
    """Read all that Snakemake measured, by rule.

    Parameters
    ----------
    folder
        Holds ``{rule}.tsv`` and ``{rule}/.../*.tsv``; a folder that does not exist
        holds nothing.

    Returns
    -------
    dict
        Rows of all files of each rule: ``s``, ``max_rss``, ``cpu_time`` and others.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(Path(folder).rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        found.setdefault(rule, []).extend(read_table(path, delimiter="\t"))
    return found


def intact_archive(path: str | os.PathLike[str]) -> bool:
    """Tell whether a zip archive, which is what PyTorch writes, fits its own checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError):
        return False
