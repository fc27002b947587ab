"""What Slurm says, as recorded from Slurm 22.05, in our words."""

from __future__ import annotations

import pytest

from swath.run.runner import Cause, JobState
from swath.run.runners.slurm_queue import accounted, queued
from swath.run.runners.slurm_state import NEVER, forgotten, refused, seen_of, unsubmitted

DONE, FAILED, GONE = JobState.DONE, JobState.FAILED, JobState.GONE
RUNNING, WAITING = JobState.RUNNING, JobState.WAITING
WORK, MEMORY, RECLAIMED = Cause.WORK, Cause.MEMORY, Cause.RECLAIMED
UPSTREAM = Cause.UPSTREAM

KILLED_FOR_MEMORY = """\
slurmstepd-vm: error: StepId=4.batch exceeded memory limit (313745408 > 52428800), being killed
slurmstepd-vm: error: Exceeded job memory limit
slurmstepd-vm: error: *** JOB 4 ON vm CANCELLED AT 2026-11-21T01:13:24 ***
"""
KILLED_BY_A_CGROUP = """\
slurmstepd: error: Detected 1 oom-kill event(s) in StepId=4.batch. Some of your processes may \
have been killed by the cgroup out-of-memory handler.
"""

# As squeue prints them, what came of it, and what is said.
QUEUED = [
    ("1|0|PENDING|None||0|2-00:00:00|a", WAITING, None, ""),
    ("3|N/A|PENDING|Dependency||0|2-00:00:00|c", WAITING, None, ""),
    ("22|N/A|PENDING|BeginTime||0|1:00|requeued", WAITING, None, ""),
    ("1|3|RUNNING|None|vm|0|2-00:00:00|a", RUNNING, None, ""),
    ("1|3|COMPLETING|None|vm|0|2-00:00:00|a", RUNNING, None, ""),
    ("12|N/A|COMPLETED|None|vm|0|2-00:00:00|p3", DONE, None, ""),
    ("1|N/A|FAILED|NonZeroExitCode|vm|768|2-00:00:00|exit3", FAILED, WORK, "exit code 3"),
    ("2|N/A|FAILED|JobLaunchFailure|vm|9|2-00:00:00|k", FAILED, WORK, "killed by signal 9"),
    ("3|N/A|FAILED|NonZeroExitCode|vm|32512|2-00:00:00|n", FAILED, WORK, "cannot execute Python"),
    ("10|1|FAILED|JobLaunchFailure|vm|4021|2-00:00:00|p1", FAILED, WORK, "write its output"),
    ("14|N/A|FAILED|BadConstraints||1|2-00:00:00|bad", FAILED, WORK, "BadConstraints"),
    ("5|N/A|TIMEOUT|TimeLimit|vm|15|1:00|tmo2", FAILED, WORK, "its time limit of 1:00"),
    ("5|N/A|OUT_OF_MEMORY|OutOfMemory|vm|0:125|1:00|o", FAILED, MEMORY, "out of memory"),
    ("2|N/A|PREEMPTED|None|vm|15|2-00:00:00|pre", FAILED, RECLAIMED, "preempted"),
    ("4|N/A|NODE_FAIL|NodeDown|vm|15|2-00:00:00|nf", FAILED, RECLAIMED, "its node failed"),
    ("5|N/A|CANCELLED|None|vm|15|2-00:00:00|canc", FAILED, WORK, "it was cancelled"),
    ("6|N/A|CANCELLED|BeginTime||0|2-00:00:00|p", GONE, None, "cancelled before it started"),
    ("2|2|CANCELLED|DependencyNeverSatisfied||0|2-00:00:00|b", GONE, UPSTREAM, "has failed"),
    ("8|N/A|PENDING|DependencyNeverSatisfied||0|2-00:00:00|d", GONE, UPSTREAM, "has failed"),
]
# As sacct prints them.
ACCOUNTED = [
    ("1_0|COMPLETED|None|vm|0:0|2-00:00:00|a1", DONE, None, ""),
    ("1_2|FAILED|None|vm|1:0|2-00:00:00|a1", FAILED, WORK, "exit code 1 (Slurm job 1_2)"),
    ("12|FAILED|None|vm|0:9|2-00:00:00|kill", FAILED, WORK, "killed by signal 9"),
    ("9|CANCELLED by 0|None|vm|0:0|2-00:00:00|c1", FAILED, WORK, "it was cancelled"),
    ("2_2|CANCELLED|Dependency|None assigned|0:0|Partition_Limit|b1", GONE, UPSTREAM, "failed"),
]


def no_output() -> str:
    return ""


@pytest.mark.parametrize(("line", "state", "cause", "reason"), QUEUED, ids=[q[0] for q in QUEUED])
def test_state_in_the_queue(line, state, cause, reason):
    (record,) = queued(line + "\n")
    seen = seen_of(record, no_output)
    assert (seen.state, seen.cause) == (state, cause)
    assert reason in seen.reason
    assert record.has_ended == (seen.has_ended and record.state != "PENDING")


@pytest.mark.parametrize(
    ("line", "state", "cause", "reason"), ACCOUNTED, ids=[a[0] for a in ACCOUNTED]
)
def test_state_in_the_accounts(line, state, cause, reason):
    (record,) = accounted(line + "\n")
    seen = seen_of(record, no_output)
    assert (seen.state, seen.cause) == (state, cause)
    assert reason in seen.reason


@pytest.mark.parametrize("output", [KILLED_FOR_MEMORY, KILLED_BY_A_CGROUP])
def test_what_was_killed_for_its_memory_is_told_by_its_output(output):
    (record,) = queued("4|N/A|FAILED|JobLaunchFailure|vm|9|2-00:00:00|oom\n")
    seen = seen_of(record, lambda: output)
    assert (seen.state, seen.cause) == (FAILED, MEMORY)


def test_elements_that_wait_are_one_line_of_the_accounts_which_tells_nothing():
    assert not list(accounted("10_[0-9]|PENDING|BeginTime|None assigned|0:0|x|e1\n"))


def test_names_of_others_may_hold_what_separates_columns():
    (record,) = queued("7|N/A|RUNNING|None|vm|0|1:00|theirs|is|odd \n")
    assert record.name == "theirs|is|odd"


def test_forgotten_job_has_failed_if_it_had_started_and_else_never_did():
    assert forgotten(("12", 3), has_started=True).state is FAILED
    assert "12_3" in forgotten(("12", 3), has_started=True).reason
    assert forgotten(("12", 3), has_started=False).state is GONE


def test_words_in_the_place_of_an_id_say_why_there_is_no_job():
    assert unsubmitted("12") is None
    never, not_taken = unsubmitted(NEVER), unsubmitted(refused("no such account"))
    assert never is not None
    assert (never.state, never.cause) == (GONE, UPSTREAM)
    assert not_taken is not None
    assert (not_taken.state, not_taken.cause) == (FAILED, WORK)
    assert "no such account" in not_taken.reason


@pytest.mark.parametrize("reason", ["launch failed requeued held", "JobHeldAdmin"])
def test_job_that_slurm_holds_says_who_can_release_it(reason):
    (record,) = queued(f"12|N/A|PENDING|{reason}||0|1:00|n\n")
    seen = seen_of(record, str)
    assert (seen.state, seen.cause) == (JobState.WAITING, None)
    assert seen.reason == f"Slurm holds it: {reason} (scontrol release 12)"


def test_job_that_waits_for_its_turn_gives_no_reason():
    (record,) = queued("12|N/A|PENDING|Resources||0|1:00|n\n")
    assert seen_of(record, str).reason == ""
