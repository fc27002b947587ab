"""Files of web servers: read, never written, and told apart by ETag."""

from __future__ import annotations

import pytest

from swath.errors import ForbiddenError, NotFoundError, StoreError, ThrottledError
from swath.store import open_store


def test_a_file_is_read_and_known_by_its_etag(web, tmp_path):
    web.files["/a b/ü.tif"] = b"pixels"
    uri = f"{web.url}/a%20b/%C3%BC.tif"
    store = open_store(uri)
    assert store.read(uri) == b"pixels"
    assert store.exists(uri)
    stat = store.stat(uri)
    assert stat.size == 6
    web.files["/a b/ü.tif"] = b"others"
    assert store.stat(uri).version != stat.version
    store.get(uri, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"others"
    assert store.stats(f"{web.url}/a%20b", ["%C3%BC.tif", "missing"]) == {
        "%C3%BC.tif": store.stat(uri)
    }


def test_what_cannot_be_done_is_told(web):
    uri = f"{web.url}/a"
    store = open_store(uri)
    for action in (
        lambda: store.write(uri, b""),
        lambda: store.create(uri, b""),
        lambda: store.delete(uri),
        lambda: store.write_many([(uri, b"")]),
    ):
        with pytest.raises(ForbiddenError, match=r"only read from.*Write to"):
            action()
    with pytest.raises(StoreError, match="cannot be listed"):
        list(store.list(uri))
    assert web.seen == []


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFoundError), (403, ForbiddenError), (503, ThrottledError)]
)
def test_missing_forbidden_and_throttled_are_three_errors(web, impatient, status, kind):
    web.answers["/a"] = (status, "")
    for action in ("stat", "read"):
        with pytest.raises(kind):
            getattr(open_store(web.url), action)(f"{web.url}/a")


def test_a_signed_address_may_be_read_though_its_head_is_refused(web):
    web.files["/a"] = b"pixels"
    web.answers["HEAD /a"] = (403, "")
    uri = f"{web.url}/a?signature=a%2Fb"
    store = open_store(uri)
    assert store.stat(uri).size == 6
    assert store.read(uri) == b"pixels"
    assert {path for _, path, _ in web.seen} == {"/a?signature=a%2Fb"}


def test_a_signature_is_not_told(web):
    uri = f"{web.url}/missing?signature=secret"
    for action in ("stat", "read"):
        with pytest.raises(NotFoundError, match=r"/missing\?\.\.\.") as caught:
            getattr(open_store(uri), action)(uri)
        assert "secret" not in str(caught.value)


def test_a_server_that_tells_no_version_gives_none(web):
    web.tells_version = False
    web.files["/a"] = b"pixels"
    assert open_store(web.url).stat(f"{web.url}/a") == (6, "")
