"""What is checked before anything is submitted to AWS Batch: settings, queues, definitions, sizes.

Each check yields findings and raises nothing, so that one look tells all that has to be mended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swath.errors import ConfigError, SwathError
from swath.run import aws
from swath.run.aws_access import registry_findings, unchecked
from swath.run.jobs import Job
from swath.run.runner import Finding, Severity
from swath.run.runners.batch_request import (
    ATTEMPTS,
    SHORTEST_LIMIT_S,
    definition_of,
    queue_of,
)
from swath.settings import Settings

_ASKED = "AWS Batch"
_WITH_GPUS = re.compile(r"[gp]\d")
"""Families of EC2 instances that have NVIDIA GPUs; ``optimal`` has none."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where jobs of one kind go.

    Attributes
    ----------
    kind
        Of their commands; empty for relays, and for what is checked without any commands.
    queue, definition
        As the settings name them; None if they do not.
    gpus, cpus
        Of the largest of these jobs; 0: unknown.
    """

    kind: str
    queue: str | None
    definition: str | None
    gpus: int
    cpus: int

    @property
    def jobs(self) -> str:
        """The jobs in words, as the begin of a sentence."""
        return f"{self.kind} asks for" if self.kind else "jobs ask for"


def targets(jobs: Sequence[Job], settings: Settings) -> tuple[list[Target], list[Finding]]:
    """Return where jobs go, and a finding for each setting that is missing.

    Without jobs: all places that the settings name.
    """
    found: list[Target] = []
    missing: dict[str | None, Finding] = {}

    def place(choose: Callable[[str, int, Settings], str], kind: str, gpus: int) -> str | None:
        try:
            return choose(kind, gpus, settings)
        except ConfigError as error:  # once for each setting
            missing[error.mend] = Finding(Severity.ERROR, error.what, error.mend or "")
            return None

    for kind, gpus, cpus in _sizes(jobs, settings):
        queue, definition = place(queue_of, kind, gpus), place(definition_of, kind, gpus)
        found.append(Target(kind, queue, definition, gpus, cpus))
    return found, list(missing.values())


def _sizes(jobs: Sequence[Job], settings: Settings) -> list[tuple[str, int, int]]:
    """Return kind, GPUs and the most cores of each kind of job."""
    usual = settings.count("batch.cpus", 2)
    sizes: dict[tuple[str, int], int] = {}
    for job in jobs:
        key = job.kind, job.resources.gpus
        cpus = 1 if job.is_relay else job.resources.cpus or usual
        sizes[key] = max(sizes.get(key, 0), cpus)
    if not jobs:
        sizes["", 0] = usual
        if settings["batch.gpu_queue"] is not None or settings["batch.gpu_definition"] is not None:
            sizes["", 1] = usual
        named = [name.split(".") for name in settings.saved()]
        for kind in sorted({parts[1] for parts in named if parts[0] == "commands"}):
            own = settings.of_command(kind)
            sizes[kind, int(own.get("gpus", 0))] = int(own.get("cpus", usual))
    return [(*key, cpus) for key, cpus in sizes.items()]


def limit_findings(jobs: Iterable[Job], settings: Settings) -> Iterator[Finding]:
    """Check attempts and time limits."""
    attempts = settings.count("batch.attempts", 3)
    if attempts > ATTEMPTS:
        yield Finding(
            Severity.ERROR,
            f"batch.attempts is {attempts}; AWS Batch tries a job at most {ATTEMPTS} times.",
            "Lower it.",
        )
    usual = settings.count("batch.time_limit_s", 86_400)
    if usual < SHORTEST_LIMIT_S:
        yield _too_short("batch.time_limit_s", usual)
    kinds = {job.kind: limit for job in jobs if (limit := job.resources.time_limit_s) is not None}
    for kind, limit in kinds.items():
        if limit < SHORTEST_LIMIT_S:
            yield _too_short(f"commands.{kind}.time_limit_s", limit)


def _too_short(name: str, limit_s: int) -> Finding:
    return Finding(
        Severity.ERROR,
        f"the time limit is {limit_s} s; AWS Batch takes none below {SHORTEST_LIMIT_S} s.",
        f"Set {name} to at least {SHORTEST_LIMIT_S}.",
    )


def queue_findings(client: Any, found: Sequence[Target]) -> Iterator[Finding]:
    """Check that the queues take jobs, and have machines that are large enough."""
    names = sorted({target.queue for target in found if target.queue is not None})
    if not names:
        return
    try:
        queues = _queues(client, names)
        environments = _environments(client, queues.values())
    except SwathError as error:
        yield unchecked("the job queues", error)
        return
    for name in names:
        queue = queues.get(name)
        if queue is None:
            yield Finding(
                Severity.ERROR,
                f"there is no job queue {name!r} in {client.meta.region_name}.",
                "Correct the setting, or aws.region; deploy/aws/template.yaml makes queues.",
            )
        elif (queue["state"], queue["status"]) != ("ENABLED", "VALID"):
            yield Finding(
                Severity.ERROR,
                f"the job queue {name!r} is {queue['state']} and {queue['status']}: "
                f"{queue.get('statusReason', '')}",
                "Enable it, or name another one.",
            )
        else:
            own = [environments[arn] for arn in _environments_of(queue) if arn in environments]
            wanted = [target for target in found if target.queue == name]
            yield from _size_findings(name, own, wanted)


def _queues(client: Any, names: list[str]) -> dict[str, Mapping[str, Any]]:
    """Return the queues that there are, by the name or ARN under which they are asked for."""
    found: dict[str, Mapping[str, Any]] = {}
    for item in aws.pages(client, "describe_job_queues", "jobQueues", _ASKED, jobQueues=names):
        found |= {item["jobQueueName"]: item, item["jobQueueArn"]: item}
    return found


def _environments_of(queue: Mapping[str, Any]) -> list[str]:
    return [item["computeEnvironment"] for item in queue.get("computeEnvironmentOrder", ())]


def _environments(client: Any, queues: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    names = sorted({arn for queue in queues for arn in _environments_of(queue)})
    if not names:
        return {}
    operation, key = "describe_compute_environments", "computeEnvironments"
    described = aws.pages(client, operation, key, _ASKED, computeEnvironments=names)
    return {item["computeEnvironmentArn"]: item for item in described}


def _size_findings(
    queue: str, environments: Sequence[Mapping[str, Any]], wanted: Sequence[Target]
) -> Iterator[Finding]:
    """Check that some compute environment of a queue could hold each size of job."""
    able = [e for e in environments if (e.get("state"), e.get("status")) == ("ENABLED", "VALID")]
    if not able:
        yield Finding(
            Severity.ERROR,
            f"no compute environment of the job queue {queue!r} is ENABLED and VALID.",
            "See their status in the console of AWS Batch.",
        )
        return
    # What somebody else manages tells nothing about its machines.
    offers = [item["computeResources"] for item in able if "computeResources" in item]
    for target in wanted if len(offers) == len(able) else ():
        if target.gpus and not any(map(_has_gpus, offers)):
            types = sorted({name for offer in offers for name in offer.get("instanceTypes", ())})
            yield Finding(
                Severity.ERROR,
                f"{target.jobs} {target.gpus} GPU, and no compute environment of the job queue "
                f"{queue!r} has instances with GPUs: {', '.join(types) or 'Fargate'}.",
                "Name a queue with such instances (g5, g4dn), or set run.device=cpu.",
            )
        most = max(int(offer.get("maxvCpus", 0)) for offer in offers)
        if target.cpus > most:
            yield Finding(
                Severity.ERROR,
                f"{target.jobs} {target.cpus} vCPUs, and the job queue {queue!r} has at most "
                f"{most}.",
                "Ask for less, or raise maxvCpus of its compute environment.",
            )
    yield Finding(Severity.FINE, f"the job queue {queue!r} takes jobs")


def _has_gpus(offer: Mapping[str, Any]) -> bool:
    return any(_WITH_GPUS.match(name) for name in offer.get("instanceTypes", ()))


def definition_findings(
    client: Any, found: Sequence[Target], settings: Settings
) -> Iterator[Finding]:
    """Check that there are the job definitions, and what is in their images."""
    names = {target.definition for target in found if target.definition is not None}
    for name in sorted(names):
        try:
            definition = _definition(client, name)
        except SwathError as error:
            yield unchecked(f"the job definition {name!r}", error)
            continue
        if definition is None:
            yield Finding(
                Severity.ERROR,
                f"there is no active job definition {name!r} in {client.meta.region_name}.",
                "Correct the setting, or aws.region; deploy/aws/template.yaml makes definitions.",
            )
        else:
            yield from _container_findings(f"the job definition {name!r}", definition, settings)


def _definition(client: Any, name: str) -> Mapping[str, Any] | None:
    """Return the active definition of a name, a name with revision, or an ARN of either."""
    short = name.rpartition("job-definition/")[2]
    if ":" in short:
        asked: dict[str, Any] = {"jobDefinitions": [name]}
    else:
        asked = {"jobDefinitionName": short, "status": "ACTIVE"}
    operation, key = "describe_job_definitions", "jobDefinitions"
    described = aws.pages(client, operation, key, _ASKED, **asked)
    active = [item for item in described if item["status"] == "ACTIVE"]
    return max(active, key=lambda item: item["revision"], default=None)


def _container_findings(
    what: str, definition: Mapping[str, Any], settings: Settings
) -> Iterator[Finding]:
    container = definition.get("containerProperties")
    if container is None:
        yield Finding(
            Severity.ERROR,
            f"{what} is of type {definition['type']} and has no containerProperties.",
            "Name a definition of one container, as deploy/aws/template.yaml makes it.",
        )
        return
    if "jobRoleArn" not in container:
        yield Finding(
            Severity.WARNING,
            f"{what} has no job role: its workers may not be able to use the store.",
            "Give it a jobRoleArn that may read and write your bucket.",
        )
    if container.get("privileged"):
        yield Finding(
            Severity.WARNING,
            f"{what} is privileged: its containers own the machine.",
            "Swath needs no privileges; set privileged to false.",
        )
    variables = {item["name"]: item["value"] for item in container.get("environment", ())}
    yield aws.version_finding(what, container["image"], variables)
    yield from registry_findings(settings, what, container["image"])
