"""Identities of source files on stores: by ETag, by content if small, of a folder in one go."""

from __future__ import annotations

import hashlib

import pytest

from swath.plan.identity import SMALL_BYTES, source_identities, source_identity
from swath.store import join, open_store
from swath.testing.faults import FaultyProxy

LARGE = bytes(SMALL_BYTES + 1)


@pytest.fixture
def proxy(moto_server, s3_bucket, monkeypatch):
    with FaultyProxy(moto_server.url, share=0) as started:
        monkeypatch.setenv("AWS_ENDPOINT_URL", started.url)
        yield started


@pytest.fixture
def root(proxy, s3_bucket) -> str:
    return f"s3://{s3_bucket}/scenes"


def test_a_large_object_is_known_by_its_etag_and_a_small_one_by_content(root, tmp_path):
    store, large, small = open_store(root), join(root, "a.tif"), join(root, "aoi.geojson")
    store.write_many([(large, LARGE), (small, b"{}")])
    before = source_identity(large)
    assert before == f"{len(LARGE)}:{store.stat(large).version}"
    (tmp_path / "aoi.geojson").write_bytes(b"{}")
    assert source_identity(small) == source_identity(str(tmp_path / "aoi.geojson"))
    store.write(large, LARGE[:-1] + b"1")
    assert source_identity(large) not in (before, None)
    assert source_identity(join(root, "missing.tif")) is None


def test_a_part_beside_an_object_counts(root):
    uri, part = join(root, "a.tif"), b"<PAMDataset/>"
    open_store(root).write(uri, LARGE)
    alone = source_identity(uri)
    open_store(root).write(uri + ".aux.xml", part)
    digest = hashlib.sha256(part).hexdigest()
    assert source_identity(uri) == f"{alone} {uri}.aux.xml=sha256:{digest}"


def test_files_of_a_folder_are_asked_for_together(root, proxy):
    store = open_store(root)
    uris = [join(root, f"{i}.tif") for i in range(30)]
    store.write_many((uri, LARGE) for uri in uris)
    proxy.forget()
    found = source_identities([*uris, join(root, "missing.tif")])
    assert len(proxy.seen()) == 1
    assert found[uris[3]] == f"{len(LARGE)}:{store.stat(uris[3]).version}"
    assert found[join(root, "missing.tif")] is None


def test_a_changed_source_of_a_virtual_raster_on_a_store_is_a_changed_one(root):
    text = b'<VRT><SourceFilename relativeToVRT="1">../scenes/a.tif</SourceFilename></VRT>'
    store, vrt, source = open_store(root), join(root, "a.vrt"), join(root, "a.tif")
    store.write_many([(vrt, text), (source, LARGE)])
    before = source_identity(vrt)
    assert before is not None
    assert f" {source}={source_identity(source)}" in before
    there = source.replace("s3://", "/vsis3/").encode()
    store.write(vrt, b"<VRT><SourceFilename>" + there + b"</SourceFilename></VRT>")
    assert f" {source}={source_identity(source)}" in (source_identity(vrt) or "")


def test_what_a_store_forbids_is_no_part_where_the_file_may_be_read(
    root, s3_bucket, moto_server, monkeypatch
):
    """S3 answers 403 for what is not there, where the bucket may not be listed."""
    uri = join(root, "a.tif")
    open_store(root).write(uri, LARGE)
    signed = source_identity(uri)
    moto_server.client().put_object_acl(Bucket=s3_bucket, Key="scenes/a.tif", ACL="public-read")
    monkeypatch.setenv("SWATH_STORE_ANONYMOUS", "yes")
    assert source_identity(uri) == signed
