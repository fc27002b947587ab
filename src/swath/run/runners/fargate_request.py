"""What ECS is asked for: sizes of tasks, task definitions, and the requests that start tasks.

Pure functions from splits and settings to parameters of boto3; nothing is sent here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swath.errors import ConfigError
from swath.plan.canonical import fingerprint_of
from swath.plan.command import Resources
from swath.run.aws import tags
from swath.run.folder import RunFolder
from swath.run.splits import RunSplit
from swath.run.worker_arguments import split_arguments
from swath.settings import Settings

GIB = 1024
"""MiB; ECS counts memory in these."""

FARGATE_SIZES: Mapping[int, Sequence[int]] = {
    256: (GIB // 2, GIB, 2 * GIB),
    512: range(1 * GIB, 4 * GIB + 1, GIB),
    1024: range(2 * GIB, 8 * GIB + 1, GIB),
    2048: range(4 * GIB, 16 * GIB + 1, GIB),
    4096: range(8 * GIB, 30 * GIB + 1, GIB),
    8192: range(16 * GIB, 60 * GIB + 1, 4 * GIB),
    16384: range(32 * GIB, 120 * GIB + 1, 8 * GIB),
}
"""CPU units, 1024 of which are a vCPU, and the amounts of memory in MiB that go with them.

From "Task CPU and memory" in the chapter on Fargate task definitions of the ECS developer guide."""

DISK_GIB = range(20, 201)
"""GiB of disk that a task on Fargate can have; 20 without asking.

From the page EphemeralStorage of the ECS API reference."""

OVERRIDES_CHARACTERS = 8192
"""Most that the overrides of a request may have as JSON (ECS API reference, RunTask)."""

LAUNCH_TYPES = ("FARGATE", "EC2")
"""What ECS calls launch types; any other capacity is a capacity provider of the cluster."""

RUN_TAG, SPLIT_TAG, ATTEMPT_TAG = "swath-run", "swath-split", "swath-attempt"
"""Tags by which a task is found again."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a task is given.

    Attributes
    ----------
    cpu
        CPU units, 1024 of which are a vCPU.
    memory_mib
        Memory in MiB.
    """

    cpu: int
    memory_mib: int


def is_fargate(settings: Settings) -> bool:
    """Tell whether tasks run on Fargate, and not on instances of one's own."""
    return settings.text("fargate.capacity").startswith("FARGATE")


def wanted_size(resources: Resources, settings: Settings) -> Size:
    """Return what a split asks for, or what is usual where it does not say."""
    cpus = resources.cpus or settings.count("fargate.cpus", 1)
    memory_gib = resources.memory_gib or settings.count("fargate.memory_gib", 1)
    return Size(1024 * cpus, math.ceil(memory_gib * GIB))


def offered_size(wanted: Size) -> Size | None:
    """Return the smallest size of Fargate with at least so much; None if there is none.

    Examples
    --------
    >>> offered_size(Size(cpu=2048, memory_mib=7000))
    Size(cpu=2048, memory_mib=7168)
    >>> offered_size(Size(cpu=2048, memory_mib=32 * 1024))
    Size(cpu=8192, memory_mib=32768)
    """
    for cpu, amounts in FARGATE_SIZES.items():
        enough = [memory for memory in amounts if memory >= wanted.memory_mib]
        if cpu >= wanted.cpu and enough:
            return Size(cpu, enough[0])
    return None


def size_of(resources: Resources, settings: Settings) -> Size:
    """Return the size of the task of a split.

    Raises
    ------
    ConfigError
        If Fargate has none with so much, or with a GPU.
    """
    wanted = wanted_size(resources, settings)
    if not is_fargate(settings):
        return wanted
    if resources.gpus:
        raise ConfigError(
            f"it asks for {resources.gpus} GPU(s), and Fargate has none.",
            mend="Compute on the CPU (--set run.device=cpu), use the runner batch, or instances "
            "with GPUs of your own (--set fargate.capacity=EC2).",
        )
    offered = offered_size(wanted)
    if offered is None:
        largest, amounts = max(FARGATE_SIZES.items())
        raise ConfigError(
            f"it asks for {wanted.cpu / 1024:g} vCPU and {wanted.memory_mib / GIB:g} GiB, and the "
            f"largest task on Fargate has {largest // 1024} vCPU and {amounts[-1] // GIB} GiB.",
            mend="Ask for less (commands.<kind>.cpus, commands.<kind>.memory_gib), or use the "
            "runner batch.",
        )
    return offered


def definition_request(settings: Settings, region: str) -> dict[str, Any]:
    """Return the task definition that Swath makes of the settings.

    Its name holds a hash of all that is in it: the same settings have the same definition.
    """
    base = size_of(Resources(), settings)
    container: dict[str, Any] = {
        "name": settings.text("fargate.container"),
        "image": settings.required("fargate.image", "to make a task definition"),
        "essential": True,
        "command": ["swath", "--version"],
    }
    if settings["fargate.log_group"] is not None:
        options = {
            "awslogs-group": settings.text("fargate.log_group"),
            "awslogs-region": region,
            "awslogs-stream-prefix": "swath",
        }
        container["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    request: dict[str, Any] = {
        "networkMode": "awsvpc" if settings["fargate.subnets"] is not None else "bridge",
        "requiresCompatibilities": ["FARGATE" if is_fargate(settings) else "EC2"],
        "runtimePlatform": {
            "cpuArchitecture": settings.text("fargate.architecture"),
            "operatingSystemFamily": "LINUX",
        },
        "cpu": str(base.cpu),
        "memory": str(base.memory_mib),
        "containerDefinitions": [container],
        **_roles(settings),
    }
    disk_gib = settings.count("fargate.disk_gib", 20)
    if is_fargate(settings) and disk_gib > DISK_GIB.start:
        request["ephemeralStorage"] = {"sizeInGiB": disk_gib}
    return {"family": f"swath-{fingerprint_of(request)[:16]}", **request}


def run_request(
    folder: RunFolder,
    split: RunSplit,
    attempt: int,
    *,
    definition: str,
    region: str,
    settings: Settings,
) -> dict[str, Any]:
    """Return the request that starts the task of a split.

    Parameters
    ----------
    folder
        Of the run.
    split
        Its resources decide on the size.
    attempt
        0 for the first request. The same attempt is the same task, however often it is sent.
    definition
        Family or ARN of the task definition.
    region
        Where the worker takes its stores to be, unless those say something else.
    settings
        Of the user.

    Raises
    ------
    ConfigError
        If there is no such size, or the overrides are too long for ECS.
    """
    size = size_of(split.resources, settings)
    variables = settings.variables("store.") | {"AWS_REGION": region}
    container: dict[str, Any] = {
        "name": settings.text("fargate.container"),
        "command": ["swath", *split_arguments(folder, split.key)],
        "environment": [{"name": name, "value": variables[name]} for name in sorted(variables)],
    }
    if split.resources.gpus:
        gpus = {"type": "GPU", "value": str(split.resources.gpus)}
        container["resourceRequirements"] = [gpus]
    overrides = {
        "containerOverrides": [container],
        "cpu": str(size.cpu),
        "memory": str(size.memory_mib),
        **_roles(settings),
    }
    length = len(json.dumps(overrides))
    if length > OVERRIDES_CHARACTERS:
        raise ConfigError(
            f"the overrides of its task take {length} characters, and ECS takes "
            f"{OVERRIDES_CHARACTERS}.",
            where=split.key,
            mend="Choose a shorter root_uri.",
        )
    own = {
        "run": folder.id,
        "split": split.key,
        "attempt": attempt,
        "fingerprint": split.fingerprint,
    }
    named = {f"swath-{name}": str(value) for name, value in own.items()}
    return {
        "cluster": settings.required("fargate.cluster", "to start tasks"),
        "taskDefinition": definition,
        "count": 1,
        "startedBy": folder.id,
        "clientToken": _token(folder.id, split.key, attempt),
        "overrides": overrides,
        "tags": [{"key": k, "value": v} for k, v in {**tags(settings), **named}.items()],
        **_launch(settings),
        **_network(settings),
    }


def words_of(settings: Settings, name: str) -> list[str]:
    """Return a setting that is a list with commas; empty if nobody set it."""
    return [word.strip() for word in str(settings[name] or "").split(",") if word.strip()]


def _token(run: str, key: str, attempt: int) -> str:
    """Return 64 characters, as many as ECS takes, that name one attempt at a split."""
    return hashlib.sha256(f"{run}/{key}/{attempt}".encode()).hexdigest()


def _roles(settings: Settings) -> dict[str, str]:
    given = {
        "taskRoleArn": settings["fargate.task_role"],
        "executionRoleArn": settings["fargate.execution_role"],
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def _launch(settings: Settings) -> dict[str, Any]:
    """Return where tasks are placed: a launch type, or a capacity provider of the cluster."""
    capacity = settings.text("fargate.capacity")
    if capacity in LAUNCH_TYPES:
        return {"launchType": capacity}
    return {"capacityProviderStrategy": [{"capacityProvider": capacity, "weight": 1}]}


def _network(settings: Settings) -> dict[str, Any]:
    """Return the network of a task; without subnets it has that of its instance."""
    subnets = words_of(settings, "fargate.subnets")
    if not subnets:
        return {}
    network: dict[str, Any] = {"subnets": subnets}
    if groups := words_of(settings, "fargate.security_groups"):
        network["securityGroups"] = groups
    if is_fargate(settings):  # instances decide it by their subnet
        is_public = settings.is_on("fargate.public_ip")
        network["assignPublicIp"] = "ENABLED" if is_public else "DISABLED"
    return {"networkConfiguration": {"awsvpcConfiguration": network}}
