"""URIs: which are local, one spelling for each, and the store that serves them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import ConfigError, MissingExtraError
from swath.store import LocalStore, is_local, join, local_path, normalise, open_store
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


def test_store_of_a_uri():
    assert isinstance(open_store("/a"), LocalStore)
    with pytest.raises(MissingExtraError, match=r"s3://bucket.*S3") as caught:
        open_store("s3://bucket")
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match="unknown scheme 'ftp'"):
        open_store("ftp://host/a")
