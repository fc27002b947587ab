"""What Slurm says of jobs, in our words: pure functions from a `Record` to `Seen`."""

from __future__ import annotations

import re
from collections.abc import Callable

from swath.run.runner import Cause, JobState, Seen
from swath.run.runners.slurm_queue import Place, Record, name_of

NEVER = "never"
"""In the place of an id: what it waits for had failed before it was submitted."""

_RECLAIMED = {
    "BOOT_FAIL": "its node did not start",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "it was preempted",
}
_NEVER_SATISFIED = "DependencyNeverSatisfied"
_DEPENDENCY = "Dependency"
"""The reason why it waited, which is all that accounts know of what was never to start."""

_MEMORY_TOLD = re.compile(
    r"oom[-_ ]?kill|exceeded (job )?memory limit|out of memory", re.IGNORECASE
)
"""What the daemon of a node adds to the output of a job that it kills for its memory."""

_HELD = re.compile(r"\bheld\b|Held")
"""Reasons of a job that waits until somebody releases it: "launch failed requeued held",
JobHeldAdmin, JobHeldUser."""

_KILLED = 9
_NO_OUTPUT = 53
"""Slurm's signal for a job whose output cannot be opened on its node."""
_NOT_FOUND = frozenset({126, 127})
"""Exit codes of a shell that cannot execute the interpreter."""


def seen_of(record: Record, output: Callable[[], str]) -> Seen:
    """Say what has become of an element.

    Parameters
    ----------
    record
        What Slurm says of it.
    output
        Returns what it has printed; asked only where that tells why it was killed.
    """
    told = f"(Slurm job {name_of(record.place)})"
    if record.state == "COMPLETED":
        return Seen(JobState.DONE)
    never_started = record.state == "CANCELLED" and not record.nodes
    if record.reason == _NEVER_SATISFIED or (never_started and record.reason == _DEPENDENCY):
        return Seen(JobState.GONE, f"what it waits for has failed {told}", Cause.UPSTREAM)
    if never_started:
        return Seen(JobState.GONE, f"it was cancelled before it started {told}")
    if record.state == "CANCELLED":
        return Seen(JobState.FAILED, f"it was cancelled {told}", Cause.WORK)
    if record.has_ended:
        why, cause = _failure(record, output)
        return Seen(JobState.FAILED, f"{why} {told}", cause)
    if not record.is_waiting:
        return Seen(JobState.RUNNING)
    if _HELD.search(record.reason):  # nothing but a person lets it go on
        place = name_of(record.place)
        return Seen(JobState.WAITING, f"Slurm holds it: {record.reason} (scontrol release {place})")
    return Seen(JobState.WAITING)


def _failure(record: Record, output: Callable[[], str]) -> tuple[str, Cause]:
    """Return why an element failed, in words and as far as it matters."""
    if record.state in _RECLAIMED:
        return _RECLAIMED[record.state], Cause.RECLAIMED
    if record.state == "OUT_OF_MEMORY":
        return "it ran out of memory", Cause.MEMORY
    if record.state == "TIMEOUT":
        return f"it ran into its time limit of {record.time_limit}", Cause.WORK
    if record.state == "DEADLINE":
        return "it ran into its deadline", Cause.WORK
    if record.signal == _KILLED and _MEMORY_TOLD.search(output()):
        return "it ran out of memory", Cause.MEMORY
    if record.signal == _NO_OUTPUT:
        return f"node {record.nodes} cannot write its output: does it see our files?", Cause.WORK
    if not record.nodes:
        return f"Slurm could not place it: {record.reason}", Cause.WORK
    if record.signal:
        return f"it was killed by signal {record.signal}", Cause.WORK
    if record.exit_code in _NOT_FOUND:
        return (
            f"node {record.nodes} cannot execute Python: is it where slurm.python says?",
            Cause.WORK,
        )
    return f"exit code {record.exit_code}", Cause.WORK


def forgotten(place: Place, *, has_started: bool) -> Seen:
    """Say what has become of an element that is not done and that Slurm does not know any more."""
    told = f"Slurm has forgotten its job {name_of(place)}, which did not finish it"
    if has_started:
        return Seen(JobState.FAILED, told, Cause.WORK)
    return Seen(JobState.GONE, f"{told} and never started", Cause.UPSTREAM)


def unsubmitted(job_id: str) -> Seen | None:
    """Say what has become of what was not submitted, and has words in the place of an id.

    Returns
    -------
    Seen or None
        None if it was submitted.
    """
    if job_id.isdecimal():
        return None
    if job_id == NEVER:
        return Seen(JobState.GONE, "what it waits for has failed; not submitted", Cause.UPSTREAM)
    return Seen(JobState.FAILED, job_id, Cause.WORK)


def refused(why: str) -> str:
    """Return what takes the place of the id of a job that Slurm does not take."""
    return f"Slurm refuses it: {why}"
