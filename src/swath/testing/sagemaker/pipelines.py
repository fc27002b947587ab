"""Pipelines of SageMaker: created, updated, listed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from swath.testing.model import Json, ServiceModel
from swath.testing.paging import page
from swath.testing.protocol import ACCOUNT, REGION, ServiceError, refuse_beyond
from swath.testing.sagemaker.definition import PipelineDefinition, parse_definition
from swath.testing.sagemaker.values import INVALID

_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/"
_KNOWN = (
    "PipelineName",
    "PipelineDisplayName",
    "PipelineDefinition",
    "PipelineDescription",
    "RoleArn",
    "Tags",
    "ParallelismConfiguration",
)
_TOLD = ("PipelineName", "PipelineDisplayName", "PipelineDescription", "RoleArn")


@dataclass(eq=False)
class Pipeline:
    """A pipeline as it is now; executions keep the definition that they were started with."""

    request: Json
    definition: PipelineDefinition
    created: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    last_run: float | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.request["PipelineName"])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return _ARN + self.name

    @property
    def parallelism(self) -> int | None:
        """Steps of one execution that may run at once."""
        found: int | None = self.request.get("ParallelismConfiguration", {}).get(
            "MaxParallelExecutionSteps"
        )
        return found

    def summary(self) -> Json:
        """Return what ListPipelines tells."""
        told = {key: self.request.get(key) for key in _TOLD} | {
            "PipelineArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "LastExecutionTime": self.last_run,
        }
        return {key: value for key, value in told.items() if value is not None}

    def detail(self) -> Json:
        """Return what DescribePipeline tells."""
        told = {key: self.request.get(key) for key in (*_TOLD, "ParallelismConfiguration")} | {
            "PipelineArn": self.arn,
            "PipelineDefinition": self.definition.text,
            "PipelineStatus": "Active",
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "LastRunTime": self.last_run,
        }
        return {key: value for key, value in told.items() if value is not None}


class Pipelines:
    """All pipelines of a fake.

    Parameters
    ----------
    model
        What arguments of steps are checked against.
    largest
        Steps that a definition may have, None for any number.
    """

    def __init__(self, model: ServiceModel, largest: int | None) -> None:
        self._model = model
        self._largest = largest
        self._all: dict[str, Pipeline] = {}
        self._tokens: dict[str, str] = {}

    def find(self, reference: str) -> Pipeline:
        """Return the pipeline of a name or ARN.

        Raises
        ------
        ServiceError
            If there is none.
        """
        pipeline = self._all.get(reference.removeprefix(_ARN))
        if pipeline is None:
            raise ServiceError("ResourceNotFound", f"Pipeline '{reference}' does not exist.")
        return pipeline

    def create(self, request: Json) -> Json:
        """CreatePipeline."""
        refuse_beyond((*_KNOWN, "ClientRequestToken"), request, "CreatePipeline")
        name, token = request["PipelineName"], request["ClientRequestToken"]
        if name in self._all:
            if self._tokens.get(token) == name:
                return {"PipelineArn": self._all[name].arn}
            raise ServiceError(
                INVALID,
                "Pipeline names must be unique within an AWS account and region. Pipeline with "
                f"name ({name}) already exists.",
            )
        pipeline = Pipeline(request, self._parsed(request))
        self._all[name], self._tokens[token] = pipeline, name
        return {"PipelineArn": pipeline.arn}

    def update(self, request: Json) -> Json:
        """UpdatePipeline."""
        refuse_beyond(_KNOWN, request, "UpdatePipeline")
        pipeline = self.find(request["PipelineName"])
        if "PipelineDefinition" in request:
            pipeline.definition = self._parsed(request)
        pipeline.request = pipeline.request | request
        pipeline.modified = time.time()
        return {"PipelineArn": pipeline.arn}

    def delete(self, request: Json) -> Json:
        """DeletePipeline."""
        pipeline = self.find(request["PipelineName"])
        del self._all[pipeline.name]
        return {"PipelineArn": pipeline.arn}

    def describe(self, request: Json) -> Json:
        """DescribePipeline."""
        refuse_beyond(("PipelineName",), request, "DescribePipeline")
        return self.find(request["PipelineName"]).detail()

    def list(self, request: Json) -> Json:
        """ListPipelines; the latest come first unless asked otherwise."""
        known = ("PipelineNamePrefix", "SortBy", "SortOrder", "NextToken", "MaxResults")
        refuse_beyond(known, request, "ListPipelines")
        prefix = request.get("PipelineNamePrefix", "")
        by_name = request.get("SortBy") == "Name"
        found = sorted(
            (item for item in self._all.values() if item.name.startswith(prefix)),
            key=lambda item: (item.name if by_name else "", item.created),
            reverse=request.get("SortOrder") != "Ascending",
        )
        size = request.get("MaxResults", 100)
        shown, token = page(found, request.get("NextToken"), size, invalid=INVALID)
        answer: Json = {"PipelineSummaries": [item.summary() for item in shown]}
        return answer if token is None else answer | {"NextToken": token}

    def _parsed(self, request: Json) -> PipelineDefinition:
        if "PipelineDefinition" not in request:
            raise ServiceError(INVALID, "PipelineDefinition must be given")
        definition = parse_definition(request["PipelineDefinition"], self._model)
        if self._largest is not None and len(definition.steps) > self._largest:
            raise ServiceError(
                "ResourceLimitExceeded",
                f"a pipeline may have {self._largest} steps, not {len(definition.steps)}",
            )
        return definition
