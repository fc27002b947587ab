"""Text that grows, on a store whose objects do not: small parts that are put one after another.

The names of the parts of one split sort in the order in which they were written, over several
attempts: ``<split>.<time of start in ms>-<number>.<ending>``.

Each part costs a request to write, and a place in every list of them. So the first ones come soon,
and later ones less and less often.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

from swath.errors import SwathError
from swath.run.folder import RunFolder

PATIENCE_S = 2.0
"""What was written is on the store at the latest after this many seconds, in a young split."""

PATIENCE_SHARE = 0.05
"""... and in an older one after this share of its age."""

LONGEST_PATIENCE_S = 60.0
"""... and in an old one after this many seconds."""

_LOG = logging.getLogger(__name__)


class PartWriter:
    """Gathers bytes of one split and puts them in parts, from a thread of its own.

    What it writes is information only, so that it never raises what the store says: it tries again
    with the next part, and warns of what is lost at the end.

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
        Seconds after which what was written is on the store, while the split is young.
    clock
        Tells the time in seconds.
    wait
        Waits for an event so many seconds, and tells whether it came.

    Notes
    -----
    A split that always has something to tell leaves 20 parts in its first 40 s, some 70 more in 20
    minutes, and from then on one a minute.
    """

    def __init__(
        self,
        folder: RunFolder,
        place: str,
        split: str,
        ending: str,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._store = folder.store
        self._stem = folder.place(place, f"{split}.{int(time.time() * 1000):013d}")
        self._ending = ending
        self._patience_s = patience_s
        self._clock = clock
        self._wait = wait
        self._started = clock()
        self._waiting: dict[Hashable, bytes] = {}
        self._number = 0
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flush_now_and_then, daemon=True)
        self._thread.start()

    def write(self, data: bytes, topic: Hashable = None) -> None:
        """Take what is to be written; returns at once.

        What has a topic takes the place of what still waits of the same topic.
        """
        with self._lock:
            key = object() if topic is None else topic
            self._waiting.pop(key, None)  # the new one comes last
            self._waiting[key] = data

    def close(self) -> None:
        """Put what is left; warns if that cannot be."""
        self._stop.set()
        self._thread.join()
        try:
            self._flush()
        except SwathError as error:
            _LOG.warning("the last of what a split told is lost: %s", error)

    def _flush_now_and_then(self) -> None:
        is_told = False
        while not self._wait(self._stop, self._pause_s()):
            try:
                self._flush()
            except SwathError as error:  # it stays here, and goes with the next part
                if not is_told:
                    _LOG.warning("what a split tells is written later: %s", error)
                is_told = True
            else:
                is_told = False

    def _pause_s(self) -> float:
        age_s = self._clock() - self._started
        return max(self._patience_s, min(PATIENCE_SHARE * age_s, LONGEST_PATIENCE_S))

    def _flush(self) -> None:
        with self._flushing:
            with self._lock:
                taken, self._waiting = self._waiting, {}
            if not taken:
                return
            try:
                data = b"".join(taken.values())
                self._store.write(f"{self._stem}-{self._number:06d}.{self._ending}", data)
            except BaseException:
                with self._lock:
                    newer = self._waiting
                    kept = {key: text for key, text in taken.items() if key not in newer}
                    self._waiting = kept | newer
                raise
            self._number += 1
