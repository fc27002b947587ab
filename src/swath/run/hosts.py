"""The instances of one job of SageMaker as an array of splits: which is mine, and how they end.

SageMaker knows no arrays, but jobs of several instances that are told of each other by a file. As
soon as one of them fails it ends the others; so where a run is to go on after a failure, a host
whose split has failed waits for the others before it says so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection
from pathlib import Path

from swath.errors import ConfigError
from swath.run.folder import RunFolder

OPT_ML = "SWATH_OPT_ML"
"""Variable with the folder that stands for ``/opt/ml`` where that is not to be had."""

FILES = ("config/resourceconfig.json", "input/config/resourceconfig.json")
"""Where a processing job, and where a training job finds its hosts, below ``/opt/ml``.

From "How Amazon SageMaker Processing configures your processing container" and "Distributed
training configuration" in the SageMaker developer guide."""

FAILED = "failed"
"""Folder of a run with a mark for each split of such an array that has failed."""

LONGEST_PAUSE_S = 10.0


def host_index() -> int:
    """Return the place of this host among those of its job, from 0.

    Raises
    ------
    ConfigError
        If this is no instance of a job of SageMaker.
    """
    base = Path(os.environ.get(OPT_ML, "/opt/ml"))
    for name in FILES:
        if (base / name).is_file():
            told = json.loads((base / name).read_text())
            return sorted(told["hosts"]).index(told["current_host"])
    raise ConfigError(
        f"there is no {' or '.join(FILES)} in {base}.",
        mend="Start it as a job of SageMaker, or name one assignment of commands/.",
    )


def host_name(index: int, n_hosts: int) -> str:
    """Return the name of the host with this index, as SageMaker names it in logs.

    Examples
    --------
    >>> host_name(1, 12), host_name(1, 3)
    ('algo-10', 'algo-2')
    """
    return sorted(f"algo-{number}" for number in range(1, n_hosts + 1))[index]


def failures(folder: RunFolder) -> set[str]:
    """Return the keys of the splits that are marked as failed."""
    return {name for name, _ in folder.store.list(folder.place(FAILED))}


def forget_failures(folder: RunFolder, keys: Collection[str]) -> None:
    """Remove the marks that an earlier attempt, or an earlier round, left of these splits."""
    for key in failures(folder).intersection(keys):
        folder.remove(f"{FAILED}/{key}")


def note_failure(folder: RunFolder, key: str) -> None:
    """Mark a split as failed."""
    folder.store.write(folder.place(FAILED, key), b"")


def wait_for_others(folder: RunFolder, keys: Collection[str]) -> None:
    """Return when every split of an array is done or has failed.

    One that ended without a word needs no waiting for: SageMaker ends all the others then.
    """
    pause = LONGEST_PAUSE_S / 64
    while not set(keys) <= folder.done() | failures(folder):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
