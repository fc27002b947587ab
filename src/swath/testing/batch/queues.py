"""Job queues of AWS Batch, each with one compute environment, declared in Python."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swath.testing.batch.definitions import ContainerSettings
from swath.testing.model import Json
from swath.testing.paging import page
from swath.testing.protocol import ACCOUNT, REGION, ServiceError

if TYPE_CHECKING:
    from swath.testing.batch.jobs import Job

INVALID = "ClientException"
_ARN = f"arn:aws:batch:{REGION}:{ACCOUNT}:"


@dataclass(eq=False)
class Queue:
    """A job queue and the instances behind it.

    Attributes
    ----------
    slots
        Containers that run at once.
    free_gpus
        Numbers of the devices that no container has.
    """

    name: str
    slots: int
    gpus: int
    vcpus: int
    memory_mib: int
    instance_types: Sequence[str]
    spot: bool
    state: str
    runnable: deque[Job] = field(default_factory=deque)
    n_running: int = 0
    free_gpus: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.free_gpus = list(range(self.gpus))

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"{_ARN}job-queue/{self.name}"

    def offers(self, wanted: ContainerSettings) -> bool:
        """Tell whether an instance of the queue could ever hold such a container."""
        return (
            wanted.gpus <= self.gpus
            and wanted.vcpus <= self.vcpus
            and wanted.memory_mib <= self.memory_mib
        )

    def detail(self) -> Json:
        """Return what DescribeJobQueues tells."""
        return {
            "jobQueueName": self.name,
            "jobQueueArn": self.arn,
            "state": self.state,
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": 1,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": self.environment_arn}],
        }

    @property
    def environment_name(self) -> str:
        """Name of its compute environment."""
        return f"{self.name}-environment"

    @property
    def environment_arn(self) -> str:
        """ARN of its compute environment."""
        return f"{_ARN}compute-environment/{self.environment_name}"

    def environment_detail(self) -> Json:
        """Return what DescribeComputeEnvironments tells."""
        return {
            "computeEnvironmentName": self.environment_name,
            "computeEnvironmentArn": self.environment_arn,
            "type": "MANAGED",
            "state": "ENABLED",
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "containerOrchestrationType": "ECS",
            "computeResources": {
                "type": "SPOT" if self.spot else "EC2",
                "minvCpus": 0,
                "desiredvCpus": 0,
                "maxvCpus": self.vcpus * self.slots,
                "instanceTypes": list(self.instance_types),
                "subnets": ["subnet-0123456789abcdef0"],
            },
        }


class Queues:
    """All job queues of a fake."""

    def __init__(self) -> None:
        self._all: dict[str, Queue] = {}

    def __iter__(self) -> Iterator[Queue]:
        return iter(self._all.values())

    def add(self, queue: Queue) -> None:
        """Add a queue; its name must be new."""
        if queue.name in self._all:
            raise ValueError(f"there is a queue {queue.name!r} already")
        self._all[queue.name] = queue

    def find(self, reference: str) -> Queue:
        """Return the queue of a name or ARN.

        Raises
        ------
        ServiceError
            If there is none.
        """
        queue = self._all.get(reference.removeprefix(f"{_ARN}job-queue/"))
        if queue is None:
            raise ServiceError(INVALID, f"JobQueue {reference} not found")
        return queue

    def describe(self, request: Json) -> Json:
        """DescribeJobQueues."""
        found = [
            queue.detail()
            for queue in self
            if _is_wanted(request, "jobQueues", queue.name, queue.arn)
        ]
        return _paged(found, request, "jobQueues")

    def describe_environments(self, request: Json) -> Json:
        """DescribeComputeEnvironments."""
        key = "computeEnvironments"
        found = [
            queue.environment_detail()
            for queue in self
            if _is_wanted(request, key, queue.environment_name, queue.environment_arn)
        ]
        return _paged(found, request, key)


def _is_wanted(request: Json, key: str, *names: str) -> bool:
    """Tell whether a list of names asks for one of these; an empty one, or none, asks for all."""
    wanted = request.get(key)
    return not wanted or any(name in wanted for name in names)


def _paged(found: list[Json], request: Json, key: str) -> Json:
    size = request.get("maxResults", 100)
    if not 1 <= size <= 100 or len(request.get(key, ())) > 100:
        raise ServiceError(INVALID, f"maxResults and {key} are for 1 to 100")
    shown, token = page(found, request.get("nextToken"), size, invalid=INVALID)
    answer: Json = {key: shown}
    return answer if token is None else answer | {"nextToken": token}
