"""The `fargate` runner: every split is a task of ECS, on Fargate or on instances of one's own.

The client starts tasks and looks at them, a hundred at a time; tasks go on without it. The one
idea: the number of the attempt at a split makes the token of the request, and ECS starts one task
for a token. So a client that got no answer may ask again, and so may the one after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from swath.errors import ConfigError, ThrottledError, UnansweredError
from swath.plan.command import Resources
from swath.run import aws
from swath.run.drive import DrivenRunner
from swath.run.events import Event
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
from swath.run.runners.fargate_check import (
    access_findings,
    cluster_findings,
    definition_findings,
    setting_findings,
    size_findings,
)
from swath.run.runners.fargate_state import OUT_OF_TIME, Told, is_over, seen_of
from swath.run.runners.fargate_tasks import EcsTasks, Note, write_note
from swath.run.splits import RunSplit
from swath.run.watch import refusals
from swath.settings import Settings

LONGEST_WAIT_S = 60.0
"""Between two tries to start tasks for which there was no room."""

UNKNOWN_S = 120.0
"""ECS may know a task only some time after it was started, and forgets it an hour after its end."""

STEP_S = 0.1
"""How exactly `FargateBackend.wait` keeps its times."""


def make_runner(settings: Settings) -> Runner:
    """Return the runner."""
    return DrivenRunner(FargateBackend(settings))


class FargateBackend:
    """Tasks of ECS, one for each split.

    Parameters
    ----------
    settings
        Of the user.
    unknown_s
        Seconds until a task that ECS does not know is taken for lost.
    """

    def __init__(self, settings: Settings, *, unknown_s: float = UNKNOWN_S) -> None:
        self._settings = settings
        self._unknown_s = unknown_s
        self._ecs = EcsTasks(settings)
        self._context: RunContext | None = None
        self._notes: dict[str, Note] = {}
        self._running: dict[str, RunSplit] = {}
        self._waiting: list[RunSplit] = []
        self._ended: dict[str, Seen] = {}
        self._unknown: dict[str, float] = {}
        self._warned: set[str] = set()
        first_s = self.abilities.poll_s / 8
        self._looks = _Clock(first_s, self.abilities.poll_s)
        self._placings = _Clock(first_s, LONGEST_WAIT_S)

    @property
    def abilities(self) -> Abilities:
        """Tasks on other machines that outlive the client; without one nothing new starts."""
        return Abilities(
            parallelism=self._settings.count("fargate.tasks", 100),
            sees_local_files=False,
            shares_cores=False,
            cpus=self._settings.count("fargate.cpus", 2),
            memory_gib=self._settings.count("fargate.memory_gib", 8),
            outlives_client=True,
            needs_client=True,
            poll_s=self._settings.count("aws.poll_s", 10),
        )

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check settings, sizes, credentials, cluster and task definition."""
        settings = self._settings
        yield from setting_findings(settings)
        yield from size_findings(splits, settings)
        identity = aws.identity_finding(settings)
        yield identity
        is_known = identity.severity is not Severity.ERROR
        yield from access_findings(settings, is_asked=is_known)
        if not is_known:
            return
        if settings["fargate.cluster"] is not None:
            yield from cluster_findings(self._ecs.client, settings)
        if settings["fargate.task_definition"] is not None:
            yield from definition_findings(self._ecs.client, splits, settings)

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return the parameters of RegisterTaskDefinition, if one is made, and of each RunTask."""
        made = dict(self._ecs.made_definition)
        runs = [self._ecs.request(context.folder, split) for split in context.splits]
        return [made, *runs] if made else runs

    def open(self, context: RunContext) -> None:
        """Find what an earlier client started; make the task definition if it is missing."""
        self._context = context
        self._ecs.register()
        self._notes = self._ecs.find(context.folder)

    def start(self, split: RunSplit) -> None:
        """Take up the task of a split, or start one."""
        note = self._notes.get(split.key)
        if note is not None and not note.is_settled:
            self._running[split.key] = split
        else:
            self._waiting.append(split)
            self._place()
        self._looks.hasten()

    def wait(self, timeout_s: float) -> Mapping[str, Seen]:
        """Look at the tasks now and then, and try to start those that wait for room."""
        end = time.monotonic() + timeout_s
        while True:
            self._place()
            self._look_at_running()
            if self._ended or time.monotonic() >= end:
                ended, self._ended = self._ended, {}
                return ended
            time.sleep(STEP_S)

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """Ask about the last task of each split that is not done."""
        done = context.folder.done()
        notes = {key: n for key, n in self._ecs.find(context.folder).items() if key not in done}
        told = self._ecs.describe(note.arn for note in notes.values() if note.arn)
        return {key: self._seen(told[n.arn]) for key, n in notes.items() if n.arn in told}

    def cancel(self, context: RunContext) -> None:
        """Stop every task of this run, those included that nobody noted."""
        self._waiting.clear()
        done = context.folder.done()
        for key, note in {**self._ecs.find(context.folder), **self._notes}.items():
            if note.arn and not note.is_settled and key not in done:
                self._ecs.stop(note.arn, "the run was cancelled")
                write_note(context.folder, key, replace(note, is_settled=True))

    def logs(self, context: RunContext, key: str) -> str:
        """Return what CloudWatch keeps of the last task of a split."""
        note = self._ecs.find(context.folder).get(key)
        return self._ecs.log(note.arn) if note is not None and note.arn else ""

    def close(self) -> None:
        """Let go of the run; its tasks go on."""
        self._context = None
        self._running.clear()
        self._waiting.clear()

    # ---------------------------------------------------------------- starting

    def _place(self) -> None:
        """Try to start what waits; if there is no room for one, there is none for its like."""
        if not self._waiting or not self._placings.is_due():
            return
        waiting, self._waiting = self._waiting, []
        refused: set[Resources] = set()
        for split in waiting:
            if split.resources in refused or not self._run(split):
                refused.add(split.resources)
                self._waiting.append(split)
        if self._waiting:
            self._placings.lengthen()
        else:
            self._placings.reset()

    def _run(self, split: RunSplit) -> bool:
        """Start the task of a split; False if it has to wait."""
        assert self._context is not None
        key, note = split.key, self._notes.get(split.key)
        attempt = note.attempt + 1 if note is not None else 0
        try:
            request = self._ecs.request(self._context.folder, split, attempt)
        except ConfigError as error:  # it ran out of memory, and there is no larger size
            self._ended[key] = Seen(JobState.FAILED, error.what, Cause.WORK)
            return True
        try:
            with refusals():
                answer = self._ecs.run(request)
        except (ThrottledError, UnansweredError) as error:  # the same attempt again, later
            self._warn(split, error.what)
            return False
        if answer.arn:
            self._note(key, Note(answer.arn, attempt))
            self._running[key] = split
            return True
        self._notes[key] = Note("", attempt, is_settled=True)
        if answer.may_pass:
            self._warn(split, f"has to wait: {answer.reason}")
            return False
        self._ended[key] = Seen(JobState.FAILED, f"ECS: {answer.reason}", Cause.WORK)
        return True

    def _warn(self, split: RunSplit, text: str) -> None:
        """Tell the user why nothing starts; each reason once."""
        assert self._context is not None
        if text not in self._warned:
            self._warned.add(text)
            self._context.emit(Event(time.time(), split.key, "warning", {"text": text}))

    # ---------------------------------------------------------------- looking

    def _look_at_running(self) -> None:
        if not self._running or not self._looks.is_due():
            return
        self._looks.lengthen()
        try:
            told = self._ecs.describe(self._notes[key].arn for key in self._running)
        except (ThrottledError, UnansweredError):
            return
        for key, split in list(self._running.items()):
            arn, limit_s = self._notes[key].arn, split.resources.time_limit_s
            if arn not in told:
                seen = self._unknown_task(key)
            else:
                self._unknown.pop(key, None)
                seen = self._seen(told[arn])
                if is_over(told[arn], limit_s):
                    self._ecs.stop(arn, f"{OUT_OF_TIME} {limit_s} s")
            if seen.has_ended:
                self._end(key, seen)

    def _seen(self, told: Told) -> Seen:
        return seen_of(told, self._settings.text("fargate.container"))

    def _unknown_task(self, key: str) -> Seen:
        """Say what has become of a task that ECS does not know."""
        since = self._unknown.setdefault(key, time.monotonic())
        if time.monotonic() - since < self._unknown_s:
            return Seen(JobState.WAITING)
        arn = self._notes[key].arn
        return Seen(JobState.FAILED, f"ECS does not know the task {arn}", Cause.RECLAIMED)

    def _end(self, key: str, seen: Seen) -> None:
        """Note how a task ended; what the folder of the run says of its split is the truth."""
        assert self._context is not None
        del self._running[key]
        self._unknown.pop(key, None)
        self._placings.hasten()  # there may be room now
        if self._context.folder.has(f"done/{key}"):
            self._ended[key] = Seen(JobState.DONE)
            return
        if seen.state is JobState.DONE:
            said = f"it did nothing, as if its image were none of Swath: {seen.reason}"
            seen = Seen(JobState.FAILED, said, Cause.WORK)
        self._note(key, replace(self._notes[key], is_settled=True))
        self._ended[key] = seen

    def _note(self, key: str, note: Note) -> None:
        assert self._context is not None
        self._notes[key] = note
        write_note(self._context.folder, key, note)


class _Clock:
    """When something is due again: soon at first, then less and less often.

    Parameters
    ----------
    first_s, longest_s
        Shortest and longest pause, in seconds.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._due, self._pause = 0.0, first_s

    def is_due(self) -> bool:
        """Tell whether the pause is over."""
        return time.monotonic() >= self._due

    def lengthen(self) -> None:
        """Begin the next pause, twice as long as the one before."""
        self._due = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, self._longest_s)

    def hasten(self) -> None:
        """Be due after the shortest pause at the latest, and go on from there."""
        self._due = min(self._due, time.monotonic() + self._first_s)
        self._pause = self._first_s

    def reset(self) -> None:
        """Be due now."""
        self._due, self._pause = 0.0, self._first_s
