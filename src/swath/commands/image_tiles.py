"""How an image that is segmented becomes units: its tiles, their names, and what a unit takes.

For the commands beside this module; it reads no file. One idea: units are named after the image and
not after who declares it, so that declarations that differ in an option share what comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from swath.commands.scenes import GIB
from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.plan.command import Resources
from swath.raster.layout import image_bands, image_grid, image_pixel_bytes
from swath.raster.spec import Raster, Stack
from swath.segmentation.budget import tile_size_for
from swath.segmentation.spec import SegmentOptions

if TYPE_CHECKING:
    from swath.raster.header import Header

MANY_WORKERS = 16
"""Tiles are cut so that as many workers share the image, where it is large enough. The number of
workers that there are plays no part: other tiles would be other units."""

MERGE_OPTIONS = ("min_size", "connectivity")
"""Options that are read after the clusters are fitted, and not for that."""


@dataclass(frozen=True)
class TiledImage:
    """An image, cut into tiles.

    Attributes
    ----------
    image
        The declaration.
    grid
        Its grid.
    n_bands
        Number of bands.
    value_bytes
        Bytes of one value.
    tile_size
        Side of a tile in pixels.
    """

    image: Raster | Stack
    grid: Grid
    n_bands: int
    value_bytes: int
    tile_size: int

    @classmethod
    def of(
        cls,
        image: Raster | Stack,
        headers: Mapping[str, Header | DataError],
        tile_size: int | None = None,
    ) -> TiledImage:
        """Cut an image.

        Parameters
        ----------
        image
            The declaration.
        headers
            Of its files, see `swath.raster.header`.
        tile_size
            Side of a tile in pixels; None: by the size of the image.

        Raises
        ------
        DataError
            If a file has no header, files are not on one grid, or a band does not exist.
        """
        grid, n_bands = image_grid(image, headers), image_bands(image, headers)
        value_bytes = image_pixel_bytes(image, headers) // n_bands
        size = tile_size or tile_size_for(grid.shape, MANY_WORKERS)
        return cls(image, grid, n_bands, value_bytes, size)

    @property
    def name(self) -> str:
        """Name of the image, that of its first file without the suffix; fit for a unit."""
        file = self.image.source_uris()[0].rstrip("/").rpartition("/")[2]
        stem = file.rpartition(".")[0] or file
        return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip("._-") or "image"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.grid.height // self.tile_size), -(-self.grid.width // self.tile_size)

    @cached_property
    def tiles(self) -> dict[str, Window]:
        """Tiles by their name within the image, row by row."""
        cores = tiles(self.grid.shape, self.tile_size)
        return dict(zip(tile_names(*self.shape), cores, strict=True))

    @property
    def largest_tile(self) -> int:
        """Pixels of the largest tile."""
        height, width = (min(side, self.tile_size) for side in self.grid.shape)
        return height * width


def tile_names(n_rows: int, n_cols: int) -> list[str]:
    """Return the names of a grid of tiles, row by row."""
    return [f"r{row:03d}-c{col:03d}" for row in range(n_rows) for col in range(n_cols)]


def image_from_json(data: dict[str, Any]) -> Raster | Stack:
    """Build an image from what its `to_json` returned."""
    return (Stack if data["kind"] == "stack" else Raster).from_json(data)


def merge_params(options: SegmentOptions) -> dict[str, Any]:
    """Return the options that decide how segments merge, once there are clusters."""
    data = options.to_json()
    return {name: data[name] for name in MERGE_OPTIONS}


def memory_of(n_bytes: float, cpus: int | None = None) -> Resources:
    """Return resources with an estimate of memory, given in bytes."""
    return Resources(memory_gib=round(n_bytes / GIB, 2), cpus=cpus)
