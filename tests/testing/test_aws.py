"""All fakes together, found by the variables of their environment alone."""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from swath.testing import AwsFakes

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


@pytest.fixture(autouse=True)
def no_other_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


def reach(aws: AwsFakes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)


def test_clients_find_the_fakes_by_their_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with AwsFakes(variables={"COLOUR": "red"}) as aws:
        reach(aws, monkeypatch)
        aws.batch.add_queue("cpu")
        aws.batch.add_definition("show", command=["sh", "-c", "echo $COLOUR; echo two"])
        aws.ecs.add_cluster("c")
        aws.ecs.add_definition("show", command=["sh", "-c", "echo $AWS_ENDPOINT_URL_ECS"])
        job = boto3.client("batch").submit_job(jobName="a", jobQueue="cpu", jobDefinition="show")[
            "jobId"
        ]
        task = boto3.client("ecs").run_task(
            cluster="c",
            taskDefinition="show",
            launchType="FARGATE",
            networkConfiguration=NETWORK,
        )["tasks"][0]["taskArn"]
        assert boto3.client("sagemaker").list_pipelines()["PipelineSummaries"] == []
        aws.batch.wait_for(job)
        aws.ecs.wait_for(task)
        assert aws.batch.log(job) == "red\ntwo\n"
        assert aws.ecs.log(task) == f"{aws.ecs.endpoint}\n"

        stream = aws.batch.job(job)["container"]["logStreamName"]
        assert events(stream) == ["red", "two"]
        streams = boto3.client("logs").describe_log_streams(
            logGroupName="/aws/batch/job", logStreamNamePrefix="show/"
        )["logStreams"]
        assert [item["logStreamName"] for item in streams] == [stream]
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            events("other")


def events(stream: str) -> list[str]:
    """Read a stream from its head, one event a page, until the token stays the same."""
    client: Any = boto3.client("logs")
    messages, token = [], None
    while True:
        request = {"logGroupName": "/aws/batch/job", "logStreamName": stream, "limit": 1}
        more = {"nextToken": token} if token else {"startFromHead": True}
        answer = client.get_log_events(**request | more)
        messages += [event["message"] for event in answer["events"]]
        if answer["nextForwardToken"] == token:
            return messages
        token = answer["nextForwardToken"]


def test_latest_lines_come_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with AwsFakes() as aws:
        reach(aws, monkeypatch)
        aws.batch.add_queue("cpu")
        aws.batch.add_definition("count", command=["seq", "5"])
        job = boto3.client("batch").submit_job(jobName="a", jobQueue="cpu", jobDefinition="count")[
            "jobId"
        ]
        aws.batch.wait_for(job)
        answer = boto3.client("logs").get_log_events(
            logGroupName="/aws/batch/job",
            logStreamName=aws.batch.job(job)["container"]["logStreamName"],
            limit=2,
        )
        assert [event["message"] for event in answer["events"]] == ["4", "5"]


def test_containers_write_to_the_s3_that_the_test_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import boto3; "
        "boto3.client('s3').put_object(Bucket='results', Key='a.json', Body=b'{\"x\": 1}')"
    )
    with AwsFakes(buckets=["results"]) as aws:
        reach(aws, monkeypatch)
        aws.batch.add_queue("cpu")
        aws.batch.add_definition("write", command=["python", "-c", code])
        job = boto3.client("batch").submit_job(jobName="a", jobQueue="cpu", jobDefinition="write")[
            "jobId"
        ]
        assert aws.batch.wait_for(job) == "SUCCEEDED", aws.batch.log(job)
        body = boto3.client("s3").get_object(Bucket="results", Key="a.json")["Body"].read()
        assert json.loads(body) == {"x": 1}
