"""``swath segment-subset`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.tif"
    values = np.array([[4, 4, 6], [0, 6, 6]], np.uint32)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=2,
        width=3,
        count=1,
        dtype="uint32",
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
        nodata=0,
    ) as file:
        file.write(values, 1)
    return path


def test_window_and_map_are_written(
    labels: Path, tmp_path: Path, swath_cli: Callable[..., Any]
) -> None:
    out, table = tmp_path / "new" / "part.tif", tmp_path / "ids.csv"
    answer = swath_cli(
        "segment-subset", labels, out, "--window", 1, 0, 1, 2, "--map", table, "--json"
    )
    assert answer.exit_code == 0, answer.err
    assert json.loads(answer.out) == {
        "labels": str(out),
        "map": str(table),
        "window": [1, 0, 1, 2],
        "segments": 1,
    }
    assert table.read_text().split() == ['"id","old_id"', "1,6"]
    with rasterio.open(out) as file:
        assert file.read(1).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "Neither a window nor a polygon is given"),
        (("--window", 0, 0, 1, 1, "--polygon", "area.gpkg"), "Both are given"),
        (("--window", 0, 0, 0, 1), "a window has at least one pixel, not 0 x 1"),
        (("--window", 0, 0, 9, 9), "not within the image of 2 x 3 px"),
        (("--polygon", "none.gpkg"), "none.gpkg"),
    ],
)
def test_what_is_wrong_is_told(
    labels: Path,
    tmp_path: Path,
    swath_cli: Callable[..., Any],
    options: tuple[object, ...],
    told: str,
) -> None:
    answer = swath_cli("segment-subset", labels, tmp_path / "part.tif", *options)
    assert answer.exit_code == 2
    assert told in answer.err
    assert "mend: " in answer.err
    assert not (tmp_path / "part.tif").exists()


def test_labels_are_not_replaced_and_other_files_only_if_asked(
    labels: Path, tmp_path: Path, swath_cli: Callable[..., Any]
) -> None:
    window = ("--window", 0, 0, 1, 1)
    assert "is read" in swath_cli("segment-subset", labels, labels, *window, "--overwrite").err
    (tmp_path / "part.tif").write_text("mine")
    assert "exists" in swath_cli("segment-subset", labels, tmp_path / "part.tif", *window).err
    again = swath_cli("segment-subset", labels, tmp_path / "part.tif", *window, "--overwrite")
    assert again.exit_code == 0
    twice = swath_cli(
        "segment-subset", labels, tmp_path / "a.csv", *window, "--map", tmp_path / "a.csv"
    )
    assert "would be written twice" in twice.err
