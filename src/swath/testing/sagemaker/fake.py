"""SageMaker Pipelines on loopback."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from swath.testing.containers import Machine, Programs
from swath.testing.logs import LogBook
from swath.testing.model import Json
from swath.testing.paging import page
from swath.testing.sagemaker.definition import FAULTS, check_arguments
from swath.testing.sagemaker.executions import FINAL, Execution, Executions, Step
from swath.testing.sagemaker.jobs import Job, JobRunner
from swath.testing.sagemaker.pipelines import Pipelines
from swath.testing.sagemaker.values import INVALID, parameter_values
from swath.testing.service import FakeService, ServiceError, refuse_beyond

_KNOWN_START = (
    "PipelineName",
    "PipelineExecutionDisplayName",
    "PipelineParameters",
    "PipelineExecutionDescription",
    "ClientRequestToken",
    "ParallelismConfiguration",
)


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
        self.handlers = {
            "CreatePipeline": self._pipelines.create,
            "UpdatePipeline": self._pipelines.update,
            "DeletePipeline": self._pipelines.delete,
            "DescribePipeline": self._pipelines.describe,
            "ListPipelines": self._pipelines.list,
            "StartPipelineExecution": self._start,
            "DescribePipelineExecution": self._describe,
            "DescribePipelineDefinitionForExecution": self._describe_definition,
            "ListPipelineExecutions": self._list,
            "ListPipelineExecutionSteps": self._list_steps,
            "StopPipelineExecution": self._stop,
            "RetryPipelineExecution": self._retry,
            "DescribeProcessingJob": lambda request: self._describe_job("Processing", request),
            "DescribeTrainingJob": lambda request: self._describe_job("Training", request),
            "StopProcessingJob": lambda request: self._stop_job("Processing", request),
            "StopTrainingJob": lambda request: self._stop_job("Training", request),
        }
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
        self._tokens: dict[str, str] = {}

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

    # ------------------------------------------------------------ requests about executions

    def _start(self, request: Json) -> Json:
        refuse_beyond(_KNOWN_START, request, "StartPipelineExecution")
        token = request["ClientRequestToken"]
        if token in self._tokens:
            return {"PipelineExecutionArn": self._tokens[token]}
        pipeline = self._pipelines.find(request["PipelineName"])
        definition = pipeline.definition
        values = parameter_values(definition.parameters, request.get("PipelineParameters", []))
        parallel = request.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps")
        execution = Execution(pipeline.arn, request, definition, parallel or pipeline.parallelism)
        for name, step in definition.steps.items():
            arguments = definition.arguments(name, values, execution.variables)
            check_arguments(step, arguments, self.model)
            execution.steps[name] = Step(step, arguments)
            if not Job(step.type, name, arguments).command:
                raise ServiceError(
                    "NotImplementedByFake",
                    f"The fake has no images: step {name} needs ContainerEntrypoint.",
                    501,
                )
        pipeline.last_run = time.time()
        self._tokens[token] = execution.arn
        self._executions.start(execution)
        return {"PipelineExecutionArn": execution.arn}

    def _describe(self, request: Json) -> Json:
        return self._existing(request).detail()

    def _describe_definition(self, request: Json) -> Json:
        execution = self._existing(request)
        return {
            "PipelineDefinition": execution.definition.text,
            "CreationTime": execution.created,
        }

    def _list(self, request: Json) -> Json:
        known = ("PipelineName", "SortBy", "SortOrder", "NextToken", "MaxResults")
        refuse_beyond(known, request, "ListPipelineExecutions")
        pipeline = self._pipelines.find(request["PipelineName"])
        found = [
            execution.summary()
            for execution in self._executions.all.values()
            if execution.pipeline_arn == pipeline.arn
        ]
        if request.get("SortOrder") != "Ascending":
            found.reverse()
        return _paged("PipelineExecutionSummaries", found, request)

    def _list_steps(self, request: Json) -> Json:
        """List the steps that have started; those that wait are not told of."""
        started = [
            (step.started, step.detail())
            for step in self._existing(request).steps.values()
            if step.started is not None
        ]
        started.sort(key=lambda item: item[0], reverse=request.get("SortOrder") == "Descending")
        return _paged("PipelineExecutionSteps", [detail for _, detail in started], request)

    def _stop(self, request: Json) -> Json:
        execution = self._existing(request)
        if execution.status not in {"Executing", "Stopping"}:
            raise ServiceError(
                INVALID, f"Only executions with Executing status can be stopped: {execution.status}"
            )
        self._executions.stop(execution)
        return {"PipelineExecutionArn": execution.arn}

    def _retry(self, request: Json) -> Json:
        execution = self._existing(request)
        token = request["ClientRequestToken"]
        if self._tokens.get(token) == execution.arn:
            return {"PipelineExecutionArn": execution.arn}
        if execution.status not in {"Failed", "Stopped"}:
            raise ServiceError(
                INVALID,
                f"Only executions that Failed or Stopped can be retried: {execution.status}",
            )
        parallel = request.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps")
        execution.parallelism = parallel or execution.parallelism
        self._tokens[token] = execution.arn
        self._executions.retry(execution)
        return {"PipelineExecutionArn": execution.arn}

    def _existing(self, request: Json) -> Execution:
        arn = request.get("PipelineExecutionArn")
        execution = self._executions.all.get(arn or "")
        if execution is None:
            raise ServiceError("ResourceNotFound", f"Pipeline execution {arn} does not exist.")
        return execution

    # ------------------------------------------------------------ requests about jobs

    def _describe_job(self, kind: str, request: Json) -> Json:
        return self._job(kind, request).detail()

    def _stop_job(self, kind: str, request: Json) -> Json:
        self._runner.stop(self._job(kind, request))
        return {}

    def _job(self, kind: str, request: Json) -> Job:
        name = request[f"{kind}JobName"]
        job = self._executions.jobs.get(name)
        if job is None or job.kind != kind:
            raise ServiceError("ResourceNotFound", f"Requested resource not found: {name}")
        return job

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


def _paged(key: str, found: list[Json], request: Json) -> Json:
    shown, token = page(
        found, request.get("NextToken"), request.get("MaxResults", 100), invalid=INVALID
    )
    answer: Json = {key: shown}
    return answer if token is None else answer | {"NextToken": token}
