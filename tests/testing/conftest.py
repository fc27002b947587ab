"""Clients of boto3 for the fakes, and whether processes have ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from swath.testing import FakeService


@pytest.fixture(scope="session")
def client_of() -> Callable[..., Any]:
    """Return a function from a fake to a client of boto3 that tries each request once."""
    session = boto3.Session()  # remembers the models of services

    def make(fake: FakeService, *, attempts: int = 1) -> Any:
        return session.client(
            fake.service,
            endpoint_url=fake.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
        )

    return make


@pytest.fixture
def has_ended() -> Callable[[int], bool]:
    """Return a function that tells if a process ends within a second; a zombie has ended."""

    def look(pid: int) -> bool:
        for _ in range(100):
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except FileNotFoundError:
                return True
            if state == "Z":
                return True
            time.sleep(0.01)
        return False

    return look
