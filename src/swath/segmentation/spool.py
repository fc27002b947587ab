"""Outlines of all tiles on disk, to be taken out again segment by segment.

For `swath.segmentation.polygons`. One idea: the chains of each tile are sorted by segment, so that
those of a range of segments are one slice of every tile that knows the range; no tile that lies
elsewhere is looked at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.chains import COUNT, LABEL

N_COLUMNS = 5


class Chains(NamedTuple):
    """Chains of pixel edges, see `swath.segmentation.kernels.chains.trace_chains`.

    Parameters
    ----------
    vertices
        Array `(vertex, 2)` of int32: `(row, col)` of pixel corners in the image.
    table
        Array `(chain, 5)` of int64.
    """

    vertices: npt.NDArray[np.int32]
    table: npt.NDArray[np.int64]

    def sorted(self) -> Chains:
        """Return the chains ordered by label, those of one label as they were."""
        order = np.argsort(self.table[:, LABEL], kind="stable")
        counts = self.table[:, COUNT]
        begins = np.cumsum(counts) - counts
        return Chains(
            self.vertices[ragged_indices(begins[order], counts[order])], self.table[order]
        )


def ragged_indices(
    begins: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return ``begin, begin + 1, ..., begin + count - 1`` of each pair, one after the other.

    Examples
    --------
    >>> ragged_indices(np.array([7, 2]), np.array([2, 3])).tolist()
    [7, 8, 2, 3, 4]
    """
    starts = np.cumsum(counts) - counts
    return np.repeat(begins - starts, counts) + np.arange(counts.sum())


@dataclass(frozen=True, slots=True)
class _Tile:
    """Where the chains of a tile are: first of all its chains and vertices, and its labels."""

    chain: int
    n_chains: int
    vertex: int
    first_label: int
    last_label: int


class Spool:
    """Chains of all tiles in files of a folder; first all are added, then ranges are taken.

    Parameters
    ----------
    folder
        An empty folder; who made it removes it.

    Notes
    -----
    Disk: 8 bytes for a vertex and 56 for a chain. One file of them, 8 bytes for a chain, is mapped.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = {name: folder / name for name in ("vertices", "table", "labels", "begins")}
        self._files: dict[str, Any] = {name: path.open("wb") for name, path in self._paths.items()}
        self._tiles: list[_Tile] = []
        self._n_chains = self._n_vertices = 0
        self._labels: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, chains: Chains) -> None:
        """Add the chains of a tile, which are sorted by label."""
        n = len(chains.table)
        if n == 0:
            return
        labels = chains.table[:, LABEL]
        counts = chains.table[:, COUNT]
        self._tiles.append(
            _Tile(self._n_chains, n, self._n_vertices, int(labels[0]), int(labels[-1]))
        )
        begins = self._n_vertices + np.cumsum(counts) - counts
        written = {
            "vertices": chains.vertices,
            "table": chains.table,
            "labels": labels,
            "begins": begins,
        }
        for name, values in written.items():
            self._files[name].write(np.ascontiguousarray(values).data)
        self._n_chains += n
        self._n_vertices += len(chains.vertices)

    def labels(self) -> npt.NDArray[np.int64]:
        """Return all labels, ascending, each once; nothing can be added any more."""
        for name, path in self._paths.items():
            self._files[name].close()
            self._files[name] = path.open("rb")
        if self._n_chains > 0:
            self._labels = np.memmap(self._paths["labels"], np.int64, "r")
        return np.unique(self._labels)

    def take(self, first: int, last: int) -> Chains:
        """Return the chains of the labels from `first` to `last`, sorted by label.

        Safe to call from several threads.
        """
        tables, vertices = [], []
        for tile in self._tiles:
            if tile.last_label < first or tile.first_label > last:
                continue
            labels = self._labels[tile.chain : tile.chain + tile.n_chains]
            low, high = (int(at) for at in np.searchsorted(labels, (first, last + 1)))
            if low == high:
                continue
            table = self._read("table", np.int64, tile.chain + low, high - low, N_COLUMNS)
            begin = int(self._read("begins", np.int64, tile.chain + low, 1, 1)[0, 0])
            tables.append(table)
            vertices.append(self._read("vertices", np.int32, begin, int(table[:, COUNT].sum()), 2))
        return Chains(np.concatenate(vertices), np.concatenate(tables)).sorted()

    def _read(
        self, name: str, dtype: npt.DTypeLike, begin: int, n_rows: int, n_columns: int
    ) -> npt.NDArray[Any]:
        row_bytes = np.dtype(dtype).itemsize * n_columns
        left, at = n_rows * row_bytes, begin * row_bytes
        parts = []
        while left > 0:  # one call reads no more than 2 GiB
            part = os.pread(self._files[name].fileno(), left, at)
            if not part:
                raise OSError(f"{self._paths[name]} is shorter than it was written")
            parts.append(part)
            left, at = left - len(part), at + len(part)
        return np.frombuffer(b"".join(parts), dtype).reshape(n_rows, n_columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        self._labels = np.empty(0, np.int64)
