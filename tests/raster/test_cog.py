"""Writing: pixels, determinism, bounded memory, what GDAL must not make of bands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from swath.errors import StoreError
from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.raster.cog import write_cog, write_geotiff
from swath.raster.reader import open_raster
from swath.raster.spec import Raster
from swath.store.local import TEMPORARY

WRITERS = pytest.mark.parametrize("write", [write_cog, write_geotiff])


def grid_of(height: int, width: int, crs: str | None = "EPSG:32633") -> Grid:
    return Grid(crs, (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), height, width)


def blocks_of(values: np.ndarray, size: int, *, backwards: bool = False):
    windows = tiles(values.shape[-2:], size)
    for window in reversed(windows) if backwards else windows:
        yield window, values[..., *window.slices]


@WRITERS
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_pixels_come_back_as_they_were(tmp_path, write, dtype):
    rng = np.random.default_rng(0)
    values = (rng.random((3, 600, 700)) * 200).astype(dtype)
    write(tmp_path / "a.tif", grid_of(600, 700), blocks_of(values, 333), dtype=dtype, n_bands=3)
    with open_raster(Raster(uris=tmp_path / "a.tif")) as reader:
        found = reader.read(reader.grid.window)
        assert reader.grid == grid_of(600, 700)
    assert np.array_equal(found.values, values)
    assert found.valid.all()


@WRITERS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(size=st.integers(40, 700), backwards=st.booleans(), n_threads=st.integers(1, 3))
def test_same_pixels_give_the_same_bytes(tmp_path, write, size, backwards, n_threads):
    values = np.add.outer(np.arange(620), np.arange(680)).astype(np.uint16) // 7
    options = {"dtype": "uint16", "nodata": 0, "tags": {"model": "x"}}
    write(tmp_path / "a.tif", grid_of(620, 680), [(Window(0, 0, 620, 680), values)], **options)
    blocks = blocks_of(values, size, backwards=backwards)
    write(tmp_path / "b.tif", grid_of(620, 680), blocks, n_threads=n_threads, **options)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_cog_is_tiled_compressed_and_has_overviews(tmp_path):
    values = np.zeros((1100, 1300), np.uint8)
    write_cog(tmp_path / "a.tif", grid_of(1100, 1300), blocks_of(values, 512), dtype="uint8")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.block_shapes == [(512, 512)]
        assert file.compression.value == "DEFLATE"
        assert file.overviews(1) == [2, 4]


def test_overviews_are_resampled_as_asked(tmp_path):
    values = np.tile(np.array([[0, 0], [0, 100]], np.uint8), (512, 512))
    found = {}
    for name in ("nearest", "mode", "average"):
        path = tmp_path / f"{name}.tif"
        blocks = blocks_of(values, 512)
        write_cog(path, grid_of(1024, 1024), blocks, dtype="uint8", resampling=name)
        with rasterio.open(path, overview_level=0) as file:
            found[name] = set(np.unique(file.read()).tolist())
    assert found["average"] == {25}
    assert found["mode"] == {0}
    assert found["nearest"] < {0, 100}


@WRITERS
def test_palette_tags_names_and_nodata_are_stored(tmp_path, write):
    values = np.array([[0, 1], [1, 255]], np.uint8)
    write(
        tmp_path / "a.tif",
        grid_of(2, 2),
        [(Window(0, 0, 2, 2), values)],
        dtype="uint8",
        nodata=255,
        colours={0: (1, 2, 3), 1: (4, 5, 6)},
        tags={"classes": "water, land"},
        band_names=("class",),
    )
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.colormap(1)[1] == (4, 5, 6, 255)
        assert file.tags()["classes"] == "water, land"
        assert file.descriptions == ("class",)
        assert file.nodata == 255
    with open_raster(Raster(uris=tmp_path / "a.tif")) as reader:
        assert reader.read(reader.grid.window).valid.tolist() == [[True, True], [True, False]]


@WRITERS
@pytest.mark.parametrize("n_bands", [2, 3, 4, 5])
def test_hazard_scores_of_four_classes_do_not_become_rgb_and_alpha(tmp_path, write, n_bands):
    values = np.zeros((n_bands, 20, 30), np.uint8)
    write(
        tmp_path / "a.tif", grid_of(20, 30), blocks_of(values, 20), dtype="uint8", n_bands=n_bands
    )
    with rasterio.open(tmp_path / "a.tif") as file:
        assert ColorInterp.alpha not in file.colorinterp
        assert file.dataset_mask().all()


@WRITERS
def test_hazard_nodata_of_labels_does_not_become_class_0(tmp_path, write):
    """Pixels that no block wrote are missing, not class 0."""
    block = (Window(0, 0, 1, 2), np.zeros((1, 2), np.uint8))
    write(tmp_path / "a.tif", grid_of(600, 2), [block], dtype="uint8", nodata=255)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.read(1)[0].tolist() == [0, 0]
        assert (file.read(1)[1:] == 255).all()


@WRITERS
def test_parts_of_blocks_outside_the_grid_are_dropped(tmp_path, write):
    values = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    blocks = [(Window(-1, -1, 4, 4), values), (Window(9, 9, 4, 4), values)]
    write(tmp_path / "a.tif", grid_of(2, 3), blocks, dtype="uint8")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.read(1).tolist() == [[6, 7, 8], [10, 11, 12]]


@WRITERS
def test_image_without_georeference_stays_without(tmp_path, write):
    grid = Grid(None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 3, 4)
    write(tmp_path / "a.tif", grid, [(grid.window, np.ones((3, 4), np.uint8))], dtype="uint8")
    with open_raster(Raster(uris=tmp_path / "a.tif")) as reader:
        assert reader.grid == grid


@WRITERS
def test_block_of_another_type_or_shape_is_refused_and_leaves_nothing(tmp_path, write):
    blocks = [(Window(0, 0, 2, 2), np.zeros((2, 2), np.uint16))]
    with pytest.raises(TypeError, match="a block of uint16 for uint8: cast it explicitly"):
        write(tmp_path / "a.tif", grid_of(2, 2), blocks, dtype="uint8")
    with pytest.raises(ValueError, match=r"a block of \(1, 2, 2\) for 3 bands"):
        write(tmp_path / "a.tif", grid_of(2, 2), blocks, dtype="uint16", n_bands=3)
    assert list(tmp_path.iterdir()) == []


@WRITERS
def test_folder_that_does_not_exist_is_a_store_error(tmp_path, write):
    path = tmp_path / "no" / "a.tif"
    with pytest.raises(StoreError, match=r"a\.tif: Writing failed .*Check that the folder exists"):
        write(
            path, grid_of(2, 2), [(Window(0, 0, 2, 2), np.zeros((2, 2), np.uint8))], dtype="uint8"
        )


@WRITERS
def test_nothing_but_the_file_is_left(tmp_path, write):
    write(tmp_path / "a.tif", grid_of(9, 9), blocks_of(np.ones((9, 9), np.uint8), 4), dtype="uint8")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@WRITERS
def test_file_gets_its_name_only_when_it_is_whole(tmp_path, write, monkeypatch):
    """A kill in the middle left a file that GDAL opened without complaint, and that was empty."""
    path, copy = tmp_path / "a.tif", rasterio.shutil.copy
    path.write_bytes(b"old")

    def killed(source, target, **options):
        copy(source, target, **options)
        assert path.read_bytes() == b"old"
        assert all(each == path or each.name.startswith(TEMPORARY) for each in tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(rasterio.shutil, "copy", killed)
    with pytest.raises(KeyboardInterrupt):
        write(path, grid_of(9, 9), blocks_of(np.ones((9, 9), np.uint8), 4), dtype="uint8")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


@WRITERS
def test_file_is_on_disk_before_it_gets_its_name(tmp_path, write, monkeypatch):
    path, fsync, flushed = tmp_path / "a.tif", os.fsync, []

    def noted(descriptor):
        assert not path.exists()
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write(path, grid_of(9, 9), blocks_of(np.ones((9, 9), np.uint8), 4), dtype="uint8")
    assert flushed == [path.stat().st_ino]


@WRITERS
def test_writers_of_one_file_do_not_disturb_each_other(tmp_path, write):
    """While one lays its blocks, another writes the same file from start to end."""
    path, grid = tmp_path / "a.tif", grid_of(2, 2)

    def blocks():
        write(path, grid, [(grid.window, np.full((2, 2), 7, np.uint8))], dtype="uint8")
        yield Window(0, 0, 1, 2), np.full((1, 2), 8, np.uint8)
        with rasterio.open(path) as file:
            assert file.read(1).tolist() == [[7, 7], [7, 7]]
        write(path, grid, [(grid.window, np.full((2, 2), 9, np.uint8))], dtype="uint8")
        yield Window(1, 0, 1, 2), np.full((1, 2), 8, np.uint8)

    write(path, grid, blocks(), dtype="uint8")
    with rasterio.open(path) as file:
        assert file.read(1).tolist() == [[8, 8], [8, 8]]
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


@WRITERS
def test_statistics_and_overviews_of_a_replaced_file_go_with_it(tmp_path, write):
    for ending in (".aux.xml", ".ovr", ".msk"):
        (tmp_path / f"a.tif{ending}").touch()
    (tmp_path / "b.tif.ovr").touch()
    write(tmp_path / "a.tif", grid_of(9, 9), [], dtype="uint8")
    assert {each.name for each in tmp_path.iterdir()} == {"a.tif", "b.tif.ovr"}


MEASURE = """
import sys
import numpy as np
from swath.grid.grid import Grid
from swath.grid.window import tiles
from swath.raster.cog import write_cog

size, path = int(sys.argv[1]), sys.argv[2]
grid = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), size, size)
texture = (np.add.outer(np.arange(1000), np.arange(1000)) // 50).astype(np.uint8)
blocks = ((w, texture[: w.height, : w.width]) for w in tiles(grid.shape, 1000))
write_cog(path, grid, blocks, dtype="uint8")
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(line.split()[1])
"""


def peak_mib(size: int, folder: Path) -> float:
    """Peak memory of a process that writes a COG of `size` x `size` pixels."""
    command = [sys.executable, "-c", MEASURE, str(size), str(folder / "m.tif")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(answer.stdout) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_is_bounded_while_writing(tmp_path):
    small, large = peak_mib(1000, tmp_path), peak_mib(8000, tmp_path)  # 1 MB and 64 MB of pixels
    assert large - small < 48
