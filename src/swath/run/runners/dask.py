"""The `dask` runner: each split is a task of a Dask cluster, and a child process of its worker.

Our loop starts what is ready, as much at once as the workers have threads; Dask finds it a place,
and another if that is lost. What has been started needs no client, and a later one joins it. Where
workers come from is told in `dask_cluster`, how tasks are named and stopped in `dask_tasks`, what a
worker does in `dask_worker`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from swath.errors import RunError
from swath.run.drive import DrivenRunner
from swath.run.folder import CANCELLED
from swath.run.runner import Abilities, Cause, Finding, JobState, RunContext, Runner, Seen
from swath.run.runners.dask_cluster import (
    GPU,
    connect,
    findings_of_cluster,
    findings_of_scheduler,
    is_of_this_machine,
    library,
    make_cluster,
    quiet,
    workers_of,
)
from swath.run.runners.dask_tasks import Attempts, Lacks, seen_of, stop_tasks, task_prefix
from swath.run.runners.dask_worker import run_split
from swath.run.splits import RunSplit
from swath.run.worker_arguments import split_arguments
from swath.settings import Settings, cores

LARGEST_WINDOW = 5000
"""Tasks in flight at most; a scheduler slows down with tens of thousands."""

LOOK_S = 5.0
"""Seconds between two looks at the workers, at most."""

_LOG = logging.getLogger(__name__)


def make_runner(settings: Settings) -> Runner:
    """Return the runner."""
    return DrivenRunner(DaskBackend(settings))


class DaskBackend:
    """Starts splits on a Dask cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._address = settings["dask.address"]
        self._window = settings.count("dask.workers", cores())
        self._patience_s = settings.count("dask.patience_s", 0)
        self._lacks = Lacks(self._patience_s)
        self._looked = 0.0
        self._held = ExitStack()
        self._client: Any = None
        self._context: RunContext | None = None
        self._attempts: Attempts | None = None
        self._in_flight: dict[str, tuple[RunSplit, Any]] = {}
        self._ended: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    @property
    def abilities(self) -> Abilities:
        """What is planned for; once it is open, as much at once as the workers have threads.

        A thread of a Dask worker stands for one core, as is the custom there.
        """
        of_this_machine = is_of_this_machine(self._settings)
        return Abilities(
            parallelism=self._window,
            sees_local_files=of_this_machine or self._settings.is_on("dask.shared_files"),
            shares_cores=of_this_machine,
            cpus=1,
            outlives_client=self._address is not None,
            needs_client=True,
        )

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check the scheduler and its workers, or what a cluster is to be made of."""
        if self._address is None:
            return findings_of_cluster(self._settings)
        return findings_of_scheduler(self._settings, splits)

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return the tasks."""
        return [
            {
                "key": f"{task_prefix(context)}-{split.key}-0",
                "command": ["swath", *split_arguments(context.folder, split.key)],
                "resources": self._resources(split),
            }
            for split in context.splits
        ]

    def open(self, context: RunContext) -> None:
        """Connect to the scheduler, or make a cluster, and look at its workers."""
        self._context = context
        name = task_prefix(context)
        try:
            self._held.enter_context(quiet())
            if self._address is not None:
                client = connect(self._settings, name)
            else:
                cluster = self._held.enter_context(make_cluster(self._settings))
                client = library().Client(cluster, name=name, set_as_default=False)
            self._client = self._held.enter_context(client)
            self._attempts = Attempts(self._client, context)
            self._look_at_workers()
        except BaseException:  # of the user, too: a cluster must not be left behind
            self.close()
            raise

    def start(self, split: RunSplit) -> None:
        """Submit a split, or join the task of its key that is in flight."""
        self._refuse_lost_connection()
        assert self._context is not None
        assert self._attempts is not None
        limit_s = split.resources.time_limit_s
        future = self._client.submit(
            run_split,
            self._context.folder.uri,
            split.key,
            json.dumps(self._settings.variables("store.", "run.scratch")),
            "" if limit_s is None else str(limit_s),
            key=self._attempts.key(split.key),
            resources=self._resources(split),
            pure=False,
            retries=0,
        )
        if self._address is not None:
            library().fire_and_forget(future)
        self._in_flight[split.key] = split, future
        future.add_done_callback(lambda ended: self._ended.put((split.key, ended)))

    def wait(self, timeout_s: float) -> Mapping[str, Seen]:
        """Return what has ended, and what no worker can take."""
        self._refuse_lost_connection()
        assert self._attempts is not None
        seen: dict[str, Seen] = {}
        for key, future in self._new_ends(timeout_s):
            if key not in self._in_flight or self._in_flight[key][1] is not future:
                continue  # it was given up meanwhile
            del self._in_flight[key]
            seen[key] = seen_of(future)
            if seen[key].cause is Cause.RECLAIMED and future.status == "error":
                self._attempts.next(key)
        if time.monotonic() - self._looked >= min(LOOK_S, self._patience_s):
            seen |= self._look_at_workers()
        return seen

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """Return which splits Dask has given to a worker."""
        with self._reached(context) as client:
            if client is None:
                return {}
            attempts, placed = Attempts(client, context), client.processing()
        worker_of = {key: address for address, keys in placed.items() for key in keys}
        keys = {split.key: attempts.key(split.key) for split in context.splits}
        return {
            split: Seen(JobState.RUNNING, f"on the Dask worker {worker_of[key]}")
            for split, key in keys.items()
            if key in worker_of
        }

    def cancel(self, context: RunContext) -> None:
        """Stop every task and its process; returns when they are gone.

        Where the scheduler cannot be reached, the workers find the mark in the folder of the run.

        Raises
        ------
        RunError
            If one does not end.
        """
        if not context.folder.has(CANCELLED):
            context.folder.write(CANCELLED, {"time": time.time()})
        with self._reached(context) as client:
            if client is not None:
                stop_tasks(client, context)
        self._in_flight.clear()

    def logs(self, context: RunContext, key: str) -> str:  # noqa: ARG002
        """Keep nothing: the processes of the splits write the logs of the run."""
        return ""

    def close(self) -> None:
        """Disconnect; a cluster made for the run is closed, and with it what still runs there."""
        try:
            if self._address is None and self._in_flight:
                assert self._context is not None
                stop_tasks(self._client, self._context)
        finally:
            self._in_flight.clear()
            self._client = None
            self._held.close()

    def _resources(self, split: RunSplit) -> dict[str, int]:
        """Return what a worker must offer; processes of this machine share its GPUs by locks."""
        if split.resources.gpus == 0 or is_of_this_machine(self._settings):
            return {}
        return {GPU: split.resources.gpus}

    def _refuse_lost_connection(self) -> None:
        if self._client.status not in {"running", "connecting"}:
            place = self._address or self._settings["dask.cluster"]
            raise RunError(
                f"the connection to the Dask scheduler of {place} is lost.",
                mend="Run again to go on; what was started may still be running.",
            )

    @contextmanager
    def _reached(self, context: RunContext) -> Iterator[Any]:
        """Yield a client, that of this run or one for once; None if there is no scheduler."""
        if self._client is not None or self._address is None:
            yield self._client
            return
        try:
            client = connect(self._settings, task_prefix(context))
        except RunError as error:
            _LOG.warning("%s", error)  # a run can be asked for and given up without its scheduler
            yield None
            return
        with client:
            yield client

    def _new_ends(self, timeout_s: float) -> Iterator[tuple[str, Any]]:
        try:
            yield self._ended.get(timeout=timeout_s)
            while True:
                yield self._ended.get_nowait()
        except Empty:
            return

    def _look_at_workers(self) -> dict[str, Seen]:
        """Fit the window to the workers, and give up what none of them could take for long."""
        self._looked, workers = time.monotonic(), workers_of(self._client)
        # More than there are threads, where the user says so: clusters that adapt grow then.
        n_slots = sum(worker.n_slots for worker in workers)
        self._window = min(
            LARGEST_WINDOW, max(n_slots, self._settings.count("dask.workers", default=1))
        )
        wanted = {k: self._resources(s).get(GPU, 0) for k, (s, _) in self._in_flight.items()}
        hopeless = self._lacks.hopeless(wanted.values(), workers, self._looked)
        given_up = [key for key, n_gpus in wanted.items() if n_gpus in hopeless]
        if given_up:
            self._client.cancel([self._in_flight.pop(key)[1] for key in given_up], force=True)
        return {key: Seen(JobState.GONE, self._lacks.reason(wanted[key])) for key in given_up}
