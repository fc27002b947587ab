"""Files on a command line: what is read, and what may be written."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from swath.errors import ConfigError


def check_target(
    target: Path, inputs: Iterable[Path], overwrite: bool, *, where: str = "OUT"
) -> None:
    """Refuse a target that is a folder or an input, or that exists and is not to be replaced."""
    try:
        taken, is_folder = target.exists(), target.is_dir()
        read = [path for path in inputs if path.resolve() == target.resolve()]
        if taken:  # two names of one file, too
            read += [path for path in inputs if path.exists() and path.samefile(target)]
    except OSError as error:
        raise _unusable(target, where, error) from error
    if read:
        raise ConfigError(
            f"{target} is read, and would be written, too.",
            where=where,
            mend=f"Give another {where}: an input is never replaced, not even with --overwrite.",
        )
    if is_folder:
        raise ConfigError(
            f"{target} is a folder.",
            where=where,
            mend=f"Give a file, for example {target / 'map.tif'}.",
        )
    if taken and not overwrite:
        raise ConfigError(f"{target} exists.", mend=f"Give --overwrite, or another {where}.")
    folder = next(each for each in target.absolute().parents if each.exists())
    if not folder.is_dir():
        raise _unusable(target, where, NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder"))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(
            target, where, PermissionError(errno.EACCES, f"{folder} may not be written to")
        )


def make_folder_of(target: Path, *, where: str = "OUT") -> None:
    """Make the folder of a file that will be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(target, where, error) from error


def _unusable(target: Path, where: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"{target} cannot be written: {error.strerror}.",
        where=where,
        mend=f"Give a {where} whose folder exists or can be made.",
    )


def parse_bands(text: str | None) -> tuple[int, ...] | None:
    """Return bands, 0-based, from a list with commas."""
    if text is None:
        return None
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text, re.ASCII):
        raise ConfigError(
            f"{text!r} is no list of bands, which are counted from 0.",
            where="--bands",
            mend="Write, for example, --bands 0,1,2.",
        )
    return tuple(int(part) for part in text.split(","))


def parse_nodata(value: float | None) -> float | Literal["nan"] | None:
    """Return a value of missing pixels as a declaration takes it."""
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "nan"
    raise ConfigError(
        f"{value} is no value of missing pixels.",
        where="--nodata",
        mend="Give a number, or nan.",
    )
