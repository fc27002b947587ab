"""The tasks of a run on a Dask cluster: their keys, how they ended, how all of them are stopped.

A scheduler has one task of a key. Where every client makes the same key of run, split and attempt,
nothing is in flight twice, whoever submits it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from swath.errors import RunError
from swath.run.runner import Cause, JobState, RunContext, Seen
from swath.run.runners.dask_cluster import GPU, MEND_GPU, DaskWorker, library
from swath.run.runners.dask_worker import SplitError, stop_splits

STOP_S = 20.0
"""Seconds within which what is cancelled has ended, or it is an error."""


def task_prefix(context: RunContext) -> str:
    """Return what the keys of all tasks of a run begin with."""
    return f"swath-{context.folder.id}"


class Attempts:
    """The number of the current attempt of every split of a run, from 0.

    The scheduler keeps those above 0 for later clients: they live as long as the tasks themselves.
    """

    def __init__(self, client: Any, context: RunContext) -> None:
        self._client = client
        self._prefix = task_prefix(context)
        kept: Mapping[str, int] = client.get_metadata([self._prefix], default={})
        self._numbers = dict(kept)

    def key(self, split: str) -> str:
        """Return the key of the task of a split."""
        return f"{self._prefix}-{split}-{self._numbers.get(split, 0)}"

    def next(self, split: str) -> None:
        """Begin another attempt; before it is submitted, every client knows of it."""
        self._numbers[split] = self._numbers.get(split, 0) + 1
        self._client.set_metadata([self._prefix, split], self._numbers[split])


class Lacks:
    """Since when there has been no worker for what wants some number of GPUs, or none."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[int, float] = {}

    def hopeless(
        self, wanted: Iterable[int], workers: Iterable[DaskWorker], now: float
    ) -> set[int]:
        """Return those of the wanted numbers for which none has come for too long.

        Parameters
        ----------
        wanted
            GPUs that each split in flight wants.
        workers
            All that there are now.
        now
            Seconds of a clock that only goes forward.
        """
        largest = max((worker.n_gpus for worker in workers), default=-1)
        lacking = {n_gpus for n_gpus in wanted if n_gpus > largest}
        self._since = {n_gpus: self._since.get(n_gpus, now) for n_gpus in lacking}
        return {n for n, since in self._since.items() if now - since >= self._patience_s}

    def reason(self, n_gpus: int) -> str:
        """Tell what there was no worker for."""
        if n_gpus:
            what = f"no Dask worker has offered {n_gpus} {GPU}"
            return f"{what} for {self._patience_s:.0f} s. {MEND_GPU}"
        return f"there has been no Dask worker for {self._patience_s:.0f} s."


def seen_of(future: Any) -> Seen:
    """Tell how a task ended."""
    if future.status == "finished":
        return Seen(JobState.DONE)
    if future.status != "error":
        return Seen(JobState.FAILED, "Dask dropped its task", Cause.RECLAIMED)
    error = future.exception()
    if isinstance(error, SplitError):
        cause, reason = error.args
        return Seen(JobState.FAILED, reason, Cause(cause))
    if isinstance(error, library().KilledWorker):
        return Seen(JobState.FAILED, f"its Dask workers died: {error}", Cause.RECLAIMED)
    return Seen(JobState.FAILED, f"{type(error).__name__}: {error}", Cause.WORK)


def stop_tasks(client: Any, context: RunContext) -> None:
    """Let Dask forget every task of a run, end their processes, and wait until they are gone.

    Raises
    ------
    RunError
        If some do not end.
    """
    attempts, done = Attempts(client, context), context.folder.done()
    keys = [attempts.key(split.key) for split in context.splits if split.key not in done]
    client.cancel([library().Future(key, client) for key in keys], force=True)
    end = time.monotonic() + STOP_S
    while True:
        left = client.run(stop_splits, context.folder.uri, on_error="ignore")
        busy = [address for address, n_left in left.items() if n_left]
        if not busy:
            return
        if time.monotonic() > end:
            raise RunError(
                f"splits on the Dask workers {', '.join(busy)} have not ended within {STOP_S} s.",
                where=context.folder.uri,
                mend="Look at these workers; what is left ends with them.",
            )
        time.sleep(0.1)
