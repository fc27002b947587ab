"""``swath segment-subset``: segments of a window or of polygons."""

from __future__ import annotations

import json
from pathlib import Path

import click

from swath.cli.files import check_target, make_folder_of
from swath.cli.options import json_option, verbose_option
from swath.errors import ConfigError
from swath.grid.window import Window


@click.command("segment-subset")
@click.argument("labels")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--window",
    "numbers",
    type=int,
    nargs=4,
    metavar="ROW COL HEIGHT WIDTH",
    help="Pixels to keep, counted from 0.",
)
@click.option(
    "--polygon",
    type=click.Path(path_type=Path),
    help="Vector file; pixels outside of all its polygons become 0.",
)
@click.option("--layer", metavar="NAME", help="Layer of the vector file, if it has several.")
@click.option(
    "--map",
    "map_to",
    type=click.Path(path_type=Path),
    help="Table of new and old ids to write, .parquet or .csv.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@json_option
@verbose_option
def command(
    labels: str,
    out: Path,
    numbers: tuple[int, int, int, int] | None,
    polygon: Path | None,
    layer: str | None,
    map_to: Path | None,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Write the segments of LABELS in a window or in polygons to OUT, numbered from 1.

    OUT is a cloud-optimised GeoTIFF. Numbers are in the raster order of first pixels; 0 is no
    segment.
    """
    if (numbers is None) == (polygon is None):
        raise ConfigError(
            "Neither a window nor a polygon is given." if polygon is None else "Both are given.",
            where="--window, --polygon",
            mend="Give one of them.",
        )
    window = None if numbers is None else _window(numbers)
    targets = {"OUT": out} if map_to is None else {"OUT": out, "--map": map_to}
    inputs = [Path(labels)] if polygon is None else [Path(labels), polygon]
    for where, target in targets.items():
        check_target(target, inputs, overwrite, where=where)
    if map_to is not None and map_to.resolve() == out.resolve():
        raise ConfigError(
            f"{out} would be written twice.", where="--map", mend="Give another file."
        )
    from swath.segmentation.subset import write_subset

    for where, target in targets.items():
        make_folder_of(target, where=where)
    made = write_subset(
        labels,
        out,
        window=window,
        polygons=polygon,
        layer=layer,
        map_to=map_to,
        overwrite=overwrite,
    )
    if as_json:
        told = {
            "labels": str(out),
            "map": None if map_to is None else str(map_to),
            "window": made.window.to_json(),
            "segments": made.n_segments,
        }
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(str(out))


def _window(numbers: tuple[int, int, int, int]) -> Window:
    try:
        return Window(*numbers)
    except ValueError as error:
        raise ConfigError(
            f"{error}.", where="--window", mend="Give ROW COL HEIGHT WIDTH, in pixels."
        ) from None
