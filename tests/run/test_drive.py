"""Driving: what is ready is started, no more at once than allowed, again where that helps."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import ConfigError, InterruptedRunError, RunError
from swath.plan.command import Resources
from swath.run.drive import DrivenRunner
from swath.run.events import Event, EventWriter
from swath.run.folder import CANCELLED, RunFolder
from swath.run.runner import Abilities, Cause, Finding, JobState, RunContext, Seen
from swath.run.splits import RunSplit
from swath.settings import load_settings

WORK, MEMORY, RECLAIMED = (
    Seen(JobState.FAILED, f"told to fail: {cause}", cause)
    for cause in (Cause.WORK, Cause.MEMORY, Cause.RECLAIMED)
)


@dataclass
class ScriptedBackend:
    """Runs splits in memory, and lets them end in any order, one at a time.

    Parameters
    ----------
    script
        Key of a split to what becomes of it, each time it is started; done once the list is empty.
    """

    script: dict[str, list[Seen]] = field(default_factory=dict)
    parallelism: int = 2
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    started: list[RunSplit] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    peak: int = 0
    interrupts: bool = False
    outlives_client: bool = False

    @property
    def abilities(self) -> Abilities:
        return Abilities(
            parallelism=self.parallelism, memory_gib=3.0, outlives_client=self.outlives_client
        )

    @property
    def counts(self) -> Counter[str]:
        return Counter(split.key for split in self.started)

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        yield from ()

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        return [{"split": split.key} for split in context.splits]

    def open(self, context: RunContext) -> None:
        self.calls.append("open")
        self._context = context

    def start(self, split: RunSplit) -> None:
        done = self._context.folder.done()
        assert {self._context.splits[p].key for p in split.upstream} <= done, "too early"
        self.started.append(split)
        self.running.append(split.key)
        self.peak = max(self.peak, len(self.running))

    def wait(self, timeout_s: float) -> Mapping[str, Seen]:
        if self.interrupts:
            raise KeyboardInterrupt
        key = self.running.pop(self.chance.randrange(len(self.running)))
        if told := self.script.get(key):
            return {key: told.pop(0)}
        writer = EventWriter(self._context.folder, key)
        writer.write("done")
        writer.close()
        self._context.folder.mark_done(key)
        return {key: Seen(JobState.DONE)}

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        return {key: Seen(JobState.RUNNING) for key in self.running}

    def cancel(self, context: RunContext) -> None:
        self.calls.append("cancel")

    def logs(self, context: RunContext, key: str) -> str:
        return f"log of {key}"

    def close(self) -> None:
        self.calls.append("close")


def split(number: int, *upstream: int, memory_gib: float | None = None) -> RunSplit:
    key = f"split-{number:05d}"
    return RunSplit(key, "split", "split", 1, key, Resources(memory_gib=memory_gib), upstream)


CHAIN = (split(0), split(1), split(2, 0), split(3, 1, memory_gib=8.0), split(4, 2, 3))
KEYS = tuple(item.key for item in CHAIN)


def run_of(
    splits: Sequence[RunSplit] = CHAIN, *overrides: str, keep_going: bool = False
) -> tuple[RunContext, list[Event]]:
    events: list[Event] = []
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    settings = load_settings(overrides, environment={})
    return RunContext(folder, tuple(splits), settings, keep_going, events.append), events


@st.composite
def graphs(draw: st.DrawFn) -> list[RunSplit]:
    return [
        split(n, *sorted(draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else ()))
        for n in range(draw(st.integers(1, 12)))
    ]


@given(graphs(), st.integers(1, 4), st.randoms(), st.booleans())
def test_every_split_runs_once_after_what_it_reads_from_and_failures_take_only_what_waits(
    graph, parallelism, chance, keep_going
):
    bad = {item.key for item in graph if chance.random() < 0.2}
    backend = ScriptedBackend({key: [WORK] for key in bad}, parallelism, chance)
    context, events = run_of(graph, keep_going=keep_going)
    outcome = DrivenRunner(backend).follow(context)
    assert set(backend.counts.values()) <= {1}
    assert backend.peak <= parallelism
    assert set(outcome.failed) <= bad
    assert set(outcome.done) == context.folder.done() == {event.split for event in events}
    every = sorted([*outcome.done, *outcome.failed, *outcome.waiting])
    assert every == sorted(item.key for item in graph)
    assert outcome.succeeded == (not bad)
    ended = set(outcome.done) | set(outcome.failed)
    if keep_going:
        ready = {i.key for i in graph if {graph[p].key for p in i.upstream} <= set(outcome.done)}
        assert ended == ready
    assert backend.calls == ["open", "close"]


def test_what_an_earlier_client_has_finished_is_not_started():
    backend = ScriptedBackend()
    context, _ = run_of()
    for key in KEYS[:3]:
        context.folder.mark_done(key)
    assert DrivenRunner(backend).follow(context).succeeded
    assert backend.counts == {KEYS[3]: 1, KEYS[4]: 1}


def test_what_ran_out_of_memory_is_started_again_with_twice_as_much():
    backend = ScriptedBackend({KEYS[2]: [MEMORY, MEMORY], KEYS[3]: [MEMORY]})
    context, _ = run_of()
    assert DrivenRunner(backend).follow(context).succeeded
    given = [(item.key, item.resources.memory_gib) for item in backend.started]
    assert [gib for key, gib in given if key == KEYS[2]] == [None, 6.0, 12.0]  # 3: the backend's
    assert [gib for key, gib in given if key == KEYS[3]] == [8.0, 16.0]
    assert [gib for key, gib in given if key == KEYS[4]] == [None]


@pytest.mark.parametrize(
    ("told", "overrides", "n_tries"),
    [
        (MEMORY, [], 3),
        (MEMORY, ["run.memory_retries=1"], 2),
        (RECLAIMED, [], 6),
        (RECLAIMED, ["run.reclaim_retries=2"], 3),
        (WORK, ["run.reclaim_retries=9", "run.memory_retries=9"], 1),
        (Seen(JobState.GONE, "no worker can take it"), [], 1),
    ],
)
def test_each_cause_is_tried_again_as_often_as_its_setting_says(told, overrides, n_tries):
    backend = ScriptedBackend({KEYS[3]: [told] * 99})
    context, _ = run_of(CHAIN, *overrides)
    outcome = DrivenRunner(backend).follow(context)
    assert backend.counts[KEYS[3]] == n_tries
    assert outcome.failed == (KEYS[3],)
    assert outcome.reasons == {KEYS[3]: told.reason}
    assert outcome.causes == ({KEYS[3]: told.cause} if told.cause else {})


@pytest.mark.parametrize("script", [{}, {KEYS[0]: [WORK]}])
def test_mark_of_another_process_stops_what_was_started(script):
    """Also what fails because it was stopped is no failure of its own."""
    backend = ScriptedBackend(script)
    context, _ = run_of()
    context.folder.write(CANCELLED, {})
    with pytest.raises(InterruptedRunError):
        DrivenRunner(backend).follow(context)
    assert backend.calls == ["open", "cancel", "close"]
    assert len(backend.started) <= 2


def test_interrupt_stops_what_was_started():
    backend = ScriptedBackend(interrupts=True)
    context, _ = run_of()
    with pytest.raises(InterruptedRunError):
        DrivenRunner(backend).follow(context)
    assert backend.calls == ["open", "close", "cancel"]


EXPIRED = ConfigError("the credentials have expired.", mend="Log in.")


class Expired(ScriptedBackend):
    """A backend that may not be asked any more."""

    def wait(self, timeout_s: float) -> Mapping[str, Seen]:
        raise EXPIRED

    def cancel(self, context: RunContext) -> None:
        raise EXPIRED


@pytest.mark.parametrize("outlives_client", [True, False])
def test_client_that_may_ask_no_more_says_that_the_work_goes_on_where_it_does(outlives_client):
    context, _ = run_of()
    with pytest.raises(RunError if outlives_client else ConfigError, match="expired") as caught:
        DrivenRunner(Expired(outlives_client=outlives_client)).follow(context)
    assert ("go on; follow them with: swath wait" in str(caught.value)) == outlives_client


def test_work_that_cannot_be_stopped_when_the_user_interrupts_is_told_to_go_on():
    class Unstoppable(Expired):
        def wait(self, timeout_s: float) -> Mapping[str, Seen]:
            raise KeyboardInterrupt

    context, _ = run_of()
    with pytest.raises(RunError, match=r"expired\. Log in\. The jobs of the run go on"):
        DrivenRunner(Unstoppable(outlives_client=True)).follow(context)


def test_first_split_that_is_refused_is_no_work_that_goes_on():
    class Refusing(ScriptedBackend):
        def start(self, split: RunSplit) -> None:
            raise EXPIRED

    context, _ = run_of()
    with pytest.raises(ConfigError):
        DrivenRunner(Refusing(outlives_client=True)).follow(context)


def test_events_that_workers_tell_themselves_are_not_read():
    context, events = run_of()
    assert DrivenRunner(ScriptedBackend(), reads_events=False).follow(context).succeeded
    assert events == []


def test_runner_asks_its_backend():
    runner = DrivenRunner(ScriptedBackend(parallelism=7))
    context, _ = run_of()
    assert runner.abilities.parallelism == 7
    assert runner.requests(context)[0] == {"split": KEYS[0]}
    assert list(runner.findings(CHAIN)) == []
    assert runner.logs(context, "x") == "log of x"
    assert runner.look(context) == {}
