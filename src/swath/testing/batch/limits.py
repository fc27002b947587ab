"""Limits of AWS Batch that stand in its documentation and not in its model.

From the pages SubmitJob, RetryStrategy, EvaluateOnExit, JobTimeout and ContainerOverrides of the
API reference, and from "AWS Batch service quotas" of the user guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from swath.testing.model import Json

PAYLOAD_BYTES = 30 * 1024
DEPENDENCIES = 20
ATTEMPTS = range(1, 11)
ARRAY_SIZE = range(2, 10_001)
SHORTEST_TIMEOUT_S = 60
CONDITIONS = 5
OVERRIDES_CHARACTERS = 8192
"""Of the overrides of the ECS task that Batch starts; a job with more fails when it starts."""

JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_TEXT_PATTERN = re.compile(r"[A-Za-z0-9.:\s]{0,511}[A-Za-z0-9.:\s*]")
_CODE_PATTERN = re.compile(r"[0-9]{0,511}[0-9*]")


def submit_problems(request: Json) -> list[str]:
    """Return what is wrong with a SubmitJob request beyond what the model says."""
    return list(_submit_problems(request))


def definition_problems(request: Json) -> list[str]:
    """Return what is wrong with a RegisterJobDefinition request beyond what the model says."""
    return list(_definition_problems(request))


def _submit_problems(request: Json) -> Iterator[str]:
    if len(json.dumps(request).encode()) > PAYLOAD_BYTES:
        yield f"the request is larger than {PAYLOAD_BYTES} bytes"
    if not JOB_NAME.fullmatch(request["jobName"]):
        yield (
            f"jobName {request['jobName']!r} must be up to 128 letters, numbers, hyphens and "
            "underscores, the first of them a letter or number"
        )
    size = request.get("arrayProperties", {}).get("size")
    if "arrayProperties" in request and size not in ARRAY_SIZE:
        yield f"array size must be between 2 and 10000, not {size}"
    yield from _dependency_problems(request.get("dependsOn", []), is_array=size is not None)
    yield from _retry_problems(request.get("retryStrategy", {}))
    yield from _timeout_problems(request.get("timeout"))
    yield from _container_problems(request.get("containerOverrides", {}))


def _definition_problems(request: Json) -> Iterator[str]:
    if not JOB_NAME.fullmatch(request["jobDefinitionName"]):
        yield f"jobDefinitionName {request['jobDefinitionName']!r} has characters it may not have"
    properties = request.get("containerProperties")
    if request["type"] != "container" or properties is None:
        yield "a job definition of type container with containerProperties is needed"
        return
    if not properties.get("image"):
        yield "containerProperties.image must not be empty"
    given = {item["type"] for item in properties.get("resourceRequirements", ())}
    for kind, old in (("VCPU", "vcpus"), ("MEMORY", "memory")):
        if kind not in given and old not in properties:
            yield f"resourceRequirements must tell {kind}"
    yield from _retry_problems(request.get("retryStrategy", {}))
    yield from _timeout_problems(request.get("timeout"))
    yield from _container_problems(properties)


def _dependency_problems(dependencies: list[Json], *, is_array: bool) -> Iterator[str]:
    if len(dependencies) > DEPENDENCIES:
        yield f"a job can depend upon {DEPENDENCIES} jobs, not {len(dependencies)}"
    for item in dependencies:
        kind = item.get("type")
        if kind is not None and not is_array:
            yield f"a dependency of type {kind} is for array jobs"
        if kind == "SEQUENTIAL" and "jobId" in item:
            yield "a dependency of type SEQUENTIAL has no jobId"
        if kind != "SEQUENTIAL" and not item.get("jobId"):
            yield "a dependency needs a jobId"


def _retry_problems(strategy: Json) -> Iterator[str]:
    attempts = strategy.get("attempts")
    if attempts is not None and attempts not in ATTEMPTS:
        yield f"attempts must be between 1 and 10, not {attempts}"
    conditions = strategy.get("evaluateOnExit", [])
    if conditions and attempts is None:
        yield "evaluateOnExit needs attempts"
    if len(conditions) > CONDITIONS:
        yield f"evaluateOnExit takes {CONDITIONS} conditions, not {len(conditions)}"
    for item in conditions:
        for key in ("onReason", "onStatusReason", "onExitCode"):
            pattern = _CODE_PATTERN if key == "onExitCode" else _TEXT_PATTERN
            if key in item and not pattern.fullmatch(item[key]):
                yield f"{key} {item[key]!r} has characters it may not have"
        if item.keys() == {"action"}:
            yield "a condition of evaluateOnExit needs onReason, onStatusReason or onExitCode"


def _timeout_problems(timeout: Json | None) -> Iterator[str]:
    if timeout is not None and timeout.get("attemptDurationSeconds", 0) < SHORTEST_TIMEOUT_S:
        yield f"attemptDurationSeconds must be at least {SHORTEST_TIMEOUT_S}"


def _container_problems(container: Json) -> Iterator[str]:
    if "" in container.get("command", ()):
        yield "command can't contain an empty string"
    for item in container.get("environment", ()):
        if not item.get("name"):
            yield "a variable of the environment needs a name"
        elif item["name"].startswith("AWS_BATCH"):
            yield f"environment variables cannot start with AWS_BATCH: {item['name']}"
    for item in container.get("resourceRequirements", ()):
        if not _is_amount(item):
            yield f"{item['type']} cannot be {item['value']!r}"


def _is_amount(item: Json) -> bool:
    """Tell whether a requirement is an amount; Fargate has parts of a vCPU, from 0.25."""
    try:
        value = float(item["value"])
    except ValueError:
        return False
    if item["type"] == "VCPU":
        return value in {0.25, 0.5} or (value >= 1 and value.is_integer())
    return value.is_integer() and value >= (4 if item["type"] == "MEMORY" else 1)
