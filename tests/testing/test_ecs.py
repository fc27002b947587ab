"""FakeEcs against a real client: what it runs and how that ends, what it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from swath.testing import FakeEcs
from swath.testing.ecs.sizes import FARGATE_SIZES

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
SLEEP = ["python", "-c", "import time; time.sleep(60)"]


@pytest.fixture
def ecs() -> Iterator[FakeEcs]:
    with FakeEcs(second_s=0.005) as fake:
        fake.add_cluster("fargate")
        fake.add_definition("sleep", command=SLEEP)
        yield fake


@pytest.fixture
def run(ecs: FakeEcs, client_of: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that starts tasks with some Python code; returns the answer."""
    client = client_of(ecs)

    def call(code: str | None = None, /, **request: Any) -> Any:
        defaults: dict[str, Any] = {
            "cluster": "fargate",
            "taskDefinition": "sleep",
            "launchType": "FARGATE",
            "networkConfiguration": NETWORK,
        }
        if code is not None:
            override = {"name": "swath", "command": ["python", "-c", code]}
            defaults["overrides"] = {"containerOverrides": [override]}
        request = {key: value for key, value in (defaults | request).items() if value is not None}
        return client.run_task(**request)

    return call


def arn(answer: Any) -> str:
    (task,) = answer["tasks"]
    return str(task["taskArn"])


def test_task_runs_its_command_and_tells_how_it_ended(
    ecs: FakeEcs, run: Any, client_of: Callable[..., Any]
) -> None:
    well = arn(run("print('here')", tags=[{"key": "run", "value": "r1"}], startedBy="r1"))
    ill = arn(run("raise SystemExit(3)"))
    ecs.wait_for(well)
    ecs.wait_for(ill)
    answer = client_of(ecs).describe_tasks(cluster="fargate", tasks=[well, ill], include=["TAGS"])
    first, second = answer["tasks"]
    assert ecs.log(well) == "here\n"
    assert (first["lastStatus"], first["containers"][0]["exitCode"]) == ("STOPPED", 0)
    assert first["tags"] == [{"key": "run", "value": "r1"}]
    assert first["startedAt"] <= first["stoppedAt"]
    assert (second["stopCode"], second["containers"][0]["exitCode"]) == (
        "EssentialContainerExited",
        3,
    )
    assert second["stoppedReason"] == "Essential container in task exited"


def test_container_gets_entry_point_command_and_environment(ecs: FakeEcs, run: Any) -> None:
    definition = ecs.add_definition(
        "other",
        command=["nothing"],
        container={
            "entryPoint": ["python", "-c", "import os, sys; print(sys.argv[1:], os.environ['A'])"],
            "environment": [{"name": "A", "value": "a"}],
        },
    )
    override = {
        "name": "swath",
        "command": ["one", "two"],
        "environment": [{"name": "A", "value": "b"}],
    }
    task = arn(run(taskDefinition=definition, overrides={"containerOverrides": [override]}))
    ecs.wait_for(task)
    assert ecs.log(task) == "['one', 'two'] b\n"


def test_program_that_is_not_there_fails_to_start(ecs: FakeEcs, run: Any) -> None:
    override = {"name": "swath", "command": ["no-such-program"]}
    told = ecs.wait_for(arn(run(overrides={"containerOverrides": [override]})))
    assert told["stopCode"] == "TaskFailedToStart"
    assert told["stoppedReason"].startswith("CannotStartContainerError: no-such-program")
    assert "exitCode" not in told["containers"][0]


def test_tasks_beyond_the_slots_are_pending(client_of: Callable[..., Any]) -> None:
    with FakeEcs(slots=1) as ecs:
        ecs.add_cluster("c")
        ecs.add_definition("sleep", command=SLEEP)
        answer = client_of(ecs).run_task(
            cluster="c",
            taskDefinition="sleep:1",
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            count=2,
        )
        first, second = (task["taskArn"] for task in answer["tasks"])
        ecs.wait_for(first, {"RUNNING"})
        assert ecs.task(second)["lastStatus"] == "PENDING"
        ecs.kill(first)
        ecs.wait_for(second, {"RUNNING"})
        assert ecs.task(first)["containers"][0]["exitCode"] == 137


def test_stopped_task_is_asked_to_end_then_killed(
    ecs: FakeEcs, run: Any, client_of: Callable[..., Any]
) -> None:
    polite = arn(run())
    stubborn = arn(
        run(
            "import signal, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True)\n"
            "time.sleep(60)"
        )
    )
    ecs.wait_for(polite, {"RUNNING"})
    while not ecs.log(stubborn):
        time.sleep(0.01)
    client = client_of(ecs)
    for task in (polite, stubborn):
        assert client.stop_task(cluster="fargate", task=task, reason="enough")["task"]
    codes = []
    for task in (polite, stubborn):
        told = ecs.wait_for(task)
        assert (told["stopCode"], told["stoppedReason"]) == ("UserInitiated", "enough")
        codes.append(told["containers"][0]["exitCode"])
    assert codes == [143, 137]


def test_interrupted_task_of_fargate_spot_says_so(ecs: FakeEcs, run: Any) -> None:
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    task = arn(run(launchType=None, capacityProviderStrategy=spot))
    ecs.interrupt(task)
    told = ecs.wait_for(task)
    assert told["stopCode"] == "SpotInterruption"
    assert told["capacityProviderName"] == "FARGATE_SPOT"
    assert told["launchType"] == "FARGATE"


def test_tasks_with_too_little_memory_run_out_of_it(ecs: FakeEcs, run: Any) -> None:
    ecs.need_memory("*train*", 2048)
    small = ecs.wait_for(arn(run("'train'")))
    override = {"name": "swath", "command": ["python", "-c", "'train'"]}
    large = ecs.wait_for(
        arn(run(overrides={"containerOverrides": [override], "cpu": "1024", "memory": "2048"}))
    )
    assert small["containers"][0]["exitCode"] == 137
    assert small["containers"][0]["reason"].startswith("OutOfMemoryError")
    assert large["containers"][0]["exitCode"] == 0


def test_tasks_that_find_no_place_are_among_the_failures(ecs: FakeEcs, run: Any) -> None:
    ecs.fail_placement(2)
    answer = run(count=3)
    assert len(answer["tasks"]) == 1
    assert [item["reason"][:23] for item in answer["failures"]] == ["Capacity is unavailable"] * 2


def test_gpu_tasks_need_an_instance_with_a_free_device(
    ecs: FakeEcs, run: Any, client_of: Callable[..., Any]
) -> None:
    ecs.add_cluster("instances", instances=1, gpus=1)
    gpu = [{"type": "GPU", "value": "1"}]
    definition = ecs.add_definition(
        "gpu",
        command=SLEEP,
        requiresCompatibilities=["EC2"],
        container={"resourceRequirements": gpu},
    )
    request = {"cluster": "instances", "launchType": "EC2", "taskDefinition": definition}
    first = arn(run(**request))
    assert run(**request)["failures"][0]["reason"] == "RESOURCE:GPU"
    ecs.kill(first)
    ecs.wait_for(first)
    ecs.wait_for(arn(run(**request)), {"RUNNING"})


def test_same_token_starts_tasks_once(ecs: FakeEcs, run: Any) -> None:
    first = run(clientToken="one")
    assert run(clientToken="one")["tasks"][0]["taskArn"] == arn(first)
    with pytest.raises(ClientError, match="ConflictException"):
        run(clientToken="one", count=2)


def test_lost_answer_and_retry_of_the_client_start_one_task(
    ecs: FakeEcs, client_of: Callable[..., Any]
) -> None:
    ecs.lose_answers("RunTask")
    answer = client_of(ecs, attempts=3).run_task(
        cluster="fargate",
        taskDefinition="sleep",
        launchType="FARGATE",
        networkConfiguration=NETWORK,
        clientToken="once",
    )
    assert len(answer["tasks"]) == 1
    assert ecs.count("RunTask") == 2
    client = client_of(ecs)
    assert len(client.list_tasks(cluster="fargate")["taskArns"]) == 1


def test_tasks_are_listed_by_status_and_starter_in_pages(
    ecs: FakeEcs, run: Any, client_of: Callable[..., Any]
) -> None:
    ended = arn(run("pass", startedBy="a"))
    ecs.wait_for(ended)
    running = [task["taskArn"] for task in run(count=3, startedBy="a")["tasks"]]
    run(startedBy="b")
    client = client_of(ecs)
    pages = client.get_paginator("list_tasks").paginate(
        cluster="fargate", startedBy="a", PaginationConfig={"PageSize": 2}
    )
    assert [page["taskArns"] for page in pages] == [running[:2], running[2:]]
    stopped = client.list_tasks(cluster="fargate", desiredStatus="STOPPED")
    assert stopped["taskArns"] == [ended]


def test_forgotten_task_is_missing(ecs: FakeEcs, run: Any, client_of: Callable[..., Any]) -> None:
    task = arn(run("pass"))
    ecs.wait_for(task)
    ecs.forget(task)
    answer = client_of(ecs).describe_tasks(cluster="fargate", tasks=[task])
    assert answer["failures"] == [{"arn": task, "reason": "MISSING"}]


def test_clusters_are_created_and_described(ecs: FakeEcs, client_of: Callable[..., Any]) -> None:
    client = client_of(ecs)
    client.create_cluster(clusterName="new", capacityProviders=["FARGATE"])
    answer = client.describe_clusters(clusters=["new", "fargate", "other"])
    assert [item["status"] for item in answer["clusters"]] == ["ACTIVE", "ACTIVE"]
    assert answer["failures"] == [{"arn": "other", "reason": "MISSING"}]


def test_definitions_have_revisions(ecs: FakeEcs, client_of: Callable[..., Any]) -> None:
    client = client_of(ecs)
    ecs.add_definition("sleep", command=["sleep", "1"])
    told = client.describe_task_definition(taskDefinition="sleep")["taskDefinition"]
    assert (told["revision"], told["status"]) == (2, "ACTIVE")
    client.deregister_task_definition(taskDefinition="sleep:2")
    told = client.describe_task_definition(taskDefinition="sleep")["taskDefinition"]
    assert told["revision"] == 1
    with pytest.raises(ClientError, match="Unable to describe task definition"):
        client.describe_task_definition(taskDefinition="other")


GPU = {"name": "swath", "resourceRequirements": [{"type": "GPU", "value": "1"}]}
TOO_LONG = {"containerOverrides": [{"name": "swath", "command": ["x" * 8193]}]}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"count": 11}, "count must be between 1 and 10"),
        ({"startedBy": "a b"}, "startedBy"),
        ({"clientToken": "x" * 65}, "clientToken"),
        ({"launchType": "MOON"}, "enum"),
        ({"networkConfiguration": None}, "Network Configuration must be provided"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}, "subnets"),
        ({"overrides": TOO_LONG}, "at most 8192"),
        ({"overrides": {"containerOverrides": [{"name": "x"}]}}, "named x is not a container"),
        ({"overrides": {"cpu": "256", "memory": "4096"}}, "No Fargate configuration"),
        ({"overrides": {"containerOverrides": [GPU]}}, "does not support GPUs"),
        ({"taskDefinition": "other"}, "TaskDefinition not found"),
        ({"cluster": "other"}, "ClusterNotFoundException"),
        ({"launchType": "EC2"}, "No Container Instances"),
        (
            {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "mine"}]},
            "not associated",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
            "both a launch type and capacity provider",
        ),
        ({"tags": [{"key": "a#b", "value": "c"}]}, "regular expression"),
        ({"enableExecuteCommand": True}, "NotImplementedByFake"),
    ],
)
def test_run_task_refuses(ecs: FakeEcs, run: Any, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        run(**request_)
    assert ecs.received("RunTask") == []


def test_overrides_of_the_greatest_length_are_taken(ecs: FakeEcs, run: Any) -> None:
    for length, taken in ((8192, True), (8193, False)):
        overrides = {"containerOverrides": [{"name": "swath", "command": ["true", ""]}]}
        overrides["containerOverrides"][0]["command"][1] = "x" * (length - 68)
        if taken:
            assert ecs.wait_for(arn(run(overrides=overrides)))["containers"][0]["exitCode"] == 0
        else:
            with pytest.raises(ClientError, match="at most 8192"):
                run(overrides=overrides)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"cpu": 256, "memory_mib": 4096}, "No Fargate configuration"),
        ({"cpu": 300}, "No Fargate configuration"),
        ({"networkMode": "bridge"}, "awsvpc"),
        ({"container": {"privileged": True}}, "privileged"),
        (
            {"container": {"logConfiguration": {"logDriver": "awslogs", "options": {}}}},
            "execution role ARN",
        ),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, "storage"),
    ],
)
def test_definition_for_fargate_refuses(ecs: FakeEcs, more: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        ecs.add_definition("bad", command=["true"], **more)


def test_table_of_fargate_sizes_has_every_combination_that_the_documentation_lists() -> None:
    assert {cpu: (len(sizes), sizes[0], sizes[-1]) for cpu, sizes in FARGATE_SIZES.items()} == {
        256: (3, 512, 2048),
        512: (4, 1024, 4096),
        1024: (7, 2048, 8192),
        2048: (13, 4096, 16_384),
        4096: (23, 8192, 30_720),
        8192: (12, 16_384, 61_440),
        16_384: (12, 32_768, 122_880),
    }


def test_no_task_runs_after_the_fake_is_closed(
    client_of: Callable[..., Any], has_ended: Callable[[int], bool]
) -> None:
    with FakeEcs() as ecs:
        ecs.add_cluster("c")
        ecs.add_definition(
            "sleep",
            command=[
                "python",
                "-c",
                "import os, time; print(os.getpid(), flush=True); time.sleep(60)",
            ],
        )
        answer = client_of(ecs).run_task(
            cluster="c",
            taskDefinition="sleep",
            launchType="FARGATE",
            networkConfiguration=NETWORK,
            count=8,
        )
        first = answer["tasks"][0]["taskArn"]
        while not ecs.wait_for(first, {"RUNNING"}) or not ecs.log(first):
            time.sleep(0.01)
        pid = int(ecs.log(first))
    assert has_ended(pid)
