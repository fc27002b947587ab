"""Job definitions of AWS Batch, and the container that a job gets from one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from swath.testing.batch.limits import definition_problems
from swath.testing.model import Json
from swath.testing.paging import page
from swath.testing.protocol import ACCOUNT, REGION, ServiceError, refuse_beyond

INVALID = "ClientException"
_ARN = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/"
_KNOWN = (
    "jobDefinitionName",
    "type",
    "parameters",
    "containerProperties",
    "retryStrategy",
    "propagateTags",
    "timeout",
    "tags",
    "platformCapabilities",
)


@dataclass(frozen=True)
class ContainerSettings:
    """What a container is started with: a definition's properties with a job's overrides.

    Attributes
    ----------
    command
        Program and arguments.
    environment
        Variables of the container.
    vcpus, memory_mib, gpus
        What it asks for.
    detail
        The same and the rest, image and roles for example, as DescribeJobs tells it.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    vcpus: float
    memory_mib: int
    gpus: int
    detail: Json


@dataclass(frozen=True)
class JobDefinition:
    """One revision of a job definition."""

    name: str
    revision: int
    request: Json

    @property
    def short(self) -> str:
        """``name:revision``."""
        return f"{self.name}:{self.revision}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return _ARN + self.short

    def detail(self, status: str) -> Json:
        """Return what DescribeJobDefinitions tells."""
        return self.request | {
            "jobDefinitionArn": self.arn,
            "revision": self.revision,
            "status": status,
            "containerOrchestrationType": "ECS",
        }

    def container(self, overrides: Json, parameters: dict[str, str]) -> ContainerSettings:
        """Return what a container of a job of this definition is started with.

        ``Ref::name`` in the command stands for a parameter; where there is none, it is left.
        """
        properties: Json = self.request["containerProperties"]
        parameters = self.request.get("parameters", {}) | parameters
        command = overrides.get("command") or properties.get("command", [])
        command = [
            parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word
            for word in command
        ]
        environment = {
            item["name"]: item.get("value", "")
            for source in (properties, overrides)
            for item in source.get("environment", ())
        }
        required = {
            "VCPU": str(properties.get("vcpus", "")),
            "MEMORY": str(properties.get("memory", "")),
        }
        for source in (properties, overrides):
            required |= {
                item["type"]: item["value"] for item in source.get("resourceRequirements", ())
            }
        detail = properties | {
            "command": command,
            "environment": [{"name": key, "value": environment[key]} for key in environment],
            "resourceRequirements": [
                {"type": kind, "value": value} for kind, value in required.items()
            ],
        }
        return ContainerSettings(
            tuple(command),
            environment,
            float(required["VCPU"]),
            int(required["MEMORY"]),
            int(required.get("GPU", 0)),
            detail,
        )


class JobDefinitions:
    """All job definitions of a fake, each with its revisions."""

    def __init__(self) -> None:
        self._all: dict[str, list[JobDefinition]] = {}
        self._inactive: set[str] = set()

    def register(self, request: Json) -> Json:
        """RegisterJobDefinition."""
        refuse_beyond(_KNOWN, request, "RegisterJobDefinition")
        problems = definition_problems(request)
        if problems:
            raise ServiceError(INVALID, "Error executing request: " + "; ".join(problems))
        revisions = self._all.setdefault(request["jobDefinitionName"], [])
        definition = JobDefinition(request["jobDefinitionName"], len(revisions) + 1, request)
        revisions.append(definition)
        return {
            "jobDefinitionName": definition.name,
            "jobDefinitionArn": definition.arn,
            "revision": definition.revision,
        }

    def deregister(self, request: Json) -> Json:
        """DeregisterJobDefinition."""
        self._inactive.add(self.find(request["jobDefinition"]).arn)
        return {}

    def find(self, reference: str) -> JobDefinition:
        """Return the active definition of a name, ``name:revision`` or ARN.

        Raises
        ------
        ServiceError
            If there is none, or it was deregistered.
        """
        name, _, revision = reference.removeprefix(_ARN).partition(":")
        for definition in reversed(self._all.get(name, [])):
            if definition.arn not in self._inactive and revision in {"", str(definition.revision)}:
                return definition
        raise ServiceError(INVALID, f"JobDefinition {reference} not found or not ACTIVE")

    def describe(self, request: Json) -> Json:
        """DescribeJobDefinitions."""
        wanted = request.get("jobDefinitions")
        if wanted is not None and request.keys() != {"jobDefinitions"}:
            raise ServiceError(INVALID, "jobDefinitions can't be used with other parameters")
        if wanted is not None and len(wanted) > 100:
            raise ServiceError(INVALID, "at most 100 job definitions can be described at once")
        found = [
            definition.detail(status)
            for definition, status in self._with_status()
            if (wanted is None or {definition.arn, definition.short} & set(wanted))
            and request.get("jobDefinitionName", definition.name) == definition.name
            and request.get("status", status) == status
        ]
        size = request.get("maxResults", 100)
        if not 1 <= size <= 100:
            raise ServiceError(INVALID, f"maxResults must be between 1 and 100, not {size}")
        shown, token = page(found, request.get("nextToken"), size, invalid=INVALID)
        answer: Json = {"jobDefinitions": shown}
        return answer if token is None else answer | {"nextToken": token}

    def _with_status(self) -> Iterator[tuple[JobDefinition, str]]:
        for revisions in self._all.values():
            for definition in revisions:
                yield definition, "INACTIVE" if definition.arn in self._inactive else "ACTIVE"
