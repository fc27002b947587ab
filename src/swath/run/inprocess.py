"""The `inprocess` runner: one split after another in this process, for debugging.

Breakpoints work, and the log of a split goes to this terminal.
"""

from __future__ import annotations

from collections.abc import Mapping

from swath.run.assignment import Assignment
from swath.run.drive import drive
from swath.run.events import EventWriter
from swath.run.runner import Abilities, Outcome, RunContext
from swath.run.worker import run_assignment
from swath.settings import Settings


class InProcessRunner:
    """Runs splits in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def abilities(self) -> Abilities:
        """One split at a time."""
        return Abilities(parallelism=1)

    def refuse(self) -> None:
        """Need nothing."""

    def run(self, context: RunContext) -> Outcome:
        """Execute every split of the plan, in order."""
        return drive(context, _Backend(context), max_running=1)


class _Backend:
    """Runs a split when it is waited for."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._started: list[str] = []

    def start(self, key: str) -> None:
        """Put a split in the queue."""
        self._started.append(key)

    def wait(self) -> Mapping[str, bool]:
        """Run the first split of the queue."""
        key = self._started.pop(0)
        folder = self._context.folder
        path = folder.assignment_path(key)
        assignment = Assignment.from_json(path.read_bytes(), str(path))
        events = EventWriter(folder.events / f"{key}.jsonl", key, self._context.emit)
        try:
            return {key: run_assignment(assignment, events)}
        finally:
            events.close()

    def cancel(self) -> None:
        """Forget the queue."""
        self._started.clear()
