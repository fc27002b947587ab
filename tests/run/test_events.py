"""Events of splits: written line by line or part by part, read each once."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from swath.run.events import EventReader, EventWriter
from swath.run.folder import RunFolder


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path):
    return RunFolder.create(tmp_path if request.param == "disk" else f"memory://{uuid4().hex}/r")


def test_events_are_read_each_once_while_they_are_written(tmp_path):
    folder = RunFolder.create(tmp_path)
    reader = EventReader(folder)
    assert list(reader.new()) == []
    writer = EventWriter(folder, "s")
    writer.write("started", pid=1)
    assert [(e.split, e.what, e.data) for e in reader.new()] == [("s", "started", {"pid": 1})]
    assert list(reader.new()) == []
    writer.write("done")
    assert [e.what for e in reader.new()] == ["done"]
    writer.close()


def test_event_after_a_line_that_was_cut_off_is_read(tmp_path):
    folder = RunFolder.create(tmp_path)
    (folder.path / "events" / "s.jsonl").write_bytes(b'[1.0,"started",{}]\n[2.0,"prog')
    reader = EventReader(folder)
    assert [e.what for e in reader.new()] == ["started"]
    writer = EventWriter(folder, "s")
    writer.write("started", pid=2)
    writer.close()
    assert [(e.what, e.data) for e in reader.new()] == [("started", {"pid": 2})]


def test_store_gets_the_last_progress_of_each_unit_and_every_other_event():
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    told: list[Any] = []
    writer = EventWriter(folder, "s", told.append)
    writer.write("started", pid=1)
    for done in (1.0, 2.0):
        for unit in "ab":
            writer.write("progress", unit=unit, done=done, total=2.0, numbers={})
    writer.write("unit_done", unit="a")
    writer.write("unit_done", unit="b")
    writer.close()
    found = [(e.what, e.data.get("unit"), e.data.get("done")) for e in EventReader(folder).new()]
    assert found == [
        ("started", None, None),
        ("progress", "a", 2.0),
        ("progress", "b", 2.0),
        ("unit_done", "a", None),
        ("unit_done", "b", None),
    ]
    assert len(told) == 7


def test_parts_are_read_once():
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    reads: list[str] = []

    class Counting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def read_many(self, uris: list[str]) -> Any:
            reads.extend(uris)
            return self._inner.read_many(uris)

    reader = EventReader(folder)
    folder.store = Counting(folder.store)
    for n in range(5):
        folder.store.write(folder.place("events", f"s.1-{n}.jsonl"), b'[1.0,"done",{}]\n')
        assert len(list(reader.new())) == 1
    assert list(reader.new()) == []
    assert len(reads) == len(set(reads)) == 5


def test_events_on_a_full_disk_are_warned_of_once_and_raise_nothing(tmp_path, caplog):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    folder = RunFolder.create(tmp_path)
    (folder.path / "events" / "s.jsonl").symlink_to(full)
    writer = EventWriter(folder, "s")
    writer.write("started", pid=1)
    writer.write("done")
    writer.close()
    (message,) = caplog.messages
    assert message.startswith("events of a split are lost: ")


def test_events_of_several_attempts_come_in_order_and_once(folder):
    told, reader, found = [], EventReader(folder), []
    for attempt in range(3):
        for split in ("copy-1", "copy-10"):
            writer = EventWriter(folder, split, told.append)
            for number in range(4):
                writer.write("unit_done", n=4 * attempt + number)
            writer.close()
        found += reader.new()
        time.sleep(0.002)  # attempts are told apart by milliseconds
    assert list(reader.new()) == []
    assert sorted(found) == sorted(told)
    for split in ("copy-1", "copy-10"):
        assert [e.data["n"] for e in found if e.split == split] == list(range(12))
    assert list(EventReader(folder).new()) == sorted(told, key=lambda e: (e.split, e.data["n"]))


def test_event_on_a_store_is_there_while_its_split_works():
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    writer, reader = EventWriter(folder, "s"), EventReader(folder)
    writer.write("started", pid=1)
    end = time.monotonic() + 30
    while not (found := list(reader.new())):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert found[0].what == "started"
    writer.close()


def test_whatever_an_event_holds_is_one_line(folder):
    text = "two\nlines\r\u2028 and more \x00"
    writer = EventWriter(folder, "s")
    writer.write("unit_failed", unit="ünï", error=text)
    writer.close()
    (event,) = EventReader(folder).new()
    assert event.data == {"unit": "ünï", "error": text}


def test_rest_of_a_part_that_is_no_event_is_left_out():
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    lines = [json.dumps([1.0, "started", {}]), '[2.0,"prog', json.dumps([3.0, "done", {}])]
    place = folder.place("events", "s.0000000000001-000000.jsonl")
    folder.store.write(place, "\n".join(lines).encode())
    assert [e.what for e in EventReader(folder).new()] == ["started", "done"]
