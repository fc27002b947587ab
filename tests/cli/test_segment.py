"""``swath segment``: what it writes, and what it refuses before it starts."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pyogrio
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyarrow import parquet

from swath.errors import ConfigError
from swath.segmentation.segmenter import segment
from swath.segmentation.statistics import attribute_table

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes an array `(band, y, x)` to a GeoTIFF."""

    def call(name: str, values: np.ndarray, *, left: float = 500_000, **profile: Any) -> Path:
        path = tmp_path / name
        n_bands, height, width = values.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=n_bands, height=height, width=width,
            dtype=profile.pop("dtype", values.dtype.name), crs="EPSG:32633",
            transform=Affine(10, 0, left, 0, -10, 5_000_000), **profile,
        ) as file:  # fmt: skip
            file.write(values)
        return path

    return call


@pytest.fixture
def image(write: Write) -> Path:
    """Return an image of 2 bands: bright fields of 20 x 20 px on dark ground, and a hole."""
    values = np.random.default_rng(0).integers(90, 110, (2, 100, 120)).astype(np.uint16)
    for row in range(5, 80, 30):
        for col in range(5, 100, 30):
            values[:, row : row + 20, col : col + 20] += 1000
    values[:, 90:, 110:] = 0
    return write("image.tif", values)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_fields_become_segments_with_all_that_is_asked_for(
    image: Path, tmp_path: Path, swath_cli: Any
):
    out, shapes, centres = tmp_path / "out.tif", tmp_path / "out.gpkg", tmp_path / "centres.json"
    answer = swath_cli(
        "segment", image, out, "--nodata", 0, "--clusters", 2, "--stats", "mean,p90",
        "--polygons", shapes, "--save-centres", centres, "--colours", "--json",
    )  # fmt: skip
    assert answer.exit_code == 0
    labels = read(out)
    assert labels.dtype == np.uint32
    assert labels.max() == 13  # 12 fields, and the ground around them
    assert (labels[90:, 110:] == 0).all()
    assert len(np.unique(labels[5:25, 5:25])) == 1
    told = json.loads(answer.out)
    assert told["n_segments"] == 13
    assert told["labels"] == str(out)
    assert json.loads(out.with_suffix(".json").read_text())["options"]["clusters"] == 2
    table = parquet.read_table(out.with_suffix(".parquet"))
    assert table.column("n_pixels").to_pylist()[1:] == [400] * 12
    assert table.column("b1_mean").to_pylist()[1] == pytest.approx(1100, abs=2)
    assert "b2_p90" in table.column_names
    assert len(pyogrio.read_dataframe(shapes)) == 13
    assert len(json.loads(centres.read_text())["centres"]) == 2
    assert out.with_name("out.tif.aux.xml").exists()
    for stage in ("read", "cluster", "clump", "eliminate", "label", "write", "statistics", "wait"):
        assert stage in answer.err
    assert "Mpx/s" in answer.err


@pytest.mark.parametrize("runner", [None, "inprocess", "local"])
def test_labels_and_statistics_are_the_same_for_every_runner(
    image: Path, tmp_path: Path, swath_cli: Any, runner: str | None
):
    out, ours = tmp_path / "out.tif", tmp_path / "ours.tif"
    given = ("--nodata", 0, "--clusters", 5, "--stats", "mean,median,area", "--tile-size", 64)
    assert swath_cli("segment", image, ours, *given, "--workers", 1).exit_code == 0
    wanted = ("--runner", runner) if runner else ("--workers", 2, "--max-reads", 2)
    answer = swath_cli("segment", image, out, *given, *wanted)
    assert answer.exit_code == 0, answer.err
    assert answer.out.strip() == str(out)
    assert out.read_bytes() == ours.read_bytes()
    assert parquet.read_table(out.with_suffix(".parquet")).equals(
        parquet.read_table(ours.with_suffix(".parquet"))
    )
    assert not list(tmp_path.glob(".*")), "what is made on the way is removed"


def test_each_option_changes_the_labels(image: Path, tmp_path: Path, swath_cli: Any):
    def labels(*given: object) -> np.ndarray:
        out = tmp_path / "out.tif"
        assert swath_cli("segment", image, out, "--overwrite", *given).exit_code == 0
        return read(out)

    centres = tmp_path / "centres.json"
    centres.write_text('{"centres": [[100, 100], [1100, 1100], [0, 0]]}')
    usual, near = labels("--clusters", 8), ("--clusters", 8, "--max-distance", 3)
    for given in (
        ("--clusters", 9),
        ("--clusters", 8, "--min-size", 5),
        near,
        ("--clusters", 8, "--distance-percentile", 0),
        ("--clusters", 8, "--connectivity", 8),
        ("--clusters", 8, "--weights", "1,5"),
        ("--clusters", 8, "--standardise", "--weights", "1,3"),
        ("--clusters", 8, "--nodata", 0),
        ("--clusters", 8, "--bands", "1"),
        ("--centres", centres),
    ):
        assert not np.array_equal(labels(*given), usual), given
    assert not np.array_equal(labels(*near), labels(*near[:2], "--max-distance", "none"))


def test_candidates_are_compared(image: Path, tmp_path: Path, swath_cli: Any):
    sheet = tmp_path / "sheet.png"
    answer = swath_cli(
        "segment", image, sheet, "--nodata", 0, "--try", "clusters=2,6", "--try", "min-size=10,100"
    )
    assert answer.exit_code == 0
    rows = answer.out.splitlines()
    assert rows[0].split()[:3] == ["rank", "clusters", "min_size"]
    assert len(rows) == 5
    with Image.open(sheet) as picture:
        assert picture.width > 200
    assert len(sheet.with_suffix(".csv").read_text().splitlines()) == 5


REFUSED = {
    "other grid": ("is not on|not on one grid", ["{image}", "{shifted}"], []),
    "bands of weights": ("2 bands, and the weights are for 3", ["{image}"], ["--weights=1,1,1"]),
    "no such band": ("band", ["{image}"], ["--bands=5"]),
    "all nodata": ("No pixel has data", ["{empty}"], ["--nodata=7"]),
    "all nodata, given centres": (
        "No pixel has data",
        ["{empty}"],
        ["--nodata=7", "--centres={one_band}"],
    ),
    "complex": ("complex", ["{complex}"], []),
    "64 bits": ("float64", ["{double}"], []),
    "more clusters than pixels": ("too few for 500 clusters", ["{small}"], ["--clusters=500"]),
    "no clusters": ("--clusters", ["{image}"], ["--clusters=0"]),
    "smallest size": ("--min-size", ["{image}"], ["--min-size=0"]),
    "distance below 0": ("--max-distance", ["{image}"], ["--max-distance=-1"]),
    "distance in words": ("--max-distance", ["{image}"], ["--max-distance=far"]),
    "sample": ("--sample-percent", ["{image}"], ["--sample-percent=0"]),
    "statistic": ("'avg'", ["{image}"], ["--stats=avg"]),
    "table without statistics": ("--stats-out", ["{image}"], ["--stats-out=x.parquet"]),
    "centres of other bands": ("2 bands, and the centres", ["{image}"], ["--centres={centres}"]),
    "no file of centres": ("none.json", ["{image}"], ["--centres=none.json"]),
    "format of polygons": (".xyz", ["{image}"], ["--polygons={folder}/x.xyz"]),
    "labels of another name": ("end in .tif", ["{image}", "{folder}/x.png"], []),
    "table of another name": (
        "end in .parquet",
        ["{image}"],
        ["--stats=mean", "--stats-out={folder}/x.csv"],
    ),
    "labels on a store": ("--runner", ["{image}", "s3://bucket/x.tif"], []),
    "splits without a runner": ("--splits", ["{image}"], ["--splits=2"]),
    "sheet of another name": ("end it in .png", ["{image}"], ["--try=clusters=3,4"]),
    "runner": ("nowhere", ["{image}"], ["--runner=nowhere"]),
    "trial": ("--try", ["{image}"], ["--try=colour=3"]),
    "no such image": ("missing.tif", ["{folder}/missing.tif"], []),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_told_before_anything_is_written(
    image: Path, write: Write, tmp_path: Path, swath_cli: Any, case: str
):
    ones = np.ones((1, 20, 20))
    centres = tmp_path / "centres.json"
    centres.write_text('{"centres": [[1, 2, 3]]}')
    (tmp_path / "one.json").write_text('{"centres": [[1]]}')
    places = {
        "image": image,
        "shifted": write("shifted.tif", ones.repeat(2, 0).astype(np.uint16), left=500_005),
        "empty": write("empty.tif", (7 * ones).astype(np.uint8)),
        "complex": write("complex.tif", ones.astype(np.complex64)),
        "double": write("double.tif", ones),
        "small": write("small.tif", (ones * np.arange(20)).astype(np.uint8)),
        "centres": centres,
        "one_band": tmp_path / "one.json",
        "folder": tmp_path,
    }
    told, images, options = REFUSED[case]
    before = sorted(tmp_path.iterdir())
    if len(images) < 2 or images[1] == "{shifted}":
        images = [*images, str(tmp_path / "out.tif")]
    answer = swath_cli("segment", *(text.format(**places) for text in (*images, *options)))
    assert answer.exit_code == 2, answer.err
    assert any(part in answer.err for part in told.split("|")), answer.err
    assert "Traceback" not in answer.err
    assert sorted(tmp_path.iterdir()) == before


def test_files_that_exist_are_kept(image: Path, tmp_path: Path, swath_cli: Any):
    out = tmp_path / "out.tif"
    out.write_text("mine")
    for given in ((), ("--runner", "inprocess")):
        answer = swath_cli("segment", image, out, *given)
        assert answer.exit_code == 2
        assert "exists" in answer.err
        assert "--overwrite" in answer.err
        assert out.read_text() == "mine"
    answer = swath_cli("segment", image, image, "--overwrite")
    assert answer.exit_code == 2
    assert "an input is never replaced" in answer.err


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


COLLIDING = {
    "description on centres": (["out.tif", "--centres=out.json", "--overwrite"], "is read"),
    "labels on image": (["image.tif", "--overwrite"], "an input is never replaced"),
    "table on image": (
        ["out.tif", "--stats=mean", "--stats-out=image.tif", "--overwrite"],
        "is read",
    ),
    "centres on description": (["out.tif", "--save-centres=out.json"], "written twice"),
    "description on labels": (["e.json"], "written twice"),
    "polygons on table": (["out.tif", "--stats=mean", "--polygons=out.parquet"], "written twice"),
    "table on labels": (["out.tif", "--stats=mean", "--stats-out=./out.tif"], "written twice"),
    "description is there": (["there.tif"], "there.json exists"),
    "colours are there": (["coloured.tif", "--colours"], "coloured.tif.aux.xml exists"),
}


@pytest.mark.parametrize("runner", [(), ("--runner", "inprocess")])
@pytest.mark.parametrize("case", COLLIDING)
def test_no_file_is_written_over_another(
    image: Path,
    tmp_path: Path,
    swath_cli: Any,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    runner: tuple[str, ...],
):
    monkeypatch.chdir(tmp_path)
    for name in ("there.json", "coloured.tif.aux.xml"):
        Path(name).write_text("mine")
    given, told = COLLIDING[case]
    if "--centres=out.json" in given:
        Path("out.json").write_text('{"centres": [[1, 2], [3, 4]]}')
    before = contents(tmp_path)
    answer = swath_cli("segment", "image.tif", *given, *runner)
    assert answer.exit_code == 2
    assert told in answer.err
    assert contents(tmp_path) == before


def test_an_image_is_never_replaced_by_the_library(image: Path):
    before = image.read_bytes()
    with pytest.raises(ConfigError, match="is read, and would be written"):
        segment(image, image, overwrite=True)
    with pytest.raises(ConfigError, match="written twice"):
        segment(image, image.with_name("out.tif"), save_centres=image.with_name("out.json"))
    with pytest.raises(ConfigError, match="tile_size is 16385"):
        segment(image, image.with_name("out.tif"), tile_size=16_385)
    assert image.read_bytes() == before
    assert names(image.parent) == ["image.tif"]


@pytest.mark.parametrize("runner", [(), ("--runner", "inprocess")])
def test_nothing_of_old_labels_lies_beside_new_ones(
    image: Path, tmp_path: Path, swath_cli: Any, runner: tuple[str, ...]
):
    out = tmp_path / "out.tif"
    given = ("segment", image, out, "--clusters", 3, *runner)
    assert swath_cli(*given, "--stats", "mean", "--colours").exit_code == 0
    made = {"out.tif", "out.json", "out.parquet", "out.tif.aux.xml", "image.tif"}
    assert names(tmp_path) == sorted(made)
    answer = swath_cli(*given, "--overwrite")
    assert answer.exit_code == 0, answer.err
    assert names(tmp_path) == sorted({"out.tif", "out.json", "image.tif"})
    pyarrow.parquet.write_table(pyarrow.table({"mine": [1]}), out.with_suffix(".parquet"))
    assert swath_cli(*given, "--overwrite").exit_code == 0
    assert pyarrow.parquet.read_table(out.with_suffix(".parquet")).column_names == ["mine"]


def test_old_files_stay_until_new_labels_are_whole(image: Path, tmp_path: Path, swath_cli: Any):
    out = tmp_path / "out.tif"
    given = ("segment", image, out, "--clusters", 3, "--stats", "mean")
    assert swath_cli(*given).exit_code == 0
    before = contents(tmp_path)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        answer = swath_cli(*given, "--min-size", 5, "--overwrite")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert answer.exit_code == 1
    assert "out.tif" in answer.err
    assert ".partial" not in answer.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("runner", [(), ("--runner", "inprocess")])
def test_colours_of_too_many_segments_are_left_out(
    image: Path, swath_cli: Any, monkeypatch: pytest.MonkeyPatch, runner: tuple[str, ...]
):
    monkeypatch.setattr(attribute_table, "MOST_ROWS", 12)
    given = ("--nodata", 0, "--clusters", 2, "--colours")
    answer = swath_cli("segment", image, image.with_name("out.tif"), *given, *runner)
    assert answer.exit_code == 0, answer.err
    assert "warning: " in answer.err
    assert "for a raster attribute table" in answer.err
    assert names(image.parent) == ["image.tif", "out.json", "out.parquet", "out.tif"]


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_saved_fit_gives_the_same_labels(
    image: Path, write: Write, tmp_path: Path, swath_cli: Any, dtype: str
):
    with rasterio.open(image) as file:
        values = file.read().astype(dtype)
    values[1] *= 3
    mine, fit = write("mine.tif", values), tmp_path / "fit.json"
    first, again, plain = (tmp_path / f"{name}.tif" for name in ("first", "again", "plain"))
    given = ("--nodata", 0, "--min-size", 5)
    answer = swath_cli(
        "segment", mine, first, *given, "--clusters", 8, "--standardise", "--weights", "1,4",
        "--max-distance", 0.05, "--save-centres", fit, "--sample-percent", 5,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.err
    for file in (fit, first.with_suffix(".json")):
        for runner in ((), ("--runner", "inprocess")):
            asked = ("segment", mine, again, *given, "--centres", file, "--overwrite", *runner)
            assert swath_cli(*asked).exit_code == 0
            assert np.array_equal(read(again), read(first))
    told = json.loads(again.with_suffix(".json").read_text())
    assert told["steps"] == json.loads(fit.read_text())["steps"]
    centres = tmp_path / "centres.json"
    centres.write_text(json.dumps({"centres": json.loads(fit.read_text())["centres"]}))
    assert swath_cli("segment", mine, plain, *given, "--centres", centres).exit_code == 0
    assert not np.array_equal(read(plain), read(first))
    for option in (("--weights", "1,4"), ("--standardise",), ("--max-distance", "auto")):
        answer = swath_cli("segment", mine, tmp_path / "x.tif", "--centres", fit, *option)
        assert answer.exit_code == 2
        assert f"{option[0]}: {fit} says it" in answer.err


@pytest.mark.parametrize(
    ("given", "option"),
    [
        (("--runner", "inprocess", "--workers", 2), "--workers"),
        (("--runner", "inprocess", "--max-reads", 2), "--max-reads"),
        (("--root", "work"), "--root"),
        (("--try", "clusters=2,3", "--stats", "mean"), "--stats"),
        (("--try", "clusters=2,3", "--polygons", "x.gpkg"), "--polygons"),
        (("--try", "clusters=2,3", "--runner", "inprocess"), "--runner"),
        (("--try", "clusters=2,3", "--save-centres", "x.json"), "--save-centres"),
        (("--try", "clusters=2,3", "--colours"), "--colours"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    image: Path, swath_cli: Any, given: tuple[object, ...], option: str
):
    answer = swath_cli("segment", image, image.with_name("out.tif"), *given)
    assert answer.exit_code == 2
    assert f"{option}: it does nothing" in answer.err
    assert names(image.parent) == ["image.tif"]


@pytest.mark.parametrize("runner", [(), ("--runner", "inprocess")])
def test_folders_are_made_for_images_that_can_be_segmented(
    image: Path, swath_cli: Any, runner: tuple[str, ...]
):
    folder = image.parent
    out = folder / "new" / "out.tif"
    assert swath_cli("segment", folder / "missing.tif", out, *runner).exit_code == 2
    assert names(folder) == ["image.tif"]
    shapes, centres = folder / "a" / "out.gpkg", folder / "b" / "centres.json"
    answer = swath_cli(
        "segment", image, out, "--clusters", 2, "--stats", "mean", "--stats-out",
        folder / "c" / "t.parquet", "--polygons", shapes, "--save-centres", centres, *runner,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.err
    assert names(folder) == ["a", "b", "c", "image.tif", "new"]


def test_a_signal_ends_it_without_a_trace(write: Write, tmp_path: Path):
    noise = np.random.default_rng(0).integers(0, 60_000, (2, 1500, 1500)).astype(np.uint16)
    image, out = write("noise.tif", noise), tmp_path / "out.tif"
    process = subprocess.Popen(
        [sys.executable, "-m", "swath", "segment", image, out, "--min-size", "3"],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not list(tmp_path.glob(".partial-*")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    assert names(tmp_path) == ["noise.tif"]


def test_disk_that_is_full_leaves_no_half_file(image: Path, tmp_path: Path, swath_cli: Any):
    """A file may not grow beyond a few blocks, as on a disk that fills up while it is written."""
    out = tmp_path / "out.tif"
    before = sorted(tmp_path.iterdir())
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        answer = swath_cli("segment", image, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert answer.exit_code == 1
    assert "Writing failed" in answer.err
    assert "has space" in answer.err
    assert sorted(tmp_path.iterdir()) == before


def test_what_does_not_fit_is_refused_with_the_numbers(
    tmp_path: Path, swath_cli: Any, monkeypatch: pytest.MonkeyPatch
):
    huge = tmp_path / "huge.tif"
    with rasterio.open(
        huge, "w", driver="GTiff", count=4, height=400_000, width=400_000, dtype="uint16",
        tiled=True, sparse_ok=True, crs="EPSG:32633",
        transform=Affine(10, 0, 5e5, 0, -10, 5e6), BIGTIFF="YES",
    ):  # fmt: skip
        pass
    centres = tmp_path / "centres.json"
    centres.write_text('{"centres": [[1, 2, 3, 4]]}')
    answer = swath_cli("segment", huge, tmp_path / "out.tif", "--centres", centres)
    assert answer.exit_code == 2
    assert "MiB" in answer.err
    assert "--workers" in answer.err
    assert not (tmp_path / "out.tif").exists()
