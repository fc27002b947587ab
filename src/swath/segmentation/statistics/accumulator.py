"""Statistics of segments under way: tiles are added in any order by any thread, then it is written.

For whoever has labels and values of a tile in memory; `swath.segmentation.statistics.driver` reads
them. One idea: nothing that is kept depends on the tiles, only on the ids, so neither does the
result.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window
from swath.segmentation.ahead import in_threads
from swath.segmentation.statistics.function import SegmentFunction, UserFunction
from swath.segmentation.statistics.merge import call_open, merge_open, reduce_counts
from swath.segmentation.statistics.partial import Ids, Partial
from swath.segmentation.statistics.recipe import Recipe, Rows
from swath.segmentation.statistics.seams import Seams
from swath.segmentation.statistics.shelf import Shelf
from swath.segmentation.statistics.table import Summary, TableWriter
from swath.segmentation.statistics.tile import Layer, summarise_tile

MEMORY_BYTES = 256 << 20
"""What is known of segments is held in memory up to this size, and in files beyond."""


class StatisticsAccumulator:
    """Statistics of segments, tile by tile. Use it in a `with` statement, or `close` it.

    Parameters
    ----------
    recipe
        What to compute.
    folder
        An existing folder for temporary files, if there are very many segments.
    function
        A user's function of one segment, see `SegmentFunction`.
    memory_bytes
        What is held in memory; more goes to files.

    Examples
    --------
    >>> with StatisticsAccumulator(recipe, folder) as statistics:  # doctest: +SKIP
    ...     for window in windows:
    ...         statistics.add_tile(window, labels, values, valid)
    ...     summary = statistics.finish("segments.parquet")
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        function: UserFunction | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.recipe = recipe
        self._function = None if function is None else SegmentFunction(function, recipe.names)
        counts = {f"counts{band}": reduce_counts for band in range(recipe.n_bands)}
        self._shelf = Shelf(folder, memory_bytes, counts)
        self._seams = Seams()
        self._lock = threading.Lock()
        self._again: dict[int, Ids] = {}
        self._repeated = np.empty(0, np.uint32)

    def add_tile(
        self,
        window: Window,
        labels: Ids,
        values: npt.NDArray[Any] | Sequence[npt.NDArray[Any]],
        valid: npt.NDArray[np.bool_] | Sequence[npt.NDArray[np.bool_]],
        *,
        tile: int = 0,
        only: Ids | None = None,
    ) -> None:
        """Add one tile; safe to call from several threads, in any order.

        Parameters
        ----------
        window
            The tile. All tiles together cover the grid once; they may be of any size.
        labels
            Array `(y, x)` of uint32: final ids, 0 for no data.
        values
            Array `(band, y, x)`; or one for each image, whose types may differ.
        valid
            Array `(y, x)` or `(band, y, x)` of bool; or one for each image.
        tile
            Number of the tile, by which `repeated` names it.
        only
            What `repeated` named: the second time that a tile is added.
        """
        images = [values] if isinstance(values, np.ndarray) else values
        known = [valid] if isinstance(valid, np.ndarray) else valid
        layers = [Layer(*pair) for pair in zip(images, known, strict=True)]
        self.add(
            summarise_tile(
                window,
                labels,
                layers,
                self.recipe,
                tile=tile,
                only=only,
                function=self._function,
            )
        )

    def add(self, partial: Partial) -> None:
        """Add what is known of one tile."""
        if self._function is not None and partial.called is not None and partial.called.size:
            numbers = self._function.accept(
                int(partial.called["id"][0]), partial.names, partial.called["numbers"]
            )
            called = partial.called.copy()
            called["numbers"] = numbers
            partial = replace(partial, called=called)
        rows: dict[str, Rows] = {"rows": partial.rows, "open": partial.open_rows}
        rows |= {f"counts{band}": counts for band, counts in enumerate(partial.counts)}
        if partial.called is not None and partial.called.size:
            rows["called"] = partial.called
        if partial.pixels is not None:
            rows["pixels"] = partial.pixels
        if partial.edges is not None:
            with self._lock:
                rows["seams"] = self._seams.add(partial.window, partial.edges)
        self._shelf.add(rows)

    def repeated(self) -> Mapping[int, Ids]:
        """Find segments that were finished in one tile and turn up in another.

        It happens where one id stands for several places apart, in segmentations that Swath did not
        make. Each tile that is named must be added again, with ``only`` these ids, before `finish`.

        Returns
        -------
        Mapping
            Number of a tile to ids.
        """
        found: dict[int, list[Ids]] = {}
        for bucket in self._shelf.buckets():
            rows = self._shelf.all_of("rows", bucket)
            if rows is None:
                continue
            open_rows = self._shelf.all_of("open", bucket)
            ids, counts = np.unique(rows["id"], return_counts=True)
            is_repeated = counts > 1
            if open_rows is not None:
                is_repeated |= np.isin(ids, open_rows["id"])
            some = rows[np.isin(rows["id"], ids[is_repeated])]
            self._repeated = np.union1d(self._repeated, some["id"])
            for tile in np.unique(some["tile"]):
                found.setdefault(int(tile), []).append(some["id"][some["tile"] == tile])
        self._again = {tile: np.concatenate(ids) for tile, ids in found.items()}
        return self._again

    def finish(
        self, path: Path, *, workers: int = 1, metadata: Mapping[str, str] | None = None
    ) -> Summary:
        """Write one row for each segment, ascending by id, as Parquet.

        Parameters
        ----------
        path
            File to write; its folder exists. It appears when it is whole.
        workers
            Threads.
        metadata
            Text to store with the table.
        """
        buckets = self._shelf.buckets()
        self._learn_names(buckets)
        with TableWriter(path, self.recipe, metadata or {}) as writer:
            for rows, called in in_threads(self._merge, buckets, workers):
                names = () if self._function is None else self._function.names
                writer.write(rows, called, names)
        return replace(writer.summary, n_repeated=self._repeated.size)

    def close(self) -> None:
        """Remove temporary files."""
        self._shelf.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _merge(self, bucket: int) -> tuple[Rows, Rows | None]:
        """Return the rows of one bucket, and the numbers of a user's function, ascending by id."""
        shelf, recipe = self._shelf, self.recipe
        found: list[Rows] = [np.empty(0, recipe.row_dtype)]
        if (rows := shelf.all_of("rows", bucket)) is not None:
            found.append(rows[~self._is_repeated(rows)])
        if (open_rows := shelf.all_of("open", bucket)) is not None:
            pieces: list[Iterable[Rows]] = [
                shelf.pieces(f"counts{band}", bucket) for band in range(recipe.n_bands)
            ]
            found.append(merge_open(open_rows, shelf.all_of("seams", bucket), pieces, recipe))
        called = self._merge_called(bucket)
        return _ascending(found), called

    def _learn_names(self, buckets: Sequence[int]) -> None:
        """Call the user's function once, if all segments are open: its names are columns."""
        for bucket in buckets:
            if self._function is None or self._function.names:
                return
            for pixels in self._shelf.pieces("pixels", bucket):
                call_open(pixels[pixels["id"] == pixels["id"][0]], self._function)
                return

    def _merge_called(self, bucket: int) -> Rows | None:
        if self._function is None:
            return None
        found: list[Rows] = []
        if (called := self._shelf.all_of("called", bucket)) is not None:
            found.append(called[~self._is_repeated(called)])
        if (pixels := self._shelf.all_of("pixels", bucket)) is not None:
            found.append(call_open(pixels, self._function))
        return _ascending(found) if found else None

    def _is_repeated(self, rows: Rows) -> npt.NDArray[np.bool_]:
        low = np.searchsorted(self._repeated, rows["id"].min(initial=2**32 - 1))
        high = np.searchsorted(self._repeated, rows["id"].max(initial=0), side="right")
        return np.isin(rows["id"], self._repeated[low:high])


def _ascending(parts: Sequence[Rows]) -> Rows:
    rows = np.concatenate(parts)
    return rows[np.argsort(rows["id"], kind="stable")]
