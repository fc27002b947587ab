"""Task definitions of ECS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from swath.testing.ecs.sizes import is_fargate_size
from swath.testing.model import Json
from swath.testing.protocol import ACCOUNT, REGION, ServiceError, refuse_beyond

_ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/"
_KNOWN = (
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "tags",
    "ephemeralStorage",
    "runtimePlatform",
    "volumes",
)


@dataclass(frozen=True)
class TaskDefinition:
    """One revision of a task definition, with one container."""

    family: str
    revision: int
    request: Json
    registered: float = field(default_factory=time.time)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"{_ARN}{self.family}:{self.revision}"

    @property
    def container(self) -> Json:
        """Definition of its container."""
        return dict(self.request["containerDefinitions"][0])

    @property
    def is_awsvpc(self) -> bool:
        """Whether tasks need a network configuration."""
        return self.request.get("networkMode") == "awsvpc"

    def supports(self, launch_type: str) -> bool:
        """Tell whether tasks may run on ``"FARGATE"`` or ``"EC2"``."""
        return launch_type == "EC2" or launch_type in self.request.get(
            "requiresCompatibilities", ()
        )

    def detail(self, status: str) -> Json:
        """Return what DescribeTaskDefinition tells."""
        told = {key: value for key, value in self.request.items() if key != "tags"}
        return told | {
            "taskDefinitionArn": self.arn,
            "revision": self.revision,
            "status": status,
            "compatibilities": ["EC2", "FARGATE"] if self.supports("FARGATE") else ["EC2"],
            "registeredAt": self.registered,
        }


class TaskDefinitions:
    """All task definitions of a fake, each with its revisions."""

    def __init__(self) -> None:
        self._all: dict[str, list[TaskDefinition]] = {}
        self._inactive: set[str] = set()

    def register(self, request: Json) -> Json:
        """RegisterTaskDefinition."""
        refuse_beyond(_KNOWN, request, "RegisterTaskDefinition")
        if len(request["containerDefinitions"]) > 1:
            raise ServiceError("NotImplementedByFake", "The fake runs one container a task.", 501)
        for problem in _problems(request):
            raise ServiceError("ClientException", problem)
        revisions = self._all.setdefault(request["family"], [])
        definition = TaskDefinition(request["family"], len(revisions) + 1, request)
        revisions.append(definition)
        return {
            "taskDefinition": definition.detail("ACTIVE"),
            "tags": definition.request.get("tags", []),
        }

    def deregister(self, request: Json) -> Json:
        """DeregisterTaskDefinition."""
        definition = self._find(request["taskDefinition"], "Unable to describe task definition.")
        self._inactive.add(definition.arn)
        return {"taskDefinition": definition.detail("INACTIVE")}

    def describe(self, request: Json) -> Json:
        """DescribeTaskDefinition."""
        definition = self._find(request["taskDefinition"], "Unable to describe task definition.")
        status = "INACTIVE" if definition.arn in self._inactive else "ACTIVE"
        answer: Json = {"taskDefinition": definition.detail(status)}
        if "TAGS" in request.get("include", ()):
            answer["tags"] = definition.request.get("tags", [])
        return answer

    def active(self, reference: str) -> TaskDefinition:
        """Return the definition that a task may be started from.

        Raises
        ------
        ServiceError
            If there is none, or it was deregistered.
        """
        definition = self._find(reference, "TaskDefinition not found.")
        if definition.arn in self._inactive:
            raise ServiceError("ClientException", "TaskDefinition is inactive")
        return definition

    def _find(self, reference: str, otherwise: str) -> TaskDefinition:
        family, _, revision = reference.removeprefix(_ARN).partition(":")
        for definition in reversed(self._all.get(family, [])):
            if revision == str(definition.revision):
                return definition
            if not revision and definition.arn not in self._inactive:
                return definition
        raise ServiceError("ClientException", otherwise)


def _problems(request: Json) -> Iterator[str]:
    """Yield what is wrong with a RegisterTaskDefinition request beyond what the model says."""
    for container in request["containerDefinitions"]:
        if not container.get("name") or not container.get("image"):
            yield "Container.name and Container.image should not be null or empty."
    if "FARGATE" in request.get("requiresCompatibilities", ()):
        yield from _fargate_problems(request)
    elif "memory" not in request:
        for container in request["containerDefinitions"]:
            if "memory" not in container and "memoryReservation" not in container:
                yield (
                    f"Invalid setting for container '{container['name']}'. At least one of "
                    "'memory' or 'memoryReservation' must be specified."
                )


def _fargate_problems(request: Json) -> Iterator[str]:
    if request.get("networkMode") != "awsvpc":
        yield "Fargate only supports network mode 'awsvpc'."
    if "cpu" not in request or "memory" not in request:
        yield "Fargate requires that 'cpu' and 'memory' be defined at the task level."
    elif not is_fargate_size(request["cpu"], request["memory"]):
        yield "No Fargate configuration exists for given values."
    storage = request.get("ephemeralStorage", {}).get("sizeInGiB", 21)
    if not 21 <= storage <= 200:
        yield f"Ephemeral storage must be between 21 and 200 GiB, not {storage}."
    for container in request["containerDefinitions"]:
        if container.get("privileged"):
            yield "Fargate does not support privileged containers."
        if container.get("resourceRequirements"):
            yield "Fargate does not support GPUs."
        if container.get("memory", 0) > int(request.get("memory", 0)):
            yield "The container's memory is more than the task's."
        log = container.get("logConfiguration", {})
        if log.get("logDriver") == "awslogs":
            yield from _log_problems(request, log.get("options", {}))


def _log_problems(request: Json, options: Json) -> Iterator[str]:
    if "executionRoleArn" not in request:
        yield (
            "Fargate requires task definition to have execution role ARN to support log driver "
            "awslogs."
        )
    for name in ("awslogs-group", "awslogs-region", "awslogs-stream-prefix"):
        if name not in options:
            yield f"Log driver awslogs requires options: {name}"
