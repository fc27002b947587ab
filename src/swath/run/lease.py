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
from contextlib import contextmanager
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
        return _Beating(folder.place(_CLIENT)).process_here()
    try:
        return int((folder.machine_path / "control.lock").read_text())
    except (FileNotFoundError, ValueError):
        return None


def is_in_hand(folder: RunFolder) -> bool:
    """Tell whether a client is following this run now."""
    if folder.is_local:
        return is_locked(folder, "control")
    return _Beating(folder.place(_CLIENT)).is_held()


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
    with _Beating(folder.place(_CLIENT)).held():
        yield


@contextmanager
def starting(root: str) -> Iterator[None]:
    """Let one client at a time look for other runs of a root and begin its own."""
    if not is_local(root):
        with _Beating(join(root, "starting.json")).held():
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


_CLIENT = "client.json"


class _Beating:
    """A lease: an object that its holder writes again and again."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._store = open_store(uri)
        self._token = secrets.token_hex(8)

    def is_held(self) -> bool:
        """Tell whether its holder is taken for alive."""
        try:
            holder = json.loads(self._store.read(self._uri))
            age, host, pid = time.time() - holder["time"], holder["host"], int(holder["pid"])
        except (NotFoundError, ValueError, TypeError, KeyError):
            return False
        if host == socket.gethostname() and not Path(f"/proc/{pid}").exists():
            return False
        return bool(age < DEAD_S)

    def process_here(self) -> int | None:
        """Return the process that holds it, if it is one of this machine."""
        try:
            holder = json.loads(self._store.read(self._uri))
            return int(holder["pid"]) if holder["host"] == socket.gethostname() else None
        except (NotFoundError, ValueError, TypeError, KeyError):
            return None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the lease, say that we are there, and give it back."""
        while not self._take():
            time.sleep(1.0)
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            self._store.delete(self._uri)

    def _take(self) -> bool:
        if self._store.create(self._uri, self._text()):
            return True
        if self.is_held():
            return False
        self._store.write(self._uri, self._text())
        time.sleep(0.5)  # of several who found it dead, the last writer has it
        try:
            return bool(json.loads(self._store.read(self._uri))["token"] == self._token)
        except (NotFoundError, ValueError, KeyError):
            return False

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(BEAT_S):
            try:
                self._store.write(self._uri, self._text())
            except StoreError:
                continue  # the next beat may come through

    def _text(self) -> bytes:
        name = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        return json.dumps({**name, "token": self._token}).encode()
