"""Submitting: nothing twice whoever is killed, and what is submitted again and what is not.

The backend is scripted and in memory; folders, rounds and events are the real ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from swath.errors import (
    ConfigError,
    InterruptedRunError,
    RefusedError,
    RunError,
    ThrottledError,
)
from swath.plan.command import Resources
from swath.run.events import Event, EventWriter
from swath.run.folder import CANCELLED, RunFolder
from swath.run.interrupt import stopped
from swath.run.jobs import Job
from swath.run.rounds import ids_of, last_round
from swath.run.runner import Abilities, Cause, Finding, JobState, RunContext, Seen
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import load_settings

# ------------------------------------------------------------------ a backend in memory

WORK, MEMORY, RECLAIMED = (
    Seen(JobState.FAILED, f"told to fail: {cause}", cause)
    for cause in (Cause.WORK, Cause.MEMORY, Cause.RECLAIMED)
)
LAZY = Seen(JobState.DONE, "exit code 0")
NEVER = Seen(JobState.GONE, "no machine has so much")
_WAITING, _RUNNING, _DONE = (Seen(s) for s in (JobState.WAITING, JobState.RUNNING, JobState.DONE))


@dataclass
class Submitted:
    """A job as the service has it, with what became of its elements; a relay has one."""

    job: Job
    after: list[tuple[str, bool]]
    elements: list[Seen]


@dataclass
class Service:
    """A scheduler: every look at it takes each element one step further.

    Parameters
    ----------
    script
        Key of a split to what becomes of it, each time it is run; done once the list is empty.
    """

    folder: RunFolder
    script: dict[str, list[Seen]] = field(default_factory=dict)
    jobs: dict[str, Submitted] = field(default_factory=dict)
    holds: bool = False
    cancelled: list[bool] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [item.job.name for item in self.jobs.values()]

    @property
    def keys(self) -> list[list[str]]:
        """Return the splits of each round."""
        rounds: dict[str, list[str]] = {}
        for item in self.jobs.values():
            number = item.job.name.removeprefix(self.folder.id).split("-")[1]
            rounds.setdefault(number, []).extend(item.job.splits)
        return [sorted(keys) for keys in rounds.values()]

    def take(self, job: Job, known: Mapping[str, str]) -> str:
        number = f"id-{len(self.jobs)}"
        after = [(known[edge.job], edge.is_each) for edge in job.after]
        self.jobs[number] = Submitted(job, after, [_WAITING] * max(len(job.splits), 1))
        return number

    def step(self) -> None:
        for item in self.jobs.values():
            for n, seen in enumerate(item.elements):
                if not seen.has_ended:
                    item.elements[n] = self._next(item, n, seen)

    def _next(self, item: Submitted, n: int, seen: Seen) -> Seen:
        if seen.state is JobState.RUNNING:
            return seen if self.holds else self._end(item, n)
        before = [
            state
            for job_id, is_each in item.after
            for state in (
                self.jobs[job_id].elements[n : n + 1] if is_each else self.jobs[job_id].elements
            )
        ]
        if any(state.state in {JobState.FAILED, JobState.GONE} for state in before):
            return Seen(JobState.GONE, "what it waits for failed", Cause.UPSTREAM)
        return _RUNNING if all(state.state is JobState.DONE for state in before) else _WAITING

    def _end(self, item: Submitted, n: int) -> Seen:
        if item.job.is_relay:
            return _DONE
        key = item.job.splits[n]
        if told := self.script.get(key):
            return told.pop(0)
        assert key not in self.folder.done(), "done twice"
        writer = EventWriter(self.folder, key)
        writer.write("done")
        writer.close()
        self.folder.mark_done(key)
        return _DONE


class ScriptedBackend:
    """The backend of one client of a `Service`."""

    def __init__(self, service: Service, **abilities: Any) -> None:
        self.service = service
        self.abilities = Abilities(
            **{"poll_s": 0.001, "outlives_client": True, "array_size": 100, "memory_gib": 3.0}
            | {"has_array_edges": True, "max_after": 4}
            | abilities
        )
        self.cannot_answer = 0

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        yield from ()

    def requests(self, context: RunContext, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        return [job.to_json() for job in jobs]

    def find(self, context: RunContext, names: Collection[str]) -> dict[str, str]:
        found = {item.job.name: number for number, item in self.service.jobs.items()}
        return {name: found[name] for name in names if name in found}

    def submit(
        self, context: RunContext, jobs: Sequence[Job], known: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        ids = dict(known)
        for job in jobs:
            ids[job.name] = self.service.take(job, ids)
            yield job.name, ids[job.name]

    def look(
        self, context: RunContext, jobs: Sequence[Job], ids: Mapping[str, str]
    ) -> dict[str, Seen]:
        if self.cannot_answer:
            self.cannot_answer -= 1
            raise ThrottledError("slow down")
        self.service.step()
        return {
            key: self.service.jobs[ids[job.name]].elements[n]
            for job in jobs
            for n, key in enumerate(job.splits)
        }

    def cancel(
        self,
        context: RunContext,
        jobs: Sequence[Job],
        ids: Mapping[str, str],
        *,
        only_waiting: bool,
    ) -> None:
        self.service.cancelled.append(only_waiting)
        ended = {JobState.WAITING} if only_waiting else {JobState.WAITING, JobState.RUNNING}
        for job in jobs:
            item = self.service.jobs[ids[job.name]]
            for n, seen in enumerate(item.elements):
                if seen.state in ended:
                    item.elements[n] = Seen(JobState.GONE, "cancelled")

    def logs(self, context: RunContext, ids: Mapping[str, str], job: Job, key: str) -> str:
        return f"{ids[job.name]} {key}"


# ------------------------------------------------------------------ runs of it


def split(node: str, number: int, *upstream: int, memory_gib: float | None = 8.0) -> RunSplit:
    key = f"{node}-{number:05d}"
    return RunSplit(key, node, node, 1, key * 2, Resources(memory_gib=memory_gib), upstream)


CHAIN = (
    *(split("chip", n) for n in range(4)),
    split("train", 0, 0, 1, 2, 3, memory_gib=None),
    *(split("predict", n, 4) for n in range(3)),
    *(split("smooth", n, 5 + n) for n in range(3)),
)
KEYS = sorted(item.key for item in CHAIN)
AFTER_TRAIN = [key for key in KEYS if not key.startswith(("chip", "train"))]


class Run:
    """A run of some splits on a service; every client is another one."""

    def __init__(self, splits: Sequence[RunSplit] = CHAIN, *overrides: str, **options: Any) -> None:
        self.folder = RunFolder.create(f"memory://{uuid4().hex}/root")
        self.service = Service(self.folder, options.pop("script", {}))
        self.events: list[Event] = []
        self.context = RunContext(
            self.folder,
            tuple(splits),
            load_settings(overrides, environment={}),
            options.pop("keep_going", False),
            self.events.append,
        )
        self.abilities = options

    @property
    def backend(self) -> ScriptedBackend:
        return ScriptedBackend(self.service, **self.abilities)

    @property
    def client(self) -> SubmittedRunner:
        return SubmittedRunner(self.backend)

    def memory(self, key: str) -> list[float | None]:
        """Return the GiB of each try of a split."""
        jobs = (item.job for item in self.service.jobs.values())
        return [job.resources.memory_gib for job in jobs if key in job.splits]


def test_graph_is_submitted_as_arrays_and_followed_to_its_end():
    run = Run()
    outcome = run.client.follow(run.context)
    assert outcome.succeeded
    assert sorted(outcome.done) == KEYS
    assert [len(item.job.splits) for item in run.service.jobs.values()] == [4, 1, 3, 3]
    assert sorted(event.split for event in run.events) == KEYS
    now = last_round(run.folder)
    assert ids_of(run.folder, now.jobs) == {
        name: f"id-{n}" for n, name in enumerate(run.service.names)
    }


def test_requests_of_a_run_are_told_without_writing_or_sending():
    run = Run()
    told = run.client.requests(run.context)
    assert [request["kind"] for request in told] == ["chip", "train", "predict", "smooth"]
    assert last_round(run.folder) is None
    assert run.client.look(run.context) == {}
    assert run.client.logs(run.context, KEYS[0]) == ""
    run.client.cancel(run.context)
    assert run.service.jobs == {}


def test_logs_are_asked_of_the_last_job_of_a_split():
    run = Run(script={"train-00000": [RECLAIMED]})
    run.client.follow(run.context)
    assert run.client.logs(run.context, "train-00000") == "id-4 train-00000"
    assert run.client.look(run.context)["train-00000"].state is JobState.DONE


# ------------------------------------------------------------------ clients that are killed


class Killed(BaseException):
    """What kills a client; nothing on the way takes it for an error."""


class Mortal:
    """Something whose methods work until a number of calls was made of all of them together."""

    def __init__(self, inner: Any, life: list[int]) -> None:
        self._inner, self._life = inner, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._live()
            result = found(*arguments, **options)
            self._live()
            return self._each(result) if isinstance(result, Iterator) else result

        return call

    def _each(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self._live()  # the service has taken a job, and nobody has noted its id
            yield item

    def _live(self) -> None:
        self._life[0] -= 1
        if self._life[0] < 0:
            raise Killed


@pytest.mark.parametrize("script", [{}, {"train-00000": [MEMORY], "chip-00001": [RECLAIMED]}])
def test_client_killed_at_any_moment_leaves_nothing_to_be_submitted_twice(script):
    for moment in range(10_000):
        run = Run(script={key: list(told) for key, told in script.items()}, max_after=2)
        life = [moment]
        folder = RunFolder(run.folder.uri)
        folder.store = Mortal(folder.store, life)
        victim = SubmittedRunner(Mortal(run.backend, life))
        context = RunContext(folder, CHAIN, run.context.settings, False, lambda event: None)
        try:
            victim.start(context)
            victim.follow(context)
        except Killed:
            was_killed = True
        else:
            was_killed = False
        assert run.client.follow(run.context).succeeded
        assert set(Counter(run.service.names).values()) == {1}
        assert run.memory("train-00000") == ([None, None, 6.0] if script else [None])
        run.folder.store.delete(run.folder.root)
        if not was_killed:
            break
    assert moment > 100


def test_client_killed_again_and_again_keeps_to_the_limits():
    run = Run(script={"chip-00002": [RECLAIMED] * 100})
    for moment in range(0, 400, 7):
        life = [moment]
        folder = RunFolder(run.folder.uri)
        folder.store = Mortal(folder.store, life)
        context = RunContext(folder, CHAIN, run.context.settings, False, lambda event: None)
        try:
            SubmittedRunner(Mortal(run.backend, life)).follow(context)
        except Killed:
            continue
    assert run.client.follow(run.context).failed == ("chip-00002",)
    assert len(run.memory("chip-00002")) == 6  # once, and the five times of the setting


def test_round_that_another_client_has_written_is_left_to_it():
    run = Run(script={"train-00000": [RECLAIMED]})

    class Late(ScriptedBackend):
        """A backend whose client sleeps while the others go on."""

        def look(self, *arguments: Any) -> dict[str, Seen]:
            seen = super().look(*arguments)
            if any(item.cause is Cause.RECLAIMED for item in seen.values()):
                run.service.holds = True
                run.client.start(run.context)
            return seen

    with pytest.raises(RunError, match="another client goes on") as caught:
        SubmittedRunner(Late(run.service)).follow(run.context)
    assert f"swath wait {run.folder.uri}" in str(caught.value)
    assert set(Counter(run.service.names).values()) == {1}


def test_start_of_what_is_on_its_way_does_nothing():
    run = Run()
    run.service.holds = True
    for _ in range(3):
        run.client.start(run.context)
    assert len(run.service.names) == 4


# ------------------------------------------------------------------ what is submitted again


def test_what_ran_out_of_memory_gets_twice_as_much_with_what_waited_for_it():
    run = Run(script={"chip-00001": [MEMORY], "train-00000": [MEMORY, MEMORY]})
    assert run.client.follow(run.context).succeeded
    behind = ["train-00000", *AFTER_TRAIN]
    assert run.service.keys == [
        KEYS,
        sorted(["chip-00001", *behind]),
        sorted(behind),
        sorted(behind),
    ]
    assert run.memory("chip-00001") == [8.0, 16.0]
    assert run.memory("chip-00002") == [8.0]
    assert run.memory("train-00000") == [None, None, 6.0, 12.0]  # 3: what the backend gives
    assert set(run.memory("predict-00000")) == {8.0}


@pytest.mark.parametrize(
    ("told", "overrides", "n_tries"),
    [
        (MEMORY, [], 3),
        (MEMORY, ["run.memory_retries=4"], 5),
        (RECLAIMED, [], 6),
        (RECLAIMED, ["run.reclaim_retries=1"], 2),
        (WORK, ["run.reclaim_retries=9", "run.memory_retries=9"], 1),
    ],
)
def test_each_cause_is_tried_again_as_often_as_its_setting_says(told, overrides, n_tries):
    run = Run(CHAIN, *overrides, script={"chip-00003": [told] * 99})
    outcome = run.client.follow(run.context)
    assert outcome.failed == ("chip-00003",)
    assert outcome.causes == {"chip-00003": told.cause}
    assert outcome.reasons["chip-00003"] == told.reason
    assert sorted(outcome.waiting) == sorted(["train-00000", *AFTER_TRAIN])
    assert outcome.reasons["train-00000"] == "what it waits for failed"
    assert len(run.memory("chip-00003")) == n_tries


def test_failure_stops_what_waits_and_lets_finish_what_runs():
    late = (*CHAIN, split("other", 0), split("after", 0, len(CHAIN)))
    run = Run(late, script={"chip-00000": [WORK], "other-00000": [_RUNNING] * 3})
    outcome = run.client.follow(run.context)
    assert run.service.cancelled == [True]
    assert "other-00000" in outcome.done
    assert outcome.reasons["after-00000"] == "cancelled"
    assert run.service.keys == [sorted(item.key for item in late)]


def test_failure_of_the_work_is_not_tried_again_to_keep_others_going():
    run = Run(
        script={"predict-00001": [WORK, WORK], "predict-00000": [RECLAIMED, MEMORY]},
        keep_going=True,
    )
    outcome = run.client.follow(run.context)
    assert outcome.failed == ("predict-00001",)
    assert outcome.waiting == ("smooth-00001",)
    assert outcome.reasons["predict-00001"] == WORK.reason
    assert run.service.keys[1:] == [["predict-00000", "smooth-00000"]] * 2


def test_what_went_down_with_its_array_is_started_when_the_user_keeps_going():
    """Above the limit of arrays all consumers wait for all producers, and fall with one."""
    blocks = [split("block", n) for n in range(80)]
    scenes = [split("scene", n, 2 * n, 2 * n + 1) for n in range(40)]
    whole = split("whole", 0, *range(80, 120))
    run = Run([*blocks, *scenes, whole], script={"block-00003": [WORK]}, keep_going=True)
    outcome = run.client.follow(run.context)
    assert outcome.failed == ("block-00003",)
    assert outcome.waiting == ("scene-00001", "whole-00000")
    assert run.service.keys[1] == [f"scene-{n:05d}" for n in range(40) if n != 1]
    assert len(run.service.keys) == 2


def test_what_can_never_start_is_tried_once_more_and_then_given_up():
    run = Run(script={"train-00000": [NEVER] * 99})
    outcome = run.client.follow(run.context)
    assert outcome.failed == ()
    assert outcome.reasons["train-00000"] == NEVER.reason
    assert len(run.memory("train-00000")) == 2


def test_job_that_ends_well_without_doing_its_work_has_failed_and_says_so():
    run = Run(script={"train-00000": [LAZY]})
    outcome = run.client.follow(run.context)
    assert "train-00000" in outcome.failed
    assert outcome.reasons["train-00000"].startswith("exit code 0 its job ended well, and its work")


def test_split_that_is_done_though_its_job_failed_is_done():
    run = Run(script={"chip-00000": [WORK]}, keep_going=True)
    run.service.holds = True
    run.client.start(run.context)
    run.folder.mark_done("chip-00000")
    run.service.holds = False
    assert run.client.follow(run.context).succeeded


def test_backend_that_cannot_answer_does_not_end_a_run_and_is_told_of_once(caplog):
    run = Run()
    backend = run.backend
    backend.cannot_answer = 5
    assert SubmittedRunner(backend).follow(run.context).succeeded
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "the jobs go on, and are asked after again soon"
    ]


EXPIRED = ConfigError("the credentials have expired.", mend="Log in.")


def test_client_that_may_ask_no_more_says_that_the_jobs_go_on_and_the_next_one_follows_them():
    run = Run()

    class Expired(ScriptedBackend):
        def look(self, *arguments: Any) -> dict[str, Seen]:
            raise EXPIRED

    with pytest.raises(RunError, match=r"expired\. Log in\. The jobs of the run go on") as caught:
        SubmittedRunner(Expired(run.service)).follow(run.context)
    assert f"swath wait {run.folder.uri}" in str(caught.value)
    assert caught.value.__cause__ is EXPIRED
    assert run.service.cancelled == []
    assert run.client.follow(run.context).succeeded
    assert set(Counter(run.service.names).values()) == {1}


@pytest.mark.parametrize("n_submitted", range(3))
def test_submission_that_is_refused_is_told_as_such_and_may_be_gone_on_with(n_submitted):
    run = Run()

    class Expiring(ScriptedBackend):
        def submit(self, *arguments: Any) -> Iterator[tuple[str, str]]:
            for number, pair in enumerate(super().submit(*arguments)):
                if number == n_submitted:
                    raise EXPIRED
                yield pair

    with pytest.raises(RefusedError, match=r"expired\. Log in\.$") as caught:
        SubmittedRunner(Expiring(run.service)).follow(run.context)
    assert caught.value.__cause__ is EXPIRED
    assert run.client.follow(run.context).succeeded
    assert set(Counter(run.service.names).values()) == {1}


# ------------------------------------------------------------------ stopping, and trying again


def test_mark_of_another_process_stops_everything():
    run = Run()
    run.service.holds = True
    run.client.start(run.context)
    run.folder.write(CANCELLED, {})
    with pytest.raises(InterruptedRunError):
        run.client.follow(run.context)
    assert run.service.cancelled == [False]
    assert all(seen.has_ended for item in run.service.jobs.values() for seen in item.elements)


def test_interrupt_stops_everything():
    run = Run()
    run.service.holds = True

    class Interrupted(ScriptedBackend):
        def look(self, *arguments: Any) -> dict[str, Seen]:
            super().look(*arguments)
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match=stopped().what):
        SubmittedRunner(Interrupted(run.service)).follow(run.context)
    assert run.service.cancelled == [False]
    assert all(seen.has_ended for item in run.service.jobs.values() for seen in item.elements)


def test_retry_is_a_round_of_what_failed_and_what_waited_with_more_memory():
    script = {"chip-00000": [WORK], "chip-00001": [MEMORY] * 3}
    run = Run(script=script, keep_going=True)
    assert sorted(run.client.follow(run.context).failed) == ["chip-00000", "chip-00001"]
    run.client.start(run.context)
    assert run.client.follow(run.context).succeeded
    assert run.service.keys[-1] == sorted(["chip-00000", "chip-00001", "train-00000", *AFTER_TRAIN])
    assert run.memory("chip-00000") == [8.0, 8.0]
    assert run.memory("chip-00001") == [8.0, 16.0, 32.0, 64.0]


@pytest.mark.parametrize("n_submitted", range(5))
def test_retry_of_what_was_cancelled_while_it_was_submitted_does_all_that_is_left(n_submitted):
    run = Run()
    run.service.holds = True

    class Dying(ScriptedBackend):
        def submit(self, *arguments: Any) -> Iterator[tuple[str, str]]:
            for number, pair in enumerate(super().submit(*arguments)):
                if number == n_submitted:
                    raise Killed
                yield pair

    with pytest.raises(Killed) if n_submitted < 4 else pytest.raises(AssertionError):
        SubmittedRunner(Dying(run.service)).start(run.context)
        assert n_submitted < 4
    run.client.cancel(run.context)
    run.service.holds = False
    run.client.start(run.context)
    assert run.client.follow(run.context).succeeded
    assert sorted(run.folder.done()) == KEYS


def test_round_is_written_as_json_that_people_can_read():
    run = Run(script={"chip-00001": [MEMORY], "chip-00002": [WORK]}, keep_going=True)
    run.client.follow(run.context)
    text = run.folder.store.read(run.folder.place("rounds", "0001.json"))
    data = json.loads(text)
    assert data["memory"] == {"chip-00001": 16.0}
    assert data["tries"] == {"chip-00001": {"memory": 1}}
    assert data["given_up"]["chip-00002"] == {
        "state": "failed",
        "reason": WORK.reason,
        "cause": "work",
    }
