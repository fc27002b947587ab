"""Statistics of segments in two steps on files, as units of commands do them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from swath.grid.window import Window
from swath.segmentation.statistics.accumulator import StatisticsAccumulator
from swath.segmentation.statistics.driver import SegmentImages, add_again
from swath.segmentation.statistics.function import SegmentFunction, UserFunction
from swath.segmentation.statistics.partial import Partial
from swath.segmentation.statistics.recipe import Recipe
from swath.segmentation.statistics.spec import StatisticsOptions
from swath.segmentation.statistics.table import Summary
from swath.segmentation.statistics.tile import summarise_tile


def summarise_to_file(
    source: SegmentImages,
    window: Window,
    tile: int,
    options: StatisticsOptions,
    path: Path,
    *,
    function: UserFunction | None = None,
) -> None:
    """Write what one tile knows of its segments.

    Parameters
    ----------
    source
        Labels and images.
    window
        The tile.
    tile
        Its number.
    options
        The statistics.
    path
        File to write.
    function
        A user's function of one segment.
    """
    recipe = Recipe(options, source.grid, source.dtypes)
    called = None if function is None else SegmentFunction(function, recipe.names)
    labels, layers = source.read(window)
    summarise_tile(window, labels, layers, recipe, tile=tile, function=called).write(path)


def merge_files(
    source: SegmentImages,
    partials: Sequence[Path],
    options: StatisticsOptions,
    path: Path,
    *,
    function: UserFunction | None = None,
    workers: int = 1,
    progress: Callable[[float, float], None] = lambda *_: None,
) -> Summary:
    """Merge what all tiles know, and write the table.

    Parameters
    ----------
    source
        Labels and images, of which tiles are read again that hold a part of a segment of several
        parts.
    partials
        Files of `summarise_to_file`, by the number of the tile.
    options, function
        As there.
    path
        File to write; temporary files lie beside it.
    workers
        Threads.
    progress
        Is told how many tiles are read, of how many.
    """
    recipe = Recipe(options, source.grid, source.dtypes)
    with StatisticsAccumulator(recipe, path.absolute().parent, function=function) as statistics:
        windows: list[Window] = []
        for done, file in enumerate(partials, start=1):
            partial = Partial.read(file)
            windows.append(partial.window)
            statistics.add(partial)
            progress(done, len(partials))
        add_again(statistics, source, windows, workers=workers)
        return statistics.finish(path, workers=workers)
