"""SageMaker Pipelines on loopback."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from swath.testing.containers import Machine, Programs
from swath.testing.logs import LogBook
from swath.testing.model import Json
from swath.testing.sagemaker.definition import FAULTS
from swath.testing.sagemaker.executions import FINAL, Executions, Step
from swath.testing.sagemaker.jobs import Job, JobRunner
from swath.testing.sagemaker.pipelines import Pipelines
from swath.testing.sagemaker.requests import ExecutionRequests
from swath.testing.sagemaker.values import INVALID
from swath.testing.service import FakeService


class FakeSageMaker(FakeService):
    """SageMaker Pipelines that run the jobs of their steps as processes of this machine.

    Known are Create-, Update-, Delete-, Describe- and ListPipelines, Start-, Describe-, Stop-,
    Retry- and ListPipelineExecutions, DescribePipelineDefinitionForExecution,
    ListPipelineExecutionSteps, and Describe- and Stop- of processing and training jobs; steps of
    type Processing and Training. Anything else, and any parameter that would be ignored, is an
    error.

    An instance of a job is a process. In place of ``/opt/ml`` it finds a folder whose name is in
    the variable ``SWATH_OPT_ML``; see `swath.testing.sagemaker.jobs`.

    Parameters
    ----------
    slots
        Steps that run at once.
    largest_pipeline
        Steps that a definition may have, None for any number. AWS has a quota, which accounts
        differ in.
    programs, environment, folder, second_s
        See `swath.testing`.
    """

    service = "sagemaker"
    invalid = INVALID

    def __init__(
        self,
        *,
        slots: int = 4,
        largest_pipeline: int | None = None,
        programs: Programs | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        second_s: float = 1.0,
    ) -> None:
        super().__init__()
        self._pipelines = Pipelines(self.model, largest_pipeline)
        self._machine = Machine(programs=programs, environment=environment, folder=folder)
        self.logs = LogBook(self._machine.folder)
        self._runner = JobRunner(
            self.changed,
            self._machine,
            self.logs,
            second_s=second_s,
            is_too_small=self._is_too_small,
        )
        self._executions = Executions(
            self.changed,
            self._runner,
            slots=slots,
            second_s=second_s,
            next_fault=self._next_fault,
        )
        self._planned: list[tuple[str, str]] = []
        self._needed: dict[str, frozenset[str]] = {}
        requests = ExecutionRequests(self.model, self._pipelines, self._executions, self._runner)
        self.handlers = {
            "CreatePipeline": self._pipelines.create,
            "UpdatePipeline": self._pipelines.update,
            "DeletePipeline": self._pipelines.delete,
            "DescribePipeline": self._pipelines.describe,
            "ListPipelines": self._pipelines.list,
            "StartPipelineExecution": requests.start,
            "DescribePipelineExecution": requests.describe,
            "DescribePipelineDefinitionForExecution": requests.describe_definition,
            "ListPipelineExecutions": requests.list,
            "ListPipelineExecutionSteps": requests.list_steps,
            "StopPipelineExecution": requests.stop,
            "RetryPipelineExecution": requests.retry,
            "DescribeProcessingJob": lambda request: requests.describe_job("Processing", request),
            "DescribeTrainingJob": lambda request: requests.describe_job("Training", request),
            "StopProcessingJob": lambda request: requests.stop_job("Processing", request),
            "StopTrainingJob": lambda request: requests.stop_job("Training", request),
        }

    def close(self) -> None:
        """Stop listening, and end every container."""
        super().close()
        self._executions.close()
        self._machine.close()
        self._executions.join()
        self._machine.remove()

    # ------------------------------------------------------------ what happens

    def fail_step(self, name: str, fault: str = "SageMaker.CAPACITY_ERROR", *, n: int = 1) -> None:
        """Let the next `n` attempts of a step meet a fault of the service, and run nothing.

        Parameters
        ----------
        name
            Glob pattern for the names of steps.
        fault
            As in a retry policy: ``Step.SERVICE_FAULT``, ``Step.THROTTLING``,
            ``SageMaker.JOB_INTERNAL_ERROR``, ``SageMaker.CAPACITY_ERROR`` or
            ``SageMaker.RESOURCE_LIMIT``.
        """
        if fault not in FAULTS:
            raise ValueError(f"no fault that a retry policy knows: {fault!r}")
        with self.changed:
            self._planned += [(name, fault)] * n

    def interrupt(self, execution: str, step: str) -> None:
        """Take the spot instances of a training job away; the service starts it again."""
        job = self._running(execution, step)
        if not job.is_spot:
            raise ValueError(f"step {step} does not run on spot instances")
        with self.changed:
            job.is_interrupted, job.secondary = True, "Interrupted"
            for container in job.containers:
                container.signal(signal.SIGKILL)

    def kill(self, execution: str, step: str) -> None:
        """End the containers of a step with SIGKILL.

        Exit code 137 is what running out of memory looks like to SageMaker too.
        """
        job = self._running(execution, step)
        with self.changed:
            for container in job.containers:
                container.signal(signal.SIGKILL)

    def need_instance(self, name: str, *instance_types: str) -> None:
        """Let steps run out of memory as long as they do not run on one of these types.

        Parameters
        ----------
        name
            Glob pattern for the names of steps.
        """
        with self.changed:
            self._needed[name] = frozenset(instance_types)

    def _running(self, execution: str, step: str) -> Job:
        """Wait until the job of a step runs on all its instances, and return it."""
        found = self._executions.all[execution].steps[step]
        with self.changed:
            self.changed.wait_for(lambda: found.status in FINAL or _runs(found.job), 30.0)
            if found.job is None or not _runs(found.job):
                raise RuntimeError(f"step {step} does not run: {found.status}")
            return found.job

    # ------------------------------------------------------------ what is seen

    def wait_for(
        self, execution: str, states: Collection[str] = FINAL, *, timeout_s: float = 30.0
    ) -> str:
        """Wait until an execution is in one of some states, by default the last ones; return it.

        Parameters
        ----------
        execution
            Its ARN.

        Raises
        ------
        TimeoutError
            If it does not get there.
        """
        found = self._executions.all[execution]
        with self.changed:
            if not self.changed.wait_for(lambda: found.status in states, timeout_s):
                steps = [step.detail() for step in found.steps.values()]
                raise TimeoutError(f"execution after {timeout_s} s: {found.status}: {steps}")
            return found.status

    def wait_for_step(
        self,
        execution: str,
        step: str,
        states: Collection[str] = FINAL,
        *,
        timeout_s: float = 30.0,
    ) -> str:
        """Wait until a step of an execution is in one of some states; return it.

        Raises
        ------
        TimeoutError
            If it does not get there.
        """
        found = self._executions.all[execution].steps[step]
        with self.changed:
            if not self.changed.wait_for(lambda: found.status in states, timeout_s):
                raise TimeoutError(f"step {step} after {timeout_s} s: {found.detail()}")
            return str(found.status)

    def step(self, execution: str, step: str) -> Json:
        """Return what ListPipelineExecutionSteps tells about a step, without a request."""
        with self.changed:
            return self._executions.all[execution].steps[step].detail()

    def log(self, execution: str, step: str, *, instance: int = 0) -> str:
        """Return what one instance of a step's job printed so far."""
        with self.changed:
            job = self._executions.all[execution].steps[step].job
            if job is None or not job.streams:
                return ""
            return self.logs.text(job.log_group, job.streams[instance])

    def _next_fault(self, step: Step) -> str | None:
        for item in self._planned:
            pattern, fault = item
            if fnmatchcase(step.definition.name, pattern):
                self._planned.remove(item)
                return fault
        return None

    def _is_too_small(self, step: str, instance_type: str) -> bool:
        return any(
            fnmatchcase(step, pattern) and instance_type not in types
            for pattern, types in self._needed.items()
        )


def _runs(job: Job | None) -> bool:
    return job is not None and len(job.containers) == job.resources["InstanceCount"]
