"""Rows of segments kept by ranges of ids: in memory, and in files when there are many.

Not for what the rows mean. One idea: a range of ids, a *bucket*, is small enough to be put in order
in memory; what came from everywhere is read back bucket by bucket.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swath.errors import StoreError

BUCKET_BITS = 16
"""A bucket holds ``2**BUCKET_BITS`` ids."""

CHUNK_BYTES = 64 << 20
"""Rows of a bucket come in pieces of about this size."""

Rows = npt.NDArray[np.void]
Reduce = Callable[[Rows], Rows]


class Shelf:
    """Rows by kind and bucket; use it in a `with` statement. Several threads may add.

    Parameters
    ----------
    folder
        Folder in which a temporary folder is made when there is too much.
    memory_bytes
        Rows that are held in memory, in bytes.
    reduce
        For a kind of rows, a function that makes them fewer without loss; it is tried before
        anything is written.
    """

    def __init__(
        self, folder: Path, memory_bytes: int, reduce: Mapping[str, Reduce] | None = None
    ) -> None:
        self._parent = folder
        self._folder: Path | None = None
        self._memory_bytes = memory_bytes
        self._reduce = reduce or {}
        self._held: dict[tuple[str, int], list[Rows]] = {}
        self._on_disk: dict[tuple[str, int], np.dtype[Any]] = {}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def add(self, rows: Mapping[str, Rows]) -> None:
        """Keep rows by their kind; all of them ascending by the field ``id``.

        Raises
        ------
        StoreError
            If the disk is full.
        """
        with self._lock:
            for kind, some in rows.items():
                for bucket, part in _by_bucket(some):
                    self._held.setdefault((kind, bucket), []).append(part)
                    self._n_bytes += part.nbytes
            if self._n_bytes > self._memory_bytes:
                self._make_room()

    def buckets(self) -> list[int]:
        """Return all buckets that hold rows, ascending."""
        return sorted({bucket for _, bucket in (*self._held, *self._on_disk)})

    def pieces(self, kind: str, bucket: int) -> Iterator[Rows]:
        """Yield the rows of a kind in a bucket, in no order; they stay."""
        key = (kind, bucket)
        if key in self._on_disk:
            dtype = self._on_disk[key]
            n_rows = max(1, CHUNK_BYTES // dtype.itemsize)
            with self._path(key).open("rb") as file:
                while (rows := np.fromfile(file, dtype, n_rows)).size:
                    yield rows
        if key in self._held:
            yield np.concatenate(self._held[key])

    def all_of(self, kind: str, bucket: int) -> Rows | None:
        """Return the rows of a kind in a bucket, in no order; None if there are none."""
        pieces = list(self.pieces(kind, bucket))
        if len(pieces) <= 1:
            return pieces[0] if pieces else None
        return np.concatenate(pieces)

    def close(self) -> None:
        """Forget everything, and remove the temporary folder."""
        self._held.clear()
        self._on_disk.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _make_room(self) -> None:
        for (kind, bucket), parts in self._held.items():
            if kind in self._reduce and len(parts) > 1:
                self._held[kind, bucket] = [self._reduce[kind](np.concatenate(parts))]
        self._n_bytes = sum(part.nbytes for parts in self._held.values() for part in parts)
        if self._n_bytes <= self._memory_bytes // 2:
            return
        try:
            self._write_all()
        except OSError as error:
            raise StoreError(
                f"what is known of segments so far does not fit on the disk: {error.strerror}.",
                where=str(self._parent),
                mend="Free some space there, or give another place for the output.",
            ) from error
        self._held.clear()
        self._n_bytes = 0

    def _write_all(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=".partial-statistics-", dir=self._parent))
        for key, parts in self._held.items():
            with self._path(key).open("ab") as file:
                for part in parts:
                    part.tofile(file)
            self._on_disk[key] = parts[0].dtype

    def _path(self, key: tuple[str, int]) -> Path:
        assert self._folder is not None
        return self._folder / f"{key[0]}-{key[1]}"


def _by_bucket(rows: Rows) -> Iterator[tuple[int, Rows]]:
    if rows.size == 0:
        return
    buckets = rows["id"] >> BUCKET_BITS
    starts = np.flatnonzero(np.diff(buckets)) + 1
    for part in np.split(rows, starts):
        yield int(part["id"][0]) >> BUCKET_BITS, part.copy() if starts.size else part
