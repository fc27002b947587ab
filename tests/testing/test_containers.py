"""Containers that are processes: how they end, and what is left."""

from __future__ import annotations

import gc
import signal
import threading
from pathlib import Path

import pytest

from swath.testing.containers import Machine


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def test_signals_become_exit_codes_as_docker_tells_them(log: Path) -> None:
    machine = Machine()
    for number, code in ((signal.SIGKILL, 137), (signal.SIGTERM, 143)):
        container = machine.start(["sleep", "60"], {}, log)
        assert container is not None
        container.signal(number)
        assert machine.wait(container) == code
    machine.close()
    machine.remove()


def test_no_shell_looks_at_arguments(log: Path) -> None:
    machine = Machine()
    container = machine.start(["echo", "$HOME", "a b; exit 1"], {}, log)
    assert container is not None
    assert machine.wait(container) == 0
    assert log.read_text() == "$HOME a b; exit 1\n"
    machine.remove()


def test_stopped_container_leaves_no_timer(log: Path) -> None:
    machine = Machine()
    container = machine.start(["sleep", "60"], {}, log)
    assert container is not None
    before = set(threading.enumerate())
    container.stop(3600)
    assert machine.wait(container) == 143
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    machine.remove()


def test_closed_machine_starts_nothing(log: Path) -> None:
    machine = Machine()
    machine.close()
    assert machine.start(["true"], {}, log) is None
    machine.remove()
    assert not machine.folder.exists()


def test_folder_of_a_machine_that_nobody_closed_goes_with_it() -> None:
    machine = Machine()
    folder = machine.folder
    assert folder.is_dir()
    del machine
    gc.collect()
    assert not folder.exists()


def test_given_folder_is_kept(tmp_path: Path) -> None:
    machine = Machine(folder=tmp_path / "kept")
    machine.close()
    machine.remove()
    assert (tmp_path / "kept").is_dir()
