"""What happens when the user interrupts the client of a run, or somebody cancels the run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from swath.errors import InterruptedRunError


def stopped() -> InterruptedRunError:
    """Return the error that tells that the run was stopped."""
    return InterruptedRunError(
        "the run was interrupted; what was finished stays finished.",
        mend="Run again to go on.",
    )


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` when the user interrupts what happens inside, and raise `InterruptedRunError`."""
    try:
        yield
    except KeyboardInterrupt:
        with _deaf():  # a second Ctrl-C must not stop the stopping
            stop()
        raise stopped() from None


@contextmanager
def _deaf() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
