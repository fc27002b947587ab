"""What one tile knows of its segments: rows of those that are finished, counts of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import DataError
from swath.grid.window import Window
from swath.segmentation.statistics.locate import N_SHAPE
from swath.segmentation.statistics.recipe import Rows
from swath.segmentation.statistics.sums import N_MOMENTS

Ids = npt.NDArray[np.uint32]

VERSION = 1
"""Of the files."""


@dataclass(frozen=True)
class Edges:
    """Labels along the four sides of a tile."""

    top: Ids
    left: Ids
    bottom: Ids
    right: Ids


@dataclass(frozen=True)
class Partial:
    """What one tile knows of its segments; every array is ascending by its field ``id``.

    Attributes
    ----------
    window
        The tile.
    rows
        Segments that are finished, since they touch no other tile; see `Recipe.row_dtype`.
    open_rows
        The others: fields of `open_dtype`.
    counts
        For each band, how often the values of open segments occur: fields of `counts_dtype`,
        ascending by key within a segment. Empty if no order is asked for.
    edges
        Labels along the sides; None if no perimeter is asked for.
    names
        Names of the numbers that a user's function returned.
    called
        Those numbers for segments that are finished: fields ``id`` and ``numbers``.
    pixels
        For that function, pixels of open segments: fields of `pixels_dtype`. None without one.
    """

    window: Window
    rows: Rows
    open_rows: Rows
    counts: tuple[Rows, ...] = ()
    edges: Edges | None = None
    names: tuple[str, ...] = ()
    called: Rows | None = None
    pixels: Rows | None = field(default=None)

    def write(self, path: Path) -> None:
        """Write to a file in numpy's format ``.npz``."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "version": np.array(VERSION),
            "window": np.array(self.window.to_json(), np.int64),
            "rows": self.rows,
            "open_rows": self.open_rows,
            "names": np.array(self.names, np.str_),
        }
        arrays |= {f"counts_{band}": counts for band, counts in enumerate(self.counts)}
        if self.edges is not None:
            arrays |= {f"edges_{side}": ids for side, ids in vars(self.edges).items()}
        if self.called is not None:
            arrays["called"] = self.called
        if self.pixels is not None:
            arrays["pixels"] = self.pixels
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def read(cls, path: Path) -> Partial:
        """Read what `write` wrote.

        Raises
        ------
        DataError
            If the file is of another version.
        """
        with np.load(path, allow_pickle=False) as arrays:
            if int(arrays["version"]) != VERSION:
                raise DataError(
                    f"The file has version {arrays['version']}, wanted {VERSION}.",
                    where=str(path),
                    mend="Run segment_stats again with this version of Swath.",
                )
            n_bands = sum(name.startswith("counts_") for name in arrays.files)
            has_edges = "edges_top" in arrays.files
            sides = ("top", "left", "bottom", "right")
            return cls(
                window=Window.from_json([int(v) for v in arrays["window"]]),
                rows=arrays["rows"],
                open_rows=arrays["open_rows"],
                counts=tuple(arrays[f"counts_{band}"] for band in range(n_bands)),
                edges=Edges(*(arrays[f"edges_{side}"] for side in sides)) if has_edges else None,
                names=tuple(str(name) for name in arrays["names"]),
                called=arrays["called"] if "called" in arrays.files else None,
                pixels=arrays["pixels"] if "pixels" in arrays.files else None,
            )


def open_dtype(n_bands: int) -> np.dtype[np.void]:
    """Return the type of what is known of an open segment: id, shape, moments of each band."""
    return np.dtype(
        [("id", "u4"), ("shape", "i8", (N_SHAPE,)), ("moments", "i8", (n_bands, N_MOMENTS))]
    )


def counts_dtype(key: np.dtype[Any]) -> np.dtype[np.void]:
    """Return the type of a count of one value: id, key, how often."""
    return np.dtype([("id", "u4"), ("key", key), ("count", "i8")])


def called_dtype(n_names: int) -> np.dtype[np.void]:
    """Return the type of what a user's function returned for a segment."""
    return np.dtype([("id", "u4"), ("numbers", "f8", (n_names,))])


def pixels_dtype(values: np.dtype[Any], n_bands: int) -> np.dtype[np.void]:
    """Return the type of a pixel of an open segment: id, row, column, value of each band."""
    return np.dtype([("id", "u4"), ("row", "i4"), ("col", "i4"), ("values", values, (n_bands,))])
