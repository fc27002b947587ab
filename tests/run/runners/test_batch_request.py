"""The parameters of SubmitJob: pure functions, checked by the rules of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import swath
from swath.errors import ConfigError
from swath.plan.command import Resources
from swath.run.folder import RunFolder
from swath.run.jobs import Edge, Job, jobs_of
from swath.run.runners.batch import BatchBackend
from swath.run.runners.batch_request import request_of
from swath.run.splits import RunSplit
from swath.settings import Settings, load_settings
from swath.testing.batch.limits import submit_problems
from swath.testing.model import ServiceModel

FOLDER = "memory://root/runs/20261121-101530-abcd"
PLACES = (
    "batch.cpu_queue=cpu",
    "batch.gpu_queue=gpu",
    "batch.cpu_definition=worker",
    "batch.gpu_definition=worker-gpu:3",
)


def settings_of(*overrides: str) -> Settings:
    return load_settings([*PLACES, *overrides], environment={}, folder=Path("/nonexistent"))


def job(kind: str = "chip", n: int = 1, after: tuple[Edge, ...] = (), **resources: Any) -> Job:
    keys = tuple(f"{kind}-{i}" for i in range(n))
    return Job(f"run-r0-{kind}", kind, keys, after, Resources(**resources))


def request(job: Job, *overrides: str, **ids: str) -> dict[str, Any]:
    made = request_of(
        job,
        {f"run-r0-{name}": job_id for name, job_id in ids.items()},
        folder=RunFolder(FOLDER),
        settings=settings_of(*overrides),
        region="eu-central-1",
    )
    assert ServiceModel("batch").request_problems("SubmitJob", made) == []
    assert submit_problems(made) == []
    return made


def needs(made: dict[str, Any]) -> dict[str, str]:
    return {
        item["type"]: item["value"] for item in made["containerOverrides"]["resourceRequirements"]
    }


def variables(made: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in made["containerOverrides"]["environment"]}


def test_single_job_runs_the_worker_of_its_split():
    made = request(job())
    assert made["jobName"] == "run-r0-chip"
    assert "arrayProperties" not in made
    assert made["dependsOn"] == []
    assert made["containerOverrides"]["command"] == [
        "swath",
        "run-command",
        "--copy-output",
        f"{FOLDER}/commands/chip-0.json",
    ]


def test_array_finds_its_splits_by_the_index_of_batch():
    made = request(job(n=5))
    assert made["arrayProperties"] == {"size": 5}
    assert made["containerOverrides"]["command"] == [
        "swath",
        "run-command",
        "--copy-output",
        "--array-index",
        "AWS_BATCH_JOB_ARRAY_INDEX",
        f"{FOLDER}/arrays/run-r0-chip.json",
    ]


def test_dependency_waits_for_a_whole_job_or_for_the_same_element():
    after = (Edge("run-r0-chip", is_each=False), Edge("run-r0-train", is_each=True))
    made = request(job("predict", 3, after), chip="id-of-chip", train="id-of-train")
    assert made["dependsOn"] == [
        {"jobId": "id-of-chip"},
        {"jobId": "id-of-train", "type": "N_TO_N"},
    ]


def test_jobs_with_gpus_go_to_the_queue_and_definition_of_gpus():
    made = request(job("train", gpus=2))
    assert (made["jobQueue"], made["jobDefinition"]) == ("gpu", "worker-gpu:3")
    assert needs(made)["GPU"] == "2"
    made = request(job())
    assert (made["jobQueue"], made["jobDefinition"]) == ("cpu", "worker")
    assert "GPU" not in needs(made)


def test_command_overrides_queue_and_definition():
    own = ("commands.train.queue=other", "commands.train.definition=big:7")
    made = request(job("train", gpus=1), *own)
    assert (made["jobQueue"], made["jobDefinition"]) == ("other", "big:7")
    assert request(job("predict", gpus=1), *own)["jobQueue"] == "gpu"


def test_missing_setting_is_told_by_its_name():
    bare = load_settings(environment={}, folder=Path("/nonexistent"))
    with pytest.raises(ConfigError, match=r"batch\.gpu_queue is missing.*train with a GPU"):
        request_of(
            job("train", gpus=1), {}, folder=RunFolder(FOLDER), settings=bare, region="eu-west-1"
        )


def test_resources_are_those_of_the_split_or_of_the_settings():
    assert needs(request(job())) == {"VCPU": "2", "MEMORY": "7168"}
    assert needs(request(job(), "batch.cpus=3", "batch.memory_gib=5")) == {
        "VCPU": "3",
        "MEMORY": "5120",
    }
    assert needs(request(job(cpus=16, memory_gib=0.3))) == {"VCPU": "16", "MEMORY": "308"}


def test_time_limit_is_that_of_the_split_or_of_the_settings():
    limits = [
        request(job())["timeout"],
        request(job(), "batch.time_limit_s=120")["timeout"],
        request(job(time_limit_s=90), "batch.time_limit_s=120")["timeout"],
    ]
    assert [item["attemptDurationSeconds"] for item in limits] == [86_400, 120, 90]


def test_what_takes_machines_away_is_tried_again_and_nothing_else():
    strategy = request(job(), "batch.attempts=4")["retryStrategy"]
    assert strategy == {
        "attempts": 4,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onStatusReason": "Your Spot Task was interrupted*", "action": "RETRY"},
            {"onStatusReason": "Task failed to start*", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }


def test_job_is_tagged_with_run_kind_version_and_what_the_user_says():
    made = request(job(), "aws.tags=project=maps,cost-centre=42")
    assert made["propagateTags"] is True
    assert made["tags"] == {
        "swath": swath.__version__,
        "swath-run": "20261121-101530-abcd",
        "swath-kind": "chip",
        "project": "maps",
        "cost-centre": "42",
    }


def test_worker_learns_where_its_stores_are_and_no_more():
    """Credentials are those of its role: none are sent."""
    made = request(job(), "store.requester_pays=yes", "aws.profile=mine")
    assert variables(made) == {"AWS_REGION": "eu-central-1", "SWATH_STORE_REQUESTER_PAYS": "yes"}


def test_relay_only_waits():
    relay = Job("run-r0-join-after-0", "", (), (Edge("run-r0-chip", is_each=False),), Resources())
    made = request(relay, chip="id")
    assert made["containerOverrides"]["command"] == ["true"]
    assert made["jobQueue"] == "cpu"
    assert needs(made) == {"VCPU": "1", "MEMORY": "2048"}
    assert made["dependsOn"] == [{"jobId": "id"}]


def test_settings_decide_on_what_the_runner_takes_for_granted():
    usual = BatchBackend(settings_of()).abilities
    assert (usual.cpus, usual.memory_gib, usual.poll_s) == (2, 7, 10)
    other = settings_of("batch.cpus=4", "batch.memory_gib=15", "aws.poll_s=60")
    told = BatchBackend(other).abilities
    assert (told.cpus, told.memory_gib, told.poll_s) == (4, 15, 60)


def split(key: str, *upstream: int, kind: str = "") -> RunSplit:
    kind = kind or key.partition("-")[0]
    return RunSplit(key, kind, kind, 1, f"{key}-print", Resources(), upstream)


def test_fan_in_of_any_width_is_within_twenty_dependencies_and_names_are_unique():
    sources = [split(f"s{i}-0", kind=f"s{i}") for i in range(450)]
    abilities = BatchBackend(settings_of()).abilities
    made = jobs_of(
        [*sources, split("join-0", *range(450))],
        prefix="20261121-101530-abcd-r0",
        array_size=abilities.array_size,
        has_array_edges=abilities.has_array_edges,
        max_after=abilities.max_after,
    )
    ids = {item.name: f"id-{n}" for n, item in enumerate(made)}
    assert len(ids) == len(made)
    for item in made:
        request_of(
            item, ids, folder=RunFolder(FOLDER), settings=settings_of(), region="eu-central-1"
        )
        assert len(item.after) <= 20
    reached = {edge.job for item in made for edge in item.after}
    assert {item.name for item in made if item.kind.startswith("s")} <= reached
