"""The table of statistics: Parquet, one row for each segment, ascending by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow
import pyarrow.parquet

from swath.errors import StoreError
from swath.segmentation.statistics.recipe import Recipe, Rows
from swath.store.local import temporary_beside

_N_ROWS = 4096  # rows that are taken apart while they are in the processor's cache


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written.

    Attributes
    ----------
    path
        The table.
    n_segments
        Rows.
    n_pixels
        Pixels of all segments.
    columns
        Names of the columns.
    n_repeated
        Segments of several parts that tiles had to be read twice for.
    """

    path: Path
    n_segments: int
    n_pixels: int
    columns: tuple[str, ...]
    n_repeated: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "path": str(self.path),
            "n_segments": self.n_segments,
            "n_pixels": self.n_pixels,
            "columns": list(self.columns),
            "n_repeated": self.n_repeated,
        }


class TableWriter:
    """Writes a table under a temporary name, which it leaves when all is well.

    Parameters
    ----------
    path
        The file.
    recipe
        What the rows hold.
    metadata
        Text to store with the table.

    Attributes
    ----------
    summary : Summary
        What was written so far.
    """

    def __init__(self, path: Path, recipe: Recipe, metadata: Mapping[str, str]) -> None:
        self._path = path
        self._recipe = recipe
        self._metadata = dict(metadata)
        self._temporary = temporary_beside(path)
        self._names: tuple[str, ...] = ()
        self._writer: Any = None
        self.summary = Summary(path, 0, 0, ())

    def write(self, rows: Rows, called: Rows | None, names: tuple[str, ...]) -> None:
        """Write some rows, and what a user's function returned for them or for some of them.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        if names and self._writer is None:
            self._names = names
        try:
            self._write(rows, called)
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                if self._writer is None:
                    self._write(np.empty(0, self._recipe.row_dtype), None)
                self._writer.close()
                self._temporary.replace(self._path)
        except OSError as failure:
            raise self._unwritable(failure) from failure
        finally:
            if self._writer is not None:
                self._writer.close()
            self._temporary.unlink(missing_ok=True)

    def _write(self, rows: Rows, called: Rows | None) -> None:
        arrays = _arrays(rows, self._recipe.names)
        numbers = np.full((rows.size, len(self._names)), np.nan)
        if called is not None and called.size:
            numbers[np.searchsorted(rows["id"], called["id"])] = called["numbers"]
        for i, name in enumerate(self._names):
            arrays[name] = pyarrow.array(numbers[:, i], mask=np.isnan(numbers[:, i]))
        table = pyarrow.table(arrays)
        if self._writer is None:
            schema = table.schema.with_metadata(self._metadata)
            self._writer = pyarrow.parquet.ParquetWriter(
                self._temporary, schema, compression="zstd", use_dictionary=False
            )
        self._writer.write_table(table.replace_schema_metadata(self._metadata))
        self.summary = Summary(
            self._path,
            self.summary.n_segments + rows.size,
            self.summary.n_pixels + int(rows["n_pixels"].sum()),
            tuple(arrays),
        )

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"the table cannot be written: {error.strerror or error}.",
            where=str(self._path),
            mend="Check that its folder exists and has space.",
        )


def _arrays(rows: Rows, names: Sequence[str]) -> dict[str, pyarrow.Array]:
    """Return rows as columns; what is told of the values of a band without any is null."""
    fields = [name for name in rows.dtype.names or () if name != "tile"]
    columns = {name: np.empty(rows.size, rows.dtype[name]) for name in fields}
    for begin in range(0, rows.size, _N_ROWS):
        part = rows[begin : begin + _N_ROWS]
        for name in fields:
            columns[name][begin : begin + _N_ROWS] = part[name]
    arrays = {}
    for name in names:
        band, _, statistic = name.partition("_")
        mask = columns.get(f"{band}_empty")
        is_masked = mask is not None and statistic not in ("count", "sum") and mask.any()
        arrays[name] = pyarrow.array(columns[name], mask=mask if is_masked else None)
    return arrays
