"""Clusters of ECS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from swath.testing.model import Json
from swath.testing.protocol import ACCOUNT, REGION, ServiceError, refuse_beyond

_ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/"
_KNOWN = ("clusterName", "tags", "settings", "capacityProviders", "defaultCapacityProviderStrategy")


@dataclass(eq=False)
class Cluster:
    """A cluster, and the container instances in it, if it has any.

    Attributes
    ----------
    free_gpus
        Numbers of the devices of its instances that no task has.
    """

    name: str
    capacity_providers: Sequence[str] = ()
    default_strategy: Sequence[Json] = ()
    instances: int = 0
    gpus: int = 0
    tags: Sequence[Json] = ()
    status: str = "ACTIVE"
    free_gpus: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.free_gpus = list(range(self.gpus))

    @property
    def arn(self) -> str:
        """Its ARN."""
        return _ARN + self.name

    def detail(self, *, n_running: int, n_pending: int) -> Json:
        """Return what DescribeClusters tells."""
        return {
            "clusterArn": self.arn,
            "clusterName": self.name,
            "status": self.status,
            "registeredContainerInstancesCount": self.instances,
            "runningTasksCount": n_running,
            "pendingTasksCount": n_pending,
            "activeServicesCount": 0,
            "capacityProviders": list(self.capacity_providers),
            "defaultCapacityProviderStrategy": list(self.default_strategy),
        }

    def launch(self, request: Json) -> tuple[str, str | None]:
        """Return launch type and capacity provider for the tasks of a RunTask request.

        A strategy of several providers is taken at its heaviest, without weighing tasks out.

        Raises
        ------
        ServiceError
            If the cluster cannot launch so.
        """
        strategy = request.get("capacityProviderStrategy", [])
        if "launchType" in request and strategy:
            raise ServiceError(
                "InvalidParameterException",
                "Specifying both a launch type and capacity provider strategy is not supported.",
            )
        launch_type = request.get("launchType")
        if launch_type is None:
            strategy = strategy or self.default_strategy
        if strategy:
            chosen = self._provider(strategy)
            return ("FARGATE" if chosen.startswith("FARGATE") else "EC2"), chosen
        launch_type = launch_type or "EC2"
        if launch_type == "EC2" and not self.instances:
            raise ServiceError(
                "InvalidParameterException", "No Container Instances were found in your cluster."
            )
        return launch_type, None

    def _provider(self, strategy: Sequence[Json]) -> str:
        for item in strategy:
            if item["capacityProvider"] not in self.capacity_providers:
                raise ServiceError(
                    "InvalidParameterException",
                    f"The capacity provider {item['capacityProvider']} is not associated with "
                    f"cluster {self.name}.",
                )
        heaviest = max(strategy, key=lambda item: item.get("weight", 0))
        if len(strategy) > 1 and not heaviest.get("weight", 0):
            raise ServiceError(
                "InvalidParameterException",
                "At least one capacity provider must have a weight greater than zero.",
            )
        return str(heaviest["capacityProvider"])


class Clusters:
    """All clusters of a fake."""

    def __init__(self) -> None:
        self._all: dict[str, Cluster] = {}

    def add(self, cluster: Cluster) -> None:
        """Add a cluster; its name must be new."""
        if cluster.name in self._all:
            raise ValueError(f"there is a cluster {cluster.name!r} already")
        self._all[cluster.name] = cluster

    def create(self, request: Json) -> Json:
        """CreateCluster; one that exists is answered as it is."""
        refuse_beyond(_KNOWN, request, "CreateCluster")
        name = request.get("clusterName", "default")
        if name not in self._all:
            self._all[name] = Cluster(
                name,
                request.get("capacityProviders", ()),
                request.get("defaultCapacityProviderStrategy", ()),
                tags=request.get("tags", ()),
            )
        return {"cluster": self._all[name].detail(n_running=0, n_pending=0)}

    def get(self, reference: str) -> Cluster | None:
        """Return the cluster of a name or ARN, None if there is none."""
        return self._all.get(reference.removeprefix(_ARN))

    def find(self, request: Json) -> Cluster:
        """Return the cluster that a request is about.

        Raises
        ------
        ServiceError
            If there is none.
        """
        cluster = self.get(request.get("cluster", "default"))
        if cluster is None:
            raise ServiceError("ClusterNotFoundException", "Cluster not found.")
        return cluster
