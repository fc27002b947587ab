"""Segmentation from file to file in this process, with threads.

Nothing is written on the way: labels wait in memory as runs, and what tiles leave open as graphs.
The same functions, driven by units of commands on any runner: `swath.commands`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import ConfigError, StoreError
from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.raster.reader import open_raster
from swath.segmentation.ahead import in_threads
from swath.segmentation.budget import budget_of, refuse_too_large, tile_size_for
from swath.segmentation.clusters import Clusters
from swath.segmentation.fit import fit_clusters
from swath.segmentation.kernels.compiled import is_on_disk
from swath.segmentation.kernels.eliminate import choose
from swath.segmentation.label_file import description, write_labels
from swath.segmentation.numbering import first_pixels, ids_of, refuse_none
from swath.segmentation.part import Part
from swath.segmentation.readers import Readers
from swath.segmentation.spec import HALO, MOST_TILE, Image, SegmentOptions, image_of
from swath.segmentation.statistics.spec import options_of
from swath.segmentation.targets import DESCRIPTION, TABLE, check_targets, remove_old, targets_of
from swath.segmentation.tile import Runs, clump_tile, merge_rule
from swath.segmentation.timings import Timings
from swath.segmentation.union import Union, join_tiles
from swath.store import open_store
from swath.store.local import temporary_beside

Advance = Callable[[str, int, int, int], None]
"""Is told a stage, tiles done, tiles of all, and pixels done."""


@dataclass(frozen=True, slots=True)
class Segmented:
    """A segmentation that is done.

    Attributes
    ----------
    path
        File of the labels, a COG of uint32: 1 to N by the raster order of first pixels, 0 where
        there is no data. Beside it, as ``.json``, what it was made with.
    n_segments
        Number of segments.
    grid
        Grid of the labels.
    clusters
        Centres, and the largest distance of a merge.
    timings
        Where the time went.
    """

    path: Path
    n_segments: int
    grid: Grid
    clusters: Clusters
    timings: Timings

    def to_json(self) -> dict[str, Any]:
        """Return what scripts want to know, as JSON values."""
        return {
            "labels": str(self.path),
            "n_segments": self.n_segments,
            "shape": list(self.grid.shape),
            "max_distance": self.clusters.max_distance,
            "workers": self.timings.workers,
            "wall_s": round(self.timings.wall_s, 3),
            "busy_s": {name: round(value, 3) for name, value in self.timings.busy_s().items()},
        }


def segment(
    images: Image | Sequence[Image],
    out: str | PathLike[str],
    *,
    options: SegmentOptions | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    workers: int | None = None,
    max_reads: int | None = None,
    tile_size: int | None = None,
    statistics: Sequence[str] = (),
    statistics_out: str | PathLike[str] | None = None,
    polygons: str | PathLike[str] | None = None,
    colours: bool = False,
    save_centres: str | PathLike[str] | None = None,
    overwrite: bool = False,
    advance: Advance = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Segmented:
    """Segment an image of any size; the labels are the same for every tiling and any workers.

    Parameters
    ----------
    images
        Paths, URIs or declarations of rasters on one grid; the bands of several are stacked.
    out
        Local file of the labels.
    options
        Of the segmentation; all that changes the labels is there, and in `bands` and `nodata`.
    bands
        Bands to read of each path, 0-based; default: all.
    nodata
        Value that marks missing pixels, instead of the one that files name.
    workers
        Threads; default: one for each core.
    max_reads
        Windows that are read at once; default: one for every four workers.
    tile_size
        Side of tiles in pixels; at most 16,384; default: 512 or 1024, by the size of the image.
    statistics
        Names of statistics of the image's values, see `swath.segmentation.statistics.spec`.
    statistics_out
        Parquet file of them; default: beside `out`.
    polygons
        File of the segments' polygons, its format by its suffix; with the statistics, if any.
    colours
        Write a raster attribute table with the statistics and random colours beside `out`; left
        out, and told, if there are more than a million segments.
    save_centres
        File for the centres.
    overwrite
        Replace files that exist, but never an image. All that tells of the old labels is removed
        once the new ones are whole.
    advance
        Is told the progress.
    tell
        Is told, in a sentence, what takes long and happens once.

    Raises
    ------
    ConfigError
        If a file to write exists, is read, or is another one, too; or memory or disk will not do.
        Nothing has been written then.
    DataError
        If the images cannot be segmented: not on one grid, of a type that is not exact, without a
        valid pixel, with other numbers of bands than centres or weights.
    StoreError
        If the labels cannot be written.

    Notes
    -----
    Memory: see `swath.segmentation.budget`; about 9 bytes per pixel of the image, and for each
    worker what a tile takes.

    References
    ----------
    Shepherd, Bunting, Dymond (2019): Operational Large-Scale Segmentation of Imagery Based on
    Iterative Elimination. Remote Sensing 11(6):658.
    """
    options = options or SegmentOptions()
    path = Path(out)
    workers = (os.cpu_count() or 1) if workers is None else workers
    _check_counts(workers, max_reads, tile_size)
    wanted = options_of(statistics)
    image = image_of(images, bands=bands, nodata=nodata)
    targets = targets_of(
        out,
        table=statistics_out,
        has_table=bool(statistics),
        colours=colours,
        polygons=polygons,
        centres=save_centres,
    )
    check_targets(targets, image.source_uris(), overwrite)
    timings = Timings(workers)
    with open_raster(image) as opened:
        grid, n_bands, value_bytes = opened.grid, opened.n_bands, opened.dtype.itemsize
    size = tile_size or tile_size_for(grid.shape, workers)
    budget = budget_of(grid.shape, n_bands, value_bytes, size, workers)
    refuse_too_large(budget, path.absolute().parent, size, workers)
    tell(f"about {budget}")
    if not is_on_disk(choose):
        tell("compiling the kernels, once on this machine: about 10 s")
    with timings.of_all("cluster"):
        clusters = fit_clusters(image, options, n_threads=workers)
    reads = min(max_reads or max(1, workers // 4), workers)
    with (
        Readers(
            image,
            n_readers=reads,
            n_threads=max(1, workers // reads),
            window_height=size + 2 * HALO,
        ) as readers,
        ThreadPoolExecutor(workers) as pool,
    ):
        job = _Job(readers, clusters, options, size, pool, workers, timings, advance)
        tiled = job.clump()
    with timings.of_all("eliminate"):
        firsts = first_pixels(tiled.union)
        refuse_none(len(firsts))
    with timings.of_all("write"):
        with _landing(path, targets) as temporary:
            write_labels(temporary, grid, job.labels(tiled, firsts), n_threads=workers)
        described = description(image, options, clusters, grid, len(firsts))
        beside = targets[DESCRIPTION]
        open_store(beside).write(beside, described.encode("utf-8"))
        if save_centres is not None:
            clusters.write_centres(Path(save_centres))
    n_segments = len(firsts)
    del tiled, firsts
    table = targets.get(TABLE)
    if table is not None:
        from swath.segmentation.statistics.driver import segment_statistics  # pyarrow takes long

        with timings.of_all("statistics"):
            segment_statistics(
                path,
                image,
                table,
                statistics=wanted,
                workers=workers,
                attribute_table=colours and _can_be_shown(n_segments, tell),
                overwrite=overwrite,
            )
    if polygons is not None:
        from swath.segmentation.polygons import write_polygons  # geopandas takes a second

        with timings.of_all("polygons"):
            write_polygons(
                path,
                polygons,
                statistics=table,
                workers=workers,
                overwrite=overwrite,
            )
    timings.stop()
    return Segmented(path, n_segments, grid, clusters, timings)


def _check_counts(workers: int, max_reads: int | None, tile_size: int | None) -> None:
    if workers < 1 or (max_reads is not None and max_reads < 1):
        raise ConfigError(
            f"There are {workers} workers, and {max_reads} reads at once.", mend="Give at least 1."
        )
    if tile_size is not None and not 1 <= tile_size <= MOST_TILE:
        raise ConfigError(
            f"tile_size is {tile_size}.", mend=f"Give 1 to {MOST_TILE:,} pixels, or None."
        )


def _can_be_shown(n_segments: int, tell: Callable[[str], None]) -> bool:
    """Tell whether there may be a raster attribute table, and say so if not."""
    from swath.segmentation.statistics.attribute_table import MOST_ROWS, too_many

    if n_segments > MOST_ROWS:
        tell(f"warning: {too_many(n_segments)}")
    return n_segments <= MOST_ROWS


@contextmanager
def _landing(path: Path, targets: Mapping[str, str]) -> Iterator[Path]:
    """Give a temporary name for the labels; once they are whole, they replace all that was."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        remove_old(targets)
        temporary.replace(path)
    except StoreError as error:
        raise StoreError(error.what, where=str(path), mend=error.mend) from error
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Tiled:
    """What is known once all tiles are put together."""

    cores: list[Window]
    runs: list[Runs]
    union: Union


class _Job:
    """The work of one segmentation that threads share."""

    def __init__(
        self,
        readers: Readers,
        clusters: Clusters,
        options: SegmentOptions,
        tile_size: int,
        pool: ThreadPoolExecutor,
        workers: int,
        timings: Timings,
        advance: Advance,
    ) -> None:
        self._readers = readers
        self._clusters = clusters
        self._options = options
        self._size = tile_size
        self._pool = pool
        self._workers = workers
        self._timings = timings
        self._advance = advance

    def clump(self) -> _Tiled:
        """Segment all tiles, and put them together."""
        grid = self._readers.grid
        cores = tiles(grid.shape, self._size)
        n_cols = -(-grid.width // self._size)
        runs: dict[int, Runs] = {}
        pixels = 0

        def tile(number: int) -> Part:
            part, runs[number] = self._clump(cores[number])
            return part

        def done(number: int) -> None:
            nonlocal pixels
            pixels += cores[number].pixels
            self._advance("segment", len(runs), len(cores), pixels)

        union = join_tiles(
            tile,
            len(cores) // n_cols,
            n_cols,
            merge_rule(self._clusters, self._options),
            self._pool,
            self._workers,
            stage=self._timings.of_all,
            done=done,
        )
        return _Tiled(cores, [runs[number] for number in range(len(cores))], union)

    def _clump(self, core: Window) -> tuple[Part, Runs]:
        with self._timings.stage("read"):
            values, valid = self._readers.read(core.pad(HALO))
        width = self._readers.grid.width
        return clump_tile(
            values, valid, core, width, self._clusters, self._options, stage=self._timings.stage
        )

    def labels(
        self,
        tiled: _Tiled,
        firsts: npt.NDArray[np.int64],
    ) -> Iterator[tuple[Window, npt.NDArray[np.uint32]]]:
        """Yield the labels of each tile in order, a few made ahead."""

        def number(i: int) -> npt.NDArray[np.uint32]:
            with self._timings.stage("label"):
                return tiled.runs[i].labels(ids_of(tiled.union.resolved(i), firsts))

        n_tiles, pixels = len(tiled.cores), 0
        made = in_threads(number, range(n_tiles), self._workers)
        for done, (core, labels) in enumerate(zip(tiled.cores, made, strict=True), start=1):
            yield core, labels
            pixels += core.pixels
            self._advance("write", done, n_tiles, pixels)
