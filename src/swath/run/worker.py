"""The worker: does the units of one assignment that are not done, and records them.

It is stateless. It reads one JSON file, and whatever kills it, what it recorded is done and what it
did not record is not. Outputs are written beside their place and renamed; the record comes last.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import resource
import shutil
import socket
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

from swath.errors import InterruptedRunError, SwathError, UnitError
from swath.plan.record import SIDECAR, Record, part_uri, read_parts, write_part
from swath.plan.scan import source_identity
from swath.run.assignment import AssignedUnit, Assignment
from swath.run.events import EventWriter
from swath.run.gpus import take_devices
from swath.run.work import SplitValues, Work
from swath.store import Store, local_path, open_store

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "GDAL_NUM_THREADS",
)
"""Variables by which libraries learn, when they are loaded, how many threads they may use."""

FLUSH_S = 1.0
"""A part of records is written at the latest after this many seconds with a finished unit."""

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
        else:
            module = importlib.import_module(place)
        function = getattr(module, name)
    except (ImportError, AttributeError, FileNotFoundError) as error:
        raise UnitError(
            f"the function {reference} cannot be loaded: {error}.",
            mend="Check that the package or file is there and that it imports.",
        ) from error
    found: Function = getattr(function, "function", function)
    return found


def load_file(path: Path) -> object:
    """Import a Python file as a module named by its path, once per process."""
    name = f"swath_file_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"there is no Python file {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        sys.path.insert(0, str(path.parent))
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        finally:
            sys.path.remove(str(path.parent))
    return sys.modules[name]


def limit_threads(n_threads: int) -> None:
    """Tell libraries that are not loaded yet how many threads this process may use."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(n_threads)


def run_assignment(assignment: Assignment, events: EventWriter) -> bool:
    """Do what is left of an assignment.

    Returns
    -------
    bool
        True if every unit is done.

    Raises
    ------
    InterruptedRunError
        If the process was asked to stop; what was finished is recorded.
    """
    records = _RecordWriter(assignment)
    left = [unit for unit in assignment.units if unit.fingerprint not in records.known]
    events.write("started", pid=os.getpid(), host=socket.gethostname(), n_units=len(left))
    for unit in assignment.units:
        if unit.fingerprint in records.known:
            events.write("unit_skipped", unit=unit.name)
    devices = take_devices(assignment.resources.gpus) if left else []
    values = SplitValues()
    n_failed = 0
    try:
        function = load_function(assignment.function) if left else None
        for unit in left:
            assert function is not None
            if not _run_unit(assignment, unit, function, values, records, events):
                n_failed += 1
                if not assignment.keep_going:
                    break
    except KeyboardInterrupt:
        events.write("interrupted")
        raise InterruptedRunError(f"split {assignment.key} was interrupted.") from None
    except SwathError as error:
        n_failed += 1
        events.write("failed", error=str(error), traceback=traceback.format_exc())
        print(traceback.format_exc(), file=sys.stderr)
        return False
    finally:
        records.flush()
        values.close()
        for descriptor in devices:
            os.close(descriptor)
    if n_failed:
        events.write("failed", error=f"{n_failed} of {len(left)} units failed")
    else:
        events.write("done")
    return n_failed == 0


def _run_unit(
    assignment: Assignment,
    unit: AssignedUnit,
    function: Function,
    values: SplitValues,
    records: _RecordWriter,
    events: EventWriter,
) -> bool:
    """Do one unit; return whether it succeeded."""
    started = time.time()
    desk = _Desk(assignment, unit)
    last_told = 0.0

    def progress(done: float, total: float, **numbers: float) -> None:
        nonlocal last_told
        now = time.monotonic()
        if now - last_told >= 0.25 or done >= total:
            last_told = now
            events.write("progress", unit=unit.name, done=done, total=total, numbers=numbers)

    try:
        _refuse_changed_sources(unit)
        desk.clear()
        function(
            Work(
                unit=unit.name,
                params=assignment.params,
                unit_params=unit.params,
                options={"threads": assignment.threads} | dict(assignment.options),
                inputs=unit.inputs,
                outputs=desk.paths,
                state_dir=desk.state_dir,
                progress=progress,
                values=values,
            )
        )
        _refuse_changed_sources(unit)
        outputs = desk.publish()
    except Exception as error:
        text = traceback.format_exc()
        events.write("unit_failed", unit=unit.name, error=_one_line(error), traceback=text)
        print(f"unit {unit.name} failed\n{text}", file=sys.stderr, flush=True)
        desk.discard()
        return False
    except BaseException:
        desk.discard()
        raise
    seconds = time.time() - started
    records.add(
        Record(
            fingerprint=unit.fingerprint,
            unit=unit.name,
            outputs=outputs,
            started=started,
            seconds=round(seconds, 3),
            peak_memory_bytes=_peak_memory(),
            host=socket.gethostname(),
            run=assignment.run,
        )
    )
    desk.forget_state()
    events.write("unit_done", unit=unit.name, seconds=round(seconds, 3), memory=_peak_memory())
    return True


def _one_line(error: Exception) -> str:
    return str(error) if isinstance(error, SwathError) else f"{type(error).__name__}: {error}"


def _peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _refuse_changed_sources(unit: AssignedUnit) -> None:
    """Refuse to record under a fingerprint what was made from other files."""
    for uri, planned in unit.sources.items():
        if source_identity(uri) != planned:
            raise UnitError(
                f"{uri} changed after the run was planned.",
                where=unit.name,
                mend="Run the experiment again; only what reads it will be redone.",
            )


def _is_alive(pid: int) -> bool:
    """Tell whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Desk:
    """Where a unit's outputs are written before they are published."""

    def __init__(self, assignment: Assignment, unit: AssignedUnit) -> None:
        folder = local_path(assignment.folder)
        self._unit = unit
        self._mine = f".partial-{unit.fingerprint}-{socket.gethostname()}-{os.getpid()}"
        self._folder = folder / self._mine
        self._siblings = f".partial-{unit.fingerprint}-{socket.gethostname()}-*"
        self.state_dir = folder / f".partial-state-{unit.fingerprint}"
        names = {name: f"{name}{Path(uri).suffix}" for name, uri in unit.outputs.items()}
        self.paths = {name: self._folder / file for name, file in names.items()}

    def clear(self) -> None:
        """Remove what dead processes left, and the state of a unit that is to start over."""
        for leftover in self._folder.parent.glob(self._siblings):
            pid = int(leftover.name.rpartition("-")[2])
            if leftover.name == self._mine or not _is_alive(pid):
                shutil.rmtree(leftover, ignore_errors=True)
        if self._unit.forced:
            shutil.rmtree(self.state_dir, ignore_errors=True)
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
            pinned = name in self._unit.pinned
            if pinned:
                store.delete(uri + SIDECAR)
            store.put(path, uri)
            if pinned:
                made_for = {"fingerprint": self._unit.fingerprint, "unit": self._unit.name}
                store.write(uri + SIDECAR, json.dumps(made_for).encode())
        self.discard()
        return sizes

    def discard(self) -> None:
        """Remove what was written and not published."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def forget_state(self) -> None:
        """Remove the state of a unit that is done."""
        shutil.rmtree(self.state_dir, ignore_errors=True)


class _RecordWriter:
    """Gathers records and writes them in parts."""

    def __init__(self, assignment: Assignment) -> None:
        self._store: Store = open_store(assignment.folder)
        self._folder = assignment.folder
        self._writer = f"{assignment.run}.{assignment.key}"
        self._waiting: list[Record] = []
        self._last_flush = time.monotonic() - FLUSH_S
        own: list[str] = []
        while local_path(uri := part_uri(self._folder, self._writer, len(own))).exists():
            own.append(uri)
        self._number = len(own)
        self.known = frozenset(read_parts(self._store, own))

    def add(self, record: Record) -> None:
        """Keep a record, and write a part if the last one is a while ago."""
        self._waiting.append(record)
        if time.monotonic() - self._last_flush >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if self._waiting:
            write_part(self._store, self._folder, self._writer, self._number, self._waiting)
            self._number += 1
            self._waiting = []
        self._last_flush = time.monotonic()
