"""Measure on a machine that others use too: in turn, medians, processor time, fresh processes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
MIB = 1 << 20


class Usage(NamedTuple):
    """What a process took: wall and processor seconds, its own and those of its children."""

    wall_s: float
    cpu_s: float


class Answer(NamedTuple):
    """What a function returned that ran in a fresh process, and that process's peak memory."""

    value: Any
    peak_mib: float


def in_turn(functions: Mapping[str, Callable[[], object]], n_rounds: int) -> dict[str, list[float]]:
    """Time functions A B A B ..., so that what else the machine does falls on all of them.

    Returns
    -------
    dict
        Name to wall seconds, one per round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(n_rounds):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def process_usage(command: Sequence[str], **options: Any) -> Usage:
    """Run a command to its end, silently.

    Raises
    ------
    RuntimeError
        If it fails; what it printed is in the message.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{printed}")
    return Usage(wall_s, used.ru_utime + used.ru_stime)


def processes_in_turn(
    commands: Mapping[str, Sequence[str]], n_rounds: int, **options: Any
) -> dict[str, Usage]:
    """Run commands A B A B ...; return the medians of each."""
    found: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(n_rounds):
        for name, command in commands.items():
            found[name].append(process_usage(command, **options))
    return {
        name: Usage(median(u.wall_s for u in used), median(u.cpu_s for u in used))
        for name, used in found.items()
    }


def in_child(function: str, **arguments: Any) -> Answer:
    """Call ``module:function`` with JSON arguments in a fresh interpreter.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", function],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{function} failed:\n{done.stderr}")
    return Answer(*json.loads(done.stdout.splitlines()[-1]))


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB.

    On Linux from /proc: what `getrusage` tells of a fresh process includes that of the process
    that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def _answer() -> None:
    import importlib

    module, _, name = sys.argv[1].partition(":")
    value = getattr(importlib.import_module(module), name)(**json.load(sys.stdin))
    print(json.dumps([value, peak_mib()]))


if __name__ == "__main__":
    _answer()
