"""Who has a run in hand: one client at a time, told by locks where there are any, else by a lease.

On this machine's disks two locks of the kernel say who is at work. `control` is held by the process
that a user started; `alive` is inherited by every process of the run. Locks vanish with their
holders, so a killed run never looks as if it were running. An object store has no locks: there the
client writes its name and a time into one object, again and again, and who stops is taken for dead.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from swath.errors import NotFoundError, StoreError
from swath.run.folder import RunFolder
from swath.store import is_local, join, local_path, open_store

BEAT_S = 10.0
"""A client on an object store says this often that it is there."""

DEAD_S = 45.0
"""A client that has not said so for this long is taken for dead."""


def lock(folder: RunFolder, name: str, *, inherit: bool) -> int:
    """Take the lock `name` (``control`` or ``alive``) of a run here; return its descriptor.

    With `inherit`, child processes hold it, too, until the last of them has ended.
    """
    folder.machine_path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.machine_path / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    os.set_inheritable(descriptor, inherit)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if not inherit:
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def is_locked(folder: RunFolder, name: str) -> bool:
    """Tell whether any process of this machine holds the lock `name`."""
    try:
        descriptor = os.open(folder.machine_path / f"{name}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # Shared: two that ask at the same time must not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def client_of(folder: RunFolder) -> int | None:
    """Return the process of this machine that follows a run; only while one does it means so."""
    if not folder.is_local:
        holder = _client(folder).holder()
        return holder.pid if holder is not None and holder.machine == _machine() else None
    try:
        return int((folder.machine_path / "control.lock").read_text())
    except (FileNotFoundError, ValueError):
        return None


def is_in_hand(folder: RunFolder) -> bool:
    """Tell whether a client is following this run now."""
    if folder.is_local:
        return is_locked(folder, "control")
    return _client(folder).holder() is not None


@contextmanager
def in_hand(folder: RunFolder) -> Iterator[None]:
    """Have the run in hand while inside; waits for whoever has it now."""
    if folder.is_local:
        descriptor = lock(folder, "control", inherit=False)
        try:
            yield
        finally:
            os.close(descriptor)
        return
    with _client(folder).held():
        yield


@contextmanager
def starting(root: str) -> Iterator[None]:
    """Let one client at a time look for other runs of a root and begin its own."""
    if not is_local(root):
        with Lease(join(root, "starting.json")).held():
            yield
        return
    folder = local_path(root)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".starting.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease.

    Attributes
    ----------
    machine, pid
        The process; numbers of processes mean something on one machine only.
    time
        When it last said that it is there, in seconds since 1970, UTC.
    token
        Different for each that ever held it.
    """

    machine: str
    pid: int
    time: float
    token: str


class Lease:
    """What one process has at a time: an object that its holder writes again and again.

    Parameters
    ----------
    uri
        Of the object.
    beat_s, dead_s
        See `BEAT_S` and `DEAD_S`; the same for all that want it.
    """

    def __init__(self, uri: str, *, beat_s: float = BEAT_S, dead_s: float = DEAD_S) -> None:
        self._uri = uri
        self._store = open_store(uri)
        self._token = secrets.token_hex(8)
        self._beat_s = beat_s
        self._dead_s = dead_s

    def holder(self) -> Holder | None:
        """Return who holds it, if that process is taken for alive."""
        found = self._written()
        if found is None or time.time() - found.time >= self._dead_s:
            return None
        if found.machine == _machine() and not is_alive(found.pid):
            return None
        return found

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the lease, say that we are there, and give it back; waits for whoever has it now."""
        while not self._take():
            time.sleep(self._beat_s / 10)
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            with suppress(StoreError):  # then it is taken for dead, a little later
                if self._is_ours():
                    self._store.delete(self._uri)

    def _take(self) -> bool:
        if self._store.create(self._uri, self._text()):
            return True
        if self.holder() is not None:
            return False
        self._store.write(self._uri, self._text())
        time.sleep(self._beat_s / 20)  # of several who found it dead, the last writer has it
        return self._is_ours()

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(self._beat_s):
            try:
                if not self._is_ours():
                    return  # we slept for so long that somebody took us for dead
                self._store.write(self._uri, self._text())
            except StoreError:
                continue  # the next beat may come through

    def _is_ours(self) -> bool:
        found = self._written()
        return found is not None and found.token == self._token

    def _written(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._store.read(self._uri)))
        except (NotFoundError, ValueError, TypeError):
            return None

    def _text(self) -> bytes:
        return json.dumps(
            asdict(Holder(_machine(), os.getpid(), time.time(), self._token))
        ).encode()


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _machine() -> str:
    """Name the place where our number of a process means us: containers may share a host's name."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not on Linux
        return socket.gethostname()


def _client(folder: RunFolder) -> Lease:
    return Lease(folder.place("client.json"))
