"""Rasters on stores: read in place, by the same credentials, whatever fails on the way."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio

from swath.errors import DataError
from swath.grid.window import Window
from swath.raster.gdal import gdal_env, open_dataset
from swath.raster.header import headers_in_child, read_header
from swath.raster.reader import open_raster
from swath.raster.spec import Raster, Warp
from swath.store import join, open_store
from swath.testing.faults import FaultyProxy

RNG = np.random.default_rng(0)
VALUES = RNG.integers(1, 255, (2, 600, 500)).astype(np.uint8)
TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}


@pytest.fixture
def proxy(moto_server, s3_bucket, monkeypatch):
    """Return a proxy before the S3 that lets everything through until it is told otherwise."""
    with FaultyProxy(moto_server.url, share=0) as started:
        monkeypatch.setenv("AWS_ENDPOINT_URL", started.url)
        yield started


@pytest.fixture
def upload(proxy, s3_bucket, write_tif):
    """Return a function that writes an image to S3, and returns its URI."""

    def put(name: str, values: np.ndarray = VALUES, **profile: object) -> str:
        uri = f"s3://{s3_bucket}/scenes/{name}"
        open_store(uri).write(uri, Path(write_tif(name, values, **(TILED | profile))).read_bytes())
        proxy.forget()
        return uri

    return put


def read(uri: str, **how: object) -> np.ndarray:
    with open_raster(Raster(uris=uri, **how)) as reader:
        return reader.read(reader.grid.window).values


def test_an_image_is_read_in_place_in_few_requests(upload, proxy):
    uri = upload("a.tif")
    with open_raster(Raster(uris=uri)) as reader:
        part = reader.read(Window(130, 10, 100, 50)).values
    assert np.array_equal(part, VALUES[:, 130:230, 10:60])
    asked = [each for each in proxy.seen() if each.path.endswith("/a.tif")]
    assert {each.method for each in asked} == {"GET"}
    assert all("range" in each.headers for each in asked), "never the whole file"
    assert len(proxy.seen()) < 20, "names beside it are not tried one by one"


def test_a_header_in_the_child_is_that_of_the_same_file_here(upload, write_tif):
    uri, path = upload("a.tif"), write_tif("b.tif", VALUES, **TILED)
    found = headers_in_child([uri, path, uri.replace("a.tif", "missing.tif")])
    assert found[uri].grid == found[path].grid
    assert found[uri].uri == uri
    missing = found[uri.replace("a.tif", "missing.tif")]
    assert isinstance(missing, DataError)
    assert "there is no s3://" in str(missing)


def test_requester_pays_and_credentials_are_told_to_gdal_too(upload, proxy, monkeypatch):
    uri = upload("a.tif")
    monkeypatch.setenv("SWATH_STORE_REQUESTER_PAYS", "yes")
    read(uri)
    asked = proxy.seen()
    assert {each.headers["x-amz-request-payer"] for each in asked} == {"requester"}
    assert all("AWS4-HMAC-SHA256" in each.headers["authorization"] for each in asked)
    monkeypatch.setenv("SWATH_STORE_REQUESTER_PAYS", "no")
    proxy.forget()
    read(uri)
    assert not any("x-amz-request-payer" in each.headers for each in proxy.seen())


def test_anonymous_reads_are_not_signed(upload, proxy, s3_bucket, moto_server, monkeypatch):
    uri = upload("a.tif")
    moto_server.client().put_bucket_acl(Bucket=s3_bucket, ACL="public-read")
    moto_server.client().put_object_acl(Bucket=s3_bucket, Key="scenes/a.tif", ACL="public-read")
    monkeypatch.setenv("SWATH_STORE_ANONYMOUS", "yes")
    assert np.array_equal(read(uri), VALUES)
    assert not any("authorization" in each.headers for each in proxy.seen())


def test_keys_of_a_profile_are_told_to_gdal(upload, proxy, monkeypatch, tmp_path):
    uri = upload("a.tif")
    (tmp_path / "credentials").write_text(
        "[mine]\naws_access_key_id = of-the-profile\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("SWATH_AWS_PROFILE", "mine")
    assert np.array_equal(read(uri), VALUES)
    assert all("of-the-profile" in each.headers["authorization"] for each in proxy.seen())


def test_hazard_what_was_written_since_is_read_and_not_what_was_kept(upload):
    """GDAL keeps what it read under its path, and mixed it with what is there now."""
    for values in (VALUES, 255 - VALUES):
        assert np.array_equal(read(upload("a.tif", values)), values)
    missing = upload("a.tif").replace("a.tif", "later.tif")
    with pytest.raises(DataError):
        read(missing)
    upload("later.tif")
    assert np.array_equal(read(missing), VALUES)


def test_a_mask_that_lies_beside_is_read_too(upload, write_tif):
    values = VALUES[:1]
    keep = np.ones(values.shape[1:], bool)
    keep[:100] = False
    uri, path = upload("a.tif", values), write_tif("b.tif", values)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(keep)
    mask = Path(path + ".msk").read_bytes()
    store = open_store(uri)
    for change, expected in (
        (lambda: store.write(uri + ".msk", mask), keep),
        (lambda: store.delete(uri + ".msk"), np.ones_like(keep)),
    ):
        change()
        with open_raster(Raster(uris=uri)) as reader:
            assert np.array_equal(reader.read(reader.grid.window).valid, expected)


@pytest.mark.parametrize("place", ["beside", "local"])
def test_a_virtual_raster_names_files_of_the_store(upload, tmp_path, place):
    uri = upload("a.tif")
    source = '<SourceFilename relativeToVRT="{}">{}</SourceFilename><SourceBand>1</SourceBand>'
    text = (
        '<VRTDataset rasterXSize="500" rasterYSize="600">'
        "<GeoTransform>500000,10,0,5000000,0,-10</GeoTransform><SRS>EPSG:32633</SRS>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{}</SimpleSource></VRTRasterBand>'
        "</VRTDataset>"
    )
    if place == "beside":
        vrt = join(uri.rpartition("/")[0], "a.vrt")
        open_store(vrt).write(vrt, text.format(source.format(1, "a.tif")).encode())
    else:
        vrt = str(tmp_path / "a.vrt")
        there = uri.replace("s3://", "/vsis3/")
        Path(vrt).write_text(text.format(source.format(0, there)))
    assert np.array_equal(read(vrt), VALUES[:1])


def test_a_warp_reads_in_place_too(upload, write_tif):
    uri, path = upload("a.tif"), write_tif("b.tif", VALUES, **TILED)
    warp = Warp(crs="EPSG:32634", resolution=30)
    assert np.array_equal(read(uri, warp=warp), read(path, warp=warp))


@pytest.mark.parametrize("fault", ["error", "slow_down", "refused", "lost", "cut"])
def test_every_kind_of_fault_is_survived(upload, proxy, fault):
    uri = upload("a.tif")
    proxy.restart(share=0.25, faults=(fault,))
    for _ in range(3):
        assert read_header(uri).n_bands == 2
        with open_raster(Raster(uris=uri)) as reader:
            for row in range(0, 600, 200):
                part = reader.read(Window(row, 0, 200, 500)).values
                assert np.array_equal(part, VALUES[:, row : row + 200])
    assert proxy.counts()[fault] > 2


def test_missing_forbidden_and_failing_are_told_apart(upload, proxy, moto_server, monkeypatch):
    uri = upload("a.tif")
    with pytest.raises(DataError, match=r"there is no s3://.*/b\.tif"):
        read(uri.replace("a.tif", "b.tif"))
    with pytest.raises(DataError, match="bucket"):
        read("s3://no-such-bucket-anywhere/b.tif")
    monkeypatch.setenv("SWATH_STORE_ANONYMOUS", "yes")
    with pytest.raises(DataError, match=r"s3://.*/a\.tif may not be used: access is denied"):
        read(uri)


def test_what_is_no_image_is_told_as_such(upload, s3_bucket):
    uri = upload("a.tif")
    open_store(uri).write(uri, b"these are no pixels" * 100)
    with pytest.raises(DataError, match="GDAL cannot read this as a raster"):
        read(uri)


def test_without_credentials_the_header_says_how_to_get_some(s3_bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (found,) = headers_in_child([f"s3://{s3_bucket}/a.tif"]).values()
    assert isinstance(found, DataError)
    assert "no AWS credentials were found" in str(found)


def test_an_image_of_a_web_server_is_read_in_place(upload, proxy, s3_bucket, moto_server):
    upload("a.tif")
    moto_server.client().put_bucket_acl(Bucket=s3_bucket, ACL="public-read")
    moto_server.client().put_object_acl(Bucket=s3_bucket, Key="scenes/a.tif", ACL="public-read")
    assert np.array_equal(read(f"{proxy.url}/{s3_bucket}/scenes/a.tif"), VALUES)
    with pytest.raises(DataError, match="there is no http"):
        read(f"{moto_server.url}/{s3_bucket}-2/missing.tif")


def test_names_of_gdal_are_understood_as_well(upload):
    uri = upload("a.tif")
    with warnings.catch_warnings(), gdal_env():
        warnings.simplefilter("error")
        with open_dataset(uri.replace("s3://", "/vsis3/")) as dataset:
            assert dataset.count == 2
