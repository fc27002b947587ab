"""The processes of a run on this machine, and how they are ended."""

from __future__ import annotations

import os
import signal
import time

from swath.errors import RunError
from swath.run.folder import RunFolder
from swath.run.lease import is_locked
from swath.run.machine import Process

GROUP = "group"
"""File in the folder of a run with the leader of the process group of its workers."""


def end_processes(folder: RunFolder, *, patience_s: float = 5.0) -> None:
    """Stop the processes of a run: politely, then for good; returns when they are gone.

    Raises
    ------
    RunError
        If they are on another machine, which shares the folder of the run with this one.
    """
    leader = _leader(folder, patience_s)
    if leader is None:
        return
    if not leader.is_here:
        raise RunError(
            f"the processes of the run {folder.id} are on another machine, {leader.host!r}.",
            where=folder.uri,
            mend=f"Stop them there: swath cancel {folder.uri}",
        )
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + patience_s
        try:
            os.killpg(leader.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        while time.monotonic() < end:
            if not is_locked(folder, "alive"):
                return
            time.sleep(0.02)


def _leader(folder: RunFolder, patience_s: float) -> Process | None:
    """Return who leads the processes of a run; who is just being started notes it in a moment."""
    end = time.monotonic() + patience_s
    while is_locked(folder, "alive") and time.monotonic() < end:
        try:
            noted = Process.parse((folder.machine_path / GROUP).read_text())
        except FileNotFoundError:
            noted = None
        if noted is not None:
            return noted
        time.sleep(0.02)
    return None
