"""What ECS answers to requests about tasks and clusters."""

from __future__ import annotations

from collections.abc import Iterable

from swath.testing.ecs.clusters import Cluster, Clusters
from swath.testing.ecs.definitions import TaskDefinitions
from swath.testing.ecs.limits import run_problems
from swath.testing.ecs.tasks import Stop, Task, Tasks, task_id
from swath.testing.model import Json
from swath.testing.paging import page
from swath.testing.protocol import ServiceError, refuse_beyond

INVALID = "InvalidParameterException"
LARGEST_PAGE = 100
_KNOWN = (
    "capacityProviderStrategy",
    "cluster",
    "count",
    "enableECSManagedTags",
    "group",
    "launchType",
    "networkConfiguration",
    "overrides",
    "platformVersion",
    "propagateTags",
    "startedBy",
    "tags",
    "taskDefinition",
    "clientToken",
)
_KNOWN_OVERRIDES = ("containerOverrides", "cpu", "memory", "executionRoleArn", "taskRoleArn")
_KNOWN_CONTAINER_OVERRIDES = (
    "name",
    "command",
    "environment",
    "cpu",
    "memory",
    "resourceRequirements",
)


class TaskRequests:
    """RunTask, DescribeTasks, ListTasks, StopTask and DescribeClusters.

    Parameters
    ----------
    clusters, definitions
        What tasks may name.
    tasks
        What knows and runs the tasks.

    Attributes
    ----------
    unplaceable
        Reasons why the next tasks find no place, one for each.
    """

    def __init__(self, clusters: Clusters, definitions: TaskDefinitions, tasks: Tasks) -> None:
        self.unplaceable: list[str] = []
        self._clusters = clusters
        self._definitions = definitions
        self._tasks = tasks
        self._tokens: dict[tuple[str, str], tuple[Json, Json]] = {}

    def describe_clusters(self, request: Json) -> Json:
        """DescribeClusters."""
        found, missing = [], []
        for name in request.get("clusters", ["default"]):
            cluster = self._clusters.get(name)
            if cluster is None:
                missing.append({"arn": name, "reason": "MISSING"})
                continue
            states = [task.status for task in self._of(cluster)]
            pending = states.count("PENDING") + states.count("ACTIVATING")
            detail = cluster.detail(n_running=states.count("RUNNING"), n_pending=pending)
            if "TAGS" in request.get("include", ()):
                detail["tags"] = list(cluster.tags)
            found.append(detail)
        return {"clusters": found, "failures": missing}

    def run(self, request: Json) -> Json:
        """RunTask."""
        refuse_beyond(_KNOWN, request, "RunTask")
        overrides = request.get("overrides", {})
        refuse_beyond(_KNOWN_OVERRIDES, overrides, "overrides")
        for item in overrides.get("containerOverrides", ()):
            refuse_beyond(_KNOWN_CONTAINER_OVERRIDES, item, "containerOverrides")
        cluster = self._clusters.find(request)
        key = (cluster.name, request.get("clientToken", ""))
        if key in self._tokens:
            return _repeated(request, *self._tokens[key])
        definition = self._definitions.active(request["taskDefinition"])
        launch_type, provider = cluster.launch(request)
        for problem in run_problems(request, definition, launch_type):
            raise ServiceError(INVALID, problem)
        tasks: list[Json] = []
        failures: list[Json] = []
        for _ in range(request.get("count", 1)):
            task = Task(request, cluster, definition, launch_type, provider)
            if not task.command:
                raise ServiceError(
                    "NotImplementedByFake", "The fake has no images: a command must be given.", 501
                )
            reason = self._place(task)
            if reason is None:
                tasks.append(task.detail(tags=True))
                self._tasks.add(task)
            else:
                failures.append({"arn": cluster.arn, "reason": reason})
        answer: Json = {"tasks": tasks, "failures": failures}
        if "clientToken" in request:
            self._tokens[key] = (request, answer)
        return answer

    def _place(self, task: Task) -> str | None:
        """Give a task its GPUs; return why it cannot be placed, None if it can."""
        if self.unplaceable:
            return self.unplaceable.pop(0)
        container = {**task.definition.container, **task.override}
        wanted = sum(
            int(item["value"])
            for item in container.get("resourceRequirements", ())
            if item["type"] == "GPU"
        )
        free = task.cluster.free_gpus
        if wanted > len(free):
            return "RESOURCE:GPU"
        task.devices, task.cluster.free_gpus = free[:wanted], free[wanted:]
        return None

    def describe(self, request: Json) -> Json:
        """DescribeTasks."""
        cluster = self._clusters.find(request)
        if len(request["tasks"]) > LARGEST_PAGE:
            raise ServiceError(INVALID, f"Tasks cannot have more than {LARGEST_PAGE} members.")
        tags = "TAGS" in request.get("include", ())
        found, missing = [], []
        for reference in request["tasks"]:
            task = self._tasks.all.get(task_id(reference))
            if task is None or task.cluster is not cluster:
                missing.append({"arn": reference, "reason": "MISSING"})
            else:
                found.append(task.detail(tags=tags))
        return {"tasks": found, "failures": missing}

    def list(self, request: Json) -> Json:
        """ListTasks."""
        known = ("cluster", "family", "nextToken", "maxResults", "startedBy", "desiredStatus")
        refuse_beyond((*known, "launchType"), request, "ListTasks")
        if "startedBy" in request and ("family" in request or "launchType" in request):
            raise ServiceError(INVALID, "startedBy must be the only filter")
        size = request.get("maxResults", LARGEST_PAGE)
        if not 1 <= size <= LARGEST_PAGE:
            raise ServiceError(INVALID, f"maxResults must be 1 to {LARGEST_PAGE}, not {size}")
        found = [
            task.arn
            for task in self._of(self._clusters.find(request))
            if task.desired == request.get("desiredStatus", "RUNNING")
            and request.get("startedBy") in {None, task.request.get("startedBy")}
            and request.get("family") in {None, task.definition.family}
            and request.get("launchType") in {None, task.launch_type}
        ]
        shown, token = page(found, request.get("nextToken"), size, invalid=INVALID)
        answer: Json = {"taskArns": shown}
        return answer if token is None else answer | {"nextToken": token}

    def stop(self, request: Json) -> Json:
        """StopTask."""
        self._clusters.find(request)
        task = self._tasks.all.get(task_id(request["task"]))
        if task is None:
            raise ServiceError(INVALID, "The referenced task was not found.")
        reason = request.get("reason", "Task stopped by user")
        self._tasks.stop(task, Stop("UserInitiated", reason))
        return {"task": task.detail(tags=True)}

    def _of(self, cluster: Cluster) -> Iterable[Task]:
        return (task for task in self._tasks.all.values() if task.cluster is cluster)


def _repeated(request: Json, first: Json, answer: Json) -> Json:
    """Return the first answer to a request that bears the token of an earlier one."""
    if request != first:
        raise ServiceError(
            "ConflictException", "The clientToken is in use with a different RunTask request."
        )
    return answer
