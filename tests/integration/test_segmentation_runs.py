"""A segmentation on runners: the bytes of one process, and nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import swath
from swath.errors import ConfigError, InterruptedRunError
from swath.experiment.segment_run import segment_with_runner
from swath.plan.plan import Plan
from swath.raster.cog import write_geotiff
from swath.run.events import Emit, Event
from swath.store import open_store

CONFIG = Path(__file__).parent / "segments.py"


@pytest.fixture(scope="module")
def image(olinda: Path) -> Path:
    return olinda / "L7_ETMs.tif"


@pytest.fixture(scope="module")
def expected(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the labels that one process makes."""
    path = tmp_path_factory.mktemp("expected") / "labels.tif"
    swath.segment(image, path, workers=1)
    return path


def arguments(image: Path, root: Path, *more: object) -> list[object]:
    return [CONFIG, "-a", "root_uri", root, "-a", "image", image, *more]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runner", "tile_size", "splits"),
    [("inprocess", 64, 3), ("inprocess", 512, 1), ("local", 64, 3), ("local", 150, 1)],
)
def test_runners_give_the_bytes_of_one_process(
    runner: str,
    tile_size: int,
    splits: int,
    image: Path,
    expected: Path,
    swath_cli: Any,
    tmp_path: Path,
) -> None:
    given = arguments(image, tmp_path, "-a", "tile_size", tile_size, "--splits", splits)
    answer = swath_cli("run", runner, *given, "--json")
    assert answer.exit_code == 0, answer.err
    results = json.loads(answer.out)["results"]["segments"]
    assert set(results) == {"segments.tif", "segments.json"}
    assert Path(results["segments.tif"]).read_bytes() == expected.read_bytes()
    described = json.loads(Path(results["segments.json"]).read_bytes())
    assert described == json.loads(expected.with_suffix(".json").read_bytes())
    again = swath_cli("run", runner, *given, "--json")
    assert json.loads(again.out)["run"] is None


def test_another_smallest_size_keeps_the_clusters(
    image: Path, run_swath: Callable[..., int], planned: Any, tmp_path: Path
) -> None:
    assert run_swath("run", "inprocess", *arguments(image, tmp_path), "fit_clusters") == 0
    found = planned(*arguments(image, tmp_path, "-a", "min_size", 10))
    assert set(found) == {"clump", "eliminate", "label", "mosaic_labels"}
    assert len(found["clump"]) == 36


def test_a_plan_loads_no_heavy_library(image: Path, tmp_path: Path) -> None:
    heavy = ("numpy", "numba", "sklearn", "rasterio", "pyarrow")
    code = (
        "import sys, swath\n"
        f"made = swath.Segmentation(id='s', root_uri={str(tmp_path)!r}, image={str(image)!r})\n"
        "plan = swath.plan_experiments([made])\n"
        "assert plan.estimate().n_units == 5\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_declaration_that_is_stored_can_be_run_again(
    image: Path, run_swath: Callable[..., int], swath_cli: Any, tmp_path: Path
) -> None:
    assert run_swath("run", "inprocess", *arguments(image, tmp_path), "fit_clusters") == 0
    stored = tmp_path / "experiments" / "segments" / "experiment.json"
    answer = swath_cli("ls", stored, "--json")
    (listed,) = json.loads(answer.out)
    assert (listed["experiment"], listed["task"]) == ("segments", "segmentation")
    assert json.loads(swath_cli("plan", stored, "fit_clusters", "--json").out)["splits"] == []


class Seen:
    """What a run was told to do, and what happened; stops it after some units."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.n_planned = 0
        self.n_done = 0
        self._stop_after = stop_after

    @contextmanager
    def __call__(self, made: Plan) -> Iterator[Emit]:
        self.n_planned = made.estimate().n_units
        yield self._emit

    def _emit(self, event: Event) -> None:
        self.n_done += event.what == "unit_done"
        if self.n_done == self._stop_after:
            raise KeyboardInterrupt


def test_what_is_made_on_the_way_is_gone_in_the_end(
    image: Path, expected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my labels.tif"
    result = segment_with_runner(image, out, "inprocess", tile_size=128)
    assert result.succeeded
    assert out.read_bytes() == expected.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my labels.json", "my labels.tif"]
    assert result.results == {
        "my_labels": {
            "my_labels.tif": str(out),
            "my_labels.json": str(tmp_path / "my labels.json"),
        }
    }


def test_an_interrupted_one_goes_on_where_it_was(
    image: Path, expected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.tif"
    with pytest.raises(InterruptedRunError):
        segment_with_runner(image, out, "inprocess", tile_size=128, watch=Seen(stop_after=4))
    assert [path.name for path in tmp_path.iterdir()] == [".labels.tif.swath"]
    seen = Seen()
    assert segment_with_runner(image, out, "inprocess", tile_size=128, watch=seen).succeeded
    n_units = 1 + 9 + 1 + 9 + 1
    assert seen.n_planned == seen.n_done == n_units - 4
    assert out.read_bytes() == expected.read_bytes()


def test_a_root_that_was_given_is_kept_and_serves_the_next(
    image: Path, expected: Path, tmp_path: Path
) -> None:
    out, root = tmp_path / "labels.tif", tmp_path / "root"
    assert segment_with_runner(image, out, "inprocess", root_uri=root).succeeded
    with pytest.raises(ConfigError, match=r"labels\.tif exists\. Give --overwrite"):
        segment_with_runner(image, out, "inprocess", root_uri=root)
    out.write_text("old")
    out.with_name("labels.tif.aux.xml").write_text("<!-- statistics of the old file -->")
    seen = Seen()
    again = segment_with_runner(image, out, "inprocess", root_uri=root, overwrite=True, watch=seen)
    assert (again.succeeded, seen.n_planned) == (True, 0)
    assert out.read_bytes() == expected.read_bytes()
    assert not out.with_name("labels.tif.aux.xml").exists()


def test_a_failure_leaves_no_labels(tmp_path: Path) -> None:
    image, out = tmp_path / "empty.tif", tmp_path / "labels.tif"
    grid = swath.Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 20, 30)
    nothing = np.zeros((1, 20, 30), np.uint8)
    write_geotiff(image, grid, [(grid.window, nothing)], dtype="uint8", nodata=0)
    result = segment_with_runner(image, out, "inprocess")
    assert not result.succeeded
    assert result.results == {}
    assert not out.exists()


def test_statistics_are_those_of_one_process(image: Path, expected: Path, tmp_path: Path) -> None:
    names, out = "mean,median,area", tmp_path / "labels.tif"
    result = segment_with_runner(
        image, out, "inprocess", tile_size=128, statistics=names, colours=True
    )
    assert set(result.results["labels"].values()) == {
        str(tmp_path / name)
        for name in ("labels.tif", "labels.json", "labels.parquet", "labels.tif.aux.xml")
    }
    swath.segment_statistics(expected, image, tmp_path / "expected.parquet", statistics=names)
    found, wanted = (
        pyarrow.parquet.read_table(tmp_path / f"{name}.parquet") for name in ("labels", "expected")
    )
    assert found.column_names[:2] == ["id", "n_pixels"]
    assert "b6_median" in found.column_names
    assert found.equals(wanted)
    assert "GDALRasterAttributeTable" in (tmp_path / "labels.tif.aux.xml").read_text()


def test_a_table_that_exists_is_refused(image: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "labels.tif", tmp_path / "table.parquet"
    table.write_text("mine")
    with pytest.raises(ConfigError, match=r"table\.parquet exists"):
        segment_with_runner(image, out, "inprocess", statistics="mean", statistics_out=table)
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_an_input_is_never_replaced(image: Path, tmp_path: Path) -> None:
    copied = tmp_path / "image.tif"
    copied.write_bytes(image.read_bytes())
    with pytest.raises(ConfigError, match="is read, and would be written"):
        segment_with_runner(copied, copied, "inprocess", overwrite=True)
    assert copied.read_bytes() == image.read_bytes()


def test_labels_may_lie_on_a_store_with_all_that_is_made_on_the_way(
    image: Path, expected: Path, s3_bucket: str
) -> None:
    out = f"s3://{s3_bucket}/maps/labels.tif"
    assert segment_with_runner(image, out, "inprocess", tile_size=200).succeeded
    store = open_store(out)
    assert store.read(out) == expected.read_bytes()
    found = sorted(path for path, _ in store.list(f"s3://{s3_bucket}/maps"))
    assert found == ["labels.json", "labels.tif"]
    with pytest.raises(ConfigError, match="exists"):
        segment_with_runner(image, out, "inprocess")


def test_a_root_on_a_store_serves_a_local_file(
    image: Path, expected: Path, s3_bucket: str, tmp_path: Path
) -> None:
    out, root = tmp_path / "labels.tif", f"s3://{s3_bucket}/root"
    assert segment_with_runner(image, out, "inprocess", root_uri=root).succeeded
    assert out.read_bytes() == expected.read_bytes()
    assert any(open_store(root).list(root))
