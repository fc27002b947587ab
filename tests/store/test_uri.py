"""URIs: which are local, one spelling for each, and the store that serves them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import ConfigError
from swath.store import LocalStore, is_local, join, local_path, normalise, open_store
from swath.store.memory import MemoryStore
from swath.store.objects import ObjectStore
from swath.store.uri import scheme_of


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/b", "/a/b"),
        ("/a/../b/./c/", "/b/c"),
        ("file:///a/b%20c", "/a/b c"),
        ("//a//b", "/a/b"),
        ("S3://Bucket/Key/", "s3://Bucket/Key"),
        ("https://host/a?b=c", "https://host/a?b=c"),
        ("/vsizip//a.zip/b.tif", "/vsizip//a.zip/b.tif"),
    ],
)
def test_one_spelling_for_each_uri(uri, expected):
    assert normalise(uri) == expected


@given(st.text("ab./~ %", min_size=1))
def test_normalising_twice_is_normalising_once(text):
    assert normalise(normalise(text)) == normalise(text)


def test_relative_paths_and_home_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert normalise("a/b") == str(tmp_path / "a" / "b")
    assert normalise(Path("a")) == str(tmp_path / "a")
    assert normalise("~/a") == "/home/me/a"


def test_links_are_not_followed(tmp_path):
    (tmp_path / "latest").symlink_to(tmp_path / "v1")
    assert local_path(tmp_path / "latest" / "a") == tmp_path / "latest" / "a"


def test_schemes_tell_what_is_local():
    assert [scheme_of(u) for u in ("/a", "a:b", "s3://a", "FILE:///a")] == [
        "file",
        "file",
        "s3",
        "file",
    ]
    assert [is_local(u) for u in ("/a", "file:///a", "s3://a/b", "/vsis3/a")] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(ConfigError, match="not a local path"):
        local_path("s3://bucket/a")


def test_parts_are_joined_without_doubled_slashes():
    assert join("s3://bucket/", "a", "b") == "s3://bucket/a/b"
    assert join("/root", "a") == "/root/a"


def test_store_of_a_uri(monkeypatch):
    monkeypatch.setenv("SWATH_STORE_ANONYMOUS", "yes")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert isinstance(open_store("/a"), LocalStore)
    assert isinstance(open_store("memory://bucket/a"), MemoryStore)
    for uri in ("s3://bucket/a", "gs://bucket/a", "az://container/a", "https://host/a"):
        assert isinstance(open_store(uri), ObjectStore)
    with pytest.raises(ConfigError, match="unknown scheme 'ftp'"):
        open_store("ftp://host/a")


def test_the_account_of_a_container_must_be_known(monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ConfigError, match=r"az://container.*Set AZURE_STORAGE_ACCOUNT_NAME"):
        open_store("az://container/a")


def test_without_the_library_the_extra_is_named():
    """Importing stores loads no library, and opening a remote one tells which to install."""
    program = """
import sys
class Absent:
    @staticmethod
    def find_spec(name, *_):
        if name == "obstore":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent)
from swath.errors import MissingExtraError
from swath.store import open_store
open_store("/a")
try:
    open_store("s3://bucket/a")
except MissingExtraError as error:
    print(error)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "obstore.store is not installed; it is needed for s3://" in answer.stdout
    assert "pip install 'swath[cloud]'" in answer.stdout
