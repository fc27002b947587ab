"""Logs of splits: what their processes print, kept with the run wherever they ran."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from swath.run.folder import RunFolder
from swath.run.parts import PartWriter

PATIENCE_S = 5.0
"""Seconds to wait for the last words of the children of a split that has ended."""

_LOG = logging.getLogger(__name__)


@contextmanager
def copied_output(
    folder: RunFolder, split: str, *, patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Copy all that this process and its children print to the log of a split.

    It still goes where it went before, for whoever keeps the output of jobs: Slurm, CloudWatch.

    Parameters
    ----------
    folder, split
        The run, and the key of the split.
    patience_s
        Seconds to wait at the end for the last words of children.
    """
    _flush()  # what waits in our own buffers is not of this split
    writer: BinaryIO | PartWriter
    lost: list[OSError] = []
    if folder.is_local:
        path = folder.path / "logs" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = path.open("ab", buffering=0)
    else:
        writer = PartWriter(folder, "logs", split, "txt")
    read_end, write_end = os.pipe()
    kept = {number: os.dup(number) for number in (1, 2)}
    for number in kept:
        os.dup2(write_end, number)
    os.close(write_end)

    def copy() -> None:
        with os.fdopen(read_end, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                with _broken_pipe_ignored():
                    os.write(kept[1], data)
                try:
                    writer.write(data)
                except OSError as error:  # a full disk; who prints must not wait for its end
                    lost.append(error)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise
    finally:
        _flush()
        for number, original in kept.items():
            os.dup2(original, number)
        thread.join(timeout=patience_s)
        # A child that outlives us keeps the pipe open; what it still says is nobody's.
        if not thread.is_alive():
            for original in kept.values():
                os.close(original)
        if isinstance(writer, PartWriter) or not thread.is_alive():
            writer.close()
        if lost:
            _LOG.warning("some of the log of %s is lost: %s", split, lost[0])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with _broken_pipe_ignored():
            stream.flush()


@contextmanager
def _broken_pipe_ignored() -> Iterator[None]:
    try:
        yield
    except OSError:  # nobody listens there any more; the log of the run is still written
        return


class LogReader:
    """Reads the logs of a run, whole or as they grow."""

    def __init__(self, folder: RunFolder, pattern: str = "*") -> None:
        self._folder = folder
        self._pattern = pattern
        self._read: dict[str, int] = {}

    def names(self) -> list[str]:
        """Return the keys of the splits that have a log."""
        return sorted({_split_of(name) for name, _ in self._listed()})

    def matches(self) -> list[str]:
        """Return the keys of those that are read."""
        return [name for name in self.names() if fnmatchcase(name, self._pattern)]

    def new(self) -> Iterator[tuple[str, bytes]]:
        """Yield key and text of what was written since the last call."""
        fresh = [
            name
            for name, size in sorted(self._listed())
            if size > self._read.get(name, 0) and fnmatchcase(_split_of(name), self._pattern)
        ]
        for name, data in self._rest_of(fresh):
            self._read[name] = self._read.get(name, 0) + len(data)
            yield _split_of(name), data

    def _rest_of(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        if not self._folder.is_local:  # parts: each is read once, whole
            uris = [self._folder.place("logs", name) for name in names]
            texts = (data for _, data in self._folder.store.read_many(uris))
            yield from zip(names, texts, strict=True)
            return
        for name in names:
            with (self._folder.path / "logs" / name).open("rb") as file:
                file.seek(self._read.get(name, 0))
                yield name, file.read()

    def _listed(self) -> list[tuple[str, int]]:
        found = self._folder.store.list(self._folder.place("logs"))
        return [(name, stat.size) for name, stat in found if name.endswith(".txt")]


def _split_of(name: str) -> str:
    return Path(name).name.partition(".")[0]
