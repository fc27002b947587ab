"""What headers alone tell about an image."""

from __future__ import annotations

from swath.grid.grid import Grid
from swath.raster.header import Header
from swath.raster.layout import image_pixel_bytes
from swath.raster.spec import Cast, MinMax, Raster, Stack

GRID = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 10, 10)


def _header(uri: str, *dtypes: str) -> Header:
    return Header(uri, GRID, len(dtypes), dtypes, None, (10, 10), None)


HEADERS = {
    "mixed.tif": _header("mixed.tif", "uint8", "uint16", "float64"),
    "complex.tif": _header("complex.tif", "complex_int16"),
}


def test_a_pixel_takes_the_widest_type_of_the_chosen_bands() -> None:
    assert image_pixel_bytes(Raster(uris="mixed.tif"), HEADERS) == 3 * 8
    assert image_pixel_bytes(Raster(uris="mixed.tif", bands=(0, 1)), HEADERS) == 2 * 2
    assert image_pixel_bytes(Raster(uris="mixed.tif", bands=(0,)), HEADERS) == 1
    assert image_pixel_bytes(Raster(uris="complex.tif"), HEADERS) > 0


def test_transforms_change_the_bytes_of_a_pixel() -> None:
    cast = Raster(uris="mixed.tif", transforms=(MinMax(low=0, high=1), Cast(dtype="uint8")))
    scaled = cast.replace(transforms=(MinMax(low=0, high=1),))
    assert image_pixel_bytes(cast, HEADERS) == 3
    assert image_pixel_bytes(scaled, HEADERS) == 3 * 4
    assert image_pixel_bytes(Stack(sources=(cast, scaled)), HEADERS) == 6 * 4
