"""The `fargate` runner: requests by the model and the limits of ECS, and runs on a fake ECS."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from swath.errors import ConfigError
from swath.plan.command import Resources
from swath.run.folder import RunFolder
from swath.run.runner import Cause, JobState, RunContext, Severity
from swath.run.runners.fargate import FargateBackend
from swath.run.runners.fargate_request import (
    OVERRIDES_CHARACTERS,
    definition_request,
    run_request,
    size_of,
)
from swath.run.runners.fargate_state import is_over, seen_of
from swath.run.splits import RunSplit
from swath.settings import Settings, load_settings
from swath.testing import FakeEcs, FakeLogs, ServiceError
from swath.testing.conformance import Diamond, Place, diamond_in, until
from swath.testing.diamond import total
from swath.testing.model import ServiceModel

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/swath-cpu:0.1.0"
ROLES = ("arn:aws:iam::123456789012:role/worker", "arn:aws:iam::123456789012:role/execution")
SETTINGS = (
    "fargate.cluster=swath",
    "fargate.task_definition=swath",
    "fargate.subnets=subnet-0a,subnet-0b",
    "aws.poll_s=1",
)
MADE = (
    "fargate.cluster=swath",
    f"fargate.image={IMAGE}",
    "fargate.subnets=subnet-0a",
    f"fargate.task_role={ROLES[0]}",
    f"fargate.execution_role={ROLES[1]}",
    "aws.poll_s=1",
)


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    return ServiceModel("ecs")


def settings_of(*words: str) -> Settings:
    return load_settings(words, environment={}, folder=Path("/nowhere"))


def split_of(**resources: Any) -> RunSplit:
    return RunSplit("chip-0a-1", "chip", "n", 3, "f" * 20, Resources(**resources), ())


def request_of(*words: str, attempt: int = 0, **resources: Any) -> dict[str, Any]:
    folder = RunFolder("memory://bucket/root/runs/20260101-000000-abcd")
    settings = settings_of(*SETTINGS, *words)
    return run_request(folder, split_of(**resources), attempt, "swath", settings)


# ------------------------------------------------------------------ requests


def test_request_is_one_task_of_the_split_with_all_that_the_settings_say(model):
    request = request_of(
        "fargate.security_groups=sg-0a, sg-0b",
        "fargate.public_ip=yes",
        f"fargate.task_role={ROLES[0]}",
        f"fargate.execution_role={ROLES[1]}",
        "aws.tags=project=demo",
        "store.requester_pays=yes",
        cpus=4,
        memory_gib=9.5,
    )
    assert model.request_problems("RunTask", request) == []
    assert request["cluster"] == request["taskDefinition"] == "swath"
    assert (request["count"], request["launchType"]) == (1, "FARGATE")
    assert request["startedBy"] == "20260101-000000-abcd"
    assert request["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-0a", "subnet-0b"],
        "securityGroups": ["sg-0a", "sg-0b"],
        "assignPublicIp": "ENABLED",
    }
    overrides = request["overrides"]
    assert (overrides["cpu"], overrides["memory"]) == ("4096", "10240")
    assert (overrides["taskRoleArn"], overrides["executionRoleArn"]) == ROLES
    (container,) = overrides["containerOverrides"]
    place = "memory://bucket/root/runs/20260101-000000-abcd/commands/chip-0a-1.json"
    assert container["command"] == ["swath", "run-command", "--copy-output", place]
    assert {"name": "SWATH_STORE_REQUESTER_PAYS", "value": "yes"} in container["environment"]
    tags = {tag["key"]: tag["value"] for tag in request["tags"]}
    assert tags["project"] == "demo"
    assert tags["swath-split"] == "chip-0a-1"
    assert tags["swath-fingerprint"] == "f" * 20


def test_token_tells_attempts_apart_and_is_the_same_for_every_client():
    tokens = [request_of(attempt=n)["clientToken"] for n in (0, 0, 1)]
    assert tokens[0] == tokens[1] != tokens[2]
    assert {len(token) for token in tokens} == {64}


@pytest.mark.parametrize(
    ("capacity", "launch"),
    [
        ("FARGATE_SPOT", {"capacityProvider": "FARGATE_SPOT", "weight": 1}),
        ("our-instances", {"capacityProvider": "our-instances", "weight": 1}),
        ("EC2", "EC2"),
    ],
)
def test_capacity_is_a_launch_type_or_a_provider_of_the_cluster(model, capacity, launch):
    request = request_of(f"fargate.capacity={capacity}")
    assert model.request_problems("RunTask", request) == []
    assert [request.get("launchType"), *request.get("capacityProviderStrategy", ())].count(
        launch
    ) == 1


def test_gpu_is_asked_for_on_instances_and_refused_on_fargate():
    (container,) = request_of("fargate.capacity=EC2", gpus=2)["overrides"]["containerOverrides"]
    assert container["resourceRequirements"] == [{"type": "GPU", "value": "2"}]
    with pytest.raises(ConfigError, match="Fargate has none") as caught:
        request_of(gpus=1)
    assert "run.device=cpu" in str(caught.value.mend)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, (2048, 8192)),
        ({"cpus": 1, "memory_gib": 1}, (1024, 2048)),
        ({"cpus": 3, "memory_gib": 5}, (4096, 8192)),
        ({"cpus": 1, "memory_gib": 8.1}, (2048, 9216)),
        ({"cpus": 2, "memory_gib": 61}, (16384, 65536)),
        ({"cpus": 16, "memory_gib": 120}, (16384, 122880)),
    ],
)
def test_size_is_the_next_that_fargate_has(asked, given):
    size = size_of(Resources(**asked), settings_of())
    assert (size.cpu, size.memory_mib) == given


@pytest.mark.parametrize("asked", [{"cpus": 17}, {"memory_gib": 120.5}])
def test_size_that_fargate_has_not_is_refused_with_the_largest(asked):
    with pytest.raises(ConfigError, match="largest task on Fargate has 16 vCPU and 120 GiB"):
        size_of(Resources(**asked), settings_of())
    assert size_of(Resources(**asked), settings_of("fargate.capacity=EC2")).cpu >= 2048


def test_overrides_longer_than_ecs_takes_are_refused():
    folder = RunFolder("memory://bucket/" + "long/" * 1700 + "runs/20260101-000000-abcd")
    with pytest.raises(ConfigError, match=f"ECS takes {OVERRIDES_CHARACTERS}"):
        run_request(folder, split_of(), 0, "swath", settings_of(*SETTINGS))


def test_made_definition_holds_the_settings_and_is_named_by_them(model):
    words = [*MADE, "fargate.disk_gib=50", "fargate.log_group=/swath", "fargate.architecture=ARM64"]
    made = definition_request(settings_of(*words), "eu-central-1")
    assert model.request_problems("RegisterTaskDefinition", made) == []
    assert (made["taskRoleArn"], made["executionRoleArn"]) == ROLES
    assert made["ephemeralStorage"] == {"sizeInGiB": 50}
    assert made["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    (container,) = made["containerDefinitions"]
    assert (container["name"], container["image"]) == ("swath", IMAGE)
    assert container["logConfiguration"]["options"]["awslogs-group"] == "/swath"
    families = {
        definition_request(settings_of(*some), "eu-central-1")["family"]
        for some in (words, words, MADE, [*MADE, "fargate.container=other"])
    }
    assert len(families) == 3
    on_instances = settings_of("fargate.cluster=c", f"fargate.image={IMAGE}", "fargate.capacity=EC2")
    made = definition_request(on_instances, "eu-central-1")
    assert model.request_problems("RegisterTaskDefinition", made) == []
    assert (made["networkMode"], made["requiresCompatibilities"]) == ("bridge", ["EC2"])


# ------------------------------------------------------------------ states


def told(**fields: Any) -> dict[str, Any]:
    container = {"name": "swath", **fields.pop("container", {})}
    return {"taskArn": "arn:x/task/1", "lastStatus": "STOPPED", "containers": [container], **fields}


@pytest.mark.parametrize(
    ("task", "state", "cause"),
    [
        (told(lastStatus="PENDING"), JobState.WAITING, None),
        (told(lastStatus="DEPROVISIONING"), JobState.RUNNING, None),
        (told(container={"exitCode": 0}), JobState.DONE, None),
        (told(container={"exitCode": 1}), JobState.FAILED, Cause.WORK),
        (
            told(container={"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}),
            JobState.FAILED,
            Cause.MEMORY,
        ),
        (told(container={"exitCode": 137}), JobState.FAILED, Cause.WORK),
        (told(stopCode="SpotInterruption"), JobState.FAILED, Cause.RECLAIMED),
        (told(stopCode="TerminationNotice"), JobState.FAILED, Cause.RECLAIMED),
        (
            told(stoppedReason="Host EC2 (instance i-0123) terminated."),
            JobState.FAILED,
            Cause.RECLAIMED,
        ),
        (told(stopCode="UserInitiated", stoppedReason="by hand"), JobState.GONE, None),
        (
            told(stopCode="UserInitiated", stoppedReason="out of time: it may run 60 s"),
            JobState.FAILED,
            Cause.WORK,
        ),
        (
            told(stopCode="TaskFailedToStart", stoppedReason="CannotPullContainerError: no image"),
            JobState.FAILED,
            Cause.WORK,
        ),
        (
            told(
                stopCode="TaskFailedToStart",
                stoppedReason="Timeout waiting for network interface provisioning to complete.",
            ),
            JobState.FAILED,
            Cause.RECLAIMED,
        ),
    ],
)
def test_state_and_cause_are_told_by_codes_and_reasons(task, state, cause):
    seen = seen_of(task, "swath")
    assert (seen.state, seen.cause) == (state, cause)
    if seen.has_ended:
        assert "task 1" in seen.reason


def test_task_is_over_its_limit_only_while_it_runs():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    started = {"lastStatus": "RUNNING", "startedAt": now - timedelta(seconds=61)}
    assert is_over(started, 60, now)
    assert not is_over(started, 62, now)
    assert not is_over(started, None, now)
    assert not is_over({**started, "lastStatus": "STOPPED"}, 60, now)
