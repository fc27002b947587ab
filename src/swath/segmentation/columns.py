"""Columns of a table of segments, taken by their ids.

For what is written beside polygons. One idea: the table stays in its file, and a range of ids is
read when it is asked for; where rows are in the order of ids, as Swath writes them, each part of
the file is read once.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute
import pyarrow.dataset

from swath.errors import DataError

ID = "id"
"""Column with the ids of segments."""


class SegmentColumns:
    """All columns of a Parquet file besides ids and geometries.

    Parameters
    ----------
    path
        The file; None: no columns.

    Attributes
    ----------
    schema : list of pyarrow.Field
        The columns.

    Raises
    ------
    DataError
        If the file is missing, unreadable, or has no ids.
    """

    def __init__(self, path: str | PathLike[str] | None) -> None:
        self.schema: list[Any] = []
        self._path = None if path is None else str(path)
        if self._path is None:
            return
        try:
            self._table = pyarrow.dataset.dataset(self._path, format="parquet")
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(
                f"The statistics cannot be read ({' '.join(str(error).split())}).",
                where=self._path,
                mend="Give a Parquet file, as --stats-out writes it.",
            ) from error
        names = self._table.schema.names
        if ID not in names or not pyarrow.types.is_integer(self._table.schema.field(ID).type):
            raise DataError(
                f"The statistics have no whole numbers in a column {ID!r}, only: "
                f"{', '.join(names)}.",
                where=self._path,
                mend=f"Give a table with one row for each segment, and its label as {ID!r}.",
            )
        self.schema = [field for field in self._table.schema if field.name not in (ID, "geometry")]

    def check_complete(self, ids: npt.NDArray[np.int64]) -> None:
        """Refuse a table without a row for each of these ids, or with several.

        Raises
        ------
        DataError
            If a row is missing or doubled; rows of other ids are allowed.
        """
        if self._path is None:
            return
        known = np.sort(self._table.to_table(columns=[ID])[ID].to_numpy().astype(np.int64))
        doubled = known[1:][known[1:] == known[:-1]]
        if doubled.size:
            raise DataError(
                f"The statistics have several rows of segment {doubled[0]}.",
                where=self._path,
                mend="Give a table with one row for each segment.",
            )
        missing = np.setdiff1d(ids, known, assume_unique=True)
        if missing.size:
            raise DataError(
                f"The statistics have no row of {missing.size} of the {ids.size} segments, the "
                f"first of which is {missing[0]}.",
                where=self._path,
                mend="Give the statistics of these labels.",
            )

    def take(self, ids: npt.NDArray[np.int64]) -> list[Any]:
        """Return the values of each column, in the order of `ids`, which ascend."""
        if self._path is None:
            return []
        field = pyarrow.compute.field(ID)
        rows = self._table.to_table(filter=(field >= int(ids[0])) & (field <= int(ids[-1])))
        known = rows[ID].to_numpy()
        order = np.argsort(known)
        at = order[np.searchsorted(known, ids, sorter=order)]
        taken = rows.take(pyarrow.array(at))
        return [taken[field.name].combine_chunks() for field in self.schema]
