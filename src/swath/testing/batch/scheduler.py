"""The order of jobs: which may run, and what one's end means to those that wait for it.

Everything here happens under the lock of the fake. Whatever others wait for is a *key* with an
outcome: ``<job id>`` once a job succeeded or failed, ``<array id>#spawned`` once the children of
an array are there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from swath.testing.batch.attempts import Attempts
from swath.testing.batch.jobs import Ending, Job, now_ms
from swath.testing.containers import Machine
from swath.testing.logs import LogBook

DEPENDENCY_FAILED = "Dependent Job failed"
CHILD_FAILED = "Array Child Job failed"
NEVER_FITS = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is "
    "higher than that can be met by the CE(s) attached to the job queue."
)


class Scheduler:
    """Has jobs run in the order of their dependencies.

    Parameters
    ----------
    changed
        The lock; notified when a job changes its state.
    machine, logs, second_s, memory_needed
        See `Attempts`.
    """

    def __init__(
        self,
        changed: threading.Condition,
        machine: Machine,
        logs: LogBook,
        *,
        second_s: float,
        memory_needed: Callable[[Job], int],
    ) -> None:
        self.jobs: dict[str, Job] = {}
        self.attempts = Attempts(
            changed,
            machine,
            logs,
            second_s=second_s,
            memory_needed=memory_needed,
            over=self._over,
        )
        self._changed = changed
        self._outcomes: dict[str, bool] = {}
        self._listeners: dict[str, list[Job]] = {}
        self._news: deque[tuple[str, bool]] = deque()

    # ------------------------------------------------------------ requests

    def submit(self, job: Job) -> None:
        """Take a job; it starts when all that it depends on has succeeded."""
        self.jobs[job.id] = job
        keys = [
            f"{item['jobId']}#spawned" if item.get("type") == "N_TO_N" else item["jobId"]
            for item in job.request.get("dependsOn", ())
            if item.get("type") != "SEQUENTIAL"
        ]
        self._wait_for(job, keys)
        self._tell()

    def cancel(self, job: Job, reason: str) -> None:
        """End a job that has not been started; a job that has is left alone."""
        job.is_cancelled = True
        self._end_unstarted(job, reason)
        self._tell()

    def terminate(self, job: Job, reason: str) -> None:
        """End a job wherever it stands; children of an array too."""
        job.is_terminated = True
        self._end_unstarted(job, reason)
        for each in (*job.children, job):
            self.attempts.end(each, Ending(reason, final=True))
        self._tell()

    # ------------------------------------------------------------ order

    def _wait_for(self, job: Job, keys: list[str]) -> None:
        if any(self._outcomes.get(key) is False for key in keys):
            self._finish(job, "FAILED", DEPENDENCY_FAILED)
            return
        for key in keys:
            if key not in self._outcomes:
                job.waiting.add(key)
                self._listeners.setdefault(key, []).append(job)
        if job.waiting:
            job.status = "PENDING"
        else:
            self._release(job)

    def _release(self, job: Job) -> None:
        if job.size is not None:
            self._spawn(job)
            return
        job.status = "RUNNABLE"
        if job.queue.offers(job.settings):
            self.attempts.add(job)
        else:
            job.status_reason = NEVER_FITS

    def _spawn(self, parent: Job) -> None:
        """Make the children of an array; the parent is PENDING until they are all done."""
        parent.status = "PENDING"
        dependencies = parent.request.get("dependsOn", ())
        paired = [item["jobId"] for item in dependencies if item.get("type") == "N_TO_N"]
        sequential = any(item.get("type") == "SEQUENTIAL" for item in dependencies)
        for index in range(parent.size or 0):
            child = Job(
                f"{parent.id}:{index}",
                parent.request,
                parent.queue,
                parent.definition,
                parent.settings,
                parent,
                index,
            )
            parent.children.append(child)
            self.jobs[child.id] = child
        parent.n_unfinished = len(parent.children)
        self._news.append((f"{parent.id}#spawned", True))
        for child in parent.children:
            keys = [f"{other}:{child.index}" for other in paired]
            if sequential and child.index:
                keys.append(f"{parent.id}:{child.index - 1}")
            self._wait_for(child, keys)

    def _finish(self, job: Job, status: str, reason: str | None) -> None:
        job.status, job.status_reason, job.stopped_ms = status, reason, now_ms()
        self._news.append((job.id, status == "SUCCEEDED"))
        if job.size is not None and not job.children:
            self._news.append((f"{job.id}#spawned", False))
        parent = job.parent
        if parent is not None:
            parent.n_unfinished -= 1
            if parent.n_unfinished == 0:
                failed = any(child.status == "FAILED" for child in parent.children)
                outcome = ("FAILED", CHILD_FAILED) if failed else ("SUCCEEDED", None)
                self._finish(parent, *outcome)

    def _tell(self) -> None:
        """Tell everybody who waits for it what has happened, one after the other."""
        while self._news:
            key, succeeded = self._news.popleft()
            self._outcomes[key] = succeeded
            for job in self._listeners.pop(key, ()):
                job.waiting.discard(key)
                if job.is_finished:
                    continue
                if not succeeded:
                    self._finish(job, "FAILED", DEPENDENCY_FAILED)
                elif not job.waiting:
                    self._release(job)
        self._changed.notify_all()

    def _over(self, job: Job, status: str, reason: str) -> None:
        self._finish(job, status, reason)
        self._tell()

    def _end_unstarted(self, job: Job, reason: str) -> None:
        for each in job.children or [job]:
            if each.status in {"SUBMITTED", "PENDING", "RUNNABLE"}:
                self._finish(each, "FAILED", reason)
