"""Writing rasters: blocks come in any order, the same pixels give the same bytes.

For everything that writes pixels. Not for previews (PNG) nor for reading.

One idea: blocks are laid into an uncompressed temporary file beside the result, which takes them in
any order and any shape; GDAL then copies it, block by block, into the final file. Memory is bounded
by a block and GDAL's cache, and neither the order of the blocks nor their cut can be seen in the
result. The price is disk: the temporary file has `height * width * n_bands * itemsize` bytes.
The final file, too, gets its name only when it is whole: GDAL opens half a file without complaint,
and reads zeros from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from swath.errors import StoreError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.raster.gdal import (
    block_rows_bytes,
    gdal_env,
    plain_images_allowed,
    release_cache,
    reserve_cache,
)
from swath.raster.spec import ResamplingName
from swath.store.local import flush_to_disk, temporary_beside

Blocks = Iterable[tuple[Window, npt.NDArray[Any]]]
Colour = tuple[int, int, int]

COG_BLOCK = 512  # the side that readers of COGs expect: one request per block over a network
TILE_BLOCK = 256
SIDECARS = (".aux.xml", ".ovr", ".msk")
"""Files that GDAL and QGIS lay beside an image: statistics, overviews and mask of its pixels."""


def write_cog(
    path: str | PathLike[str],
    grid: Grid,
    blocks: Blocks,
    *,
    dtype: npt.DTypeLike,
    n_bands: int = 1,
    nodata: float | None = None,
    colours: Mapping[int, Colour] | None = None,
    resampling: ResamplingName = "nearest",
    tags: Mapping[str, str] | None = None,
    band_names: Sequence[str] = (),
    n_threads: int = 1,
    level: int = 6,
) -> None:
    """Write a cloud-optimised GeoTIFF: tiled, deflate-compressed, with overviews.

    Parameters
    ----------
    path
        File to write; its folder exists.
    grid
        CRS, transform and size of the file.
    blocks
        Windows of the grid with their values, `(y, x)` or `(band, y, x)`, in any order, one at a
        time. Parts of windows outside the grid are dropped; pixels in no window are `nodata`, or 0.
    dtype
        Type of the values in the file; blocks must have it.
    n_bands
        Number of bands.
    nodata
        Value that marks missing pixels.
    colours
        Palette for one band of uint8: value -> `(red, green, blue)`, 0 to 255.
    resampling
        How overviews are made: ``"nearest"`` or ``"mode"`` for classes, ``"average"`` for amounts.
    tags
        Text to store with the file. Times and paths would make the bytes differ from run to run.
    band_names
        Description of each band.
    n_threads
        Threads that compress; the bytes are the same for any number.
    level
        Deflate level, 1 to 12: low is quick, high is small.

    Raises
    ------
    StoreError
        If the file cannot be written, for example because the disk is full.

    Notes
    -----
    Memory is that of one block and GDAL's cache. The same pixels give the same bytes, however they
    are cut into blocks.
    """
    content = _Content(
        np.dtype(dtype), n_bands, nodata, colours or {}, tags or {}, tuple(band_names)
    )
    classes = resampling in ("nearest", "mode")
    options = {
        "driver": "COG",
        "BLOCKSIZE": str(COG_BLOCK),
        "OVERVIEWS": "FORCE_USE_EXISTING",
        "LEVEL": str(level),
        "PREDICTOR": content.predictor(classes, ("NO", "STANDARD", "FLOATING_POINT")),
        **_common_options(n_threads),
    }
    with _assembled(path, grid, blocks, content, overviews=resampling) as file:
        _copy(file, path, options)


def write_geotiff(
    path: str | PathLike[str],
    grid: Grid,
    blocks: Blocks,
    *,
    dtype: npt.DTypeLike,
    n_bands: int = 1,
    nodata: float | None = None,
    colours: Mapping[int, Colour] | None = None,
    tags: Mapping[str, str] | None = None,
    band_names: Sequence[str] = (),
    n_threads: int = 1,
) -> None:
    """Write a plain tiled GeoTIFF without overviews; for files that only Swath reads again.

    Parameters are those of `write_cog`.
    """
    content = _Content(
        np.dtype(dtype), n_bands, nodata, colours or {}, tags or {}, tuple(band_names)
    )
    options = {
        "driver": "GTiff",
        "TILED": "YES",
        "BLOCKXSIZE": str(TILE_BLOCK),
        "BLOCKYSIZE": str(TILE_BLOCK),
        "INTERLEAVE": "BAND",
        "ZLEVEL": "6",
        "PREDICTOR": content.predictor(content.dtype.kind != "f", ("1", "2", "3")),
        **_common_options(n_threads),
    }
    with _assembled(path, grid, blocks, content) as file:
        _copy(file, path, options)


@dataclass(frozen=True, slots=True)
class _Content:
    """What is in a file besides its grid and its pixels."""

    dtype: np.dtype[Any]
    n_bands: int
    nodata: float | None
    colours: Mapping[int, Colour]
    tags: Mapping[str, str]
    band_names: tuple[str, ...]

    def predictor(self, classes: bool, names: tuple[str, str, str]) -> str:
        """Choose none, integer or float differences: they help amounts, and hurt classes."""
        if classes:
            return names[0]
        return names[2] if self.dtype.kind == "f" else names[1]


def _common_options(n_threads: int) -> dict[str, str]:
    # Deflate is read everywhere; files above 4 GB need BigTIFF, also where compression may help.
    return {"COMPRESS": "DEFLATE", "NUM_THREADS": str(n_threads), "BIGTIFF": "IF_SAFER"}


@contextmanager
def _assembled(
    path: str | PathLike[str],
    grid: Grid,
    blocks: Blocks,
    content: _Content,
    *,
    overviews: ResamplingName | None = None,
) -> Iterator[Path]:
    """Lay blocks into a temporary file, give it away for a copy, and remove it."""
    temporary = temporary_beside(Path(path))
    value_bytes = content.n_bands * content.dtype.itemsize
    n_bytes = block_rows_bytes(grid.width, (COG_BLOCK, COG_BLOCK), value_bytes)
    ticket = reserve_cache(n_bytes)
    try:
        with gdal_env():
            with _created(temporary, grid, content) as file:
                for window, values in blocks:
                    _write_block(file, grid, window, values, content)
            if overviews is not None:
                _build_overviews(temporary, grid, overviews)
            yield temporary
    except (RasterioError, OSError) as error:
        raise StoreError(
            f"Writing failed ({' '.join(str(error).split())}).",
            where=str(path),
            mend="Check that the folder exists, may be written to, and has space.",
        ) from error
    finally:
        release_cache(ticket)
        temporary.unlink(missing_ok=True)


def _build_overviews(path: Path, grid: Grid, resampling: ResamplingName) -> None:
    """Halve a file until it fits into one block.

    In the uncompressed file: the driver of COGs would decode and encode each of them once more.
    """
    factors = [2**i for i in range(1, 32) if max(grid.shape) > COG_BLOCK * 2 ** (i - 1)]
    if factors:
        with rasterio.Env(GDAL_TIFF_OVR_BLOCKSIZE=COG_BLOCK), rasterio.open(path, "r+") as file:
            file.build_overviews(factors, Resampling[resampling])


def _created(path: Path, grid: Grid, content: _Content) -> Any:
    with plain_images_allowed():
        file = rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=grid.height,
            width=grid.width,
            count=content.n_bands,
            dtype=content.dtype.name,
            crs=grid.crs,
            transform=Affine(*grid.transform),
            nodata=content.nodata,
            tiled=True,
            blockxsize=COG_BLOCK,
            blockysize=COG_BLOCK,
            interleave="band",
            sparse_ok=True,
            bigtiff="if_safer",
            # Four bands of uint8 would be taken for RGB with a mask: bands are just bands here.
            photometric="minisblack",
            alpha="no",
        )
    if content.colours:
        file.write_colormap(1, {value: (*rgb, 255) for value, rgb in content.colours.items()})
    file.update_tags(**content.tags)
    for index, name in enumerate(content.band_names, start=1):
        file.set_band_description(index, name)
    return file


def _write_block(
    file: Any, grid: Grid, window: Window, values: npt.NDArray[Any], content: _Content
) -> None:
    values = values if values.ndim == 3 else values[np.newaxis]
    if values.shape != (content.n_bands, *window.shape):
        raise ValueError(f"a block of {values.shape} for {content.n_bands} bands of {window}")
    if values.dtype != content.dtype:
        raise TypeError(f"a block of {values.dtype} for {content.dtype}: cast it explicitly")
    inside = window.intersect(grid.window)
    if inside is None:
        return
    rows, cols = inside.shift(-window.row_off, -window.col_off).slices
    at = RasterioWindow(inside.col_off, inside.row_off, inside.width, inside.height)
    file.write(values[:, rows, cols], window=at)


def _copy(source: Path, path: str | PathLike[str], options: Mapping[str, str]) -> None:
    """Write the file under another name, flush it to disk, rename it."""
    target = Path(path)
    temporary = temporary_beside(target)
    try:
        with plain_images_allowed():
            rasterio.shutil.copy(source, temporary, **options)
        flush_to_disk(temporary)
        for ending in SIDECARS:  # of the file that is replaced
            target.with_name(target.name + ending).unlink(missing_ok=True)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
