"""What a segmentation will need of memory and disk, told before it starts."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from swath.errors import ConfigError
from swath.segmentation.spec import HALO

MIB = 2**20

LIBRARIES_BYTES = 350 * MIB
"""Resident memory of a process with numba and GDAL, without any image."""

TILE_BYTES = 60
"""Bytes per pixel of a tile besides its bands: masks, clusters, labels, clumps and their lists."""

WHOLE_BYTES = 9
"""Bytes per pixel of the image: runs of labels (1), and the segments that tiles leave open, twice
while they are put together (8, on the mosaic of the benchmarks; fewer on Landsat scenes)."""

EDGE_BYTES = 700
"""Bytes for each pixel of the image, divided by the side of a tile: the smaller tiles are, the more
segments they leave open. Of pure noise, tiles of 500, 64 and 16 pixels took 4, 14 and 23 in all."""

OUTPUT_BYTES = 6
"""Bytes on disk per pixel while labels are written: 4 as they are, 2 for the compressed file."""

LARGEST_CACHE = 512 * MIB
"""The block cache of GDAL takes no more."""

SMALLEST_TILE = 512
LARGEST_TILE = 1024
TILES_PER_WORKER = 3
"""As many tiles for each worker, at least, where the image is large enough."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a segmentation needs, in bytes.

    Attributes
    ----------
    memory
        Peak of resident memory.
    disk
        Free space in the folder of the output.
    """

    memory: int
    disk: int

    def __str__(self) -> str:
        """Return both in words."""
        return f"{self.memory / MIB:,.0f} MiB of memory, {self.disk / MIB:,.0f} MiB of disk"


def tile_size_for(shape: tuple[int, int], workers: int) -> int:
    """Return the side of tiles in pixels: large, but enough of them for all workers."""
    size = LARGEST_TILE
    while size > SMALLEST_TILE:
        n_tiles = -(-shape[0] // size) * -(-shape[1] // size)
        if n_tiles >= TILES_PER_WORKER * workers:
            break
        size //= 2
    return size


def budget_of(
    shape: tuple[int, int], n_bands: int, value_bytes: int, tile_size: int, workers: int
) -> Budget:
    """Estimate what a segmentation needs.

    Parameters
    ----------
    shape
        `(height, width)` of the image in pixels.
    n_bands
        Number of bands.
    value_bytes
        Bytes of one value.
    tile_size
        Side of a tile in pixels.
    workers
        Threads.
    """
    pixels = shape[0] * shape[1]
    memory = LIBRARIES_BYTES + whole_bytes(pixels, tile_size)
    memory += workers * tile_bytes(shape, n_bands, value_bytes, tile_size)
    memory += cache_bytes(shape, n_bands, value_bytes, tile_size)
    return Budget(memory, OUTPUT_BYTES * pixels)


def whole_bytes(pixels: int, tile_size: int) -> int:
    """Estimate what waits in memory until all tiles are there, in bytes."""
    return round(pixels * (WHOLE_BYTES + EDGE_BYTES / tile_size))


def tile_bytes(shape: tuple[int, int], n_bands: int, value_bytes: int, tile_size: int) -> int:
    """Estimate the memory of one tile in bytes; parameters are those of `budget_of`."""
    height, width = (min(tile_size, side) + 2 * HALO for side in shape)
    return height * width * (n_bands * (value_bytes + 4) + TILE_BYTES)


def cache_bytes(shape: tuple[int, int], n_bands: int, value_bytes: int, tile_size: int) -> int:
    """Estimate the cache of blocks of an image that is read tile by tile, in bytes."""
    return min((tile_size + 2 * HALO) * shape[1] * n_bands * value_bytes, LARGEST_CACHE)


def available_memory() -> int | None:
    """Return the memory in bytes that this process may still take; None if nobody says."""
    found = [_of_system(), _of_group()]
    return min((value for value in found if value is not None), default=None)


def _of_system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        pages = os.sysconf_names.get("SC_PHYS_PAGES")
        return None if pages is None else os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


_GROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Where the kernel tells of a control group: version 2, then 1."""


def _of_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what the control group of a container leaves; pages of files are given back."""
    for folder, limit, used, inactive in _GROUPS:
        try:
            most = (root / folder / limit).read_text("ascii").strip()
            taken = int((root / folder / used).read_text("ascii"))
            lines = (root / folder / "memory.stat").read_text("ascii").splitlines()
        except (OSError, ValueError):
            continue
        if most == "max":
            return None
        found = dict(line.split(maxsplit=1) for line in lines)
        return max(0, int(most) - taken + int(found.get(inactive, 0)))
    return None


def refuse_too_large(budget: Budget, folder: Path, tile_size: int, workers: int) -> None:
    """Refuse what does not fit, with the numbers.

    Raises
    ------
    ConfigError
        If memory or disk will not do.
    """
    memory = available_memory()
    if memory is not None and budget.memory > memory:
        raise ConfigError(
            f"the segmentation needs about {budget.memory / MIB:,.0f} MiB of memory with "
            f"{workers} workers and tiles of {tile_size} pixels; {memory / MIB:,.0f} MiB are free.",
            mend="Take fewer --workers, tiles of about 1,000 pixels, or --runner local, whose "
            "tiles wait on disk.",
        )
    free = shutil.disk_usage(folder).free
    if budget.disk > free:
        raise ConfigError(
            f"the labels need about {budget.disk / MIB:,.0f} MiB of disk while they are written; "
            f"{folder} has {free / MIB:,.0f} MiB free.",
            mend="Free some space, or choose another folder for OUT.",
        )
