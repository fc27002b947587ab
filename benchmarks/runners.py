"""What each runner adds: seconds until the first command starts, and for each command after it.

Measured: ``swath run RUNNER`` over splits that write a number each, until the first worker says
that it has started, and from then on until the command line is back, for each split. Against:
`local` in the same run. The cores of this machine carry the workers of all runners, and a service
on loopback answers at once, so what is left is what Swath itself, the client libraries and the
start of a worker cost; a real queue or a cold instance comes on top.
How: once for each runner, into a fresh root. Dask: a scheduler and two workers, over TLS. Slurm:
one node with four cores. AWS: the fakes of `swath.testing` and an S3 by moto's server, with four
containers at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import boto3

import swath
from benchmarks.measure import process_usage
from benchmarks.table import Row
from swath.run.events import EventReader
from swath.run.folder import runs_of
from swath.testing import AwsFakes
from swath.testing.dask import DaskServers
from swath.testing.slurm import OneNodeSlurm, missing_programs

N_SPLITS = {"small": 2, "full": 40}
RUNNERS = {
    "small": ("local", "inprocess"),
    "full": ("local", "inprocess", "dask", "slurm", "batch", "sagemaker", "fargate"),
}
SLOTS = 4


class Overhead(NamedTuple):
    """Seconds until the first command started, and for each one from then to the end."""

    first_s: float
    each_s: float


class Site(NamedTuple):
    """Where a runner is measured."""

    root_uri: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    n_splits = N_SPLITS[size]
    found = {}
    for runner in RUNNERS[size]:
        if runner == "slurm" and missing_programs():
            continue
        with _site(runner, folder) as site:
            found[runner] = _overhead(runner, site, folder, n_splits)
    usual = found.pop("local")
    for runner, overhead in found.items():
        yield Row(f"{runner}, first command", overhead.first_s, "s", "local", usual.first_s)
        name = f"{runner}, each of {n_splits} commands"
        yield Row(name, overhead.each_s, "s", "local", usual.each_s)


def _overhead(runner: str, site: Site, folder: Path, n_splits: int) -> Overhead:
    words = ["run", runner, "swath.testing.diamond", "source", "--splits", str(n_splits)]
    words += ["-a", "root_uri", site.root_uri, "-a", "faults", str(folder)]
    words += ["-a", "n", str(n_splits)]
    for name, value in site.settings.items():
        words += ["--set", f"{name}={value}"]
    with mock.patch.dict(os.environ, site.environment):
        began = time.time()
        used = process_usage([sys.executable, "-m", "swath", *words])
        (last,) = runs_of(site.root_uri)
        first = min(event.time for event in EventReader(last).new() if event.what == "started")
    return Overhead(first - began, (began + used.wall_s - first) / n_splits)


@contextmanager
def _site(runner: str, folder: Path) -> Iterator[Site]:
    """Start what a runner talks to."""
    root = str(folder / runner)
    with ExitStack() as stack:
        if runner in {"local", "inprocess"}:
            yield Site(root, {"local.jobs": "2"}, {})
        elif runner == "dask":
            servers = stack.enter_context(DaskServers(workers=2, tls=True))
            yield Site(root, servers.settings, {})
        elif runner == "slurm":
            slurm = stack.enter_context(OneNodeSlurm(cpus=SLOTS))
            yield Site(root, {}, slurm.environment)
        else:
            aws = stack.enter_context(AwsFakes(buckets=["swath"], slots=SLOTS))
            yield Site(f"s3://swath/{runner}", _settings_on(aws, runner), aws.environment)


def _settings_on(aws: AwsFakes, runner: str) -> Mapping[str, str]:
    """Declare what a runner needs on the fakes, and return its settings."""
    image = f"swath:{swath.__version__}"
    often = {"aws.poll_s": "1"}
    if runner == "batch":
        aws.batch.add_queue("cpu", slots=SLOTS)
        definition = aws.batch.add_definition("swath", image=image)
        return often | {"batch.cpu_queue": "cpu", "batch.cpu_definition": definition}
    if runner == "fargate":
        aws.ecs.add_cluster("swath")
        aws.ecs.add_definition("swath", command=["swath", "--version"], image=image)
        names = {"cluster": "swath", "task_definition": "swath", "subnets": "subnet-0a"}
        return often | {f"fargate.{name}": value for name, value in names.items()}
    with mock.patch.dict(os.environ, aws.environment):
        trust = {"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}}]}
        made = boto3.client("iam").create_role(
            RoleName="swath", AssumeRolePolicyDocument=json.dumps(trust)
        )
    return often | {"sagemaker.role": made["Role"]["Arn"], "sagemaker.cpu_image": image}
