"""The `local` runner: make, one process for each split, and nothing left when it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swath.errors import ConfigError, DeclarationError, InterruptedRunError
from swath.experiment.session import execute
from swath.plan.command import Unit
from swath.run.earlier import Earlier, settle_with_earlier_runs
from swath.run.folder import RunFolder
from swath.run.lease import client_of, is_locked
from swath.run.life import cancel
from swath.run.machine import Process
from swath.run.runners.local import LocalRunner
from swath.run.runners.makefile import makefile, quoted
from swath.run.splits import splits_of
from swath.run.status import UNTOLD, RunStatus, SplitState
from swath.settings import Settings, Value

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_local_run_does_every_unit_once_in_processes_of_its_own(lab):
    copy = lab.copies("abcde")
    pipeline = lab.pipeline(copy, lab.joined(copy))
    result = lab.run(pipeline, runner="local", splits=2)
    assert result.succeeded
    assert lab.text(result, "join.txt") == "a,b,c,d,e"
    assert set(lab.ran.values()) == {1}
    pids = {event.data["pid"] for event in lab.events if event.what == "started"}
    assert len(pids) == 3
    assert os.getpid() not in pids
    assert lab.plan(pipeline).is_empty
    assert lab.leftovers() == []


@pytest.mark.parametrize("name", ["a blank", "it's", "$HOME $(x)", "ünï", "#1", 'a"b', "a\\b;c&d"])
def test_hazard_root_with_odd_characters_is_quoted(lab_of, tmp_path, name):
    """The old Makefile had literal `python` and unquoted URIs."""
    folder = tmp_path / name
    folder.mkdir()
    lab = lab_of(folder)
    result = lab.run(lab.pipeline(lab.copies("ab")), runner="local", splits=2)
    assert result.succeeded, (result.folder.path / "make.log").read_text()
    assert lab.text(result, "copy.txt") == "b"


def test_hazard_makefile_names_this_interpreter_and_never_a_bare_python(lab):
    plan = lab.plan(lab.pipeline(lab.copies("a")))
    splits = splits_of(plan.to_json(), Settings({}))
    text = makefile(splits, RunFolder.named(lab.root))
    assert f"PYTHON := {quoted(sys.executable)}\n" in text
    assert not re.search(r"(?m)^\s*@?python", text)


def test_quoting_holds_against_make_and_the_shell(tmp_path):
    for name in ("a b", "it's", "$HOME", "$(shell)", "x#y", "ünï", 'a"b', "a\\b", "`x`", "-n"):
        path = tmp_path / "Makefile"
        path.write_text(f"WORD := {quoted(name)}\nall:\n\t@printf %s $(WORD)\n")
        told = subprocess.run(
            ["make", "-s", "-f", path], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert told.stdout == name


def test_makefile_stands_on_its_own(lab):
    copy = lab.copies("ab")
    pipeline = lab.pipeline(copy, lab.joined(copy))
    result = lab.run(pipeline, runner="local", splits=2)
    for path in (result.folder.path / "done").iterdir():
        path.unlink()
    told = subprocess.run(
        ["make", "-j2", "-f", "Makefile"], cwd=result.folder.path, capture_output=True, check=False
    )
    assert told.returncode == 0
    assert len(list((result.folder.path / "done").iterdir())) == 3
    assert set(lab.ran.values()) == {1}  # each worker found its records
    again = subprocess.run(["make"], cwd=result.folder.path, capture_output=True, check=True)
    assert b"Nothing to be done" in again.stdout


def test_split_that_is_done_stays_done_though_make_is_stopped_before_its_worker_ends(lab):
    """Make removes what it takes for half made."""
    result = lab.run(lab.pipeline(lab.copies("a")), runner="local")
    (done,) = (result.folder.path / "done").iterdir()
    done.unlink()
    worker = lab.folder / "worker.sh"
    worker.write_text('#!/bin/sh\ntouch "done/$(basename "$4" .json)"; exec sleep 60\n')
    worker.chmod(0o755)
    make = subprocess.Popen(
        ["make", f"PYTHON={worker}"],
        cwd=result.folder.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(done.exists)
    os.killpg(make.pid, signal.SIGTERM)
    make.wait()
    assert done.exists()


def test_outer_make_hands_nothing_down(lab, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "n --jobserver-auth=98,99 -j64")
    monkeypatch.setenv("MFLAGS", "-n")
    monkeypatch.setenv("MAKELEVEL", "3")
    monkeypatch.setenv("MAKEFILES", "/nothing/here")
    result = lab.run(lab.pipeline(lab.copies("a", function="environment")), runner="local", jobs=1)
    assert result.succeeded
    found = lab.text(result, "environment.txt")
    assert "jobserver" not in found
    assert "-j64" not in found


def test_hazard_jobs_are_bounded(lab):
    """The old runner called `make -j` without a bound."""
    units = lab.copies("abcd", function="slow", params={"seconds": 0.3})
    result = lab.run(lab.pipeline(units), runner="local", splits=4, jobs=2)
    assert result.succeeded
    steps = [
        (event.time, 1 if event.what == "started" else -1)
        for event in lab.events
        if event.what in {"started", "done"}
    ]
    running = peak = 0
    for _, step in sorted(steps):
        running += step
        peak = max(peak, running)
    assert peak <= 2


def test_threads_of_side_by_side_splits_share_the_cores(lab):
    units = lab.copies("ab", function="environment")
    result = lab.run(lab.pipeline(units), runner="local", splits=2, jobs=2)
    expected = max(1, len(os.sched_getaffinity(0)) // 2)
    assert f"'OMP_NUM_THREADS': '{expected}'" in lab.text(result, "environment.txt")
    assert f"'GDAL_NUM_THREADS': '{expected}'" in lab.text(result, "environment.txt")


def test_relative_pythonpath_reaches_the_workers(lab, monkeypatch):
    (lab.folder / "lib").mkdir()
    (lab.folder / "lib" / "swath_test_kinds.py").write_text(lab.kinds.read_text())
    monkeypatch.chdir(lab.folder)
    monkeypatch.setenv("PYTHONPATH", "lib")
    copy = lab.copies("a")
    command = type(copy)("copy", "swath_test_kinds:copy", lab.root, copy.units)
    assert lab.run(lab.pipeline(command), runner="local").succeeded


def test_failed_split_keeps_its_log_and_stops_what_depends_on_it(lab):
    fail = lab.copies("ab", function="fail", params={"bad": ["a"]})
    result = lab.run(lab.pipeline(fail, lab.joined(fail)), runner="local", splits=2, jobs=1)
    assert len(result.outcome.failed) == 1
    (key,) = result.outcome.failed
    assert "ValueError: a is bad" in (result.folder.path / "logs" / f"{key}.txt").read_text()
    assert "ValueError: a is bad" in (result.folder.path / "make.log").read_text()
    status = RunStatus(result.folder)
    status.update()
    assert status.summary == "failed"
    assert status.splits[key].state is SplitState.FAILED
    assert status.splits[key].failures[0][:2] == ("a", "ValueError: a is bad")


def test_keep_going_finishes_what_does_not_depend_on_the_failure(lab):
    fail = lab.copies("abc", function="fail", params={"bad": ["a"]})
    after = lab.command("copy", [Unit("c", {"text": fail.ref("c", "text")}, {"text": "t"})])
    result = lab.run(lab.pipeline(fail, after), runner="local", splits=3, keep_going=True, jobs=1)
    assert len(result.outcome.failed) == 1
    assert len(result.outcome.done) == 3


def test_run_without_make_is_refused_before_it_starts(lab):
    made = lab.plan(lab.pipeline(lab.copies("a")))
    for name, message in (("no-such-make", "there is no 'no-such-make'"), ("true", "GNU make 4")):
        settings = Settings({"local.make": Value(name, "test")})
        with pytest.raises(ConfigError, match=message) as caught:
            execute(made, "local", settings=settings)
        assert "local.make=PATH" in str(caught.value)


# ------------------------------------------------------------------ kills and locks

CLIENT = """
import sys
sys.path.insert(0, {conftest!r})
from conftest import Lab
from pathlib import Path
lab = Lab(Path({folder!r}))
units = lab.copies("ab", function="slow", params={{"seconds": 60}})
lab.run(lab.pipeline(units), runner="local", splits=2)
"""


@pytest.fixture
def client(lab):
    """A client in a process of its own that follows a run of two workers for a minute."""
    code = CLIENT.format(conftest=str(Path(__file__).parents[1]), folder=str(lab.folder))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: len(lab.ran) == 2)
        yield process
    finally:
        process.kill()
        process.wait()
        for folder in Path(lab.root, "runs").iterdir():
            cancel(RunFolder(folder))


def folder_of(lab) -> RunFolder:
    return RunFolder.find("latest", Path(lab.root))


def slow(lab):
    return lab.pipeline(lab.copies("ab", function="slow", params={"seconds": 60}))


def test_run_that_is_followed_is_held_and_refused_to_a_second_client(lab, client):
    folder = folder_of(lab)
    assert is_locked(folder, "control")
    assert is_locked(folder, "alive")
    assert client_of(folder) == client.pid
    with pytest.raises(DeclarationError, match="'one' is being run now") as caught:
        settle_with_earlier_runs([slow(lab)])
    assert "swath cancel" in str(caught.value)
    other = lab.pipeline(lab.copies("c"), id="other")
    assert settle_with_earlier_runs([other]) == Earlier([], [])


def test_what_a_killed_client_left_running_is_ended(lab, client):
    folder = folder_of(lab)
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert is_locked(folder, "alive")
    assert not is_locked(folder, "control")
    assert settle_with_earlier_runs([slow(lab)]) == Earlier([folder.id], [])
    assert not is_locked(folder, "alive")
    status = RunStatus(folder)
    status.update()
    assert status.summary == "stopped"


def test_make_that_is_killed_takes_its_workers_with_it(lab, client):
    folder = folder_of(lab)
    make = Process.parse((folder.path / "group").read_text())
    os.kill(make.pid, signal.SIGKILL)  # it leads its group
    client.wait(timeout=30)
    assert not is_locked(folder, "alive")


def test_worker_that_is_terminated_leaves_the_run_failed_and_nothing_partial(lab, client):
    folder = folder_of(lab)
    status = RunStatus(folder)
    pids = [
        int(line.split('"pid":')[1].split(",")[0])
        for path in (folder.path / "events").glob("*.jsonl")
        for line in path.read_text().splitlines()
        if '"started"' in line
    ]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    client.wait(timeout=30)
    status.update()
    assert {split.state for split in status.splits.values()} == {SplitState.FAILED}
    assert {split.error for split in status.splits.values()} == {UNTOLD}
    assert lab.leftovers() == []
    assert not folder.done()


def test_cancel_stops_client_and_workers(lab, client):
    folder = folder_of(lab)
    assert cancel(folder)
    assert client.wait(timeout=30) != 0
    assert not is_locked(folder, "alive")
    assert not cancel(folder)


def test_interrupt_of_the_client_stops_everything_and_restores_its_handler(lab):
    pipeline = slow(lab)
    before = signal.getsignal(signal.SIGINT)
    told = []

    def interrupt(event) -> None:
        told.append(event)
        if len(told) == 1:
            raise KeyboardInterrupt

    settings = Settings({"local.jobs": Value(2, "test")})
    with pytest.raises(InterruptedRunError, match="what was finished stays finished") as caught:
        execute(lab.plan(pipeline, splits=2), "local", settings=settings, emit=interrupt)
    assert caught.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before
    folder = folder_of(lab)
    assert not is_locked(folder, "alive")
    assert not is_locked(folder, "control")


def test_abilities_are_data(lab):
    runner = LocalRunner(Settings({"local.jobs": Value(3, "test")}))
    assert runner.abilities.parallelism == 3
    assert runner.abilities.sees_local_files
    assert runner.abilities.outlives_client
