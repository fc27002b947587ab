"""What the runner `batch` refuses before anything is submitted, and says how to mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import swath
from swath.plan.command import Resources
from swath.run.runner import Finding, Severity
from swath.run.runners.batch import BatchBackend
from swath.run.splits import RunSplit
from swath.settings import load_settings
from swath.testing import FakeBatch, ServiceError

IMAGE = f"registry/swath:{swath.__version__}"
PLACES = {
    "batch.cpu_queue": "cpu",
    "batch.gpu_queue": "gpu",
    "batch.cpu_definition": "worker",
    "batch.gpu_definition": "worker",
}
SPLITS = [
    RunSplit("chip-0", "chip", "chip", 1, "print", Resources(), ()),
    RunSplit("train-0", "train", "train", 1, "print", Resources(gpus=1), (0,)),
]

Check = Callable[..., list[Finding]]


@pytest.fixture
def batch(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBatch]:
    with FakeBatch() as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", fake.endpoint)
        fake.add_queue("cpu")
        fake.add_queue("gpu", gpus=1, instance_types=["g5", "g4dn.xlarge"])
        fake.add_definition(
            "worker", image=IMAGE, properties={"jobRoleArn": "arn:aws:iam::1:role/a"}
        )
        yield fake


@pytest.fixture
def check(batch: FakeBatch) -> Check:
    """Return a function that returns what is wrong, for settings that differ from those above."""

    def call(*overrides: str, splits: Any = SPLITS, **places: str | None) -> list[Finding]:
        chosen = PLACES | {f"batch.{name}": value for name, value in places.items()}
        given = [f"{name}={value}" for name, value in chosen.items() if value is not None]
        settings = load_settings([*given, *overrides], environment={}, folder=Path("/nonexistent"))
        found = list(BatchBackend(settings).findings(splits))
        return [item for item in found if item.severity is not Severity.FINE]

    return call


def errors(found: list[Finding]) -> list[str]:
    assert {item.severity for item in found} <= {Severity.ERROR}
    assert all(item.mend for item in found)
    return [item.what for item in found]


def test_complete_setup_is_fine(batch: FakeBatch, check: Check):
    assert check() == []
    assert check(splits=()) == []
    assert batch.count("SubmitJob") == 0


def test_missing_settings_are_told_all_at_once_by_their_keys(check: Check):
    found = check(cpu_queue=None, gpu_queue=None, cpu_definition=None, gpu_definition=None)
    told = errors(found)
    for name in PLACES:
        assert sum(f"the setting {name} is missing" in what for what in told) == 1
    assert len(told) == 4


def test_gpu_settings_are_needed_by_what_asks_for_a_gpu_only(check: Check):
    assert check(gpu_queue=None, gpu_definition=None, splits=SPLITS[:1]) == []
    assert check(gpu_queue=None, gpu_definition=None, splits=()) == []
    (what,) = errors(check(gpu_queue=None))
    assert "batch.gpu_queue is missing; it is needed to submit train with a GPU" in what


def test_settings_of_one_kind_stand_for_the_general_ones(check: Check):
    own = ("commands.train.queue=gpu", "commands.train.definition=worker")
    assert check(*own, gpu_queue=None, gpu_definition=None) == []
    (what,) = errors(check("commands.train.queue=nowhere"))
    assert "there is no job queue 'nowhere'" in what
    (what,) = errors(check("commands.train.queue=nowhere", splits=()))
    assert "there is no job queue 'nowhere'" in what


def test_queue_that_is_missing_or_takes_no_jobs(batch: FakeBatch, check: Check):
    batch.add_queue("closed", state="DISABLED")
    assert errors(check(cpu_queue="closed"))[0].startswith("the job queue 'closed' is DISABLED")
    assert "there is no job queue 'cpus' in us-east-1." in errors(check(cpu_queue="cpus"))


@pytest.mark.parametrize(
    "name",
    [
        "worker",
        "worker:1",
        "arn:aws:batch:us-east-1:123456789012:job-definition/worker",
        "arn:aws:batch:us-east-1:123456789012:job-definition/worker:1",
    ],
)
def test_definition_is_named_in_any_of_the_four_ways(check: Check, name: str):
    assert check(cpu_definition=name) == []


def test_definition_that_is_missing_or_no_longer_active(
    batch: FakeBatch, check: Check, client_of: Callable[..., Any]
):
    assert "there is no active job definition 'work' in us-east-1." in errors(
        check(cpu_definition="work")
    )
    batch.add_definition("old", image=IMAGE)
    client_of(batch).deregister_job_definition(jobDefinition="old:1")
    assert len(errors(check(cpu_definition="old"))) == 1
    assert len(errors(check(cpu_definition="old:1"))) == 1


@pytest.fixture
def client_of() -> Callable[..., Any]:
    import boto3

    return lambda fake: boto3.client("batch", endpoint_url=fake.endpoint)


def test_latest_revision_of_a_definition_counts(batch: FakeBatch, check: Check):
    role = {"jobRoleArn": "arn:aws:iam::1:role/a"}
    batch.add_definition("worker", image="registry/swath:9.9.9", properties=role)
    (what,) = errors(check())
    assert (
        f"has Swath 9.9.9 (image registry/swath:9.9.9), and this is Swath {swath.__version__}"
        in (what)
    )
    assert check(cpu_definition="worker:1", gpu_definition="worker:1") == []


@pytest.mark.parametrize(
    ("image", "environment", "severity"),
    [
        (f"registry/swath:{swath.__version__}-gpu", {}, None),
        (f"registry/swath:v{swath.__version__}", {}, None),
        ("registry/swath:9.9.9", {"SWATH_VERSION": swath.__version__}, None),
        (IMAGE, {"SWATH_VERSION": "9.9.9"}, Severity.ERROR),
        ("localhost:5000/swath", {}, Severity.WARNING),
        ("registry/swath:latest", {}, Severity.WARNING),
        ("registry/swath@sha256:0123", {}, Severity.WARNING),
    ],
)
def test_version_of_the_image_is_that_of_this_swath(
    batch: FakeBatch, check: Check, image: str, environment: Any, severity: Severity | None
):
    role = {"jobRoleArn": "arn:aws:iam::1:role/a"}
    batch.add_definition("other", image=image, environment=environment, properties=role)
    found = [item.severity for item in check(cpu_definition="other")]
    assert found == ([] if severity is None else [severity])


def test_image_that_is_not_in_its_registry_is_found_out_before_a_machine_starts(
    batch: FakeBatch, check: Check
):
    role = {"jobRoleArn": "arn:aws:iam::1:role/a"}
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/swath-cpu:{swath.__version__}"
    batch.add_definition("other", image=image, properties=role)
    (what,) = errors(check(cpu_definition="other"))
    assert what == f"the job definition 'other': there is no image {image}."


def test_missing_role_and_privileges_are_warned_of(batch: FakeBatch, check: Check):
    batch.add_definition("other", image=IMAGE, properties={"privileged": True})
    found = check(cpu_definition="other")
    assert [item.severity for item in found] == [Severity.WARNING] * 2
    assert "has no job role" in found[0].what
    assert "is privileged" in found[1].what


def test_queue_without_gpus_is_refused_for_what_asks_for_one(check: Check):
    (what,) = errors(check(gpu_queue="cpu"))
    assert what == (
        "train asks for 1 GPU, and no compute environment of the job queue 'cpu' has instances "
        "with GPUs: optimal."
    )
    assert check("run.device=cpu", gpu_queue="cpu", splits=SPLITS[:1]) == []


def test_more_cores_than_the_queue_has_are_refused(batch: FakeBatch, check: Check):
    batch.add_queue("small", slots=1, vcpus=4)
    (what,) = errors(check("batch.cpus=8", cpu_queue="small", gpu_queue="gpu"))
    assert what == "chip asks for 8 vCPUs, and the job queue 'small' has at most 4."


def test_attempts_and_time_limits_are_those_of_batch(check: Check):
    (what,) = errors(check("batch.attempts=11"))
    assert what == "batch.attempts is 11; AWS Batch tries a job at most 10 times."
    (what,) = errors(check("batch.time_limit_s=59"))
    assert what == "the time limit is 59 s; AWS Batch takes none below 60 s."
    short = [RunSplit("chip-0", "chip", "chip", 1, "print", Resources(time_limit_s=30), ())]
    (found,) = check(splits=short)
    assert found.severity is Severity.ERROR
    assert found.mend == "Set commands.chip.time_limit_s to at least 60."


def test_relays_need_a_queue_of_their_own(check: Check):
    sources = [
        RunSplit(f"s{i}-0", "s", f"s{i}", 1, "print", Resources(gpus=1), ()) for i in range(21)
    ]
    join = RunSplit("join-0", "join", "join", 1, "print", Resources(gpus=1), tuple(range(21)))
    assert check(cpu_queue=None, cpu_definition=None, splits=sources) == []
    told = errors(check(cpu_queue=None, cpu_definition=None, splits=[*sources, join]))
    assert [what.partition(" is missing")[0] for what in told] == [
        "the setting batch.cpu_queue",
        "the setting batch.cpu_definition",
    ]


def test_without_credentials_nothing_else_is_asked(
    batch: FakeBatch, check: Check, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (what,) = errors(check())
    assert "there are no AWS credentials" in what
    assert batch.count() == 0


def test_without_a_region_nothing_else_is_asked(
    batch: FakeBatch, check: Check, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    (what,) = errors(check())
    assert "no AWS region is set" in what
    assert check("aws.region=eu-central-1") == []


def test_what_may_not_be_looked_at_is_warned_of(batch: FakeBatch, check: Check):
    denied = ServiceError("AccessDeniedException", "not authorized", 403)
    batch.fail_next("DescribeJobQueues", error=denied)
    batch.fail_next("DescribeJobDefinitions", error=denied)
    found = check()
    assert [item.severity for item in found] == [Severity.WARNING] * 2
    assert "the job queues could not be checked" in found[0].what
    assert "Let your user do DescribeJobQueues" in found[0].mend
    assert "the job definition 'worker' could not be checked" in found[1].what


def test_doctor_tells_what_was_checked(batch: FakeBatch, swath_cli: Callable[..., Any]):
    given = [word for name, value in PLACES.items() for word in ("--set", f"{name}={value}")]
    answer = swath_cli("doctor", "batch", *given)
    assert answer.exit_code == 0
    assert "ok  AWS knows us as arn:aws:" in answer.out
    assert "ok  the job queue 'gpu' takes jobs" in answer.out
    assert f"image {IMAGE}, Swath {swath.__version__}" in answer.out
    answer = swath_cli("doctor", "batch")
    assert answer.exit_code == 1
    assert "batch.cpu_queue is missing" in answer.out
