"""What ECS says of tasks, in our words: pure functions from its answers to `Seen`.

Codes and reasons are those of "Stopped tasks error codes" and "Task lifecycle states" in the ECS
developer guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from swath.run.runner import Cause, JobState, Seen

Told = Mapping[str, Any]
"""One task in an answer of DescribeTasks."""

OUT_OF_TIME = "out of time: it may run"
"""Begin of the reason that we give when we stop a task for its time limit."""

_NOT_STARTED = {"PROVISIONING", "PENDING", "ACTIVATING"}
_LOST = {"SpotInterruption", "TerminationNotice", "InfrastructureHealth"}
_LOST_HOST = re.compile(r"Host EC2 .*terminated")
_PASSING = re.compile(
    "Capacity is unavailable|Timeout waiting for network interface|unexpected EC2 error|"
    "Timeout waiting for EphemeralStorage|Unable to (?:attach|create) network interface|"
    "i/o timeout|RequestCanceled|Throttl",
    re.IGNORECASE,
)
"""Reasons why a task did not start that may not hold for the next one."""

_CAPACITY = re.compile("RESOURCE:|AGENT|Capacity is unavailable|EMPTY CAPACITY PROVIDER")
"""Reasons among `failures` of RunTask that pass when other tasks end or instances come."""


def waits_for_capacity(reason: str) -> bool:
    """Tell whether a task could not be placed for want of room, and may be later."""
    return bool(_CAPACITY.search(reason))


def container_of(told: Told, name: str) -> Told:
    """Return the container of this name; what ECS adds to a task comes in others."""
    containers = told.get("containers", [])
    empty: Told = {}
    return next((item for item in containers if item.get("name") == name), empty)


def seen_of(told: Told, name: str) -> Seen:
    """Say what has become of a task.

    Parameters
    ----------
    told
        The task.
    name
        Of the container that does the work.
    """
    status = told["lastStatus"]
    if status != "STOPPED":
        return Seen(JobState.WAITING if status in _NOT_STARTED else JobState.RUNNING)
    container = container_of(told, name)
    why, inner = str(told.get("stoppedReason", "")), str(container.get("reason", ""))
    code = container.get("exitCode")
    said = (why, inner, "" if code is None else f"exit code {code}")
    reason = f"{', '.join(filter(None, said))} (task {told['taskArn'].rpartition('/')[2]})"
    if told.get("stopCode") in _LOST or _LOST_HOST.search(why):
        return Seen(JobState.FAILED, reason, Cause.RECLAIMED)
    if inner.startswith("OutOfMemory"):
        return Seen(JobState.FAILED, reason, Cause.MEMORY)
    if told.get("stopCode") == "UserInitiated" and OUT_OF_TIME not in why:
        return Seen(JobState.GONE, reason)
    if code == 0:
        return Seen(JobState.DONE, reason)
    passes = code is None and _PASSING.search(f"{why} {inner}")
    return Seen(JobState.FAILED, reason, Cause.RECLAIMED if passes else Cause.WORK)


def is_over(told: Told, limit_s: int | None, now: datetime | None = None) -> bool:
    """Tell whether a task has run longer than it may; ECS itself knows no time limits.

    Parameters
    ----------
    told
        The task.
    limit_s
        What it may run, in seconds; None: as long as it likes.
    now
        In UTC; default: by the clock of this machine.
    """
    started = told.get("startedAt")
    if limit_s is None or started is None or told["lastStatus"] != "RUNNING":
        return False
    ran_s: float = ((now or datetime.now(UTC)) - started).total_seconds()
    return ran_s > limit_s


def log_place(definition: Told, name: str, arn: str) -> tuple[str, str] | None:
    """Return the log group and stream of a task; None if it does not write to CloudWatch.

    Parameters
    ----------
    definition
        The task definition.
    name
        Of the container.
    arn
        Of the task.
    """
    containers = {item["name"]: item for item in definition["containerDefinitions"]}
    log = containers.get(name, {}).get("logConfiguration", {})
    options = log.get("options", {})
    if log.get("logDriver") != "awslogs" or "awslogs-stream-prefix" not in options:
        return None
    stream = f"{options['awslogs-stream-prefix']}/{name}/{arn.rpartition('/')[2]}"
    return options["awslogs-group"], stream
