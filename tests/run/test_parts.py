"""Text that grows on a store: nothing lost, nothing twice, in the order in which it was written."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import uuid4

import pytest

from swath.errors import ThrottledError
from swath.run.folder import RunFolder
from swath.run.parts import PartWriter


@pytest.fixture
def folder():
    return RunFolder.create(f"memory://{uuid4().hex}/root")


def parts(folder: RunFolder) -> list[str]:
    return sorted(name for name, _ in folder.store.list(folder.place("logs")))


def text(folder: RunFolder) -> bytes:
    return b"".join(folder.store.read(folder.place("logs", name)) for name in parts(folder))


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_what_was_written_is_there_soon_and_the_rest_at_the_end(folder):
    writer = PartWriter(folder, "logs", "s", "txt", patience_s=0.01)
    for n in range(12):
        writer.write(f"{n} ".encode())
        wait_for(lambda n=n: text(folder).endswith(f"{n} ".encode()))
    writer.write(b"end")
    writer.close()
    assert text(folder) == b"0 1 2 3 4 5 6 7 8 9 10 11 end"
    assert len(parts(folder)) >= 12
    assert all(name.startswith("s.") and name.endswith(".txt") for name in parts(folder))


def test_parts_of_a_second_attempt_come_after_those_of_the_first(folder):
    for attempt in (b"first ", b"second ", b"third"):
        writer = PartWriter(folder, "logs", "s", "txt")
        writer.write(attempt)
        writer.close()
        time.sleep(0.002)  # attempts are told apart by milliseconds
    assert text(folder) == b"first second third"


def test_nothing_written_leaves_nothing(folder):
    PartWriter(folder, "logs", "s", "txt").close()
    assert parts(folder) == []


class Failing:
    """A store that cannot write for a while."""

    def __init__(self, inner: Any, n_failures: int) -> None:
        self._inner = inner
        self.n_left = n_failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, uri: str, data: bytes) -> None:
        if self.n_left:
            self.n_left -= 1
            raise ThrottledError("slow down")
        self._inner.write(uri, data)


def test_store_that_fails_for_a_while_loses_and_doubles_nothing(folder):
    folder.store = Failing(folder.store, 5)
    writer = PartWriter(folder, "logs", "s", "txt", patience_s=0.005)
    for n in range(40):
        writer.write(f"{n} ".encode())
        time.sleep(0.001)
    wait_for(lambda: folder.store.n_left == 0)
    writer.close()
    assert text(folder).split() == [str(n).encode() for n in range(40)]


def test_store_that_fails_to_the_end_is_warned_of_and_raises_nothing(folder, caplog):
    folder.store = Failing(folder.store, 10**9)
    writer = PartWriter(folder, "logs", "s", "txt")
    writer.write(b"lost")
    writer.close()
    assert caplog.messages == ["the last of what a split told is lost: slow down"]


def test_store_that_fails_for_long_is_warned_of_once(folder, caplog):
    folder.store = Failing(folder.store, 20)
    writer = PartWriter(folder, "logs", "s", "txt", patience_s=0.001)
    writer.write(b"late")
    wait_for(lambda: text(folder) == b"late")
    writer.close()
    assert caplog.messages == ["what a split tells is written later: slow down"]


class Clock:
    """Time that passes only while somebody waits; something is written then."""

    def __init__(self, hours: float) -> None:
        self.now = 0.0
        self.end = 3600 * hours
        self.pauses: list[float] = []
        self.has_ended = threading.Event()
        self.writer: PartWriter | None = None

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        wait_for(lambda: self.writer is not None)
        self.writer.write(b"x")
        self.now += seconds
        self.pauses.append(seconds)
        if self.now >= self.end:
            self.has_ended.set()
        return self.now >= self.end


@pytest.mark.parametrize(("hours", "most"), [(0.01, 20), (1, 140), (24, 24 * 60 + 80)])
def test_parts_become_rare_as_a_split_becomes_old(folder, hours, most):
    clock = Clock(hours)
    clock.writer = writer = PartWriter(
        folder, "logs", "s", "txt", clock=lambda: clock.now, wait=clock.wait
    )
    assert clock.has_ended.wait(60)
    writer.close()
    assert text(folder) == b"x" * len(clock.pauses)
    assert len(parts(folder)) <= most
    assert clock.pauses[0] == 2
    assert clock.pauses == sorted(clock.pauses)
    assert max(clock.pauses) <= 60


def test_newer_words_on_a_topic_take_the_place_of_those_that_wait_also_after_a_failure(folder):
    folder.store = Failing(folder.store, 10**9)
    writer = PartWriter(folder, "logs", "s", "txt", patience_s=0.002)
    for n in range(3):
        writer.write(f"a{n} ".encode(), "a")
        writer.write(f"{n} ".encode())
        writer.write(f"b{n} ".encode(), "b")
    n_left = folder.store.n_left
    wait_for(lambda: folder.store.n_left < n_left - 1)
    writer.write(b"a3 ", "a")
    folder.store.n_left = 0
    wait_for(lambda: text(folder))
    writer.write(b"a4 ", "a")
    writer.close()
    assert text(folder) == b"0 1 2 b2 a3 a4 "


def test_many_threads_write_whole_pieces(folder):
    writer = PartWriter(folder, "logs", "s", "txt", patience_s=0.002)

    def work(name: str) -> None:
        for n in range(100):
            writer.write(f"{name}{n:03}\n".encode())

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = text(folder).decode().split()
    for name in "abcd":
        own = [line for line in lines if line.startswith(name)]
        assert own == [f"{name}{n:03}" for n in range(100)]
