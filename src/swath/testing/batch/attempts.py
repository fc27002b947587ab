"""Attempts of jobs: slots and GPUs of queues, containers, time limits, retries.

Everything here happens under the lock of the fake; only the wait for a container does not.
"""

from __future__ import annotations

import json
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from swath.testing.batch.jobs import EXITED, Ending, Job, now_ms, without_none
from swath.testing.batch.limits import OVERRIDES_CHARACTERS
from swath.testing.batch.queues import Queue
from swath.testing.batch.retry import is_retried
from swath.testing.containers import STOP_PATIENCE_S, Container, Machine
from swath.testing.logs import LogBook
from swath.testing.model import Json

LOG_GROUP = "/aws/batch/job"
TIMED_OUT = Ending("Job attempt duration exceeded timeout", final=True)
OUT_OF_MEMORY = Ending(
    EXITED, reason="OutOfMemoryError: Container killed due to memory usage", exit_code=137
)


class Attempts:
    """Runs the containers of jobs, as many at once as their queues have slots and GPUs.

    Parameters
    ----------
    changed
        The lock; notified when a job changes its state.
    machine
        Where containers run.
    logs
        Where they print.
    second_s
        How long a second of the service's time limits lasts here.
    memory_needed
        How much memory, in MiB, a job pretends to need, 0 for most.
    over
        Called with a job, its last state and the reason, once no attempt follows.
    """

    def __init__(
        self,
        changed: threading.Condition,
        machine: Machine,
        logs: LogBook,
        *,
        second_s: float,
        memory_needed: Callable[[Job], int],
        over: Callable[[Job, str, str], None],
    ) -> None:
        self._changed = changed
        self._machine = machine
        self._logs = logs
        self._second_s = second_s
        self._memory_needed = memory_needed
        self._over = over
        self._threads: set[threading.Thread] = set()
        self._closing = False

    def add(self, job: Job) -> None:
        """Take a job that is RUNNABLE; it starts when its queue has room for it."""
        job.queue.runnable.append(job)
        self._start(job.queue)

    def end(self, job: Job, ending: Ending, *, patience_s: float = STOP_PATIENCE_S) -> bool:
        """End the present attempt of a job from outside; return whether there is one."""
        if job.status not in {"STARTING", "RUNNING"} or job.ending is not None:
            return False
        job.ending = ending
        if job.container is not None:
            if patience_s:
                job.container.stop(patience_s * self._second_s)
            else:
                job.container.signal(signal.SIGKILL)
        return True

    def close(self) -> None:
        """Start nothing more."""
        with self._changed:
            self._closing = True

    def join(self) -> None:
        """Wait until the threads of all attempts have ended; the machine is closed before."""
        for thread in list(self._threads):
            thread.join()

    def _start(self, queue: Queue) -> None:
        """Start what there is a free slot, and free GPUs, for."""
        later: list[Job] = []
        while queue.runnable and queue.n_running < queue.slots and not self._closing:
            job = queue.runnable.popleft()
            if job.status != "RUNNABLE":
                continue  # cancelled meanwhile
            if job.settings.gpus > len(queue.free_gpus):
                later.append(job)
                continue
            job.devices = [queue.free_gpus.pop(0) for _ in range(job.settings.gpus)]
            job.status, job.ending = "STARTING", None
            queue.n_running += 1
            thread = threading.Thread(target=self._run, args=(job,), name=job.id, daemon=True)
            self._threads.add(thread)
            thread.start()
        queue.runnable.extendleft(reversed(later))

    def _run(self, job: Job) -> None:
        """Run the container of a job once; the body of a thread."""
        stream = f"{job.definition.name}/default/{uuid.uuid4().hex}"
        detail = {"logStreamName": stream, "taskArn": f"{job.arn}/attempt/{len(job.attempts) + 1}"}
        environment = container_environment(job)
        log = self._logs.open(LOG_GROUP, stream)
        refusal = _refusal(job, environment)
        container, started_ms, code = None, None, None
        if refusal is None:
            try:
                container = self._machine.start(job.settings.command, environment, log)
            except OSError as error:
                reason = f"CannotStartContainerError: {error.filename}: {error.strerror}"
                refusal = Ending("Task failed to start", reason=reason)
        if container is not None:
            started_ms = now_ms()
            with self._running(job, container, detail, started_ms):
                code = self._machine.wait(container)
        with self._changed:
            self._threads.discard(threading.current_thread())
            self._close(job, refusal or job.ending, code, started_ms, detail)
            self._start(job.queue)
            self._changed.notify_all()

    @contextmanager
    def _running(
        self, job: Job, container: Container, detail: Json, started_ms: int
    ) -> Iterator[None]:
        """Show a job as running, within its time limit."""
        timer = None
        with self._changed:
            job.container, job.container_detail = container, detail
            job.status, job.started_ms = "RUNNING", started_ms
            if job.ending is None and self._memory_needed(job) > job.settings.memory_mib:
                job.ending = OUT_OF_MEMORY
            if job.ending is not None:  # or terminated while it started
                container.signal(signal.SIGKILL)
            elif job.timeout_s is not None:
                limit_s = job.timeout_s * self._second_s
                timer = threading.Timer(limit_s, self._time_out, (job, container))
                timer.daemon = True
                timer.start()
            self._changed.notify_all()
        yield
        if timer is not None:
            timer.cancel()

    def _time_out(self, job: Job, container: Container) -> None:
        with self._changed:
            if job.container is container:
                self.end(job, TIMED_OUT)

    def _close(
        self,
        job: Job,
        ending: Ending | None,
        code: int | None,
        started_ms: int | None,
        detail: Json,
    ) -> None:
        """Note what came of an attempt, and decide whether there is another one."""
        job.queue.n_running -= 1
        job.queue.free_gpus = sorted(job.queue.free_gpus + job.devices)
        job.devices, job.container = [], None
        succeeded = ending is None and code == 0
        ending = ending or Ending(EXITED)
        exit_code = None if ending.is_lost else ending.exit_code or code
        seen = {"exitCode": exit_code, "reason": ending.reason}
        job.container_detail = detail | without_none(seen)
        attempt = {
            "container": job.container_detail,
            "startedAt": started_ms,
            "stoppedAt": now_ms(),
            "statusReason": ending.status_reason,
        }
        job.attempts.append(without_none(attempt))
        again = not ending.final and is_retried(
            job.strategy,
            len(job.attempts),
            status_reason=ending.status_reason,
            reason=ending.reason,
            exit_code=exit_code,
        )
        if succeeded or not again:
            self._over(job, "SUCCEEDED" if succeeded else "FAILED", ending.status_reason)
        else:
            job.status = "RUNNABLE"
            job.queue.runnable.append(job)


def container_environment(job: Job) -> dict[str, str]:
    """Return the variables of a job's container, with those that Batch sets."""
    own = {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": str(len(job.attempts) + 1),
        "AWS_BATCH_JQ_NAME": job.queue.name,
        "AWS_BATCH_CE_NAME": job.queue.environment_name,
    }
    if job.parent is not None:
        own["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        own["AWS_BATCH_JOB_ARRAY_SIZE"] = str(job.parent.size)
    if job.devices:
        own["NVIDIA_VISIBLE_DEVICES"] = ",".join(map(str, job.devices))
    return job.settings.environment | own


def _refusal(job: Job, environment: dict[str, str]) -> Ending | None:
    """Return why ECS would not even start the task of a job."""
    overrides = {
        "command": job.settings.command,
        "environment": [{"name": key, "value": value} for key, value in environment.items()],
    }
    if len(json.dumps(overrides)) > OVERRIDES_CHARACTERS:
        told = f"Container Overrides length must be at most {OVERRIDES_CHARACTERS}"
        return Ending(told)
    return None
