"""The folder of a unit that outlives a kill: checkpoints, so that an hour of training is not lost.

Outputs are published elsewhere, see `swath.run.desk`. The one idea: the folder goes by the unit's
fingerprint, so whatever lies in it is of this very unit; and it has one owner at a time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path


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
