"""``swath segment-stats``: what it writes, and what it refuses before it starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from swath.grid.grid import Grid
from swath.raster.cog import write_geotiff

GRID = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 40, 60)
Cli = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with labels, an image, and a file of functions."""
    rows, cols = np.indices(GRID.shape)
    labels = (1 + rows // 10 * 4 + cols // 15).astype(np.uint32)
    values = np.stack([rows, cols]).astype(np.uint16)
    for name, array in (("labels.tif", labels[None]), ("image.tif", values)):
        blocks = [(GRID.window, array)]
        write_geotiff(tmp_path / name, GRID, blocks, dtype=array.dtype, n_bands=len(array))
    (tmp_path / "shapes.py").write_text(
        "def corner(values, rows, cols):\n    return {'corner': rows[0] * 100 + cols[0]}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_lies_beside_the_labels(place: Path, swath_cli: Cli) -> None:
    answer = swath_cli("segment-stats", "labels.tif", "image.tif")
    assert (answer.exit_code, answer.out) == (0, "labels.parquet\n"), answer.err
    table = pyarrow.parquet.read_table(place / "labels.parquet")
    assert table.num_rows == 16
    assert table.column_names[2:6] == ["b1_mean", "b1_std", "b1_min", "b1_max"]
    assert table["b2_max"].to_pylist() == [14, 29, 44, 59] * 4


def test_everything_that_can_be_asked_for(place: Path, swath_cli: Cli) -> None:
    answer = swath_cli(
        "segment-stats", "labels.tif", "image.tif", "image.tif",
        "--stats", "p90,area", "--stats-out", "out/t.parquet", "--bands", "1", "--nodata", "59",
        "--function", "shapes.py:corner", "--rat", "--tile-size", "16", "--workers", "2",
        "--max-reads", "1", "--json",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.err
    told = json.loads(answer.out)
    assert told["columns"] == ["id", "n_pixels", "area", "b1_p90", "b2_p90", "corner"]
    assert (told["n_segments"], told["n_pixels"]) == (16, 2400)
    rows = pyarrow.parquet.read_table("out/t.parquet").to_pylist()
    assert rows[3] == {
        "id": 4, "n_pixels": 150, "area": 15_000, "b1_p90": 57, "b2_p90": 57, "corner": 45
    }  # fmt: skip
    assert (place / "labels.tif.aux.xml").read_text().count("<Row") == 16


def test_a_runner_writes_the_same(place: Path, swath_cli: Cli) -> None:
    asked = (
        "segment-stats", "labels.tif", "image.tif", "--stats", "median,perimeter",
        "--function", "shapes.py:corner",
    )  # fmt: skip
    assert swath_cli(*asked, "--stats-out", "here.parquet").exit_code == 0
    answer = swath_cli(
        *asked,
        "--stats-out",
        "there.parquet",
        "--runner",
        "inprocess",
        "--tile-size",
        "16",
        "--rat",
    )
    assert (answer.exit_code, answer.out) == (0, "there.parquet\n"), answer.err
    here, there = (pyarrow.parquet.read_table(f"{name}.parquet") for name in ("here", "there"))
    assert here == there
    assert (place / "labels.tif.aux.xml").exists()
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--stats", "mean,avg"), "there is no statistic 'avg'"),
        (("--stats-out", "image.tif"), "image.tif is read, and would be written"),
        (("--stats-out", "."), "is a folder"),
        (("--bands", "x"), "is no list of bands"),
        (("--bands", "2"), "Band 2 does not exist"),
        (("--nodata", "inf"), "is no value of missing pixels"),
        (("--function", "shapes"), "'shapes' names no function"),
        (("--runner", "none"), "there is no runner"),
    ],
)
def test_what_is_refused(place: Path, swath_cli: Cli, given: tuple[str, ...], told: str) -> None:
    before = sorted(place.iterdir())
    answer = swath_cli("segment-stats", "labels.tif", "image.tif", *given)
    assert answer.exit_code == 2
    assert told in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert sorted(place.iterdir()) == before


def test_what_exists_is_kept(place: Path, swath_cli: Cli) -> None:
    (place / "labels.parquet").write_text("old")
    for runner in ((), ("--runner", "inprocess")):
        answer = swath_cli("segment-stats", "labels.tif", "image.tif", *runner)
        assert answer.exit_code == 2
        assert "exists" in answer.err
    assert (place / "labels.parquet").read_text() == "old"
    assert swath_cli("segment-stats", "labels.tif", "image.tif", "--overwrite").exit_code == 0


@pytest.mark.parametrize("runner", [(), ("--runner", "inprocess")])
def test_what_else_lies_beside_labels_is_kept(
    place: Path, swath_cli: Cli, runner: tuple[str, ...]
) -> None:
    beside = place / "labels.tif.aux.xml"
    beside.write_text(
        '<PAMDataset><PAMRasterBand band="1"><Description>fields</Description></PAMRasterBand>'
        '<Metadata><MDI key="by">hand</MDI></Metadata></PAMDataset>'
    )
    for _ in range(2):
        answer = swath_cli("segment-stats", "labels.tif", "image.tif", "--rat", *runner)
        assert answer.exit_code == 0, answer.err
        told = beside.read_text()
        assert "<Description>fields</Description>" in told
        assert '<MDI key="by">hand</MDI>' in told
        assert told.count("<Row") == 16
        runner = (*runner, "--overwrite")


@pytest.mark.parametrize(
    ("given", "option"),
    [
        (("--runner", "inprocess", "--workers", "2"), "--workers does nothing with --runner"),
        (("--runner", "inprocess", "--max-reads", "2"), "--max-reads does nothing with --runner"),
        (("--root", "work"), "--root does nothing without --runner"),
        (("--tile-size", "16385"), "--tile-size"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    place: Path, swath_cli: Cli, given: tuple[str, ...], option: str
) -> None:
    before = sorted(place.iterdir())
    answer = swath_cli("segment-stats", "labels.tif", "image.tif", *given)
    assert answer.exit_code == 2
    assert option in answer.err
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("runner", [(), ("--runner", "inprocess")])
def test_folders_are_made_for_files_that_exist(
    place: Path, swath_cli: Cli, runner: tuple[str, ...]
) -> None:
    given = ("--stats-out", "new/t.parquet", *runner)
    assert swath_cli("segment-stats", "labels.tif", "missing.tif", *given).exit_code == 2
    assert not (place / "new").exists()
    assert swath_cli("segment-stats", "labels.tif", "image.tif", *given).exit_code == 0
    assert (place / "new" / "t.parquet").exists()


def test_a_function_that_fails_ends_with_code_1(place: Path, swath_cli: Cli) -> None:
    (place / "bad.py").write_text("def fail(values, rows, cols):\n    return 1 / 0\n")
    answer = swath_cli("segment-stats", "labels.tif", "image.tif", "--function", "bad.py:fail")
    assert answer.exit_code == 1
    assert "the function fails: ZeroDivisionError" in answer.err
    assert not (place / "labels.parquet").exists()
