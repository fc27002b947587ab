"""The folder of a run, its locks, its events and its status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swath.errors import ConfigError
from swath.run.events import Event, EventReader, EventWriter
from swath.run.folder import RunFolder, runs_of
from swath.run.processes import settle_with_earlier_runs
from swath.run.status import RunStatus, SplitState


def test_lock_is_held_until_its_descriptor_is_closed(tmp_path):
    folder = RunFolder.create(tmp_path)
    assert not folder.is_held("control")
    descriptor = folder.hold("control", inherit=False)
    assert folder.is_held("control")
    assert folder.client() == os.getpid()
    assert not folder.is_held("alive")
    os.close(descriptor)
    assert not folder.is_held("control")


def test_lock_vanishes_with_a_killed_holder(tmp_path):
    folder = RunFolder.create(tmp_path)
    code = (
        "import sys, os, signal; from pathlib import Path\n"
        "from swath.run.folder import RunFolder\n"
        "RunFolder(Path(sys.argv[1])).hold('control', inherit=False)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.path)], check=False)
    assert (folder.path / "control.lock").exists()
    assert not folder.is_held("control")


def test_inherited_lock_lives_as_long_as_the_last_child(tmp_path):
    folder = RunFolder.create(tmp_path)
    descriptor = folder.hold("alive", inherit=True)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor]
    )
    os.close(descriptor)
    assert folder.is_held("alive")
    child.communicate(b"\n")
    assert not folder.is_held("alive")


def test_asking_for_a_lock_is_no_holding_of_it(tmp_path):
    """Two that ask at one time must not take each other for the holder."""
    import fcntl

    folder = RunFolder.create(tmp_path)
    os.close(folder.hold("control", inherit=False))
    asking = os.open(folder.path / "control.lock", os.O_RDWR)
    fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert not folder.is_held("control")
    os.close(asking)


def test_client_counts_before_its_workers_are_there(lab):
    """Also a run in one process, which has no workers: it is not done twice at once."""
    pipeline = lab.pipeline(lab.copies("a"))
    folder = lab.run(pipeline).folder
    descriptor = folder.hold("control", inherit=False)
    with pytest.raises(Exception, match="is being run now"):
        settle_with_earlier_runs([pipeline])
    os.close(descriptor)
    assert settle_with_earlier_runs([pipeline]) == []


def test_run_is_found_by_folder_by_id_and_as_the_latest(lab):
    pipeline = lab.pipeline(lab.copies("a"))
    first = lab.run(pipeline).folder
    second = lab.run(pipeline, rerun=("all",)).folder
    root = Path(lab.root)
    assert {folder.id for folder in runs_of(root)} == {first.id, second.id}
    assert RunFolder.find(str(first.path), None).path == first.path
    assert RunFolder.find(first.id, root).path == first.path
    assert RunFolder.find("latest", root).id == max(first.id, second.id)
    with pytest.raises(ConfigError, match="no run 'nothing'; the latest in") as caught:
        RunFolder.find("nothing", root)
    assert "its id and --root" in str(caught.value)


def test_events_are_read_each_once_while_they_are_written(tmp_path):
    reader = EventReader(tmp_path)
    assert list(reader.new()) == []
    writer = EventWriter(tmp_path / "s.jsonl", "s")
    writer.write("started", pid=1)
    assert [(e.split, e.what, e.data) for e in reader.new()] == [("s", "started", {"pid": 1})]
    assert list(reader.new()) == []
    writer.write("done")
    assert [e.what for e in reader.new()] == ["done"]
    writer.close()


def test_event_after_a_line_that_was_cut_off_is_read(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'[1.0,"started",{}]\n[2.0,"prog')
    reader = EventReader(tmp_path)
    assert [e.what for e in reader.new()] == ["started"]
    writer = EventWriter(path, "s")
    writer.write("started", pid=2)
    writer.close()
    assert [(e.what, e.data) for e in reader.new()] == [("started", {"pid": 2})]


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
