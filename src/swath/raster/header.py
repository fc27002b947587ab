"""What a raster is before its pixels are read: grid, bands, types, blocks.

For planning and checking: all decisions about grids are made here, from headers, so that reading is
mechanical. Not for pixels (`swath.raster.reader`).

One idea: the planner stays light. It asks a child process (`python -m swath.raster.header`) for
headers, and works with the JSON that comes back; rasterio is imported in the child alone.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.errors import DataError, SwathError
from swath.grid.grid import Grid
from swath.raster.layout import image_bands, image_grid
from swath.raster.spec import split_header_key

__all__ = ["Header", "headers_in_child", "image_bands", "image_grid", "read_header"]

N_OPENING = 8  # headers opened at a time: opening waits for a disk or a network, not for a core


@dataclass(frozen=True, slots=True)
class Header:
    """The description of one raster file, after the warp if one was asked for.

    Parameters
    ----------
    uri
        The file.
    grid
        CRS, transform, size in pixels.
    n_bands
        Number of bands in the file.
    dtypes
        Type of each band, as numpy names it.
    nodata
        The file's nodata value (may be NaN), None without one.
    block_shape
        `(height, width)` of the blocks that are decoded as a whole, in pixels.
    compression
        As GDAL names it in lower case, for example ``"deflate"``; None if not compressed.
    """

    uri: str
    grid: Grid
    n_bands: int
    dtypes: tuple[str, ...]
    nodata: float | None
    block_shape: tuple[int, int]
    compression: str | None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged; NaN becomes ``"nan"``."""
        missing = self.nodata is not None and math.isnan(self.nodata)
        return {
            "uri": self.uri,
            "grid": self.grid.to_json(),
            "n_bands": self.n_bands,
            "dtypes": list(self.dtypes),
            "nodata": "nan" if missing else self.nodata,
            "block_shape": list(self.block_shape),
            "compression": self.compression,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Header:
        """Build the header from what `to_json` returned."""
        height, width = data["block_shape"]
        return cls(
            uri=data["uri"],
            grid=Grid.from_json(data["grid"]),
            n_bands=data["n_bands"],
            dtypes=tuple(data["dtypes"]),
            nodata=None if data["nodata"] is None else float(data["nodata"]),
            block_shape=(height, width),
            compression=data["compression"],
        )


def read_header(key: str) -> Header:
    """Open a file and describe it; this imports rasterio.

    Parameters
    ----------
    key
        A path or URI, or one of `Raster.header_keys()`: then that of the warped image.

    Raises
    ------
    DataError
        If the file is missing or unreadable, or cannot be warped.
    """
    from swath.raster.gdal import gdal_env, open_dataset
    from swath.raster.warp import grid_of, warped_grid

    uri, warp = split_header_key(key)
    with gdal_env(), open_dataset(uri) as dataset:
        grid = grid_of(dataset) if warp is None else warped_grid(dataset, warp)
        compression = dataset.compression
        block_height, block_width = dataset.block_shapes[0]
        return Header(
            uri=uri,
            grid=grid,
            n_bands=dataset.count,
            dtypes=tuple(dataset.dtypes),
            nodata=dataset.nodata,
            block_shape=(int(block_height), int(block_width)),
            compression=None if compression is None else compression.value.lower(),
        )


def headers_in_child(
    keys: Iterable[str], *, n_per_child: int = 5000
) -> dict[str, Header | DataError]:
    """Read headers in a child process, so that this one stays light.

    Parameters
    ----------
    keys
        Paths, URIs, or `header_keys()` of images. Duplicates are read once.
    n_per_child
        Headers that one child reads.

    Returns
    -------
    dict
        For each key its header, or the error that says why there is none.

    Raises
    ------
    SwathError
        If the child itself failed.
    """
    distinct = list(dict.fromkeys(keys))
    answers: list[dict[str, Any]] = []
    for start in range(0, len(distinct), n_per_child):
        answers += _ask_child(distinct[start : start + n_per_child])
    return {key: _from_answer(answer) for key, answer in zip(distinct, answers, strict=True)}


def _ask_child(keys: list[str]) -> list[dict[str, Any]]:
    import swath

    package_root = str(Path(swath.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    child = subprocess.run(
        [sys.executable, "-P", "-m", "swath.raster.header"],  # -P: no module of the user's folder
        input=json.dumps(keys),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": search_path},
        check=False,
    )
    if child.returncode != 0:
        last_line = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise SwathError(
            f"Reading raster headers ended with code {child.returncode}: {last_line}",
            mend="Run it by hand to see all of its output: "
            f"echo '{json.dumps(keys[:1])}' | {sys.executable} -m swath.raster.header",
        )
    answers: list[dict[str, Any]] = json.loads(child.stdout)
    return answers


def _from_answer(answer: Mapping[str, Any]) -> Header | DataError:
    if "header" in answer:
        return Header.from_json(answer["header"])
    error = answer["error"]
    return DataError(error["what"], where=error["where"], mend=error["mend"])


def _answer(key: str) -> dict[str, Any]:
    try:
        return {"header": read_header(key).to_json()}
    except SwathError as error:
        return {"error": {"what": error.what, "where": error.where, "mend": error.mend}}


def main() -> None:
    """Answer a JSON list of keys on stdin with a JSON list of headers and errors on stdout."""
    from concurrent.futures import ThreadPoolExecutor

    keys = json.load(sys.stdin)
    with ThreadPoolExecutor(N_OPENING) as pool:
        json.dump(list(pool.map(_answer, keys)), sys.stdout)


if __name__ == "__main__":
    main()
