"""What a job of AWS Batch is submitted with: pure functions from a `Job` to SubmitJob's parameters.

Limits and patterns are those of the pages SubmitJob, RetryStrategy and JobTimeout of the API
reference of AWS Batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from swath.run import aws
from swath.run.folder import RunFolder
from swath.run.jobs import Edge, Job
from swath.run.worker_arguments import job_arguments
from swath.settings import Settings

ARRAY_SIZE = 10_000
"""Elements of the longest array."""

DEPENDENCIES = 20
"""Jobs that one job can wait for."""

ATTEMPTS = 10
"""Most attempts of one job."""

SHORTEST_LIMIT_S = 60
"""Shortest time limit of an attempt, in seconds."""

INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
"""Variable by which an element of an array knows its place; other jobs do not have it."""

LOST_HOST = ("Host EC2", "Your Spot Task was interrupted")
"""How the reason begins if the machine was taken away: a spot instance, a task on Fargate Spot."""

NOT_STARTED = "Task failed to start"
"""The reason if the container never ran: its image could not be pulled, its host was too slow.

It cannot be the fault of the command, and most of it passes; the attempts put an end to the rest.
"""

RELAY = ("true",)
RELAY_AMOUNTS = {"VCPU": "1", "MEMORY": "2048"}
"""A size that instances and Fargate have alike."""


def queue_of(kind: str, gpus: int, settings: Settings) -> str:
    """Return the job queue of a kind of command, which need not have a name for a relay.

    Raises
    ------
    ConfigError
        If it is not set.
    """
    return _chosen("queue", kind, gpus, settings)


def definition_of(kind: str, gpus: int, settings: Settings) -> str:
    """Return the job definition of a kind of command.

    Raises
    ------
    ConfigError
        If it is not set.
    """
    return _chosen("definition", kind, gpus, settings)


def _chosen(what: str, kind: str, gpus: int, settings: Settings) -> str:
    own = settings.of_command(kind).get(what)
    if own is not None:
        return str(own)
    device = "gpu" if gpus else "cpu"
    purpose = f"to submit {kind or 'jobs'}{' with a GPU' if gpus else ''} to AWS Batch"
    return settings.required(f"batch.{device}_{what}", purpose)


def request_of(
    job: Job, ids: Mapping[str, str], *, folder: RunFolder, settings: Settings, region: str
) -> dict[str, Any]:
    """Return the parameters of SubmitJob.

    Parameters
    ----------
    job
        What to submit.
    ids
        Name of every job that it waits for to its id.
    folder
        The run.
    settings
        Of the run.
    region
        Where the workers take their stores to be, unless those say something else.
    """
    gpus = job.resources.gpus
    request: dict[str, Any] = {
        "jobName": job.name,
        "jobQueue": queue_of(job.kind, gpus, settings),
        "jobDefinition": definition_of(job.kind, gpus, settings),
        "dependsOn": [_dependency(edge, ids) for edge in job.after],
        "containerOverrides": {
            "command": _command(job, folder),
            "environment": _pairs(settings.variables("store.") | {"AWS_REGION": region}),
            "resourceRequirements": _requirements(job, settings),
        },
        "retryStrategy": retry_strategy(settings),
        "timeout": {"attemptDurationSeconds": time_limit_s(job, settings)},
        "propagateTags": True,
        "tags": aws.tags(settings) | {"swath-run": folder.id, "swath-kind": job.kind or "relay"},
    }
    if job.is_array:
        request["arrayProperties"] = {"size": len(job.splits)}
    return request


def retry_strategy(settings: Settings) -> dict[str, Any]:
    """Return when a job is tried again: never for what its command did."""
    passing = [f"{begin}*" for begin in (*LOST_HOST, NOT_STARTED)]
    return {
        "attempts": settings.count("batch.attempts", 3),
        "evaluateOnExit": [
            *({"onStatusReason": pattern, "action": "RETRY"} for pattern in passing),
            {"onReason": "*", "action": "EXIT"},
        ],
    }


def time_limit_s(job: Job, settings: Settings) -> int:
    """Return the limit of each attempt, in seconds."""
    return job.resources.time_limit_s or settings.count("batch.time_limit_s", 86_400)


def _command(job: Job, folder: RunFolder) -> list[str]:
    return list(RELAY) if job.is_relay else ["swath", *job_arguments(folder, job, INDEX)]


def _dependency(edge: Edge, ids: Mapping[str, str]) -> dict[str, str]:
    """Say what to wait for: one array element, or all of a job, which is what no type says."""
    whole = {"jobId": ids[edge.job]}
    return whole | {"type": "N_TO_N"} if edge.is_each else whole


def _requirements(job: Job, settings: Settings) -> list[dict[str, str]]:
    if job.is_relay:
        amounts = RELAY_AMOUNTS
    else:
        needs = job.resources
        gib = needs.memory_gib or settings.count("batch.memory_gib", 7)
        amounts = {
            "VCPU": str(needs.cpus or settings.count("batch.cpus", 2)),
            "MEMORY": str(math.ceil(gib * 1024)),
        }
        if needs.gpus:
            amounts["GPU"] = str(needs.gpus)
    return [{"type": kind, "value": value} for kind, value in amounts.items()]


def _pairs(variables: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": variables[name]} for name in sorted(variables)]
