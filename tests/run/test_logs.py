"""Logs: all that a split prints, whatever prints it, and what is new of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from swath.run.folder import RunFolder
from swath.run.logs import LogReader
from swath.store import join

HEAD = """
import os, subprocess, sys
from swath.run.folder import RunFolder
from swath.run.logs import copied_output
print("before")
folder = RunFolder(sys.argv[1])
"""
SPLIT = (
    HEAD
    + """
with copied_output(folder, "s-0"):
    print("of a buffer of Python's")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "of a child"])
    os.write(1, "ünï, not ended".encode())
print("after")
"""
)
FAILING = (
    HEAD
    + """
with copied_output(folder, "s-0"):
    raise ValueError("nobody expects this")
"""
)
OUTLIVED = (
    HEAD
    + """
with copied_output(folder, "s-0", patience_s=0.3):
    print("mine", flush=True)
    child = subprocess.Popen(["sleep", "60"])
print(child.pid)
"""
)


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path):
    if request.param == "disk":
        return RunFolder.create(tmp_path)
    bucket = request.getfixturevalue("s3_bucket")
    return RunFolder(join(f"s3://{bucket}", "runs", "one"))


def run(code: str, folder: RunFolder, **options) -> subprocess.CompletedProcess[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(
        [sys.executable, "-c", code, folder.uri], text=True, check=False, timeout=60, **pipes
    )


def log_of(folder: RunFolder) -> str:
    return b"".join(data for _, data in LogReader(folder).new()).decode()


def test_all_that_a_split_prints_is_in_its_log_and_where_it_went_before(folder):
    told = run(SPLIT, folder)
    assert told.returncode == 0, told.stderr
    expected = ["of a buffer of Python's", "of a child", "to stderr", "ünï, not ended"]
    assert sorted(log_of(folder).splitlines()) == expected
    assert "before" not in log_of(folder)
    for line in expected:
        assert line in told.stdout


def test_traceback_of_what_nobody_expected_is_in_the_log(folder):
    told = run(FAILING, folder)
    assert told.returncode == 1
    assert "ValueError: nobody expects this" in log_of(folder)
    assert "Traceback" in log_of(folder)


def test_log_is_written_though_nobody_listens_to_the_process(folder):
    read_end, write_end = os.pipe()
    os.close(read_end)
    quiet = SPLIT.replace('print("before")', "").replace('print("after")', "")
    assert run(quiet, folder, stdout=write_end).returncode == 0
    os.close(write_end)
    assert "of a child" in log_of(folder)


def test_child_that_outlives_its_split_holds_nothing_up(folder):
    started = time.monotonic()
    told = run(OUTLIVED, folder, stderr=subprocess.DEVNULL)
    pid = int(told.stdout.splitlines()[-1])
    try:
        assert time.monotonic() - started < 30
        assert log_of(folder) == "mine\n"
    finally:
        subprocess.run(["kill", str(pid)], check=True)


def test_log_on_a_full_disk_stops_nobody_who_prints(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    folder = RunFolder.create(tmp_path)
    (folder.path / "logs" / "s-0.txt").symlink_to(full)
    told = run(SPLIT, folder)
    assert told.returncode == 0, told.stderr
    assert "of a child" in told.stdout
    assert "after" in told.stdout
    assert "some of the log of s-0 is lost" in told.stderr


# ------------------------------------------------------------------ reading


def test_what_is_new_is_read_once_and_by_pattern(tmp_path):
    folder = RunFolder.create(tmp_path)
    reader, one = LogReader(folder), LogReader(folder, "chip-*")
    assert list(reader.new()) == []
    place = folder.path / "logs"
    (place / "chip-0.txt").write_text("a\n")
    (place / "train-0.txt").write_text("b")
    assert dict(reader.new()) == {"chip-0": b"a\n", "train-0": b"b"}
    assert list(reader.new()) == []
    with (place / "train-0.txt").open("a") as file:
        file.write("c\n")
    assert list(reader.new()) == [("train-0", b"c\n")]
    assert reader.names() == ["chip-0", "train-0"]
    assert one.matches() == ["chip-0"]
    assert list(one.new()) == [("chip-0", b"a\n")]


def test_parts_of_a_log_are_read_as_one_as_they_come():
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    reader = LogReader(folder)
    for n, text in enumerate((b"one\n", b"two\n", b"three\n")):
        folder.store.write(folder.place("logs", f"s-1.0000000000001-{n:06}.txt"), text)
        if n != 1:
            told = list(reader.new())
    assert told == [("s-1", b"two\n"), ("s-1", b"three\n")]
    assert reader.names() == ["s-1"]
