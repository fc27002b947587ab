"""``swath segment``: from imagery to labelled segments, of any size."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swath.cli.files import make_folder_of, parse_bands, parse_nodata
from swath.cli.options import (
    interruptible_by_signals,
    json_option,
    settings_options,
    verbose_option,
)
from swath.cli.segment_options import files_of, options_of, refuse_without_effect, statistics_of
from swath.plan.split import parse_splits
from swath.segmentation.spec import MOST_TILE, image_of
from swath.segmentation.targets import check_targets
from swath.settings import load_settings

if TYPE_CHECKING:
    from swath.plan.plan import Plan
    from swath.run.events import Emit
    from swath.segmentation.segmenter import Segmented
    from swath.segmentation.timings import Timings

STATISTICS = (
    "count, mean, std, min, max, sum, median, mode, p0 to p100; area, bbox, centroid, perimeter, "
    "compactness, first_pixel"
)


@click.command("segment")
@click.argument("images", nargs=-1, required=True, metavar="IN...")
@click.argument("out")
@click.option("--clusters", type=int, default=60, show_default=True, help="Cluster centres.")
@click.option(
    "--sample-percent",
    type=float,
    default=1.0,
    show_default=True,
    help="Pixels from which centres are fitted.",
)
@click.option(
    "--min-size", type=int, default=50, show_default=True, help="Smallest segment, in pixels."
)
@click.option(
    "--max-distance",
    default="auto",
    show_default=True,
    metavar="auto|none|FLOAT",
    help="Largest spectral distance of a merge, in units of the image.",
)
@click.option(
    "--distance-percentile",
    type=float,
    default=50.0,
    show_default=True,
    help="Percentile of the distances between centres that auto takes.",
)
@click.option(
    "--connectivity",
    type=click.Choice(["4", "8"]),
    default="4",
    show_default=True,
    help="Neighbours of a pixel.",
)
@click.option("--weights", metavar="1,1,2", help="Factor of each band in every distance.")
@click.option("--standardise", is_flag=True, help="Divide bands by their standard deviation.")
@click.option("--bands", metavar="0,1,2", help="Bands of each IN, 0-based, in order; default: all.")
@click.option("--nodata", type=float, help="Value of missing pixels, also nan.")
@click.option(
    "--centres",
    type=click.Path(path_type=Path),
    help="File of centres or a saved fit to take.",
)
@click.option("--save-centres", type=click.Path(path_type=Path), help="File for the fit.")
@click.option("--tile-size", type=click.IntRange(16, MOST_TILE), help="Side of tiles in pixels.")
@click.option("--workers", type=click.IntRange(1), help="Threads; default: one for each core.")
@click.option("--max-reads", type=click.IntRange(1), help="Windows that are read at once.")
@click.option("--runner", metavar="NAME", help="Run as commands there; default: threads here.")
@click.option("--splits", metavar="N", help="With --runner: splits of each command, or auto.")
@click.option("--root", metavar="URI", help="With --runner: folder of what is made on the way.")
@click.option("--stats", metavar="NAMES", help=f"Statistics of segments: {STATISTICS}.")
@click.option("--stats-out", type=click.Path(path_type=Path), help="File; default: OUT's .parquet.")
@click.option("--polygons", type=click.Path(path_type=Path), help="File for polygons, by suffix.")
@click.option("--colours", is_flag=True, help="Write a table of random colours for display.")
@click.option(
    "--try",
    "tries",
    multiple=True,
    metavar="OPTION=A,B",
    help="Compare values on sampled windows instead; OUT is the contact sheet, a PNG "
    "whose red, green and blue are the first three bands that --bands names.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@settings_options
@json_option
@verbose_option
def command(images: tuple[str, ...], out: str, **given: Any) -> None:
    """Segment IN, one image or several on one grid, into labels OUT.

    OUT becomes a cloud-optimised GeoTIFF of numbers, 0 where there is no data, with its parameters
    in a .json beside it. The labels are the same for every tiling, any number of workers, and every
    runner.
    """
    refuse_without_effect(given)
    options, statistics = options_of(given), statistics_of(given["stats"])
    bands, nodata = parse_bands(given["bands"]), parse_nodata(given["nodata"])
    targets = files_of(out, given)
    read = [*images, *([] if given["centres"] is None else [given["centres"]])]
    check_targets(
        targets,
        read,
        given["overwrite"],
        makes_folders=not given["tries"],
        is_here=given["runner"] is None,
    )
    if given["tries"]:
        from swath.cli.segment_try import compare, show

        rows = compare(
            images,
            Path(out),
            options,
            given["tries"],
            bands=bands,
            nodata=nodata,
            workers=given["workers"],
        )
        if given["as_json"]:
            click.echo(json.dumps(rows, indent=1))
        else:
            show(rows)
        return
    interruptible_by_signals()
    asked = {
        "options": options,
        "bands": bands,
        "nodata": nodata,
        "tile_size": given["tile_size"],
        "statistics": statistics,
        "statistics_out": given["stats_out"],
        "colours": given["colours"],
        "overwrite": given["overwrite"],
    }
    if given["runner"] is None:
        from swath.segmentation.fit import check_image

        check_image(image_of(images, bands=bands, nodata=nodata), options)
        for where, target in targets.items():
            make_folder_of(Path(target), where=where)
        made = _segment_here(images, out, asked, given)
    else:
        made = _segment_on(images, out, asked, given)
    click.echo(json.dumps(made, indent=1) if given["as_json"] else made["labels"])


def _segment_here(
    images: tuple[str, ...], out: str, asked: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    from swath.cli.segment_progress import SegmentProgress
    from swath.segmentation.segmenter import segment

    with SegmentProgress() as progress:
        done = segment(
            images,
            out,
            **asked,
            workers=given["workers"],
            max_reads=given["max_reads"],
            polygons=given["polygons"],
            save_centres=given["save_centres"],
            advance=progress.advance,
            tell=progress.tell,
        )
    _tell_timings(done)
    return done.to_json()


def _tell_timings(done: Segmented) -> None:
    """Write where the time went."""
    timings: Timings = done.timings
    busy = timings.busy_s()
    total = sum(busy.values())
    lines = [f"{name:<12}{seconds:8.2f} s{seconds / total:7.0%}" for name, seconds in busy.items()]
    megapixels = done.grid.height * done.grid.width / 1e6
    print(
        f"{done.n_segments:,} segments; {megapixels:.1f} Mpx in {timings.wall_s:.2f} s, "
        f"{megapixels / timings.wall_s:.2f} Mpx/s, {timings.workers} workers:",
        *lines,
        sep="\n  ",
        file=sys.stderr,
    )


def _segment_on(
    images: tuple[str, ...], out: str, asked: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    from swath.cli.failure import failure_of
    from swath.cli.progress import of_plan
    from swath.experiment.segment_run import segment_with_runner
    from swath.experiment.segmentation import TABLE

    def tell(text: str) -> None:
        click.echo(text, err=True)

    @contextmanager
    def watch(made: Plan) -> Iterator[Emit]:
        with of_plan(made) as progress:
            yield progress.emit

    result = segment_with_runner(
        images,
        out,
        given["runner"],
        **asked,
        root_uri=given["root"],
        splits=None if given["splits"] is None else parse_splits(given["splits"]),
        settings=load_settings(given["overrides"], profile=given["profile"]),
        watch=watch,
        tell=tell,
        warn=lambda finding: tell(f"warning: {finding.what} {finding.mend}"),
    )
    if not result.succeeded:
        assert result.folder is not None
        assert result.outcome is not None
        raise failure_of(result.folder, result.outcome)
    (results,) = result.results.values()
    _write_beside(Path(out), results.get(TABLE), given)
    return {"labels": out, "results": dict(results)}


def _write_beside(labels: Path, table: str | None, given: Mapping[str, Any]) -> None:
    """Write what no command of a runner does; none of the old labels' stays if that fails."""
    for name in ("save_centres", "polygons"):
        if given[name] is not None:
            given[name].unlink(missing_ok=True)
    if given["save_centres"] is not None:
        from swath.segmentation.clusters import Clusters

        described = json.loads(labels.with_suffix(".json").read_text("utf-8"))
        Clusters.from_json(described).write_centres(given["save_centres"])
    if given["polygons"] is not None:
        from swath.segmentation.polygons import write_polygons

        make_folder_of(given["polygons"], where="--polygons")

        write_polygons(
            labels,
            given["polygons"],
            statistics=table,
            workers=os.cpu_count() or 1,
        )
