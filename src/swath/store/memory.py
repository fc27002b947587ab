"""Objects in the memory of this process, under ``memory://bucket/key``.

For tests, and for who writes a runner or a command: as strict as an object store, and as quick as
a dict. Not for results: they end with the process.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from swath.errors import NotFoundError, StoreError
from swath.store.local import TEMPORARY, temporary_beside
from swath.store.protocol import Stat

_objects: dict[str, bytes] = {}
_lock = threading.Lock()


class MemoryStore:
    """The store of all ``memory://`` URIs; every instance sees the same objects."""

    def stat(self, uri: str) -> Stat:
        """Return size and hash of an object."""
        return _stat(self.read(uri))

    def stats(self, uri: str, paths: Iterable[str]) -> dict[str, Stat]:
        """Return the stat of each path that exists."""
        prefix = uri.rstrip("/") + "/"
        with _lock:
            found = {path: _objects.get(prefix + path) for path in paths}
        return {path: _stat(data) for path, data in found.items() if data is not None}

    def exists(self, uri: str) -> bool:
        """Tell whether there is an object under exactly this URI."""
        with _lock:
            return uri in _objects

    def read(self, uri: str) -> bytes:
        """Return the whole object."""
        with _lock:
            data = _objects.get(uri)
        if data is None:
            raise NotFoundError(f"there is no {uri}.", mend="Check the URI.")
        return data

    def write(self, uri: str, data: bytes) -> None:
        """Put the whole object."""
        _check(uri)
        with _lock:
            _objects[uri] = bytes(data)

    def create(self, uri: str, data: bytes) -> bool:
        """Put the object if there is none."""
        _check(uri)
        with _lock:
            if uri in _objects:
                return False
            _objects[uri] = bytes(data)
        return True

    def read_many(self, uris: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read one after the other."""
        for uri in uris:
            yield uri, self.read(uri)

    def write_many(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Write one after the other."""
        for uri, data in items:
            self.write(uri, data)

    def get(self, uri: str, path: Path) -> None:
        """Write the object to a temporary name, then rename."""
        data, temporary = self.read(uri), temporary_beside(path)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, path: Path, uri: str) -> None:
        """Take a file, or all files of a folder; those of an earlier folder are gone at once."""
        _check(uri)
        if path.is_dir():
            files = [each for each in path.rglob("*") if each.is_file()]
            new = {f"{uri}/{f.relative_to(path).as_posix()}": f.read_bytes() for f in files}
            with _lock:
                _drop(uri + "/")
                _objects.update(new)
            shutil.rmtree(path)
        else:
            self.write(uri, path.read_bytes())
            path.unlink()

    def copy(self, source: str, target: str) -> None:
        """Put the same bytes under another URI."""
        self.write(target, self.read(source))

    def list(self, uri: str) -> Iterator[tuple[str, Stat]]:
        """Yield what is below the folder at the time of the call, sorted."""
        prefix = uri.rstrip("/") + "/"
        with _lock:
            found = sorted(item for item in _objects.items() if item[0].startswith(prefix))
        for name, data in found:
            path = name.removeprefix(prefix)
            if not any(part.startswith(TEMPORARY) for part in path.split("/")):
                yield path, _stat(data)

    def delete(self, uri: str) -> None:
        """Remove an object, and all below it."""
        _check(uri)
        with _lock:
            _objects.pop(uri, None)
            _drop(uri + "/")


def _stat(data: bytes) -> Stat:
    return Stat(len(data), hashlib.sha256(data).hexdigest())


def _check(uri: str) -> None:
    """Raise for a bucket, and for keys that an object store would not take."""
    key = uri.split("/")[3:]
    if not key or not {"", ".", ".."}.isdisjoint(key):
        raise StoreError(
            f"{uri} is no key in a bucket, or has a part that is empty or only dots.",
            mend="Write memory://bucket/key.",
        )


def _drop(prefix: str) -> None:
    for name in [name for name in _objects if name.startswith(prefix)]:
        del _objects[name]
