"""Where a unit's outputs are written, and how they become visible.

The one idea: a name under which somebody looks for an output never shows a part of it. What is not
published is removed, by this process or by the next one that does the unit.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from swath.errors import UnitError
from swath.plan.record import SIDECAR, sidecar
from swath.run.assignment import AssignedUnit, Assignment
from swath.run.state import StateFolder
from swath.store import local_path, open_store
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
        self._parent = local_path(assignment.folder)
        self._prefix = f"{TEMPORARY}{unit.fingerprint}-{socket.gethostname()}-"
        self._folder = self._parent / f"{self._prefix}{os.getpid()}"
        names = {name: f"{name}{Path(uri).suffix}" for name, uri in unit.outputs.items()}
        self.paths = {name: self._folder / file for name, file in names.items()}
        self.state = StateFolder(
            self._parent / f"{TEMPORARY}state-{unit.fingerprint}",
            self._folder / "state",
            start_over=unit.forced,
        )

    def clear(self) -> None:
        """Make the folder, and remove those of processes of this machine that are dead."""
        for leftover in self._parent.glob(f"{self._prefix}*"):
            pid = leftover.name.removeprefix(self._prefix)
            if leftover == self._folder or (pid.isdecimal() and not _is_alive(int(pid))):
                shutil.rmtree(leftover, ignore_errors=True)
        self._folder.mkdir(parents=True)

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
        shutil.rmtree(self._folder, ignore_errors=True)
        self.state.close()


def _is_alive(pid: int) -> bool:
    """Tell whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
