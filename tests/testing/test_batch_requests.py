"""Requests that FakeBatch takes and refuses: limits, queues, definitions, lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from swath.testing import FakeBatch
from swath.testing.batch.retry import is_retried

SLEEP = ["python", "-c", "import time; time.sleep(60)"]


@pytest.fixture
def batch() -> Iterator[FakeBatch]:
    with FakeBatch() as fake:
        fake.add_queue("cpu", slots=1)
        fake.add_definition("job", command=SLEEP)
        fake.add_definition("quick", command=["true"])
        yield fake


@pytest.fixture
def client(batch: FakeBatch, client_of: Callable[..., Any]) -> Any:
    return client_of(batch)


def submit(client: Any, **request: Any) -> str:
    defaults = {"jobName": "job", "jobQueue": "cpu", "jobDefinition": "job"}
    return str(client.submit_job(**defaults | request)["jobId"])


def overrides(**more: Any) -> dict[str, Any]:
    return {"containerOverrides": more}


def conditions(*items: dict[str, str]) -> dict[str, Any]:
    return {"retryStrategy": {"attempts": 2, "evaluateOnExit": list(items)}}


EXIT = {"action": "EXIT", "onExitCode": "1"}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"jobName": "a" * 129}, "jobName"),
        ({"jobName": "-a"}, "jobName"),
        ({"jobName": "a.b"}, "jobName"),
        ({"jobQueue": "other"}, "JobQueue other not found"),
        ({"jobDefinition": "other"}, "JobDefinition other not found"),
        ({"jobDefinition": "job:2"}, "JobDefinition job:2 not found"),
        ({"arrayProperties": {"size": 1}}, "between 2 and 10000"),
        ({"arrayProperties": {"size": 10_001}}, "between 2 and 10000"),
        ({"dependsOn": [{"jobId": "x"}]}, "Job x does not exist"),
        ({"dependsOn": [{"jobId": "x"}] * 21}, "20 jobs, not 21"),
        ({"dependsOn": [{}]}, "needs a jobId"),
        ({"dependsOn": [{"type": "SEQUENTIAL"}]}, "for array jobs"),
        ({"dependsOn": [{"jobId": "x", "type": "ANY"}]}, "enum"),
        ({"retryStrategy": {"attempts": 0}}, "between 1 and 10"),
        ({"retryStrategy": {"attempts": 11}}, "between 1 and 10"),
        ({"retryStrategy": {"evaluateOnExit": [EXIT]}}, "needs attempts"),
        (conditions(*[EXIT] * 6), "5 conditions, not 6"),
        (conditions({"action": "EXIT", "onStatusReason": "Host EC2 (*"}), "characters"),
        (conditions({"action": "EXIT", "onExitCode": "1?"}), "characters"),
        (conditions({"action": "EXIT"}), "needs onReason"),
        (conditions({"action": "STOP", "onReason": "*"}), "enum"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "at least 60"),
        (overrides(command=["a", ""]), "empty string"),
        (overrides(environment=[{"name": "AWS_BATCH_X", "value": "1"}]), "AWS_BATCH"),
        (overrides(resourceRequirements=[{"type": "GPU", "value": "0"}]), "GPU cannot be '0'"),
        (overrides(resourceRequirements=[{"type": "VCPU", "value": "1.5"}]), "VCPU cannot be"),
        (overrides(resourceRequirements=[{"type": "MEMORY", "value": "1G"}]), "MEMORY cannot be"),
        (overrides(resourceRequirements=[{"type": "DISK", "value": "1"}]), "enum"),
        ({"parameters": {"long": "x" * 30_720}}, "larger than 30720 bytes"),
        ({"shareIdentifier": "me"}, "NotImplementedByFake"),
        (overrides(vcpus=2), "NotImplementedByFake"),
    ],
)
def test_submit_job_refuses(
    batch: FakeBatch, client: Any, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        submit(client, **request_)
    assert batch.received("SubmitJob") == []


def test_twenty_dependencies_and_the_largest_array_are_taken(client: Any) -> None:
    jobs = [submit(client) for _ in range(20)]
    submit(
        client,
        jobName="a" * 128,
        arrayProperties={"size": 10_000},
        dependsOn=[{"jobId": job} for job in jobs],
        retryStrategy={"attempts": 10},
        timeout={"attemptDurationSeconds": 60},
    )


def test_pairs_of_arrays_must_have_one_size(client: Any) -> None:
    array = submit(client, arrayProperties={"size": 2})
    for size in (None, 3):
        more = {} if size is None else {"arrayProperties": {"size": size}}
        with pytest.raises(ClientError, match=r"for array jobs|arrays of one size"):
            submit(client, dependsOn=[{"jobId": array, "type": "N_TO_N"}], **more)


def test_disabled_queue_takes_no_jobs(batch: FakeBatch, client: Any) -> None:
    batch.add_queue("closed", state="DISABLED")
    with pytest.raises(ClientError, match="not ENABLED"):
        submit(client, jobQueue="closed")


# ---------------------------------------------------------------- queues and definitions


def test_queues_and_their_environments_are_described(batch: FakeBatch, client: Any) -> None:
    batch.add_queue("gpu", gpus=1, instance_types=["g5.xlarge"], vcpus=4)
    (queue,) = client.describe_job_queues(jobQueues=["gpu", "other"])["jobQueues"]
    assert (queue["state"], queue["status"]) == ("ENABLED", "VALID")
    (environment,) = client.describe_compute_environments(
        computeEnvironments=[queue["computeEnvironmentOrder"][0]["computeEnvironment"]]
    )["computeEnvironments"]
    resources = environment["computeResources"]
    assert (resources["type"], resources["minvCpus"]) == ("SPOT", 0)
    assert resources["instanceTypes"] == ["g5.xlarge"]
    pages = client.get_paginator("describe_job_queues").paginate(PaginationConfig={"PageSize": 1})
    assert [item["jobQueueName"] for page in pages for item in page["jobQueues"]] == ["cpu", "gpu"]


def test_definitions_have_revisions_and_states(client: Any) -> None:
    container = {
        "image": "swath:2",
        "command": ["true"],
        "resourceRequirements": [
            {"type": "VCPU", "value": "1"},
            {"type": "MEMORY", "value": "512"},
        ],
    }
    answer = client.register_job_definition(
        jobDefinitionName="job", type="container", containerProperties=container
    )
    assert answer["revision"] == 2
    described = client.describe_job_definitions(jobDefinitions=["job:2"])["jobDefinitions"]
    assert described[0]["containerProperties"]["image"] == "swath:2"
    client.deregister_job_definition(jobDefinition=answer["jobDefinitionArn"])
    active = client.describe_job_definitions(jobDefinitionName="job", status="ACTIVE")
    assert [item["revision"] for item in active["jobDefinitions"]] == [1]
    pages = client.get_paginator("describe_job_definitions").paginate(
        PaginationConfig={"PageSize": 2}
    )
    assert [len(page["jobDefinitions"]) for page in pages] == [2, 1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"type": "multinode"}, "type container"),
        ({"containerProperties": {"image": "x"}}, "must tell VCPU"),
        ({"jobDefinitionName": "a b"}, "jobDefinitionName"),
        ({"timeout": {"attemptDurationSeconds": 1}}, "at least 60"),
        ({"eksProperties": {}}, "NotImplementedByFake"),
    ],
)
def test_definition_is_refused(client: Any, more: dict[str, Any], message: str) -> None:
    request = {
        "jobDefinitionName": "new",
        "type": "container",
        "containerProperties": {"image": "x", "vcpus": 1, "memory": 512},
    }
    with pytest.raises(ClientError, match=message):
        client.register_job_definition(**request | more)


# ---------------------------------------------------------------- lists


def test_at_most_hundred_jobs_are_described(batch: FakeBatch, client: Any) -> None:
    with pytest.raises(ClientError, match="at most 100"):
        client.describe_jobs(jobs=["a"] * 101)
    assert client.describe_jobs(jobs=["a"] * 100)["jobs"] == []


def test_running_jobs_are_listed_unless_asked_otherwise(batch: FakeBatch, client: Any) -> None:
    running, waiting = submit(client), submit(client)
    batch.wait_for(running, {"RUNNING"})

    def listed(**request: Any) -> list[str]:
        answer = client.list_jobs(jobQueue="cpu", **request)
        return [item["jobId"] for item in answer["jobSummaryList"]]

    assert listed() == [running]
    assert listed(jobStatus="RUNNABLE") == [waiting]
    assert listed(jobStatus="FAILED") == []


def test_parents_of_arrays_are_pending_while_their_children_run(
    batch: FakeBatch, client: Any
) -> None:
    array = submit(client, arrayProperties={"size": 3})
    batch.wait_for(f"{array}:0", {"RUNNING"})
    assert client.list_jobs(jobQueue="cpu")["jobSummaryList"] == []
    (parent,) = client.list_jobs(jobQueue="cpu", jobStatus="PENDING")["jobSummaryList"]
    assert parent["arrayProperties"]["statusSummary"]["RUNNABLE"] == 2
    (child,) = client.list_jobs(arrayJobId=array)["jobSummaryList"]
    assert (child["jobId"], child["arrayProperties"]["index"]) == (f"{array}:0", 0)
    rest = client.list_jobs(arrayJobId=array, jobStatus="RUNNABLE")["jobSummaryList"]
    assert [item["jobId"] for item in rest] == [f"{array}:1", f"{array}:2"]


def test_jobs_are_listed_by_name_whatever_their_state(batch: FakeBatch, client: Any) -> None:
    done = submit(client, jobName="Run1-chip", jobDefinition="quick")
    batch.wait_for(done)
    later = submit(client, jobName="run1-train", arrayProperties={"size": 2})
    submit(client, jobName="run2-train")

    def listed(value: str) -> list[str]:
        filters = [{"name": "JOB_NAME", "values": [value]}]
        answer = client.list_jobs(jobQueue="cpu", filters=filters, jobStatus="FAILED")
        return [item["jobId"] for item in answer["jobSummaryList"]]

    assert listed("run1-*") == [later, done]
    assert listed("RUN1-CHIP") == [done]
    assert listed("run1") == []


def test_lists_come_in_pages(batch: FakeBatch, client: Any) -> None:
    batch.add_queue("full", vcpus=0)
    jobs = [submit(client, jobQueue="full") for _ in range(5)]
    pages = client.get_paginator("list_jobs").paginate(
        jobQueue="full", jobStatus="RUNNABLE", PaginationConfig={"PageSize": 2}
    )
    found = [[item["jobId"] for item in page["jobSummaryList"]] for page in pages]
    assert found == [jobs[:2:-1], jobs[2:0:-1], jobs[:1]]
    with pytest.raises(ClientError, match="Invalid token"):
        client.list_jobs(jobQueue="full", nextToken="x")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "one of jobQueue and arrayJobId"),
        ({"jobQueue": "other"}, "not found"),
        ({"jobQueue": "cpu", "maxResults": 0}, "at least 1"),
        ({"jobQueue": "cpu", "filters": [{"name": "COLOUR", "values": ["x"]}]}, "no filter"),
        ({"jobQueue": "cpu", "filters": [{"name": "JOB_NAME", "values": []}]}, "no values"),
        ({"jobQueue": "cpu", "filters": [{"name": "JOB_NAME", "values": ["x"]}] * 2}, "one filter"),
        ({"arrayJobId": "x", "filters": [{"name": "JOB_NAME", "values": ["x"]}]}, "children"),
        ({"jobQueue": "cpu", "multiNodeJobId": "x"}, "NotImplementedByFake"),
    ],
)
def test_list_is_refused(client: Any, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        client.list_jobs(**request_)


# ---------------------------------------------------------------- retries, by hand

RECLAIMED = "Host EC2 (instance i-0abc) terminated."


@pytest.mark.parametrize(
    ("items", "status_reason", "reason", "exit_code", "retried"),
    [
        ([], "x", None, 1, True),
        ([{"onExitCode": "1", "action": "EXIT"}], "x", None, 1, False),
        ([{"onExitCode": "1", "action": "EXIT"}], "x", None, 12, True),
        ([{"onExitCode": "1*", "action": "EXIT"}], "x", None, 12, False),
        ([{"onStatusReason": "Host EC2*", "action": "RETRY"}], RECLAIMED, None, None, True),
        (
            [
                {"onStatusReason": "Host EC2*", "onExitCode": "1", "action": "RETRY"},
                {"onReason": "*", "action": "EXIT"},
            ],
            RECLAIMED,
            None,
            None,
            False,
        ),
        (
            [
                {"onReason": "OutOfMemory*", "action": "EXIT"},
                {"onExitCode": "*", "action": "RETRY"},
            ],
            "x",
            "OutOfMemoryError: Container killed due to memory usage",
            137,
            False,
        ),
    ],
)
def test_first_condition_that_matches_decides_and_none_retries(
    items: list[dict[str, str]],
    status_reason: str,
    reason: str | None,
    exit_code: int | None,
    retried: bool,
) -> None:
    strategy = {"attempts": 2, "evaluateOnExit": items}
    seen: dict[str, Any] = {
        "status_reason": status_reason,
        "reason": reason,
        "exit_code": exit_code,
    }
    assert is_retried(strategy, 1, **seen) is retried
    assert not is_retried(strategy, 2, **seen)
