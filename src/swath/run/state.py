"""The folder of a unit that outlives a kill: checkpoints, so that an hour of training is not lost.

Outputs are published elsewhere, see `swath.run.desk`. The one idea: the folder goes by the unit's
fingerprint, so whatever lies in it is of this very unit; and it has one owner at a time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from swath.errors import StoreError
from swath.store import join, open_store
from swath.store.local import TEMPORARY

SAVE_S = 30.0
"""State that lies on a store is at most this many seconds older than that of a killed process."""


class State(Protocol):
    """What outlives a kill of one unit."""

    @property
    def path(self) -> Path:
        """A local folder; it exists."""
        ...

    @property
    def exists(self) -> bool:
        """True if this attempt, or one before it, left a state."""
        ...

    def remove(self) -> None:
        """Remove the state of a unit that is done."""
        ...

    def close(self) -> None:
        """Leave the state for the next attempt."""
        ...


class StateFolder:
    """The state of one unit; nothing is made before `path` is asked for.

    Two runs in one root may do the same unit at the same moment. Who comes second gets a folder of
    its own, and starts from the beginning.

    Parameters
    ----------
    shared
        Where the state of this unit is looked for by every attempt.
    private
        Where this process keeps it while another one owns `shared`.
    start_over
        True to remove what an earlier attempt left.
    """

    def __init__(self, shared: Path, private: Path, *, start_over: bool) -> None:
        self._shared = shared
        self._private = private
        self._start_over = start_over
        self._path: Path | None = None
        self._lock: int | None = None

    @property
    def path(self) -> Path:
        """The folder; it exists."""
        if self._path is None:
            self._path = self._shared / "kept" if self._take() else self._private
            if self._start_over:
                shutil.rmtree(self._path, ignore_errors=True)
            self._path.mkdir(parents=True, exist_ok=True)
        return self._path

    @property
    def exists(self) -> bool:
        """True if this attempt, or one before it, left a state."""
        return self._path is not None or self._shared.is_dir()

    def _take(self) -> bool:
        """Become the owner of the shared folder, or tell that somebody else is."""
        self._shared.mkdir(parents=True, exist_ok=True)
        try:
            lock = os.open(self._shared / "owner", os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # its owner has just finished and removed it
            return False
        try:
            # POSIX locks, unlike those of flock(), do not live on in children of a killed owner:
            # the processes that load its data, for example.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        if os.fstat(lock).st_nlink == 0:  # removed between the two steps
            os.close(lock)
            return False
        self._lock = lock
        return True

    def remove(self) -> None:
        """Remove the state of a unit that is done, unless it belongs to another process."""
        if self._lock is not None or (self._shared.is_dir() and self._take()):
            shutil.rmtree(self._shared, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Leave the state for the next attempt."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = self._path = None


class StoredState:
    """The state of one unit on an object store, worked on in a local folder.

    It is fetched when it is first asked for, and saved every half minute and at the end. What a
    function writes there it has to write under another name, ending in ``.partial``, and rename.

    Parameters
    ----------
    uri
        Folder on the store where every attempt looks for it.
    folder
        Local folder to work in.
    start_over
        True to remove what an earlier attempt left.
    """

    def __init__(self, uri: str, folder: Path, *, start_over: bool) -> None:
        self._uri = uri
        self._store = open_store(uri)
        self._folder = folder
        self._start_over = start_over
        self._saved: dict[str, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The local folder; what an earlier attempt left is in it."""
        if self._thread is None:
            self._folder.mkdir(parents=True)
            if self._start_over:
                self._store.delete(self._uri)
            for name, _ in list(self._store.list(self._uri)):
                self._store.get(join(self._uri, name), self._folder / name)
            self._saved = self._files()
            self._thread = threading.Thread(target=self._save_now_and_then, daemon=True)
            self._thread.start()
        return self._folder

    @property
    def exists(self) -> bool:
        """True if this attempt asked for it."""
        return self._thread is not None

    def remove(self) -> None:
        """Remove the state of a unit that is done."""
        self._end()
        self._store.delete(self._uri)

    def close(self) -> None:
        """Save it for the next attempt, unless it was removed."""
        if self._end():
            with suppress(StoreError):  # the error that ended the attempt is the one to be told
                self._save()

    def _end(self) -> bool:
        """Stop saving; return whether there was anything to save."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join()
        return thread is not None

    def _save_now_and_then(self) -> None:
        while not self._stop.wait(SAVE_S):
            with suppress(StoreError, FileNotFoundError):  # the next time may go better
                self._save()

    def _files(self) -> dict[str, tuple[int, int]]:
        """Return time of modification and size of each finished file, oldest first."""
        found = {}
        for path in self._folder.iterdir():
            if not (path.name.startswith(TEMPORARY) or path.name.endswith(".partial")):
                stat = path.stat()
                found[path.name] = (stat.st_mtime_ns, stat.st_size)
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def _save(self) -> None:
        """Put what has changed, in the order in which it was written, then delete what is gone.

        A file that tells of another one is written after it, so it is put after it, too.
        """
        now = self._files()
        copies = self._folder / f"{TEMPORARY}copies"
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir()
        for name in now:
            os.link(self._folder / name, copies / name)
        if self._files() != now:
            return self._save()  # something was written meanwhile: all files of one moment
        for name, found in now.items():
            if self._saved.get(name) != found:
                self._store.put(copies / name, join(self._uri, name))
        for name in set(self._saved) - set(now):
            self._store.delete(join(self._uri, name))
        self._saved = now
        return None
