"""The folder of a unit that outlives a kill: checkpoints, so that an hour of training is not lost.

Outputs are published elsewhere, see `swath.run.desk`. The one idea: the folder goes by the unit's
fingerprint, so whatever lies in it is of this very unit; and it has one owner at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from swath.errors import NotFoundError, StoreError
from swath.store import join, open_store
from swath.store.local import TEMPORARY

SAVE_S = 30.0
"""State that lies on a store is at most this many seconds older than that of a killed process."""


TRIES = 10
"""Times that a state is looked at again because it has just changed."""


_INDEX = "index.json"
_Version = tuple[int, int, int]


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
    Every file is an object of its own, and an index says which belong together: whenever the
    machine is taken away, the index names all files of one moment.

    Parameters
    ----------
    uri
        Folder on the store where every attempt looks for it.
    folder
        Local folder to work in.
    start_over
        True to remove what an earlier attempt left.
    save_s
        Seconds between two savings.
    """

    def __init__(self, uri: str, folder: Path, *, start_over: bool, save_s: float = SAVE_S) -> None:
        self._uri = uri
        self._store = open_store(uri)
        self._folder = folder
        self._start_over = start_over
        self._save_s = save_s
        self._attempt = secrets.token_hex(4)
        self._n_objects = 0
        self._index: dict[str, str] = {}
        self._saved: dict[str, _Version] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The local folder; what an earlier attempt left is in it."""
        if self._thread is None:
            self._folder.mkdir(parents=True)
            if self._start_over:
                self._store.delete(self._uri)
            self._fetch()
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
            with suppress(StoreError, FileNotFoundError):  # what ended the attempt is to be told
                self._save()

    def _end(self) -> bool:
        """Stop saving; return whether there was anything to save."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join()
        return thread is not None

    def _save_now_and_then(self) -> None:
        while not self._stop.wait(self._save_s):
            with suppress(StoreError, FileNotFoundError):  # the next time may go better
                self._save()

    def _fetch(self) -> None:
        try:
            index = json.loads(self._store.read(join(self._uri, _INDEX)))
            for name, place in index.items():
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
                self._store.get(join(self._uri, place), self._folder / name)
        except NotFoundError:  # there is none, or another run, that does the same, is done with it
            shutil.rmtree(self._folder)
            self._folder.mkdir()
        else:
            self._index, self._saved = index, self._files()

    def _save(self) -> None:
        """Put what has changed, then the index, then delete what no index names any more."""
        copies = self._folder.with_name(f"{self._folder.name}-copies")
        try:
            now = self._linked(copies)
            if now is None or now == self._saved:
                return
            index = {}
            for name, version in now.items():
                if self._saved.get(name) == version:
                    index[name] = self._index[name]
                else:
                    index[name] = f"{self._attempt}-{self._n_objects:06d}"
                    self._n_objects += 1
                    self._store.put(copies / name, join(self._uri, index[name]))
            self._store.write(join(self._uri, _INDEX), json.dumps(index).encode())
            before, self._index, self._saved = self._index, index, now
            for place in set(before.values()) - set(index.values()):
                self._store.delete(join(self._uri, place))
        finally:
            shutil.rmtree(copies, ignore_errors=True)

    def _linked(self, copies: Path) -> dict[str, _Version] | None:
        """Link to all files of one moment; None if they never stand still."""
        for _ in range(TRIES):
            now = self._files()
            shutil.rmtree(copies, ignore_errors=True)
            for name in now:
                (copies / name).parent.mkdir(parents=True, exist_ok=True)
                os.link(self._folder / name, copies / name)
            if self._files() == now:
                return now
        return None

    def _files(self) -> dict[str, _Version]:
        """Return what tells each finished file from what it was before, by its relative name."""
        found = {}
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            is_finished = not (name.endswith(".partial") or path.name.startswith(TEMPORARY))
            if is_finished and path.is_file():
                stat = path.stat()
                # Clocks of file systems tick slowly: two files of one size may have one time.
                found[name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found
