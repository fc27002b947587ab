"""Processes of runs on this machine: whose are still there, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from swath.errors import DeclarationError
from swath.plan.command import Pipeline
from swath.run.folder import RunFolder, last_run, runs_of
from swath.store import local_path

GROUP = "group"
"""File in the folder of a run with the number of the process group of its workers."""


def settle_with_earlier_runs(pipelines: Sequence[Pipeline]) -> list[str]:
    """End what a killed client left running, and refuse to run an experiment twice at once.

    Returns
    -------
    list of str
        Ids of the runs whose left-over processes were ended.

    Raises
    ------
    DeclarationError
        If somebody is running one of these experiments now.
    """
    ended = []
    ids = {pipeline.id for pipeline in pipelines}
    for folder in _earlier_runs(pipelines):
        if folder.is_held("control"):  # asked first: before its workers are there, it counts
            same = ids & {item["id"] for item in folder.read_plan()["experiments"]}
            if same:
                raise DeclarationError(
                    f"experiment {min(same)!r} is being run now, by run {folder.id}.",
                    where=str(folder.root),
                    mend=f"Wait for it, or stop it with: swath cancel {folder.path}",
                )
        elif folder.is_held("alive"):
            end_processes(folder)
            ended.append(folder.id)
    return ended


def _earlier_runs(pipelines: Sequence[Pipeline]) -> list[RunFolder]:
    """Return the runs of every root, and the last run of each experiment, wherever it lies.

    A run of experiments with several roots has its folder below the first of them.
    """
    found = {
        folder.path: folder
        for root in dict.fromkeys(local_path(pipeline.root) for pipeline in pipelines)
        for folder in runs_of(root)
    }
    for pipeline in pipelines:
        folder = last_run(pipeline)
        if folder is not None and folder.plan.is_file():
            found.setdefault(folder.path, folder)
    return list(found.values())


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
            if not folder.is_held("alive"):
                return
            time.sleep(0.02)


def _group(folder: RunFolder, patience_s: float) -> int | None:
    """Return the process group of a run; one that is just being started notes it in a moment."""
    end = time.monotonic() + patience_s
    while folder.is_held("alive") and time.monotonic() < end:
        try:
            return int((folder.path / GROUP).read_text())
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
    return None


def cancel(folder: RunFolder) -> bool:
    """Stop a run of this machine; return whether it was running.

    A client that is there is asked to stop, as if its user had pressed Ctrl-C; what is left then
    is ended.
    """
    if not folder.is_held("alive") and not folder.is_held("control"):
        return False
    client = folder.client()
    if client is not None and folder.is_held("control"):
        with suppress(ProcessLookupError):
            os.kill(client, signal.SIGTERM)
        end = time.monotonic() + 15.0
        while folder.is_held("control") and time.monotonic() < end:
            time.sleep(0.05)
    if folder.is_held("alive"):
        end_processes(folder)
    return True
