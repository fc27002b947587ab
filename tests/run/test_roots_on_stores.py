"""Runs whose root is on an object store, by the runners of this machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from swath.errors import ConfigError, DeclarationError, InterruptedRunError
from swath.experiment.arguments import gather
from swath.experiment.config import load_config
from swath.experiment.session import RunResult, run_experiments
from swath.run.earlier import settle_with_earlier_runs
from swath.run.events import Event, EventReader
from swath.run.folder import CANCELLED, OUTCOME, RUN, RunFolder, last_run, runs_of
from swath.run.lease import Holder, in_hand
from swath.run.life import Life, goes_on, take_up, try_again
from swath.run.runner import JobState, Seen
from swath.run.status import RunStatus
from swath.store import open_store
from swath.testing.conformance import Place, RunnerSuite
from swath.testing.diamond import total

# ------------------------------------------------------------------ the suite, where it may differ


class TestLocalOnS3:
    """Make works here, and everything that others are to find lies on the store."""

    @pytest.fixture
    def place(self, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        return Place("local", f"s3://{s3_bucket}/root")

    test_retry = RunnerSuite.test_retry_runs_only_what_failed_and_what_waited
    test_killed_client = RunnerSuite.test_run_of_a_killed_client_is_finished_and_nothing_done_twice
    test_cancel = RunnerSuite.test_cancelled_run_stops_and_the_next_goes_on
    test_logs = RunnerSuite.test_logs_hold_what_the_units_of_a_split_print


class TestInProcessOnS3:
    @pytest.fixture
    def place(self, s3_bucket: str) -> Place:
        return Place("inprocess", f"s3://{s3_bucket}/root", keeps_logs=False)

    test_detached = RunnerSuite.test_detached_run_goes_on_and_is_waited_for
    test_killed_client = RunnerSuite.test_run_of_a_killed_client_is_finished_and_nothing_done_twice


# ------------------------------------------------------------------ in memory, step by step


class Diamond:
    """The diamond in memory, run by the runner `inprocess`."""

    def __init__(self, folder: Path) -> None:
        self.root = f"memory://{uuid4().hex}/root"
        self.faults = folder / "faults"
        self.faults.mkdir()
        self.events: list[Event] = []

    def declared(self) -> list[Any]:
        pairs = [("root_uri", self.root), ("faults", str(self.faults))]
        found = load_config("swath.testing.diamond", runner="inprocess", arguments=gather(pairs))
        return [item.declared for item in found]

    def run(self, **options: Any) -> RunResult:
        self.events.clear()
        return run_experiments(
            self.declared(), "inprocess", splits=3, emit=self.events.append, **options
        )

    def fail(self, unit: str) -> None:
        (self.faults / unit).write_text("fail")

    def mend(self, unit: str) -> None:
        (self.faults / unit).unlink()

    def units(self, what: str = "unit_done") -> Counter[str]:
        events = [e for folder in runs_of(self.root) for e in EventReader(folder).new()]
        return Counter(e.split.partition("-")[0] for e in events if e.what == what)


@pytest.fixture
def diamond(tmp_path: Path) -> Diamond:
    return Diamond(tmp_path)


def test_run_on_a_store_keeps_everything_there_and_is_not_run_twice(diamond: Diamond) -> None:
    result = diamond.run()
    assert result.succeeded
    uri = result.results["diamond"]["total.txt"]
    assert uri.startswith(diamond.root)
    assert open_store(uri).read(uri).decode() == str(total(6))
    (folder,) = runs_of(diamond.root)
    assert folder.uri == result.folder.uri
    assert len(folder.done()) == 10
    status = RunStatus(folder)
    status.update()
    assert status.summary == "done"
    assert {event.split for event in diamond.events} == folder.done()
    outputs = f"{diamond.root}/experiments/diamond/outputs.json"
    assert json.loads(open_store(outputs).read(outputs)) == {"total.txt": uri}
    again = diamond.run()
    assert again.folder is None
    assert again.results == result.results
    assert not [n for n, _ in open_store(diamond.root).list(diamond.root) if "/state/" in n]


def test_retry_on_a_store_does_what_is_left_in_the_same_run(diamond: Diamond) -> None:
    diamond.fail("u4")
    result = diamond.run(keep_going=True)
    assert diamond.units() == {"source": 6, "double": 5, "square": 6}
    (failed,) = result.outcome.failed
    diamond.mend("u4")
    told: list[Event] = []
    outcome = try_again(result.folder, told.append)
    assert outcome.succeeded
    assert diamond.units() == {"source": 6, "double": 6, "square": 6, "join": 1}
    started = [e.split for e in told if e.what == "started"]
    assert [key.partition("-")[0] for key in started] == ["double", "join"]
    assert started[0] == failed
    assert try_again(result.folder) == outcome
    assert diamond.units() == {"source": 6, "double": 6, "square": 6, "join": 1}
    assert sorted(take_up(result.folder).done) == sorted(outcome.done)


def test_run_that_was_broken_off_is_finished_by_who_waits(diamond: Diamond) -> None:
    """As a client leaves it that was killed: begun, and without an end."""
    diamond.fail("u4")
    folder = diamond.run().folder
    folder.remove(OUTCOME)
    diamond.mend("u4")
    assert not goes_on(folder)
    assert take_up(folder).succeeded
    assert diamond.units()["double"] == 6
    assert folder.read(OUTCOME)["failed"] == {}


def test_run_that_was_stopped_says_so_to_every_client(diamond: Diamond) -> None:
    diamond.fail("u0")
    folder = diamond.run().folder
    folder.remove(OUTCOME)
    folder.write(CANCELLED, {})
    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            take_up(folder)
    diamond.mend("u0")
    assert try_again(folder).succeeded


def test_run_that_somebody_has_in_hand_is_not_run_beside_them(diamond: Diamond) -> None:
    folder = diamond.run().folder
    folder.remove(OUTCOME)
    pipelines = diamond.declared()
    assert last_run(pipelines[0]).uri == folder.uri
    with in_hand(folder), pytest.raises(DeclarationError, match="'diamond' is being run now"):
        settle_with_earlier_runs(pipelines)
    earlier = settle_with_earlier_runs(pipelines)
    assert (earlier.ended, earlier.going_on) == ([], [])


def test_retry_of_what_another_client_follows_is_refused(diamond: Diamond) -> None:
    diamond.fail("u0")
    folder = diamond.run().folder
    with in_hand(folder), pytest.raises(ConfigError, match="still going on"):
        try_again(folder)


def test_run_of_a_service_goes_on_until_its_end_is_written_or_seen() -> None:
    """Nobody has to be there for it; the backend knows, if it is asked."""
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    assert not goes_on(folder)
    folder.write(RUN, {"runner": "batch", "settings": {}, "keep_going": False})
    assert goes_on(folder)
    running, done = Seen(JobState.RUNNING), Seen(JobState.DONE)
    assert goes_on(folder, {"a": done, "b": running})
    assert not goes_on(folder, {"a": done, "b": Seen(JobState.GONE)})
    with in_hand(folder):
        assert goes_on(folder, {"a": done})
    folder.write(OUTCOME, {})
    assert not goes_on(folder)


def test_run_that_does_not_say_who_has_it_is_told_as_too_old(diamond: Diamond) -> None:
    folder = diamond.run().folder
    folder.remove(RUN)
    with pytest.raises(ConfigError, match="does not say which runner has it"):
        Life.of(folder)


def test_lease_of_a_client_is_written_in_its_run(diamond: Diamond) -> None:
    folder = diamond.run().folder
    with in_hand(folder):
        assert Holder(**folder.read("client.json")).token
    assert folder.read("client.json") is None
