"""How the files of an image lie on its grid: every decision about grids and bands, from headers.

For planning, checking, and for the reader, which follows the same decisions. Not for reading
anything.

One idea: files that share a lattice of pixels are placed on it by whole pixels. What does not fit
is an error that prints both grids and the mend; nothing is resampled unless the spec says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swath.errors import DataError
from swath.grid.grid import Bounds, Grid
from swath.grid.window import Window
from swath.raster.spec import Cast, MapCrop, MinMax, PixelCrop, Raster, Stack

if TYPE_CHECKING:
    from swath.raster.header import Header

Headers = Mapping[str, "Header | DataError"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of one raster lie.

    Parameters
    ----------
    grid
        Grid of the image, after mosaic, warp and crop.
    placed
        For each file its window in pixels of `grid`; it may begin before it or end past it.
    """

    grid: Grid
    placed: tuple[Window, ...]


def image_grid(spec: Raster | Stack, headers: Headers) -> Grid:
    """Return the grid of an image.

    Parameters
    ----------
    spec
        The image.
    headers
        What `headers_in_child(spec.header_keys())` returned.

    Raises
    ------
    DataError
        If a header is an error, or files or sources are not on one grid.
    """
    return image_layouts(spec, headers)[0].grid


def image_bands(spec: Raster | Stack, headers: Headers) -> int:
    """Return how many bands an image has, after the choice of bands.

    Raises
    ------
    DataError
        If a header is an error, a band does not exist, or the files of a mosaic differ in number.
    """
    return sum(len(raster_bands(raster, headers)) for raster in rasters_of(spec))


def image_pixel_bytes(spec: Raster | Stack, headers: Headers) -> int:
    """Return the bytes of one pixel over all bands, as the reader hands it out; an estimate.

    All bands have the type of the widest one, after the transforms: `Cast` gives its own type,
    `MinMax` float32. A `Reclass` to values that the type cannot hold, and types that only a wider
    one holds together (int16 and uint16), take more than is said here.

    Raises
    ------
    DataError
        As `image_bands`.
    """
    widest = max(_value_bytes(raster, headers) for raster in rasters_of(spec))
    return widest * image_bands(spec, headers)


def rasters_of(spec: Raster | Stack) -> tuple[Raster, ...]:
    """Return the rasters whose bands follow one another."""
    return spec.sources if isinstance(spec, Stack) else (spec,)


def image_layouts(spec: Raster | Stack, headers: Headers) -> tuple[Layout, ...]:
    """Return the layout of each of `rasters_of(spec)`; all have one grid."""
    if isinstance(spec, Raster):
        return (raster_layout(spec, headers),)
    primary = raster_layout(spec.sources[spec.primary], headers)
    layouts = []
    for index, source in enumerate(spec.sources):
        layout = raster_layout(source, headers, primary=primary.grid)
        difference = primary.grid.difference(layout.grid)
        if difference is not None:
            raise DataError(
                f"Sources {spec.primary} and {index} of a stack are not on one grid: {difference}.",
                where=f"{spec.sources[spec.primary].uris[0]} and {source.uris[0]}",
                mend=f'Set `sources[{index}].warp = "primary"` to resample it onto the grid of '
                f"source {spec.primary}.",
            )
        layouts.append(layout)
    return tuple(layouts)


def raster_layout(raster: Raster, headers: Headers, *, primary: Grid | None = None) -> Layout:
    """Place the files of one raster on its grid.

    Parameters
    ----------
    raster
        The raster.
    headers
        As for `image_grid`.
    primary
        Grid of the stack's primary source, for a raster that is warped onto it.
    """
    found = [_header(headers, key) for key in raster.header_keys()]
    if raster.warp is not None and raster.warp.onto_primary:
        if primary is None:
            raise DataError(
                'warp = "primary" is only for a source of a Stack.',
                where=raster.uris[0],
                mend='Remove it, or name a CRS, such as warp = "EPSG:32633".',
            )
        return Layout(primary, (primary.window,) * len(found))
    placed = tuple(_place(found[0], header) for header in found)
    row_off, col_off = min(w.row_off for w in placed), min(w.col_off for w in placed)
    row_end, col_end = max(w.row_end for w in placed), max(w.col_end for w in placed)
    union = Window(row_off, col_off, row_end - row_off, col_end - col_off)
    area = _crop_window(raster, found[0].grid.crop(union)).shift(row_off, col_off)
    return Layout(
        found[0].grid.crop(area),
        tuple(window.shift(-area.row_off, -area.col_off) for window in placed),
    )


def raster_bands(raster: Raster, headers: Headers) -> tuple[int, ...]:
    """Return the bands that are read from each file of a raster, 0-based."""
    found = [_header(headers, key) for key in raster.header_keys()]
    asked = raster.bands or ()
    for header in found:
        for band in (*asked, *(() if raster.mask_band is None else (raster.mask_band,))):
            if band >= header.n_bands:
                raise DataError(
                    f"Band {band} does not exist: the file has {header.n_bands} "
                    f"band{'s' if header.n_bands > 1 else ''}, counted from 0.",
                    where=header.uri,
                    mend=f"Use bands from 0 to {header.n_bands - 1}.",
                )
    if raster.bands is None:
        for header in found[1:]:
            if header.n_bands != found[0].n_bands:
                raise DataError(
                    f"The files of one mosaic have {found[0].n_bands} and {header.n_bands} bands.",
                    where=f"{found[0].uri} and {header.uri}",
                    mend="Set `bands` to those that all files have.",
                )
    return raster.bands or tuple(range(found[0].n_bands))


def _value_bytes(raster: Raster, headers: Headers) -> int:
    """Return the bytes of one value after the transforms."""
    bands = raster_bands(raster, headers)
    found = [_header(headers, key) for key in raster.header_keys()]
    n_bytes = max(_bytes_of(header.dtypes[band]) for header in found for band in bands)
    for transform in raster.transforms:
        if isinstance(transform, MinMax):
            n_bytes = _bytes_of("float32")
        elif isinstance(transform, Cast):
            n_bytes = _bytes_of(transform.dtype)
    return n_bytes


def _bytes_of(dtype: str) -> int:
    """Return the size of a type by the bits in its name: no numpy in what every plan loads."""
    return int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz_")) // 8


def _header(headers: Headers, key: str) -> Header:
    header = headers[key]
    if isinstance(header, DataError):
        raise header
    return header


def _place(first: Header, header: Header) -> Window:
    offset = first.grid.offset(header.grid)
    if offset is None:
        raise DataError(
            f"The files of one mosaic are not on one grid: {first.grid.difference(header.grid)}.",
            where=f"{first.uri} and {header.uri}",
            mend="Set `warp = Warp(crs=..., resolution=...)` to bring all of them onto one.",
        )
    return Window(*offset, *header.grid.shape)


def _crop_window(raster: Raster, grid: Grid) -> Window:
    if raster.crop is None:
        return grid.window
    asked = _asked_window(raster.crop, grid)
    kept = asked.intersect(grid.window)
    if kept is None or (isinstance(raster.crop, PixelCrop) and kept != asked):
        part = "is not within" if kept else "is outside"
        raise DataError(
            f"The crop {raster.crop.model_dump(exclude={'kind'})} {part} the image of "
            f"{grid.height} x {grid.width} px (rows x columns), {_box(grid)}.",
            where=raster.uris[0],
            mend="Correct the crop; a MapCrop is in the units of the image's CRS.",
        )
    return kept


def _asked_window(crop: PixelCrop | MapCrop, grid: Grid) -> Window:
    if isinstance(crop, PixelCrop):
        return Window(crop.row_off, crop.col_off, crop.height, crop.width)
    return grid.bounds_window(Bounds(crop.left, crop.bottom, crop.right, crop.top))


def _box(grid: Grid) -> str:
    left, bottom, right, top = grid.bounds
    return f"x {left:.10g} to {right:.10g}, y {bottom:.10g} to {top:.10g} in {grid.crs or 'no CRS'}"
