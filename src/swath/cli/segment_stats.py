"""``swath segment-stats``: statistics of imagery over the segments of any raster of labels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from swath.cli.files import check_target, make_folder_of, parse_bands, parse_nodata
from swath.cli.options import (
    interruptible_by_signals,
    json_option,
    settings_options,
    verbose_option,
)
from swath.errors import ConfigError, RunError
from swath.segmentation.spec import MOST_TILE

if TYPE_CHECKING:
    from swath.plan.plan import Plan
    from swath.run.events import Emit
    from swath.run.runner import Finding
    from swath.segmentation.statistics.function import UserFunction

NAMES = (
    "count, sum, mean, std, min, max, median, mode, p0 to p100; area, bbox, first_pixel, centroid, "
    "perimeter, compactness"
)


@click.command("segment-stats")
@click.argument("labels")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--stats", default="mean,std,min,max", show_default=True, help=f"Statistics: {NAMES}."
)
@click.option(
    "--stats-out", type=click.Path(path_type=Path), help="Parquet file; default: LABELS' .parquet."
)
@click.option("--bands", metavar="0,1,2", help="Bands of each IMAGE, 0-based; default: all.")
@click.option("--nodata", type=float, help="Value of missing pixels of each IMAGE, also nan.")
@click.option(
    "--function",
    metavar="FILE.py:NAME",
    help="A function of one segment's values, rows and columns; also module:name.",
)
@click.option("--rat", is_flag=True, help="Write a raster attribute table beside LABELS, too.")
@click.option("--tile-size", type=click.IntRange(16, MOST_TILE), help="Side of tiles in pixels.")
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one for each core.")
@click.option("--max-reads", type=click.IntRange(1), help="Windows that are read at once.")
@click.option("--runner", metavar="NAME", help="Run as commands there; default: threads here.")
@click.option("--root", metavar="URI", help="With --runner: folder of what is made on the way.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@settings_options
@json_option
@verbose_option
def command(labels: str, images: tuple[str, ...], **given: Any) -> None:
    """Take statistics of each IMAGE over the segments of LABELS, on one grid.

    LABELS is any raster of integers; 0 and nodata are no segment. The table has one row for each
    segment, by id, with columns such as b1_mean; bands are counted from 1 through all images. It is
    the same for every tiling, any number of workers, and every runner.
    """
    from swath.raster.header import read_header
    from swath.segmentation.statistics.spec import options_of

    _refuse_without_effect(given)
    options = options_of(given["stats"])
    bands, nodata = parse_bands(given["bands"]), parse_nodata(given["nodata"])
    function = _reference(given["function"])
    out = given["stats_out"] or Path(labels).with_suffix(".parquet")
    inputs = [Path(path) for path in (labels, *images)]
    check_target(out, inputs, given["overwrite"], where="--stats-out")
    for each in (labels, *images):
        read_header(each)  # before a folder is made
    interruptible_by_signals()
    common = {
        "bands": bands,
        "nodata": nodata,
        "tile_size": given["tile_size"],
        "overwrite": given["overwrite"],
    }
    if given["runner"] is None:
        make_folder_of(out, where="--stats-out")
        told = _here(labels, images, out, {**common, "statistics": options}, function, given)
    else:
        told = _on_runner(labels, images, out, {**common, "options": options}, function, given)
    click.echo(json.dumps(told, indent=1) if given["as_json"] else str(out))


def _refuse_without_effect(given: dict[str, Any]) -> None:
    on_runner = given["runner"] is not None
    for name in ("workers", "max_reads") if on_runner else ("root",):
        if given[name] is not None:
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{option} does nothing {'with' if on_runner else 'without'} --runner.",
                where=option,
                mend=f"Leave {option} out.",
            )


def _reference(text: str | None) -> str | None:
    """Return a function as a worker finds it from any folder."""
    if text is None:
        return None
    place, _, name = text.rpartition(":")
    if not place or not name.isidentifier():
        raise ConfigError(
            f"{text!r} names no function.",
            where="--function",
            mend="Write, for example, --function shapes.py:elongation.",
        )
    return f"{Path(place).absolute()}:{name}" if place.endswith(".py") else text


def _here(
    labels: str,
    images: tuple[str, ...],
    out: Path,
    options: dict[str, Any],
    function: str | None,
    given: dict[str, Any],
) -> dict[str, Any]:
    from swath.cli.segment_progress import SegmentProgress
    from swath.run.load import load_function
    from swath.segmentation.statistics.driver import segment_statistics

    called = None if function is None else cast("UserFunction", load_function(function))
    with SegmentProgress() as progress:
        summary = segment_statistics(
            labels,
            images,
            out,
            **options,
            function=called,
            workers=given["workers"] or os.cpu_count() or 1,
            max_reads=given["max_reads"],
            attribute_table=given["rat"],
            advance=progress.advance,
        )
    return summary.to_json()


def _on_runner(
    labels: str,
    images: tuple[str, ...],
    out: Path,
    options: dict[str, Any],
    function: str | None,
    given: dict[str, Any],
) -> dict[str, Any]:
    from swath.experiment.statistics_run import statistics_with_runner
    from swath.segmentation.statistics.attribute_table import place_beside
    from swath.settings import load_settings

    beside = place_beside(labels, overwrite=given["overwrite"]) if given["rat"] else None
    result = statistics_with_runner(
        labels,
        images,
        out,
        given["runner"],
        **options,
        function=function,
        attributes_out=beside,
        root_uri=given["root"],
        settings=load_settings(given["overrides"], profile=given["profile"]),
        watch=_watched,
        tell=lambda text: click.echo(text, err=True),
        warn=_warn,
    )
    if not result.succeeded:
        if result.folder is not None and result.outcome is not None:
            from swath.cli.failure import failure_of

            raise failure_of(result.folder, result.outcome)
        raise RunError("the run did not end well.", mend="See swath status.")
    return {"path": str(out)}


@contextmanager
def _watched(made: Plan) -> Iterator[Emit]:
    from swath.cli.progress import of_plan

    with of_plan(made) as progress:
        yield progress.emit


def _warn(finding: Finding) -> None:
    click.echo(f"warning: {finding.what} {finding.mend}", err=True)
