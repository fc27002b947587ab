"""The commands of statistics of segments: who reads what, and tables that are those of one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from swath.commands import merge_stats, segment_stats
from swath.commands.image_tiles import TiledImage
from swath.experiment.session import run_experiments
from swath.experiment.statistics_run import TABLE, compile_statistics
from swath.grid.grid import Grid
from swath.plan.canonical import canonical_json
from swath.plan.command import Command, Ref
from swath.raster.cog import write_geotiff
from swath.raster.header import Header, read_header
from swath.raster.spec import Raster
from swath.segmentation.statistics.driver import segment_statistics
from swath.segmentation.statistics.spec import StatisticsOptions

GRID = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 70, 90)
OPTIONS = StatisticsOptions(statistics="mean,median,perimeter,bbox")

SPREAD = """
import numpy as np

def spread(values, rows, cols):
    return {"spread": float(np.hypot(np.ptp(rows), np.ptp(cols))), "last": values[0, -1]}
"""


def declared(
    options: StatisticsOptions = OPTIONS, labels: Ref | None = None, **given: Any
) -> tuple[Command, Command]:
    """Declare both commands over files that need not exist."""
    raster, image = Raster(uris="/data/labels.tif"), Raster(uris="/data/image.tif")
    header = Header("/data/labels.tif", GRID, 1, ("uint32",), 0, (256, 256), None)
    tiled = TiledImage.of(raster, {"/data/labels.tif": header}, 40)
    function = given.pop("function", None)
    one = segment_stats.declare("/root", tiled, [image], options, labels=labels, function=function)
    return one, merge_stats.declare(
        "/root", tiled, [image], options, one, labels=labels, function=function, **given
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return labels, some of several parts, and an image."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 60, (10, 9)).repeat(7, 0).repeat(10, 1).astype(np.uint32)
    values = rng.integers(0, 999, (2, 70, 90)).astype(np.uint16)
    paths = tmp_path / "labels.tif", tmp_path / "image.tif"
    for path, array in zip(paths, (labels[None], values), strict=True):
        blocks = [(GRID.window, array)]
        write_geotiff(path, GRID, blocks, dtype=array.dtype, n_bands=len(array))
    return paths


def test_a_tile_is_a_unit_and_the_table_is_one() -> None:
    one, merged = declared()
    assert [unit.name for unit in one.units] == [
        f"labels/r{row:03d}-c{col:03d}" for row in range(2) for col in range(3)
    ]
    assert [unit.params["tile"] for unit in one.units] == list(range(6))
    assert [unit.name for unit in merged.units] == ["labels"]
    assert set(one.units[0].inputs) == {"labels", "images"}
    assert merged.units[0].inputs["partials"] == one.refs("partial")
    assert not merged.splittable
    for command in (one, merged):
        canonical_json([command.params, [unit.params for unit in command.units]])
        assert all(unit.work > 0 and unit.output_bytes > 0 for unit in command.units)
        assert command.resources.memory_gib is not None


def test_labels_may_come_from_another_command() -> None:
    ref = Ref("key", "labels")
    one, merged = declared(labels=ref)
    assert one.units[0].inputs["labels"] == merged.units[0].inputs["labels"] == ref
    assert one.params["labels"] is None


@pytest.mark.parametrize(
    "change",
    [{"options": StatisticsOptions(statistics="mode")}, {"function": "a:b"}],
    ids=["statistics", "function"],
)
def test_what_changes_the_statistics_changes_both_commands(change: dict[str, Any]) -> None:
    for one, other in zip(declared(), declared(**change), strict=True):
        assert not set(one.unit_keys) & set(other.unit_keys)


def test_an_attribute_table_is_made_without_reading_tiles_anew() -> None:
    one, other = declared(), declared(attribute_table=True)
    assert one[0].unit_keys == other[0].unit_keys
    assert set(other[1].units[0].outputs) == {"table", "attributes"}


@pytest.mark.parametrize("has_function", [False, True])
def test_the_table_is_that_of_one_call(
    files: tuple[Path, Path], tmp_path: Path, chain_of: Callable[[Path], Any], has_function: bool
) -> None:
    labels, image = files
    module = tmp_path / f"spread_{has_function}.py"
    module.write_text(SPREAD)
    reference = f"{module}:spread" if has_function else None
    raster, rasters = Raster(uris=str(labels)), [Raster(uris=str(image))]
    tiled = TiledImage.of(raster, {str(labels): read_header(str(labels))}, 25)
    one = segment_stats.declare("root", tiled, rasters, OPTIONS, function=reference)
    merged = merge_stats.declare(
        "root", tiled, rasters, OPTIONS, one, function=reference, attribute_table=True
    )
    chain = chain_of(tmp_path / "root")
    for command in (one, merged):
        chain.run(command)
    function = None
    if has_function:
        space: dict[str, Any] = {}
        exec(SPREAD, space)
        function = space["spread"]
    whole = tmp_path / "whole.parquet"
    summary = segment_statistics(labels, image, whole, statistics=OPTIONS, function=function)
    assert summary.n_repeated == 0
    found = pyarrow.parquet.read_table(chain.path(merged, "labels", "table"))
    assert found == pyarrow.parquet.read_table(whole)
    assert ("spread" in found.column_names) == has_function
    text = chain.path(merged, "labels", "attributes").read_text()
    assert text.count("<Row") == found.num_rows


def test_a_pipeline_of_statistics_runs(files: tuple[Path, Path], tmp_path: Path) -> None:
    labels, image = (Raster(uris=str(path)) for path in files)
    root = str(tmp_path / "root")
    pipeline = compile_statistics("stats", root, labels, [image], OPTIONS, tile_size=32)
    result = run_experiments([pipeline], "inprocess")
    assert result.succeeded
    found = pyarrow.parquet.read_table(result.results["stats"][TABLE])
    whole = tmp_path / "whole.parquet"
    segment_statistics(files[0], files[1], whole, statistics=OPTIONS)
    assert found == pyarrow.parquet.read_table(whole)
    again = run_experiments([pipeline], "inprocess")
    assert again.plan.is_empty
