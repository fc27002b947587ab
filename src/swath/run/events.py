"""Events: what splits tell while they run, one line of JSON each.

Workers append to one file per split; `status`, the progress display and the report read them. An
event is information, never state: whether a unit is done is told by its record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple


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
    """Appends the events of one split to its file."""

    def __init__(self, path: Path, split: str, emit: Emit = ignore) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)
        if _ends_within_a_line(path):  # the writer before was killed
            self._file.write("\n")
        self._split = split
        self._emit = emit

    def write(self, what: str, **data: Any) -> None:
        """Append one event; it is in the file when this returns."""
        event = Event(time.time(), self._split, what, data)
        self._file.write(json.dumps([event.time, what, data], separators=(",", ":")) + "\n")
        self._emit(event)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        return file.seek(0, 2) > 0 and file.seek(-1, 2) >= 0 and file.read(1) != b"\n"


class EventReader:
    """Reads the events of a folder, each once, also while they are being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[str, int] = {}

    def new(self) -> Iterator[Event]:
        """Yield what was written since the last call; lines of one split come in order."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.jsonl")):
            offset = self._offsets.get(path.name, 0)
            if path.stat().st_size == offset:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
            whole, newline, _ = data.rpartition(b"\n")
            self._offsets[path.name] = offset + len(whole) + len(newline)
            for line in whole.splitlines():
                try:
                    when, what, fields = json.loads(line)
                except ValueError:  # the rest of a line whose writer was killed
                    continue
                yield Event(when, path.stem, what, fields)
