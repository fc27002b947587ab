"""Kill anything at any moment, run again: the same bytes, and nothing finished is done twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import swath

CONFIG = Path(__file__).parent / "many_units.py"
SEGMENTS = Path(__file__).parent / "segments.py"
N_KILLS = 20
Victim = str
VICTIMS = ("worker", "make", "client")


class Client:
    """One ``swath run local`` in a process of its own."""

    def __init__(self, *arguments: object, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "swath", "run", "local", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )

    def find(self, victim: Victim) -> psutil.Process | None:
        """Return a process of this run to kill, or None if there is none now."""
        try:
            client = psutil.Process(self.process.pid)
            if victim == "client":
                return client
            for child in client.children(recursive=True):
                line = child.cmdline()
                if victim == "make" and "Makefile" in line and Path(line[0]).name == "make":
                    return child
                if victim == "worker" and "run-command" in line and line[0] == sys.executable:
                    return child
        except psutil.NoSuchProcess:
            pass
        return None

    def kill(self, victim: Victim, *, patience_s: float = 60) -> bool:
        """Kill a victim as soon as there is one; False if the run has ended before."""
        end = time.monotonic() + patience_s
        while self.process.poll() is None and time.monotonic() < end:
            found = self.find(victim)
            if found is not None:
                try:
                    found.kill()
                except psutil.NoSuchProcess:
                    continue
                return True
            time.sleep(0.005)
        return False

    def end(self) -> tuple[int, str]:
        """Wait for the end; return exit code and what it told."""
        _, told = self.process.communicate(timeout=120)
        return self.process.returncode, told


def records_of(root: Path) -> dict[str, str]:
    """Return kind and name of every unit that has a record, by fingerprint."""
    found = {}
    for part in root.glob("*/*/records/*.jsonl"):
        for line in part.read_text().splitlines():
            record = json.loads(line)
            found[record["fingerprint"]] = f"{part.parts[-4]} {record['unit']}"
    return found


def processes_below(root: Path) -> list[str]:
    """Return the command lines of processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and Path(process.cwd()).is_relative_to(root):
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return found


def records_made(root: Path) -> Counter[str]:
    """Count the records of each unit, by kind, name and fingerprint."""
    found: Counter[str] = Counter()
    for part in root.glob("*/*/records/*.jsonl"):
        for line in part.read_text().splitlines():
            record = json.loads(line)
            found[f"{part.parts[-4]} {record['unit']} {record['fingerprint']}"] += 1
    return found


class Story:
    """Runs of one experiment in fresh roots, killed again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls.txt"
        self._number = 0
        self.root = folder / "root-0"

    def next_root(self) -> None:
        self._number += 1
        self.root = self._folder / f"root-{self._number}"

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def start(self) -> Client:
        return Client(
            CONFIG,
            *("-a", "root_uri", self.root),
            *("--splits", "3", "--set", "local.jobs=2"),
            environment={"MANY_UNITS_CALLS": str(self._calls)},
        )

    def attempt(self, kill: Callable[[Client], bool]) -> tuple[bool, int, str]:
        """Run once, with a kill; whatever had a record before is not done again."""
        finished = set(records_of(self.root).values())
        n_calls = len(self.calls())
        client = self.start()
        killed = kill(client)
        exit_code, told = client.end()
        again = finished & set(self.calls()[n_calls:])
        assert not again, f"done twice: {again}"
        return killed, exit_code, told


def not_killed(client: Client) -> bool:
    return False


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, outputs_of: Any
) -> tuple[dict[str, bytes], float]:
    """Return the outputs of a run that nobody killed, and its duration in seconds."""
    story = Story(tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    _, exit_code, told = story.attempt(not_killed)
    assert exit_code == 0, told
    return outputs_of(story.root), time.monotonic() - started


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_at_random_moments_and_run_again_gives_the_same_bytes(
    victim: Victim,
    undisturbed: tuple[dict[str, bytes], float],
    outputs_of: Any,
    tmp_path: Path,
) -> None:
    expected, duration_s = undisturbed
    moments = random.Random(f"kill the {victim}")
    story = Story(tmp_path)
    n_kills = 0
    while n_kills < N_KILLS:
        moment_s = moments.uniform(0, 0.9 * duration_s)

        def kill(client: Client, after_s: float = moment_s) -> bool:
            time.sleep(after_s)
            return client.kill(victim)

        killed, exit_code, told = story.attempt(kill)
        n_kills += killed
        if exit_code == 0:
            assert outputs_of(story.root) == expected
            story.next_root()
        elif victim == "client":
            assert exit_code == -9, told
        else:
            assert (killed, exit_code) == (True, 1), told
            assert processes_below(story.root) == []
    _, exit_code, told = story.attempt(not_killed)
    assert exit_code == 0, told
    assert outputs_of(story.root) == expected
    for number in range(story.root.parent.stat().st_nlink):  # every root of this story
        assert processes_below(tmp_path / f"root-{number}") == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_segmentation_killed_at_random_moments_gives_the_same_labels(
    olinda: Path, outputs_of: Any, tmp_path: Path
) -> None:
    image = olinda / "L7_ETMs.tif"
    swath.segment(image, tmp_path / "expected.tif", workers=1)
    expected = (tmp_path / "expected.tif").read_bytes()

    def start(root: Path) -> Client:
        given = ("-a", "root_uri", root, "-a", "image", image, "-a", "tile_size", 64)
        return Client(SEGMENTS, *given, "--splits", "3", "--set", "local.jobs=2")

    moments = random.Random("kill a segmentation")
    undisturbed = tmp_path / "undisturbed"
    started = time.monotonic()
    exit_code, told = start(undisturbed).end()
    assert exit_code == 0, told
    duration_s = time.monotonic() - started
    n_units = len(records_made(undisturbed))
    assert n_units == 1 + 36 + 1 + 36 + 1
    n_kills, number = 0, 0
    is_done = False
    while n_kills < N_KILLS or not is_done:
        root = tmp_path / f"root-{number}"
        victim = VICTIMS[n_kills % len(VICTIMS)]
        client = start(root)
        if n_kills < N_KILLS:
            time.sleep(moments.uniform(0, 0.9 * duration_s))
            n_kills += client.kill(victim)
        exit_code, told = client.end()
        is_done = exit_code == 0
        made = records_made(root)
        assert set(made.values()) <= {1}, "a unit that was finished was done again"
        if is_done:
            assert len(made) == n_units
            assert (root / "experiments/segments/segments.tif").read_bytes() == expected
            assert outputs_of(root) == outputs_of(undisturbed)
            number += 1
        else:
            assert exit_code == (-9 if victim == "client" else 1), told
    for finished in range(number):
        assert processes_below(tmp_path / f"root-{finished}") == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_killed_three_times_in_the_middle_gives_the_same_weights(
    tiny: Any, run_swath: Any, outputs_of: Any, tmp_path: Path
) -> None:
    more = ("-a", "epochs", "8", "--until", "train")
    quiet = tiny.copy_to(tmp_path / "undisturbed")
    assert run_swath("run", "inprocess", *tiny.arguments(quiet, *more)) == 0
    root = tiny.copy_to(tmp_path / "root")
    for victim, epoch in zip(VICTIMS, (3, 5, 7), strict=True):
        client = Client(*tiny.arguments(root, *more))
        assert wait_for_epoch(root, epoch, client)
        assert client.kill(victim)
        exit_code, told = client.end()
        assert exit_code == (-9 if victim == "client" else 1), told
        assert new_outputs(root, tiny, outputs_of) == {}
    exit_code, told = Client(*tiny.arguments(root, *more)).end()
    assert exit_code == 0, told
    assert new_outputs(root, tiny, outputs_of) == new_outputs(quiet, tiny, outputs_of)
    assert processes_below(root) == []
    logs = [path.read_text() for path in sorted(root.glob("runs/*/logs/train*.txt"))]
    assert ["going on at epoch" in log for log in logs[-3:]] == [True, True, True]


def new_outputs(root: Path, tiny: Any, outputs_of: Any) -> dict[str, bytes]:
    """Return the outputs that the finished tiny experiment does not have."""
    before = outputs_of(tiny.root)
    return {path: data for path, data in outputs_of(root).items() if path not in before}


def wait_for_epoch(root: Path, epoch: int, client: Client) -> bool:
    """Wait until the latest training tells of an epoch; False if the run has ended before."""
    while client.process.poll() is None:
        for path in sorted(root.glob("runs/*/events/train*.jsonl"))[-1:]:
            if f'"epoch":{epoch}' in path.read_text():
                return True
        time.sleep(0.01)
    return False
