"""The processes of a run on this machine, and how they are ended."""

from __future__ import annotations

import os
import signal
import time

from swath.run.folder import RunFolder
from swath.run.lease import is_locked

GROUP = "group"
"""File in the folder of a run with the number of the process group of its workers."""


def end_processes(folder: RunFolder, *, patience_s: float = 5.0) -> None:
    """Stop the processes of a run: politely, then for good; returns when they are gone."""
    group = _group(folder, patience_s)
    if group is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + patience_s
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            return
        while time.monotonic() < end:
            if not is_locked(folder, "alive"):
                return
            time.sleep(0.02)


def _group(folder: RunFolder, patience_s: float) -> int | None:
    """Return the process group of a run; one that is just being started notes it in a moment."""
    end = time.monotonic() + patience_s
    while is_locked(folder, "alive") and time.monotonic() < end:
        try:
            return int((folder.machine_path / GROUP).read_text())
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
    return None
