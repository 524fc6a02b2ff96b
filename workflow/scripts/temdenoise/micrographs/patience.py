"""An end to computations that a damaged file would prolong for ever."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfPatienceError(BaseException):
    """The time is over; no reader that catches every exception may catch this one."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """End the block when it has computed for so long; waiting for a disk does not count.

    Without effect outside of the main thread, and where the system knows no such timer.

    Parameters
    ----------
    seconds
        Time of the processor [s].

    Raises
    ------
    OutOfPatienceError
        If the time is over.
    """
    timer = getattr(signal, "ITIMER_PROF", None)
    if timer is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_: int, __: FrameType | None) -> None:
        raise OutOfPatienceError

    before = signal.signal(signal.SIGPROF, end)
    # again and again, should the first find a place where nothing can be raised
    signal.setitimer(timer, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(signal.SIGPROF, before)
