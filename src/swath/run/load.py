"""Find the code of a kind: a module that every process can import, or a file of the user.

Not for what runs it, see `swath.run.worker`. The one idea: a reference, ``module:name`` or
``/path/file.py:name``, means the same function in every process on this machine.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from swath.errors import UnitError
from swath.run.work import Work

Function = Callable[[Work], None]


def load_function(reference: str) -> Function:
    """Import the function of a kind from ``module:name`` or ``/path/file.py:name``.

    Raises
    ------
    UnitError
        If there is no such module, file or function.
    """
    place, _, name = reference.rpartition(":")
    try:
        if place.endswith(".py"):
            module = load_file(Path(place))
            _keep_at_hand(Path(place).parent)
        else:
            module = importlib.import_module(place)
        function = getattr(module, name)
    except Exception as error:  # the user's file may do anything when it is imported
        raise UnitError(
            f"the function {reference} cannot be loaded: {type(error).__name__}: {error}.",
            mend="Check that the package or file is there and that it imports.",
        ) from error
    found: Function = getattr(function, "function", function)
    return found


local_folders: set[str] = set()
"""Folders from which files were imported: what lies there, a fresh worker finds by file only."""


def load_file(path: Path) -> ModuleType:
    """Import a Python file as a module named by its path, once per process.

    Files beside it can be imported by it; a file of a package is imported as part of that.
    """
    local_folders.add(str(path.parent))
    if (path.parent / "__init__.py").exists():
        return _load_from_package(path)
    name = f"swath_file_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"there is no Python file {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with _first_on_path(path.parent):
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
    return sys.modules[name]


def _load_from_package(path: Path) -> ModuleType:
    root = path.parent
    while (root / "__init__.py").exists():
        root = root.parent
    local_folders.add(str(root))
    with _first_on_path(root):
        module = importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
    if module.__file__ is None or not path.samefile(module.__file__):
        raise ImportError(f"{path} is hidden by {module.__file__}, a module of the same name")
    return module


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _keep_at_hand(folder: Path) -> None:
    """Let the function of a file import what lies beside it also while it runs."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
