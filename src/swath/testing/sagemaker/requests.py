"""What SageMaker answers to requests about executions of pipelines, and about jobs."""

from __future__ import annotations

import time

from swath.testing.model import Json, ServiceModel
from swath.testing.paging import page
from swath.testing.protocol import ServiceError, refuse_beyond
from swath.testing.sagemaker.definition import check_arguments
from swath.testing.sagemaker.executions import Execution, Executions, Step
from swath.testing.sagemaker.jobs import Job, JobRunner
from swath.testing.sagemaker.pipelines import Pipelines
from swath.testing.sagemaker.values import INVALID, parameter_values

_KNOWN_START = (
    "PipelineName",
    "PipelineExecutionDisplayName",
    "PipelineParameters",
    "PipelineExecutionDescription",
    "ClientRequestToken",
    "ParallelismConfiguration",
)


class ExecutionRequests:
    """Start, describe, list, stop and retry executions; list their steps; describe and stop jobs.

    Parameters
    ----------
    model
        What arguments of steps are checked against.
    pipelines
        What can be executed.
    executions, runner
        What knows and runs the steps, and their jobs.
    """

    def __init__(
        self,
        model: ServiceModel,
        pipelines: Pipelines,
        executions: Executions,
        runner: JobRunner,
    ) -> None:
        self._model = model
        self._pipelines = pipelines
        self._executions = executions
        self._runner = runner
        self._tokens: dict[str, str] = {}

    def start(self, request: Json) -> Json:
        """StartPipelineExecution."""
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
            check_arguments(step, arguments, self._model)
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

    def describe(self, request: Json) -> Json:
        """DescribePipelineExecution."""
        return self._existing(request).detail()

    def describe_definition(self, request: Json) -> Json:
        """DescribePipelineDefinitionForExecution."""
        execution = self._existing(request)
        return {
            "PipelineDefinition": execution.definition.text,
            "CreationTime": execution.created,
        }

    def list(self, request: Json) -> Json:
        """ListPipelineExecutions; the latest come first unless asked otherwise."""
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

    def list_steps(self, request: Json) -> Json:
        """ListPipelineExecutionSteps: those that have started; what waits is not told of."""
        started = [
            (step.started, step.detail())
            for step in self._existing(request).steps.values()
            if step.started is not None
        ]
        started.sort(key=lambda item: item[0], reverse=request.get("SortOrder") == "Descending")
        return _paged("PipelineExecutionSteps", [detail for _, detail in started], request)

    def stop(self, request: Json) -> Json:
        """StopPipelineExecution."""
        execution = self._existing(request)
        if execution.status not in {"Executing", "Stopping"}:
            raise ServiceError(
                INVALID, f"Only executions with Executing status can be stopped: {execution.status}"
            )
        self._executions.stop(execution)
        return {"PipelineExecutionArn": execution.arn}

    def retry(self, request: Json) -> Json:
        """RetryPipelineExecution: whatever has not succeeded is done again."""
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

    def describe_job(self, kind: str, request: Json) -> Json:
        """DescribeProcessingJob, DescribeTrainingJob."""
        return self._job(kind, request).detail()

    def stop_job(self, kind: str, request: Json) -> Json:
        """StopProcessingJob, StopTrainingJob."""
        self._runner.stop(self._job(kind, request))
        return {}

    def _job(self, kind: str, request: Json) -> Job:
        name = request[f"{kind}JobName"]
        job = self._executions.jobs.get(name)
        if job is None or job.kind != kind:
            raise ServiceError("ResourceNotFound", f"Requested resource not found: {name}")
        return job


def _paged(key: str, found: list[Json], request: Json) -> Json:
    shown, token = page(
        found, request.get("NextToken"), request.get("MaxResults", 100), invalid=INVALID
    )
    answer: Json = {key: shown}
    return answer if token is None else answer | {"NextToken": token}
