"""The store of plain paths: whole objects, at once, and nothing told by a prefix."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swath.errors import ForbiddenError, NotFoundError, StoreError
from swath.store import LocalStore, Store
from swath.store.local import TEMPORARY, temporary_beside

STORE: Store = LocalStore()  # a static assertion, too: it is a Store


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_was_written_is_read(tmp_path):
    uri = str(tmp_path / "deep" / "er" / "file.bin")
    STORE.write(uri, b"\x00\xff")
    assert STORE.read(uri) == b"\x00\xff"
    assert STORE.stat(uri).size == 2
    assert STORE.exists(uri)
    assert [p.name for p in Path(uri).parent.iterdir()] == ["file.bin"]


def test_version_changes_with_the_content(tmp_path):
    uri = str(tmp_path / "a")
    STORE.write(uri, b"1")
    before = STORE.stat(uri)
    os.utime(uri, ns=(1, 1))
    assert STORE.stat(uri).version != before.version


def test_hazard_existence_is_never_told_by_a_prefix(tmp_path):
    STORE.write(str(tmp_path / "model-2"), b"x")
    STORE.write(str(tmp_path / "model.d" / "x"), b"x")
    for name in ("model", "mode", "model.d"):
        uri = str(tmp_path / name)
        assert not STORE.exists(uri)
        with pytest.raises(NotFoundError):
            STORE.stat(uri)
    assert list(STORE.list(str(tmp_path / "model"))) == []
    assert STORE.stats(str(tmp_path), ["model", "model-2", "model.d", "model.d/x"]).keys() == {
        "model-2",
        "model.d/x",
    }


@pytest.mark.parametrize("action", ["stat", "read"])
def test_what_is_not_there_is_told_by_its_name(tmp_path, action):
    uri = str(tmp_path / "missing")
    with pytest.raises(NotFoundError, match=r"missing\. Check the path"):
        getattr(STORE, action)(uri)
    (tmp_path / "file").touch()
    with pytest.raises(NotFoundError):
        getattr(STORE, action)(str(tmp_path / "file" / "below"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_hazard_what_may_not_be_read_is_not_reported_as_missing(tmp_path):
    """S3 permission errors were reported as "does not exist"."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "a").write_text("x")
    folder.chmod(0)
    try:
        for action in (STORE.exists, STORE.stat, STORE.read):
            with pytest.raises(ForbiddenError, match="may not be used"):
                action(str(folder / "a"))
        with pytest.raises(ForbiddenError):
            STORE.stats(str(folder), ["a"])
    finally:
        folder.chmod(0o700)


def test_reading_a_folder_is_an_error_of_the_store(tmp_path):
    with pytest.raises(StoreError):
        STORE.read(str(tmp_path))


def test_writers_at_one_time_leave_one_whole_file(tmp_path):
    uri = str(tmp_path / "a")
    texts = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=STORE.write, args=(uri, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert STORE.read(uri) in texts
    assert names(tmp_path) == ["a"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    uri = str(tmp_path / "a")
    STORE.write(uri, b"old")
    with pytest.raises(TypeError):
        STORE.write(uri, "text is not bytes")
    assert STORE.read(uri) == b"old"
    assert names(tmp_path) == ["a"]


def test_of_many_who_create_one_file_one_is_told_true_and_its_content_is_there(tmp_path):
    uri = str(tmp_path / "deep" / "a")
    texts = [bytes([i]) * 100_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda text: STORE.create(uri, text), texts))
    assert sum(told) == 1
    assert STORE.read(uri) == texts[told.index(True)]
    assert names(tmp_path / "deep") == ["a"]


def test_create_is_not_fooled_by_the_echo_of_its_own_link(tmp_path, monkeypatch):
    """NFS repeats a request whose answer was lost, and reports that the name is taken."""
    link = os.link

    def twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert STORE.create(str(tmp_path / "a"), b"x")
    assert not STORE.create(str(tmp_path / "a"), b"y")


def test_get_gives_a_file_that_may_be_written_to(tmp_path):
    uri, path = str(tmp_path / "a"), tmp_path / "copy"
    STORE.write(uri, b"old")
    STORE.get(uri, path)
    with path.open("ab") as file:
        file.write(b" and more")
    assert STORE.read(uri) == b"old"
    with pytest.raises(NotFoundError, match="missing"):
        STORE.get(str(tmp_path / "missing"), path)
    assert sorted(names(tmp_path)) == ["a", "copy"]


def test_put_moves_and_replaces(tmp_path):
    new, uri = tmp_path / "new", str(tmp_path / "deep" / "a")
    for text in ("one", "two"):
        new.write_text(text)
        STORE.put(new, uri)
        assert not new.exists()
        assert STORE.read(uri) == text.encode()


def test_put_of_a_folder_replaces_the_folder(tmp_path):
    for name in ("one", "two"):
        new = tmp_path / "new"
        new.mkdir()
        (new / name).touch()
        STORE.put(new, str(tmp_path / "a"))
    assert names(tmp_path / "a") == ["two"]
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_put_flushes_content_before_and_name_after_the_rename(tmp_path, monkeypatch, kind):
    """A record that survived a loss of power told of an output that did not."""
    new, target = tmp_path / "new", tmp_path / "deep" / "er" / "a"
    content = new if kind == "file" else new / "part"
    content.parent.mkdir(exist_ok=True)
    content.write_text("x")
    before, after, fsync = set(), set(), os.fsync

    def noted(descriptor):
        (after if target.exists() else before).add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    inodes = {content.stat().st_ino, new.stat().st_ino}
    monkeypatch.setattr(os, "fsync", noted)
    STORE.put(new, str(target))
    folders_made_in = {tmp_path.stat().st_ino, (tmp_path / "deep").stat().st_ino}
    assert before == inodes | folders_made_in
    assert after == {target.parent.stat().st_ino}


def test_put_of_a_folder_leaves_links_in_it_alone(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "link").symlink_to("nowhere")
    STORE.put(tmp_path / "new", str(tmp_path / "a"))
    assert names(tmp_path / "a") == ["link"]


def test_put_of_a_file_never_removes_a_folder(tmp_path):
    (tmp_path / "new").touch()
    STORE.write(str(tmp_path / "folder" / "precious"), b"x")
    with pytest.raises(StoreError):
        STORE.put(tmp_path / "new", str(tmp_path / "folder"))
    assert STORE.exists(str(tmp_path / "folder" / "precious"))


def test_copy_is_independent_of_the_original(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "deep" / "two")
    STORE.write(one, b"old")
    STORE.copy(one, two)
    STORE.write(one, b"new")
    assert STORE.read(two) == b"old"
    with pytest.raises(NotFoundError):
        STORE.copy(str(tmp_path / "missing"), two)


def test_list_walks_folders_and_leaves_out_what_is_not_finished(tmp_path):
    for name in ("a", "b/c", "b/d/e"):
        STORE.write(str(tmp_path / name), name.encode())
    (tmp_path / f"{TEMPORARY}x").touch()
    STORE.write(str(tmp_path / f"{TEMPORARY}folder" / "x"), b"")
    (tmp_path / "broken").symlink_to("nowhere")
    assert sorted((p, s.size) for p, s in STORE.list(str(tmp_path))) == [
        ("a", 1),
        ("b/c", 3),
        ("b/d/e", 5),
    ]
    assert sorted(p for p, _ in STORE.list(str(tmp_path) + "/")) == ["a", "b/c", "b/d/e"]
    assert list(STORE.list(str(tmp_path / "nowhere"))) == []


def test_delete_of_files_folders_and_nothing(tmp_path):
    STORE.write(str(tmp_path / "a" / "b"), b"")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    STORE.delete(str(tmp_path / "link"))
    assert STORE.exists(str(tmp_path / "a" / "b"))
    STORE.delete(str(tmp_path / "a"))
    STORE.delete(str(tmp_path / "a"))
    assert names(tmp_path) == []


def test_temporary_names_are_never_equal(tmp_path):
    names = {temporary_beside(tmp_path / "a") for _ in range(100)}
    assert len(names) == 100
    assert all(name.parent == tmp_path for name in names)


def test_uri_of_a_file_names_the_same_file(tmp_path):
    """``file://`` with what a URI has to escape."""
    store = LocalStore()
    uri = f"file://{tmp_path}/a%20b/c.txt"
    store.write(uri, b"x")
    assert (tmp_path / "a b" / "c.txt").read_bytes() == b"x"
    assert store.read(uri) == b"x"
    assert store.exists(uri)
    assert [name for name, _ in store.list(f"file://{tmp_path}")] == ["a b/c.txt"]
    store.copy(uri, f"file://{tmp_path}/d.txt")
    assert set(store.stats(f"file://{tmp_path}", ["d.txt", "e.txt"])) == {"d.txt"}
    store.delete(uri)
    assert not store.exists(uri)
