"""Statistics of segments from files to a file, in this process, with threads.

As units of commands: `swath.commands.segment_stats` and `swath.commands.merge_stats`, which use the
same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np

from swath.errors import ConfigError, DataError
from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.raster.reader import Pixels, open_raster
from swath.raster.spec import Raster, Stack
from swath.segmentation.ahead import in_threads
from swath.segmentation.budget import tile_size_for
from swath.segmentation.readers import Readers
from swath.segmentation.spec import Image, image_of
from swath.segmentation.statistics.accumulator import StatisticsAccumulator
from swath.segmentation.statistics.attribute_table import place_beside, write_attribute_table
from swath.segmentation.statistics.function import UserFunction
from swath.segmentation.statistics.keys import check_dtype
from swath.segmentation.statistics.partial import Ids
from swath.segmentation.statistics.recipe import Recipe
from swath.segmentation.statistics.spec import StatisticsOptions, options_of
from swath.segmentation.statistics.table import Summary
from swath.segmentation.statistics.tile import Layer

Advance = Callable[[str, int, int, int], None]
"""Is told a stage, tiles done, tiles of all, and pixels done."""


class SegmentImages:
    """Labels and images on one grid, open for reading. Use it in a `with` statement.

    Parameters
    ----------
    labels
        Raster of labels; its first band is read, and what is not valid there is no data.
    images
        Images, each with its own types of values and its own validity.
    n_readers
        Windows that are read at once.
    window_height
        Height of the windows, in pixels; 0: strips of full width.

    Attributes
    ----------
    grid : Grid
        Of the labels.
    dtypes : tuple of numpy.dtype
        Type of each band, one image after the other.

    Raises
    ------
    DataError
        If a file cannot be read, grids differ, or there are no statistics of a type of values.
    """

    def __init__(
        self,
        labels: Raster | Stack,
        images: Sequence[Raster | Stack],
        *,
        n_readers: int = 1,
        window_height: int = 0,
    ) -> None:
        self._stack = ExitStack()
        try:
            readers = [
                self._stack.enter_context(
                    Readers(each, n_readers=n_readers, n_threads=1, window_height=window_height)
                )
                for each in (labels, *images)
            ]
            self._labels, self._images = readers[0], readers[1:]
            self._where = ", ".join(labels.source_uris())
            self._check_labels()
            self.grid: Grid = self._labels.grid
            for image, reader in zip(images, self._images, strict=True):
                self._check_image(image, reader)
        except BaseException:
            self._stack.close()
            raise
        self.dtypes = tuple(reader.dtype for reader in self._images for _ in range(reader.n_bands))

    def read(self, window: Window) -> tuple[Ids, list[Layer]]:
        """Read labels and pixels of a window; from any thread.

        Raises
        ------
        DataError
            If a label is negative or above 4,294,967,295.
        """
        pixels = self._labels.read(window)
        layers = [Layer(*image.read(window)) for image in self._images]
        return self._ids(pixels), layers

    def close(self) -> None:
        """Close all files."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ids(self, pixels: Pixels) -> Ids:
        labels = np.where(pixels.valid, pixels.values[0], 0)
        least, largest = int(labels.min()), int(labels.max())
        if least < 0 or largest > np.iinfo(np.uint32).max:
            raise DataError(
                f"The labels go from {least} to {largest}.",
                where=self._where,
                mend="Ids of segments are 1 to 4,294,967,295, and 0 is no data.",
            )
        return labels.astype(np.uint32, copy=False)

    def _check_labels(self) -> None:
        if self._labels.dtype.kind not in "iu" or self._labels.n_bands != 1:
            raise DataError(
                f"The labels are {self._labels.n_bands} band(s) of {self._labels.dtype.name}.",
                where=self._where,
                mend="Give a raster of one band of integers: 0 is no data, equal numbers are one "
                "segment.",
            )

    def _check_image(self, image: Raster | Stack, reader: Readers) -> None:
        where = ", ".join(image.source_uris())
        if difference := self.grid.difference(reader.grid):
            raise DataError(
                f"Labels and image are not on one grid: {difference} (labels against image).",
                where=where,
                mend="Bring the image onto the grid of the labels: gdalwarp -t_srs ... -te ... "
                "-tr ...",
            )
        check_dtype(reader.dtype, where)


def segment_statistics(
    labels: Image,
    images: Image | Sequence[Image],
    out: str | PathLike[str],
    *,
    statistics: str | Sequence[str] | StatisticsOptions | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | Literal["nan"] | None = None,
    function: UserFunction | None = None,
    tile_size: int | None = None,
    workers: int = 1,
    max_reads: int | None = None,
    attribute_table: bool = False,
    overwrite: bool = False,
    advance: Advance = lambda *_: None,
) -> Summary:
    """Take statistics of images over the segments of a raster of labels.

    The table is the same for every `tile_size` and number of `workers`. It has one row for each
    segment, ascending by id: ``id``, ``n_pixels``, what is told of its shape, then for each band
    ``b1_mean`` and so on, null where the segment has no value in that band. Bands count from 1
    through all images.

    Parameters
    ----------
    labels
        Raster of integers: 0 or nodata is no data, equal numbers are one segment, also if it lies
        in several places.
    images
        One or several images on the grid of the labels. A pixel of an image counts if every band
        that is read of it has a value; of several images each decides for itself.
    out
        Parquet file to write.
    statistics
        Names, see `StatisticsOptions`; default: mean, std, min, max.
    bands
        Bands to read of each image, 0-based; default: all.
    nodata
        Value of missing pixels, instead of the one that the files name.
    function
        Called with the pixels of one segment that have a value in every band: values `(band, n)` in
        their common type, rows `(n,)` and columns `(n,)` in the image, in raster order. It returns
        numbers by name, the same names for each segment, which become columns. A large segment is
        held in memory as a whole.
    tile_size
        Side of the tiles that are read, in pixels; default: 512 to 2048, by the
        size of the labels.
    workers
        Threads.
    max_reads
        Windows that are read at once; default: one for each worker.
    attribute_table
        True to write a raster attribute table beside `labels`, too, with colours.
    overwrite
        True to replace what exists.
    advance
        Is told how far it is.

    Returns
    -------
    Summary
        What was written.

    Raises
    ------
    ConfigError
        If `out` exists, or an option is wrong.
    DataError
        If a file cannot be read or does not fit the others.
    StoreError
        If a file cannot be written, for example since the disk is full.

    Notes
    -----
    The standard deviation is that of the population. A percentile is interpolated linearly between
    two values, as pandas does by default; the mode is the least of the most frequent
    values. Integers of up to 32 bits are exact: sums and order, whatever their number. Sums of
    floating-point bands are those of the exact values but for what is below 2**-96 of the largest;
    their order is exact in segments of up to 65,536 values, and above that they are counted rounded
    to 18 binary digits, one part in 2**18. Perimeters count the sides of pixels, in map units, and
    compactness is ``4 pi area / perimeter**2``: 1 for a circle, 0.785 for a square.

    Memory: a few tiles for each worker, and what is known of open segments, which goes to files in
    the folder of `out` above 256 MiB.
    """
    path = Path(out)
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists.", mend="Ask for overwrite, or give another file.")
    if (tile_size is not None and tile_size < 1) or workers < 1:
        raise ConfigError(
            f"tile_size is {tile_size} and workers {workers}.", mend="Both are at least 1."
        )
    many = [images] if isinstance(images, str | PathLike | Raster | Stack) else list(images)
    chosen = [image_of(each, bands=bands, nodata=nodata) for each in many]
    options = options_of(statistics)
    if function is None and not options.band_statistics:
        chosen = []
    raster = image_of(labels)
    beside = place_beside(raster.source_uris()[0], overwrite=overwrite) if attribute_table else None
    with open_raster(raster) as opened:
        size = tile_size or tile_size_for(opened.grid.shape, workers)
    with SegmentImages(
        raster,
        chosen,
        n_readers=min(workers, max_reads or workers),
        window_height=size,
    ) as source:
        recipe = Recipe(options, source.grid, source.dtypes)
        with StatisticsAccumulator(recipe, path.absolute().parent, function=function) as found:
            windows = tiles(source.grid.shape, size)
            add_tiles(found, source, windows, workers=workers, advance=advance)
            summary = found.finish(path, workers=workers)
    if beside is not None:
        write_attribute_table(path, beside, overwrite=overwrite)
    return summary


def add_tiles(
    statistics: StatisticsAccumulator,
    source: SegmentImages,
    windows: Sequence[Window],
    *,
    workers: int = 1,
    advance: Advance = lambda *_: None,
) -> None:
    """Read and add tiles, and read those again that hold a part of a segment of several parts."""
    pixels = 0

    def add(tile: int) -> int:
        window = windows[tile]
        labels, layers = source.read(window)
        _add(statistics, window, labels, layers, tile)
        return window.pixels

    for done, n_pixels in enumerate(in_threads(add, range(len(windows)), workers), start=1):
        pixels += n_pixels
        advance("statistics", done, len(windows), pixels)
    add_again(statistics, source, windows, workers=workers)


def add_again(
    statistics: StatisticsAccumulator,
    source: SegmentImages,
    windows: Sequence[Window],
    *,
    workers: int = 1,
) -> None:
    """Read those tiles again that hold a part of a segment of several parts."""

    def add(item: tuple[int, Ids]) -> None:
        tile, only = item
        labels, layers = source.read(windows[tile])
        _add(statistics, windows[tile], labels, layers, tile, only)

    for _ in in_threads(add, statistics.repeated().items(), workers):
        pass


def _add(
    statistics: StatisticsAccumulator,
    window: Window,
    labels: Ids,
    layers: Sequence[Layer],
    tile: int,
    only: Ids | None = None,
) -> None:
    values, valid = [layer.values for layer in layers], [layer.valid for layer in layers]
    statistics.add_tile(window, labels, values, valid, tile=tile, only=only)
