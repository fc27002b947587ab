"""ECS on loopback, with Fargate or with instances of one's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from swath.testing.containers import Machine, Programs
from swath.testing.ecs.clusters import Cluster, Clusters
from swath.testing.ecs.definitions import TaskDefinitions
from swath.testing.ecs.requests import INVALID, TaskRequests
from swath.testing.ecs.tasks import (
    EXITED,
    INTERRUPTED,
    KILLED_FOR_MEMORY,
    Stop,
    Task,
    Tasks,
    task_id,
)
from swath.testing.logs import LogBook
from swath.testing.model import Json
from swath.testing.service import FakeService

NO_CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different availability "
    "zone"
)
STOPPED = frozenset({"STOPPED"})


class FakeEcs(FakeService):
    """ECS that runs the containers of its tasks as processes of this machine.

    Known are CreateCluster, DescribeClusters, RegisterTaskDefinition, DeregisterTaskDefinition,
    DescribeTaskDefinition, RunTask, DescribeTasks, ListTasks and StopTask, for task definitions of
    one container. Anything else, and any parameter that would be ignored, is an error.

    Parameters
    ----------
    slots
        Containers that run at once; other tasks are PENDING until one ends.
    programs, environment, folder, second_s
        See `swath.testing`.

    Examples
    --------
    >>> import boto3
    >>> with FakeEcs() as ecs:
    ...     ecs.add_cluster("fargate")
    ...     hello = ecs.add_definition("hello", command=["python", "-c", "print('hello')"])
    ...     client = boto3.client(
    ...         "ecs",
    ...         endpoint_url=ecs.endpoint,
    ...         region_name="us-east-1",
    ...         aws_access_key_id="a",
    ...         aws_secret_access_key="b",
    ...     )
    ...     (task,) = client.run_task(
    ...         cluster="fargate",
    ...         taskDefinition=hello,
    ...         launchType="FARGATE",
    ...         networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    ...     )["tasks"]
    ...     told = ecs.wait_for(task["taskArn"])
    ...     print(ecs.log(task["taskArn"]), end="")
    hello
    """

    service = "ecs"
    invalid = INVALID

    def __init__(
        self,
        *,
        slots: int = 4,
        programs: Programs | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        second_s: float = 1.0,
    ) -> None:
        super().__init__()
        self._clusters = Clusters()
        self._definitions = TaskDefinitions()
        self._machine = Machine(programs=programs, environment=environment, folder=folder)
        self.logs = LogBook(self._machine.folder)
        self._memory_needed: dict[str, int] = {}
        self._tasks = Tasks(
            self.changed,
            self._machine,
            self.logs,
            slots=slots,
            second_s=second_s,
            memory_needed=self._needed_by,
        )
        self._requests = TaskRequests(self._clusters, self._definitions, self._tasks)
        self.handlers = {
            "CreateCluster": self._clusters.create,
            "DescribeClusters": self._requests.describe_clusters,
            "RegisterTaskDefinition": self._definitions.register,
            "DeregisterTaskDefinition": self._definitions.deregister,
            "DescribeTaskDefinition": self._definitions.describe,
            "RunTask": self._requests.run,
            "DescribeTasks": self._requests.describe,
            "ListTasks": self._requests.list,
            "StopTask": self._requests.stop,
        }

    def close(self) -> None:
        """Stop listening, and end every container."""
        super().close()
        self._tasks.close()
        self._machine.close()
        self._tasks.join()
        self._machine.remove()

    # ------------------------------------------------------------ what is there

    def add_cluster(
        self,
        name: str,
        *,
        capacity_providers: Sequence[str] = ("FARGATE", "FARGATE_SPOT"),
        instances: int = 0,
        gpus: int = 0,
    ) -> None:
        """Declare a cluster.

        Parameters
        ----------
        instances
            Container instances, for tasks of launch type EC2; how many makes no difference.
        gpus
            Devices of all instances together. A task that asks for more than are free is not
            placed: ``failures`` with ``RESOURCE:GPU``.
        """
        with self.changed:
            self._clusters.add(Cluster(name, capacity_providers, (), instances, gpus))

    def add_definition(
        self,
        family: str,
        *,
        command: Sequence[str] = (),
        name: str = "swath",
        image: str = "swath",
        cpu: int = 256,
        memory_mib: int = 512,
        container: Json | None = None,
        **more: object,
    ) -> str:
        """Register a task definition for Fargate, or a new revision of one; return its ARN.

        Parameters
        ----------
        name
            Of its container.
        container
            More of the container's definition: ``environment``, ``logConfiguration`` and so on.
        **more
            More of RegisterTaskDefinition, or other values: ``requiresCompatibilities=["EC2"]``.
        """
        defined = {"name": name, "image": image, "command": list(command), "essential": True}
        request: Json = {
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": str(cpu),
            "memory": str(memory_mib),
            "containerDefinitions": [defined | (container or {})],
            **more,
        }
        with self.changed:
            answer = self._definitions.register(request)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    # ------------------------------------------------------------ what happens

    def fail_placement(self, n: int = 1, *, reason: str = NO_CAPACITY) -> None:
        """Let the next `n` tasks not be placed, but be told among ``failures`` of RunTask."""
        with self.changed:
            self._requests.unplaceable += [reason] * n

    def interrupt(self, task: str) -> None:
        """Take the Fargate Spot capacity of a task away: SIGTERM, and SIGKILL later."""
        self._end(task, INTERRUPTED, patience_s=120.0)

    def run_out_of_memory(self, task: str) -> None:
        """End the container of a task as if it had used more memory than the task has."""
        self._end(task, KILLED_FOR_MEMORY, patience_s=0.0)

    def kill(self, task: str) -> None:
        """End the container of a task with SIGKILL, as any fault inside it might."""
        self._end(task, EXITED, patience_s=0.0)

    def need_memory(self, command: str, memory_mib: int) -> None:
        """Let tasks run out of memory as long as they have less than this.

        Parameters
        ----------
        command
            Glob pattern for the words of their command, joined by blanks.
        memory_mib
            What they need.
        """
        with self.changed:
            self._memory_needed[command] = memory_mib

    def forget(self, task: str) -> None:
        """Forget a stopped task, as ECS does after an hour."""
        with self.changed:
            del self._tasks.all[task_id(task)]

    def _end(self, task: str, stop: Stop, *, patience_s: float) -> None:
        self.wait_for(task, STOPPED | {"RUNNING"})
        with self.changed:
            if not self._tasks.stop(self._tasks.all[task_id(task)], stop, patience_s=patience_s):
                raise RuntimeError(f"task {task} does not run: {self.task(task)['lastStatus']}")

    # ------------------------------------------------------------ what is seen

    def wait_for(
        self, task: str, states: Collection[str] = STOPPED, *, timeout_s: float = 30.0
    ) -> Json:
        """Wait until a task is in one of some states, and return what DescribeTasks tells of it.

        Parameters
        ----------
        task
            Its ARN or id.

        Raises
        ------
        TimeoutError
            If it does not get there.
        """
        found = self._tasks.all[task_id(task)]
        with self.changed:
            if not self.changed.wait_for(lambda: found.status in states, timeout_s):
                raise TimeoutError(f"task after {timeout_s} s: {found.detail(tags=True)}")
            return found.detail(tags=True)

    def task(self, task: str) -> Json:
        """Return what DescribeTasks tells about a task, without a request."""
        with self.changed:
            return self._tasks.all[task_id(task)].detail(tags=True)

    def log(self, task: str) -> str:
        """Return what a task printed so far."""
        with self.changed:
            return self.logs.text(*self._tasks.all[task_id(task)].log_stream)

    def _needed_by(self, task: Task) -> int:
        command = " ".join(task.command)
        return max(
            (mib for pattern, mib in self._memory_needed.items() if fnmatchcase(command, pattern)),
            default=0,
        )
