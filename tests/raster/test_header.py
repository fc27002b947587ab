"""Headers, read here and in a child process, and the grids decided from them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from swath.errors import DataError, SwathError
from swath.grid.grid import Bounds, Grid
from swath.raster import header as header_module
from swath.raster.header import Header, headers_in_child, image_bands, image_grid, read_header
from swath.raster.spec import MapCrop, PixelCrop, Raster, Stack, Warp

TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


def header(uri: str, *, crs: str = "EPSG:32633", col: float = 0, row: float = 0, n_bands: int = 3):
    """A header of 4 x 6 pixels that begins at a pixel of the lattice."""
    a, b, c, d, e, f = TRANSFORM
    grid = Grid(crs, (a, b, c + 10 * col, d, e, f - 10 * row), 4, 6)
    return Header(uri, grid, n_bands, ("uint8",) * n_bands, None, (256, 256), "deflate")


def headers(*some: Header) -> dict[str, Header | DataError]:
    return {each.uri: each for each in some}


def test_header_describes_the_file(write_tif):
    path = write_tif(
        "a.tif", np.zeros((2, 300, 520), np.uint16), nodata=7, tiled=True, compress="deflate"
    )
    assert read_header(path) == Header(
        uri=path,
        grid=Grid("EPSG:32633", TRANSFORM, 300, 520),
        n_bands=2,
        dtypes=("uint16", "uint16"),
        nodata=7,
        block_shape=(256, 256),
        compression="deflate",
    )


def test_header_of_an_image_without_georeference(write_tif):
    found = read_header(write_tif("plain.tif", np.zeros((3, 4), np.uint8), crs=None))
    assert found.grid == Grid(None, (1, 0, 0, 0, 1, 0), 3, 4)


@pytest.mark.parametrize("nodata", [None, 0.0, -3.4028234663852886e38, math.nan])
def test_header_survives_json(nodata):
    before = Header("a", Grid(None, TRANSFORM, 1, 1), 1, ("float32",), nodata, (8, 465), None)
    after = Header.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False)))
    assert after.to_json() == before.to_json()
    assert str(after.nodata) == str(before.nodata)


def test_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match=r"no\.tif: The file does not exist\. Correct the path"):
        read_header(str(tmp_path / "no.tif"))


def test_file_that_is_no_raster_is_an_error(tmp_path):
    path = tmp_path / "text.tif"
    path.write_text("not a TIFF")
    with pytest.raises(DataError, match="GDAL cannot read this as a raster"):
        read_header(str(path))


def test_child_process_returns_headers_and_errors_by_key(write_tif, tmp_path):
    good = write_tif("good.tif", np.zeros((3, 4), np.uint8))
    missing = str(tmp_path / "missing.tif")
    warped = Raster(uris=good, warp="EPSG:4326").header_keys()[0]
    found = headers_in_child([good, missing, good, warped], n_per_child=2)
    assert list(found) == [good, missing, warped]
    assert found[good] == read_header(good)
    assert found[warped].grid.crs == "EPSG:4326"
    assert isinstance(found[missing], DataError)
    assert found[missing].where == missing
    assert found[missing].mend == "Correct the path or URI."


def test_no_keys_start_no_child():
    assert headers_in_child([]) == {}


def test_child_that_fails_shows_its_last_line_and_how_to_see_more(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first >&2\necho 'out of memory' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(header_module.sys, "executable", str(broken))
    with pytest.raises(SwathError, match=r"ended with code 3: out of memory Run it by hand"):
        headers_in_child(["a.tif"])


def test_child_ignores_modules_in_the_working_folder(write_tif, tmp_path, monkeypatch):
    path = write_tif("a.tif", np.zeros((3, 4), np.uint8))
    (tmp_path / "rasterio.py").write_text("raise SystemExit('not the library')")
    monkeypatch.chdir(tmp_path)
    assert isinstance(headers_in_child([path])[path], Header)


def test_error_in_a_header_is_raised_when_the_grid_is_asked_for():
    error = DataError("The file does not exist.", where="a.tif")
    with pytest.raises(DataError, match=r"a\.tif: The file does not exist"):
        image_grid(Raster(uris="a.tif"), {"a.tif": error})


def test_mosaic_grid_is_the_union_of_its_files():
    some = headers(header("a", col=3), header("b", row=2), header("c", col=-6))
    grid = image_grid(Raster(uris=("a", "b", "c")), some)
    assert grid.bounds == Bounds(499_940, 4_999_940, 500_090, 5_000_000)
    assert grid.shape == (6, 15)


def test_mosaic_of_two_lattices_prints_both_and_the_mend():
    some = headers(header("a"), header("b", col=0.5))
    message = r"a and b: The files of one mosaic are not on one grid: upper left.*Set `warp = "
    with pytest.raises(DataError, match=message):
        image_grid(Raster(uris=("a", "b")), some)


def test_mosaic_of_two_crs_prints_both():
    some = headers(header("a"), header("b", crs="EPSG:32634"))
    with pytest.raises(DataError, match="EPSG:32633 10 m against EPSG:32634 10 m"):
        image_grid(Raster(uris=("a", "b")), some)


def test_stack_of_two_grids_prints_both_and_the_mend():
    stack = Stack(sources=(Raster(uris="a"), Raster(uris="b")))
    message = (
        r"a and b: Sources 0 and 1 of a stack are not on one grid: EPSG:32633 10 m against "
        r"EPSG:32634 10 m\. Set `sources\[1\]\.warp = \"primary\"`"
    )
    with pytest.raises(DataError, match=message):
        image_grid(stack, headers(header("a"), header("b", crs="EPSG:32634")))


def test_stack_takes_the_grid_of_its_primary():
    stack = Stack(sources=(Raster(uris="a", warp="primary"), Raster(uris="b")), primary=1)
    some = headers(header("a", crs="EPSG:32634"), header("b", col=2))
    assert image_grid(stack, some) == some["b"].grid
    assert image_bands(stack, some) == 6


def test_warp_onto_primary_outside_a_stack_is_an_error():
    with pytest.raises(DataError, match="only for a source of a Stack"):
        image_grid(Raster(uris="a", warp="primary"), headers(header("a")))


def test_wrong_band_names_the_count_of_the_file():
    some = headers(header("a"))
    with pytest.raises(DataError, match="a: Band 3 does not exist: the file has 3 bands, counted"):
        image_bands(Raster(uris="a", bands=(0, 3)), some)
    with pytest.raises(DataError, match="Band 9 does not exist"):
        image_bands(Raster(uris="a", mask_band=9), some)
    assert image_bands(Raster(uris="a", bands=(2, 0)), some) == 2


def test_mosaic_of_files_with_other_numbers_of_bands():
    some = headers(header("a"), header("b", n_bands=4))
    with pytest.raises(DataError, match="a and b: The files of one mosaic have 3 and 4 bands"):
        image_bands(Raster(uris=("a", "b")), some)
    assert image_bands(Raster(uris=("a", "b"), bands=(0,)), some) == 1


def test_crop_by_pixels_and_by_box_give_one_grid():
    pixels = PixelCrop(row_off=1, col_off=2, height=2, width=3)
    box = MapCrop(left=500_020, right=500_050, bottom=4_999_970, top=4_999_990)
    some = headers(header("a"))
    grids = [image_grid(Raster(uris="a", crop=crop), some) for crop in (pixels, box)]
    assert grids[0] == grids[1]
    assert grids[0].bounds == Bounds(500_020, 4_999_970, 500_050, 4_999_990)


def test_crop_outside_the_image_prints_the_box_of_the_image():
    box = MapCrop(left=0, right=10, bottom=0, top=10)
    with pytest.raises(DataError, match=r"is outside the image of 4 x 6 px.*x 500000 to 500060"):
        image_grid(Raster(uris="a", crop=box), headers(header("a")))
    pixels = PixelCrop(row_off=0, col_off=0, height=5, width=6)
    with pytest.raises(DataError, match="is not within the image"):
        image_grid(Raster(uris="a", crop=pixels), headers(header("a")))


def test_warped_grid_lies_at_multiples_of_its_resolution(write_tif):
    path = write_tif("a.tif", np.zeros((40, 50), np.uint8), origin=(500_003, 5_000_007))
    raster = Raster(uris=path, warp=Warp(crs="EPSG:32634", resolution=20))
    grid = image_grid(raster, headers_in_child(raster.header_keys()))
    assert (grid.crs, grid.resolution) == ("EPSG:32634", (20, 20))
    assert (grid.transform[2] % 20, grid.transform[5] % 20) == (0, 0)


def test_unknown_crs_and_missing_crs_are_errors(write_tif):
    path = write_tif("a.tif", np.zeros((4, 5), np.uint8))
    with pytest.raises(DataError, match="'EPSG:1' is not a CRS"):
        read_header(Raster(uris=path, warp="EPSG:1").header_keys()[0])
    plain = write_tif("plain.tif", np.zeros((4, 5), np.uint8), crs=None)
    with pytest.raises(DataError, match="has no CRS, so it cannot be warped"):
        read_header(Raster(uris=plain, warp="EPSG:4326").header_keys()[0])
