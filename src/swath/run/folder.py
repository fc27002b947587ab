"""The folder of one run: where its plan, assignments, events and logs lie, and who holds it.

Two locks say who is at work. `control` is held by the process that a user started; `alive` is
inherited by every process of the run. Locks of the kernel vanish with their holders, so a killed
run never looks as if it were running, and a run whose client was killed is told from one that is
being followed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swath.errors import ConfigError
from swath.plan.command import Pipeline
from swath.run.assignment import Assignment
from swath.store import LocalStore, local_path

LATEST = "latest.json"
"""File of an experiment that names its last run."""


class RunFolder:
    """Names and files of one run, below ``<root>/runs/<id>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.root = path.parent.parent
        self.events = path / "events"
        self.logs = path / "logs"
        self.done = path / "done"
        self.plan = path / "plan.json"

    @classmethod
    def create(cls, root: Path) -> RunFolder:
        """Make the folder of a new run; its id sorts by time."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        folder = cls(root / "runs" / f"{stamp}-{secrets.token_hex(2)}")
        for path in (folder.path / "commands", folder.events, folder.logs, folder.done):
            path.mkdir(parents=True)
        return folder

    @classmethod
    def find(cls, run: str, root: Path | None) -> RunFolder:
        """Return the run of this id, or folder, or the latest of `root` for ``"latest"``.

        Raises
        ------
        ConfigError
            If there is no such run.
        """
        if (Path(run) / "plan.json").is_file():
            return cls(Path(run).absolute())
        found = {folder.id: folder for folder in runs_of(root)} if root is not None else {}
        if run == "latest" and found:
            return found[max(found)]
        if run in found:
            return found[run]
        recent = ", ".join(sorted(found, reverse=True)[:3]) or "none"
        place = f"{root}/runs" if root is not None else "a folder"
        raise ConfigError(
            f"there is no run {run!r}; the latest in {place} are: {recent}.",
            mend="Give the folder of a run, or its id and --root.",
        )

    def assignment_path(self, key: str) -> Path:
        """Return where the assignment of a split lies."""
        return self.path / "commands" / f"{key}.json"

    def read_plan(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        data: dict[str, Any] = json.loads(self.plan.read_bytes())
        return data

    def write(self, name: str, data: object) -> None:
        """Write a JSON file of this run, at once."""
        # Without indents: json then uses its encoder in C, seconds less for 100,000 units.
        LocalStore().write(str(self.path / name), json.dumps(data).encode())

    def write_assignment(self, assignment: Assignment) -> None:
        """Write what the worker of one split reads."""
        self.assignment_path(assignment.key).write_bytes(assignment.to_json())

    def hold(self, name: str, *, inherit: bool) -> int:
        """Take the lock `name` (``control`` or ``alive``) and return its file descriptor.

        With `inherit`, child processes hold it, too, until the last of them has ended.
        """
        descriptor = os.open(self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        os.set_inheritable(descriptor, inherit)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not inherit:
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        return descriptor

    def client(self) -> int | None:
        """Return the process that holds ``control``; only while `is_held` it means anything."""
        try:
            return int((self.path / "control.lock").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_held(self, name: str) -> bool:
        """Tell whether any process holds the lock `name`."""
        try:
            descriptor = os.open(self.path / f"{name}.lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            # Shared: two that ask at the same time must not take each other for the holder.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(descriptor)


@contextmanager
def starting(root: Path) -> Iterator[None]:
    """Let one client at a time look for other runs of a root and begin its own."""
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / ".starting.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def last_run(pipeline: Pipeline) -> RunFolder | None:
    """Return the folder that the experiment's pointer to its last run names; None without one."""
    pointer = local_path(pipeline.root) / "experiments" / pipeline.id / LATEST
    try:
        return RunFolder(Path(json.loads(pointer.read_bytes())["folder"]))
    except (OSError, ValueError, TypeError, KeyError):  # none yet, or damaged
        return None


def runs_of(root: Path) -> Iterator[RunFolder]:
    """Yield the runs of a root, oldest first."""
    for path in sorted((root / "runs").glob("*/plan.json")):
        yield RunFolder(path.parent)
