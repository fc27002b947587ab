"""Statistics of segments from file to file, by the commands of a runner.

One idea: what is made on the way lies in a folder beside the table, which outlives a kill, so that
the same call goes on; it is removed once the table is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Literal

from swath.commands import merge_stats, segment_stats
from swath.commands.image_tiles import TiledImage
from swath.experiment.declaration import absolute
from swath.experiment.headers import known_headers
from swath.experiment.segment_run import Watch
from swath.experiment.session import RunResult, Warn, execute, plan_to_run
from swath.plan.command import Pipeline
from swath.raster.spec import Raster, Stack
from swath.run.events import ignore
from swath.run.prepare import results_of
from swath.run.runner import make_runner
from swath.segmentation.spec import Image, image_of
from swath.segmentation.statistics.spec import StatisticsOptions
from swath.segmentation.targets import check_targets
from swath.settings import Settings, load_settings
from swath.store import copy, join, local_path, normalise, open_store

TABLE = "segments.parquet"
"""Name of the result."""


def compile_statistics(
    name: str,
    root: str,
    labels: Raster | Stack,
    images: Sequence[Raster | Stack],
    options: StatisticsOptions,
    *,
    function: str | None = None,
    tile_size: int | None = None,
) -> Pipeline:
    """Derive the commands of statistics; headers that are not known are read.

    Parameters
    ----------
    name
        Id of the pipeline.
    root
        Folder or URI of what is made on the way.
    labels, images, options, function
        See `swath.commands.merge_stats.declare`.
    tile_size
        Side of tiles in pixels; default: by the size of the labels.

    Raises
    ------
    DataError
        If a file has no header.
    """
    tiled = TiledImage.of(labels, known_headers(root, labels.header_keys()), tile_size)
    summarised = segment_stats.declare(root, tiled, images, options, function=function)
    merged = merge_stats.declare(
        root,
        tiled,
        images,
        options,
        summarised,
        function=function,
    )
    results = {TABLE: merged.ref(tiled.name, "table")}
    return Pipeline(name, root, (summarised, merged), results=results)


def statistics_with_runner(
    labels: Image,
    images: Sequence[Image],
    out: str | PathLike[str],
    runner: str,
    *,
    options: StatisticsOptions,
    bands: Sequence[int] | None = None,
    nodata: float | Literal["nan"] | None = None,
    function: str | None = None,
    attributes_out: Path | None = None,
    tile_size: int | None = None,
    root_uri: str | PathLike[str] | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    watch: Watch | None = None,
    tell: Callable[[str], None] = lambda _: None,
    warn: Warn = lambda _: None,
) -> RunResult:
    """Take statistics with a runner; the table is that of `swath.segment_statistics`.

    Parameters
    ----------
    labels, images, out, options, bands, nodata, overwrite
        As for `swath.segment_statistics`.
    runner
        Name of the runner.
    function
        A user's function, ``module:name`` or ``/path/file.py:name``.
    attributes_out
        File of the raster attribute table, which keeps what else it says; None: none is made.
    tile_size
        Side of tiles in pixels.
    root_uri
        Folder or URI for what is made on the way, which is kept. Default: a hidden folder beside
        `out`, which is removed in the end.
    settings, watch, tell, warn
        See `swath.experiment.segment_run.segment_with_runner`.

    Raises
    ------
    DeclarationError
        If `out` exists or is read, or the plan cannot be run there.
    InterruptedRunError
        If the user interrupted.
    """
    settings = settings or load_settings()
    target = normalise(out)
    read = [uri for each in (labels, *images) for uri in image_of(each).source_uris()]
    check_targets({"--stats-out": str(local_path(target))}, read, overwrite, makes_folders=True)
    make_runner(runner, settings)  # before anything is written: is there such a runner?
    parent, _, name = target.rpartition("/")
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", PurePosixPath(name).stem).lstrip("._-")[:100]
    pipeline = compile_statistics(
        stem or "segments",
        normalise(root_uri) if root_uri is not None else join(parent, f".{name}.swath"),
        absolute(image_of(labels)),
        [absolute(image_of(image, bands=bands, nodata=nodata)) for image in images],
        options,
        function=function,
        tile_size=tile_size,
    )
    made = plan_to_run([pipeline], runner=runner, settings=settings, tell=tell)
    with nullcontext(ignore) if watch is None else watch(made) as emit:
        result = execute(made, runner, settings=settings, emit=emit, warn=warn)
    if not result.succeeded:
        return replace(result, results={})
    _, places = results_of(made)[pipeline.id]
    copy(places[TABLE], target)
    if attributes_out is not None:
        from swath.segmentation.statistics.attribute_table import write_attribute_table

        write_attribute_table(local_path(target), attributes_out, overwrite=overwrite)
    if root_uri is None:
        open_store(pipeline.root).delete(pipeline.root)
    return replace(result, results={pipeline.id: {TABLE: target}})
