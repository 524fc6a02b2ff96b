"""What every script of the workflow does around its one function call."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def job(snakemake) -> Iterator[Callable[[str], None]]:
    """Send a script's output to its log and keep one line for whoever watches.

    Both Python's output and that of compiled libraries goes to ``log[0]``. The
    yielded function writes one plain line to the terminal (and to the log); its
    attribute ``terminal`` is the terminal itself if a person may be watching one.
    An error ends the script with its message on the terminal and its traceback
    in the log.

    Parameters
    ----------
    snakemake
        The object Snakemake gives to a script.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    watcher = os.fdopen(os.dup(2), "w", encoding="utf-8")
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    name = ":".join([snakemake.rule, *snakemake.wildcards])
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"{name}: {line}", flush=True)  # noqa: T201
        print(f"[{name}] {line}", file=watcher, flush=True)

    say.terminal = watcher if watcher.isatty() else None
    try:
        yield say
    except BaseException as error:
        traceback.print_exc()
        say(f"failed: {type(error).__name__}: {error} (log: {log})")
        sys.exit(1)
    print(f"finished in {time.perf_counter() - start:.1f} s")  # noqa: T201
