"""What SageMaker says of steps, in our words: pure functions from its answers to `Seen`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from swath.run.jobs import Job
from swath.run.runner import Cause, JobState, Seen

Told = Mapping[str, Any]
"""One step in an answer of ListPipelineExecutionSteps."""

ENDED = frozenset({"Stopped", "Failed", "Succeeded", "CompletedWithFailures"})
"""States of an execution of which nothing more will come."""

_STATES = {
    "Starting": JobState.WAITING,
    "Executing": JobState.RUNNING,
    "Stopping": JobState.RUNNING,
    "Succeeded": JobState.DONE,
    "Stopped": JobState.GONE,
}
_LOST = re.compile("InternalServerError|CapacityError|ServiceFault|Throttl|MaxWaitTimeExceeded")
_OUT_OF_MEMORY = re.compile("instance type with more memory|exit code: 137")
_TOO_SMALL = "It may have run out of memory: set commands.{}.instance to a larger type."
_SWEPT_AWAY = "another split of its step failed, and SageMaker ended all of it"


def seen_of(told: Told, kind: str) -> Seen:
    """Say what has become of a step.

    Parameters
    ----------
    told
        The step.
    kind
        Of its command.
    """
    status, why = told["StepStatus"], str(told.get("FailureReason", ""))
    if status != "Failed":
        n_attempts = int(told.get("AttemptCount", 1))
        is_late = status == "Starting" and n_attempts > 1
        return Seen(_STATES[status], f"attempt {n_attempts} of {_name(told)}" if is_late else "")
    reason = f"{why} ({_name(told)})"
    if _OUT_OF_MEMORY.search(why):
        reason = f"{reason} {_TOO_SMALL.format(kind)}"
    cause = Cause.RECLAIMED if _LOST.search(why) else Cause.WORK
    return Seen(JobState.FAILED, reason, cause)


def unstarted(execution: str) -> Seen:
    """Say what has become of a step that SageMaker does not list: it has not started."""
    if execution not in ENDED:
        return Seen(JobState.WAITING)
    if execution == "Stopped":
        return Seen(JobState.GONE, "the pipeline was stopped")
    return Seen(JobState.GONE, "a step that it waits for failed", Cause.UPSTREAM)


def elements(
    job: Job, whole: Seen, done: Collection[str], failed: Collection[str]
) -> dict[str, Seen]:
    """Say what has become of each split of a step, from what is said of the step.

    Parameters
    ----------
    job
        What the step does.
    whole
        What is said of the step.
    done, failed
        Keys of splits that are done, and of those whose workers said that they failed.
    """
    blamed = set(failed).intersection(job.splits) - set(done)
    result = dict.fromkeys(job.splits, whole)
    if whole.state is JobState.FAILED and blamed:
        swept = dict.fromkeys(job.splits, Seen(JobState.GONE, _SWEPT_AWAY))
        result = swept | dict.fromkeys(blamed, whole)
    return result | {key: Seen(JobState.DONE) for key in job.splits if key in done}


def job_of(told: Told) -> tuple[str, str] | None:
    """Return type and name of the job of a step; None before there is one."""
    metadata = told.get("Metadata", {})
    for kind in ("Processing", "Training"):
        if arn := metadata.get(f"{kind}Job", {}).get("Arn"):
            return kind, arn.rpartition("/")[2]
    return None


def _name(told: Told) -> str:
    job = job_of(told)
    return f"job {job[1]}" if job else f"step {told['StepName']}"
