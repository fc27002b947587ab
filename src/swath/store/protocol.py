"""What a store is: a handful of methods over whole objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol


class Stat(NamedTuple):
    """What is known of an object without reading it.

    Attributes
    ----------
    size
        Bytes.
    version
        Changes whenever the content does: the time of modification in nanoseconds, or an ETag.
    """

    size: int
    version: str


class Store(Protocol):
    """Objects under URIs; a URI is given whole, with its scheme.

    Every method raises `NotFoundError` when there is nothing, `ForbiddenError` when the user may
    not, `ThrottledError` when the service asks to come slower and went on to after several tries,
    and `StoreError` otherwise. A folder is not an object: existence is never tested by prefix.
    """

    def stat(self, uri: str) -> Stat:
        """Return size and version of one object."""
        ...

    def stats(self, uri: str, paths: Iterable[str]) -> dict[str, Stat]:
        """Return the stat of those `paths`, relative to the folder `uri`, that are objects.

        For 100,000 of them at once: a store that takes a request for each lists the folder.
        """
        ...

    def exists(self, uri: str) -> bool:
        """Tell whether there is an object under exactly this URI."""
        ...

    def read(self, uri: str) -> bytes:
        """Return the whole object."""
        ...

    def write(self, uri: str, data: bytes) -> None:
        """Put the whole object at once: a reader sees the old one or the new one."""
        ...

    def create(self, uri: str, data: bytes) -> bool:
        """Put the object unless there is one; of several who try at once, one is told True."""
        ...

    def read_many(self, uris: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each URI with its whole object, in the given order; several are fetched at once."""
        ...

    def write_many(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Put many objects, several at once; when it returns all are there."""
        ...

    def get(self, uri: str, path: Path) -> None:
        """Copy the whole object to a local file, at once; its folder exists."""
        ...

    def put(self, path: Path, uri: str) -> None:
        """Move a finished local file (or folder) to its place, at once; `path` is gone after."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Make `target` the same bytes as `source`, at once."""
        ...

    def list(self, uri: str) -> Iterator[tuple[str, Stat]]:
        """Yield every object below the folder `uri`, with its path relative to it; none if none."""
        ...

    def delete(self, uri: str) -> None:
        """Remove an object, or a folder with all below it; nothing there is no error."""
        ...
