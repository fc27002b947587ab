"""Where a unit's outputs are written, and how they become visible.

The one idea: a name under which somebody looks for an output never shows a part of it. What is not
published is removed, by this process or by the next one that does the unit. Outputs for a disk are
written beside their place and renamed; those for an object store are written to a scratch folder of
this machine and put as whole objects, and inputs from a store are copied there.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from swath.errors import UnitError
from swath.plan.record import SIDECAR, sidecar
from swath.run.assignment import AssignedUnit, Assignment
from swath.run.machine import is_alive
from swath.run.state import State, StateFolder, StoredState
from swath.settings import key_of
from swath.store import is_local, join, local_path, open_store
from swath.store.local import TEMPORARY


class Desk:
    """The place of work for one attempt at one unit.

    Attributes
    ----------
    paths
        Output name to the local path to write it to.
    state
        Of the unit, over all attempts.
    """

    def __init__(self, assignment: Assignment, unit: AssignedUnit) -> None:
        self._unit = unit
        self._parent = local_path(assignment.folder) if is_local(assignment.folder) else scratch()
        self._prefix = f"{TEMPORARY}{unit.fingerprint}-{socket.gethostname()}-"
        self._folder = self._parent / f"{self._prefix}{os.getpid()}"
        names = {name: f"{name}{Path(uri).suffix}" for name, uri in unit.outputs.items()}
        self.paths = {name: self._folder / file for name, file in names.items()}
        self.state: State
        if is_local(assignment.folder):
            shared = self._parent / f"{TEMPORARY}state-{unit.fingerprint}"
            private = self._folder / "state"
            self.state = StateFolder(shared, private, start_over=unit.forced)
        else:
            kept = join(assignment.folder, "state", unit.fingerprint)
            self.state = StoredState(kept, self._folder / "state", start_over=unit.forced)

    def clear(self) -> None:
        """Make the folder, and remove those of processes of this machine that are dead."""
        self._parent.mkdir(parents=True, exist_ok=True)
        for leftover in self._parent.glob(f"{self._prefix}*"):
            pid = leftover.name.removeprefix(self._prefix)
            if leftover == self._folder or (pid.isdecimal() and not is_alive(int(pid))):
                shutil.rmtree(leftover, ignore_errors=True)
        self._folder.mkdir(parents=True)

    def fetch(self, uris: Sequence[str]) -> list[str]:
        """Return a local path for each input; what lies on a store is copied here first."""
        remote = [uri for uri in uris if not is_local(uri) and not uri.startswith("/vsi")]
        if not remote:
            return list(uris)
        from swath.store.cache import fetch_many

        paths = dict(zip(remote, fetch_many(remote, self._folder / "inputs"), strict=True))
        return [str(paths.get(uri, uri)) for uri in uris]

    def publish(self) -> dict[str, tuple[str, int]]:
        """Rename every output into place; return URI and size of each."""
        sizes: dict[str, tuple[str, int]] = {}
        for name, path in self.paths.items():
            if not path.is_file():
                raise UnitError(
                    f"the output {name!r} was declared and not written.",
                    where=self._unit.name,
                    mend=f"Write it to the path that work.output({name!r}) gives.",
                )
            sizes[name] = (self._unit.outputs[name], path.stat().st_size)
        for name, path in self.paths.items():
            uri = self._unit.outputs[name]
            store = open_store(uri)
            if name not in self._unit.pinned:
                store.put(path, uri)
                continue
            # Without its sidecar, neither the old file nor the new one is anybody's.
            store.delete(uri + SIDECAR)
            store.put(path, uri)
            store.write(uri + SIDECAR, sidecar(self._unit.fingerprint, self._unit.name))
        return sizes

    def close(self) -> None:
        """Remove what was written and not published; the state stays, unless it was removed."""
        self.state.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def scratch() -> Path:
    """Return the folder of this machine for what is not finished: ``run.scratch``, or TMPDIR."""
    chosen = os.environ.get(key_of("run.scratch").variable) or tempfile.gettempdir()
    return Path(chosen) / f"swath-{os.getuid()}"
