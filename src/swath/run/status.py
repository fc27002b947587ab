"""The status of a run, told from its folder and, where the folder cannot know, by the backend."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from swath.run.events import Event, EventReader
from swath.run.folder import OUTCOME, RunFolder
from swath.run.life import goes_on
from swath.run.runner import JobState, Seen

UNTOLD = "it was killed, or could not start; see its log"
"""Of a split that ended and said nothing, as far as its backend knows nothing either."""


class SplitState(enum.StrEnum):
    """What has become of a split."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(slots=True)
class SplitStatus:
    """One split.

    Attributes
    ----------
    key, kind
        Of the split.
    state
        What has become of it.
    n_units, n_done
        Units in all, and finished ones.
    started, ended
        Seconds since 1970, UTC; None if not yet.
    progress
        (unit, done, total) last told.
    numbers
        What was last told beside the progress.
    error
        The first failure, in one line.
    failures
        (unit, error, traceback) of each failed unit.
    memory
        Largest resident memory, in bytes.
    """

    key: str
    kind: str
    state: SplitState = SplitState.WAITING
    n_units: int = 0
    n_done: int = 0
    started: float | None = None
    ended: float | None = None
    progress: tuple[str, float, float] | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    error: str = ""
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    memory: int = 0

    def take(self, event: Event) -> None:
        """Follow one event."""
        data = event.data
        match event.what:
            case "started":  # a retry starts from what was skipped
                self.state, self.started, self.ended = SplitState.RUNNING, event.time, None
                self.n_done, self.error, self.failures = 0, "", []
            case "progress":
                self.progress = (data["unit"], data["done"], data["total"])
                self.numbers = data["numbers"]
            case "unit_done":
                self.n_done += 1
                self.memory = max(self.memory, data["memory"])
            case "unit_skipped":
                self.n_done += 1
            case "unit_failed":
                self.failures.append((data["unit"], data["error"], data["traceback"]))
            case "done":
                self.state, self.ended = SplitState.DONE, event.time
            case "failed":
                self.state, self.ended = SplitState.FAILED, event.time
                self.error = self.failures[0][1] if self.failures else data["error"]
            case "interrupted":
                self.state, self.ended = SplitState.STOPPED, event.time

    def finish(self) -> None:
        """Believe its mark that it is done, whatever of its events was lost."""
        if self.state is not SplitState.DONE:
            self.state, self.n_done = SplitState.DONE, self.n_units
            self.error, self.failures = "", []


class RunStatus:
    """The status of all splits of a run; `update` reads what is new.

    Attributes
    ----------
    folder
        The run.
    experiments
        Their ids.
    splits
        By key.
    events
        Has read what is told here.
    is_alive
        True if anything of the run goes on.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        plan = folder.read_plan()
        kinds = {node["key"]: node["kind"] for node in plan["nodes"]}
        self.experiments = [item["id"] for item in plan["experiments"]]
        self.splits = {
            split["key"]: SplitStatus(
                split["key"], kinds[split["node"]], n_units=len(split["units"])
            )
            for split in plan["splits"]
        }
        self.events = EventReader(folder)
        self.is_alive = False

    def update(self, seen: Mapping[str, Seen] | None = None) -> None:
        """Read new events and whether anything goes on.

        Parameters
        ----------
        seen
            What the backend says of splits; it knows of those that were killed before they could
            tell anything, and why others do not start.
        """
        self.is_alive = goes_on(self.folder, seen)
        for event in self.events.new():
            if event.split in self.splits:
                self.splits[event.split].take(event)
        for key in self.folder.done() & self.splits.keys():
            self.splits[key].finish()
        for key, said in (seen or {}).items():
            if said.state is JobState.FAILED:
                self._fail(key, said.reason, has_started=True)
            elif said.state in {JobState.GONE, JobState.WAITING}:
                self._fail(key, said.reason, has_started=False)
        if not self.is_alive:
            self._end()

    def _end(self) -> None:
        """Note what the end of the run says of its splits."""
        outcome = self.folder.read(OUTCOME) or {}
        for key, reason in outcome.get("failed", {}).items():
            self._fail(key, reason, has_started=True)
        for key, reason in outcome.get("waiting", {}).items():
            self._fail(key, reason, has_started=False)
        for split in self.splits.values():
            if split.state is SplitState.RUNNING:
                split.state = SplitState.STOPPED

    def _fail(self, key: str, reason: str, *, has_started: bool) -> None:
        """Note what the backend says of a split that did not tell its end itself."""
        split = self.splits.get(key)
        has_told = split is None or split.state in {SplitState.DONE, SplitState.FAILED}
        if split is None or has_told or not (has_started or reason):
            return
        split.state = SplitState.FAILED if has_started else SplitState.WAITING
        split.error = reason or UNTOLD

    @property
    def summary(self) -> str:
        """One word for the run: running, done, failed or stopped."""
        if self.is_alive:
            return "running"
        states = {split.state for split in self.splits.values()}
        if states <= {SplitState.DONE}:
            return "done"
        return "failed" if SplitState.FAILED in states else "stopped"

    def counts(self) -> dict[str, Counter[SplitState]]:
        """Count splits by kind and state, kinds in the order of the plan."""
        result: dict[str, Counter[SplitState]] = {}
        for split in self.splits.values():
            result.setdefault(split.kind, Counter())[split.state] += 1
        return result
