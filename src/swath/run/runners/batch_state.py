"""What AWS Batch says of jobs, in our words: pure functions from its answers to `Seen`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swath.run.jobs import Job
from swath.run.runner import Cause, JobState, Seen
from swath.run.runners.batch_request import LOST_HOST

STOPPED = "Stopped by Swath"
"""Reason that we give for what we stop."""

_DEPENDENCY_FAILED = "Dependent Job"
_OUT_OF_MEMORY = "OutOfMemoryError"
_BLOCKED = "MISCONFIGURATION"
_STATES = {
    "STARTING": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.DONE,
}

Told = Mapping[str, Any]
"""One job in an answer of DescribeJobs or ListJobs."""


def seen_of(told: Told) -> Seen:
    """Say what has become of one job: a single one, a child of an array, or a whole array."""
    if told["status"] == "FAILED":
        return _failed(told)
    state = _STATES.get(told["status"], JobState.WAITING)
    why = str(told.get("statusReason", ""))
    blocked = state is JobState.WAITING and why.startswith(_BLOCKED)
    return Seen(state, f"{why} ({told['jobId']})" if blocked else "")


def _failed(told: Told) -> Seen:
    container = told.get("container", {})
    why, inner = str(told.get("statusReason", "")), str(container.get("reason", ""))
    code = f"exit code {container['exitCode']}" if "exitCode" in container else ""
    if why.startswith(STOPPED):
        return Seen(JobState.GONE)
    if why.startswith(_DEPENDENCY_FAILED):  # the same for all children of an array
        whole = told["jobId"].partition(":")[0]
        return Seen(JobState.GONE, f"{why} ({whole})", Cause.UPSTREAM)
    reason = f"{', '.join(filter(None, (why, inner, code)))} ({told['jobId']})"
    if why.startswith(LOST_HOST):
        return Seen(JobState.FAILED, reason, Cause.RECLAIMED)
    cause = Cause.MEMORY if inner.startswith(_OUT_OF_MEMORY) else Cause.WORK
    return Seen(JobState.FAILED, reason, cause)


def forgotten(job_id: str) -> Seen:
    """Say what has become of a job that AWS Batch does not know any more."""
    reason = f"AWS Batch no longer knows the job {job_id}; it keeps ended jobs for some days"
    return Seen(JobState.FAILED, reason, Cause.WORK)


def n_failed(told: Told) -> int:
    """Return how many children of an array have failed; 0 if it has no children."""
    return int(_summary(told).get("FAILED", 0))


def elements(job: Job, told: Told, failed: Mapping[int, Seen]) -> dict[str, Seen]:
    """Say what has become of each element of an array, from what is said of the whole.

    Parameters
    ----------
    job
        The array.
    told
        Its parent.
    failed
        Index of each child that failed to what is said of it.

    Returns
    -------
    dict
        By key of the split. While the array is under way, all that have not failed are in one
        state: which of them are done already is not asked for, the folder of the run knows it.
    """
    whole = seen_of(told)
    others = whole
    if failed and whole.has_ended:
        others = Seen(JobState.DONE)
    elif not whole.has_ended and _has_started(_summary(told)):
        others = Seen(JobState.RUNNING)
    return {key: failed.get(i, others) for i, key in enumerate(job.splits)}


def _summary(told: Told) -> Mapping[str, int]:
    found: Mapping[str, int] = told.get("arrayProperties", {}).get("statusSummary", {})
    return found


def _has_started(summary: Mapping[str, int]) -> bool:
    return any(summary.get(status, 0) for status in ("STARTING", "RUNNING", "SUCCEEDED", "FAILED"))


def blamed_on_relays(
    jobs: Sequence[Job], relays: Mapping[str, Seen], seen: Mapping[str, Seen]
) -> dict[str, Seen]:
    """Return what is said of splits that never started since a relay before them failed by itself.

    Nobody else would tell, for a relay does the work of no split.

    Parameters
    ----------
    jobs
        In topological order.
    relays
        Name of each relay to what has become of it.
    seen
        Key of each split to what has become of it.
    """
    broken = {name: item for name, item in relays.items() if item.state is JobState.FAILED}
    result: dict[str, Seen] = {}
    for job in jobs if broken else ():
        culprit = next((broken[edge.job] for edge in job.after if edge.job in broken), None)
        if culprit is None:
            continue
        if job.is_relay:
            broken[job.name] = culprit
        result |= {key: culprit for key in job.splits if seen[key].cause is Cause.UPSTREAM}
    return result
