"""Events of splits: written line by line or part by part, read each once."""

from __future__ import annotations

from swath.run.events import EventReader, EventWriter
from swath.run.folder import RunFolder


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
