"""What AWS Batch says, in our words; by answers that are rare, or that no fake gives."""

from __future__ import annotations

from typing import Any

import pytest

from swath.plan.command import Resources
from swath.run.jobs import Edge, Job
from swath.run.runner import Cause, JobState, Seen
from swath.run.runners.batch_state import STOPPED, blamed_on_relays, elements, n_failed, seen_of

ARRAY = Job("run-r0-chip", "chip", ("chip-0", "chip-1", "chip-2"), (), Resources())


def told(status: str, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"jobId": "id", "status": status, "statusReason": reason, **more}


def array(status: str, reason: str = "", **counts: int) -> dict[str, Any]:
    return told(status, reason, arrayProperties={"size": 3, "statusSummary": counts})


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("SUBMITTED", JobState.WAITING),
        ("PENDING", JobState.WAITING),
        ("RUNNABLE", JobState.WAITING),
        ("STARTING", JobState.RUNNING),
        ("RUNNING", JobState.RUNNING),
        ("SUCCEEDED", JobState.DONE),
    ],
)
def test_every_status_that_is_no_failure_has_a_state(status: str, state: JobState) -> None:
    assert seen_of(told(status)) == Seen(state)


@pytest.mark.parametrize(
    ("reason", "container", "state", "cause"),
    [
        ("Essential container in task exited", {"exitCode": 1}, JobState.FAILED, Cause.WORK),
        ("Essential container in task exited", {"exitCode": 137}, JobState.FAILED, Cause.WORK),
        (
            "Essential container in task exited",
            {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
            JobState.FAILED,
            Cause.MEMORY,
        ),
        ("Host EC2 (instance i-0) terminated.", {}, JobState.FAILED, Cause.RECLAIMED),
        ("Your Spot Task was interrupted.", {}, JobState.FAILED, Cause.RECLAIMED),
        ("Task failed to start", {"reason": "DockerTimeoutError"}, JobState.FAILED, Cause.WORK),
        ("Job attempt duration exceeded timeout", {}, JobState.FAILED, Cause.WORK),
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", {}, JobState.FAILED, Cause.WORK),
        ("Dependent Job failed", {}, JobState.GONE, Cause.UPSTREAM),
        (STOPPED, {}, JobState.GONE, None),
    ],
)
def test_every_failure_has_a_cause(
    reason: str, container: dict[str, Any], state: JobState, cause: Cause | None
) -> None:
    seen = seen_of(told("FAILED", reason, container=container))
    assert (seen.state, seen.cause) == (state, cause)
    assert all(str(part) in seen.reason for part in container.values())


def test_waiting_for_capacity_is_no_matter_and_waiting_for_ever_is() -> None:
    assert seen_of(told("RUNNABLE", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")).reason == ""
    blocked = seen_of(told("RUNNABLE", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large"))
    assert blocked.state is JobState.WAITING
    assert blocked.reason == "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large (id)"


def test_array_without_children_yet_waits() -> None:
    waiting = elements(ARRAY, told("PENDING"), {})
    assert set(waiting.values()) == {Seen(JobState.WAITING)}
    assert n_failed(told("PENDING")) == 0


def test_array_under_way_runs_except_for_what_failed() -> None:
    failure = Seen(JobState.FAILED, "why", Cause.WORK)
    seen = elements(ARRAY, array("PENDING", SUCCEEDED=1, RUNNABLE=1, FAILED=1), {1: failure})
    assert [seen[key].state for key in ARRAY.splits] == [
        JobState.RUNNING,
        JobState.FAILED,
        JobState.RUNNING,
    ]


def test_array_that_has_ended_is_done_except_for_what_failed() -> None:
    failure = Seen(JobState.FAILED, "why", Cause.WORK)
    seen = elements(ARRAY, array("FAILED", "Array Child Job failed", FAILED=1), {1: failure})
    assert [seen[key].state for key in ARRAY.splits] == [
        JobState.DONE,
        JobState.FAILED,
        JobState.DONE,
    ]


def test_array_that_failed_before_it_had_children_failed_in_all_of_them() -> None:
    seen = elements(ARRAY, told("FAILED", "Dependent Job failed"), {})
    assert {item.cause for item in seen.values()} == {Cause.UPSTREAM}
    assert {item.state for item in seen.values()} == {JobState.GONE}


def test_failure_of_a_relay_goes_through_other_relays_and_leaves_others_alone() -> None:
    relays = [
        Job("r0", "", (), (), Resources()),
        Job("r1", "", (), (Edge("r0", is_each=False),), Resources()),
    ]
    join = Job("join", "join", ("join-0",), (Edge("r1", is_each=False),), Resources())
    other = Job("other", "other", ("other-0",), (), Resources())
    broken = Seen(JobState.FAILED, "no image", Cause.WORK)
    upstream = Seen(JobState.GONE, "", Cause.UPSTREAM)
    found = blamed_on_relays(
        [*relays, join, other],
        {"r0": broken, "r1": upstream},
        {"join-0": upstream, "other-0": upstream},
    )
    assert found == {"join-0": broken}
    assert blamed_on_relays([*relays, join], {"r0": upstream}, {"join-0": upstream}) == {}
