"""The definition of a pipeline, version 2020-12-01: parsed, checked, put in order.

From "Pipeline structure" and "Retry policy" of the SageMaker developer guide, and the published
JSON schema of definitions.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from swath.testing.model import Json, ServiceModel
from swath.testing.protocol import ServiceError, refuse_beyond
from swath.testing.sagemaker.limits import job_problems
from swath.testing.sagemaker.values import INVALID, defaults_of, resolve

VERSION = "2020-12-01"
FAULTS = frozenset(
    {
        "Step.SERVICE_FAULT",
        "Step.THROTTLING",
        "SageMaker.JOB_INTERNAL_ERROR",
        "SageMaker.CAPACITY_ERROR",
        "SageMaker.RESOURCE_LIMIT",
    }
)
"""What a retry policy can be for; a command that exits with an error is not among them."""

RETRIED_ANYWAY = frozenset({"Step.SERVICE_FAULT", "Step.THROTTLING"})
_STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_KNOWN = ("Version", "Metadata", "Parameters", "PipelineExperimentConfig", "Steps")
_KNOWN_STEP = (
    "Name",
    "Type",
    "Arguments",
    "DependsOn",
    "RetryPolicies",
    "DisplayName",
    "Description",
)
_KNOWN_POLICY = ("ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin")
_EXECUTION = ("PipelineName", "PipelineExecutionId", "PipelineExecutionArn", "StartDateTime")


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and when, a step is tried again after some faults of the service."""

    faults: frozenset[str]
    interval_s: float = 1.0
    backoff: float = 2.0
    attempts: int | None = 5
    expires_s: float | None = None

    def delay_s(self, n_retries: int, elapsed_s: float) -> float | None:
        """Return the seconds to wait before another attempt, None if there is none.

        Parameters
        ----------
        n_retries
            Retries that were made so far.
        elapsed_s
            Seconds, by the service's clock, since the step began.
        """
        if self.attempts is not None and n_retries >= self.attempts:
            return None
        if self.expires_s is not None and elapsed_s >= self.expires_s:
            return None
        return self.interval_s * float(self.backoff**n_retries)


@dataclass(frozen=True)
class StepDefinition:
    """One step: a processing or a training job."""

    name: str
    type: str
    arguments: Json
    depends_on: tuple[str, ...]
    policies: tuple[RetryPolicy, ...]

    def policy(self, fault: str) -> RetryPolicy | None:
        """Return the policy for a fault; two kinds are retried without one too."""
        for policy in self.policies:
            if fault in policy.faults:
                return policy
        return RetryPolicy(frozenset({fault})) if fault in RETRIED_ANYWAY else None


@dataclass(frozen=True)
class PipelineDefinition:
    """A checked definition."""

    text: str
    parameters: list[Json]
    steps: Mapping[str, StepDefinition]

    def arguments(
        self, step: str, values: Mapping[str, object], execution: Mapping[str, str]
    ) -> Json:
        """Return the arguments of a step with its variables replaced.

        Parameters
        ----------
        values
            Of the parameters, by name.
        execution
            Of the variables of the execution: ``"PipelineExecutionId"`` and so on.
        """
        variables = {f"Parameters.{name}": value for name, value in values.items()}
        variables |= {f"Execution.{name}": value for name, value in execution.items()}
        resolved = resolve(self.steps[step].arguments, variables, f"step {step}")
        return dict(resolved)


def parse_definition(text: str, model: ServiceModel) -> PipelineDefinition:
    """Return a definition, with everything checked that can be before it is executed.

    Arguments that hang on parameters without a default are checked with their values, when an
    execution starts.

    Raises
    ------
    ServiceError
        If anything is wrong with it.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ServiceError(INVALID, f"Unable to parse pipeline definition: {error}") from None
    if not isinstance(data, dict) or data.get("Version") != VERSION:
        raise ServiceError(INVALID, f"the definition must be an object of Version {VERSION}")
    refuse_beyond(_KNOWN, data, "a pipeline definition")
    parameters = data.get("Parameters", [])
    defaults = defaults_of(parameters)
    steps = [_step(item) for item in data.get("Steps", [])]
    if not steps:
        raise ServiceError(INVALID, "the definition has no steps")
    definition = PipelineDefinition(text, parameters, {step.name: step for step in steps})
    for problem in _order_problems(steps):
        raise ServiceError(INVALID, problem)
    if len(defaults) == len(parameters):
        execution = dict.fromkeys(_EXECUTION, "x")
        for step in steps:
            check_arguments(step, definition.arguments(step.name, defaults, execution), model)
    return definition


def check_arguments(step: StepDefinition, arguments: Json, model: ServiceModel) -> None:
    """Check the arguments of a step, variables replaced, as the job's own API would.

    Raises
    ------
    ServiceError
        If a job could not be created with them.
    """
    problems = job_problems(step.type, arguments, model)
    if problems:
        raise ServiceError(INVALID, f"Step {step.name}: " + "; ".join(problems))


def _step(item: Json) -> StepDefinition:
    refuse_beyond(_KNOWN_STEP, item, "a step")
    name, kind = item.get("Name", ""), item.get("Type")
    if not _STEP_NAME.fullmatch(name):
        raise ServiceError(INVALID, f"no name of a step: {name!r}")
    if kind not in {"Processing", "Training"}:
        raise ServiceError("NotImplementedByFake", f"The fake has no steps of type {kind}.", 501)
    return StepDefinition(
        name,
        kind,
        item.get("Arguments", {}),
        tuple(item.get("DependsOn", ())),
        tuple(_policies(name, item.get("RetryPolicies", []))),
    )


def _policies(step: str, items: list[Json]) -> Iterator[RetryPolicy]:
    seen: set[str] = set()
    for item in items:
        refuse_beyond(_KNOWN_POLICY, item, "a retry policy")
        faults = frozenset(item.get("ExceptionType", ()))
        attempts, minutes = item.get("MaxAttempts"), item.get("ExpireAfterMin")
        if not faults or faults - FAULTS or faults & seen:
            raise ServiceError(INVALID, f"Step {step}: ExceptionType {sorted(faults)}")
        if attempts is not None and minutes is not None:
            raise ServiceError(INVALID, f"Step {step}: one of MaxAttempts and ExpireAfterMin")
        limits = (
            ("IntervalSeconds", 43_200),
            ("MaxAttempts", 20),
            ("ExpireAfterMin", 14_400),
        )
        for key, largest in limits:
            if not 0 <= item.get(key, 0) <= largest:
                raise ServiceError(INVALID, f"Step {step}: {key} must be at most {largest}")
        seen |= faults
        yield RetryPolicy(
            faults,
            item.get("IntervalSeconds", 1),
            item.get("BackoffRate", 2.0),
            attempts if attempts is not None or minutes is not None else 5,
            None if minutes is None else minutes * 60,
        )


def _order_problems(steps: list[StepDefinition]) -> Iterator[str]:
    names = [step.name for step in steps]
    for name in sorted(name for name, count in Counter(names).items() if count > 1):
        yield f"Step names must be unique: {name}"
    for step in steps:
        for other in step.depends_on:
            if other not in names:
                yield f"Step {step.name} depends on {other}, which is not a step"
    try:
        TopologicalSorter({step.name: step.depends_on for step in steps}).prepare()
    except CycleError as error:
        yield f"Pipeline definition has a cycle: {' -> '.join(error.args[1])}"
