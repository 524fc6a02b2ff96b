"""Worker processes that send files through the command, and what is wrong with its answers.

A worker is a process of its own, since nothing else ends a library that loops: one that does
not answer in time is killed, and the file reported.
"""

import contextlib
import io
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import tifffile
from mutated_files import SAMPLING, mutated
from PIL import Image

LONGEST = 10  # s of the processors
GIVEN_UP = 15  # s of the processors, when a worker is killed
NO_ANSWER = 180  # s on the clock, however busy the machine is
MOST = 2 * 2**30  # bytes in memory, all of the process
CEILING = 8 * 2**30  # bytes of address space, lest a fault takes the machine down


@dataclass(frozen=True)
class Answer:
    """What became of a file: the format and number, the command, its exit code and faults."""

    form: str
    number: int
    command: str
    code: int
    faults: tuple[str, ...]
    said: str
    seconds: float = 0.0
    bytes: int = 0


def _used(pid):
    """Time of the processors that a process has used, with its children [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _processors():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _most_memory():
    """Largest size of this process in memory since `_forget_memory` [bytes]."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition("VmHWM:")[2].split()[0])


def _forget_memory():
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def half_written(folder):
    """What is wrong with the results in a folder: all of an image are there and whole, or none."""
    from temdenoise.micrographs.signals import signals

    names = {path.name for path in folder.iterdir()}
    # a summary, which is written last, names all files of its image
    named = set()
    for path in folder.glob("*_summary.json"):
        named |= set(json.loads(path.read_text())["files"].values())
    wrong = [f"{name} is missing" for name in named - names]
    wrong += [f"{name} is left" for name in names - named]
    for name in names:
        try:
            if name.endswith(".tif"):
                tifffile.imread(folder / name)
            elif name.endswith(".json"):
                json.loads((folder / name).read_text())
            elif name.endswith(".html"):
                assert (folder / name).read_text().rstrip().endswith("</html>")
            elif name.endswith(".png"):
                Image.open(folder / name).load()
            else:
                signals(folder / name)
        except Exception as error:
            wrong.append(f"{name} is half written: {error!r}")
    return wrong


def _run(form, number, command, folder):
    from temdenoise import cli
    from temdenoise.foundation.errors import DataError

    shutil.rmtree(folder, ignore_errors=True)
    results = folder / "results"
    results.mkdir(parents=True)
    (folder / "in").mkdir()
    path = mutated(form, number, folder / "in")
    words = [command, str(path)]
    if command == "denoise":
        words += ["-o", str(results), "--device", "cpu", "--threads", "1", "--quiet"]
        # whatever the file still says, the network is reached
        words += ["--sampling", str(SAMPLING)] if number % 2 else []
    out, err = io.StringIO(), io.StringIO()
    faults, raised = [], []

    def say(text):
        raised.append(sys.exc_info()[1])
        err.write(f"{text}\n")

    cli._say = say
    _forget_memory()
    began = _processors()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(words)
        except BaseException:
            code = -1
            faults.append(traceback.format_exc())
    seconds, memory, said = _processors() - began, _most_memory(), err.getvalue()
    if code not in (0, 1):
        faults.append(f"exit code {code}")
    if "Traceback" in said:
        faults.append("a traceback was printed")
    # anything else is an accident whose text says nothing of the file
    wrong = [error for error in raised if not isinstance(error, DataError | OSError | None)]
    faults += ["".join(traceback.format_exception(error)) for error in wrong]
    if code and "error: " not in said:
        faults.append("no cause is said")
    if code and str(path) not in said:
        faults.append("the file is not named")
    if seconds > LONGEST:
        faults.append(f"{seconds:.1f} s")
    if memory > MOST:
        faults.append(f"{memory / 2**30:.1f} GB")
    left = half_written(results)
    return Answer(form, number, command, code, (*faults, *left), said[-500:], seconds, memory)


def work(pipe, folder):
    """Answer for one file after the other, until None comes."""
    # what a reader leaves open, and what the library HDF5 says, is not for the terminal
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, resource.getrlimit(resource.RLIMIT_AS)[1]))
    from temdenoise import cli  # noqa: F401

    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        pipe.send(_run(*task, Path(folder)))


class Workers:
    """Worker processes, each with a pipe and a folder of its own.

    Parameters
    ----------
    number
        How many.
    folder
        Of all their files.
    """

    def __init__(self, number, folder):
        self.context = multiprocessing.get_context("spawn")
        self.folder = folder
        self.idle = [self._start(n) for n in range(number)]

    def _again(self, worker):
        worker[1].kill()
        worker[1].join()
        return self._start(worker[0])

    def _start(self, number):
        mine, theirs = self.context.Pipe()
        folder = self.folder / f"worker {number}"
        process = self.context.Process(target=work, args=(theirs, str(folder)), daemon=True)
        process.start()
        theirs.close()
        # what is imported costs seconds that are no file's
        mine.recv()
        return number, process, mine

    def answers(self, tasks):
        """Yield the answer for each (format, number, command), in the order in which they come."""
        waiting, busy = list(reversed(tasks)), {}
        try:
            while waiting or busy:
                while waiting and self.idle:
                    worker, task = self.idle.pop(), waiting.pop()
                    worker[2].send(task)
                    busy[worker[2]] = (worker, task, time.monotonic(), _used(worker[1].pid))
                multiprocessing.connection.wait(list(busy), timeout=1)
                for pipe, (worker, task, began, used) in list(busy.items()):
                    if pipe.poll():
                        try:
                            answer = pipe.recv()
                        except EOFError:
                            answer = Answer(*task, -1, ("the process ended",), "")
                            worker = self._again(worker)
                    elif (
                        _used(worker[1].pid) - used > GIVEN_UP
                        or time.monotonic() - began > NO_ANSWER
                    ):
                        answer = Answer(*task, -1, ("it does not come to an end",), "")
                        worker = self._again(worker)
                    else:
                        continue
                    del busy[pipe]
                    self.idle.append(worker)
                    yield answer
        finally:
            for worker, *_ in busy.values():
                worker[1].kill()

    def close(self):
        """End them all."""
        for _, process, _ in self.idle:
            process.kill()
