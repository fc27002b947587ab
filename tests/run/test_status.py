"""The status of a run, told from its events and its end."""

from __future__ import annotations

from swath.run.events import Event
from swath.run.status import RunStatus, SplitState


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
