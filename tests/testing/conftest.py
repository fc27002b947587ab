"""Clients of boto3 for the fakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config

from swath.testing import FakeService


@pytest.fixture
def client_of() -> Callable[..., Any]:
    """Return a function from a fake to a client of boto3 that tries each request once."""

    def make(fake: FakeService, *, attempts: int = 1) -> Any:
        return boto3.client(
            fake.service,
            endpoint_url=fake.endpoint,
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    return make
