"""The folder of a run: how it is named, found, read and written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from uuid import uuid4

import pytest

from swath.errors import ConfigError, NotFoundError
from swath.run.assignment import assign
from swath.run.folder import PLAN, RunFolder, last_run, runs_of
from swath.store import open_store


@pytest.fixture(params=["disk", "store"])
def root(request, tmp_path):
    return str(tmp_path / "root") if request.param == "disk" else f"memory://{uuid4().hex}/root"


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


def test_files_of_a_run_are_written_read_and_removed_wherever_it_lies(root):
    folder = RunFolder.create(root)
    assert folder.read("a.json") is None
    assert not folder.has("a.json")
    folder.write("a.json", {"x": [1, "ü"]})
    assert folder.has("a.json")
    assert RunFolder(folder.uri).read("a.json") == {"x": [1, "ü"]}
    folder.remove("a.json")
    folder.remove("a.json")
    assert not folder.has("a.json")
    for name in ("b", "a"):
        folder.write(f"deep/{name}.json", name)
    assert folder.read_all("deep") == {"a": "a", "b": "b"}
    assert folder.read_all("nothing") == {}
    with pytest.raises(NotFoundError):
        folder.read_plan()


def test_marks_of_splits_are_seen_by_every_client(root):
    folder = RunFolder.create(root)
    assert folder.done() == set()
    for key in ("a-1", "b-2", "a-1"):
        folder.mark_done(key)
    other = RunFolder(folder.uri)
    assert other.done() == {"a-1", "b-2"}
    other.remove("done/a-1")
    assert folder.done() == {"b-2"}


def test_assignments_lie_where_workers_look(root, lab):
    made = lab.plan(lab.pipeline(lab.copies("ab")), splits=2)
    folder = RunFolder.create(root)
    assigned = [assign(made, s, run="r", threads=1, keep_going=False) for s in made.splits]
    folder.write_assignments(iter(assigned))
    for each in assigned:
        uri = folder.assignment_uri(each.key)
        assert open_store(uri).read(uri) == each.to_json()


def test_runs_of_a_root_are_found_oldest_first(root):
    assert list(runs_of(root)) == []
    ids = ["20261121-000003-aaaa", "20261121-000001-bbbb", "20261121-000002-cccc"]
    for run in ids:
        folder = RunFolder(f"{root}/runs/{run}")
        folder.write(PLAN, {})
        folder.register()
    RunFolder.create(root)  # without a plan it is no run yet
    assert [folder.id for folder in runs_of(root)] == sorted(ids)
    assert RunFolder.find("latest", root).id == max(ids)
    assert RunFolder.find(ids[1], root).uri == f"{root}/runs/{ids[1]}"
    assert RunFolder.find(f"{root}/runs/{ids[1]}", None).root == root
    with pytest.raises(ConfigError, match="'latest' is no folder of a run"):
        RunFolder.find("latest", None)


def test_what_belongs_to_a_machine_lies_on_its_disk(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = RunFolder.create(root)
    elsewhere = tmp_path / "state" / "swath" / "runs" / folder.id
    assert folder.machine_path == (folder.path if folder.is_local else elsewhere)


def test_pointer_to_the_last_run_that_is_damaged_is_none(lab):
    pipeline = lab.pipeline(lab.copies("a"))
    assert last_run(pipeline) is None
    folder = lab.run(pipeline).folder
    assert last_run(pipeline).uri == folder.uri
    pointer = Path(lab.root, "experiments", "one", "latest.json")
    for text in ("", "[]", "{}", json.dumps({"folder": 1})):
        pointer.write_text(text)
        assert last_run(pipeline) is None


def test_names_of_runs_sort_by_time_within_a_second(tmp_path: Path) -> None:
    names = []
    for _ in range(8):
        names.append(RunFolder.named(tmp_path).id)
        time.sleep(0.002)
    assert names == sorted(names)
