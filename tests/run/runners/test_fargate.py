"""The `fargate` runner: requests by the model and the limits of ECS, and runs on a fake ECS."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from swath.errors import ConfigError, RefusedError
from swath.plan.command import Resources
from swath.run.drive import DrivenRunner
from swath.run.events import Event
from swath.run.folder import RunFolder
from swath.run.runner import Cause, JobState, Outcome, RunContext, Seen, Severity
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
from swath.testing.conformance import Place, diamond_in, until
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
    return run_request(
        folder,
        split_of(**resources),
        attempt,
        definition="swath",
        region="eu-central-1",
        settings=settings,
    )


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
    assert container["environment"] == [
        {"name": "AWS_REGION", "value": "eu-central-1"},
        {"name": "SWATH_STORE_REQUESTER_PAYS", "value": "yes"},
    ]
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
        run_request(
            folder,
            split_of(),
            0,
            definition="swath",
            region="eu-central-1",
            settings=settings_of(*SETTINGS),
        )


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
    on_instances = settings_of(
        "fargate.cluster=c", f"fargate.image={IMAGE}", "fargate.capacity=EC2"
    )
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


# ------------------------------------------------------------------ runs on a fake ECS

WORKER = """
run=${2%/commands/*} key=${2##*/} key=${key%.json}
case $key in
ok-*) echo "did $key"; : > "$run/done/$key" ;;
slow-*) sleep 0.5; : > "$run/done/$key" ;;
bad-*) exit 3 ;;
hang-*) sleep 60 ;;
lazy-*) ;;
esac
"""
"""In place of the worker: what it does is told by the key of its split."""


@pytest.fixture
def ecs(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEcs]:
    """Return clusters and a task definition whose image has the shell script `WORKER`."""
    programs = {"swath": ["sh", "-c", WORKER]}
    with FakeEcs(second_s=0.02, programs=programs) as fake, FakeLogs(fake.logs) as logs:
        prepare(fake)
        make_roles()
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", fake.endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", logs.endpoint)
        yield fake


def make_roles() -> None:
    iam: Any = boto3.client("iam")
    trust = {"Statement": [{"Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}
    there = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    for name in {"worker", "execution"} - there:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))


def prepare(fake: FakeEcs) -> None:
    fake.add_cluster("swath")
    fake.add_cluster("empty")
    fake.add_cluster("instances", instances=1, gpus=1)
    options = {
        "awslogs-group": "/swath",
        "awslogs-region": "eu-central-1",
        "awslogs-stream-prefix": "fargate",
    }
    fake.add_definition(
        "swath",
        command=["swath", "--version"],
        image=IMAGE,
        container={"logConfiguration": {"logDriver": "awslogs", "options": options}},
        taskRoleArn=ROLES[0],
        executionRoleArn=ROLES[1],
    )


class Run:
    """A run of splits that do not depend on each other."""

    def __init__(
        self, root: Path, *keys: str, words: Sequence[str] = SETTINGS, **resources: Any
    ) -> None:
        self.settings = settings_of(*words)
        self.folder = RunFolder.create(root)
        asked = Resources(**resources)
        self.splits = [RunSplit(key, "chip", "n", 1, "f" * 20, asked, ()) for key in keys]
        self.events: list[Event] = []
        self.context = RunContext(
            self.folder, tuple(self.splits), self.settings, True, self.events.append
        )

    def client(self, **options: Any) -> FargateBackend:
        """Return another client, that has the run in hand."""
        backend = FargateBackend(self.settings, **options)
        backend.open(self.context)
        return backend

    def follow(self) -> Outcome:
        return DrivenRunner(FargateBackend(self.settings)).follow(self.context)

    @property
    def told(self) -> list[str]:
        return [event.data["text"] for event in self.events if event.what == "warning"]


def tasks_of(ecs: FakeEcs, cluster: str = "swath") -> list[dict[str, Any]]:
    """Return what ECS tells of every task, oldest first."""
    client: Any = boto3.client("ecs")
    arns = {
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in client.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
    }
    return sorted((ecs.task(arn) for arn in arns), key=lambda task: task["createdAt"])


def split_in(task: dict[str, Any]) -> str:
    return {tag["key"]: tag["value"] for tag in task["tags"]}["swath-split"]


def ended(backend: FargateBackend) -> dict[str, Seen]:
    """Wait for the next split that ends."""
    found: dict[str, Seen] = {}
    until(lambda: bool(found.update(backend.wait(0.5)) or found), "a split ended")
    return found


def test_splits_are_tasks_that_end_as_they_end(ecs, tmp_path):
    run = Run(tmp_path, "ok-1", "ok-2", "bad-1", "lazy-1")
    outcome = run.follow()
    assert outcome.done == ("ok-1", "ok-2")
    assert outcome.failed == ("bad-1", "lazy-1")
    assert "exit code 3" in outcome.reasons["bad-1"]
    assert "as if its image were none of Swath" in outcome.reasons["lazy-1"]
    told = tasks_of(ecs)
    assert [split_in(task) for task in told] == ["ok-1", "ok-2", "bad-1", "lazy-1"]
    assert {task["startedBy"] for task in told} == {run.folder.id}


def test_many_tasks_are_described_together(ecs, tmp_path):
    run = Run(tmp_path, *(f"ok-{n}" for n in range(120)), words=[*SETTINGS, "fargate.tasks=120"])
    assert len(run.follow().done) == 120
    sizes = [len(request["tasks"]) for request in ecs.received("DescribeTasks")]
    assert max(sizes) == 100
    assert ecs.count("RunTask") == 120
    assert len(sizes) < 60


def test_next_client_takes_up_what_runs_and_what_ended_meanwhile(ecs, tmp_path):
    run = Run(tmp_path, "hang-1", "bad-1", "ok-1")
    first = run.client()
    for split in run.splits:
        first.start(split)
    for task in tasks_of(ecs)[1:]:
        ecs.wait_for(task["taskArn"])
    (run.folder.path / "tasks" / "hang-1.json").unlink()  # killed before it could note it
    second = run.client()
    for split in run.splits:
        second.start(split)
    found = ended(second)
    assert {key: seen.state for key, seen in found.items()} == {
        "bad-1": JobState.FAILED,
        "ok-1": JobState.DONE,
    }
    assert len(tasks_of(ecs)) == 3
    second.start(run.splits[1])  # now that it is known that it failed
    assert len(tasks_of(ecs)) == 4


def test_request_whose_answer_was_lost_starts_one_task(ecs, tmp_path):
    ecs.lose_answers("RunTask", 2)
    run = Run(tmp_path, "ok-1")
    assert run.follow().succeeded
    assert ecs.count("RunTask") == 3
    assert len(tasks_of(ecs)) == 1


@pytest.mark.parametrize(
    "words",
    [(*SETTINGS, "fargate.task_definition=none"), (*MADE, "fargate.disk_gib=1000")],
    ids=["RunTask", "RegisterTaskDefinition"],
)
def test_request_that_ecs_does_not_take_is_told_as_a_refusal(ecs, tmp_path, words):
    run = Run(tmp_path, "ok-1", words=words)
    with pytest.raises(RefusedError, match="ECS: R"):
        run.follow()
    assert tasks_of(ecs) == []


def test_attempt_that_was_asked_for_otherwise_is_counted_on(ecs, tmp_path):
    run = Run(tmp_path, "ok-1")
    run.client().start(run.splits[0])
    (task,) = tasks_of(ecs)
    ecs.wait_for(task["taskArn"])
    (run.folder.path / "tasks" / "ok-1.json").unlink()
    run.folder.remove("done/ok-1")
    second = run.client()
    second.start(replace(run.splits[0], resources=Resources(cpus=4)))
    assert ended(second)["ok-1"].state is JobState.DONE
    assert [task["cpu"] for task in tasks_of(ecs)] == ["2048", "4096"]


def test_reclaimed_task_is_started_again(ecs, tmp_path):
    run = Run(tmp_path, "hang-1", words=[*SETTINGS, "fargate.capacity=FARGATE_SPOT"])
    backend = run.client()
    backend.start(run.splits[0])
    (task,) = tasks_of(ecs)
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    ecs.interrupt(task["taskArn"])
    seen = ended(backend)["hang-1"]
    assert (seen.state, seen.cause) == (JobState.FAILED, Cause.RECLAIMED)
    assert "Spot Task was interrupted" in seen.reason
    backend.start(run.splits[0])
    assert len(tasks_of(ecs)) == 2


def test_what_ran_out_of_memory_gets_the_next_larger_sizes_until_there_is_none(ecs, tmp_path):
    ecs.need_memory("*/slow-1.json", 12 * 1024)
    ecs.need_memory("*/slow-2.json", 999 * 1024)
    run = Run(tmp_path, "slow-1", "slow-2", words=[*SETTINGS, "run.memory_retries=9"])
    outcome = run.follow()
    assert (outcome.done, outcome.failed) == (("slow-1",), ("slow-2",))
    assert "largest task on Fargate has 16 vCPU and 120 GiB" in outcome.reasons["slow-2"]
    sizes = {"slow-1": [], "slow-2": []}
    for task in tasks_of(ecs):
        sizes[split_in(task)].append(int(task["memory"]) // 1024)
    assert sizes == {"slow-1": [8, 16], "slow-2": [8, 16, 32, 64]}


def test_no_room_is_told_once_and_waited_for(ecs, tmp_path):
    ecs.fail_placement(3)
    run = Run(tmp_path, "ok-1", "ok-2", "ok-3")
    assert run.follow().succeeded
    (text,) = run.told
    assert text.startswith("has to wait: Capacity is unavailable at this time")
    assert ecs.count("RunTask") == 6
    assert len(tasks_of(ecs)) == 3


def test_what_can_never_be_placed_fails_with_the_reason(ecs, tmp_path):
    ecs.fail_placement(1, reason="ATTRIBUTE")
    outcome = Run(tmp_path, "ok-1").follow()
    assert outcome.reasons == {"ok-1": "ECS: ATTRIBUTE"}


def test_throttling_slows_a_run_and_does_not_end_it(ecs, tmp_path):
    ecs.throttle_share(0.3, "RunTask", "DescribeTasks", "ListTasks")  # what boto3 tries again
    beyond = ServiceError("TooManyRequests", "come slower")  # and what it leaves to us
    ecs.fail_next("RunTask", n=2, error=beyond)
    ecs.fail_next("DescribeTasks", n=2, error=beyond)
    run = Run(tmp_path, *(f"ok-{n}" for n in range(8)))
    assert run.follow().succeeded
    assert len(tasks_of(ecs)) == 8
    assert any("come slower" in text for text in run.told)


def test_task_that_is_out_of_time_is_stopped(ecs, tmp_path):
    outcome = Run(tmp_path, "hang-1", time_limit_s=1).follow()
    assert "out of time: it may run 1 s" in outcome.reasons["hang-1"]


def test_task_that_ecs_has_forgotten_is_lost(ecs, tmp_path):
    run = Run(tmp_path, "bad-1", "ok-1")
    backend = run.client(unknown_s=0.5)
    for split in run.splits:
        backend.start(split)
    for task in tasks_of(ecs):
        ecs.wait_for(task["taskArn"])
        ecs.forget(task["taskArn"])
    found = ended(backend)
    assert found["ok-1"].state is JobState.DONE
    assert (found["bad-1"].cause, "does not know" in found["bad-1"].reason) == (
        Cause.RECLAIMED,
        True,
    )


def test_any_process_sees_cancels_and_reads_logs(ecs, tmp_path):
    run = Run(tmp_path, "ok-1", "hang-1", "hang-2")
    client = run.client()
    for split in run.splits:
        client.start(split)
    for task in tasks_of(ecs):
        ecs.wait_for(task["taskArn"], {"RUNNING", "STOPPED"})
    (run.folder.path / "tasks" / "hang-2.json").unlink()
    ecs.wait_for(tasks_of(ecs)[0]["taskArn"])
    other = DrivenRunner(FargateBackend(run.settings))
    assert {key: seen.state for key, seen in other.look(run.context).items()} == {
        "hang-1": JobState.RUNNING,
        "hang-2": JobState.RUNNING,
    }
    assert other.logs(run.context, "ok-1") == "did ok-1\n"
    other.cancel(run.context)
    told = {split_in(task): task for task in tasks_of(ecs)}
    assert told["hang-1"]["stoppedReason"] == told["hang-2"]["stoppedReason"]
    assert told["ok-1"]["stopCode"] == "EssentialContainerExited"
    after = run.client()
    after.start(run.splits[1])  # as `swath retry` does
    assert [split_in(task) for task in tasks_of(ecs)].count("hang-1") == 2
    found: dict[str, Seen] = {}
    while len(found) < 3:
        found |= ended(client)
    assert [found[split.key].state for split in run.splits] == [
        JobState.DONE,
        JobState.GONE,
        JobState.GONE,
    ]


def test_task_definition_is_made_once_and_used_again(ecs, tmp_path):
    for _ in range(2):
        assert Run(tmp_path, "ok-1", words=MADE).follow().succeeded
    (made,) = ecs.received("RegisterTaskDefinition")
    assert {r["taskDefinition"] for r in ecs.received("RunTask")} == {made["family"]}


def test_instances_of_ones_own_give_a_gpu_to_one_after_the_other(ecs, tmp_path):
    words = ["fargate.cluster=instances", f"fargate.image={IMAGE}", "fargate.capacity=EC2"]
    run = Run(tmp_path, "slow-1", "slow-2", words=[*words, "aws.poll_s=1"], gpus=1)
    assert run.follow().succeeded
    first, second = tasks_of(ecs, "instances")
    assert first["stoppedAt"] <= second["createdAt"]
    assert run.told == ["has to wait: RESOURCE:GPU"]


def test_requests_are_told_without_sending_any(ecs, tmp_path, model):
    run = Run(tmp_path, "ok-1", "ok-2", words=MADE)
    made, *requests = FargateBackend(run.settings).requests(run.context)
    assert model.request_problems("RegisterTaskDefinition", made) == []
    assert [model.request_problems("RunTask", request) for request in requests] == [[], []]
    assert ecs.count() == 0


# ------------------------------------------------------------------ with real workers


def test_client_that_is_killed_at_any_moment_starts_nothing_twice(s3_bucket, monkeypatch, tmp_path):
    with FakeEcs(second_s=0.02) as ecs:
        prepare(ecs)
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", ecs.endpoint)
        place = Place("fargate", f"s3://{s3_bucket}/root", SETTINGS, runs_gpus=False)
        with diamond_in(place, tmp_path, n=2) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start()
            for n in range(5):
                until(lambda n=n: ecs.count("RunTask") > n, f"{n} tasks were asked for")
                os.kill(client.pid, signal.SIGKILL)
                client.wait()
                client = diamond.start()
            diamond.mend("u1")
            assert client.wait(90) == 0
            assert diamond.total() == str(total(2))
        assert max(Counter(map(split_in, tasks_of(ecs))).values()) == 1


# ------------------------------------------------------------------ checks


def errors(*words: str, **resources: Any) -> list[str]:
    backend = FargateBackend(settings_of(*words))
    found = backend.findings([split_of(**resources)])
    return [f"{item.what} {item.mend}" for item in found if item.severity is Severity.ERROR]


def test_what_is_there_and_fits_has_no_errors(ecs):
    assert errors(*SETTINGS) == []
    assert errors(*MADE) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "the setting fargate.cluster is missing"),
        (["fargate.cluster=swath"], "the setting fargate.image is missing"),
        (["fargate.cluster=swath"], "the setting fargate.subnets is missing"),
        ([*SETTINGS, "fargate.cluster=other"], "the ECS cluster 'other' is not there"),
        ([*SETTINGS, "fargate.task_definition=x"], "task definition 'x' is not there"),
        ([*SETTINGS, "fargate.container=x"], "has no container 'x'; it has: swath"),
        ([*SETTINGS, "fargate.subnets=here"], "fargate.subnets is 'here'"),
        ([*SETTINGS, "fargate.task_role=worker"], "which is no ARN of a role"),
        ([*SETTINGS, f"fargate.task_role={ROLES[0]}-2"], f"there is no role {ROLES[0]}-2"),
        ([*SETTINGS, "fargate.capacity=EC2"], "has no instances"),
        ([*SETTINGS, "fargate.capacity=mine"], "no capacity provider 'mine'"),
        ([*MADE, "fargate.disk_gib=500"], "Fargate has 20 to 200 GiB"),
        ([*MADE, "fargate.image=x:9.9.9"], "has Swath 9.9.9"),
        ([*MADE[:3]], "the setting fargate.execution_role is missing"),
    ],
)
def test_what_is_missing_or_wrong_is_told_with_its_setting(ecs, words, told):
    assert any(told in error for error in errors(*words)), errors(*words)


def test_size_and_gpu_that_fargate_has_not_are_refused(ecs):
    assert any("chip: it asks for 17 vCPU" in error for error in errors(*SETTINGS, cpus=17))
    assert any("chip: it asks for 1 GPU(s)" in error for error in errors(*SETTINGS, gpus=1))


def test_definition_that_does_not_fit_is_told(ecs):
    ecs.add_definition("old", command=["x"], image="swath:0.0.9")
    ecs.add_definition("small", command=["x"], container={"memory": 512})
    ecs.add_definition(
        "bridge", command=["x"], requiresCompatibilities=["EC2"], networkMode="bridge"
    )
    for name, told in (
        ("old", "has Swath 0.0.9"),
        ("small", "is limited to 512 MiB"),
        ("bridge", "cannot run on FARGATE"),
        ("bridge", "network mode bridge"),
    ):
        found = errors(*SETTINGS, f"fargate.task_definition={name}")
        assert any(told in error for error in found), found


def test_setting_that_the_task_definition_says_is_told(ecs):
    found = FargateBackend(settings_of(*SETTINGS, f"fargate.image={IMAGE}")).findings([])
    assert any("fargate.image is set and does nothing" in item.what for item in found)
