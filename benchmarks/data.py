"""Rasters to measure on, drawn from a seed: land with noise on it, and classes in patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

STRIP_ROWS = 512
PATCH_PX = 32
CRS = "EPSG:32633"


def write_image(path: Path, *, size: int, n_bands: int, block: int, seed: int = 0) -> None:
    """Write ``size`` x ``size`` pixels of uint16, tiled, pixel-interleaved, deflate.

    Reflectances of a few thousand that vary over some hundred pixels, with noise of 6 bits: they
    compress to about two thirds, as real imagery of this kind does.
    """
    with _created(path, size, n_bands, "uint16", block) as file:
        for window, rng in _strips(size, seed):
            coarse = rng.integers(500, 3000, (n_bands, STRIP_ROWS // 128 + 1, size // 128 + 2))
            smooth = _smooth(coarse.astype(np.float32), 128)[:, : window.height, :size]
            noise = rng.integers(0, 64, (n_bands, window.height, size), dtype=np.uint16)
            file.write(smooth.astype(np.uint16) + noise, window=window)


def write_labels(
    path: Path,
    *,
    size: int,
    n_classes: int,
    block: int = 512,
    seed: int = 0,
    flipped: float = 0.0,
    speck: int = 4,
) -> None:
    """Write class ids in square patches, uint8; a share of them has specks of another class.

    Specks are squares of ``speck`` pixels; 1 is noise, which compresses worst.

    Files of one seed have the same patches, so that two of them are a truth and its prediction.
    """
    with _created(path, size, 1, "uint8", block) as file:
        for window, rng in _strips(size, seed):
            n_rows, n_cols = -(-window.height // PATCH_PX), -(-size // PATCH_PX)
            patches = rng.integers(0, n_classes, (n_rows, n_cols), dtype=np.uint8)
            ids = patches.repeat(PATCH_PX, axis=0).repeat(PATCH_PX, axis=1)
            ids = ids[: window.height, :size]
            if flipped > 0:
                shape = -(-window.height // speck), -(-size // speck)
                other = rng.integers(0, n_classes, shape, dtype=np.uint8)
                wrong = rng.random(shape, np.float32) < flipped
                ids = np.where(_enlarged(wrong, speck, ids), _enlarged(other, speck, ids), ids)
            file.write(ids, 1, window=window)


def _enlarged(specks: NDArray[Any], speck: int, like: NDArray[np.uint8]) -> NDArray[Any]:
    whole = specks.repeat(speck, axis=0).repeat(speck, axis=1)
    return whole[: like.shape[0], : like.shape[1]]


def _strips(size: int, seed: int) -> Iterator[tuple[Window, np.random.Generator]]:
    for row in range(0, size, STRIP_ROWS):
        height = min(STRIP_ROWS, size - row)
        yield Window(0, row, size, height), np.random.default_rng([seed, row])


def _smooth(coarse: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Interpolate linearly between values ``step`` pixels apart, along both axes."""
    share = (np.arange(step, dtype=np.float32) / step)[None, None, None, :]
    rows = coarse[..., :-1, None] * (1 - share) + coarse[..., 1:, None] * share
    rows = rows.reshape(*coarse.shape[:2], -1)
    share = share[0, 0, 0, :, None]
    both = rows[:, :-1, None, :] * (1 - share) + rows[:, 1:, None, :] * share
    result: NDArray[np.float32] = both.reshape(len(coarse), -1, rows.shape[-1])
    return result


def _created(path: Path, size: int, n_bands: int, dtype: str, block: int) -> Any:
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=size,
        height=size,
        count=n_bands,
        dtype=dtype,
        crs=CRS,
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        tiled=True,
        blockxsize=block,
        blockysize=block,
        interleave="pixel",
        compress="deflate",
        photometric="minisblack",
    )
