"""What the runners on AWS share: its errors in our words, clients, tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swath.errors import (
    ConfigError,
    ForbiddenError,
    RunError,
    SwathError,
    ThrottledError,
    UnansweredError,
)
from swath.run import aws
from swath.run.runner import Severity
from swath.settings import Settings, load_settings
from swath.testing import FakeBatch, ServiceError


def settings_of(*overrides: str) -> Settings:
    return load_settings(overrides, environment={}, folder=Path("/nonexistent"))


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeBatch]:
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PROFILE": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    with FakeBatch() as fake:
        for name, value in variables.items():
            if value:
                monkeypatch.setenv(name, value)
            else:
                monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", fake.endpoint)
        yield fake


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottledForLong", 400, ThrottledError),
        ("AccessDeniedException", 403, ForbiddenError),
        ("ExpiredTokenException", 403, ConfigError),
        ("ServerException", 507, UnansweredError),
        ("ClientException", 400, RunError),
    ],
)
def test_errors_of_aws_are_told_apart(
    batch: FakeBatch, code: str, status: int, kind: type[SwathError]
) -> None:
    batch.fail_next(error=ServiceError(code, "as it says", status))
    client = aws.client("batch", settings_of())
    told = f"The queues: DescribeJobQueues answers {code}"
    with pytest.raises(SwathError, match=told) as caught, aws.asked("The queues"):
        client.describe_job_queues()
    assert type(caught.value) is kind
    assert caught.value.what.endswith("as it says")


def test_nobody_there_is_no_answer(monkeypatch: pytest.MonkeyPatch, batch: FakeBatch) -> None:
    batch.close()
    client = aws.client("batch", settings_of(), attempts=1)
    with pytest.raises(UnansweredError, match="The queues: "), aws.asked("The queues"):
        client.describe_job_queues()


def test_client_tries_throttled_requests_again_unless_told_not_to(batch: FakeBatch) -> None:
    batch.throttle_next(n=2)
    aws.client("batch", settings_of()).describe_job_queues()
    assert batch.count() == 3
    batch.throttle_next(n=2)
    once = aws.client("batch", settings_of(), attempts=1)
    with pytest.raises(ThrottledError), aws.asked("The queues"):
        once.describe_job_queues()
    assert batch.count() == 4


def test_lists_are_followed_to_their_last_page(batch: FakeBatch) -> None:
    for number in range(150):
        batch.add_queue(f"q{number}")
    client = aws.client("batch", settings_of())
    found = aws.pages(client, "describe_job_queues", "jobQueues", "The queues")
    assert len({item["jobQueueName"] for item in found}) == 150
    assert batch.count("DescribeJobQueues") == 2


def test_region_and_profile_are_those_of_the_settings(
    batch: FakeBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile other]\nregion = eu-north-1\n")
    assert aws.client("batch", settings_of("aws.region=eu-west-1")).meta.region_name == "eu-west-1"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert aws.client("batch", settings_of("aws.profile=other")).meta.region_name == "eu-north-1"
    with pytest.raises(ConfigError, match=r"none-such.*Correct the setting aws\.profile"):
        aws.client("batch", settings_of("aws.profile=none-such"))
    with pytest.raises(ConfigError, match=r"no AWS region is set.*aws\.region=NAME"):
        aws.client("batch", settings_of())


def test_clients_share_a_session_until_settings_or_environment_change(
    batch: FakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def credentials(*overrides: str, service: str = "batch") -> Any:
        return aws.client(service, settings_of(*overrides))._get_credentials()

    first = credentials()
    assert credentials(service="sts") is first, "a role would be assumed once"
    assert credentials("aws.region=eu-west-1") is not first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert credentials().access_key == "another"


def test_tags_are_those_of_the_user_and_ours() -> None:
    assert aws.tags(settings_of("aws.tags=a=1, b=x=y")).items() >= {"a": "1", "b": "x=y"}.items()
    assert set(aws.tags(settings_of())) == {"swath"}
    with pytest.raises(ConfigError, match=r"aws\.tags is 'project'"):
        aws.tags(settings_of("aws.tags=project"))


def test_missing_credentials_are_a_finding(
    batch: FakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = aws.identity_finding(settings_of())
    assert found.severity is Severity.ERROR
    assert "aws sso login" in found.mend
