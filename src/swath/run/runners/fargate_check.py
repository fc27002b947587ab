"""What is checked before any task is started: settings, sizes, the cluster, the task definition.

Each check yields findings and raises nothing, so that one look tells all that has to be mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swath.errors import ConfigError, SwathError
from swath.plan.command import Resources
from swath.run import aws
from swath.run.aws_access import image_findings, missing, role_finding, unchecked
from swath.run.runner import Finding, Severity
from swath.run.runners.fargate_request import (
    DISK_GIB,
    LAUNCH_TYPES,
    is_fargate,
    size_of,
    words_of,
)
from swath.run.splits import RunSplit
from swath.settings import Settings

SERVICE = "ecs-tasks.amazonaws.com"

_ASKED = "ECS"
_NETWORK = {
    "fargate.subnets": (re.compile(r"subnet-[0-9a-f]+"), 16),
    "fargate.security_groups": (re.compile(r"sg-[0-9a-f]+"), 5),
}
"""Pattern and greatest number of what they name, from AwsVpcConfiguration of the API reference."""

_PRIVATE_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.")


def setting_findings(settings: Settings) -> Iterator[Finding]:
    """Check the settings against each other."""
    if settings["fargate.cluster"] is None:
        yield missing("fargate.cluster", "to start tasks")
    if settings["fargate.task_definition"] is not None:
        for name in ("fargate.image", "fargate.log_group"):
            if settings[name] is not None:
                yield Finding(
                    Severity.WARNING,
                    f"{name} is set and does nothing: fargate.task_definition says it.",
                    "Unset one of the two.",
                )
    elif settings["fargate.image"] is None:
        yield missing("fargate.image", "to make a task definition, or fargate.task_definition")
    else:
        yield from _made_definition_findings(settings)
    if is_fargate(settings) and not words_of(settings, "fargate.subnets"):
        yield missing("fargate.subnets", "for tasks on Fargate")
    yield from _pattern_findings(settings)


def _made_definition_findings(settings: Settings) -> Iterator[Finding]:
    image, disk = settings.text("fargate.image"), settings.count("fargate.disk_gib", 20)
    if settings["fargate.task_role"] is None:
        yield _no_task_role("the task definition that Swath makes", "Set fargate.task_role.")
    needs_role = _PRIVATE_IMAGE.match(image) or settings["fargate.log_group"] is not None
    if settings["fargate.execution_role"] is None and needs_role and is_fargate(settings):
        yield missing("fargate.execution_role", "to pull the image and to write logs")
    if disk not in DISK_GIB:
        yield Finding(
            Severity.ERROR,
            f"fargate.disk_gib is {disk}; Fargate has {DISK_GIB[0]} to {DISK_GIB[-1]} GiB.",
            "Set it to one of these.",
        )


def _pattern_findings(settings: Settings) -> Iterator[Finding]:
    for name, (pattern, most) in _NETWORK.items():
        words = words_of(settings, name)
        wrong = [word for word in words if not pattern.fullmatch(word)]
        if wrong or len(words) > most:
            yield Finding(
                Severity.ERROR,
                f"{name} is {settings[name]!r}; ECS takes 1 to {most} ids.",
                f"Write ids as {pattern.pattern.partition('[')[0]}0123abcd, with commas.",
            )


def access_findings(settings: Settings, *, is_asked: bool) -> Iterator[Finding]:
    """Check the roles and the image that the settings name; ask AWS for them if we can."""
    for name in ("fargate.task_role", "fargate.execution_role"):
        if settings[name] is not None:
            yield role_finding(settings, name, SERVICE, is_asked=is_asked)
    if settings["fargate.image"] is not None and settings["fargate.task_definition"] is None:
        yield from image_findings(settings, "fargate.image", is_asked=is_asked)


def size_findings(splits: Sequence[RunSplit], settings: Settings) -> Iterator[Finding]:
    """Check that there is a size for what each kind of split asks for."""
    asked = dict.fromkeys((split.kind, split.resources) for split in splits)
    for kind, resources in asked or {("a split that does not say", Resources()): None}:
        try:
            size_of(resources, settings)
        except ConfigError as error:
            yield Finding(Severity.ERROR, f"{kind}: {error.what}", error.mend or "")


def cluster_findings(client: Any, settings: Settings) -> Iterator[Finding]:
    """Check that the cluster is there and has the capacity that tasks are to use."""
    name, capacity = settings.text("fargate.cluster"), settings.text("fargate.capacity")
    try:
        with aws.asked(_ASKED):
            found = client.describe_clusters(clusters=[name])["clusters"]
    except SwathError as error:
        yield unchecked(f"the cluster {name!r}", error)
        return
    if not found or found[0]["status"] != "ACTIVE":
        state = found[0]["status"] if found else "not there"
        yield Finding(
            Severity.ERROR,
            f"the ECS cluster {name!r} is {state} in {client.meta.region_name}.",
            "Correct fargate.cluster or aws.region; deploy/aws/template.yaml makes a cluster.",
        )
        return
    providers = found[0].get("capacityProviders", [])
    if capacity == "EC2" and not found[0].get("registeredContainerInstancesCount"):
        yield Finding(
            Severity.ERROR,
            f"the ECS cluster {name!r} has no instances.",
            "Add some, or set fargate.capacity to FARGATE or to a capacity provider.",
        )
    elif capacity not in LAUNCH_TYPES and capacity not in providers:
        yield Finding(
            Severity.ERROR,
            f"the ECS cluster {name!r} has no capacity provider {capacity!r}; it has: "
            f"{', '.join(providers) or 'none'}.",
            "Correct fargate.capacity, or add it to the cluster.",
        )
    else:
        yield Finding(Severity.FINE, f"the ECS cluster {name!r} is active")


def definition_findings(
    client: Any, splits: Sequence[RunSplit], settings: Settings
) -> Iterator[Finding]:
    """Check the task definition that the settings name."""
    name = settings.text("fargate.task_definition")
    what = f"the task definition {name!r}"
    try:
        with aws.asked(_ASKED):
            try:
                answer = client.describe_task_definition(taskDefinition=name)
            except client.exceptions.ClientException:
                answer = {"taskDefinition": {"status": "not there"}}
    except SwathError as error:
        yield unchecked(what, error)
        return
    definition = answer["taskDefinition"]
    if definition["status"] != "ACTIVE":
        yield Finding(
            Severity.ERROR,
            f"{what} is {definition['status']} in {client.meta.region_name}.",
            "Correct fargate.task_definition, or unset it and name an image: fargate.image.",
        )
        return
    yield from _fit_findings(what, definition, settings)
    yield from _container_findings(what, definition, splits, settings)


def _fit_findings(
    what: str, definition: Mapping[str, Any], settings: Settings
) -> Iterator[Finding]:
    """Check that a definition goes with the place where tasks are to run."""
    compatible = "FARGATE" if is_fargate(settings) else "EC2"
    if compatible not in definition.get("compatibilities", [compatible]):
        yield Finding(
            Severity.ERROR,
            f"{what} cannot run on {settings.text('fargate.capacity')}.",
            f"Add {compatible} to its requiresCompatibilities, or change fargate.capacity.",
        )
    has_network = definition.get("networkMode") == "awsvpc"
    if has_network != bool(words_of(settings, "fargate.subnets")):
        yield Finding(
            Severity.ERROR,
            f"{what} has the network mode {definition.get('networkMode')}, and fargate.subnets is "
            f"{settings['fargate.subnets'] or 'not set'}.",
            "The mode awsvpc needs subnets, and no other mode takes any.",
        )
    if "taskRoleArn" not in definition and settings["fargate.task_role"] is None:
        yield _no_task_role(what, "Give it one, or set fargate.task_role.")


def _container_findings(
    what: str, definition: Mapping[str, Any], splits: Sequence[RunSplit], settings: Settings
) -> Iterator[Finding]:
    containers = {item["name"]: item for item in definition["containerDefinitions"]}
    wanted = settings.text("fargate.container")
    container = containers.get(wanted)
    if container is None:
        yield Finding(
            Severity.ERROR,
            f"{what} has no container {wanted!r}; it has: {', '.join(containers)}.",
            "Set fargate.container to one of these.",
        )
        return
    limit_mib = container.get("memory")
    for split in {split.kind: split for split in splits}.values() if limit_mib else ():
        try:
            asked_mib = size_of(split.resources, settings).memory_mib
        except ConfigError:  # told by the check of sizes
            continue
        if asked_mib > limit_mib:
            yield Finding(
                Severity.ERROR,
                f"{split.kind} gets {asked_mib} MiB, and the container {wanted!r} of {what} is "
                f"limited to {limit_mib} MiB.",
                "Remove the memory of the container: the size of the task is its limit then.",
            )
    variables = {item["name"]: item["value"] for item in container.get("environment", ())}
    yield aws.version_finding(what, container["image"], variables)


def _no_task_role(what: str, mend: str) -> Finding:
    return Finding(
        Severity.WARNING,
        f"{what} has no task role: its workers may not be able to use the store.",
        mend,
    )
