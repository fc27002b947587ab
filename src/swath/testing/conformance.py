"""What every runner does alike: the specification of a new one, as a suite for pytest.

Subclass `RunnerSuite` in a test module, and give it a fixture `place` that says how the runner is
reached::

    class TestMine(RunnerSuite):
        @pytest.fixture
        def place(self, tmp_path):
            return Place("mine", f"{tmp_path}/root", settings=("mine.address=...",))

Workers must see the folder `tmp_path`, in which the units of the diamond are told to misbehave.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swath.errors import DeclarationError
from swath.run.events import Event, EventReader
from swath.run.folder import RunFolder, runs_of
from swath.run.status import RunStatus
from swath.store import open_store
from swath.testing.diamond import total

PATIENCE_S = 90.0
"""What has not happened by then does not happen."""

LONGEST_S = 3600.0
"""No command takes longer; a run of 1,000 splits takes some minutes on two cores."""


@dataclass(frozen=True)
class Place:
    """Where a runner is tried.

    Attributes
    ----------
    runner, root_uri
        As they are given on the command line.
    settings
        ``name=value`` each.
    runs_gpus
        False if a unit that asks for a GPU is refused there.
    keeps_logs
        False if what units print goes to the terminal of the client.
    n_many
        Splits of the test of many.
    """

    runner: str
    root_uri: str
    settings: tuple[str, ...] = ()
    runs_gpus: bool = True
    keeps_logs: bool = True
    n_many: int = 100


@dataclass
class Diamond:
    """The diamond of `swath.testing.diamond` in a place, driven through the command line."""

    place: Place
    faults: Path
    n: int = 6
    clients: list[subprocess.Popen[str]] = field(default_factory=list)

    def tell(self, unit: str, fault: str) -> None:
        """Tell a unit to misbehave."""
        (self.faults / unit).write_text(fault)

    def mend(self, unit: str) -> None:
        """Tell a unit to do its work again."""
        (self.faults / unit).unlink()

    def start(self, *words: str, splits: int = 3, n_gpus: int = 0) -> subprocess.Popen[str]:
        """Start ``swath run`` with further words, as a process."""
        return self._swath(
            "run",
            self.place.runner,
            "swath.testing.diamond",
            *("-a", "root_uri", self.place.root_uri, "-a", "faults", str(self.faults)),
            *("-a", "n", str(self.n), "-a", "n_gpus", str(n_gpus), "--splits", str(splits)),
            *(word for setting in self.place.settings for word in ("--set", setting)),
            *words,
        )

    def run(self, *words: str, **options: Any) -> tuple[int, str]:
        """Run to the end; return exit code and all that was said."""
        return self._end(self.start(*words, **options))

    def swath(self, *words: str) -> tuple[int, str]:
        """Run another command of Swath to its end."""
        return self._end(self._swath(*words))

    def _swath(self, *words: str) -> subprocess.Popen[str]:
        client = subprocess.Popen(
            [sys.executable, "-m", "swath", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.clients.append(client)
        return client

    def _end(self, client: subprocess.Popen[str]) -> tuple[int, str]:
        said, _ = client.communicate(timeout=LONGEST_S)
        return client.returncode, said

    @property
    def folder(self) -> RunFolder:
        """The last run."""
        return list(runs_of(self.place.root_uri))[-1]

    def events(self) -> list[Event]:
        """Return all events of the last run."""
        return list(EventReader(self.folder).new())

    def units_done(self) -> Counter[str]:
        """Count the units that were done in the last run, by kind."""
        return Counter(kind_of(e.split) for e in self.events() if e.what == "unit_done")

    def total(self) -> str | None:
        """Return what the diamond adds up to; None if it is not there."""
        place = f"{self.place.root_uri}/experiments/diamond/outputs.json"
        uri = json.loads(open_store(place).read(place))["total.txt"]
        store = open_store(uri)
        return store.read(uri).decode() if store.exists(uri) else None

    def wait_until_hanging(self, unit: str) -> None:
        """Return when a unit that was told to hang does."""
        until((self.faults / f"{unit}.hangs").exists, f"{unit} hangs")

    def end(self) -> None:
        """Let nothing hang and end every client, whatever happened."""
        for told in self.faults.iterdir():
            told.unlink()
        for client in self.clients:
            if client.poll() is None:
                client.kill()
            client.communicate()


def kind_of(split: str) -> str:
    """Return the kind of command of a split."""
    return split.partition("-")[0]


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fail if it does not in time."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)


@contextmanager
def diamond_in(place: Place, tmp_path: Path, n: int = 6) -> Iterator[Diamond]:
    """Make a diamond; whatever it started is ended."""
    faults = tmp_path / "faults"
    faults.mkdir()
    made = Diamond(place, faults, n)
    try:
        yield made
    finally:
        made.end()


class RunnerSuite:
    """Tests of one runner, given a fixture `place`; all of them are to pass."""

    def test_diamond_runs_in_order_over_splits_and_once(self, place: Place, tmp_path: Path) -> None:
        """A second run finds everything done, and starts nothing."""
        with diamond_in(place, tmp_path) as diamond:
            code, said = diamond.run()
            assert code == 0, said
            assert diamond.total() == str(total(6))
            splits = Counter(kind_of(item["key"]) for item in diamond.folder.read_plan()["splits"])
            assert splits == {"source": 3, "double": 3, "square": 3, "join": 1}
            assert diamond.units_done() == {"source": 6, "double": 6, "square": 6, "join": 1}
            _assert_order(diamond)
            code, said = diamond.run()
            assert code == 0, said
            assert len(list(runs_of(place.root_uri))) == 1

    def test_failed_unit_fails_its_dependants_and_keeps_its_traceback(
        self, place: Place, tmp_path: Path
    ) -> None:
        """What waits for it never starts; `status` says why."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u4", "fail")
            code, said = diamond.run()
            assert code == 1, said
            assert "u4 was told to fail" in said
            assert diamond.total() is None
            assert "join" not in diamond.units_done()
            failures = [e for e in diamond.events() if e.what == "unit_failed"]
            assert [e.data["unit"] for e in failures] == ["u4"]
            assert "Traceback" in failures[0].data["traceback"]
            code, said = diamond.swath("status", diamond.folder.uri)
            assert "failed: double u4: u4 was told to fail." in said

    def test_keep_going_finishes_what_does_not_depend_on_the_failure(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Every unit but the one that fails, and what reads it."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u4", "fail")
            code, said = diamond.run("--keep-going")
            assert code == 1, said
            assert diamond.units_done() == {"source": 6, "double": 5, "square": 6}

    def test_retry_runs_only_what_failed_and_what_waited(
        self, place: Place, tmp_path: Path
    ) -> None:
        """In the same run; nothing that was done is done again."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u4", "fail")
            diamond.run("--keep-going")
            diamond.mend("u4")
            code, said = diamond.swath("retry", diamond.folder.uri)
            assert code == 0, said
            assert diamond.units_done() == {"source": 6, "double": 6, "square": 6, "join": 1}
            assert diamond.total() == str(total(6))

    def test_second_run_does_only_what_is_left(self, place: Place, tmp_path: Path) -> None:
        """In a new run."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u4", "fail")
            diamond.run("--keep-going")
            diamond.mend("u4")
            code, said = diamond.run()
            assert code == 0, said
            assert diamond.units_done() == {"double": 1, "join": 1}
            assert diamond.total() == str(total(6))

    def test_cancelled_run_stops_and_the_next_goes_on(self, place: Place, tmp_path: Path) -> None:
        """Cancelled by another process than the one that follows it."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start()
            diamond.wait_until_hanging("u1")
            code, said = diamond.swath("cancel", diamond.folder.uri)
            assert (code, "was stopped" in said) == (0, True), said
            assert client.wait(PATIENCE_S) == 130
            status = RunStatus(diamond.folder)
            status.update()
            assert status.summary == "stopped"
            done = diamond.units_done()
            assert "join" not in done
            diamond.mend("u1")
            code, said = diamond.run()
            assert code == 0, said
            # A unit that was stopped on its way is done again, a finished one is not.
            assert diamond.units_done()["source"] == 6 - done["source"]
            assert diamond.total() == str(total(6))

    def test_run_of_a_killed_client_is_finished_and_nothing_done_twice(
        self, place: Place, tmp_path: Path
    ) -> None:
        """By the next one, in the same run or a new one, as the runner can."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start()
            diamond.wait_until_hanging("u1")
            os.kill(client.pid, signal.SIGKILL)
            client.wait()
            diamond.mend("u1")
            code, said = diamond.run()
            assert code == 0, said
            assert diamond.total() == str(total(6))
            done: Counter[tuple[str, str]] = Counter()
            for folder in runs_of(place.root_uri):
                for event in EventReader(folder).new():
                    if event.what == "unit_done":
                        done[kind_of(event.split), event.data["unit"]] += 1
            assert set(done.values()) == {1}
            assert len(done) == 19

    def test_detached_run_goes_on_and_is_waited_for(self, place: Place, tmp_path: Path) -> None:
        """The command line returns at once; `wait` has the exit code of the run."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u1", "hang")
            code, said = diamond.run("--detach")
            assert (code, "goes on by itself" in said) == (0, True), said
            diamond.wait_until_hanging("u1")
            code, said = diamond.swath("status", diamond.folder.uri)
            assert "running" in said, said
            diamond.mend("u1")
            code, said = diamond.swath("wait", diamond.folder.uri)
            assert code == 0, said
            assert diamond.total() == str(total(6))

    def test_detached_run_is_cancelled(self, place: Place, tmp_path: Path) -> None:
        """By a process that has never seen it; the next run goes on."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u1", "hang")
            code, said = diamond.run("--detach")
            assert code == 0, said
            diamond.wait_until_hanging("u1")
            code, said = diamond.swath("cancel", diamond.folder.uri)
            assert (code, "was stopped" in said) == (0, True), said
            code, said = diamond.swath("wait", diamond.folder.uri)
            assert code == 130, said
            diamond.mend("u1")
            code, said = diamond.run()
            assert code == 0, said
            assert diamond.total() == str(total(6))

    def test_killed_worker_loses_only_the_unit_it_was_at(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Its split fails or is started again, as the runner can; a second run completes it."""
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u3", "kill")
            code, said = diamond.run("--keep-going")
            if code != 0:
                assert "double" in said
                code, said = diamond.run()
            assert code == 0, said
            assert diamond.total() == str(total(6))
            sources = Counter(
                event.data["unit"]
                for folder in runs_of(place.root_uri)
                for event in EventReader(folder).new()
                if event.what == "unit_done" and kind_of(event.split) == "source"
            )
            assert set(sources.values()) == {1}

    def test_logs_hold_what_the_units_of_a_split_print(self, place: Place, tmp_path: Path) -> None:
        """Told by split, wherever it ran."""
        with diamond_in(place, tmp_path) as diamond:
            code, said = diamond.run()
            if place.keeps_logs:
                code, said = diamond.swath("logs", diamond.folder.uri, "double*")
            assert code == 0, said
            printed = re.findall(r"^doubling (u\d)$", said, re.MULTILINE)
            assert sorted(printed) == [f"u{i}" for i in range(6)]

    def test_unit_that_asks_for_a_gpu_gets_one_or_is_refused(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Refused before anything is started; where there are none at all it runs on the CPU."""
        with diamond_in(place, tmp_path) as diamond:
            code, said = diamond.run(n_gpus=1)
            if place.runs_gpus:
                assert code == 0, said
                assert diamond.total() == str(total(6))
            else:
                assert code == DeclarationError.exit_code, said
                assert "GPU" in said
                assert not list(runs_of(place.root_uri))

    def test_many_splits_run_each_once(self, place: Place, tmp_path: Path) -> None:
        """A thousand where there is time for it, see `Place`."""
        n = place.n_many // 3
        with diamond_in(place, tmp_path, n) as diamond:
            code, said = diamond.run(splits=n)
            assert code == 0, said
            assert diamond.units_done() == {"source": n, "double": n, "square": n, "join": 1}
            assert diamond.total() == str(total(n))


def _assert_order(diamond: Diamond) -> None:
    """Assert that no split started before those that it reads from were done."""
    plan, events = diamond.folder.read_plan(), diamond.events()
    started = {e.split: e.time for e in events if e.what == "started"}
    done = {e.split: e.time for e in events if e.what == "done"}
    for split in plan["splits"]:
        assert all(done[key] <= started[split["key"]] for key in split["upstream"])
