"""Where each runner is tried: a fixture `<runner>_place` each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import swath
from swath.testing import FakeBatch, FakeEcs, FakeSageMaker
from swath.testing.conformance import Place
from swath.testing.dask import DaskServers
from swath.testing.slurm import OneNodeSlurm

RUNNERS = ("inprocess", "local", "dask", "slurm", "batch", "fargate", "sagemaker")
"""Every runner that comes with Swath; each has a fixture ``<runner>_place`` below."""

N_MANY = int(os.environ.get("SWATH_TEST_SPLITS", "60"))
"""Splits of the test of many; ``make conformance`` takes 1,000."""


@pytest.fixture(params=RUNNERS)
def place(request: Any) -> Place:
    """Return where the runner is tried."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def inprocess_place(tmp_path: Path) -> Place:
    return Place("inprocess", str(tmp_path / "root"), keeps_logs=False, n_many=N_MANY)


@pytest.fixture
def local_place(tmp_path: Path) -> Place:
    return Place("local", str(tmp_path / "root"), n_many=N_MANY)


@pytest.fixture
def dask_place(tmp_path: Path, dask_servers: DaskServers) -> Place:
    settings = tuple(f"{name}={value}" for name, value in dask_servers.settings.items())
    return Place("dask", str(tmp_path / "root"), settings, runs_gpus=False, n_many=N_MANY)


@pytest.fixture
def slurm_place(slurm: OneNodeSlurm, tmp_path: Path) -> Place:
    settings = (
        "slurm.poll_s=1",
        "slurm.gpu_partition=gpu",
        "slurm.memory_gib=2",  # it kills what takes more
    )
    return Place("slurm", str(tmp_path / "root"), settings, n_many=N_MANY)


@pytest.fixture
def batch_place(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with FakeBatch(second_s=0.05) as batch:
        batch.add_queue("cpu", slots=8)
        batch.add_queue("gpu", slots=2, gpus=2, instance_types=["g5"])
        batch.add_definition("worker", image=f"swath:{swath.__version__}")
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", batch.endpoint)
        settings = (
            "batch.cpu_queue=cpu",
            "batch.gpu_queue=gpu",
            "batch.cpu_definition=worker",
            "batch.gpu_definition=worker",
            "aws.poll_s=1",
        )
        yield Place("batch", f"s3://{s3_bucket}/root", settings, n_many=N_MANY)


@pytest.fixture
def fargate_place(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    image = f"swath:{swath.__version__}"
    with FakeEcs(slots=8, second_s=0.05) as ecs:
        ecs.add_cluster("swath")
        ecs.add_definition("swath", command=["swath", "--version"], image=image)
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", ecs.endpoint)
        settings = (
            "fargate.cluster=swath",
            "fargate.task_definition=swath",
            "fargate.subnets=subnet-0a",
            "aws.poll_s=1",
        )
        root = f"s3://{s3_bucket}/root"
        yield Place("fargate", root, settings, runs_gpus=False, n_many=N_MANY)


@pytest.fixture
def sagemaker_place(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    role = "conformance"
    iam: Any = boto3.client("iam")
    if role not in {item["RoleName"] for item in iam.list_roles()["Roles"]}:
        trust = {"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}}]}
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    image = f"swath:{swath.__version__}"
    with FakeSageMaker(slots=4, second_s=0.05) as sagemaker:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", sagemaker.endpoint)
        settings = (
            f"sagemaker.role=arn:aws:iam::123456789012:role/{role}",
            f"sagemaker.cpu_image={image}",
            f"sagemaker.gpu_image={image}",
            "sagemaker.instances=5",
            "aws.poll_s=1",
        )
        yield Place("sagemaker", f"s3://{s3_bucket}/root", settings, n_many=N_MANY)
