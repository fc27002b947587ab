"""Who may do what: nothing on everything but what AWS cannot narrow, and each of those is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core import enable_iam_authentication

ON_EVERYTHING = {
    # The token is the account's; what it opens is said for each repository.
    "ecr:GetAuthorizationToken": "no resource",
    # Asked by an instance before there is a cluster or an instance to name.
    "ecs:DiscoverPollEndpoint": "no resource",
    "ec2:DescribeTags": "no resource",
    # Reading actions of services that know no resources for them.
    "batch:DescribeComputeEnvironments": "no resource",
    "batch:DescribeJobDefinitions": "no resource",
    "batch:DescribeJobQueues": "no resource",
    "batch:DescribeJobs": "no resource",
    "batch:ListJobs": "no resource",
    "ecs:DescribeTaskDefinition": "no resource",
    # A condition narrows them: to the cluster, to the namespaces of SageMaker's jobs.
    "ecs:ListTasks": "condition",
    "cloudwatch:PutMetricData": "condition",
}
"""Actions that are allowed on ``*``, and why AWS does not let us say it more narrowly."""

ACCOUNT = r"arn:\$\{AWS::Partition\}:\w+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:"


@pytest.fixture(scope="module")
def resources_of_actions() -> dict[str, list[str]]:
    """Return for each action the kinds of resource it can be narrowed to, as AWS publishes them."""
    text = (files("cfnlint.data.AdditionalSpecs") / "Policies.json").read_text()
    return {
        f"{service}:{action}": list(known.get("Resources", []))
        for service, actions in json.loads(text).items()
        for action, known in actions["Actions"].items()
    }


def test_no_action_is_a_wildcard(statements):
    assert [a for statement in statements for a in statement["Action"] if "*" in a] == []
    assert not any("NotAction" in s or "NotResource" in s for s in statements)


def test_every_action_exists(statements, resources_of_actions):
    named = {action for statement in statements for action in statement["Action"]}
    assert {action for action in named if action.lower() not in resources_of_actions} == set()


def test_actions_on_everything_are_those_that_aws_cannot_narrow(statements, resources_of_actions):
    found: dict[str, str] = {}
    for statement in statements:
        if "*" not in statement["Resource"]:
            continue
        for action in statement["Action"]:
            found[action] = "condition" if "Condition" in statement else "no resource"
            if found[action] == "no resource":
                assert resources_of_actions[action.lower()] == [], f"{action} can be narrowed"
    assert found == ON_EVERYTHING


def test_every_other_resource_is_of_this_account_and_most_of_this_stack(statements):
    """What is not a resource of the stack names service, region, account and kind at least."""
    names = set()
    for resource in (r for statement in statements for r in statement["Resource"] if r != "*"):
        assert set(resource) <= {"Ref", "Fn::GetAtt", "Fn::Sub"}
        text = resource.get("Fn::Sub", "${Bucket.Arn}")
        if not text.startswith("${Bucket.Arn}"):
            assert re.match(ACCOUNT, text), text
            names.add(re.sub(ACCOUNT, "", text))
    assert {name for name in names if "${" not in name} == {
        "cluster/*",
        "container-instance/*",
        "job/*",
        "log-group:/aws/sagemaker/ProcessingJobs*",
        "log-group:/aws/sagemaker/TrainingJobs*",
        "pipeline/swath-*",
        "processing-job/pipelines-*",
        "training-job/pipelines-*",
    }


def test_roles_are_passed_to_named_services_only(statements):
    passing = [s for s in statements if "iam:PassRole" in s["Action"]]
    assert passing
    for statement in passing:
        assert statement["Action"] == ["iam:PassRole"]
        roles = {resource["Fn::GetAtt"][0] for resource in statement["Resource"]}
        service = statement["Condition"]["StringEquals"]["iam:PassedToService"]
        assert (service, roles) in [
            ("ecs-tasks.amazonaws.com", {"WorkerRole", "ExecutionRole"}),
            ("sagemaker.amazonaws.com", {"SageMakerRole"}),
        ]


def test_roles_have_policies_of_this_stack_only_and_trust_one_service(resources, policies):
    trusted = {}
    for name, role in resources("AWS::IAM::Role").items():
        assert {policy["Ref"] for policy in role["ManagedPolicyArns"]} <= set(policies)
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        trusted[name] = statement["Principal"]["Service"]
    assert trusted == {
        "WorkerRole": "ecs-tasks.amazonaws.com",
        "ExecutionRole": "ecs-tasks.amazonaws.com",
        "InstanceRole": "ec2.amazonaws.com",
        "SageMakerRole": "sagemaker.amazonaws.com",
    }


def test_only_users_may_start_batch_jobs_and_tasks(policies):
    starting = {"batch:SubmitJob", "ecs:RunTask", "sagemaker:StartPipelineExecution"}
    may = {
        name
        for name, document in policies.items()
        if starting & {action for statement in document for action in statement["Action"]}
    }
    assert may == {"UserPolicy"}


def test_users_may_name_definitions_with_a_revision_and_without(statements):
    """AWS compares with the name that was asked for: no revision, no match with ``name:*``."""
    allowed = {
        statement["Sid"]: {
            re.sub(ACCOUNT, "", resource["Fn::Sub"])
            for resource in statement["Resource"]
            if "-definition/" in resource.get("Fn::Sub", "")
        }
        for statement in statements
        if statement["Sid"] in {"SubmitJobs", "RunTasks"}
    }
    assert allowed["RunTasks"] == {
        f"task-definition/${{AWS::StackName}}{revision}" for revision in ("", ":*")
    }
    assert allowed["SubmitJobs"] == {
        f"job-definition/${{AWS::StackName}}-{device}{revision}"
        for device in ("cpu", "gpu")
        for revision in ("", ":*")
    }


# ------------------------------------------------------------- what the policies come to


def physical(name: str) -> str:
    """Return the name or ARN that a resource of the stack got."""
    found = boto3.client("cloudformation").describe_stack_resource(
        StackName="swath", LogicalResourceId=name
    )
    return found["StackResourceDetail"]["PhysicalResourceId"]


@pytest.fixture
def clients_of(template) -> Callable[..., list[Any]]:
    """Return a function that gives clients with the credentials of a role of the stack."""

    def clients(role: str, *services: str) -> list[Any]:
        iam = boto3.client("iam")
        for policy in template["Resources"][role]["Properties"]["ManagedPolicyArns"]:
            # moto overlooks this property; CloudFormation does not.
            iam.attach_role_policy(RoleName=physical(role), PolicyArn=physical(policy["Ref"]))
        arn = iam.get_role(RoleName=physical(role))["Role"]["Arn"]
        answer = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="worker")
        taken = answer["Credentials"]
        return [
            boto3.client(
                service,
                aws_access_key_id=taken["AccessKeyId"],
                aws_secret_access_key=taken["SecretAccessKey"],
                aws_session_token=taken["SessionToken"],
            )
            for service in services
        ]

    return clients


def denied() -> Any:
    return pytest.raises(ClientError, match="AccessDenied")


@pytest.mark.parametrize("role", ["WorkerRole", "SageMakerRole"])
def test_worker_uses_its_bucket_and_nothing_else(create_stack, clients_of, role):
    bucket = create_stack().outputs["RootUri"].removeprefix("s3://")
    location = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3").create_bucket(Bucket="another", CreateBucketConfiguration=location)
    s3, batch, iam = clients_of(role, "s3", "batch", "iam")
    with enable_iam_authentication():
        s3.put_object(Bucket=bucket, Key="a", Body=b"1")
        assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
        s3.delete_object(Bucket=bucket, Key="a")
        with denied():
            s3.put_object(Bucket="another", Key="a", Body=b"1")
        with denied():
            s3.list_objects_v2(Bucket="another")
        with denied():
            s3.delete_bucket(Bucket=bucket)
        with denied():
            batch.describe_jobs(jobs=["x"])
        with denied():
            iam.list_roles()


def test_worker_reads_the_other_buckets_it_was_given(create_stack, clients_of):
    create_stack(ReadableArns="arn:aws:s3:::imagery,arn:aws:s3:::imagery/*")
    location = {"LocationConstraint": "eu-central-1"}
    admin = boto3.client("s3")
    admin.create_bucket(Bucket="imagery", CreateBucketConfiguration=location)
    admin.put_object(Bucket="imagery", Key="a.tif", Body=b"1")
    (s3,) = clients_of("WorkerRole", "s3")
    with enable_iam_authentication():
        assert s3.get_object(Bucket="imagery", Key="a.tif")["Body"].read() == b"1"
        assert s3.list_objects_v2(Bucket="imagery")["KeyCount"] == 1
        with denied():
            s3.put_object(Bucket="imagery", Key="b.tif", Body=b"1")
