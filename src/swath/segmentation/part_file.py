"""Files in which the steps of a segmentation hand tiles to each other.

One idea: everything is a few arrays, so a file is a plain ``.npz`` that any NumPy reads; nothing is
pickled, and the same arrays give the same bytes. What joins tiles (`write_part`) and what labels
their pixels (`write_runs`) are two files: whoever joins all tiles reads no pixel of them.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from swath.errors import DataError
from swath.segmentation.graph import Graph, Roots
from swath.segmentation.part import Edge, Edges, Part
from swath.segmentation.tile import Runs

Arrays = Mapping[str, npt.NDArray[Any]]

_LEVEL = 1  # a quarter of the size, for 10 ms a megapixel; level 6 takes five times as long
_SIDES = ("top", "bottom", "left", "right")
_ROOTS = ("open_index", "final_firsts")
_GRAPH = ("nodes", "offsets", "neighbours")
_EDGE = ("nodes", "clusters", "links")


def write_part(path: Path, part: Part) -> None:
    """Write a part: its segments, the graph of those that are open, and its edges."""
    arrays: dict[str, npt.NDArray[Any]] = {
        **{name: getattr(part.roots, name) for name in _ROOTS},
        **{name: getattr(part.graph, name) for name in _GRAPH},
    }
    for side in _SIDES:
        edge = getattr(part.edges, side)
        arrays |= {f"{side}_{name}": getattr(edge, name) for name in _EDGE}
    _write(path, arrays)


def read_part(path: Path) -> Part:
    """Read what `write_part` wrote."""
    names = [f"{side}_{name}" for side in _SIDES for name in _EDGE]
    found = _read(path, [*_ROOTS, *_GRAPH, *names])
    return Part(
        Roots(*(found[name] for name in _ROOTS)),
        Graph(*(found[name] for name in _GRAPH)),
        Edges(*(Edge(*(found[f"{side}_{name}"] for name in _EDGE)) for side in _SIDES)),
    )


def write_runs(path: Path, runs: Runs) -> None:
    """Write the labels of a tile as runs."""
    shape = np.array(runs.shape, np.int64)
    _write(path, {"values": runs.values, "lengths": runs.lengths, "shape": shape})


def read_runs(path: Path) -> Runs:
    """Read what `write_runs` wrote."""
    found = _read(path, ["values", "lengths", "shape"])
    height, width = found["shape"].tolist()
    return Runs(found["values"], found["lengths"], (height, width))


def write_ids(path: Path, ids: npt.NDArray[np.uint32]) -> None:
    """Write the id of each root of a tile."""
    with path.open("wb") as file:
        np.save(file, ids, allow_pickle=False)


def read_ids(path: Path) -> npt.NDArray[np.uint32]:
    """Read what `write_ids` wrote."""
    found: npt.NDArray[np.uint32] = np.load(path, allow_pickle=False)
    return found


def _write(path: Path, arrays: Arrays) -> None:
    # The level is all that `numpy.savez_compressed` lacks; members have the date 1980-01-01.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy_format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _read(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise DataError(
            f"The file of a tile is damaged ({' '.join(str(error).split())}).",
            where=str(path),
            mend="Remove it, and run again.",
        ) from error
