"""Files of this machine, written to a temporary name and renamed."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from urllib.parse import unquote, urlsplit

from swath.errors import ForbiddenError, NotFoundError, StoreError
from swath.store.protocol import Stat

TEMPORARY = ".partial-"
"""Prefix of the name of whatever is not finished; listings leave it out."""

_serial = itertools.count()


def temporary_beside(path: Path) -> Path:
    """Return a name in the same folder that no other process or thread uses."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{next(_serial)}")


def flush_to_disk(path: Path) -> None:
    """Return when a file, or a folder with all that is in it, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if S_ISDIR(os.fstat(descriptor).st_mode):
            for child in path.iterdir():
                if not child.is_symlink():
                    flush_to_disk(child)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_name(path: Path) -> None:
    """Flush that a file of this name is in its folder, which is not what is in the file."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they survive a loss of power."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _flush_name(each)


@contextmanager
def _mapped(uri: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no {uri}.", mend="Check the path.") from None
    except PermissionError as error:
        raise ForbiddenError(
            f"{uri} may not be used: {error.strerror}.", mend="Check its owner and permissions."
        ) from error
    except OSError as error:
        raise StoreError(f"{uri}: {error.strerror or error}.") from error


@contextmanager
def _gone_after(temporary: Path) -> Iterator[Path]:
    """Remove the file in the end, if it was not renamed."""
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """Give a temporary file with this content, flushed to disk, in the folder of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _gone_after(temporary_beside(path)) as temporary:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary


def _path(uri: str) -> Path:
    """Return the path that a plain path, or a URI that begins with ``file://``, names."""
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file://") else uri)


class LocalStore:
    """The store of plain paths."""

    def stat(self, uri: str) -> Stat:
        """Return size and time of modification in nanoseconds of a file."""
        with _mapped(uri):
            found = _path(uri).stat()
        if S_ISDIR(found.st_mode):
            raise NotFoundError(f"{uri} is a folder, not a file.", mend="Give a file.")
        return Stat(found.st_size, str(found.st_mtime_ns))

    def stats(self, uri: str, paths: Iterable[str]) -> dict[str, Stat]:
        """Return the stat of each path that exists: one by one, cheaper here than to list."""
        result: dict[str, Stat] = {}
        prefix = f"{_path(uri)}/"
        with _mapped(uri):
            for path in paths:
                try:
                    found = os.stat(prefix + path)  # noqa: PTH116 - a Path costs more than the call
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if not S_ISDIR(found.st_mode):
                    result[path] = Stat(found.st_size, str(found.st_mtime_ns))
        return result

    def exists(self, uri: str) -> bool:
        """Tell whether there is a file under exactly this path."""
        try:
            self.stat(uri)
        except NotFoundError:
            return False
        return True

    def read(self, uri: str) -> bytes:
        """Return the whole file."""
        with _mapped(uri):
            return _path(uri).read_bytes()

    def write(self, uri: str, data: bytes) -> None:
        """Write to a temporary name, flush to disk, rename."""
        with _mapped(uri), _written_beside(_path(uri), data) as temporary:
            temporary.replace(_path(uri))

    def create(self, uri: str, data: bytes) -> bool:
        """Write to a temporary name, and link the file to its own: a link never replaces."""
        with _mapped(uri), _written_beside(_path(uri), data) as temporary:
            try:
                os.link(temporary, _path(uri))
            except FileExistsError:
                # NFS repeats a request whose answer was lost, and then finds our own link there.
                return temporary.stat().st_nlink > 1
        return True

    def read_many(self, uris: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read one after the other: the files of one machine do not wait for a network."""
        for uri in uris:
            yield uri, self.read(uri)

    def write_many(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Write one after the other."""
        for uri, data in items:
            self.write(uri, data)

    def get(self, uri: str, path: Path) -> None:
        """Copy to a temporary name, then rename; the copy is free to be written to."""
        with _mapped(uri), _gone_after(temporary_beside(path)) as temporary:
            shutil.copyfile(uri, temporary)
            temporary.replace(path)

    def put(self, path: Path, uri: str) -> None:
        """Flush a file or folder to disk, rename it into place; what was there is replaced.

        After a loss of power the target is the old one or the new one, and the new one once this
        has returned: so a record that is written afterwards never outlives what it tells of.
        """
        target = _path(uri)
        with _mapped(uri):
            _make_folder(target.parent)
            flush_to_disk(path)
            if target.is_dir() and path.is_dir():  # a file never takes the place of a folder
                old = temporary_beside(target)
                target.replace(old)
                shutil.rmtree(old)
            try:
                path.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                temporary = temporary_beside(target)
                shutil.move(path, temporary)
                flush_to_disk(temporary)
                temporary.replace(target)
            _flush_name(target)

    def copy(self, source: str, target: str) -> None:
        """Link to the same bytes where the file system can, else copy; then rename."""
        path = _path(target)
        with _mapped(source):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_beside(path)
            try:
                os.link(_path(source), temporary)
            except OSError:
                shutil.copy2(_path(source), temporary)
            temporary.replace(path)

    def list(self, uri: str) -> Iterator[tuple[str, Stat]]:
        """Walk the folder; unfinished files are left out."""
        first = str(_path(uri))
        prefix = len(first) + 1
        pending = [first]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.startswith(TEMPORARY):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                            continue
                        try:
                            found = entry.stat()
                        except FileNotFoundError:
                            continue  # removed while we looked, or a link to nothing
                        yield entry.path[prefix:], Stat(found.st_size, str(found.st_mtime_ns))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                with _mapped(folder):
                    raise

    def delete(self, uri: str) -> None:
        """Remove a file or a whole folder."""
        path = _path(uri)
        with _mapped(uri):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
