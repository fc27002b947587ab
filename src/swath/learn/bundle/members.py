"""What is in a bundle, and the zip that holds it.

Not for what the members mean (`write`, `read`). One idea: the names are a closed list, so a bundle
from elsewhere cannot write outside its folder; and the zip has fixed times, order and no
compression, so the same members are the same bytes.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from swath.errors import DataError

REQUIRED = (
    "bundle.json",
    "item.json",
    "experiment.json",
    "model.json",
    "model.safetensors",
    "model.onnx",
    "stats.json",
    "history.csv",
    "golden/image.npy",
    "golden/valid.npy",
    "golden/expected.npy",
)
OPTIONAL = ("scores.json",)

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_MODE = 0o100644 << 16


def write_zip(path: Path, members: Mapping[str, Path]) -> None:
    """Write files into a zip, in the order of the list above."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in (*REQUIRED, *OPTIONAL):
            if name not in members:
                assert name in OPTIONAL, f"{name} is required"
                continue
            info = zipfile.ZipInfo(name, _TIME)
            info.external_attr = _MODE
            info.create_system = 3  # Unix, wherever it is written
            info.file_size = members[name].stat().st_size
            with members[name].open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def extract_zip(path: Path, folder: Path) -> None:
    """Lay the members of a bundle into a folder.

    Raises
    ------
    DataError
        If it is no bundle: no zip, a member missing, or one that does not belong, such as a path
        that leads out of the folder.
    """
    try:
        with _opened(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            _check_names(names, path)
            damaged = archive.testzip()
            if damaged is not None:
                raise DataError(
                    f"{damaged!r} is damaged.", where=str(path), mend="Copy the bundle again."
                )
            for name in names:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, target.open("wb") as member:
                    shutil.copyfileobj(source, member, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(
            f"it is no bundle: {error}.",
            where=str(path),
            mend="Give the bundle.zip that the command 'bundle' wrote.",
        ) from None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise DataError(
            "the bundle does not exist.", where=str(path), mend="Check the path."
        ) from None
    except OSError as error:
        raise DataError(
            f"the bundle cannot be read: {error.strerror}.",
            where=str(path),
            mend="Give the bundle.zip that the command 'bundle' wrote; check that you may read it.",
        ) from error


def _check_names(names: list[str], path: Path) -> None:
    foreign = sorted(set(names) - {*REQUIRED, *OPTIONAL})
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in REQUIRED if name not in names]
    for what, found in (
        ("it holds members that do not belong in a bundle", foreign),
        ("it holds members twice", twice),
        ("it is no bundle: members are missing", missing),
    ):
        if found:
            raise DataError(
                f"{what}: {', '.join(found)}.",
                where=str(path),
                mend="Use a bundle from a source that you trust, as 'swath' wrote it.",
            )
