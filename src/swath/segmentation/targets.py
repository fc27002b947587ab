"""The files that a segmentation will write: all of them are known, and looked at, before any work.

One list for the library, the command line and runners. Not for what is made on the way.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path, PurePosixPath

from swath.errors import ConfigError
from swath.store import is_local, join, local_path, normalise, open_store

LABELS, DESCRIPTION, TABLE, ATTRIBUTES, POLYGONS, CENTRES = (
    "OUT",
    "OUT's .json",
    "--stats-out",
    "OUT's .aux.xml",
    "--polygons",
    "--save-centres",
)
"""What a file is, as errors name it."""

SUFFIXES = {
    LABELS: (".tif", ".tiff"),
    TABLE: (".parquet",),
    CENTRES: (".json",),
}
"""How the name of a file ends that has one format."""

SIDECARS = (".aux.xml", ".ovr", ".msk")
"""Files that programs lay beside labels."""

Where = str | PathLike[str]


def targets_of(
    out: Where,
    *,
    table: Where | None = None,
    has_table: bool = False,
    colours: bool = False,
    polygons: Where | None = None,
    centres: Where | None = None,
) -> dict[str, str]:
    """Return the URI of each file that a segmentation writes, by what it is.

    Parameters
    ----------
    out
        File of the labels.
    table
        File of the statistics; default: beside `out`.
    has_table
        Whether there are to be statistics; with `colours` there always are.
    colours
        Whether a raster attribute table is written beside `out`.
    polygons, centres
        Their files, if they are asked for.

    Examples
    --------
    >>> list(targets_of("/data/map.tif", has_table=True).values())
    ['/data/map.tif', '/data/map.json', '/data/map.parquet']
    """
    labels = normalise(out)
    found = {LABELS: labels, DESCRIPTION: beside(labels, ".json")}
    if has_table or colours:
        found[TABLE] = beside(labels, ".parquet") if table is None else normalise(table)
    if colours:
        found[ATTRIBUTES] = f"{labels}.aux.xml"
    for name, given in ((POLYGONS, polygons), (CENTRES, centres)):
        if given is not None:
            found[name] = normalise(given)
    return found


def beside(target: str, suffix: str) -> str:
    """Return the URI of what lies beside a file, with another suffix.

    Examples
    --------
    >>> beside("s3://bucket/map.tif", ".json")
    's3://bucket/map.json'
    """
    parent, _, name = target.rpartition("/")
    return join(parent, PurePosixPath(name).with_suffix(suffix).name)


def check_targets(
    targets: Mapping[str, str],
    inputs: Iterable[Where],
    overwrite: bool,
    *,
    makes_folders: bool = False,
    is_here: bool = True,
) -> None:
    """Refuse files that are not to be written.

    Parameters
    ----------
    targets
        URIs by what they are, see `targets_of`.
    inputs
        What is read: never replaced.
    overwrite
        True to replace what exists.
    makes_folders
        True if folders that do not exist will be made.
    is_here
        True if this process writes them, which takes local files; a runner brings them anywhere.

    Raises
    ------
    ConfigError
        If a target is read, is another target, too, is a folder, exists and is not to be replaced,
        its name ends otherwise than those of its format, or its folder does not exist or cannot be
        written to.
    """
    read = [normalise(each) for each in inputs]
    taken: dict[str, str] = {}
    for name, target in targets.items():
        if any(_are_same(target, each) for each in read):
            raise ConfigError(
                f"{target} is read, and would be written, too.",
                where=name,
                mend=f"Give another {_asked(name)}: an input is never replaced, not even with "
                f"--overwrite.",
            )
        same = taken.setdefault(_resolved(target), name)
        if same != name:
            raise ConfigError(
                f"{target} would be written twice: as {same} and as {name}.",
                where=name,
                mend=f"Give another {_asked(name) if _asked(name) != 'OUT' else _asked(same)}.",
            )
    for name, target in targets.items():
        _check_name(name, target, is_here)
        if is_local(target):
            _check_local(name, local_path(target), overwrite, makes_folders)
        elif not overwrite and open_store(target).exists(target):
            raise _exists(name, target)


def _check_name(name: str, target: str, is_here: bool) -> None:
    suffixes = SUFFIXES.get(name)
    if suffixes is not None and not target.lower().endswith(suffixes):
        raise ConfigError(
            f"{target} is not named for what it will hold.",
            where=name,
            mend=f"Let it end in {' or '.join(suffixes)}.",
        )
    if is_here and not is_local(target):
        raise ConfigError(
            f"{target} is on a store, and this process writes local files.",
            where=name,
            mend="Give --runner, for example --runner local, or a local file.",
        )


def remove_old(targets: Mapping[str, str]) -> None:
    """Remove what new labels will replace, and what tells of the old ones, labels first.

    That is every target; what programs laid beside the labels; and the table of statistics in its
    usual place, if Swath wrote it. To be called once the first new file is whole.
    """
    labels = targets[LABELS]
    old = [*targets.values(), *(f"{labels}{ending}" for ending in SIDECARS)]
    table = beside(labels, ".parquet")
    if table not in old and is_local(table) and _is_our_table(local_path(table)):
        old.append(table)
    for uri in old:
        if is_local(uri):
            local_path(uri).unlink(missing_ok=True)
        elif open_store(uri).exists(uri):
            open_store(uri).delete(uri)


def _is_our_table(path: Path) -> bool:
    """Tell whether Swath wrote a table, and the labels beside it."""
    try:
        described = json.loads(path.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(described, dict) or "swath" not in described or not path.is_file():
        return False
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(path).names
    except (OSError, pyarrow.ArrowException):
        return False
    return list(names[:2]) == ["id", "n_pixels"]


def _are_same(target: str, read: str) -> bool:
    """Tell whether two names are of one file."""
    if target == read or not (is_local(target) and is_local(read)):
        return target == read
    first, second = local_path(target), local_path(read)
    try:
        if first.resolve() == second.resolve():
            return True
        return first.exists() and second.exists() and first.samefile(second)
    except OSError:
        return False  # what is wrong with the target is told by what follows


def _resolved(target: str) -> str:
    if not is_local(target):
        return target
    try:
        return str(local_path(target).resolve())
    except OSError:
        return target


def _asked(name: str) -> str:
    """Return what decides about the name of a file."""
    return "OUT" if name.startswith("OUT") else name


def _exists(name: str, target: str | Path) -> ConfigError:
    return ConfigError(
        f"{target} exists.", where=name, mend=f"Give --overwrite, or another {_asked(name)}."
    )


def _check_local(name: str, path: Path, overwrite: bool, makes_folders: bool) -> None:
    try:
        if path.is_dir():
            raise ConfigError(
                f"{path} is a folder.",
                where=name,
                mend=f"Give a file, for example {path / 'map.tif'}.",
            )
        if path.exists() and not overwrite:
            raise _exists(name, path)
        if not path.parent.is_dir() and not makes_folders:
            raise ConfigError(
                f"there is no folder {path.parent}.", where=name, mend="Make it first."
            )
        folder = next(each for each in path.parents if each.exists())
        if not folder.is_dir():
            raise _unusable(name, path, f"{folder} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _unusable(name, path, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unusable(name, path, error.strerror or str(error)) from error


def _unusable(name: str, path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be written: {why}.",
        where=name,
        mend=f"Give a {_asked(name)} whose folder exists or can be made.",
    )
