"""The worker, in this process: what it records, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from swath.errors import ConfigError, InterruptedRunError, UnitError
from swath.plan.command import Unit
from swath.plan.record import read_all
from swath.run.assignment import Assignment, assign
from swath.run.events import EventWriter
from swath.run.load import load_file, load_function
from swath.run.worker import run_assignment
from swath.store import LocalStore


def events_of(lab, what: str) -> list[dict]:
    return [event.data for event in lab.events if event.what == what]


def test_units_are_done_once_and_recorded(lab):
    copy = lab.copies("abc")
    pipeline = lab.pipeline(copy, lab.joined(copy))
    result = lab.run(pipeline)
    assert result.succeeded
    assert lab.text(result, "join.txt") == "a,b,c"
    assert lab.ran == {"a": 1, "b": 1, "c": 1, "all": 1}
    assert lab.plan(pipeline).is_empty
    assert lab.leftovers() == []


def test_nothing_is_executed_where_everything_is_up_to_date(lab):
    pipeline = lab.pipeline(lab.copies("ab"))
    lab.run(pipeline)
    again = lab.run(pipeline)
    assert again.folder is None
    assert Path(again.results["one"]["copy.txt"]).read_text() == "b"
    assert lab.ran == {"a": 1, "b": 1}


@pytest.mark.parametrize("n_splits", [1, 2, 7])
def test_result_does_not_depend_on_the_number_of_splits(lab, n_splits):
    copy = lab.copies("abcdefg")
    result = lab.run(lab.pipeline(copy, lab.joined(copy)), splits=n_splits)
    assert len(result.outcome.done) == n_splits + 1
    assert lab.text(result, "join.txt") == "a,b,c,d,e,f,g"


def test_hazard_run_again_never_doubles_what_is_there(lab):
    """Retries and re-runs added chips twice, and new scores to old ones."""
    copy = lab.copies("ab")
    pipeline = lab.pipeline(copy, lab.joined(copy))
    for _ in range(3):
        result = lab.run(pipeline, rerun=("all",))
        assert lab.text(result, "join.txt") == "a,b"
    assert lab.ran == {"a": 3, "b": 3, "all": 3}
    files = list(Path(lab.root, "copy").rglob("t.txt"))
    assert len(files) == 2


def test_retry_of_a_split_does_only_what_is_left(lab):
    pipeline = lab.pipeline(lab.copies("abc", function="fail", params={"bad": ["b"]}))
    result = lab.run(pipeline)
    assert not result.succeeded
    (lab.folder / "mended").touch()
    (split,) = result.plan.splits
    uri = result.folder.assignment_uri(split.key)
    assignment = Assignment.from_json(Path(uri).read_bytes(), uri)
    lab.events.clear()
    writer = EventWriter(result.folder, split.key, lab.events.append)
    assert run_assignment(assignment, writer)
    writer.close()
    assert lab.ran == {"a": 1, "b": 2, "c": 1}
    assert [data["unit"] for data in events_of(lab, "unit_skipped")] == ["a"]


def test_failed_unit_keeps_its_traceback_and_ends_the_run(lab):
    fail = lab.copies("abc", function="fail", params={"bad": ["b"]})
    result = lab.run(lab.pipeline(fail, lab.joined(fail)))
    assert (len(result.outcome.failed), len(result.outcome.waiting)) == (1, 1)
    (failure,) = events_of(lab, "unit_failed")
    assert failure["unit"] == "b"
    assert failure["error"] == "ValueError: b is bad"
    assert "kinds.py" in failure["traceback"]
    assert lab.ran == {"a": 1, "b": 1}
    assert lab.leftovers() == []


def test_keep_going_finishes_what_does_not_depend_on_the_failure(lab):
    fail = lab.copies("abc", function="fail", params={"bad": ["b"]})
    after = [
        lab.command("copy", [Unit(n, {"text": fail.ref(n, "text")}, {"text": "t"})], kind=f"c{n}")
        for n in "abc"
    ]
    pipeline = lab.pipeline(fail, *after)
    result = lab.run(pipeline, splits=3, keep_going=True)
    assert len(result.outcome.failed) == 1
    assert len(result.outcome.done) == 4
    assert [lab.plan(pipeline).title(i) for s in lab.plan(pipeline).splits for i in s.units] == [
        "fail b",
        "cb b",
    ]


def test_run_after_a_failure_does_exactly_what_is_left(lab):
    fail = lab.copies("abc", function="fail", params={"bad": ["b"]})
    pipeline = lab.pipeline(fail, lab.joined(fail))
    lab.run(pipeline)
    (lab.folder / "mended").touch()
    assert lab.run(pipeline).succeeded
    assert lab.ran == {"a": 1, "b": 2, "c": 1, "all": 1}


def test_hazard_partial_output_of_a_failed_unit_is_never_visible(lab):
    result = lab.run(lab.pipeline(lab.copies("b", function="fail", params={"bad": ["b"]})))
    (uri,) = result.plan.scanned[0].outputs.values()
    assert not Path(uri).exists()


def test_function_that_calls_exit_has_failed(lab):
    result = lab.run(lab.pipeline(lab.copies("a", function="leave")))
    assert not result.succeeded
    assert events_of(lab, "unit_failed")[0]["error"] == "SystemExit: 0"


def test_declared_output_that_was_not_written_is_a_failure(lab):
    lab.run(lab.pipeline(lab.copies("a", function="forget")))
    (failure,) = events_of(lab, "unit_failed")
    assert "'text' was declared and not written" in failure["error"]
    assert "work.output('text')" in failure["error"]


def test_function_that_cannot_be_loaded_fails_with_its_name(lab):
    for text in ("raise RuntimeError('no')", "def (", "import nothing_of_this_name", "x = 1"):
        path = lab.folder / "broken.py"
        path.write_text(text)
        with pytest.raises(UnitError, match=r"broken\.py:run cannot be loaded") as caught:
            load_function(f"{path}:run")
        assert "Check that" in str(caught.value)
    with pytest.raises(UnitError, match="cannot be loaded"):
        load_function("nothing.of.this.name:run")
    with pytest.raises(UnitError, match="cannot be loaded"):
        load_function(f"{lab.folder}/missing.py:run")


def test_split_whose_function_cannot_be_loaded_fails_and_says_so(lab):
    result = lab.run(lab.pipeline(lab.copies("a", function="misspelt")))
    assert len(result.outcome.failed) == 1
    assert "misspelt cannot be loaded" in events_of(lab, "failed")[0]["error"]


def test_two_files_of_one_name_are_two_modules(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kinds.py").write_text(f"name = {name!r}")
    modules = [load_file(tmp_path / name / "kinds.py") for name in ("one", "two")]
    assert [module.name for module in modules] == ["one", "two"]


def test_source_that_changes_while_it_is_read_is_never_recorded(lab):
    pipeline = lab.pipeline(lab.copies("a", function="change_source"))
    result = lab.run(pipeline)
    assert not result.succeeded
    (failure,) = events_of(lab, "unit_failed")
    assert "a.txt changed after the run was planned" in failure["error"]
    assert "Run the experiment again" in failure["error"]
    assert not list(Path(lab.root).rglob("t.txt"))


def test_source_that_changed_before_its_unit_began_is_refused(lab):
    pipeline = lab.pipeline(lab.copies("ab"))
    made = lab.plan(pipeline)
    lab.source("b.txt", "changed")
    assert not lab.execute(made).succeeded
    assert lab.ran == {"a": 1}


def test_what_a_function_does_to_its_parameters_stays_with_its_unit(lab):
    image = lab.source("a.txt", "a")
    units = [Unit(n, {"text": image}, {"text": "t"}, {"n": n}) for n in "ab"]
    result = lab.run(lab.pipeline(lab.command("spoil", units, params={"suffix": "!"})))
    assert lab.text(result, "spoil.txt") == "{'suffix': '!'} {'n': 'b'}"


def test_values_are_shared_by_the_units_of_a_split_and_closed_at_its_end(lab):
    result = lab.run(lab.pipeline(lab.copies("abc", function="share")))
    assert lab.text(result, "share.txt") == "1 0"
    assert load_file(lab.kinds).Shared.closed == 1


def test_progress_is_told_with_numbers_of_any_library(lab):
    result = lab.run(lab.pipeline(lab.copies("a", function="tell", options={"device": "cpu"})))
    told = events_of(lab, "progress")[-1]
    assert (told["done"], told["total"], told["numbers"]) == (3, 3, {"loss": 0.5})
    assert "('device', 'cpu'), ('threads', " in lab.text(result, "tell.txt")


# ------------------------------------------------------------------ state that survives a kill


def test_state_survives_failed_attempts_and_is_removed_after_success(lab):
    pipeline = lab.pipeline(lab.copies("a", function="count_up"))
    assert not lab.run(pipeline).succeeded
    assert not lab.run(pipeline).succeeded
    assert [name[:15] for name in lab.leftovers()] == [".partial-state-"]
    result = lab.run(pipeline)
    assert result.succeeded
    assert lab.text(result, "count_up.txt") == "3"
    assert lab.leftovers() == []


def test_forced_unit_starts_over_whatever_an_attempt_left(lab):
    pipeline = lab.pipeline(lab.copies("a", function="count_up"))
    lab.run(pipeline)
    lab.run(pipeline)
    assert not lab.run(pipeline, rerun=("all",)).succeeded  # at 1 again
    assert not lab.run(pipeline).succeeded
    assert lab.run(pipeline).succeeded


def test_state_is_not_shared_with_another_run_that_does_the_same_unit(lab):
    """Who comes second works in a folder of its own, and does not remove the first one's."""
    pipeline = lab.pipeline(lab.copies("a", function="count_up"))
    made = lab.plan(pipeline)
    assert not lab.execute(made).succeeded
    (owner,) = Path(lab.root).rglob("owner")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import fcntl, sys\n"
                "file = open(sys.argv[1], 'r+')\n"
                "fcntl.lockf(file, fcntl.LOCK_EX)\n"
                "print('held', flush=True)\n"
                "sys.stdin.read()"
            ),
            str(owner),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        assert not lab.run(pipeline).succeeded
        assert owner.with_name("kept").joinpath("count").read_text() == "1"
    finally:
        holder.communicate(b"")
    assert not lab.run(pipeline).succeeded
    assert owner.with_name("kept").joinpath("count").read_text() == "2"


def test_leftovers_of_dead_processes_are_removed_and_those_of_live_ones_kept(lab):
    pipeline = lab.pipeline(lab.copies("a"))
    made = lab.plan(pipeline)
    (split,) = made.splits
    unit = assign(made, split, run="r", threads=1, keep_going=False)
    folder, host = Path(unit.folder), os.uname().nodename
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = [
        folder / f".partial-{unit.units[0].fingerprint}-{host}-{pid}"
        for pid in (dead.pid, os.getppid(), "odd")
    ]
    for path in mine:
        path.mkdir(parents=True)
    assert lab.execute(made).succeeded
    assert [path.exists() for path in mine] == [False, True, True]


# ------------------------------------------------------------------ records


def records_of(lab, pipeline) -> set[str]:
    (command,) = pipeline.commands
    folder = f"{lab.root}/{command.kind}/{command.params_key}"
    return {record.unit for record in read_all(LocalStore(), folder).values()}


def test_finished_unit_is_on_record_while_the_next_one_runs(lab):
    """A short unit before a long one is not lost if the long one is killed."""
    quick = lab.source("q.txt", "q")
    units = [Unit("a", {"text": quick}, {"text": "t"}), Unit("b", {"text": quick}, {"text": "t"})]
    path = lab.folder / "kinds.py"
    path.write_text(
        path.read_text()
        + "\n\ndef uneven(work):\n"
        + "    deadline = time.monotonic() + 60\n"
        + "    stop = Path(__file__).with_name('stop')\n"
        + "    while work.unit == 'b' and not stop.exists() and time.monotonic() < deadline:\n"
        + "        time.sleep(0.01)\n"
        + "    work.output('text').write_text(work.unit)\n"
    )
    pipeline = lab.pipeline(lab.command("uneven", units))
    thread = threading.Thread(target=lab.run, args=(pipeline,))
    thread.start()
    end = time.monotonic() + 30
    while "a" not in records_of(lab, pipeline) and time.monotonic() < end:
        time.sleep(0.05)
    found = records_of(lab, pipeline)
    (lab.folder / "stop").touch()
    thread.join()
    assert found == {"a"}
    assert records_of(lab, pipeline) == {"a", "b"}


def test_many_short_units_share_parts_of_records(lab):
    pipeline = lab.pipeline(lab.copies("abcdefghijklmnopqrstuvwxyz"))
    lab.run(pipeline)
    parts = list(Path(lab.root).rglob("records/*.jsonl"))
    assert len(parts) <= 3
    assert len(records_of(lab, pipeline)) == 26


def test_two_runs_in_one_root_keep_the_records_of_both(lab):
    one = lab.pipeline(lab.copies("ab"), id="one")
    two = lab.pipeline(lab.copies("bc"), id="two")
    plans = [lab.plan(one), lab.plan(two)]  # both made before either has run
    results = [lab.execute(plan) for plan in plans]
    assert all(result.succeeded for result in results)
    assert lab.plan(one, two).is_empty
    assert results[0].folder.path != results[1].folder.path


def test_worker_that_is_interrupted_keeps_what_it_finished(lab):
    pipeline = lab.pipeline(lab.copies("ab", function="slow", params={"seconds": 0}))
    path = lab.folder / "kinds.py"
    path.write_text(
        path.read_text().replace(
            'time.sleep(work.params["seconds"])',
            'if work.unit == "b": raise KeyboardInterrupt',
        )
    )
    with pytest.raises(InterruptedRunError) as caught:
        lab.run(pipeline)
    assert caught.value.exit_code == 130
    assert records_of(lab, pipeline) == {"a"}
    assert lab.leftovers() == []
    assert events_of(lab, "interrupted") == [{}]


def test_assignment_survives_json_and_that_of_another_version_is_refused(lab):
    made = lab.plan(lab.pipeline(lab.copies("ab")))
    assignment = assign(made, made.splits[0], run="r", threads=3, keep_going=True)
    text = assignment.to_json()
    assert Assignment.from_json(text, "here") == assignment
    for changed, told in (
        ({"schema": 99}, "schema 99"),
        ({"swath_version": "99.9"}, r"Swath 99\.9"),
    ):
        other = json.dumps(json.loads(text) | changed).encode()
        with pytest.raises(ConfigError, match=f"here: .*{told}.*Use one version"):
            Assignment.from_json(other, "here")
