"""Runners: the two small protocols, and what every run has in common.

A *driven* backend is started split by split by our loop (`swath.run.drive`); a *submitted* backend
takes the whole graph at once and orders it itself (`swath.run.submit`). What either can do is data,
never a question of its class.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Protocol

from swath.errors import ConfigError
from swath.run.events import Emit, EventReader
from swath.run.folder import RunFolder
from swath.run.jobs import Job
from swath.run.splits import RunSplit
from swath.settings import RUNNERS, Settings


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a runner can do.

    Attributes
    ----------
    parallelism
        Splits that run at once, for ``--splits auto`` and for sharing out this machine's cores.
    sees_local_files
        True if its workers see the files of this machine; else local URIs and local plugin files
        are refused.
    shares_cores
        True if its workers share the cores of this machine; else each has those it asks for.
    cpus
        Cores of a split that does not say, if they are its own; 0: all of its machine.
    memory_gib
        GiB that a split is taken to have had that did not say, when it ran out of them.
    outlives_client
        True if what it started goes on without the client, and a later client finds it again.
    has_lock
        True if its processes are on this machine and hold a lock (`swath.run.lease`), so that
        nothing is left of a run whose lock is free.
    needs_client
        True if nothing new starts without a client that follows.
    is_in_client
        True if the client itself does the work, so that what is in its memory is within reach.
    array_size
        Longest array of jobs; 0: it has none.
    has_array_edges
        True if element i of one array can wait for element i of another.
    max_after
        Most jobs that one can wait for; 0: any number.
    poll_s
        Seconds between two looks at its jobs.
    """

    parallelism: int = 1
    sees_local_files: bool = True
    shares_cores: bool = True
    cpus: int = 0
    memory_gib: float = 4.0
    outlives_client: bool = False
    has_lock: bool = False
    needs_client: bool = False
    is_in_client: bool = False
    array_size: int = 0
    has_array_edges: bool = False
    max_after: int = 0
    poll_s: float = 0.1


class JobState(enum.StrEnum):
    """What has become of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    GONE = "gone"
    """It was cancelled, or can never start."""


class Cause(enum.StrEnum):
    """Why a job failed, as far as that decides what to do next."""

    WORK = "work"
    """Its command failed; it would fail again."""
    MEMORY = "memory"
    """It ran out of memory; with more it may succeed."""
    RECLAIMED = "reclaimed"
    """Its machine was taken away or broke; it may succeed elsewhere."""
    UPSTREAM = "upstream"
    """It never started, since what it waits for failed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a backend says of one split.

    Attributes
    ----------
    state
        What has become of it.
    reason
        In the backend's words, with its id there: why it failed, or why it cannot start.
    cause
        Why it failed; None if it did not.
    """

    state: JobState
    reason: str = ""
    cause: Cause | None = None

    @property
    def has_ended(self) -> bool:
        """True if nothing more will come of it."""
        return self.state in {JobState.DONE, JobState.FAILED, JobState.GONE}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    done, failed, waiting
        Keys of splits: done, failed, and never started because something before them failed.
    reasons
        Key of a split that failed, or never started, to what the backend said of it, if it said
        anything.
    causes
        Key of a split that failed to its `Cause`, if the backend knows.
    """

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    causes: Mapping[str, Cause] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """True if every split is done."""
        return not self.failed and not self.waiting


NOTHING_TO_DO = Outcome()
"""Of a plan in which everything is up to date."""


def unconfirmed() -> None:
    """Raise nothing: whoever asks something of a run needs not have it in hand."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a runner is given.

    Attributes
    ----------
    folder
        The run; assignments are written.
    splits
        All splits of the run, in topological order.
    settings
        Of the user.
    keep_going
        True to finish what does not depend on a failure.
    emit
        Takes the events of all splits as they come.
    events
        Has read what is not to be passed on any more; None: everything is.
    confirm
        Raises `TakenOverError` if another client has the run in hand by now; to be called before
        anything is started.
    """

    folder: RunFolder
    splits: tuple[RunSplit, ...]
    settings: Settings
    keep_going: bool
    emit: Emit
    events: EventReader | None = None
    confirm: Callable[[], None] = unconfirmed


class Severity(enum.StrEnum):
    """How bad a finding is."""

    FINE = "fine"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked before anything is spent.

    Attributes
    ----------
    severity
        An error refuses the run.
    what
        What was found, with the offending value.
    mend
        What to do about it.
    """

    severity: Severity
    what: str
    mend: str = ""


class Runner(Protocol):
    """Carries out the splits of a run.

    Every method can be called by another process, on another machine, than the one before.
    """

    @property
    def abilities(self) -> Abilities:
        """What this runner can do."""
        ...

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check what is needed to run these splits; with none, what can be checked without them.

        Raises
        ------
        DeclarationError
            If a setting or an extra is missing, without which nothing else can be checked.
        """
        ...

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return what would be submitted, for people; nothing is sent, nothing written."""
        ...

    def start(self, context: RunContext) -> None:
        """Start what is not done and not already on its way."""
        ...

    def follow(self, context: RunContext) -> Outcome:
        """Pass on events until the run has ended.

        Raises
        ------
        InterruptedRunError
            If the user interrupts or somebody cancels; everything is stopped then.
        """
        ...

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """Return what the backend says of the splits that it knows; empty if it keeps nothing."""
        ...

    def cancel(self, context: RunContext) -> None:
        """Stop everything of this run that waits or works."""
        ...

    def logs(self, context: RunContext, key: str) -> str:
        """Return what the backend keeps of the output of a split; empty if nothing."""
        ...


class DrivenBackend(Protocol):
    """Starts one split at a time on request."""

    @property
    def abilities(self) -> Abilities:
        """What this backend can do."""
        ...

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """See `Runner.findings`."""
        ...

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """See `Runner.requests`."""
        ...

    def open(self, context: RunContext) -> None:
        """Connect, and find again what an earlier client of this run has started."""
        ...

    def start(self, split: RunSplit) -> None:
        """Start a split, or take it up if it is on its way; returns at once."""
        ...

    def wait(self, timeout_s: float) -> Mapping[str, Seen]:
        """Return what has ended since the last call; waits for the first up to `timeout_s`."""
        ...

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """See `Runner.look`."""
        ...

    def cancel(self, context: RunContext) -> None:
        """Stop everything of this run, also without `open`."""
        ...

    def logs(self, context: RunContext, key: str) -> str:
        """See `Runner.logs`."""
        ...

    def close(self) -> None:
        """Let go of what `open` took; what is running stays."""
        ...


class SubmittedBackend(Protocol):
    """Takes jobs with what they wait for, and orders them itself."""

    @property
    def abilities(self) -> Abilities:
        """What this backend can do."""
        ...

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """See `Runner.findings`."""
        ...

    def requests(self, context: RunContext, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Return the requests that would submit these jobs, without sending anything."""
        ...

    def find(self, context: RunContext, names: Collection[str]) -> dict[str, str]:
        """Return the id of each job of these names that the backend has already."""
        ...

    def submit(
        self, context: RunContext, jobs: Sequence[Job], known: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """Submit jobs in order, and yield name and id of each as soon as it is there.

        Parameters
        ----------
        context
            The run.
        jobs
            What to submit, in topological order.
        known
            Ids of what was submitted before, by name.
        """
        ...

    def look(
        self, context: RunContext, jobs: Sequence[Job], ids: Mapping[str, str]
    ) -> dict[str, Seen]:
        """Return what has become of every split of these jobs, by its key."""
        ...

    def cancel(
        self,
        context: RunContext,
        jobs: Sequence[Job],
        ids: Mapping[str, str],
        *,
        only_waiting: bool,
    ) -> None:
        """Stop these jobs; with `only_waiting`, only what has not started."""
        ...

    def logs(self, context: RunContext, ids: Mapping[str, str], job: Job, key: str) -> str:
        """Return what the backend keeps of the output of a split; empty if nothing."""
        ...


MakeRunner = Callable[[Settings], Runner]

_RUNNERS = {
    "inprocess": "swath.run.runners.inprocess:make_runner",
    "local": "swath.run.runners.local:LocalRunner",
    "dask": "swath.run.runners.dask:make_runner",
    "slurm": "swath.run.runners.slurm:make_runner",
    "batch": "swath.run.runners.batch:make_runner",
    "sagemaker": "swath.run.runners.sagemaker:make_runner",
    "fargate": "swath.run.runners.fargate:make_runner",
}


def runner_names() -> list[str]:
    """Return the names of all runners, those of installed plugins included."""
    return [*_RUNNERS, *sorted(point.name for point in entry_points(group=RUNNERS))]


def make_runner(name: str, settings: Settings) -> Runner:
    """Return the runner of this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name in _RUNNERS:
        module, _, attribute = _RUNNERS[name].partition(":")
        make: MakeRunner = getattr(importlib.import_module(module), attribute)
        return make(settings)
    for point in entry_points(group=RUNNERS):
        if point.name == name:
            make = point.load()
            return make(settings)
    known = runner_names()
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."
    raise ConfigError(f"there is no runner {name!r}.", mend=hint)


def outcome_of(
    splits: Sequence[RunSplit],
    done: Collection[str],
    failed: Collection[str],
    seen: Mapping[str, Seen] | None = None,
) -> Outcome:
    """Sort the splits of a run by how they ended."""
    ended = {*done, *failed}
    said = {key: item for key, item in (seen or {}).items() if key not in done}
    return Outcome(
        tuple(split.key for split in splits if split.key in done),
        tuple(split.key for split in splits if split.key in failed),
        tuple(split.key for split in splits if split.key not in ended),
        {key: item.reason for key, item in said.items() if item.reason},
        {key: item.cause for key, item in said.items() if key in failed and item.cause},
    )
