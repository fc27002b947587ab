"""Executions of pipelines: which steps may start, and what comes of them.

Everything here happens under the lock of the fake; only the wait for a job does not.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from swath.testing.model import Json
from swath.testing.sagemaker.definition import PipelineDefinition, StepDefinition
from swath.testing.sagemaker.jobs import Job, JobRunner

FINAL = frozenset({"Succeeded", "Failed", "Stopped"})
FAULT_REASONS = {
    "Step.SERVICE_FAULT": "ServiceFault: the service had an internal error.",
    "Step.THROTTLING": "ThrottlingException: Rate exceeded",
    "SageMaker.JOB_INTERNAL_ERROR": "InternalServerError: We encountered an internal error.",
    "SageMaker.CAPACITY_ERROR": (
        "CapacityError: Unable to provision requested ML compute capacity. Please retry using a "
        "different ML instance type."
    ),
    "SageMaker.RESOURCE_LIMIT": (
        "ResourceLimitExceeded: The account-level service limit is 0 Instances."
    ),
}


@dataclass(eq=False)
class Step:
    """A step of one execution.

    Attributes
    ----------
    arguments
        Variables replaced.
    status
        None until it starts.
    """

    definition: StepDefinition
    arguments: Json
    status: str | None = None
    failure: str | None = None
    started: float | None = None
    ended: float | None = None
    n_attempts: int = 0
    job: Job | None = None

    def detail(self) -> Json:
        """Return what ListPipelineExecutionSteps tells."""
        told: Json = {
            "StepName": self.definition.name,
            "StepStatus": self.status,
            "StartTime": self.started,
            "EndTime": self.ended,
            "FailureReason": self.failure,
            "AttemptCount": self.n_attempts,
            "Metadata": {},
        }
        if self.job is not None:
            told["Metadata"] = {f"{self.definition.type}Job": {"Arn": self.job.arn}}
        return {key: value for key, value in told.items() if value is not None}


@dataclass(eq=False)
class Execution:
    """One execution of a pipeline.

    Attributes
    ----------
    parallelism
        Steps that run at once, None for any number.
    """

    pipeline_arn: str
    request: Json
    definition: PipelineDefinition
    parallelism: int | None
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    steps: dict[str, Step] = field(default_factory=dict)
    status: str = "Executing"
    created: float = field(default_factory=time.time)
    changed: float = field(default_factory=time.time)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"{self.pipeline_arn}/execution/{self.id}"

    @property
    def variables(self) -> dict[str, str]:
        """What steps may get as ``Execution.<name>``."""
        return {
            "PipelineName": self.pipeline_arn.rpartition("/")[2],
            "PipelineExecutionId": self.id,
            "PipelineExecutionArn": self.arn,
            "StartDateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created)),
        }

    @property
    def failure(self) -> str | None:
        """Why it failed."""
        if self.status != "Failed":
            return None
        return "Step failure: One or multiple steps failed."

    def detail(self) -> Json:
        """Return what DescribePipelineExecution tells."""
        told = {
            "PipelineArn": self.pipeline_arn,
            "PipelineExecutionArn": self.arn,
            "PipelineExecutionDisplayName": self.request.get("PipelineExecutionDisplayName"),
            "PipelineExecutionDescription": self.request.get("PipelineExecutionDescription"),
            "PipelineExecutionStatus": self.status,
            "FailureReason": self.failure,
            "CreationTime": self.created,
            "LastModifiedTime": self.changed,
        }
        if self.parallelism is not None:
            told["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": self.parallelism}
        return {key: value for key, value in told.items() if value is not None}

    def summary(self) -> Json:
        """Return what ListPipelineExecutions tells."""
        detail = self.detail()
        told = {
            "PipelineExecutionArn": self.arn,
            "StartTime": self.created,
            "PipelineExecutionStatus": self.status,
            "PipelineExecutionDisplayName": detail.get("PipelineExecutionDisplayName"),
            "PipelineExecutionDescription": detail.get("PipelineExecutionDescription"),
            "PipelineExecutionFailureReason": self.failure,
        }
        return {key: value for key, value in told.items() if value is not None}


class Executions:
    """Starts steps whose dependencies have succeeded, no more than `slots` at once.

    Parameters
    ----------
    changed
        The lock; notified when a step or an execution changes its state.
    runner
        Runs their jobs.
    slots
        Steps that run at once, of all executions.
    next_fault
        Takes the fault of the service that the next attempt of a step meets, None for most.
    """

    def __init__(
        self,
        changed: threading.Condition,
        runner: JobRunner,
        *,
        slots: int,
        second_s: float,
        next_fault: Callable[[Step], str | None],
    ) -> None:
        self.all: dict[str, Execution] = {}
        self.jobs: dict[str, Job] = {}
        self._changed = changed
        self._runner = runner
        self._slots = slots
        self._second_s = second_s
        self._next_fault = next_fault
        self._n_running = 0
        self._threads: set[threading.Thread] = set()
        self._closing = False

    def start(self, execution: Execution) -> None:
        """Take an execution."""
        self.all[execution.arn] = execution
        self._advance(execution)

    def stop(self, execution: Execution) -> None:
        """Stop what runs of an execution, and start no more of it."""
        execution.status, execution.changed = "Stopping", time.time()
        for step in execution.steps.values():
            if step.status in {"Starting", "Executing"}:
                step.status = "Stopping"
                if step.job is not None:
                    self._runner.stop(step.job)
        self._advance(execution)

    def retry(self, execution: Execution) -> None:
        """Go on with an execution: whatever has not succeeded is done again."""
        for step in execution.steps.values():
            if step.status != "Succeeded":
                step.status = step.failure = step.started = step.ended = step.job = None
                step.n_attempts = 0
        execution.status = "Executing"
        self._advance(execution)

    def close(self) -> None:
        """Start nothing more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the threads of all steps have ended; the machine is closed before."""
        for thread in list(self._threads):
            thread.join()

    def _advance(self, execution: Execution) -> None:
        """Start what can be started; note the end if nothing is left to wait for."""
        steps = execution.steps
        running = [
            step for step in steps.values() if step.status is not None and step.status not in FINAL
        ]
        n_running = len(running)
        waiting = False
        if execution.status == "Executing" and not self._closing:
            for step in steps.values():
                if step.status is not None or any(
                    steps[name].status != "Succeeded" for name in step.definition.depends_on
                ):
                    continue
                if self._n_running >= self._slots or n_running == execution.parallelism:
                    waiting = True
                    break
                n_running += 1
                self._start(execution, step)
        if not n_running and not waiting and execution.status not in FINAL:
            states = {step.status for step in steps.values()}
            execution.status = (
                "Stopped"
                if execution.status == "Stopping" or "Stopped" in states
                else "Succeeded"
                if states == {"Succeeded"}
                else "Failed"
            )
        execution.changed = time.time()
        self._changed.notify_all()

    def _start(self, execution: Execution, step: Step) -> None:
        step.status, step.started = "Starting", time.time()
        self._n_running += 1
        thread = threading.Thread(target=self._run, args=(execution, step), daemon=True)
        self._threads.add(thread)
        thread.start()

    def _run(self, execution: Execution, step: Step) -> None:
        """Run a step with its retries; the body of a thread."""
        while True:
            with self._changed:
                step.n_attempts += 1
                fault = self._next_fault(step)
                job = self._new_job(execution, step)
            if fault is None and job.status == "InProgress":
                self._runner.run(job)
            with self._changed:
                if fault is None:
                    break
                job.fail(FAULT_REASONS[fault])
                if not self._wait_to_retry(step, fault):
                    break
        with self._changed:
            self._threads.discard(threading.current_thread())
            self._n_running -= 1
            self._close(step, job)
            for other in [execution, *self.all.values()]:
                if other.status not in FINAL:
                    self._advance(other)

    def _new_job(self, execution: Execution, step: Step) -> Job:
        name = f"pipelines-{execution.id}-{step.definition.name[:20]}-{uuid.uuid4().hex[:10]}"
        job = Job(
            step.definition.type, step.definition.name, step.arguments, name.replace("_", "-")
        )
        self.jobs[job.name] = step.job = job
        if step.status == "Starting":
            step.status = "Executing"
        else:  # stopped before it began
            job.status = job.secondary = "Stopped"
        self._changed.notify_all()
        return job

    def _wait_to_retry(self, step: Step, fault: str) -> bool:
        """Wait as the step's policy for a fault says; tell whether it is to be tried again."""
        policy = step.definition.policy(fault)
        if policy is None or step.started is None or step.status == "Stopping":
            return False
        elapsed_s = (time.time() - step.started) / self._second_s
        delay_s = policy.delay_s(step.n_attempts - 1, elapsed_s)
        if delay_s is None:
            return False
        step.status = "Starting"
        self._changed.wait_for(
            lambda: self._closing or step.status == "Stopping", delay_s * self._second_s
        )
        return step.status == "Starting" and not self._closing

    def _close(self, step: Step, job: Job) -> None:
        step.ended = time.time()
        if step.status == "Stopping":
            step.status = "Stopped"
        elif job.status == "Completed":
            step.status = "Succeeded"
        elif job.is_out_of_time:  # not documented; a step whose work is not done has failed
            step.status = "Failed"
            step.failure = f"ClientError: {job.name} was stopped: MaxRuntimeExceeded"
        elif job.status == "Stopped":
            step.status = "Stopped"
        else:
            step.status, step.failure = "Failed", _reason(job.failure or "")


def _reason(failure: str) -> str:
    """Return a job's failure as its step tells it."""
    return (failure if failure.startswith("ClientError") else f"ClientError: {failure}")[:1024]
