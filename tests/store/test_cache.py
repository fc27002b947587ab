"""Copies of remote objects: fetched once, never stale, within a limit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from swath.errors import NotFoundError, StoreError
from swath.store import join, open_store
from swath.store.cache import ABANDONED_S, clean_up, fetch_many, fetch_with_parts
from swath.store.local import TEMPORARY, temporary_beside


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a cache of this test's own."""
    monkeypatch.setenv("SWATH_STORE_CACHE_FOLDER", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root() -> str:
    return f"memory://{uuid4().hex}/root"


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_an_object_is_fetched_once_and_asked_for_each_time(web, cache, tmp_path):
    web.files["/a.tif"] = b"pixels"
    for use in ("one", "two"):
        (path,) = fetch_many([f"{web.url}/a.tif"], tmp_path / use)
        assert path.parent == tmp_path / use
        assert path.suffix == ".tif"
        assert path.read_bytes() == b"pixels"
    assert web.requests("/a.tif").count("GET") == 1
    assert web.requests("/a.tif")[-1] == "HEAD"


def test_hazard_what_changed_under_the_same_path_is_never_served(cache, tmp_path, root):
    """A cache keyed by path was never revalidated."""
    store, uri = open_store(root), join(root, "a")
    for data in (b"old", b"new", b"old"):
        store.write(uri, data)
        assert fetch_many([uri], tmp_path / "use")[0].read_bytes() == data
    assert len(entries(cache)) == 2


def test_what_was_removed_or_is_forbidden_is_not_served_either(web, cache, tmp_path):
    web.files["/a"] = b"x"
    fetch_many([f"{web.url}/a"], tmp_path)
    del web.files["/a"]
    with pytest.raises(NotFoundError):
        fetch_many([f"{web.url}/a"], tmp_path)
    web.always = (403, "")
    with pytest.raises(StoreError, match="denied"):
        fetch_many([f"{web.url}/a"], tmp_path)


def test_many_come_in_order_under_names_of_their_own(cache, tmp_path, root):
    local = tmp_path / "local.txt"
    local.write_text("mine")
    uris = [join(root, f"{i}", "same-name.bin") for i in range(20)]
    open_store(root).write_many((uri, uri.encode()) for uri in uris)
    found = fetch_many([*uris, str(local), uris[0]], tmp_path / "deep" / "use")
    assert [path.read_bytes().decode() for path in found[:20]] == uris
    assert found[20] == local
    assert found[21] == found[0]
    assert len(set(found)) == 21


def test_without_a_version_nothing_is_kept(web, cache, tmp_path):
    web.tells_version = False
    web.files["/a"] = b"x"
    for _ in range(2):
        fetch_many([f"{web.url}/a"], tmp_path / "use")
    assert web.requests("/a").count("GET") == 2
    assert entries(cache) == []


def test_entries_that_were_not_used_for_longest_go_first(cache, tmp_path, root):
    store, use = open_store(root), tmp_path / "use"
    uris = [join(root, name) for name in "abc"]
    for age, uri in zip((300, 200, 100), uris, strict=True):
        store.write(uri, uri[-1].encode() * 1000)
        before = set(entries(cache))
        fetch_many([uri], use)
        (entry,) = set(entries(cache)) - before
        then = entry.stat().st_mtime_ns - age * 10**9
        os.utime(entry, ns=(then, then))
    fetch_many(uris[:1], use)  # used again, so the second one is the oldest now
    clean_up(cache, 2500)
    assert {path.read_bytes()[:1] for path in entries(cache)} == {b"a", b"c"}
    assert len(list(use.iterdir())) == 3, "what is in use stays"
    clean_up(cache, 0)
    assert entries(cache) == []
    assert fetch_many(uris, use)[1].read_bytes() == b"b" * 1000


def test_unfinished_downloads_are_never_served_and_go_in_time(cache, tmp_path, root):
    uri = join(root, "a")
    open_store(root).write(uri, b"x")
    fetch_many([uri], tmp_path / "use")
    (entry,) = entries(cache)
    young, old = temporary_beside(entry), temporary_beside(entry)
    for path in (young, old):
        path.write_bytes(b"part")
    then = old.stat().st_mtime - ABANDONED_S - 10
    os.utime(old, (then, then))
    clean_up(cache, 1 << 30)
    assert entries(cache) == sorted([entry, young])
    assert young.name.startswith(TEMPORARY)


def test_a_download_that_breaks_off_leaves_nothing(web, cache, tmp_path, impatient):
    web.files["/a"] = b"x"
    web.answers["GET /a"] = (500, "")
    with pytest.raises(StoreError):
        fetch_many([f"{web.url}/a"], tmp_path / "use")
    assert entries(cache) == []
    assert list((tmp_path / "use").iterdir()) == []


def test_a_copy_in_use_may_not_change_the_cache(cache, tmp_path, root):
    uri = join(root, "a")
    open_store(root).write(uri, b"x")
    (path,) = fetch_many([uri], tmp_path / "use")
    assert not path.stat().st_mode & 0o222
    path.unlink()
    assert fetch_many([uri], tmp_path / "use")[0].read_bytes() == b"x"


def test_processes_share_a_cache(web, cache, tmp_path):
    names = [f"/{i}.bin" for i in range(8)]
    for name in names:
        web.files[name] = name.encode() * 1000
    program = """
import sys
from pathlib import Path
from swath.store.cache import clean_up, fetch_many
folder, cache, *uris = sys.argv[1:]
for _ in range(2):
    for uri, path in zip(uris, fetch_many(uris, Path(folder)), strict=True):
        assert path.read_bytes() == ("/" + uri.rpartition("/")[2]).encode() * 1000
        path.unlink()
    clean_up(Path(cache), 20_000)
"""
    uris = [web.url + name for name in names]
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / use), str(cache), *uris])
        for use in ("one", "two", "three")
    ]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))


def test_parts_come_along_beside_the_file(cache, tmp_path, root):
    store = open_store(root)
    for name in ("roads.shp", "roads.shx", "roads.dbf", "roads.txt", "roads-2.prj"):
        store.write(join(root, name), name.encode())
    path = fetch_with_parts(join(root, "roads.shp"), tmp_path)
    assert path.name == "roads.shp"
    beside = sorted(each.name for each in path.parent.iterdir())
    assert beside == ["roads.dbf", "roads.shp", "roads.shx"]
    assert (path.parent / "roads.dbf").read_bytes() == b"roads.dbf"


def test_a_local_file_is_returned_as_it_is(cache, tmp_path):
    assert fetch_with_parts(str(tmp_path / "roads.shp"), tmp_path) == tmp_path / "roads.shp"
    assert fetch_many([str(tmp_path / "a")], tmp_path / "use") == [tmp_path / "a"]
    assert not (tmp_path / "use").exists()


def test_what_a_store_forbids_is_no_part(web, cache, tmp_path):
    """S3 answers 403 for what is not there, where the bucket may not be listed."""
    web.files["/a.tif"] = b"x"
    web.answers["/a.tif.msk"] = (403, "")
    path = fetch_with_parts(f"{web.url}/a.tif", tmp_path)
    assert [each.name for each in path.parent.iterdir()] == ["a.tif"]
