"""The template as text, as data, and as a stack that moto made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode import decode
from moto import mock_aws

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def template_file() -> Path:
    """Return the file of the template."""
    return Path(__file__).parents[2] / "deploy" / "aws" / "template.yaml"


@pytest.fixture(scope="session")
def template(template_file: Path) -> dict[str, Any]:
    """Return the template; ``!Ref x`` is ``{"Ref": "x"}``, ``!Sub x`` is ``{"Fn::Sub": "x"}``."""
    decoded, problems = decode(str(template_file))
    assert not problems
    return decoded


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> Callable[[str], dict[str, dict[str, Any]]]:
    """Return a function from a type to the properties of its resources by their names."""

    def of_type(kind: str) -> dict[str, dict[str, Any]]:
        found = {
            name: resource["Properties"]
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        }
        assert found, f"the template has no {kind}"
        return found

    return of_type


@pytest.fixture(scope="session")
def policies(template: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of each policy by its name, their actions and resources as lists."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, resource in template["Resources"].items():
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if "PolicyDocument" in properties:
            documents.append(properties["PolicyDocument"])
        if documents:
            found[name] = [_with_lists(s) for document in documents for s in document["Statement"]]
    return found


def _with_lists(statement: dict[str, Any]) -> dict[str, Any]:
    lists = {
        key: value if isinstance(value, list) else [value]
        for key, value in statement.items()
        if key in {"Action", "Resource"}
    }
    return statement | lists


@pytest.fixture(scope="session")
def statements(policies: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the statements of all policies."""
    return [statement for document in policies.values() for statement in document]


@dataclass(frozen=True)
class Stack:
    """A stack of the template, and what its account holds besides."""

    outputs: dict[str, str]
    vpc: str
    subnets: tuple[str, ...]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put an account of moto's in the place of AWS, for this process."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def create_stack(aws: None, template_file: Path, template: dict[str, Any]) -> Callable[..., Stack]:
    """Return a function that makes a stack with these parameters in the default VPC."""

    def create(name: str = "swath", **parameters: str) -> Stack:
        ec2 = boto3.client("ec2")
        boto3.client("iam").create_role(  # AWS has it in every account that has used Batch
            RoleName="AWSServiceRoleForBatch",
            Path="/aws-service-role/batch.amazonaws.com/",
            AssumeRolePolicyDocument="{}",
        )
        (vpc,) = (found["VpcId"] for found in ec2.describe_vpcs()["Vpcs"])
        subnets = tuple(found["SubnetId"] for found in ec2.describe_subnets()["Subnets"])
        # moto takes the default of a list for a list of characters, so lists are given.
        lists = {
            key: str(parameter["Default"])
            for key, parameter in template["Parameters"].items()
            if parameter["Type"] == "CommaDelimitedList"
        }
        given = lists | {"VpcId": vpc, "SubnetIds": ",".join(subnets)} | parameters
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=template_file.read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        )
        (made,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert made["StackStatus"] == "CREATE_COMPLETE", made.get("StackStatusReason")
        outputs = {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}
        return Stack(outputs, vpc, subnets)

    return create
