"""Who has a run in hand: locks of the kernel here, a lease on a store."""

from __future__ import annotations

import os
import subprocess
import sys

from swath.run.folder import RunFolder
from swath.run.lease import client_of, is_locked, lock


def test_lock_is_held_until_its_descriptor_is_closed(tmp_path):
    folder = RunFolder.create(tmp_path)
    assert not is_locked(folder, "control")
    descriptor = lock(folder, "control", inherit=False)
    assert is_locked(folder, "control")
    assert client_of(folder) == os.getpid()
    assert not is_locked(folder, "alive")
    os.close(descriptor)
    assert not is_locked(folder, "control")


def test_lock_vanishes_with_a_killed_holder(tmp_path):
    folder = RunFolder.create(tmp_path)
    code = (
        "import sys, os, signal\n"
        "from swath.run.folder import RunFolder\n"
        "from swath.run.lease import lock\n"
        "lock(RunFolder(sys.argv[1]), 'control', inherit=False)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder.path)], check=False)
    assert (folder.path / "control.lock").exists()
    assert not is_locked(folder, "control")


def test_inherited_lock_lives_as_long_as_the_last_child(tmp_path):
    folder = RunFolder.create(tmp_path)
    descriptor = lock(folder, "alive", inherit=True)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor]
    )
    os.close(descriptor)
    assert is_locked(folder, "alive")
    child.communicate(b"\n")
    assert not is_locked(folder, "alive")


def test_asking_for_a_lock_is_no_holding_of_it(tmp_path):
    """Two that ask at one time must not take each other for the holder."""
    import fcntl

    folder = RunFolder.create(tmp_path)
    os.close(lock(folder, "control", inherit=False))
    asking = os.open(folder.path / "control.lock", os.O_RDWR)
    fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert not is_locked(folder, "control")
    os.close(asking)
