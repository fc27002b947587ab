"""Pixels from all over an image: how many, which, and what is read for them."""

from __future__ import annotations

import math
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window as RasterioWindow

from swath.errors import DataError
from swath.grid.window import Window
from swath.raster.reader import open_raster
from swath.raster.spec import Raster, Stack
from swath.segmentation.sample import N_WINDOWS, WINDOW_PIXELS, sample_pixels, sample_rounds

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

LARGE = 6000  # pixels on a side: too large to be read whole


def write_sparse(path: Path, parts: list[tuple[Window, int]], *, block: int = 256) -> str:
    """Write a large image that holds 0 but in `parts`, of which each holds one value."""
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=LARGE, width=LARGE, dtype="uint8",
        crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000), sparse_ok=True,
        tiled=True, blockxsize=block, blockysize=block, compress="deflate",
    ) as file:  # fmt: skip
        for part, value in parts:
            window = RasterioWindow(part.col_off, part.row_off, part.width, part.height)
            file.write(np.full((1, *part.shape), value, np.uint8), window=window)
    return str(path)


def where_in(height: int, width: int) -> np.ndarray:
    """Return an image whose value says which pixel it is, from 1."""
    return np.arange(1, height * width + 1, dtype=np.int32).reshape(1, height, width)


# ------------------------------------------------------------ small images


def test_every_pixel_is_taken_when_so_many_are_wanted(write_tif):
    path = write_tif("a.tif", where_in(5, 7))
    points = sample_pixels(Raster(uris=path), 1000)
    assert points[:, 0].tolist() == list(range(1, 36))
    assert points.dtype == np.int32


def test_every_third_row_and_column_of_a_small_image(write_tif):
    path = write_tif("a.tif", where_in(6, 9))
    points = sample_pixels(Raster(uris=path), 6)  # 54 pixels: 9 for each that is wanted
    # Rows 1 and 4, columns 1, 4 and 7.
    assert points[:, 0].tolist() == [11, 14, 17, 38, 41, 44]


def test_bands_stay_together(write_tif):
    first = where_in(8, 8)
    path = write_tif("a.tif", np.concatenate([first, first * 10, -first]))
    points = sample_pixels(Raster(uris=path), 16)
    assert points.shape == (16, 3)
    assert np.array_equal(points[:, 1], points[:, 0] * 10)
    assert np.array_equal(points[:, 2], -points[:, 0])


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (3, 2000)])
def test_an_image_of_few_rows_or_columns_is_sampled_along_its_length(write_tif, shape):
    points = sample_pixels(Raster(uris=write_tif("a.tif", where_in(*shape))), 50)
    assert len(points) == 50
    along = np.sort((points[:, 0] - 1) % shape[1] if shape[0] < 10 else points[:, 0] - 1)
    assert along[0] < max(shape) / 10
    assert along[-1] > max(shape) * 0.9


def test_pixels_without_data_are_not_taken_and_others_take_their_place(write_tif):
    values = np.zeros((1, 100, 100), np.uint8)
    values[0, 10:14, 10:14] = 7  # 16 pixels; a lattice of every tenth row and column meets none
    image = Raster(uris=write_tif("a.tif", values), nodata=0)
    assert len(sample_pixels(image, 100, at_least=16)) == 16
    assert len(sample_pixels(image, 100, at_least=50)) == 16
    assert (sample_pixels(image, 100, at_least=1) == 7).all()


def test_nan_and_infinity_are_not_taken(write_tif):
    values = np.array([[[1, np.nan, np.inf, 2], [-np.inf, 3, 4, 5]]], np.float32)
    points = sample_pixels(Raster(uris=write_tif("a.tif", values)), 100)
    assert points[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_an_image_without_data_has_an_empty_sample(write_tif):
    image = Raster(uris=write_tif("a.tif", np.zeros((2, 30, 30), np.uint8)), nodata=0)
    assert sample_pixels(image, 100).shape == (0, 2)


# ------------------------------------------------------------ blocks, threads, stacks


def test_sample_does_not_depend_on_blocks_or_threads(write_tif):
    values = np.random.default_rng(0).integers(0, 200, (2, 700, 900), np.uint8)
    profiles = (
        {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"},
        {"tiled": True, "blockxsize": 512, "blockysize": 512},
        {"blockysize": 1},
    )
    paths = [write_tif(f"{i}.tif", values, **profile) for i, profile in enumerate(profiles)]
    expected = sample_pixels(Raster(uris=paths[0], nodata=0), 5000)
    assert len(expected) == 5000
    for path in paths:
        for n_threads in (1, 2, 5):
            points = sample_pixels(Raster(uris=path, nodata=0), 5000, n_threads=n_threads)
            assert np.array_equal(points, expected)


def test_large_sample_does_not_depend_on_blocks_or_threads(tmp_path):
    parts = [(Window(0, 0, LARGE, 2500), 3), (Window(1000, 2500, 2000, 3500), 9)]
    samples = [
        sample_pixels(
            Raster(uris=write_sparse(tmp_path / f"{block}.tif", parts, block=block), nodata=0),
            20_000,
            n_threads=n_threads,
        )
        for block, n_threads in ((256, 1), (512, 3))
    ]
    assert len(samples[0]) == 20_000
    assert np.array_equal(*samples)
    # Of the pixels with data 15.0 million hold 3 and 7.0 million hold 9.
    assert (samples[0] == 9).mean() == pytest.approx(7 / 22, abs=0.05)


def test_sample_of_a_stack_has_the_bands_of_all_files(write_tif):
    first = where_in(20, 20)
    paths = [write_tif("a.tif", first), write_tif("b.tif", first * 2)]
    points = sample_pixels(Stack(sources=tuple(Raster(uris=path) for path in paths)), 100)
    assert points.shape == (100, 2)
    assert np.array_equal(points[:, 1], points[:, 0] * 2)


def test_a_pixel_without_data_in_one_file_of_a_stack_is_not_taken(write_tif):
    first = where_in(2, 2)
    holed = first.copy()
    holed[0, 0, 1] = -1
    sources = (
        Raster(uris=write_tif("a.tif", first)),
        Raster(uris=write_tif("b.tif", holed), nodata=-1),
    )
    assert sample_pixels(Stack(sources=sources), 100)[:, 0].tolist() == [1, 3, 4]


def test_files_on_different_grids_are_refused_with_both_sizes(write_tif):
    sources = (
        Raster(uris=write_tif("a.tif", where_in(20, 20))),
        Raster(uris=write_tif("b.tif", where_in(10, 20))),
    )
    with pytest.raises(DataError, match="not on one grid: 20 x 20 px against 10 x 20 px") as caught:
        sample_pixels(Stack(sources=sources), 100)
    assert "a.tif" in str(caught.value)
    assert "b.tif" in str(caught.value)
    assert "warp" in str(caught.value)


# ------------------------------------------------------------ what is read


def damage(path: str, row: int, col: int, *, block: int = 256) -> None:
    """Overwrite the bytes of the block that holds a pixel."""
    with rasterio.open(path) as file:
        name = f"BLOCK_OFFSET_{col // block}_{row // block}"
        size = f"BLOCK_SIZE_{col // block}_{row // block}"
        offset = int(file.get_tag_item(name, "TIFF", bidx=1))
        length = int(file.get_tag_item(size, "TIFF", bidx=1))
    with Path(path).open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * length)


def test_a_window_reads_only_the_blocks_that_it_touches(write_tif):
    values = np.random.default_rng(0).integers(1, 200, (1, 1024, 1024), np.uint8)
    path = write_tif(
        "a.tif", values, tiled=True, blockxsize=256, blockysize=256, compress="deflate"
    )
    damage(path, 256, 256)
    with open_raster(Raster(uris=path)) as reader:
        for window in (Window(0, 0, 256, 1024), Window(256, 0, 256, 256), Window(512, 512, 9, 9)):
            assert np.array_equal(reader.read(window).values[0], values[0][window.slices])
        with pytest.raises(DataError):
            reader.read(Window(255, 255, 2, 2))


def test_a_large_image_is_not_read_whole(tmp_path):
    first = next(sample_rounds(LARGE, LARGE, 1000))
    blocks = {
        (row // 256, col // 256)
        for windows in first.rows
        for window in windows
        for row in (window.row_off, window.row_end - 1)
        for col in (window.col_off, window.col_end - 1)
    }
    n_blocks = -(-LARGE // 256)
    spared = next(
        (row, col) for row in range(n_blocks) for col in range(n_blocks) if (row, col) not in blocks
    )
    path = write_sparse(tmp_path / "a.tif", [(Window(0, 0, LARGE, LARGE), 5)])
    damage(path, spared[0] * 256, spared[1] * 256)
    points = sample_pixels(Raster(uris=path), 1000)
    assert points.shape == (1000, 1)
    assert (points == 5).all()
    with open_raster(Raster(uris=path)) as reader, pytest.raises(DataError):
        reader.read(Window(spared[0] * 256, spared[1] * 256, 1, 1))


def test_a_small_island_in_a_large_image_is_found(tmp_path):
    # Between the windows of the first grid, which are 600 pixels apart.
    path = write_sparse(tmp_path / "a.tif", [(Window(10, 10, 12, 12), 5)])
    image = Raster(uris=path, nodata=0)
    assert sample_pixels(image, 1000, at_least=144).tolist() == [[5]] * 144


# ------------------------------------------------------------ where windows lie


SIZES = st.integers(1, 60_000)


@given(SIZES, SIZES, st.integers(1, 100_000))
def test_windows_lie_apart_within_the_image(height, width, n_pixels):
    for way in islice(sample_rounds(height, width, n_pixels), 2):
        assert 0 <= way.start[0] < min(way.stride, height)
        assert 0 <= way.start[1] < min(way.stride, width)
        for windows in way.rows:
            assert windows[0].col_off >= 0
            assert windows[-1].col_end <= width
            assert all(a.col_end <= b.col_off for a, b in pairwise(windows))
            assert {(w.row_off, w.height) for w in windows} == {
                (windows[0].row_off, windows[0].height)
            }
        firsts = [windows[0] for windows in way.rows]
        assert firsts[0].row_off >= 0
        assert firsts[-1].row_end <= height
        assert all(a.row_end <= b.row_off for a, b in pairwise(firsts))


@given(st.integers(1, 60_000), st.integers(1, 60_000))
def test_first_grid_of_a_large_image_is_of_few_small_windows(height, width):
    if height * width <= 16 * 1024 * 1024:
        return
    first = next(sample_rounds(height, width, 100_000))
    windows = [window for row in first.rows for window in row]
    assert len(windows) < 2 * N_WINDOWS
    assert all(max(window.shape) <= WINDOW_PIXELS for window in windows)
    assert not first.covers_all


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 5000))
def test_last_round_takes_every_pixel_once(height, width, n_pixels):
    for way in sample_rounds(height, width, n_pixels):
        if way.covers_all:
            break
    assert way.stride == 1
    assert sum(window.pixels for windows in way.rows for window in windows) == height * width


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 100_000))
def test_small_image_with_data_everywhere_gives_as_many_as_are_wanted(height, width, n_pixels):
    way = next(sample_rounds(height, width, n_pixels))
    n_rows, n_cols = (
        math.ceil((size - start) / way.stride)
        for size, start in zip((height, width), way.start, strict=True)
    )
    assert n_rows * n_cols >= min(n_pixels, height * width)
