"""Text that grows, on a store whose objects do not: small parts that are put one after another.

The names of the parts of one split sort in the order in which they were written, over several
attempts: ``<split>.<time of start in ms>-<number>.<ending>``.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from swath.errors import SwathError
from swath.run.folder import RunFolder

PATIENCE_S = 2.0
"""What was written is on the store at the latest after this many seconds."""


class PartWriter:
    """Gathers bytes of one split and puts them in parts, from a thread of its own.

    Parameters
    ----------
    folder
        The run.
    place
        Folder of the run for the parts.
    split
        Key of the split.
    ending
        Of the names.
    patience_s
        Seconds after which what was written is on the store.
    """

    def __init__(
        self,
        folder: RunFolder,
        place: str,
        split: str,
        ending: str,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._store = folder.store
        self._stem = folder.place(place, f"{split}.{int(time.time() * 1000):013d}")
        self._ending = ending
        self._patience_s = patience_s
        self._waiting: list[bytes] = []
        self._number = 0
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flush_now_and_then, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Take what is to be written; returns at once."""
        with self._lock:
            self._waiting.append(data)

    def close(self) -> None:
        """Put what is left."""
        self._stop.set()
        self._thread.join()
        self._flush()

    def _flush_now_and_then(self) -> None:
        while not self._stop.wait(self._patience_s):
            with suppress(SwathError):  # it stays here, and goes with the next part
                self._flush()

    def _flush(self) -> None:
        with self._flushing:
            with self._lock:
                data, n_taken = b"".join(self._waiting), len(self._waiting)
            if not data:
                return
            self._store.write(f"{self._stem}-{self._number:06d}.{self._ending}", data)
            self._number += 1
            with self._lock:
                del self._waiting[:n_taken]
