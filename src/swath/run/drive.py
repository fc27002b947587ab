"""The loop that drives a backend: starts what is ready, waits, and goes on.

A client that was killed leaves the done files of splits and what the backend still runs; the next
one takes up both, so that nothing is done or started twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from swath.run.interrupt import interruptible, stopped
from swath.run.runner import (
    Abilities,
    Cause,
    DrivenBackend,
    Finding,
    JobState,
    Outcome,
    RunContext,
    Seen,
    outcome_of,
)
from swath.run.splits import RunSplit
from swath.run.watch import Watch, going_on

LOOK_S = 1.0
"""A backend waits for splits to end at most this long, in seconds, before events are passed on."""


class DrivenRunner:
    """A runner made of a backend that starts one split at a time.

    Parameters
    ----------
    backend
        Starts splits.
    reads_events
        False if the workers tell their events to the context themselves.
    """

    def __init__(self, backend: DrivenBackend, *, reads_events: bool = True) -> None:
        self._backend = backend
        self._reads_events = reads_events

    @property
    def abilities(self) -> Abilities:
        """Those of the backend."""
        return self._backend.abilities

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check what the backend needs."""
        return self._backend.findings(splits)

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return what would be started."""
        return self._backend.requests(context)

    def start(self, context: RunContext) -> None:
        """Do nothing: without a client that follows, nothing starts."""

    def follow(self, context: RunContext) -> Outcome:
        """Drive the run to its end."""
        with interruptible(lambda: self._stop(context)):
            self._backend.open(context)
            try:
                return drive(context, self._backend, reads_events=self._reads_events)
            finally:
                self._backend.close()

    def _stop(self, context: RunContext) -> None:
        with going_on(context.folder, has_started=lambda: self.abilities.outlives_client):
            self._backend.cancel(context)

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """Ask the backend."""
        return self._backend.look(context)

    def cancel(self, context: RunContext) -> None:
        """Stop everything of this run."""
        self._backend.cancel(context)

    def logs(self, context: RunContext, key: str) -> str:
        """Ask the backend for the output of a split."""
        return self._backend.logs(context, key)


@dataclass
class _Queue:
    """What is ready to start, and what waits for what."""

    context: RunContext
    done: set[str]

    def __post_init__(self) -> None:
        splits = self.context.splits
        self.waits_for = [
            {p for p in split.upstream if splits[p].key not in self.done} for split in splits
        ]
        self.consumers: list[list[int]] = [[] for _ in splits]
        for i, producers in enumerate(self.waits_for):
            for producer in producers:
                self.consumers[producer].append(i)
        self.ready = [
            i
            for i, split in enumerate(splits)
            if split.key not in self.done and not self.waits_for[i]
        ]

    def finish(self, index: int) -> None:
        """Note that a split is done."""
        self.done.add(self.context.splits[index].key)
        for consumer in self.consumers[index]:
            self.waits_for[consumer].remove(index)
            if not self.waits_for[consumer]:
                self.ready.append(consumer)
        self.ready.sort()


def drive(context: RunContext, backend: DrivenBackend, *, reads_events: bool = True) -> Outcome:
    """Run every split of the run that is not done, as many at once as the backend can.

    A split is started when all splits that it reads from are done. After a failure nothing new is
    started, or, to keep going, nothing that depends on it. What ran out of memory gets twice as
    much, and what lost its machine another one, as often as the settings say.

    Raises
    ------
    InterruptedRunError
        If somebody cancels the run; everything that was started is stopped.
    RunError
        If this client cannot go on, and what it started does.
    """
    running: dict[int, RunSplit] = {}
    with going_on(
        context.folder, has_started=lambda: bool(running) and backend.abilities.outlives_client
    ):
        return _drive(context, backend, running, Watch(context, reads_events=reads_events))


def _drive(
    context: RunContext, backend: DrivenBackend, running: dict[int, RunSplit], watch: Watch
) -> Outcome:
    """Drive the run; `running` has, by its number, each split that is on its way."""
    splits = context.splits
    queue = _Queue(context, context.folder.done())
    number = {split.key: i for i, split in enumerate(splits)}
    tries: dict[tuple[int, Cause], int] = {}
    failed: dict[str, Seen] = {}

    def goes_on() -> bool:
        return context.keep_going or not failed

    while running or (queue.ready and goes_on()):
        while queue.ready and len(running) < backend.abilities.parallelism and goes_on():
            context.confirm()
            started = queue.ready.pop(0)
            backend.start(splits[started])
            running[started] = splits[started]
        ended = backend.wait(LOOK_S)
        has_failed = any(seen.state is not JobState.DONE for seen in ended.values())
        if watch.is_cancelled(at_once=has_failed):
            backend.cancel(context)
            raise stopped()
        for key, seen in ended.items():
            index = number[key]
            if seen.state is JobState.DONE:
                del running[index]
                queue.finish(index)
            elif (
                again := _again(context, running[index], index, seen, tries, backend.abilities)
            ) is not None:
                context.confirm()
                running[index] = again
                backend.start(again)
            else:
                del running[index]
                failed[key] = seen
    watch.pass_on()
    return outcome_of(splits, queue.done, failed, failed)


def _again(
    context: RunContext,
    split: RunSplit,
    index: int,
    seen: Seen,
    tries: dict[tuple[int, Cause], int],
    abilities: Abilities,
) -> RunSplit | None:
    """Return the split as it is to be started again, or None if that would not help."""
    names = {Cause.MEMORY: "run.memory_retries", Cause.RECLAIMED: "run.reclaim_retries"}
    cause = seen.cause or Cause.WORK
    n_tries = tries.get((index, cause), 0)
    if cause not in names or n_tries >= context.settings.count(names[cause], 0):
        return None
    tries[index, cause] = n_tries + 1
    if cause is not Cause.MEMORY:
        return split
    memory = 2 * (split.resources.memory_gib or abilities.memory_gib)
    return replace(split, resources=replace(split.resources, memory_gib=memory))
