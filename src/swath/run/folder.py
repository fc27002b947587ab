"""The folder of one run: where its plan, assignments, events and logs lie, on a disk or a store.

Whoever follows, asks after or cancels a run needs nothing else, on whatever machine they are.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from swath.errors import ConfigError, NotFoundError, StoreError
from swath.plan.command import Pipeline
from swath.run.assignment import Assignment
from swath.store import Store, is_local, join, local_path, normalise, open_store

LATEST = "latest.json"
"""File of an experiment that names its last run."""

PLAN = "plan.json"
"""The graph as it was run, with reasons; a folder without it is no run."""

RUN = "run.json"
"""Which runner has the run, and what its later clients need to know."""

OUTCOME = "outcome.json"
"""How the run ended; there is none while it goes on."""

CANCELLED = "cancelled.json"
"""Mark for every client: somebody has cancelled the run."""

_IDS = "ids"
"""Folder beside the runs on an object store, with an empty object for each."""


class RunFolder:
    """Names and files of one run, below ``<root>/runs/<id>``.

    Attributes
    ----------
    uri, id, root
        Of the run, and the root URI that it lies below.
    store
        The store of all its files.
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = normalise(uri)
        self.id = self.uri.rpartition("/")[2]
        self.root = self.uri.rpartition("/runs/")[0]
        self.store: Store = open_store(self.uri)

    @classmethod
    def named(cls, root: str | Path) -> RunFolder:
        """Name a new run, whose id sorts by time; nothing is written."""
        now = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        fraction = int(now % 1 * 16**3)  # names sort by time, also within a second
        return cls(join(normalise(root), "runs", f"{stamp}-{fraction:03x}{secrets.token_hex(1)}"))

    @classmethod
    def create(cls, root: str | Path) -> RunFolder:
        """Name a new run, and make its folders where there are folders."""
        folder = cls.named(root)
        if folder.is_local:
            for name in ("commands", "events", "logs", "done"):
                (folder.path / name).mkdir(parents=True)
        return folder

    @classmethod
    def find(cls, run: str, root: str | None) -> RunFolder:
        """Return the run of this id, or folder, or the latest of `root` for ``"latest"``.

        Raises
        ------
        ConfigError
            If there is no such run.
        """
        if "/" in run or (is_local(run) and (Path(run) / PLAN).is_file()):
            folder = cls(run)
            if folder.store.exists(join(folder.uri, PLAN)):
                return folder
        found = {folder.id: folder for folder in runs_of(root)} if root is not None else {}
        if run == "latest" and found:
            return found[max(found)]
        if run in found:
            return found[run]
        if root is None:
            raise ConfigError(
                f"{run!r} is no folder of a run.",
                mend="Give the folder of a run, or its id or latest with --root ROOT_URI.",
            )
        recent = ", ".join(sorted(found, reverse=True)[:3]) or "none"
        raise ConfigError(
            f"there is no run {run!r}; the latest in {root}/runs are: {recent}.",
            mend="Give the folder of a run, or its id and --root.",
        )

    @property
    def is_local(self) -> bool:
        """True if it lies on a disk of this machine, or one that looks like it."""
        return is_local(self.uri)

    @property
    def path(self) -> Path:
        """The folder as a path; only if it `is_local`."""
        return local_path(self.uri)

    @property
    def machine_path(self) -> Path:
        """The folder for what belongs to this machine: locks, the Makefile and what make prints."""
        if self.is_local:
            return self.path
        base = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
        return Path(base) / "swath" / "runs" / self.id

    def place(self, *parts: str) -> str:
        """Return the URI of a file of this run."""
        return join(self.uri, *parts)

    def assignment_uri(self, key: str) -> str:
        """Return where the assignment of a split lies."""
        return self.place("commands", f"{key}.json")

    def read_plan(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        data: dict[str, Any] = json.loads(self.store.read(self.place(PLAN)))
        return data

    def read(self, name: str) -> Any:
        """Return a JSON file of this run; None if there is none."""
        try:
            return json.loads(self.store.read(self.place(name)))
        except NotFoundError:
            return None

    def write(self, name: str, data: object) -> None:
        """Write a JSON file of this run, at once."""
        # Without indents: json then uses its encoder in C, seconds less for 100,000 units.
        self.store.write(self.place(name), json.dumps(data).encode())

    def remove(self, name: str) -> None:
        """Remove a file of this run; nothing there is no error."""
        self.store.delete(self.place(name))

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return self.store.exists(self.place(name))

    def write_assignments(self, assignments: Iterable[Assignment]) -> None:
        """Write what the worker of each split reads."""
        if not self.is_local:
            self.store.write_many((self.assignment_uri(a.key), a.to_json()) for a in assignments)
            return
        for assignment in assignments:  # not flushed one by one: the plan comes last, and is
            path = self.path / "commands" / f"{assignment.key}.json"
            path.write_bytes(assignment.to_json())

    def register(self) -> None:
        """Let the run be found: on a store, folders are not listed without all that is in them."""
        if not self.is_local:
            self.store.write(join(self.root, "runs", _IDS, self.id), b"")

    def read_all(self, folder: str) -> dict[str, Any]:
        """Return every JSON file directly in a folder of this run, by name without its ending."""
        place = self.place(folder)
        names = sorted(n for n, _ in self.store.list(place) if n.endswith(".json"))
        read = self.store.read_many(join(place, name) for name in names)
        texts = (text for _, text in read)
        return {
            name.removesuffix(".json"): json.loads(text)
            for name, text in zip(names, texts, strict=True)
        }

    def mark_done(self, key: str) -> None:
        """Note that every unit of a split is done: the truth about a split, for every runner."""
        if self.is_local:
            (self.path / "done").mkdir(exist_ok=True)
            (self.path / "done" / key).touch()
        else:
            self.store.write(self.place("done", key), b"")

    def done(self) -> set[str]:
        """Return the keys of the splits that are done."""
        return {name for name, _ in self.store.list(self.place("done"))}


def last_run(pipeline: Pipeline) -> RunFolder | None:
    """Return the folder that the experiment's pointer to its last run names; None without one."""
    pointer = join(pipeline.root, "experiments", pipeline.id, LATEST)
    try:
        return RunFolder(json.loads(open_store(pointer).read(pointer))["folder"])
    except (StoreError, ValueError, TypeError, KeyError):  # none yet, or damaged
        return None


def runs_of(root: str | Path) -> Iterator[RunFolder]:
    """Yield the runs of a root, oldest first."""
    place = join(normalise(root), "runs")
    if is_local(place):
        for path in sorted(local_path(place).glob(f"*/{PLAN}")):
            yield RunFolder(path.parent)
        return
    for run, _ in sorted(open_store(place).list(join(place, _IDS))):
        yield RunFolder(join(place, run))
