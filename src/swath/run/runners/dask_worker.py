"""What runs inside a Dask worker: a task is one split, done by a child process.

A child gives its memory back when it ends, holds its number of threads, and takes nobody with it
when it crashes. And it can be stopped, which a task of Dask cannot: Dask forgets a task that is
cancelled, but lets it run on. A child is stopped

- at once, when a client calls `stop_splits` on the workers;
- within `MARK_S`, by the mark in the folder of the run, where no client could reach this worker;
- within `LOOK_S`, when its Dask worker closes, since the scheduler then starts it elsewhere;
- by its tether (`swath.run.tether`), when the process of the Dask worker was killed.

`distributed` is imported inside a task only, and arguments and answers are texts and numbers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import swath
from swath.errors import InterruptedRunError, SwathError
from swath.run.folder import CANCELLED, RunFolder
from swath.run.runner import Cause
from swath.run.tether import GRACE_S
from swath.run.worker_arguments import split_arguments

LOOK_S = 1.0
"""Seconds between two looks at the Dask worker and the clock."""

MARK_S = 30.0
"""Seconds between two looks for the mark that somebody cancelled the run."""

LONGEST_WORDS = 2000
"""Bytes of what a child said last that are passed on."""


class SplitError(Exception):
    """A split is not done; its arguments are a `Cause` and a reason, both as text."""


def swath_version() -> str:
    """Return the version of Swath of this worker."""
    return swath.__version__


def run_split(folder: str, key: str, environment: str, time_limit_s: str) -> None:
    """Do one split in a child process, and return when it is done.

    Parameters
    ----------
    folder
        URI of the run.
    key
        Of the split.
    environment
        Variables that the child has beside those of this worker, as JSON.
    time_limit_s
        Seconds that it may take; empty: any.

    Raises
    ------
    SplitError
        If it is not done.
    """
    run = RunFolder(folder)
    limit_s = float(time_limit_s) if time_limit_s else float("inf")
    with _registered(folder) as child, tempfile.TemporaryFile() as words:
        # Who cancels first sets the mark and then stops the registered: none slips through.
        if _is_cancelled(run):
            raise SplitError(Cause.RECLAIMED.value, "the run was cancelled")
        arguments = [*split_arguments(run, key), "--tethered"]
        child.start(arguments, os.environ | json.loads(environment), words)
        with _watched(child, run, limit_s):
            code = child.wait()
        if code == 0:
            return
        cause, reason = child.stopped_for or cause_of(code)
        said = _end_of(words)
    where = f"{reason} on {socket.gethostname()}"
    raise SplitError(cause.value, f"{where}: {said}" if said else where)


def stop_splits(folder: str) -> int:
    """Stop what this worker does for a run; return how many of its splits have not ended yet.

    Returns at once, since it is called in the event loop of the worker.
    """
    with _lock:
        children = [child for of_run, child in _children if of_run == folder]
    for child in children:
        child.stop(Cause.RECLAIMED, "stopped, since the run was cancelled,")
    return len(children)


def cause_of(code: int) -> tuple[Cause, str]:
    """Tell why a child ended that this worker did not stop, by its exit code.

    A process that was killed by SIGKILL may have run out of memory; its parent is not told. It
    is taken for one that lost its machine, and started again on whatever worker is free: this
    runner could not give it more memory, which is what `Cause.MEMORY` asks for.

    Examples
    --------
    >>> cause_of(1)
    (<Cause.WORK: 'work'>, 'exit code 1')
    >>> cause_of(-11)
    (<Cause.WORK: 'work'>, 'ended by a signal (Segmentation fault)')
    >>> cause_of(-9)
    (<Cause.RECLAIMED: 'reclaimed'>, 'ended by a signal (Killed), perhaps for lack of memory,')
    """
    if code == InterruptedRunError.exit_code:
        return Cause.RECLAIMED, "asked to stop"
    if code >= 0:
        return Cause.WORK, f"exit code {code}"
    reason = f"ended by a signal ({signal.strsignal(-code)})"
    if -code == signal.SIGKILL:
        return Cause.RECLAIMED, f"{reason}, perhaps for lack of memory,"
    is_from_outside = -code in {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    return (Cause.RECLAIMED if is_from_outside else Cause.WORK), reason


class _Child:
    """The process of one split, which any thread can stop.

    Attributes
    ----------
    stopped_for
        Why it was stopped; None if it was not.
    """

    def __init__(self) -> None:
        self.stopped_for: tuple[Cause, str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(GRACE_S, self._kill)
        self._timer.daemon = True

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], words: IO[bytes]
    ) -> None:
        """Start ``swath ARGUMENTS``; `words` takes what it says beside its log."""
        with self._lock:
            if self.stopped_for is not None:
                raise SplitError(self.stopped_for[0].value, self.stopped_for[1])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "swath", *arguments],
                stdin=subprocess.PIPE,  # the tether
                stdout=subprocess.DEVNULL,  # it writes its own log
                stderr=words,
                env=environment,
                start_new_session=True,
            )

    def wait(self) -> int:
        """Wait for its end, end what it has left behind, and return its exit code."""
        assert self._process is not None
        # Until it is reaped, its number is that of its group and of nobody else.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._kill()
        with self._lock, self._process as process:
            self._timer.cancel()
            return process.wait()

    def stop(self, cause: Cause, reason: str) -> None:
        """Ask it to stop, and kill it if it does not; returns at once."""
        with self._lock:
            if self.stopped_for is not None:
                return
            self.stopped_for = cause, reason
            if self._process is not None and self._process.returncode is None:
                os.kill(self._process.pid, signal.SIGTERM)
                self._timer.start()

    def _kill(self) -> None:
        with self._lock, suppress(ProcessLookupError):
            if self._process is not None and self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)


_children: list[tuple[str, _Child]] = []
_lock = threading.Lock()


@contextmanager
def _registered(folder: str) -> Iterator[_Child]:
    """Let a child of this run be found by `stop_splits`."""
    item = (folder, _Child())
    with _lock:
        _children.append(item)
    try:
        yield item[1]
    finally:
        with _lock:
            _children.remove(item)


@contextmanager
def _watched(child: _Child, run: RunFolder, limit_s: float) -> Iterator[None]:
    """Stop a child that must not go on, while inside."""
    from distributed import get_worker

    worker, is_over = get_worker(), threading.Event()
    thread = threading.Thread(target=_watch, args=(child, run, limit_s, worker, is_over))
    thread.daemon = True
    thread.start()
    try:
        yield
    finally:
        is_over.set()


def _watch(
    child: _Child, run: RunFolder, limit_s: float, worker: Any, is_over: threading.Event
) -> None:
    started = looked = time.monotonic()
    while not is_over.wait(LOOK_S):
        now = time.monotonic()
        if worker.status.name not in {"running", "paused"}:
            child.stop(Cause.RECLAIMED, "stopped, since its Dask worker closes,")
        elif now - started > limit_s:
            child.stop(Cause.WORK, f"stopped at its time limit of {limit_s:.0f} s")
        elif now - looked > MARK_S:
            looked = now
            if _is_cancelled(run):
                child.stop(Cause.RECLAIMED, "stopped, since the run was cancelled,")


def _is_cancelled(run: RunFolder) -> bool:
    try:
        return run.has(CANCELLED)
    except SwathError:  # a store that fails for a moment is no reason to stop
        return False


def _end_of(words: IO[bytes]) -> str:
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - LONGEST_WORDS))
    return words.read().decode(errors="replace").strip()
