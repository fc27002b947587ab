"""The `inprocess` runner: one split after another in this process, for debugging.

Breakpoints work, and the log of a split goes to this terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swath.run.assignment import Assignment
from swath.run.drive import DrivenRunner
from swath.run.events import EventWriter
from swath.run.runner import (
    Abilities,
    Cause,
    Finding,
    JobState,
    RunContext,
    Runner,
    Seen,
    Severity,
)
from swath.run.splits import RunSplit
from swath.run.worker import run_assignment
from swath.settings import Settings


def make_runner(settings: Settings) -> Runner:  # noqa: ARG001 - it has none
    """Return the runner."""
    return DrivenRunner(InProcessBackend(), reads_events=False)


class InProcessBackend:
    """Runs a split when it is waited for."""

    def __init__(self) -> None:
        self._context: RunContext | None = None
        self._started: list[str] = []

    @property
    def abilities(self) -> Abilities:
        """One split at a time."""
        return Abilities(parallelism=1, has_lock=True, needs_client=True, is_in_client=True)

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:  # noqa: ARG002
        """Need nothing but this process."""
        yield Finding(Severity.FINE, "splits are done in this process, one after another")

    def requests(self, context: RunContext) -> list[dict[str, Any]]:  # noqa: ARG002
        """Submit nothing."""
        return []

    def open(self, context: RunContext) -> None:
        """Take the run."""
        self._context = context

    def start(self, split: RunSplit) -> None:
        """Put a split in the queue."""
        self._started.append(split.key)

    def wait(self, timeout_s: float) -> Mapping[str, Seen]:  # noqa: ARG002 - it works meanwhile
        """Run the first split of the queue."""
        assert self._context is not None
        key = self._started.pop(0)
        folder = self._context.folder
        uri = folder.assignment_uri(key)
        assignment = Assignment.from_json(folder.store.read(uri), uri)
        events = EventWriter(folder, key, self._context.emit)
        try:
            succeeded = run_assignment(assignment, events)
        finally:
            events.close()
        if not succeeded:
            return {key: Seen(JobState.FAILED, cause=Cause.WORK)}
        folder.mark_done(key)
        return {key: Seen(JobState.DONE)}

    def look(self, context: RunContext) -> Mapping[str, Seen]:  # noqa: ARG002
        """Know nothing of other processes."""
        return {}

    def cancel(self, context: RunContext) -> None:  # noqa: ARG002
        """Forget the queue."""
        self._started.clear()

    def logs(self, context: RunContext, key: str) -> str:  # noqa: ARG002
        """Keep nothing."""
        return ""

    def close(self) -> None:
        """Let go of the run."""
        self._context = None
