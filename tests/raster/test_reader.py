"""Reading windows: values, validity, mosaics, stacks, warps."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from swath.errors import DataError
from swath.grid.window import Window, tiles
from swath.raster.reader import open_raster
from swath.raster.spec import Cast, MapCrop, MinMax, NaNToValue, PixelCrop, Raster, Stack, Warp

# rasterio multiplies transforms in a way that affine 3 means to deprecate; not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

RAMP = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)


def read(spec, window: Window | None = None):
    with open_raster(spec) as reader:
        return reader.read(window or reader.grid.window)


# ------------------------------------------------------------ one file


def test_reader_describes_the_image(write_tif):
    path = write_tif(
        "a.tif", np.zeros((4, 70, 50), np.uint16), tiled=True, blockxsize=32, blockysize=16
    )
    with open_raster(Raster(uris=path, bands=(3, 1))) as reader:
        assert (reader.n_bands, reader.dtype, reader.block_shape) == (2, np.uint16, (16, 32))
        assert reader.grid.shape == (70, 50)


def test_bands_are_0_based_and_in_the_order_asked_for(write_tif):
    path = write_tif("a.tif", np.stack([RAMP, RAMP + 100, RAMP + 200]))
    values, _ = read(Raster(uris=path, bands=(2, 0, 2)))
    assert values[:, 0, 0].tolist() == [201, 1, 201]


def test_window_past_the_edges_is_padded_and_invalid(write_tif):
    path = write_tif("a.tif", RAMP)
    values, valid = read(Raster(uris=path), Window(-1, -2, 5, 8))
    assert values.shape == (1, 5, 8)
    assert np.array_equal(values[0, 1:4, 2:6], RAMP)
    assert np.array_equal(valid[1:4, 2:6], np.ones((3, 4), bool))
    assert valid.sum() == 12
    assert not values[:, ~valid].any()


def test_window_far_from_the_image_is_invalid(write_tif):
    values, valid = read(Raster(uris=write_tif("a.tif", RAMP)), Window(100, 100, 2, 2))
    assert not valid.any()
    assert not values.any()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 90), st.integers(1, 90))
def test_every_window_is_a_part_of_the_padded_image(write_tif, row, col, height, width):
    whole = (np.arange(45 * 37).reshape(45, 37) % 251 + 1).astype(np.uint8)
    path = write_tif("w.tif", whole, tiled=True, blockxsize=16, blockysize=16)
    padded = np.pad(whole, 200)
    values, valid = read(Raster(uris=path), Window(row, col, height, width))
    expected = padded[200 + row : 200 + row + height, 200 + col : 200 + col + width]
    assert np.array_equal(values[0], expected)
    assert np.array_equal(valid, expected != 0)


def test_windows_do_not_depend_on_how_the_image_is_cut(write_tif):
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 1000, (2, 100, 130)).astype(np.uint16)
    path = write_tif("a.tif", whole, tiled=True, blockxsize=32, blockysize=32, compress="deflate")
    with open_raster(Raster(uris=path), n_threads=2, cache_rows=17) as reader:
        for size in (17, 64, 200):
            for window in tiles(reader.grid.shape, size):
                assert np.array_equal(reader.read(window).values, whole[:, *window.slices])


def test_hazard_half_pixel_shift_values_lie_where_rasterio_puts_them(write_tif):
    path = write_tif("a.tif", RAMP)
    with open_raster(Raster(uris=path)) as reader, rasterio.open(path) as file:
        x, y = reader.grid.pixel_to_map(1.5, 2.5)
        assert next(file.sample([(x, y)]))[0] == reader.read(Window(1, 2, 1, 1)).values[0, 0, 0]
        assert tuple(file.bounds) == tuple(reader.grid.bounds)


# ------------------------------------------------------------ validity


def test_pixel_is_valid_only_if_every_band_that_is_read_is(write_tif):
    values = np.stack([RAMP, RAMP[::-1]])
    values[0, 0, 0] = 0
    values[1, 2, 3] = 0
    path = write_tif("a.tif", values, nodata=0)
    both, first = read(Raster(uris=path)), read(Raster(uris=path, bands=(0,)))
    assert both.valid.sum() == 10
    assert not both.valid[0, 0]
    assert not both.valid[2, 3]
    assert first.valid.sum() == 11


def test_values_are_0_where_not_valid(write_tif):
    path = write_tif("a.tif", np.stack([RAMP, RAMP * 2]).astype(np.int16), nodata=5)
    values, valid = read(Raster(uris=path))
    assert not valid[1, 0]
    assert values[:, 1, 0].tolist() == [0, 0]


def test_declared_nodata_replaces_that_of_the_file(write_tif):
    path = write_tif("a.tif", RAMP, nodata=1)
    assert read(Raster(uris=path)).valid[0].tolist() == [False, True, True, True]
    assert read(Raster(uris=path, nodata=2)).valid[0].tolist() == [True, False, True, True]


@pytest.mark.parametrize("nodata", [-9999, 0.5, 256])
def test_nodata_that_the_type_cannot_hold_marks_no_pixel(write_tif, nodata):
    assert read(Raster(uris=write_tif("a.tif", RAMP), nodata=nodata)).valid.all()


def test_float32_nodata_stored_as_a_rounded_double_is_found(write_tif):
    lowest = np.finfo(np.float32).min
    values = np.array([[lowest, 1.5]], np.float32)
    path = write_tif("a.tif", values, nodata=-3.4028234663852886e38)
    assert read(Raster(uris=path)).valid.tolist() == [[False, True]]
    assert read(Raster(uris=path, nodata=1.5)).valid.tolist() == [[True, False]]


def test_nan_is_never_valid(write_tif):
    values = np.array([[np.nan, 1, -1]], np.float32)
    for nodata in (None, float("nan")):
        path = write_tif("a.tif", values, nodata=nodata)
        assert read(Raster(uris=path)).valid.tolist() == [[False, True, True]]
    path = write_tif("b.tif", values, nodata=-1)
    assert read(Raster(uris=path)).valid.tolist() == [[False, True, False]]
    assert read(Raster(uris=path, nodata="nan")).valid.tolist() == [[False, True, True]]


def test_nan_to_value_makes_nan_a_valid_value(write_tif):
    path = write_tif("a.tif", np.array([[np.nan, 1]], np.float32), nodata=float("nan"))
    values, valid = read(Raster(uris=path, transforms=(NaNToValue(value=9),)))
    assert values.tolist() == [[[9, 1]]]
    assert valid.all()


def test_mask_inside_the_file_is_honoured(write_tif):
    mask = np.full(RAMP.shape, 255, np.uint8)
    mask[1, 2] = 0
    path = write_tif("a.tif", np.stack([RAMP, RAMP]), mask=mask)
    assert np.array_equal(read(Raster(uris=path, bands=(1,))).valid, mask != 0)


def test_mask_beside_the_file_is_honoured(write_tif):
    path = write_tif("a.tif", RAMP)
    mask = np.full(RAMP.shape, 255, np.uint8)
    mask[0, 3] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    assert np.array_equal(read(Raster(uris=path)).valid, mask != 0)


@pytest.fixture
def four_bands(write_tif) -> str:
    """A file whose fourth band, near infrared, GDAL takes for alpha; it is 0 over water."""
    values = np.stack([RAMP, RAMP, RAMP, RAMP])
    values[3, 0, :] = 0
    path = write_tif("rgbn.tif", values, photometric="RGB", alpha="YES")
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
        assert (file.read_masks(1)[0] == 0).all()  # what must not happen below
    return path


@pytest.mark.parametrize("bands", [None, (0, 1, 2), (3,)])
@pytest.mark.parametrize("warp", [None, Warp(crs="EPSG:32633", resolution=10)])
def test_hazard_alpha_interpretation_of_a_data_band_is_no_mask(four_bands, bands, warp):
    values, valid = read(Raster(uris=four_bands, bands=bands, warp=warp))
    assert valid.all()
    assert np.array_equal(values[0], RAMP if bands != (3,) else np.where([[0], [1], [1]], RAMP, 0))


@pytest.mark.parametrize("warp", [None, Warp(crs="EPSG:32633", resolution=10)])
def test_band_declared_as_mask_is_one(four_bands, warp):
    spec = Raster(uris=four_bands, bands=(0, 1), mask_band=3, warp=warp)
    with open_raster(spec) as reader:
        assert reader.n_bands == 2
        assert reader.read(reader.grid.window).valid.tolist() == [
            [False] * 4,
            [True] * 4,
            [True] * 4,
        ]


# ------------------------------------------------------------ mosaics, crops, stacks


def test_mosaic_fills_from_the_first_file_that_is_valid(write_tif):
    first, second = RAMP.copy(), RAMP + 100
    first[1, 2] = 0
    one = write_tif("1.tif", first, nodata=0)
    two = write_tif("2.tif", second, nodata=0, origin=(500_010, 4_999_990))
    with open_raster(Raster(uris=(one, two))) as reader:
        assert reader.grid.shape == (4, 5)
        values, valid = reader.read(reader.grid.window)
    assert values[0].tolist() == [
        [1, 2, 3, 4, 0],
        [5, 6, 102, 8, 104],
        [9, 10, 11, 12, 108],
        [0, 109, 110, 111, 112],
    ]
    assert np.array_equal(valid, values[0] != 0)


def test_mosaic_of_many_files_is_read_across_their_seams(write_tif):
    whole = np.arange(1, 101, dtype=np.uint8).reshape(10, 10)
    paths = []
    for window in tiles((10, 10), 1):  # more files than are kept open
        origin = (500_000 + 10 * window.col_off, 5_000_000 - 10 * window.row_off)
        name = f"{window.row_off}-{window.col_off}.tif"
        paths.append(write_tif(name, whole[window.slices], origin=origin))
    assert np.array_equal(read(Raster(uris=tuple(reversed(paths)))).values[0], whole)


def test_crop_moves_the_origin(write_tif):
    path = write_tif("a.tif", RAMP)
    crop = PixelCrop(row_off=1, col_off=1, height=2, width=2)
    with open_raster(Raster(uris=path, crop=crop)) as reader:
        assert reader.grid.bounds[:2] == (500_010, 4_999_970)
        values, valid = reader.read(Window(-1, -1, 4, 4))
    assert values[0].tolist() == [[0, 0, 0, 0], [0, 6, 7, 0], [0, 10, 11, 0], [0, 0, 0, 0]]
    assert valid.sum() == 4


def test_crop_by_box_holds_the_pixels_that_it_touches(write_tif):
    box = MapCrop(left=500_011, right=500_019, bottom=4_999_989, top=4_999_999)
    assert read(Raster(uris=write_tif("a.tif", RAMP), crop=box)).values.tolist() == [[[2], [6]]]


def test_stack_puts_bands_one_after_another_in_a_common_type(write_tif):
    one = write_tif("1.tif", RAMP, nodata=1)
    two = write_tif("2.tif", np.stack([RAMP * -1.5, RAMP]).astype(np.float32), nodata=12)
    with open_raster(Stack(sources=(Raster(uris=one), Raster(uris=two)))) as reader:
        assert (reader.n_bands, reader.dtype) == (3, np.float32)
        values, valid = reader.read(reader.grid.window)
    assert values[:, 0, 1].tolist() == [2, -3, 2]
    assert not valid[0, 0]
    assert not valid[2, 3]
    assert valid.sum() == 10


def test_stack_of_uint16_and_uint8_stays_uint16(write_tif):
    one = write_tif("1.tif", np.full((3, 4), 40_000, np.uint16))
    two = write_tif("2.tif", RAMP)
    values, _ = read(Stack(sources=(Raster(uris=one), Raster(uris=two))))
    assert values.dtype == np.uint16
    assert values[:, 0, 0].tolist() == [40_000, 1]


def test_stack_resamples_another_resolution_onto_its_primary(write_tif):
    fine = write_tif("fine.tif", np.ones((4, 6), np.uint8))
    coarse = write_tif("coarse.tif", np.array([[1, 2, 3], [4, 5, 6]], np.uint8), size=20)
    stack = Stack(sources=(Raster(uris=fine), Raster(uris=coarse, warp="primary")))
    values, valid = read(stack)
    assert values[1].tolist() == [[1, 1, 2, 2, 3, 3]] * 2 + [[4, 4, 5, 5, 6, 6]] * 2
    assert valid.all()


# ------------------------------------------------------------ warps


@pytest.mark.parametrize("nodata", [None, 0])
def test_warp_is_invalid_where_the_source_has_no_pixel(write_tif, nodata):
    path = write_tif("a.tif", np.ones((40, 40), np.uint8), nodata=nodata)
    warp = Warp(crs="EPSG:32634", resolution=10)  # one zone on, the image stands askew
    values, valid = read(Raster(uris=path, warp=warp))
    assert not valid[0, 0]
    assert 0.9 < valid.sum() / 1600 < 1.1
    assert np.array_equal(values[0] == 1, valid)


def test_warp_keeps_nodata_of_each_band_apart(write_tif):
    values = np.stack([RAMP, RAMP[::-1]])
    values[0, 0, 0] = 99
    path = write_tif("a.tif", values, nodata=99)
    found = read(Raster(uris=path, warp=Warp(crs="EPSG:32633", resolution=10)))
    assert found.valid.sum() == 11
    assert not found.valid[0, 0]
    declared = Raster(uris=path, nodata=1, warp=Warp(crs="EPSG:32633", resolution=10))
    assert read(declared).valid.sum() == 11  # 1 is at (2, 0) of the second band
    assert not read(declared).valid[2, 0]


@pytest.mark.parametrize("nodata", [-9999, 0.5])
def test_warp_with_nodata_that_the_type_cannot_hold_marks_no_pixel(write_tif, nodata):
    path = write_tif("a.tif", RAMP)
    warp = Warp(crs="EPSG:32633", resolution=10)
    assert read(Raster(uris=path, nodata=nodata, warp=warp)).valid.all()


@pytest.mark.parametrize("nodata", [float("nan"), float(np.finfo(np.float32).min)])
def test_warp_of_floats_keeps_nodata_missing(write_tif, nodata):
    values = RAMP.astype(np.float32)
    values[1, 1] = nodata
    path = write_tif("a.tif", values, nodata=nodata)
    found = read(Raster(uris=path, warp=Warp(crs="EPSG:32633", resolution=10)))
    assert np.array_equal(found.valid, ~np.isin(RAMP, RAMP[1, 1]))
    assert np.array_equal(found.values[0], np.where(found.valid, RAMP, 0))


def test_warp_of_bands_with_several_nodata_values_is_an_error(write_tif, tmp_path):
    path = write_tif("a.tif", np.stack([RAMP, RAMP]))
    vrt = tmp_path / "two.vrt"
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><NoDataValue>{i}</NoDataValue><SimpleSource>'
        f"<SourceFilename>{path}</SourceFilename><SourceBand>{i}</SourceBand></SimpleSource>"
        "</VRTRasterBand>"
        for i in (1, 2)
    )
    vrt.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="3"><SRS>EPSG:32633</SRS><GeoTransform>'
        f"500000,10,0,5000000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    assert read(Raster(uris=vrt)).valid.sum() == 10
    warp = Warp(crs="EPSG:32633", resolution=10)
    with pytest.raises(DataError, match=r"several nodata values, 1\.0, 2\.0"):
        read(Raster(uris=vrt, warp=warp))
    assert read(Raster(uris=vrt, warp=warp, nodata=2)).valid.sum() == 11


def test_warp_honours_the_mask_of_the_file(write_tif):
    mask = np.full(RAMP.shape, 255, np.uint8)
    mask[1, 2] = 0
    path = write_tif("a.tif", np.stack([RAMP, RAMP]), mask=mask)
    found = read(Raster(uris=path, warp=Warp(crs="EPSG:32633", resolution=10)))
    assert np.array_equal(found.valid, mask != 0)


def test_warp_gives_the_pixels_of_gdal(write_tif):
    rng = np.random.default_rng(0)
    whole = rng.integers(1, 250, (60, 80)).astype(np.uint8)
    path = write_tif("a.tif", whole, nodata=0)
    spec = Raster(uris=path, warp=Warp(crs="EPSG:32634", resolution=15, resampling="bilinear"))
    with open_raster(spec) as reader, rasterio.open(path) as file:
        grid = reader.grid
        with WarpedVRT(
            file,
            crs=grid.crs,
            transform=rasterio.Affine(*grid.transform),
            height=grid.height,
            width=grid.width,
            resampling=Resampling.bilinear,
        ) as vrt:
            assert np.array_equal(reader.read(grid.window).values[0], vrt.read(1))


def test_warped_windows_do_not_depend_on_how_the_image_is_cut(write_tif):
    rng = np.random.default_rng(0)
    path = write_tif("a.tif", rng.integers(1, 250, (300, 400)).astype(np.uint8))
    with open_raster(Raster(uris=path, warp=Warp(crs="EPSG:32634", resolution=10))) as reader:
        whole = reader.read(reader.grid.window)
        for window in tiles(reader.grid.shape, 77):
            part = reader.read(window)
            assert np.array_equal(part.values, whole.values[:, *window.slices])
            assert np.array_equal(part.valid, whole.valid[window.slices])


def test_warp_without_a_resolution_keeps_about_that_of_the_source(write_tif):
    with open_raster(Raster(uris=write_tif("a.tif", RAMP), warp="EPSG:32634")) as reader:
        assert reader.grid.resolution == pytest.approx((10, 10), rel=0.1)


def test_warp_of_a_path_with_markup_in_its_name(write_tif):
    path = write_tif("a & <b>.tif", RAMP)
    assert read(Raster(uris=path, warp=Warp(crs="EPSG:32633", resolution=10))).valid.all()


def test_warped_mosaic_of_two_zones(write_tif):
    one = write_tif("1.tif", np.full((20, 20), 1, np.uint8), origin=(700_000, 5_000_000))
    two = write_tif(
        "2.tif", np.full((20, 20), 2, np.uint8), crs="EPSG:32634", origin=(240_000, 5_000_000)
    )
    with pytest.raises(DataError, match="EPSG:32633 10 m against EPSG:32634 10 m"):
        open_raster(Raster(uris=(one, two)))
    spec = Raster(uris=(one, two), warp=Warp(crs="EPSG:32633", resolution=10))
    with open_raster(spec) as reader:
        near = reader.grid.bounds_window(reader.grid.bounds)
        assert near == reader.grid.window
        values, valid = reader.read(Window(0, 0, *reader.grid.shape))
    assert set(np.unique(values[0, valid])) == {1, 2}


# ------------------------------------------------------------ types, failures, threads


def test_dtype_is_that_after_transforms(write_tif):
    path = write_tif("a.tif", RAMP)
    spec = Raster(uris=path, transforms=(MinMax(low=1, high=12), Cast(dtype="float64")))
    with open_raster(spec) as reader:
        values, _ = reader.read(reader.grid.window)
        assert reader.dtype == values.dtype == np.float64
    assert (values.min(), values.max()) == (0, 1)


def test_damaged_block_names_the_file(write_tif, tmp_path):
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 255, (256, 256)).astype(np.uint8)
    path = write_tif("a.tif", whole, tiled=True, compress="deflate")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.tif: .*(Reading pixels failed|cannot read)"):
        read(Raster(uris=path))


def test_missing_file_of_a_mosaic_is_named(write_tif, tmp_path):
    path = write_tif("a.tif", RAMP)
    with pytest.raises(DataError, match=r"no\.tif: The file does not exist"):
        open_raster(Raster(uris=(path, str(tmp_path / "no.tif"))))


def test_readers_in_several_threads_read_the_same(write_tif):
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 255, (3, 200, 200)).astype(np.uint8)
    path = write_tif("a.tif", whole, tiled=True, blockxsize=64, blockysize=64)
    found: list[bool] = []

    def work() -> None:
        with open_raster(Raster(uris=path)) as reader:
            found.extend(
                np.array_equal(reader.read(window).values, whole[:, *window.slices])
                for window in tiles((200, 200), 50)
            )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 64
    assert all(found)


def test_closing_twice_is_harmless(write_tif):
    reader = open_raster(Raster(uris=write_tif("a.tif", RAMP)))
    reader.close()
    reader.close()


# ------------------------------------------------------------ real imagery


def test_zion_is_read_as_rasterio_reads_it(shared_data):
    path = str(shared_data / "zion_landsat8" / "landsat8_b2345.tif")
    with rasterio.open(path) as file:
        expected = file.read()
    values, valid = read(Raster(uris=path))
    assert np.array_equal(values, expected)
    assert valid.all()


def test_elevation_is_stacked_onto_zion(shared_data):
    folder = shared_data / "zion_landsat8"
    stack = Stack(
        sources=(
            Raster(uris=folder / "landsat8_b2345.tif"),
            Raster(uris=folder / "srtm.tif", warp=Warp(crs="primary", resampling="bilinear")),
        )
    )
    with open_raster(stack) as reader:
        assert reader.n_bands == 5
        values, valid = reader.read(reader.grid.window)
        row, col = 700, 600
        x, y = reader.grid.pixel_to_map(row + 0.5, col + 0.5)
    with rasterio.open(folder / "srtm.tif") as file:
        lon, lat = (v[0] for v in rasterio.warp.transform("EPSG:32612", file.crs, [x], [y]))
        at_row, at_col = file.index(lon, lat)
        near = file.read(1)[at_row - 1 : at_row + 2, at_col - 1 : at_col + 2]
    assert near.min() <= values[4, row, col] <= near.max()
    assert valid.mean() > 0.95


def test_parana_footprint_needs_its_nodata_declared(shared_data):
    path = shared_data / "parana_landsat8" / "landsat8_b234.tif"
    assert read(Raster(uris=path)).valid.all()
    assert read(Raster(uris=path, nodata=0)).valid.mean() == pytest.approx(0.84, abs=0.01)


def test_olinda_strips_are_read_past_the_edge(olinda):
    with open_raster(Raster(uris=olinda / "L7_ETMs.tif", bands=(3, 2, 1))) as reader:
        values, valid = reader.read(Window(300, 300, 100, 100))
    assert values.shape == (3, 100, 100)
    assert valid.sum() == (352 - 300) * (349 - 300)
