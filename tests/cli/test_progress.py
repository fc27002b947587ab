"""The progress display: a live table on a terminal of 80 columns, plain lines in a pipe."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

from swath.cli.progress import Progress
from swath.plan.command import Command, Pipeline, Unit
from swath.plan.plan import make_plan
from swath.run.events import Event
from swath.run.status import SplitStatus

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(arguments: list[object]) -> tuple[int, list[str]]:
    """Run ``swath`` on a pseudo-terminal of 24 x 80; return its code and every line it drew."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "swath", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color"},
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        drawn += part
    os.close(ours)
    text = ESCAPES.sub("", drawn.decode()).replace("\r", "\n")
    return process.wait(), [line.rstrip() for line in text.split("\n")]


def test_live_table_fits_a_terminal_of_80_columns_and_ends_as_done(shop: Any) -> None:
    shop.text("with-a-rather-long-name-that-nobody-would-choose-but-somebody-did-anyway", "x\n")
    code, lines = run_on_terminal(["run", "local", *shop.arguments("--splits", "3")])
    assert code == 0
    tables = [line for line in lines if re.match(r"(copy|together) +\d", line)]
    assert tables[2].startswith("copy        0/3     0/3  ")  # waiting, or already starting
    assert tables[-2:] == ["copy        3/3     3/3  done", "together    1/1     1/1  done"]
    assert max(map(len, tables)) <= 80
    assert not [line for line in lines if line.startswith("[")]  # no plain lines beside it


def test_live_table_shows_what_failed(shop: Any) -> None:
    shop.text("two", "fail\n")
    code, lines = run_on_terminal(["run", "local", *shop.arguments()])
    assert code == 1
    assert any("failed: ValueError: this text cannot be copied" in line for line in lines)


def test_plain_lines_tell_progress_within_a_unit_only_now_and_then() -> None:
    unit = Unit(name="model", outputs={"x": "x"})
    command = Command("train", "no.such:function", "/nowhere", (unit,))
    plan = make_plan([Pipeline("p", "/nowhere", (command,))])
    stream = io.StringIO()
    (split,) = plan.splits
    status = SplitStatus(split.key, "train", n_units=1)
    with Progress([status], stream) as progress:
        progress.emit(Event(0.0, split.key, "started", {"n_units": 1}))
        for step in range(100):
            numbers = {"loss": 0.25}
            data = {"unit": "model", "done": step, "total": 100, "numbers": numbers}
            progress.emit(Event(0.0, split.key, "progress", data))
        done = {"unit": "model", "seconds": 3.0, "memory": 1}
        progress.emit(Event(0.0, split.key, "unit_done", done))
    lines = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert lines == ["train model 0 % loss 0.25", "train model done in 3.0 s"]
