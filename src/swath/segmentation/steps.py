"""The steps of a segmentation that hand each other files, for units that run anywhere.

The same functions as in `swath.segmentation.segmenter`, which does them in one process. Here is
what a unit computes; how tiles become units is told in `swath.commands`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.raster.cog import write_geotiff
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import Raster
from swath.segmentation.ahead import in_threads
from swath.segmentation.clusters import Clusters
from swath.segmentation.label_file import write_labels
from swath.segmentation.numbering import first_pixels, ids_of, refuse_none
from swath.segmentation.part import Part
from swath.segmentation.part_file import (
    read_ids,
    read_part,
    read_runs,
    write_ids,
    write_part,
    write_runs,
)
from swath.segmentation.spec import HALO, SegmentOptions
from swath.segmentation.tile import clump_tile, merge_rule
from swath.segmentation.union import join_tiles

Progress = Callable[[float, float], None]
"""Is told how much is done, of how much."""


def read_clusters(path: Path) -> Clusters:
    """Read what `Clusters.write_centres` wrote, whole."""
    return Clusters.from_json(json.loads(path.read_bytes()))


def clump_to_files(
    image: RasterReader,
    core: Window,
    clusters: Clusters,
    options: SegmentOptions,
    part: Path,
    runs: Path,
) -> None:
    """Segment a tile as far as its inside decides.

    Parameters
    ----------
    image
        The whole image.
    core
        The tile, in pixels of the image.
    clusters
        Of the image.
    options
        Of the segmentation.
    part
        File for what joins it with other tiles.
    runs
        File for the labels of its pixels.
    """
    values, valid = image.read(core.pad(HALO))
    made, labels = clump_tile(values, valid, core, image.grid.width, clusters, options)
    write_part(part, made)
    write_runs(runs, labels)


def eliminate_files(
    parts: Sequence[Path],
    shape: tuple[int, int],
    clusters: Clusters,
    options: SegmentOptions,
    ids: Sequence[Path],
    *,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> int:
    """Join all tiles, and number the segments.

    Parameters
    ----------
    parts
        Files of the tiles, row by row, from `clump_to_files`.
    shape
        Rows and columns of tiles.
    clusters, options
        As for the tiles.
    ids
        Files for the ids of each tile's labels, in the order of `parts`.
    workers
        Threads.
    progress
        Is told how many tiles are done.

    Returns
    -------
    int
        Number of segments.

    Raises
    ------
    DataError
        If there are more segments than uint32 counts, or a file is damaged.

    Notes
    -----
    Memory: about 9 bytes for each pixel of the image, and nothing of its pixels.
    """
    n_done = 0

    def read(number: int) -> Part:
        return read_part(parts[number])

    def done(_: int) -> None:
        nonlocal n_done
        n_done += 1
        progress(n_done, 2 * len(parts))

    with ThreadPoolExecutor(workers) as pool:
        union = join_tiles(read, *shape, merge_rule(clusters, options), pool, workers, done=done)
    firsts = first_pixels(union)
    refuse_none(len(firsts))

    def number(tile: int) -> int:
        write_ids(ids[tile], ids_of(union.resolved(tile), firsts))
        return tile

    for tile in in_threads(number, range(len(parts)), workers):
        done(tile)
    return len(firsts)


def label_to_file(runs: Path, ids: Path, grid: Grid, labels: Path) -> None:
    """Write the labels of a tile.

    Parameters
    ----------
    runs, ids
        From `clump_to_files` and `eliminate_files`.
    grid
        Of the tile.
    labels
        File to write, a GeoTIFF of uint32, with nodata 0.
    """
    values = read_runs(runs).labels(read_ids(ids))
    write_geotiff(labels, grid, [(grid.window, values)], dtype="uint32", nodata=0)


def mosaic_files(
    labels: Sequence[Path],
    grid: Grid,
    tile_size: int,
    out: Path,
    *,
    n_threads: int = 1,
    progress: Progress = lambda *_: None,
) -> None:
    """Write the labels of all tiles into one file.

    Parameters
    ----------
    labels
        Files of the tiles, row by row, from `label_to_file`.
    grid
        Of the image.
    tile_size
        Side of a tile in pixels.
    out
        File to write; the bytes are those of `swath.segmentation.segmenter.segment`.
    n_threads
        Threads that read and compress.
    progress
        Is told how many tiles are done.
    """
    cores = tiles(grid.shape, tile_size)

    def read(path: Path) -> npt.NDArray[np.uint32]:
        with open_raster(Raster(uris=(str(path),))) as reader:
            values: npt.NDArray[np.uint32] = reader.read(reader.grid.window).values[0]
        return values

    def blocks() -> Iterator[tuple[Window, npt.NDArray[np.uint32]]]:
        made = in_threads(read, labels, n_threads)
        for n_done, block in enumerate(zip(cores, made, strict=True), start=1):
            yield block
            progress(n_done, len(cores))

    write_labels(out, grid, blocks(), n_threads=n_threads)
