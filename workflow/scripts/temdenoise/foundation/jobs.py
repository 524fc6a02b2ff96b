"""What every script of the workflow does around its one function call."""

import errno
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from temdenoise.foundation.provenance import environment
from temdenoise.foundation.seals import check, seal, unseal

REMEDIES = {
    errno.ENOSPC: "the disk is full; make room and run the workflow again",
    errno.EDQUOT: "the quota of the disk is used up; make room and run the workflow again",
    errno.EFBIG: "files may not get that large here; raise the limit (`ulimit -f`)",
    errno.EROFS: "the disk is read-only; choose another folder with --directory",
    errno.EACCES: "this user may not write there; choose another folder with --directory",
}
"""What to do about errors that come from the disk."""


class Say:
    """Writes one plain line to the terminal, and to the log.

    Attributes
    ----------
    terminal
        The terminal itself, if a person may be watching one; else None.
    """

    def __init__(self, name: str, watcher: TextIO):
        self.name, self.watcher = name, watcher
        self.terminal = watcher if watcher.isatty() else None

    def __call__(self, line: str) -> None:
        """Write a line."""
        print(f"[{self.name}] {line}", file=self.watcher, flush=True)
        with suppress(OSError):  # a full disk must not keep the line from the terminal
            print(f"{self.name}: {line}", flush=True)  # noqa: T201


@contextmanager
def job(snakemake: Any) -> Iterator[Say]:
    """Guard a script: inputs as their jobs wrote them, output in its log, outputs sealed.

    Both Python's output and that of compiled libraries goes to ``log[0]``. An error ends the
    script with its message on the terminal and its traceback in the log. Inputs that have changed
    since they were made are refused (`seals`).

    Parameters
    ----------
    snakemake
        The object Snakemake gives to a script.
    """
    log = Path(snakemake.log[0])
    name = ":".join([snakemake.rule, *snakemake.wildcards])
    sys.stdout.flush()
    sys.stderr.flush()
    watcher = os.fdopen(os.dup(2), "w", encoding="utf-8")
    start = time.perf_counter()
    say = Say(name, watcher)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
        for path in snakemake.output:
            unseal(path)
        for path in snakemake.input:
            check(path)
        yield say
        seconds = time.perf_counter() - start
        about = {"rule": snakemake.rule, "seconds": round(seconds, 1), **environment()}
        for path in snakemake.output:
            seal(path, about)
    except BaseException as error:
        with suppress(OSError):
            traceback.print_exc()
        remedy = REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
        say(
            f"failed: {type(error).__name__}: {error}{f'; {remedy}' if remedy else ''} (log: {log})"
        )
        sys.exit(1)
    print(f"finished in {seconds:.1f} s")  # noqa: T201
