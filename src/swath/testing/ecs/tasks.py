"""Tasks of ECS: their state, and the processes that they are."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from swath.testing.containers import STOP_PATIENCE_S, Container, Machine
from swath.testing.ecs.clusters import Cluster
from swath.testing.ecs.definitions import TaskDefinition
from swath.testing.logs import LogBook
from swath.testing.model import Json
from swath.testing.protocol import ACCOUNT, REGION

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@dataclass(frozen=True)
class Stop:
    """Why a task stops, if not because its container exited by itself.

    Attributes
    ----------
    code
        ``stopCode`` of the task.
    reason
        ``stoppedReason`` of the task.
    container_reason
        ``reason`` of the container.
    exit_code
        Of the container, in place of the process's own.
    """

    code: str
    reason: str
    container_reason: str | None = None
    exit_code: int | None = None


EXITED = Stop("EssentialContainerExited", "Essential container in task exited")
INTERRUPTED = Stop("SpotInterruption", "Your Spot Task was interrupted.")
KILLED_FOR_MEMORY = Stop(EXITED.code, EXITED.reason, OUT_OF_MEMORY, 137)


@dataclass(eq=False)
class Task:
    """One task.

    Attributes
    ----------
    request
        RunTask's parameters.
    launch_type, provider
        Where it runs: ``"FARGATE"`` or ``"EC2"``, and the capacity provider if there is one.
    stop
        Why it is being stopped.
    devices
        Numbers of the GPUs that it has.
    """

    request: Json
    cluster: Cluster
    definition: TaskDefinition
    launch_type: str
    provider: str | None
    devices: list[int] = field(default_factory=list)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    created: float = field(default_factory=time.time)
    started: float | None = None
    stopping: float | None = None
    stopped: float | None = None
    stop: Stop | None = None
    exit_code: int | None = None
    container: Container | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{self.cluster.name}/{self.id}"

    @property
    def override(self) -> Json:
        """What the request changes about the container."""
        overrides = self.request.get("overrides", {}).get("containerOverrides", [])
        return dict(overrides[0]) if overrides else {}

    @property
    def command(self) -> list[str]:
        """Entry point and command."""
        defined = self.definition.container
        command = self.override.get("command") or defined.get("command", [])
        return [*defined.get("entryPoint", []), *command]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the container."""
        own = {
            item["name"]: item.get("value", "")
            for source in (self.definition.container, self.override)
            for item in source.get("environment", ())
        }
        own["AWS_EXECUTION_ENV"] = f"AWS_ECS_{self.launch_type}"
        if self.devices:
            own["NVIDIA_VISIBLE_DEVICES"] = ",".join(map(str, self.devices))
        return own

    @property
    def memory_mib(self) -> int:
        """Memory that the container may use: its own limit, or the task's."""
        overrides = self.request.get("overrides", {})
        container = self.definition.container
        for source in (self.override, container, overrides, self.definition.request):
            if "memory" in source:
                return int(source["memory"])
        return int(container["memoryReservation"])

    @property
    def log_stream(self) -> tuple[str, str]:
        """Log group and stream; those of no log driver are the fake's own."""
        name = self.definition.container["name"]
        options = self.definition.container.get("logConfiguration", {}).get("options", {})
        prefix = options.get("awslogs-stream-prefix", "ecs")
        return options.get("awslogs-group", "/not/logged"), f"{prefix}/{name}/{self.id}"

    def detail(self, *, tags: bool) -> Json:
        """Return what DescribeTasks tells."""
        container = {
            "containerArn": f"{self.arn}/container",
            "taskArn": self.arn,
            "name": self.definition.container["name"],
            "image": self.definition.container["image"],
            "lastStatus": "PENDING" if self.status == "PROVISIONING" else self.status,
            "exitCode": self.exit_code,
            "reason": self.stop.container_reason if self.stop and self.stopped else None,
            "gpuIds": [f"GPU-{number}" for number in self.devices] or None,
        }
        size = self.definition.request | self.request.get("overrides", {})
        told = {
            "taskArn": self.arn,
            "clusterArn": self.cluster.arn,
            "taskDefinitionArn": self.definition.arn,
            "containers": [_without_none(container)],
            "overrides": self.request.get("overrides", {}),
            "cpu": size.get("cpu"),
            "memory": size.get("memory"),
            "group": self.request.get("group", f"family:{self.definition.family}"),
            "launchType": self.launch_type,
            "capacityProviderName": self.provider,
            "platformVersion": "1.4.0" if self.launch_type == "FARGATE" else None,
            "startedBy": self.request.get("startedBy"),
            "lastStatus": self.status,
            "desiredStatus": self.desired,
            "createdAt": self.created,
            "startedAt": self.started,
            "stoppingAt": self.stopping,
            "stoppedAt": self.stopped,
            "stopCode": self.stop.code if self.stop else None,
            "stoppedReason": self.stop.reason if self.stop else None,
            "tags": self.tags if tags else None,
        }
        return _without_none(told)

    @property
    def tags(self) -> list[Json]:
        """Its tags, with those of the definition if the request propagates them."""
        inherited = self.definition.request.get("tags", [])
        merged = {
            tag["key"]: tag
            for tag in [
                *(inherited if self.request.get("propagateTags") == "TASK_DEFINITION" else ()),
                *self.request.get("tags", ()),
            ]
        }
        return list(merged.values())


class Tasks:
    """Starts tasks, no more than `slots` at once, and notes how they end.

    Everything here happens under the lock of the fake; only the wait for a container does not.

    Parameters
    ----------
    changed
        The lock; notified when a task changes its state.
    slots
        Containers that run at once; other tasks are PENDING until one ends.
    memory_needed
        How much memory, in MiB, a task pretends to need, 0 for most.
    """

    def __init__(
        self,
        changed: threading.Condition,
        machine: Machine,
        logs: LogBook,
        *,
        slots: int,
        second_s: float,
        memory_needed: Callable[[Task], int],
    ) -> None:
        self.all: dict[str, Task] = {}
        self._changed = changed
        self._machine = machine
        self._logs = logs
        self._slots = slots
        self._second_s = second_s
        self._memory_needed = memory_needed
        self._pending: deque[Task] = deque()
        self._n_running = 0
        self._threads: set[threading.Thread] = set()
        self._closing = False

    def add(self, task: Task) -> None:
        """Take a task, and start it when there is a free slot."""
        self.all[task.id] = task
        task.status = "PENDING"
        self._pending.append(task)
        self._start()

    def stop(self, task: Task, stop: Stop, *, patience_s: float = STOP_PATIENCE_S) -> bool:
        """Stop a task; return whether it was not stopped, or being stopped, before."""
        if task.stop is not None:
            return False
        task.stop, task.desired, task.stopping = stop, "STOPPED", time.time()
        if task.status == "PENDING":
            self._pending.remove(task)
            self._close(task, None)
        elif task.container is not None:
            task.status = "STOPPING"
            if patience_s:
                task.container.stop(patience_s * self._second_s)
            else:
                task.container.signal(signal.SIGKILL)
        self._changed.notify_all()
        return True

    def close(self) -> None:
        """Start nothing more."""
        with self._changed:
            self._closing = True

    def join(self) -> None:
        """Wait until the threads of all tasks have ended; the machine is closed before."""
        for thread in list(self._threads):
            thread.join()

    def _start(self) -> None:
        while self._pending and self._n_running < self._slots and not self._closing:
            task = self._pending.popleft()
            task.status = "ACTIVATING"
            self._n_running += 1
            thread = threading.Thread(target=self._run, args=(task,), name=task.id, daemon=True)
            self._threads.add(thread)
            thread.start()

    def _run(self, task: Task) -> None:
        """Run the container of a task; the body of a thread."""
        container, code = None, None
        try:
            log = self._logs.open(*task.log_stream)
            container = self._machine.start(task.command, task.environment, log)
        except OSError as error:
            reason = f"CannotStartContainerError: {error.filename}: {error.strerror}"
            with self._changed:
                task.stop = task.stop or Stop("TaskFailedToStart", reason, reason)
        if container is not None:
            with self._changed:
                task.container, task.status, task.started = container, "RUNNING", time.time()
                if task.stop is None and self._memory_needed(task) > task.memory_mib:
                    task.stop = KILLED_FOR_MEMORY
                if task.stop is not None:  # or stopped while it started
                    container.signal(signal.SIGKILL)
                self._changed.notify_all()
            code = self._machine.wait(container)
        with self._changed:
            self._threads.discard(threading.current_thread())
            self._n_running -= 1
            self._close(task, code)
            self._start()
            self._changed.notify_all()

    def _close(self, task: Task, code: int | None) -> None:
        task.stop = task.stop or EXITED
        task.exit_code = task.stop.exit_code or code
        task.container, task.status, task.desired = None, "STOPPED", "STOPPED"
        task.stopped = time.time()
        task.stopping = task.stopping or task.stopped
        task.cluster.free_gpus = sorted(task.cluster.free_gpus + task.devices)
        task.devices = []


def _without_none(told: Json) -> Json:
    return {key: value for key, value in told.items() if value is not None}


def task_id(task: str) -> str:
    """Return the id in the ARN of a task, or the id itself."""
    return task.rpartition("/")[2]
