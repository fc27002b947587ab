"""What every store does alike: the specification of a new one. Add it to `STORES`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from swath.errors import NotFoundError, StoreError
from swath.store import Stat, Store, copy, join, open_store
from swath.store.local import TEMPORARY
from swath.testing.clouds import azure, google_before
from swath.testing.s3 import MotoServer

STORES = ("local", "memory", "s3", "gs", "az")
MANY = 40  # more than are asked for one by one


@pytest.fixture
def google(s3_bucket: str, moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the name of a bucket of Google's."""
    moto_server.client().put_bucket_acl(Bucket=s3_bucket, ACL="public-read-write")
    with google_before(moto_server.url) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield s3_bucket


@pytest.fixture
def azure_container(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the name of a container of Azure's."""
    with azure() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield "container"


@pytest.fixture(params=STORES)
def root(request: Any, tmp_path: Path) -> str:
    """Return a folder that is empty, on each store."""
    if request.param == "local":
        return str(tmp_path / "root")
    if request.param == "memory":
        return f"memory://{uuid4().hex}/root"
    fixtures = {"s3": "s3_bucket", "gs": "google", "az": "azure_container"}
    return f"{request.param}://{request.getfixturevalue(fixtures[request.param])}/root"


@pytest.fixture
def store(root: str) -> Store:
    return open_store(root)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Return a path whose folder holds nothing else, and see that nothing else is left there."""
    folder = tmp_path / "files"
    folder.mkdir()
    path = folder / "file"
    yield path
    assert {each.name for each in folder.iterdir()} <= {"file"}


def names(store: Store, uri: str) -> list[str]:
    return sorted(name for name, _ in store.list(uri))


def test_what_was_written_is_read_and_replaced(store, root):
    uri = join(root, "deep", "er", "a b#c%20ü.bin")
    for data in (b"\x00\xff", b"", b"longer than before"):
        store.write(uri, data)
        assert store.read(uri) == data
        assert store.stat(uri).size == len(data)
    assert names(store, root) == ["deep/er/a b#c%20ü.bin"]


def test_version_tells_contents_apart_and_is_the_same_wherever_it_is_told(store, root):
    uri = join(root, "a")
    store.write(uri, b"one")
    first = store.stat(uri)
    assert store.stat(uri) == first
    assert store.stats(root, ["a"]) == {"a": first}
    assert dict(store.list(root)) == {"a": first}
    store.write(uri, b"two")
    assert store.stat(uri).version != first.version
    assert first.version


def test_hazard_existence_is_never_told_by_a_prefix(store, root):
    """`model` was found because `model-2` was."""
    store.write(join(root, "model-2"), b"x")
    store.write(join(root, "model.d", "x"), b"x")
    for name in ("model", "mode", "model.d"):
        uri = join(root, name)
        assert not store.exists(uri)
        with pytest.raises(NotFoundError):
            store.stat(uri)
        with pytest.raises(StoreError):
            store.read(uri)
    assert names(store, join(root, "model")) == []
    few = ["model", "model-2", "model.d", "model.d/x"]
    for asked in (few, few + [str(i) for i in range(MANY)]):
        assert store.stats(root, asked).keys() == {"model-2", "model.d/x"}
    store.delete(join(root, "model"))
    assert names(store, root) == ["model-2", "model.d/x"]


def test_what_is_not_there_is_told_by_its_name(store, root, file):
    uri = join(root, "missing")
    for action in (store.stat, store.read, lambda uri: store.get(uri, file)):
        with pytest.raises(NotFoundError, match="root/missing") as caught:
            action(uri)
        assert caught.value.mend
    with pytest.raises(NotFoundError):
        store.copy(uri, join(root, "b"))
    assert not store.exists(uri)
    assert not file.exists()
    assert list(store.list(uri)) == []


def test_stats_of_many_are_those_of_each(store, root):
    paths = [f"{i % 3}/{i}" for i in range(MANY)]
    store.write_many((join(root, path), path.encode()) for path in paths)
    found = store.stats(root, [*paths, "missing", "0"])
    assert found == {path: store.stat(join(root, path)) for path in paths}
    assert store.stats(join(root, "nowhere"), paths) == {}


def test_of_many_who_create_one_object_one_is_told_true(store, root):
    uri = join(root, "deep", "claim")
    texts = [f"writer {i}".encode() for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda text: store.create(uri, text), texts))
    assert told.count(True) == 1
    assert store.read(uri) == texts[told.index(True)]
    assert not store.create(uri, texts[told.index(True)]), "the same bytes are no reason"
    store.delete(uri)
    assert store.create(uri, b"free again")


def test_many_are_written_and_read_in_order(store, root):
    items = [(join(root, f"{i:03}"), str(i).encode()) for i in range(MANY)]
    store.write_many(iter(items))
    assert list(store.read_many(uri for uri, _ in items)) == items
    backwards = [uri for uri, _ in reversed(items)]
    assert [uri for uri, _ in store.read_many(backwards)] == backwards
    with pytest.raises(NotFoundError, match="missing"):
        list(store.read_many([*backwards, join(root, "missing")]))
    assert next(store.read_many(backwards))[1] == b"39"


def test_get_gives_a_copy_that_is_free_to_change(store, root, file):
    uri = join(root, "a")
    store.write(uri, b"old")
    file.write_text("was here")
    store.get(uri, file)
    assert file.read_bytes() == b"old"
    with file.open("ab") as opened:
        opened.write(b" and more")
    assert store.read(uri) == b"old"


def test_put_takes_the_file_away(store, root, file):
    uri = join(root, "deep", "a")
    for text in (b"one", b"two", b""):
        file.write_bytes(text)
        store.put(file, uri)
        assert not file.exists()
        assert store.read(uri) == text


def test_put_of_a_folder_replaces_the_folder(store, root, file):
    for parts in ({"one": b"1", "both": b"1"}, {"both": b"2", "deep/er": b"2"}):
        for name, data in parts.items():
            (file / name).parent.mkdir(parents=True, exist_ok=True)
            (file / name).write_bytes(data)
        store.put(file, join(root, "a"))
        assert not file.exists()
        assert {n: store.read(join(root, "a", n)) for n in names(store, join(root, "a"))} == parts
    assert names(store, root) == ["a/both", "a/deep/er"]


def test_copy_is_independent_of_the_original(store, root):
    one, two = join(root, "one"), join(root, "deep", "two")
    store.write(one, b"old")
    store.copy(one, two)
    store.write(one, b"new")
    assert store.read(two) == b"old"


def test_copy_goes_to_another_store(store, root, tmp_path):
    store.write(join(root, "one"), b"x")
    there = [str(tmp_path / "b" / "two"), f"memory://{uuid4().hex}/two"]
    for target in there:
        copy(join(root, "one"), target)
        assert open_store(target).read(target) == b"x"
    copy(there[1], join(root, "back"))
    assert store.read(join(root, "back")) == b"x"


def test_list_walks_folders_and_leaves_out_what_is_not_finished(store, root):
    for name in ("a", "b/c", "b/d/e", f"{TEMPORARY}x", f"b/{TEMPORARY}folder/x"):
        store.write(join(root, name), name.encode())
    assert sorted((name, stat.size) for name, stat in store.list(root)) == [
        ("a", 1),
        ("b/c", 3),
        ("b/d/e", 5),
    ]
    assert names(store, root + "/") == ["a", "b/c", "b/d/e"]
    assert names(store, join(root, "b")) == ["c", "d/e"]
    assert all(isinstance(stat, Stat) for _, stat in store.list(root))


def test_delete_of_objects_folders_and_nothing(store, root):
    for name in ("a", "b", "c/d", "c/e/f", "c-2"):
        store.write(join(root, name), b"")
    store.delete(join(root, "b"))
    assert names(store, root) == ["a", "c-2", "c/d", "c/e/f"]
    store.delete(join(root, "c"))
    store.delete(join(root, "c"))
    store.delete(join(root, "missing"))
    assert names(store, root) == ["a", "c-2"]


def test_many_threads_share_a_store(store, root):
    def round_trip(i: int) -> bool:
        uri = join(root, str(i))
        store.write(uri, uri.encode())
        return store.exists(uri) and store.read(uri) == uri.encode()

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(round_trip, range(64)))


def test_a_bucket_is_no_object(store, root):
    bucket = "/".join(root.split("/")[:3])
    if "://" not in bucket:
        pytest.skip("a folder of this machine has no bucket")
    for action in (lambda: store.write(bucket, b""), lambda: store.delete(bucket)):
        with pytest.raises(StoreError, match="bucket"):
            action()
    with pytest.raises(NotFoundError):
        store.stat(bucket)
