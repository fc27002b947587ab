"""GDAL's settings: what is in force inside `gdal_env`, and that nothing is decoded twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rasterio.env import get_gdal_config

from swath.grid.window import Window, tiles
from swath.raster.gdal import (
    CACHE_CEILING_BYTES,
    CACHE_FLOOR_BYTES,
    block_rows_bytes,
    cache_limit,
    gdal_env,
    release_cache,
    reserve_cache,
)
from swath.raster.reader import open_raster
from swath.raster.spec import Raster


def test_block_cache_is_bounded_and_not_a_share_of_the_machine():
    with gdal_env():
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_FLOOR_BYTES


def test_block_cache_grows_with_what_is_reserved_up_to_a_ceiling():
    ticket = reserve_cache(100 << 20)
    try:
        with gdal_env():
            assert get_gdal_config("GDAL_CACHEMAX") == 100 << 20
        other = reserve_cache(1 << 40)
        assert cache_limit() == CACHE_CEILING_BYTES
        release_cache(other)
        release_cache(other)
    finally:
        release_cache(ticket)
    assert cache_limit() == CACHE_FLOOR_BYTES


def test_number_of_threads_is_set_and_the_environment_wins(monkeypatch):
    monkeypatch.delenv("GDAL_NUM_THREADS", raising=False)
    with gdal_env(3):
        assert get_gdal_config("GDAL_NUM_THREADS") == 3
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    with gdal_env():
        assert get_gdal_config("GDAL_CACHEMAX") != CACHE_FLOOR_BYTES


def test_cache_stays_limited_until_the_last_thread_is_out():
    before = get_gdal_config("GDAL_CACHEMAX")
    with ThreadPoolExecutor(1) as other:
        here, there = gdal_env(), gdal_env()
        here.__enter__()
        other.submit(there.__enter__).result()
        here.__exit__(None, None, None)
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_FLOOR_BYTES
        other.submit(there.__exit__, None, None, None).result()
    assert get_gdal_config("GDAL_CACHEMAX") == before


def test_cache_holds_the_rows_of_blocks_that_windows_share():
    # 1000 px are 4 blocks of 256, and 1 for a window that begins within a block; 2 rows of blocks.
    assert block_rows_bytes(1000, (256, 256), 4) == 5 * 2 * 256 * 256 * 4
    assert block_rows_bytes(1000, (256, 256), 4, n_rows=300) == 5 * 4 * 256 * 256 * 4
    assert block_rows_bytes(349, (3, 349), 6) == 2 * 2 * 3 * 349 * 6


def test_reader_reserves_cache_from_the_first_read_until_it_is_closed(write_tif):
    corner = Window(0, 0, 1, 1)
    values = np.zeros((4, 8, 40_000), np.uint16)
    path = write_tif("wide.tif", values, tiled=True, blockxsize=256, blockysize=256, sparse_ok=True)
    with open_raster(Raster(uris=path)) as reader:
        assert cache_limit() == CACHE_FLOOR_BYTES
        reader.read(corner)
        assert cache_limit() == block_rows_bytes(40_000, (256, 256), 8)
        with open_raster(Raster(uris=path), cache_rows=256) as another:
            another.read(corner)
            assert cache_limit() > 2 * block_rows_bytes(40_000, (256, 256), 8)
    assert cache_limit() == CACHE_FLOOR_BYTES


@pytest.mark.parametrize("cut", ["strips", "tiles"])
def test_no_block_is_decoded_twice(write_tif, cut, monkeypatch):
    """Damage every block after it was read once: a second decoding would fail or differ."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 1 << 16, (4, 1024, 4096)).astype(np.uint16)
    path = write_tif("a.tif", whole, tiled=True, blockxsize=256, blockysize=256, interleave="pixel")
    block_row = 4 * 256 * 4096 * 2
    shape = whole.shape[1:]
    if cut == "strips":
        windows = [
            Window(row, 0, min(100, shape[0] - row), shape[1]) for row in range(0, 1024, 100)
        ]
        cache_rows = 0
    else:
        windows, cache_rows = tiles(shape, 200), 200
    with open_raster(Raster(uris=path), cache_rows=cache_rows) as reader:
        damaged = 0
        for window in windows:
            assert np.array_equal(reader.read(window).values, whole[:, *window.slices])
            # Blocks of an uncompressed file lie one row after another behind the header.
            n_done = window.row_off // 256
            if window.col_off + window.width == shape[1] and n_done >= damaged:
                damaged = n_done + 1
                with open(path, "r+b") as file:  # noqa: PTH123 - bytes under GDAL's feet
                    file.seek(4096)
                    file.write(b"\xff" * (damaged * block_row - 8192))
