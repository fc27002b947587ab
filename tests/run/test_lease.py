"""Who has a run in hand: locks of the kernel here, a lease on a store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

import pytest

from swath.errors import RunError, TakenOverError
from swath.run.folder import CANCELLED, OUTCOME, RUN, RunFolder
from swath.run.lease import (
    CLOCKS_S,
    Holder,
    Lease,
    client_of,
    in_hand,
    is_in_hand,
    is_locked,
    lock,
    starting,
)
from swath.run.life import cancel
from swath.run.machine import Process, this_machine
from swath.run.processes import GROUP, end_processes
from swath.store import join, open_store


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


# ------------------------------------------------------------------ folders that machines share


@pytest.fixture
def innocent():
    """Yield a process of this machine with a number that a run of another one has, too."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate(b"\n")
    assert process.returncode == 0


def test_machine_is_this_boot_and_this_namespace_of_numbers():
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        pytest.skip("Linux alone tells its boot")
    host, found, namespace = this_machine().split(" ")
    assert found == boot.read_text().strip()
    assert namespace == str(Path("/proc/self/ns/pid").readlink())
    assert Process.ours().host == host


def test_client_on_another_machine_is_not_signalled_but_hears_of_the_cancel(tmp_path, innocent):
    folder = RunFolder.create(tmp_path)
    folder.write("plan.json", {"nodes": [], "splits": [], "experiments": []})
    folder.write(RUN, {"runner": "local", "settings": {}, "keep_going": False, "detached": False})
    descriptor = lock(folder, "control", inherit=False)
    assert client_of(folder) == os.getpid()
    (folder.path / "control.lock").write_text(str(Process(innocent.pid, "another boot")))
    assert client_of(folder) is None
    assert cancel(folder, patience_s=0.1)
    assert folder.has(CANCELLED)
    assert folder.read(OUTCOME)["stopped"]
    os.close(descriptor)
    assert innocent.poll() is None


def test_number_without_its_machine_is_nobody(tmp_path):
    """As an older Swath wrote it."""
    folder = RunFolder.create(tmp_path)
    (folder.path / "control.lock").write_text(str(os.getpid()))
    assert client_of(folder) is None


def test_processes_of_another_machine_are_not_ended_here(tmp_path, innocent):
    folder = RunFolder.create(tmp_path)
    (folder.path / GROUP).write_text(str(Process(innocent.pid, "far boot")))
    end_processes(folder)  # nothing is alive
    descriptor = lock(folder, "alive", inherit=True)
    with pytest.raises(RunError, match=r"are on another machine, 'far'.*Stop them there"):
        end_processes(folder)
    os.close(descriptor)
    assert innocent.poll() is None


# ------------------------------------------------------------------ leases on a store


@pytest.fixture
def uri():
    return f"memory://{uuid4().hex}/lease.json"


def write(uri: str, **fields: object) -> None:
    holder = Holder("another machine", 1, time.time(), "theirs")
    open_store(uri).write(uri, json.dumps(asdict(holder) | fields).encode())


def quick(uri: str) -> Lease:
    return Lease(uri, beat_s=0.05, dead_s=0.4)


def test_lease_is_taken_kept_by_beating_and_given_back(uri):
    assert quick(uri).holder() is None
    with quick(uri).held():
        first = quick(uri).holder()
        assert first.pid == os.getpid()
        end = time.monotonic() + 1.2  # three times as long as the dead are waited for
        while time.monotonic() < end:
            assert quick(uri).holder().token == first.token
            time.sleep(0.02)
    assert not open_store(uri).exists(uri)


def test_one_at_a_time_has_a_lease(uri):
    inside, most = [], []

    def work(number: int) -> None:
        with quick(uri).held():
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == [1] * 8


def test_lease_of_a_dead_process_of_this_machine_is_free_at_once(uri):
    with Lease(uri).held():
        ours = Lease(uri).holder()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write(uri, machine=ours.machine, pid=dead.pid)
    assert Lease(uri).holder() is None
    write(uri, machine=ours.machine, pid=os.getppid())
    assert Lease(uri).holder() is not None


def test_lease_of_another_machine_is_free_once_nothing_was_heard_for_long(uri):
    write(uri)
    started = time.monotonic()
    with quick(uri).held():
        assert time.monotonic() - started >= 0.3
        assert quick(uri).holder().pid == os.getpid()


@pytest.mark.parametrize("ahead_s", [-1e6, -100.0, 1e6])
def test_living_holder_keeps_its_lease_whatever_the_clocks_say(uri, ahead_s):
    """Its time is that of another clock; only that it changes tells that it is alive."""
    stop = threading.Event()

    def beat() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            write(uri, time=time.time() + ahead_s + number / 1000)

    write(uri, time=time.time() + ahead_s)
    beating = threading.Thread(target=beat)
    beating.start()
    taken = threading.Event()

    def take() -> None:
        with quick(uri).held():
            taken.set()

    taker = threading.Thread(target=take)
    taker.start()
    assert not taken.wait(1.2)  # three times as long as the dead are waited for
    stop.set()
    assert taken.wait(30)
    beating.join()
    taker.join()


def test_one_look_allows_for_clocks_that_differ(uri):
    write(uri, time=time.time() - CLOCKS_S)
    assert quick(uri).holder() is not None
    write(uri, time=time.time() - CLOCKS_S - 1)
    assert quick(uri).holder() is None


def test_who_waits_for_a_lease_does_something_meanwhile(uri):
    write(uri)
    calls = []
    with quick(uri).held(lambda: calls.append(1)):
        assert len(calls) > 3


def test_holder_who_was_taken_for_dead_is_told_so(uri):
    def go_on_until(end: float) -> None:
        while time.monotonic() < end:
            confirm()
            time.sleep(0.01)

    with quick(uri).held() as confirm:
        confirm()
        write(uri, token="theirs")
        with pytest.raises(TakenOverError, match="another client has taken this run over"):
            go_on_until(time.monotonic() + 30)


def test_holder_that_has_slept_looks_before_it_goes_on(uri):
    """Its thread has not come to a beat since, as after the suspension of a machine."""
    lease = Lease(uri, beat_s=0.2)
    lease._take()
    lease._note_confirmed()
    write(uri, token="theirs")
    lease._confirm()  # it has just been heard
    time.sleep(0.4)
    with pytest.raises(TakenOverError):
        lease._confirm()


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"machine": "x"}', b"no json"])
def test_lease_that_is_damaged_is_free(uri, text):
    open_store(uri).write(uri, text)
    assert quick(uri).holder() is None
    with quick(uri).held():
        assert quick(uri).holder().pid == os.getpid()


def test_holder_who_was_taken_for_dead_leaves_the_lease_to_the_next(uri):
    with quick(uri).held():
        write(uri, token="theirs")
        time.sleep(0.2)  # several beats
        assert quick(uri).holder() == replace(quick(uri).holder(), token="theirs")
    assert quick(uri).holder().token == "theirs"


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path):
    return RunFolder.create(tmp_path if request.param == "disk" else f"memory://{uuid4().hex}/r")


def test_run_is_in_the_hand_of_one_client_who_is_known(folder):
    assert not is_in_hand(folder)
    with in_hand(folder):
        assert is_in_hand(folder)
        assert client_of(folder) == os.getpid()
    assert not is_in_hand(folder)


def test_client_on_another_machine_is_no_process_here():
    folder = RunFolder.create(f"memory://{uuid4().hex}/r")
    write(folder.place("client.json"), pid=os.getpid())
    assert is_in_hand(folder)
    assert client_of(folder) is None


def test_one_client_at_a_time_begins_a_run(folder):
    order = []

    def second() -> None:
        with starting(folder.root):
            order.append("second")

    with starting(folder.root):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_run_on_a_store_is_free_once_its_client_was_killed(s3_bucket):
    root = f"s3://{s3_bucket}/root"
    folder = RunFolder(join(root, "runs", "one"))
    code = (
        "import sys, time\n"
        "from swath.run.folder import RunFolder\n"
        "from swath.run.lease import in_hand\n"
        "with in_hand(RunFolder(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, folder.uri], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout.readline() == "held\n"
    assert is_in_hand(folder)
    assert client_of(folder) == client.pid
    client.send_signal(signal.SIGKILL)
    client.communicate()
    assert not is_in_hand(folder)
    with in_hand(folder):
        assert client_of(folder) == os.getpid()
