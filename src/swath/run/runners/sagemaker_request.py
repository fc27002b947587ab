"""What SageMaker is asked for: the definition of a pipeline, with a step for each job.

Pure functions from a `Job` to JSON; nothing is sent here. The schema is version 2020-12-01 of
"Pipeline structure" and "Retry policy" in the SageMaker developer guide, and the arguments of a
step are those of CreateProcessingJob or CreateTrainingJob without the name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from swath.errors import ConfigError
from swath.run import aws
from swath.run.folder import RunFolder
from swath.run.jobs import Job
from swath.run.rounds import array_uri
from swath.run.worker_arguments import split_arguments
from swath.settings import Settings

INSTANCES = 100
"""Most instances of one job."""

ARGUMENT_CHARACTERS = 256
"""Most characters of an argument of a container, and of the value of a variable."""

DEFINITION_CHARACTERS = 1024**2
"""Most characters of a definition."""

STEP_CHARACTERS = 64
"""Most characters of the name of a step."""

LONGEST_S = {"Processing": 777_600, "Training": 2_419_200}
"""Longest limit of a job in seconds: 9 days, and 28."""

_WAITS_FOR_QUOTA_MIN = 720
"""Minutes that a step waits while other jobs use up the quota of instances."""


def pipeline_name(folder: RunFolder) -> str:
    """Return the name of the pipeline of a run."""
    return f"swath-{folder.id}"


def round_of(job_name: str, folder: RunFolder) -> str:
    """Return the part of a job's name that names its round, which is the name of an execution.

    Examples
    --------
    >>> round_of("r7-r2-chip-0-abcd", RunFolder("memory://b/runs/r7"))
    'r2'
    """
    return job_name.removeprefix(f"{folder.id}-").partition("-")[0]


def step_name(job_name: str, folder: RunFolder) -> str:
    """Return the name of the step of a job: unique in its round, and no longer than may be."""
    name = job_name.removeprefix(f"{folder.id}-").partition("-")[2]
    if len(name) <= STEP_CHARACTERS:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: STEP_CHARACTERS - len(mark) - 1]}-{mark}"


def token(folder: RunFolder, *what: str) -> str:
    """Return 64 characters by which SageMaker knows a request that it got before."""
    return hashlib.sha256("/".join([folder.id, *what]).encode()).hexdigest()


def type_of(job: Job) -> str:
    """Return the type of a job's step: what needs a GPU is a training job, for its spot price."""
    return "Training" if job.resources.gpus else "Processing"


def instance_of(kind: str, gpus: int, settings: Settings) -> str:
    """Return the instance type of a kind of command."""
    usual = settings.text("sagemaker.gpu_instance" if gpus else "sagemaker.cpu_instance")
    return str(settings.of_command(kind).get("instance", usual))


def time_limit_s(job: Job, settings: Settings) -> int:
    """Return the limit of a job, in seconds."""
    return job.resources.time_limit_s or settings.count("sagemaker.time_limit_s", 86_400)


def definition_of(jobs: Sequence[Job], folder: RunFolder, settings: Settings) -> str:
    """Return the definition of the pipeline that does these jobs, as JSON text.

    Raises
    ------
    ConfigError
        If it is longer than SageMaker takes it, or a setting is missing.
    """
    names = {job.name: step_name(job.name, folder) for job in jobs}
    steps = [_step(job, names, folder, settings) for job in jobs]
    text = json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})
    if len(text) > DEFINITION_CHARACTERS:
        raise ConfigError(
            f"the pipeline has {len(steps)} steps, which take {len(text)} characters; SageMaker "
            f"takes {DEFINITION_CHARACTERS}.",
            mend="Make fewer splits (--splits), or steps of more instances (sagemaker.instances).",
        )
    return text


def _step(job: Job, names: dict[str, str], folder: RunFolder, settings: Settings) -> dict[str, Any]:
    kind = type_of(job)
    specific = _training if kind == "Training" else _processing
    named = {"swath-run": folder.id, "swath-kind": job.kind}
    tags = aws.tags(settings) | named
    return {
        "Name": names[job.name],
        "Type": kind,
        # What was submitted before is done, or this job would not be submitted now.
        "DependsOn": [names[edge.job] for edge in job.after if edge.job in names],
        "RetryPolicies": _retry_policies(settings),
        "Arguments": {
            **specific(job, folder, settings),
            "RoleArn": settings.required("sagemaker.role", "for the jobs of SageMaker"),
            "Environment": _environment(settings),
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        },
    }


def _processing(job: Job, folder: RunFolder, settings: Settings) -> dict[str, Any]:
    return {
        "AppSpecification": {
            "ImageUri": settings.required("sagemaker.cpu_image", f"for {job.kind}"),
            **_container(job, folder),
        },
        "ProcessingResources": {"ClusterConfig": _instances(job, settings)},
        "StoppingCondition": {"MaxRuntimeInSeconds": time_limit_s(job, settings)},
    }


def _training(job: Job, folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Return the arguments of a training job; what is to outlive a spot instance is on the store.

    Raises
    ------
    ConfigError
        If the run is not on S3, where a training job must name a place, though nothing goes there.
    """
    place = folder.place("sagemaker")
    if not place.startswith("s3://"):
        raise ConfigError(
            f"training jobs of SageMaker need a root_uri on s3://, and this is {folder.root}.",
            where=job.kind,
            mend="Choose another root_uri, or compute on the CPU: --set run.device=cpu",
        )
    limit_s = time_limit_s(job, settings)
    stopping = {"MaxRuntimeInSeconds": limit_s}
    is_spot = settings.is_on("sagemaker.spot")
    if is_spot:  # as long again to wait for instances, also in the middle
        stopping["MaxWaitTimeInSeconds"] = min(2 * limit_s, LONGEST_S["Training"])
    return {
        "AlgorithmSpecification": {
            "TrainingImage": settings.required("sagemaker.gpu_image", f"for {job.kind}"),
            "TrainingInputMode": "File",
            **_container(job, folder),
        },
        "OutputDataConfig": {"S3OutputPath": place},
        "ResourceConfig": _instances(job, settings),
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": is_spot,
    }


def _container(job: Job, folder: RunFolder) -> dict[str, Any]:
    """Return program and arguments; a URI that is too long for one argument becomes several."""
    if job.is_array:
        *words, uri = "run-command", "--copy-output", "--array-hosts", array_uri(folder, job)
    else:
        *words, uri = split_arguments(folder, job.splits[0])
    size = ARGUMENT_CHARACTERS
    parts = [uri[start : start + size] for start in range(0, len(uri), size)]
    return {"ContainerEntrypoint": ["swath"], "ContainerArguments": [*words, *parts]}


def _instances(job: Job, settings: Settings) -> dict[str, Any]:
    return {
        "InstanceType": instance_of(job.kind, job.resources.gpus, settings),
        "InstanceCount": len(job.splits),
        "VolumeSizeInGB": settings.count("sagemaker.volume_gib", 100),
    }


def _environment(settings: Settings) -> dict[str, str]:
    found = settings.variables("store.")
    for name, value in found.items():
        if len(value) > ARGUMENT_CHARACTERS:
            raise ConfigError(
                f"{name} has {len(value)} characters, and SageMaker takes {ARGUMENT_CHARACTERS}.",
                mend="Set it in the image.",
            )
    return found


def _retry_policies(settings: Settings) -> list[dict[str, Any]]:
    """Return when a step is tried again: for faults of the service, never for those of its work."""
    attempts = settings.count("sagemaker.attempts", 3)
    faults = ["Step.SERVICE_FAULT", "Step.THROTTLING"]
    lost = ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"]
    again = {"BackoffRate": 2.0, "MaxAttempts": attempts}
    return [
        {"ExceptionType": faults, "IntervalSeconds": 5, **again},
        {"ExceptionType": lost, "IntervalSeconds": 60, **again},
        {
            "ExceptionType": ["SageMaker.RESOURCE_LIMIT"],
            "IntervalSeconds": 60,
            "BackoffRate": 1.0,
            "ExpireAfterMin": _WAITS_FOR_QUOTA_MIN,
        },
    ]
