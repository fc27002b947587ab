"""AWS on loopback as a whole: the fakes, S3 if asked, and the variables that lead to them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from swath.testing.batch import FakeBatch
from swath.testing.containers import Programs
from swath.testing.ecs import FakeEcs
from swath.testing.logs import FakeLogs
from swath.testing.protocol import REGION
from swath.testing.s3 import CREDENTIALS, MotoServer
from swath.testing.sagemaker import FakeSageMaker
from swath.testing.service import FakeService


class AwsFakes:
    """AWS Batch, ECS, SageMaker Pipelines and CloudWatch Logs, and S3 if it is asked for.

    Parameters
    ----------
    buckets
        Buckets to make in an S3 that moto's server imitates in a process of its own; without any
        it is not started. It also answers for the rest of AWS: EC2, IAM, ECR and so on.
    variables
        More variables for the containers.
    slots
        Containers of ECS, and steps of SageMaker, that run at once. Those of AWS Batch are told
        for each queue.
    programs, folder, second_s
        See `swath.testing`.

    Attributes
    ----------
    batch, ecs, sagemaker, logs
        The fakes.
    environment
        Variables with which a client finds them: endpoints, region, credentials that are none.
        Set them in place of other variables whose names start with ``AWS_``. Containers have them
        too, beside what else is in the environment of this process.

    Examples
    --------
    >>> with AwsFakes() as aws:
    ...     aws.batch.add_queue("cpu", slots=4)
    ...     sorted(aws.environment)[:3]
    ['AWS_ACCESS_KEY_ID', 'AWS_CONFIG_FILE', 'AWS_DEFAULT_REGION']
    """

    def __init__(
        self,
        *,
        buckets: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        slots: int = 4,
        programs: Programs | None = None,
        folder: Path | None = None,
        second_s: float = 1.0,
    ) -> None:
        self.environment: dict[str, str] = {}
        self._buckets = buckets
        self._variables = variables or {}
        self._inside: dict[str, str] = {}  # what containers see, filled when all is started

        def place(name: str) -> Path | None:
            return None if folder is None else folder / name

        self.batch = FakeBatch(
            programs=programs,
            environment=self._inside,
            folder=place("batch"),
            second_s=second_s,
        )
        self.ecs = FakeEcs(
            slots=slots,
            programs=programs,
            environment=self._inside,
            folder=place("ecs"),
            second_s=second_s,
        )
        self.sagemaker = FakeSageMaker(
            slots=slots,
            programs=programs,
            environment=self._inside,
            folder=place("sagemaker"),
            second_s=second_s,
        )
        self.logs = FakeLogs(self.batch.logs, self.ecs.logs, self.sagemaker.logs)
        self._started = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            found = {
                **CREDENTIALS,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_REGION": REGION,
                "AWS_EC2_METADATA_DISABLED": "true",  # nobody asks the machine who it is
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            }
            fakes: dict[str, FakeService] = {
                "BATCH": self.batch,
                "ECS": self.ecs,
                "SAGEMAKER": self.sagemaker,
                "CLOUDWATCH_LOGS": self.logs,
            }
            for name, fake in fakes.items():
                stack.enter_context(fake)
                found[f"AWS_ENDPOINT_URL_{name}"] = fake.endpoint
            if self._buckets:
                server = stack.enter_context(MotoServer())
                for bucket in self._buckets:
                    found |= server.environment(bucket)
            self.environment.update(found)
            others = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
            self._inside.update({**others, **found, **self._variables})
            self._started = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._started.close()
