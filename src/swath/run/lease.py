"""Who has a run in hand: one client at a time, told by locks where there are any, else by a lease.

On this machine's disks two locks of the kernel say who is at work. `control` is held by the process
that a user started; `alive` is inherited by every process of the run. Locks vanish with their
holders, so a killed run never looks as if it were running. An object store has no locks: there the
client writes its name and a time into one object, again and again, and who stops is taken for dead.
Clocks of two machines may differ, so nobody takes a lease by its time: only if it stayed the same
while one's own clock went on for long enough.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from swath.errors import NotFoundError, StoreError, TakenOverError
from swath.run.folder import RunFolder
from swath.run.machine import Process, is_alive, this_machine
from swath.store import is_local, join, local_path, open_store

BEAT_S = 10.0
"""A client on an object store says this often that it is there."""

DEAD_S = 45.0
"""A client that has not said so for this long is taken for dead."""

CLOCKS_S = 60.0
"""Who looks once, and cannot wait, allows the clocks of two machines to differ by this much."""

Confirm = Callable[[], None]
"""Raises `TakenOverError` if another client has the run in hand by now."""


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
        os.write(descriptor, str(Process.ours()).encode())
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
    """Return the process that follows a run, if it is on this machine.

    It means something only while a client follows the run.
    """
    if not folder.is_local:
        holder = _client(folder).holder()
        return holder.pid if holder is not None and holder.machine == this_machine() else None
    try:
        found = Process.parse((folder.machine_path / "control.lock").read_text())
    except FileNotFoundError:
        return None
    return found.pid if found is not None and found.is_here else None


def is_in_hand(folder: RunFolder) -> bool:
    """Tell whether a client is following this run now."""
    if folder.is_local:
        return is_locked(folder, "control")
    return _client(folder).holder() is not None


def _nothing() -> None:
    pass


@contextmanager
def in_hand(folder: RunFolder, meanwhile: Callable[[], None] = _nothing) -> Iterator[Confirm]:
    """Have the run in hand while inside; waits for whoever has it now.

    Parameters
    ----------
    folder
        The run.
    meanwhile
        Is called again and again while waiting.

    Yields
    ------
    Confirm
        To be called before anything is started or written down for good: who cannot reach the store
        for long may lose a run to another client.
    """
    if folder.is_local:
        while is_locked(folder, "control"):
            meanwhile()
            time.sleep(0.2)
        descriptor = lock(folder, "control", inherit=False)
        try:
            yield _nothing  # the kernel takes no lock away
        finally:
            os.close(descriptor)
        return
    with _client(folder).held(meanwhile) as confirm:
        yield confirm


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

        self._heard: tuple[Holder, float] | None = None
        self._is_lost = False
        self._confirmed = (0.0, 0.0)

    def holder(self) -> Holder | None:
        """Return who holds it, as far as one look can tell.

        That process may be dead for up to `CLOCKS_S` more than `dead_s`. If clocks differ by more
        than that it may even be alive though None is returned; `held` waits for it all the same.
        """
        found = self._written()
        if found is None or time.time() - found.time >= self._dead_s + CLOCKS_S:
            return None
        return None if _has_ended(found) else found

    @contextmanager
    def held(self, meanwhile: Callable[[], None] = _nothing) -> Iterator[Confirm]:
        """Take the lease, say that we are there, and give it back; waits for whoever has it now.

        Parameters
        ----------
        meanwhile
            Is called again and again while waiting.

        Yields
        ------
        Confirm
            Raises if somebody has taken us for dead.
        """
        while not self._take():
            meanwhile()
            time.sleep(self._beat_s / 10)
        self._is_lost = False
        self._note_confirmed()
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beat.start()
        try:
            yield self._confirm
        finally:
            stop.set()
            beat.join()
            with suppress(StoreError):  # then it is taken for dead, a little later
                if self._is_ours():
                    self._store.delete(self._uri)

    def _take(self) -> bool:
        found = self._written()
        if found is None:
            if self._store.create(self._uri, self._text()):
                return True
            found = self._written()  # somebody was faster; or it is damaged
        if found is not None and not self._is_dead(found):
            return False
        self._store.write(self._uri, self._text())
        time.sleep(self._beat_s / 20)  # of several who found it dead, the last writer has it
        return self._is_ours()

    def _is_dead(self, found: Holder) -> bool:
        """Tell whether its holder has said nothing new for `dead_s` of our own clock."""
        if self._heard is None or self._heard[0] != found:
            self._heard = found, time.monotonic()
        return _has_ended(found) or time.monotonic() - self._heard[1] >= self._dead_s

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(self._beat_s):
            try:
                if not self._is_ours():
                    self._is_lost = True  # we were silent for so long that we were taken for dead
                    return
                self._store.write(self._uri, self._text())
            except StoreError:
                continue  # the next beat may come through
            self._note_confirmed()

    def _note_confirmed(self) -> None:
        self._confirmed = time.time(), time.monotonic()

    def _confirm(self) -> None:
        """Raise if it is not ours any more; looks if the last beat is not of just now.

        A machine that was asleep knows it by the time of the day; its other clock stood still.
        """
        last_time, last = self._confirmed
        age_s = max(abs(time.time() - last_time), time.monotonic() - last)
        if not self._is_lost and age_s >= 2 * self._beat_s:
            self._is_lost = not self._is_ours()
            self._note_confirmed()
        if self._is_lost:
            raise TakenOverError(
                "another client has taken this run over: this one was not heard of for too long.",
                where=self._uri.rpartition("/")[0],
                mend="The run goes on there; swath wait follows it.",
            )

    def _is_ours(self) -> bool:
        found = self._written()
        return found is not None and found.token == self._token

    def _written(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._store.read(self._uri)))
        except (NotFoundError, ValueError, TypeError):
            return None

    def _text(self) -> bytes:
        ours = Holder(this_machine(), os.getpid(), time.time(), self._token)
        return json.dumps(asdict(ours)).encode()


def _has_ended(holder: Holder) -> bool:
    """Tell whether its process was on this machine and is not any more."""
    return holder.machine == this_machine() and not is_alive(holder.pid)


def _client(folder: RunFolder) -> Lease:
    return Lease(folder.place("client.json"))
