"""Object stores and web servers: s3://, gs://, az://, http(s)://.

Each method is a request or some, tried again where it failed for a passing reason. Not for how a
service is reached (`connect`) or what its errors mean (`failures`).
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from swath.errors import ForbiddenError, NotFoundError, StoreError
from swath.optional import require
from swath.store import transfer
from swath.store.connect import base_of, connect, is_web, key_of
from swath.store.failures import BrokenTransferError, failure, foreign_errors, shown
from swath.store.local import TEMPORARY, temporary_beside
from swath.store.options import store_options
from swath.store.parallel import in_order
from swath.store.protocol import Stat
from swath.store.retry import Patience, persistently

FEW = 16
"""Up to so many objects are asked for one by one, at once; for more the folder is listed."""

PAGE = 1_000  # objects in one answer of a service, and in one request to remove them
N_RETRIES = 20  # by the library, where one call is many requests: it begins none of them anew
SMALL = 1 << 20  # bytes that a slow line sends long before `QUICK_S`
LARGEST_COPY = 5 << 30  # of S3, in bytes
WRITER = "swathwriter"  # name of the metadata with which a writer knows its own object again

Result = TypeVar("Result")


class ObjectStore:
    """The store of all buckets, containers and web servers; may be used by many threads."""

    def __init__(self) -> None:
        self._options = store_options()

    def stat(self, uri: str) -> Stat:
        """Return size and ETag of an object."""
        if not key_of(uri) and not is_web(uri):
            raise NotFoundError(f"{uri} is a bucket, not an object.", mend="Give an object.")
        at = self._at(uri)
        try:
            return self._try(lambda: transfer.head(at), uri)
        except ForbiddenError:
            if not is_web(uri):
                raise
            return self._try(lambda: transfer.first_byte(at), uri)

    def stats(self, uri: str, paths: Iterable[str]) -> dict[str, Stat]:
        """Return the stat of each path that exists: a few one by one, of many from the listing."""
        wanted = dict.fromkeys(paths)
        if is_web(uri) or len(wanted) <= FEW:
            prefix = uri.rstrip("/") + "/"
            found = in_order(lambda path: self._stat_or_none(prefix + path), wanted)
            pairs = zip(wanted, found, strict=True)
            return {path: stat for path, stat in pairs if stat is not None}
        is_flat = not any("/" in path for path in wanted)
        listed = self._list_flat(uri) if is_flat else self._list(uri)
        return {path: stat for path, stat in listed if path in wanted}

    def exists(self, uri: str) -> bool:
        """Tell whether there is an object under exactly this key."""
        return self._stat_or_none(uri) is not None

    def read(self, uri: str) -> bytes:
        """Return the whole object."""
        at = self._at(uri)
        return self._try(lambda: transfer.receive(at), uri)

    def write(self, uri: str, data: bytes) -> None:
        """Put the whole object in one request."""
        at = self._writable(uri, is_bulk=len(data) > SMALL)
        self._try(lambda: transfer.send(at, data), uri)

    def create(self, uri: str, data: bytes) -> bool:
        """Put the object if there is none, which the service decides.

        A request that failed may have been carried out. The next try then finds an object, and the
        writer's mark in its metadata tells whose it is.
        """
        at, mark = self._writable(uri, is_bulk=len(data) > SMALL), uuid.uuid4().hex
        foreign = require("obstore.exceptions", extra="cloud", purpose="for stores")
        n_tries = 0

        def attempt() -> bool:
            nonlocal n_tries
            n_tries += 1
            try:
                transfer.send(at, data, mode="create", attributes={WRITER: mark})
            except foreign.AlreadyExistsError as error:
                if "ConditionalRequestConflict" in str(error):
                    raise BrokenTransferError(f"others create {uri} at the same time.") from None
                return n_tries > 1 and self._mark(at) == mark
            return True

        return self._try(attempt, uri)

    def read_many(self, uris: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Fetch several at once."""
        return in_order(lambda uri: (uri, self.read(uri)), uris)

    def write_many(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Put several at once."""
        for _ in in_order(lambda item: self.write(*item), items):
            pass

    def get(self, uri: str, path: Path) -> None:
        """Fetch to a temporary name, a large object in parts, then rename."""
        at, temporary = self._at(uri, is_bulk=True), temporary_beside(path)
        receive = partial(
            transfer.receive_file,
            at,
            temporary,
            in_parts=not is_web(uri),
            patience_s=self._options.patience_s,
        )
        temporary.touch()  # a folder that is missing is no failure of the store
        try:
            self._try(receive, uri)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, path: Path, uri: str) -> None:
        """Send a file, or all files of a folder, and remove them here.

        Files of an earlier folder that the new one does not have are removed last. A reader
        may see files of both until this returns; a record that is written after tells the end.
        """
        key = self._writable(uri).key
        if not path.is_dir():
            self._send_file(path, uri)
            path.unlink()
            return
        files = {each.relative_to(path).as_posix(): each for each in _files(path)}
        for _ in in_order(lambda name: self._send_file(files[name], f"{uri}/{name}"), files):
            pass
        old = [name for name, _ in self._list(uri) if name not in files]
        self._delete_keys([f"{key}/{name}" for name in old], uri)
        shutil.rmtree(path)

    def copy(self, source: str, target: str) -> None:
        """Have the service copy, within one bucket; what is too large for it goes through here."""
        stat = self.stat(source)
        old, new = self._at(source), self._writable(target, is_bulk=True)
        if stat.size > LARGEST_COPY:
            with tempfile.TemporaryDirectory(prefix="swath-") as folder:
                self.get(source, path := Path(folder, "copy"))
                self._send_file(path, target)
            return

        def attempt() -> None:
            transfer.library().copy(new.client, old.key, new.key)
            transfer.check_size(new, stat.size)

        self._try(attempt, source)

    def list(self, uri: str) -> Iterator[tuple[str, Stat]]:
        """Page through the keys below the folder; unfinished ones are left out."""
        for path, stat in self._list(uri):
            if not any(part.startswith(TEMPORARY) for part in path.split("/")):
                yield path, stat

    def delete(self, uri: str) -> None:
        """Remove an object, and all below it, 1,000 in a request where the service can."""
        key = self._writable(uri).key
        self._delete_keys([f"{key}/{path}" for path, _ in self._list(uri)], uri)
        self._delete_keys([key], uri)

    def _list_flat(self, uri: str) -> Iterator[tuple[str, Stat]]:
        """Yield the objects of a folder itself, whatever lies in folders below it."""
        at = self._at(uri, n_retries=N_RETRIES)
        found = self._try(lambda: transfer.objects_in(at), uri)
        return ((path[len(at.key) + 1 :] if at.key else path, stat) for path, stat in found)

    def _list(self, uri: str) -> Iterator[tuple[str, Stat]]:
        """Yield all objects; a page that failed is asked for again, and those before it are not."""
        if is_web(uri):
            raise StoreError(
                f"{shown(uri)} is on a web server, which cannot be listed.",
                mend="Name its files, or use an object store.",
            )
        client, key, _ = self._at(uri)
        last: str | None = None
        patience = Patience(self._options.patience_s)
        while True:
            try:
                for page in transfer.library().list(client, key or None, offset=last):
                    for meta in page:
                        last = meta["path"]
                        yield (last[len(key) + 1 :] if key else last), transfer.stat_of(meta)
                    patience = Patience(self._options.patience_s)
            except foreign_errors() as error:
                found = failure(error, uri)
                if not found.passing or not patience.wait():
                    raise found.error from None
            else:
                return

    def _delete_keys(self, keys: Sequence[str], uri: str) -> None:
        def delete(paths: Sequence[str]) -> None:
            self._try(lambda: transfer.library().delete(client, paths), uri)

        client = self._at(uri).client
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            try:
                delete(page)
            except NotFoundError:  # some services mind that one is gone, and leave the rest
                for key in page:
                    with suppress(NotFoundError):
                        delete([key])

    def _stat_or_none(self, uri: str) -> Stat | None:
        try:
            return self.stat(uri)
        except NotFoundError:
            return None

    def _mark(self, at: transfer.Remote) -> str | None:
        """Return the mark of the writer of an object."""
        return self._try(lambda: transfer.attributes(at), at.uri).get(WRITER)

    def _send_file(self, path: Path, uri: str) -> None:
        if path.stat().st_size <= transfer.PART_BYTES:
            self.write(uri, path.read_bytes())
            return
        at = self._at(uri, n_retries=N_RETRIES, is_bulk=True)
        self._try(lambda: transfer.send_file(at, path), uri)

    def _at(self, uri: str, *, n_retries: int = 0, is_bulk: bool = False) -> transfer.Remote:
        client = connect(base_of(uri), self._options, n_retries=n_retries, is_bulk=is_bulk)
        return transfer.Remote(client, key_of(uri), uri)

    def _writable(self, uri: str, *, is_bulk: bool = False) -> transfer.Remote:
        """Return an object that is to be written or removed."""
        if is_web(uri):
            raise ForbiddenError(
                f"{shown(uri)} is on a web server, which is only read from.",
                mend="Write to a local folder or to an object store: s3://, gs:// or az://.",
            )
        if not key_of(uri):
            raise StoreError(f"{uri} is a bucket, not an object.", mend="Name a key in it.")
        return self._at(uri, is_bulk=is_bulk)

    def _try(self, action: Callable[[], Result], uri: str) -> Result:
        return persistently(action, uri, self._options.patience_s)


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder; what a link points to counts, unless it is nothing."""
    return [path for path in folder.rglob("*") if path.is_file()]
