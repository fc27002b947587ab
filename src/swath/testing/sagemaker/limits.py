"""What the arguments of a step may be: those of CreateProcessingJob or CreateTrainingJob."""

from __future__ import annotations

from collections.abc import Iterator

from swath.testing.model import Json, ServiceModel
from swath.testing.protocol import refuse_beyond

_KNOWN = {
    "Processing": (
        "ProcessingResources",
        "AppSpecification",
        "RoleArn",
        "StoppingCondition",
        "Environment",
        "NetworkConfig",
        "Tags",
        "ExperimentConfig",
    ),
    "Training": (
        "AlgorithmSpecification",
        "OutputDataConfig",
        "RoleArn",
        "ResourceConfig",
        "StoppingCondition",
        "Environment",
        "EnableManagedSpotTraining",
        "CheckpointConfig",
        "EnableNetworkIsolation",
        "VpcConfig",
        "Tags",
        "ExperimentConfig",
    ),
}
_SHAPES = {"Processing": "CreateProcessingJobRequest", "Training": "CreateTrainingJobRequest"}


def job_problems(kind: str, arguments: Json, model: ServiceModel) -> list[str]:
    """Return what is wrong with the arguments of a step.

    Names of jobs are made by the service; inputs and outputs are not copied here, so they are
    refused rather than ignored.

    Parameters
    ----------
    kind
        ``"Processing"`` or ``"Training"``.
    arguments
        With all variables replaced.
    """
    refuse_beyond(_KNOWN[kind], arguments, f"the arguments of a {kind} step")
    named = arguments | {f"{kind}JobName": "made-by-the-service"}
    problems = model.problems(_SHAPES[kind], named)
    if not problems:
        check = _processing_problems if kind == "Processing" else _training_problems
        problems = list(check(arguments))
    return problems


def _processing_problems(arguments: Json) -> Iterator[str]:
    cluster = arguments["ProcessingResources"]["ClusterConfig"]
    for key in ("InstanceCount", "InstanceType"):
        if key not in cluster:
            yield f"ClusterConfig needs {key}"


def _training_problems(arguments: Json) -> Iterator[str]:
    """Yield what CreateTrainingJob says of its parameters in words only.

    References
    ----------
    CreateTrainingJob, StoppingCondition and CheckpointConfig of the API reference.
    """
    for key in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if key not in arguments:
            yield f"a training job needs {key}"
            return
    if not arguments["AlgorithmSpecification"].get("TrainingImage"):
        yield "AlgorithmSpecification needs TrainingImage"
    resources = arguments["ResourceConfig"]
    if "InstanceType" not in resources or resources.get("InstanceCount", 0) < 1:
        yield "ResourceConfig needs InstanceType and InstanceCount"
    if resources.get("VolumeSizeInGB", 0) < 1:
        yield "ResourceConfig needs VolumeSizeInGB of at least 1"
    condition = arguments["StoppingCondition"]
    runtime = condition.get("MaxRuntimeInSeconds", 86_400)
    wait = condition.get("MaxWaitTimeInSeconds")
    if arguments.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            yield (
                "managed spot training needs MaxWaitTimeInSeconds, not less than "
                "MaxRuntimeInSeconds"
            )
    elif wait is not None:
        yield "MaxWaitTimeInSeconds is for managed spot training"
    path = arguments.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints")
    if path.rstrip("/") != "/opt/ml/checkpoints":
        yield "the fake keeps checkpoints in /opt/ml/checkpoints only"
