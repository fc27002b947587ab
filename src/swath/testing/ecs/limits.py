"""What RunTask may be asked for, beyond what ECS's model says.

From the pages RunTask, TaskOverride and AwsVpcConfiguration of the API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from swath.testing.ecs.definitions import TaskDefinition
from swath.testing.ecs.sizes import is_fargate_size
from swath.testing.model import Json

TASKS_A_CALL = 10
OVERRIDES_CHARACTERS = 8192
SUBNETS = 16
SECURITY_GROUPS = 5
_STARTED_BY = re.compile(r"[A-Za-z0-9/_-]{1,128}")
_TOKEN = re.compile(r"[!-~]{1,64}")


def run_problems(request: Json, definition: TaskDefinition, launch_type: str) -> Iterator[str]:
    """Yield what is wrong with a RunTask request."""
    count = request.get("count", 1)
    if not 1 <= count <= TASKS_A_CALL:
        yield f"count must be between 1 and {TASKS_A_CALL}, not {count}"
    for name, pattern in (("startedBy", _STARTED_BY), ("clientToken", _TOKEN)):
        if name in request and not pattern.fullmatch(request[name]):
            yield f"{name} {request[name]!r} is too long or has characters it may not have"
    if not definition.supports(launch_type):
        yield f"Task definition does not support launch_type {launch_type}."
    yield from _network_problems(request.get("networkConfiguration"), definition)
    overrides = request.get("overrides", {})
    if len(json.dumps(overrides)) > OVERRIDES_CHARACTERS:
        yield f"Container Overrides length must be at most {OVERRIDES_CHARACTERS}"
    for item in overrides.get("containerOverrides", ()):
        if item.get("name") != definition.container["name"]:
            yield (
                f"Override for container named {item.get('name')} is not a container in the "
                "TaskDefinition."
            )
        if launch_type == "FARGATE" and item.get("resourceRequirements"):
            yield "Fargate does not support GPUs."
        if launch_type == "FARGATE" and item.get("resourceRequirements"):
            yield "Fargate does not support GPUs."
    if launch_type == "FARGATE":
        size = definition.request | overrides
        if not is_fargate_size(size.get("cpu"), size.get("memory")):
            yield "No Fargate configuration exists for given values."


def _network_problems(network: Json | None, definition: TaskDefinition) -> Iterator[str]:
    if not definition.is_awsvpc:
        if network is not None:
            yield "Network Configuration is not valid for the given networkMode of this task."
        return
    if network is None or "awsvpcConfiguration" not in network:
        yield ("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
        return
    vpc = network["awsvpcConfiguration"]
    if not 1 <= len(vpc["subnets"]) <= SUBNETS:
        yield f"subnets must have 1 to {SUBNETS} members, not {len(vpc['subnets'])}"
    if len(vpc.get("securityGroups", ())) > SECURITY_GROUPS:
        yield f"securityGroups can have at most {SECURITY_GROUPS} items."
