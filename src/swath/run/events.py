"""Events: what splits tell while they run, one line of JSON each.

Workers append to one file per split, or, on an object store, which knows no appending, put part
after part. `status`, the progress display and the report read them. An event is information, never
state: whether a unit is done is told by its record, and a split by its done file.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from swath.run.folder import RunFolder
from swath.run.parts import PartWriter

_LOG = logging.getLogger(__name__)


class Event(NamedTuple):
    """Something that happened.

    Attributes
    ----------
    time
        Seconds since 1970, UTC.
    split
        Key of the split.
    what
        ``started``, ``progress``, ``warning``, ``unit_done``, ``unit_skipped``, ``unit_failed``,
        ``done``, ``failed`` or ``interrupted``.
    data
        By kind of event: unit, done, total, numbers, seconds, error, traceback, pid.
    """

    time: float
    split: str
    what: str
    data: dict[str, Any]


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing with an event."""


class EventWriter:
    """Writes the events of one split of a run; that they cannot be written is warned of once."""

    def __init__(self, folder: RunFolder, split: str, emit: Emit = ignore) -> None:
        self._file = (
            _Lines(folder.path / "events" / f"{split}.jsonl")
            if folder.is_local
            else PartWriter(folder, "events", split, "jsonl")
        )
        self._lock = threading.Lock()
        self._split = split
        self._emit = emit

    def write(self, what: str, **data: Any) -> None:
        """Tell one event; on a disk it is in the file when this returns, on a store soon after.

        Of the progress of a unit, a store gets what was told last before each part is put.
        """
        event = Event(time.time(), self._split, what, data)
        line = json.dumps([event.time, what, data], separators=(",", ":")) + "\n"
        topic = (what, data["unit"]) if what == "progress" else None
        with self._lock:
            self._file.write(line.encode(), topic)
        self._emit(event)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


class _Lines:
    """Appends whole lines to a file."""

    def __init__(self, path: Path) -> None:
        self._has_warned = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        if _ends_within_a_line(path):  # the writer before was killed
            self._file.write(b"\n")

    def write(self, data: bytes, topic: object) -> None:  # noqa: ARG002 - every line is kept
        try:
            self._file.write(data)
        except OSError as error:  # a full disk; what matters fails by itself then
            if not self._has_warned:
                _LOG.warning("events of a split are lost: %s", error)
            self._has_warned = True

    def close(self) -> None:
        self._file.close()


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        return file.seek(0, 2) > 0 and file.seek(-1, 2) >= 0 and file.read(1) != b"\n"


class EventReader:
    """Reads the events of a run, each once, also while they are being written."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._offsets: dict[str, int] = {}

    def new(self) -> Iterator[Event]:
        """Yield what was written since the last call; lines of one split come in order."""
        fresh = self._appended() if self._folder.is_local else self._parts()
        for name, data in fresh:
            split = name.partition(".")[0]
            for line in data.splitlines():
                try:
                    when, what, fields = json.loads(line)
                except ValueError:  # the rest of a line whose writer was killed
                    continue
                yield Event(when, split, what, fields)

    def _appended(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted((self._folder.path / "events").glob("*.jsonl")):
            offset = self._offsets.get(path.name, 0)
            if path.stat().st_size == offset:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
            whole, newline, _ = data.rpartition(b"\n")
            self._offsets[path.name] = offset + len(whole) + len(newline)
            yield path.name, whole

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        place = self._folder.place("events")
        found = {name: stat.size for name, stat in self._folder.store.list(place)}
        new = sorted(name for name in found if name not in self._offsets)
        uris = [f"{place}/{name}" for name in new]
        for name, (_, data) in zip(new, self._folder.store.read_many(uris), strict=True):
            self._offsets[name] = len(data)
            yield name, data
