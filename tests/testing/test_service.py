"""What all fakes share: requests checked against the model, faults, records, the end."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from swath.testing import FakeBatch, ServiceError
from swath.testing.model import ServiceModel, compiled


@pytest.fixture
def batch() -> Iterator[FakeBatch]:
    with FakeBatch() as fake:
        fake.add_queue("cpu")
        fake.add_definition("job", command=["true"])
        yield fake


def test_requests_are_kept_with_what_was_answered(
    batch: FakeBatch, client_of: Callable[..., Any]
) -> None:
    client = client_of(batch)
    client.describe_jobs(jobs=["a"])
    with pytest.raises(ClientError):
        client.submit_job(jobName="a b", jobQueue="cpu", jobDefinition="job")
    first, second = batch.requests
    assert (first.service, first.operation, first.parameters, first.error) == (
        "batch",
        "DescribeJobs",
        {"jobs": ["a"]},
        None,
    )
    assert second.error == "ClientException"
    assert first.time <= second.time <= time.time()
    assert (batch.count(), batch.count("SubmitJob")) == (2, 1)
    assert batch.received("DescribeJobs") == [{"jobs": ["a"]}]
    assert batch.received("SubmitJob") == []


def test_next_calls_are_throttled_and_the_client_goes_on(
    batch: FakeBatch, client_of: Callable[..., Any]
) -> None:
    batch.throttle_next("DescribeJobs", n=2)
    client = client_of(batch)
    client.list_jobs(jobQueue="cpu")
    for _ in range(2):
        with pytest.raises(ClientError) as raised:
            client.describe_jobs(jobs=["a"])
        assert raised.value.response["Error"]["Code"] == "TooManyRequestsException"
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    client.describe_jobs(jobs=["a"])


def test_share_of_calls_is_throttled_the_same_each_time(client_of: Callable[..., Any]) -> None:
    outcomes = []
    for _ in range(2):
        with FakeBatch() as batch:
            batch.throttle_share(0.5, seed=3)
            client = client_of(batch)
            for _ in range(20):
                with suppress(ClientError):
                    client.describe_jobs(jobs=["a"])
            outcomes.append([request.error is None for request in batch.requests])
            batch.heal()
            client.describe_jobs(jobs=["a"])
    assert outcomes[0] == outcomes[1]
    assert 3 < sum(outcomes[0]) < 17


def test_calls_fail_as_they_are_told_to(batch: FakeBatch, client_of: Callable[..., Any]) -> None:
    batch.fail_next(error=ServiceError("ServerException", "not now", 500))
    with pytest.raises(ClientError, match="not now"):
        client_of(batch).describe_jobs(jobs=["a"])


def test_lost_answer_hides_what_was_done(batch: FakeBatch, client_of: Callable[..., Any]) -> None:
    batch.lose_answers("SubmitJob")
    client = client_of(batch)
    with pytest.raises(ConnectionClosedError):
        client.submit_job(jobName="a", jobQueue="cpu", jobDefinition="job")
    filters = [{"name": "JOB_NAME", "values": ["a"]}]
    assert len(client.list_jobs(jobQueue="cpu", filters=filters)["jobSummaryList"]) == 1


def test_unknown_operation_says_which_are_known(
    batch: FakeBatch, client_of: Callable[..., Any]
) -> None:
    with pytest.raises(ClientError, match=r"does not know ListTagsForResource; it knows Cancel"):
        client_of(batch).list_tags_for_resource(resourceArn="arn:aws:batch:x")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/nothing", b"{}", "UnknownOperationException"),
        ("/v1/describejobs", b"{", "SerializationException"),
        ("/v1/describejobs", b"[]", "SerializationException"),
        ("/v1/describejobs", b'{"jobs": ["a"], "colour": "red"}', "ClientException"),
        ("/v1/describejobs", b'{"jobs": "a"}', "ClientException"),
    ],
)
def test_bytes_that_no_client_of_boto3_sends_are_refused(
    batch: FakeBatch, path: str, body: bytes, code: str
) -> None:
    connection = http.client.HTTPConnection(batch.endpoint.removeprefix("http://"))
    connection.request("POST", path, body)
    answer = connection.getresponse()
    assert json.loads(answer.read())["__type"] == code
    assert answer.status >= 400
    connection.close()


def test_end_leaves_no_thread_and_nobody_listening(client_of: Callable[..., Any]) -> None:
    before = set(threading.enumerate())
    with FakeBatch() as batch:
        batch.add_queue("cpu")
        client = client_of(batch)
        client.describe_job_queues()
        endpoint = batch.endpoint
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    with pytest.raises(Exception, match=r"Could not connect|Connection was closed"):
        client.describe_job_queues()
    with pytest.raises(RuntimeError, match="not started"):
        assert batch.endpoint != endpoint


# ---------------------------------------------------------------- the model

REQUEST = {"jobName": "a", "jobQueue": "q", "jobDefinition": "d"}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, None),
        ({"jobName": None}, "Value null at 'jobName' failed"),
        ({"jobName": 1}, "Value at 'jobName' must be of type string, not int"),
        ({"colour": "red"}, "Unknown member 'colour' at 'the request'"),
        ({"dependsOn": [{"type": "BOTH"}]}, "at 'dependsOn[0].type' failed to satisfy constraint"),
        ({"tags": {}}, "entries greater than or equal to 1"),
        ({"tags": {str(n): "" for n in range(51)}}, "entries less than or equal to 50"),
        ({"tags": {"x" * 129: ""}}, "characters less than or equal to 128"),
        ({"propagateTags": 1}, "must be of type boolean"),
        ({"arrayProperties": {"size": True}}, "must be of type integer"),
    ],
)
def test_model_finds_what_is_wrong(more: dict[str, Any], problem: str | None) -> None:
    found = ServiceModel("batch").request_problems("SubmitJob", REQUEST | more)
    assert len(found) == (problem is not None)
    assert all(str(problem) in each for each in found)


def test_classes_of_characters_are_those_of_unicode() -> None:
    tag = compiled(r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)")
    assert tag.fullmatch("Größe 1/2: ½ 山")
    assert not tag.fullmatch("a#b")


def test_every_pattern_of_the_steps_of_a_pipeline_can_be_checked() -> None:
    model = ServiceModel("sagemaker")
    for shape in ("CreateProcessingJobRequest", "CreateTrainingJobRequest"):
        for pattern in patterns_in(model, shape, set()):
            compiled(pattern)


def patterns_in(model: ServiceModel, name: str, seen: set[str]) -> set[str]:
    """Return all patterns that a shape uses."""
    if name in seen:
        return set()
    seen.add(name)
    shape = model._shapes[name]
    parts = [*shape.get("members", {}).values()]
    parts += [shape[key] for key in ("member", "key", "value") if key in shape]
    found = {shape["pattern"]} if "pattern" in shape else set()
    return found.union(*(patterns_in(model, part["shape"], seen) for part in parts))
