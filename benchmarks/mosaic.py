"""A made-up mosaic to segment: fields, woods, rivers, texture and noise, drawn from a seed.

Every value depends on seed and place alone, block by block, so that an image of any size is written
in the memory of a few blocks, and looks alike at each size: as many fields for a megapixel.

``python -m benchmarks.mosaic IMAGE.tif --size 8000`` writes one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

BLOCK = 512
N_BANDS = 4
CRS = "EPSG:32633"

FARM_PX = 160
"""Mean distance of farms. Fields of one farm lie in one direction and are of one width."""
RIVER_PX = 1400
"""Mean distance of rivers; between two of them runs a stream."""
NOISE = 45
"""Standard deviation of what changes from pixel to pixel."""

# Blue, green, red, near infrared, reflectance x 10,000, and how strong their texture is.
WATER, WOOD = (450, 520, 380, 260), (260, 430, 300, 2600)
CROPS = np.array(
    [
        (330, 640, 400, 4200), (420, 820, 560, 3700), (520, 930, 900, 3100),
        (700, 1050, 1250, 2700), (840, 1150, 1500, 2300), (980, 1350, 1800, 2450),
        (1150, 1550, 2050, 2900), (610, 800, 980, 1500), (760, 980, 1250, 1850),
        (380, 720, 520, 3300), (300, 560, 340, 3700), (1300, 1800, 2400, 3300),
    ],
    np.float32,
)  # fmt: skip
CROP_ROWS = np.linspace(30, 160, len(CROPS), dtype=np.float32)

Floats = NDArray[np.float32]
Hashes = NDArray[np.uint32]


def write_mosaic(path: Path, *, size: int, seed: int = 0) -> None:
    """Write ``size`` x ``size`` x 4 pixels of uint16: blocks of 512, pixel-interleaved, deflate."""
    with (
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=size,
            height=size,
            count=N_BANDS,
            dtype="uint16",
            crs=CRS,
            transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="pixel",
            compress="deflate",
            zlevel=1,
            predictor=2,
            photometric="minisblack",
        ) as file,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for row in range(0, size, BLOCK):
            windows = list(_windows(row, size))
            drawn = pool.map(lambda window: draw(window, seed), windows)
            for window, values in zip(windows, drawn, strict=True):
                file.write(values, window=window)


def draw(window: Window, seed: int) -> NDArray[np.uint16]:
    """Return the values of a window, `(band, y, x)`; one that starts where a block does."""
    rows = (window.row_off + np.arange(window.height, dtype=np.float32))[:, None]
    cols = (window.col_off + np.arange(window.width, dtype=np.float32))[None, :]
    values = _land(rows, cols, seed)
    for number in _rivers_near(window):
        _add_river(values, rows, cols, seed, number)
    hills = 1 + 0.12 * _waves(rows, cols, 900, seed + 1) + 0.06 * _waves(rows, cols, 70, seed + 2)
    values *= hills + 0.05 * _waves(rows, cols, 11, seed + 3)
    rng = np.random.default_rng([seed, window.row_off, window.col_off])
    values += NOISE * rng.standard_normal(values.shape, np.float32)
    return np.clip(np.rint(values), 1, 10_000).astype(np.uint16)


def _windows(row: int, size: int) -> Iterator[Window]:
    for col in range(0, size, BLOCK):
        yield Window(col, row, min(BLOCK, size - col), min(BLOCK, size - row))


def _land(rows: Floats, cols: Floats, seed: int) -> Floats:
    """Return fields and woods: farms by the nearest of random places, each with its own fields."""
    farm = _nearest_farm(rows, cols, seed)
    angle = _share(farm, 1) * np.float32(np.pi)
    width = 14 + 50 * _share(farm, 2) ** 2
    along = cols * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - cols * np.sin(angle)
    strip = np.floor(across / width).astype(np.int32).astype(np.uint32)
    piece = np.floor(along / (2.5 * width) + _share(_mix(farm ^ _mix(strip)), 3))
    field = _mix(_mix(farm + strip) ^ piece.astype(np.int32).astype(np.uint32))
    crop = field % np.uint32(len(CROPS))
    values = np.moveaxis(CROPS[crop], -1, 0) * (0.9 + 0.2 * _share(field, 4))
    furrows = np.sin(across * (2 * np.pi / (4 + 4 * _share(field, 5)))) * CROP_ROWS[crop]
    values += furrows * np.array([0.3, 0.5, 0.7, 1.0], np.float32)[:, None, None]
    crowns = 1 + 0.25 * _waves(rows, cols, 5, seed + 4)
    is_wood = _share(farm, 6) < 0.2
    woods = np.array(WOOD, np.float32)[:, None, None] * crowns
    result: Floats = np.where(is_wood, woods, values).astype(np.float32)
    return result


def _nearest_farm(rows: Floats, cols: Floats, seed: int) -> Hashes:
    """Return a number for the farm of each pixel; farms lie at one place in each square."""
    row, col = (rows // FARM_PX).astype(np.int32), (cols // FARM_PX).astype(np.int32)
    least = np.full((rows.size, cols.size), np.inf, np.float32)
    farm = np.zeros(least.shape, np.uint32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = row + down, col + right
            number = _mix(_mix(r.astype(np.uint32) + np.uint32(seed)) ^ c.astype(np.uint32))
            y = (r + _share(number, 7)) * FARM_PX - rows
            x = (c + _share(number, 8)) * FARM_PX - cols
            distance = x * x + y * y
            farm = np.where(distance < least, number, farm)
            least = np.minimum(least, distance)
    return farm


def _rivers_near(window: Window) -> range:
    """Return numbers of the rivers and streams that may come near; they run from top to bottom."""
    begin, end = window.col_off, window.col_off + window.width
    return range(2 * (begin // RIVER_PX) - 2, 2 * (end // RIVER_PX) + 4)


def _add_river(values: Floats, rows: Floats, cols: Floats, seed: int, number: int) -> None:
    """Draw a river (even numbers) or a stream, with woods along its banks."""
    rng = np.random.default_rng([seed, number + 1_000_000])
    middle = np.full(rows.shape, (number / 2 + 0.3 * rng.random()) * RIVER_PX, np.float32)
    slope = np.zeros(rows.shape, np.float32)
    for length, bend in ((2900, 260), (710, 80), (190, 18)):
        phase = rows * (2 * np.pi / length) + 2 * np.pi * rng.random()
        middle += bend * np.sin(phase)
        slope += bend * 2 * np.pi / length * np.cos(phase)
    distance = np.abs(cols - middle) / np.sqrt(1 + slope * slope)
    half = (9 + 4 * np.sin(rows / 310)) if number % 2 == 0 else 2
    for reach, colour in ((2.2 * half, WOOD), (half, WATER)):
        near = distance < reach
        for band in range(N_BANDS):
            values[band][near] = colour[band]


def _waves(rows: Floats, cols: Floats, length: int, seed: int) -> Floats:
    """Return smooth noise from -1 to 1: random numbers on a lattice, interpolated linearly."""
    top, left = rows / length, cols / length
    row, col = np.floor(top).astype(np.int32), np.floor(left).astype(np.int32)
    down, right = top - row, left - col
    # The lattice of the window alone, then each pixel's four corners of it.
    lattice_rows = np.arange(row.min(), row.max() + 2)[:, None].astype(np.uint32)
    lattice_cols = np.arange(col.min(), col.max() + 2)[None, :].astype(np.uint32)
    lattice = 2 * _share(_mix(_mix(lattice_rows + np.uint32(977 * seed)) ^ lattice_cols), 9) - 1
    row, col = (row - row.min())[:, 0], (col - col.min())[0]
    across = lattice[:, col] * (1 - right) + lattice[:, col + 1] * right
    result: Floats = across[row] * (1 - down) + across[row + 1] * down
    return result


def _share(number: Hashes, salt: int) -> Floats:
    """Return a random share, from 0 to 1, for each number."""
    share: Floats = (_mix(number + np.uint32(salt * 0x9E37 + 1)) >> np.uint32(8)).astype(np.float32)
    return share / np.float32(1 << 24)


def _mix(number: Hashes) -> Hashes:
    """Return a random number for each number (the finish of MurmurHash3)."""
    number = number ^ (number >> np.uint32(16))
    number = number * np.uint32(0x85EBCA6B)
    number = number ^ (number >> np.uint32(13))
    number = number * np.uint32(0xC2B2AE35)
    return number ^ (number >> np.uint32(16))


def main() -> None:
    """Write a mosaic."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mosaic", description=main.__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--size", type=int, default=8000, help="pixels of an edge")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    write_mosaic(asked.image, size=asked.size, seed=asked.seed)


if __name__ == "__main__":
    main()
