"""What a Dask worker does with the process of a split, shown on workers that are processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from swath.errors import InterruptedRunError
from swath.experiment.session import execute
from swath.plan.command import Command, Pipeline, Unit
from swath.plan.plan import make_plan
from swath.run.folder import CANCELLED, RunFolder
from swath.run.runner import Cause
from swath.run.runners.dask_worker import cause_of
from swath.settings import load_settings
from swath.testing.conformance import Place, diamond_in, until
from swath.testing.dask import DaskServers

KINDS = '''
"""Commands that do not end when they should."""

import signal
import subprocess
import sys
import time
from pathlib import Path

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def tell(pid):
    path = Path(__file__).with_name("pid")
    path.with_suffix(".partial").write_text(str(pid))
    path.with_suffix(".partial").rename(path)


def leave(work):
    tell(subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
    work.output("text").write_text("left")


def defy(work):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(subprocess.Popen(SLEEP).pid)
    time.sleep(60)


def sleep(work):
    tell(subprocess.Popen(SLEEP).pid)
    time.sleep(60)
'''


class Bench:
    """Runs one unit of one of these kinds with the runner `dask`."""

    def __init__(self, folder: Path, servers: DaskServers) -> None:
        self._folder = folder
        (folder / "kinds.py").write_text(KINDS)
        self._settings = [f"{name}={value}" for name, value in servers.settings.items()]
        self.events: list[Any] = []

    def run(self, function: str) -> Any:
        unit = Unit("one", {}, {"text": "t.txt"})
        place, root = f"{self._folder}/kinds.py:{function}", f"{self._folder}/root"
        pipeline = Pipeline("one", root, (Command(function, place, root, (unit,)),))
        settings = load_settings(self._settings, environment={}, folder=Path("/nowhere"))
        made = make_plan([pipeline])
        return execute(made, "dask", settings=settings, emit=self.events.append).outcome

    def processes(self) -> list[psutil.Process]:
        """Return the child of the unit, and the process of the unit itself, once they are there."""
        told = self._folder / "pid"
        until(told.exists, "the unit starts a child")
        child = psutil.Process(int(told.read_text()))
        return [child, child.parent()]

    @property
    def run_folder(self) -> RunFolder:
        return RunFolder.find("latest", f"{self._folder}/root")


def is_over(process: psutil.Process) -> bool:
    """Tell whether a process has ended, be it that nobody has asked for its exit code."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def bench(tmp_path: Path, dask_servers: DaskServers) -> Bench:
    return Bench(tmp_path, dask_servers)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


def test_what_a_finished_split_leaves_behind_is_ended(bench, pool):
    result = pool.submit(bench.run, "leave")
    (child, _) = bench.processes()
    assert result.result().succeeded
    assert is_over(child)


def test_split_that_defies_is_killed_with_its_children(bench, pool):
    result = pool.submit(bench.run, "defy")
    processes = bench.processes()
    bench.run_folder.write(CANCELLED, {})
    with pytest.raises(InterruptedRunError):
        result.result()
    assert all(map(is_over, processes))


def test_mark_of_a_cancelled_run_stops_its_splits_without_any_client(tmp_path):
    soon = tmp_path / "soon.py"
    soon.write_text("import swath.run.runners.dask_worker as worker; worker.MARK_S = 0.5")
    with DaskServers(workers=0) as servers:
        servers.start_worker("worker-0", "--preload", str(soon))
        words = tuple(f"{name}={value}" for name, value in servers.settings.items())
        with diamond_in(Place("dask", f"{tmp_path}/root", words), tmp_path) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start()
            diamond.wait_until_hanging("u1")
            client.kill()
            client.wait()
            pids = [event.data["pid"] for event in diamond.events() if event.what == "started"]
            assert any(map(psutil.pid_exists, pids))
            diamond.folder.write(CANCELLED, {})
            until(lambda: not any(map(psutil.pid_exists, pids)), "all of them end")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, Cause.WORK),
        (2, Cause.WORK),
        (130, Cause.RECLAIMED),
        (-signal.SIGKILL, Cause.RECLAIMED),
        (-signal.SIGTERM, Cause.RECLAIMED),
        (-signal.SIGSEGV, Cause.WORK),
        (-signal.SIGABRT, Cause.WORK),
    ],
)
def test_only_what_came_from_outside_is_tried_again(code, cause):
    assert cause_of(code)[0] is cause
