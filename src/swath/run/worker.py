"""The worker: does the units of one assignment that are not done, and records them.

It is stateless. It reads one JSON file, and whatever kills it, what it recorded is done and what it
did not record is not. Outputs are written beside their place and renamed; the record comes last.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from copy import deepcopy

from swath.errors import InterruptedRunError, SwathError, UnitError
from swath.plan.identity import source_identity
from swath.plan.record import Record, part_uri, read_parts, write_part
from swath.run.assignment import AssignedUnit, Assignment
from swath.run.desk import Desk
from swath.run.events import EventWriter
from swath.run.gpus import take_devices
from swath.run.load import Function, load_function
from swath.run.work import WORK_LOG, SplitValues, Work
from swath.settings import cores
from swath.store import Store, open_store
from swath.store.failures import shown

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "GDAL_NUM_THREADS",
)
"""Variables by which libraries learn, when they are loaded, how many threads they may use."""

FLUSH_S = 0.5
"""A finished unit is on record at the latest after this many seconds, in a young split."""

FLUSH_SHARE = 0.01
"""... and in an old one after this share of its age."""


def threads_of(assignment: Assignment) -> int:
    """Return how many threads this process may use: all cores if the assignment does not say."""
    return assignment.threads or cores()


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
    wants_gpus = bool(left) and assignment.options.get("device") != "cpu"
    devices = take_devices(assignment.resources.gpus) if wants_gpus else []
    values = SplitValues()
    warnings = _WarningEvents(events)
    WORK_LOG.addHandler(warnings)
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
        print(traceback.format_exc(), file=sys.stderr)  # noqa: T201 - the log of the split
        return False
    finally:
        WORK_LOG.removeHandler(warnings)
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
    desk = Desk(assignment, unit)
    last_told = 0.0

    def progress(done: float, total: float, **numbers: float) -> None:
        nonlocal last_told
        now = time.monotonic()
        if now - last_told >= 0.25 or done >= total:
            last_told = now
            # float(): numbers of numpy and torch are not JSON
            told = {name: float(number) for name, number in numbers.items()}
            events.write(
                "progress", unit=unit.name, done=float(done), total=float(total), numbers=told
            )

    try:
        _refuse_changed_sources(unit)
        desk.clear()
        function(
            Work(
                unit=unit.name,
                # Copies: what a function does to them must not reach the next unit.
                params=deepcopy(assignment.params),
                unit_params=deepcopy(unit.params),
                options={"threads": threads_of(assignment)} | deepcopy(dict(assignment.options)),
                inputs=unit.inputs,
                outputs=desk.paths,
                state=desk.state,
                fetch=desk.fetch,
                progress=progress,
                values=values,
            )
        )
        _refuse_changed_sources(unit)
        outputs = desk.publish()
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
                redone=unit.forced,
            )
        )
        if desk.state.exists:  # what would be lost with it must be on record first
            records.flush()
            desk.state.remove()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - sys.exit() in a function, too
        text = traceback.format_exc()
        events.write("unit_failed", unit=unit.name, error=_one_line(error), traceback=text)
        print(f"unit {unit.name} failed\n{text}", file=sys.stderr, flush=True)  # noqa: T201
        return False
    finally:
        desk.close()
    events.write("unit_done", unit=unit.name, seconds=round(seconds, 3), memory=_peak_memory())
    return True


def _one_line(error: BaseException) -> str:
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
                f"{shown(uri)} changed after the run was planned.",
                where=unit.name,
                mend="Run the experiment again; only what reads it will be redone.",
            )


class _WarningEvents(logging.Handler):
    """Tells the user what a function warns of, who does not read logs of what went well."""

    def __init__(self, events: EventWriter) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Write a warning as an event."""
        self._events.write("warning", text=record.getMessage())


class _RecordWriter:
    """Gathers records and writes them in parts.

    A part is written a while after the first record that waits for it, by a timer: the next unit
    may take hours. The while grows with the age of the split, so that a split of many thousand
    units leaves hundreds of parts for the planner to read, and a kill costs a hundredth of what
    was done.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._store: Store = open_store(assignment.folder)
        self._folder = assignment.folder
        self._writer = f"{assignment.run}.{assignment.key}"
        self._waiting: list[Record] = []
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._started = time.monotonic()
        own: list[str] = []
        while self._store.exists(uri := part_uri(self._folder, self._writer, len(own))):
            own.append(uri)
        self._number = len(own)
        self.known = frozenset(read_parts(self._store, own))

    def add(self, record: Record) -> None:
        """Keep a record; it is written at once if its unit took long, else soon."""
        with self._lock:
            self._waiting.append(record)
            patience_s = max(FLUSH_S, FLUSH_SHARE * (time.monotonic() - self._started))
            if record.seconds >= patience_s:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(patience_s, self._flush_soon)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what is waiting."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._waiting:
                write_part(self._store, self._folder, self._writer, self._number, self._waiting)
                self._number += 1
                self._waiting = []

    def _flush_soon(self) -> None:
        with suppress(SwathError):  # it is tried again, and told, by the worker itself
            self.flush()
