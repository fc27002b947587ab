"""The state of a unit on a store: all files of one moment, for the next attempt."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from swath.errors import NotFoundError
from swath.run.state import StoredState
from swath.store import join, open_store


class Attempts:
    """Attempts at one unit, each with a local folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"memory://{uuid4().hex}/kind/state/fingerprint"
        self.store = open_store(self.uri)
        self._folder = folder
        self._number = 0

    def attempt(self, *, start_over: bool = False, save_s: float = 30.0) -> StoredState:
        self._number += 1
        local = self._folder / str(self._number) / "state"
        return StoredState(self.uri, local, start_over=start_over, save_s=save_s)

    def stored(self) -> dict[str, str]:
        """Return text by name, as the index tells."""
        try:
            index = json.loads(self.store.read(join(self.uri, "index.json")))
        except NotFoundError:
            return {}
        return {name: self.store.read(join(self.uri, at)).decode() for name, at in index.items()}

    def objects(self) -> int:
        return len(list(self.store.list(self.uri)))


@pytest.fixture
def attempts(tmp_path):
    return Attempts(tmp_path)


def replace(path: Path, text: str) -> None:
    """Write as functions are asked to."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_state_is_there_for_the_next_attempt_and_gone_once_the_unit_is_done(attempts):
    first = attempts.attempt()
    assert not first.exists
    replace(first.path / "model.pt", "weights of 1")
    (first.path / "deep" / "er").mkdir(parents=True)
    replace(first.path / "deep" / "er" / "epoch.json", "1")
    (first.path / "half.partial").write_text("half")
    assert first.exists
    first.close()
    assert attempts.stored() == {"model.pt": "weights of 1", "deep/er/epoch.json": "1"}
    second = attempts.attempt()
    assert (second.path / "deep" / "er" / "epoch.json").read_text() == "1"
    (second.path / "deep" / "er" / "epoch.json").unlink()
    replace(second.path / "model.pt", "weights of 2")
    second.close()
    assert attempts.stored() == {"model.pt": "weights of 2"}
    third = attempts.attempt()
    assert [path.name for path in third.path.iterdir()] == ["model.pt"]
    third.remove()
    third.close()
    assert attempts.stored() == {}


def test_state_that_nobody_asks_for_costs_nothing(attempts):
    state = attempts.attempt()
    state.close()
    assert not state.exists
    assert attempts.stored() == {}


def test_forced_unit_starts_over_on_the_store_too(attempts):
    first = attempts.attempt()
    replace(first.path / "epoch.json", "7")
    first.close()
    again = attempts.attempt(start_over=True)
    assert list(again.path.iterdir()) == []
    assert attempts.stored() == {}


def test_state_is_saved_while_the_unit_works(attempts):
    state = attempts.attempt(save_s=0.01)
    for epoch in range(3):
        replace(state.path / "epoch.json", str(epoch))
        until(lambda epoch=epoch: attempts.stored() == {"epoch.json": str(epoch)})
    (state.path / "epoch.json").unlink()
    until(lambda: attempts.stored() == {})
    state.close()


def test_whatever_moment_the_machine_is_taken_away_the_files_belong_together(attempts):
    state = attempts.attempt(save_s=0.001)
    place, stop, seen = state.path, threading.Event(), []

    def look() -> None:
        """Take up the state, as the next attempt would."""
        while not stop.is_set():
            with suppress(NotFoundError):  # it has just been replaced
                seen.append(attempts.stored())

    thread = threading.Thread(target=look)
    thread.start()
    for epoch in range(300):
        replace(place / "b-weights.pt", f"{epoch}")
        replace(place / "a-told.json", f"{epoch}")
        time.sleep(0.002)
    stop.set()
    thread.join()
    state.close()
    assert attempts.stored() == {"a-told.json": "299", "b-weights.pt": "299"}
    assert attempts.objects() == 3, "what the index does not name is gone"
    told = {tuple(map(int, files.values())) for files in seen if len(files) == 2}
    assert len(told) > 3
    # The weights are written first, so of one moment they are of the epoch told, or of the next.
    assert all(weights - epoch in (0, 1) for epoch, weights in told)


def test_two_runs_of_one_unit_leave_the_state_of_one(attempts):
    both = [attempts.attempt(), attempts.attempt()]
    for number, state in enumerate(both):
        for name in ("a", "b"):
            replace(state.path / name, f"{name} of {number}")
    for state in both:
        state.close()
    assert attempts.stored() == {"a": "a of 1", "b": "b of 1"}


def test_index_of_what_is_no_longer_there_is_no_state(attempts):
    state = attempts.attempt()
    replace(state.path / "a", "a")
    replace(state.path / "b", "b")
    state.close()
    index = json.loads(attempts.store.read(join(attempts.uri, "index.json")))
    attempts.store.delete(join(attempts.uri, index["b"]))
    assert list(attempts.attempt().path.iterdir()) == []


def test_state_that_never_stands_still_does_not_hold_up_its_unit(attempts):
    state = attempts.attempt(save_s=0.001)
    path, end, number = state.path / "restless.txt", time.monotonic() + 0.5, 0
    while time.monotonic() < end:
        number += 1
        replace(path, str(number))
    state.close()
    assert attempts.stored() == {"restless.txt": str(number)}
