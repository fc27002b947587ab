"""The status of a run, told from its events and its end."""

from __future__ import annotations

import pytest

from swath.run.events import Event, EventWriter
from swath.run.folder import OUTCOME
from swath.run.lease import in_hand
from swath.run.prepare import write_run
from swath.run.runner import Abilities, Cause, JobState, Seen
from swath.run.status import UNTOLD, RunStatus, SplitState
from swath.settings import load_settings


def test_status_follows_the_events_of_a_run(lab):
    copy = lab.copies("abc", function="tell")
    result = lab.run(lab.pipeline(copy, lab.joined(copy)))
    status = RunStatus(result.folder)
    status.update()
    assert status.summary == "done"
    assert status.experiments == ["one"]
    assert {kind: dict(counts) for kind, counts in status.counts().items()} == {
        "tell": {SplitState.DONE: 1},
        "join": {SplitState.DONE: 1},
    }
    first = next(iter(status.splits.values()))
    assert (first.n_units, first.n_done) == (3, 3)
    assert first.progress == ("c", 3, 3)
    assert first.numbers == {"loss": 0.5}
    assert first.memory > 0


def test_status_of_a_retry_starts_from_what_was_skipped(lab):
    pipeline = lab.pipeline(lab.copies("ab"))
    status = RunStatus(lab.run(pipeline).folder)
    (split,) = status.splits.values()
    for what, data in (
        ("started", {}),
        ("unit_failed", {"unit": "a", "error": "E", "traceback": "T"}),
        ("failed", {"error": "1 of 2 units failed"}),
    ):
        split.take(Event(1.0, split.key, what, data))
    assert (split.state, split.error) == (SplitState.FAILED, "E")
    split.take(Event(2.0, split.key, "started", {}))
    split.take(Event(2.0, split.key, "unit_skipped", {"unit": "b"}))
    assert (split.state, split.n_done, split.error) == (SplitState.RUNNING, 1, "")


# ------------------------------------------------------------------ what the events do not tell


@pytest.fixture
def run(lab):
    """The folder of a run of four splits of which nothing was told, and their keys."""
    made = lab.plan(lab.pipeline(lab.copies("abcd")), splits=4)
    settings = load_settings(environment={})
    folder = write_run(
        made, runner="local", settings=settings, keep_going=False, abilities=Abilities()
    )
    return folder, [split.key for split in made.splits]


def test_split_with_its_mark_is_done_though_its_events_were_lost(run):
    folder, keys = run
    writer = EventWriter(folder, keys[0])
    writer.write("started", pid=1)
    writer.write("unit_failed", unit="a", error="E", traceback="T")
    writer.write("failed", error="E")
    writer.close()
    for key in keys:
        folder.mark_done(key)
    status = RunStatus(folder)
    status.update()
    assert status.summary == "done"
    assert [(s.n_done, s.error, s.failures) for s in status.splits.values()] == [(1, "", [])] * 4


def test_backend_tells_what_splits_could_not_tell_themselves(run):
    folder, keys = run
    writer = EventWriter(folder, keys[0])
    writer.write("started", pid=1)
    writer.close()
    seen = {
        keys[0]: Seen(JobState.RUNNING, "on node 7"),
        keys[1]: Seen(JobState.FAILED, "OutOfMemory", Cause.MEMORY),
        keys[2]: Seen(JobState.WAITING, "no machine has 9 GPUs"),
        keys[3]: Seen(JobState.GONE, "what it waits for failed", Cause.UPSTREAM),
    }
    with in_hand(folder):
        status = RunStatus(folder)
        status.update(seen)
    assert status.summary == "running"
    assert [(split.state, split.error) for split in status.splits.values()] == [
        (SplitState.RUNNING, ""),
        (SplitState.FAILED, "OutOfMemory"),
        (SplitState.WAITING, "no machine has 9 GPUs"),
        (SplitState.WAITING, "what it waits for failed"),
    ]


def test_end_of_a_run_tells_why_splits_failed_that_said_nothing(run):
    folder, keys = run
    writer = EventWriter(folder, keys[3])
    writer.write("started", pid=1)
    writer.close()
    failed = {keys[0]: "exit code 137", keys[1]: ""}
    folder.write(OUTCOME, {"failed": failed, "waiting": {keys[2]: "never started"}})
    status = RunStatus(folder)
    status.update()
    assert status.summary == "failed"
    assert [(split.state, split.error) for split in status.splits.values()] == [
        (SplitState.FAILED, "exit code 137"),
        (SplitState.FAILED, UNTOLD),
        (SplitState.WAITING, "never started"),
        (SplitState.STOPPED, ""),
    ]
