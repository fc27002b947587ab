"""FakeBatch against a real client: what it runs, in which order, and how that ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swath.testing import FakeBatch

SLEEP = ["python", "-c", "import time; time.sleep(60)"]


@pytest.fixture
def batch() -> Iterator[FakeBatch]:
    with FakeBatch(second_s=0.005) as fake:
        fake.add_queue("cpu", slots=4)
        fake.add_queue("gpu", slots=2, gpus=1)
        fake.add_definition("job", command=SLEEP)
        yield fake


@pytest.fixture
def submit(batch: FakeBatch, client_of: Callable[..., Any]) -> Callable[..., str]:
    """Return a function that submits Python code, and returns the id of the job."""
    client = client_of(batch)

    def call(code: str | None = None, /, **request: Any) -> str:
        overrides = request.pop("containerOverrides", {})
        if code is not None:
            overrides = overrides | {"command": ["python", "-c", code]}
        defaults = {"jobName": "job", "jobQueue": "cpu", "jobDefinition": "job"}
        answer = client.submit_job(**defaults | request | {"containerOverrides": overrides})
        return str(answer["jobId"])

    return call


def test_job_runs_its_command_and_tells_how_it_ended(
    batch: FakeBatch, submit: Callable[..., str], client_of: Callable[..., Any]
) -> None:
    well = submit("print('here')", tags={"run": "r1"})
    ill = submit("import sys; print('there'); sys.exit(3)")

    assert batch.wait_for(well) == "SUCCEEDED"
    assert batch.wait_for(ill) == "FAILED"
    assert batch.log(well) == "here\n"
    answer = {job["jobId"]: job for job in client_of(batch).describe_jobs(jobs=[well, ill])["jobs"]}
    assert answer[well]["container"]["exitCode"] == 0
    assert answer[well]["tags"] == {"run": "r1"}
    assert answer[ill]["container"]["exitCode"] == 3
    assert answer[ill]["statusReason"] == "Essential container in task exited"
    (attempt,) = answer[ill]["attempts"]
    assert attempt["container"]["exitCode"] == 3
    assert attempt["startedAt"] <= attempt["stoppedAt"]


def test_container_sees_its_environment_and_what_batch_sets(
    client_of: Callable[..., Any],
) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    with FakeBatch(environment={"PATH": os.environ["PATH"], "SHARED": "1"}) as batch:
        batch.add_queue("cpu")
        batch.add_definition(
            "job", command=["python", "-c", code], environment={"A": "a", "B": "b"}
        )
        overrides = {"environment": [{"name": "B", "value": "changed"}]}
        job = client_of(batch).submit_job(
            jobName="one", jobQueue="cpu", jobDefinition="job", containerOverrides=overrides
        )["jobId"]
        batch.wait_for(job)
        seen = eval(batch.log(job))
    assert {key: seen[key] for key in ("SHARED", "A", "B")} == {
        "SHARED": "1",
        "A": "a",
        "B": "changed",
    }
    assert seen["AWS_BATCH_JOB_ID"] == job
    assert seen["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert seen["AWS_BATCH_JQ_NAME"] == "cpu"
    assert "AWS_BATCH_JOB_ARRAY_INDEX" not in seen
    assert "HOME" not in seen


def test_parameters_stand_in_for_references_in_the_command(batch: FakeBatch, submit: Any) -> None:
    batch.add_definition(
        "hello", command=["python", "-c", "import sys; print(sys.argv[1:])", "Ref::who", "Ref::x"]
    )
    job = submit(jobDefinition="hello", parameters={"who": "world"})
    batch.wait_for(job)
    assert batch.log(job) == "['world', 'Ref::x']\n"


def test_program_that_is_not_there_cannot_be_started(batch: FakeBatch, submit: Any) -> None:
    job = submit(containerOverrides={"command": ["no-such-program"]})
    assert batch.wait_for(job) == "FAILED"
    told = batch.job(job)
    assert told["statusReason"] == "Task failed to start"
    assert told["container"]["reason"].startswith("CannotStartContainerError: no-such-program")
    assert "exitCode" not in told["container"]


def test_overrides_over_the_limit_of_ecs_fail_when_the_job_starts(
    batch: FakeBatch, submit: Any
) -> None:
    job = submit("#" * 8192)
    assert batch.wait_for(job) == "FAILED"
    assert batch.job(job)["statusReason"] == "Container Overrides length must be at most 8192"


def test_what_a_container_left_running_ends_with_it(
    batch: FakeBatch, submit: Any, has_ended: Callable[[int], bool]
) -> None:
    job = submit("import subprocess, sys; print(subprocess.Popen(['sleep', '60'], stdout=2).pid)")
    batch.wait_for(job)
    assert has_ended(int(batch.log(job)))


# ---------------------------------------------------------------- order


def test_job_starts_after_all_that_it_depends_on(
    batch: FakeBatch, submit: Any, tmp_path: Path
) -> None:
    first = [submit(f"import time; time.sleep(.2); open(r'{tmp_path}/{n}', 'w')") for n in range(2)]
    last = submit(
        f"import os; print(sorted(os.listdir(r'{tmp_path}')))",
        dependsOn=[{"jobId": job} for job in first],
    )
    assert batch.job(last)["status"] == "PENDING"
    assert batch.wait_for(last) == "SUCCEEDED"
    assert batch.log(last) == "['0', '1']\n"
    late = submit("pass", dependsOn=[{"jobId": last}])
    assert batch.wait_for(late) == "SUCCEEDED"


def test_dependants_of_a_failed_job_fail_unstarted(batch: FakeBatch, submit: Any) -> None:
    failing = submit("raise SystemExit(1)")
    dependant = submit("pass", dependsOn=[{"jobId": failing}])
    array = submit("pass", arrayProperties={"size": 2}, dependsOn=[{"jobId": dependant}])
    paired = submit(
        "pass", arrayProperties={"size": 2}, dependsOn=[{"jobId": array, "type": "N_TO_N"}]
    )
    for job in (dependant, array, paired):
        assert batch.wait_for(job) == "FAILED"
        assert batch.job(job)["statusReason"] == "Dependent Job failed"
        assert batch.job(job)["attempts"] == []
    after = submit("pass", dependsOn=[{"jobId": failing}])
    assert batch.wait_for(after) == "FAILED"


def test_no_more_jobs_run_at_once_than_there_are_slots(
    batch: FakeBatch, submit: Any, tmp_path: Path
) -> None:
    code = (
        "import os, time\n"
        f"folder = r'{tmp_path}'\n"
        "open(f'{folder}/{os.getpid()}', 'w').close()\n"
        "print(len(os.listdir(folder)))\n"
        "time.sleep(.1)\n"
        "os.unlink(f'{folder}/{os.getpid()}')\n"
    )
    job = submit(code, jobQueue="gpu", arrayProperties={"size": 6})
    batch.wait_for(job)
    at_once = [int(batch.log(f"{job}:{index}")) for index in range(6)]
    assert max(at_once) == 2


def test_array_runs_a_child_for_each_index(
    batch: FakeBatch, submit: Any, client_of: Callable[..., Any]
) -> None:
    code = "import os; i = os.environ['AWS_BATCH_JOB_ARRAY_INDEX']; print(i); exit(i == '1')"
    job = submit(code, arrayProperties={"size": 3})
    assert batch.wait_for(job) == "FAILED"
    assert [batch.log(f"{job}:{index}") for index in range(3)] == ["0\n", "1\n", "2\n"]
    parent, child = client_of(batch).describe_jobs(jobs=[job, f"{job}:1"])["jobs"]
    assert parent["statusReason"] == "Array Child Job failed"
    assert parent["arrayProperties"]["size"] == 3
    summary = parent["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (2, 1)
    assert child["arrayProperties"] == {"index": 1}
    assert child["status"] == "FAILED"


def test_paired_arrays_wait_index_by_index(batch: FakeBatch, submit: Any) -> None:
    code = "import os; i = os.environ['AWS_BATCH_JOB_ARRAY_INDEX']; exit(i == '1')"
    first = submit(code, arrayProperties={"size": 3})
    second = submit(
        "pass", arrayProperties={"size": 3}, dependsOn=[{"jobId": first, "type": "N_TO_N"}]
    )
    assert batch.wait_for(second) == "FAILED"
    states = [batch.job(f"{second}:{index}")["status"] for index in range(3)]
    assert states == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert batch.job(f"{second}:1")["statusReason"] == "Dependent Job failed"


def test_sequential_array_stops_at_the_first_failure(batch: FakeBatch, submit: Any) -> None:
    code = "import os; i = os.environ['AWS_BATCH_JOB_ARRAY_INDEX']; exit(i == '1')"
    job = submit(code, arrayProperties={"size": 4}, dependsOn=[{"type": "SEQUENTIAL"}])
    batch.wait_for(job)
    reasons = [batch.job(f"{job}:{index}")["statusReason"] for index in range(4)]
    assert reasons == ["Essential container in task exited"] * 2 + ["Dependent Job failed"] * 2


def test_array_of_ten_thousand_can_be_ended(batch: FakeBatch, submit: Any) -> None:
    job = submit(arrayProperties={"size": 10_000}, dependsOn=[{"type": "SEQUENTIAL"}])
    batch.wait_for(f"{job}:0", {"RUNNING"})
    batch.kill(f"{job}:0")
    assert batch.wait_for(job) == "FAILED"


def test_gpu_jobs_wait_for_a_free_device_and_others_pass_them(
    batch: FakeBatch, submit: Any
) -> None:
    gpu = {"containerOverrides": {"resourceRequirements": [{"type": "GPU", "value": "1"}]}}
    code = "import os, time; print(os.environ['NVIDIA_VISIBLE_DEVICES']); time.sleep(.1)"
    holder = submit(jobQueue="gpu", **gpu)
    batch.wait_for(holder, {"RUNNING"})
    waiting = submit(code, jobQueue="gpu", **gpu)
    passing = submit("pass", jobQueue="gpu")
    assert batch.wait_for(passing) == "SUCCEEDED"
    assert batch.job(waiting)["status"] == "RUNNABLE"
    batch.kill(holder)
    assert batch.wait_for(waiting) == "SUCCEEDED"
    assert batch.log(waiting) == "0\n"


@pytest.mark.parametrize(("kind", "value"), [("GPU", "1"), ("MEMORY", "65537"), ("VCPU", "17")])
def test_job_that_no_instance_can_hold_stays_runnable_with_the_reason(
    batch: FakeBatch, submit: Any, kind: str, value: str
) -> None:
    job = submit(containerOverrides={"resourceRequirements": [{"type": kind, "value": value}]})
    assert batch.wait_for(submit("pass")) == "SUCCEEDED"
    assert batch.job(job)["status"] == "RUNNABLE"
    assert batch.job(job)["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


# ---------------------------------------------------------------- attempts

SPOT = {
    "attempts": 3,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ],
}


def test_reclaimed_job_is_retried_and_a_bug_is_not(
    batch: FakeBatch, submit: Any, tmp_path: Path
) -> None:
    code = (
        "import os, time; print(os.environ['AWS_BATCH_JOB_ATTEMPT'])\n"
        "if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1': time.sleep(60)\n"
    )
    reclaimed = submit(code, retryStrategy=SPOT)
    buggy = submit("raise SystemExit(1)", retryStrategy=SPOT)
    batch.wait_for(reclaimed, {"RUNNING"})
    batch.reclaim(reclaimed)
    assert batch.wait_for(reclaimed) == "SUCCEEDED"
    first, second = batch.job(reclaimed)["attempts"]
    assert first["statusReason"].startswith("Host EC2 (instance i-")
    assert "exitCode" not in first["container"]
    assert second["container"]["exitCode"] == 0
    assert batch.log(reclaimed) == "2\n"
    assert batch.wait_for(buggy) == "FAILED"
    assert len(batch.job(buggy)["attempts"]) == 1


def test_failures_are_retried_until_the_attempts_are_used_up(batch: FakeBatch, submit: Any) -> None:
    job = submit("raise SystemExit(7)", retryStrategy={"attempts": 3})
    assert batch.wait_for(job) == "FAILED"
    codes = [attempt["container"]["exitCode"] for attempt in batch.job(job)["attempts"]]
    assert codes == [7, 7, 7]


def test_retry_strategy_of_the_definition_holds_unless_the_job_has_one(
    batch: FakeBatch, submit: Any
) -> None:
    batch.add_definition("twice", command=["false"], retryStrategy={"attempts": 2})
    for more, n_attempts in (({}, 2), ({"retryStrategy": {"attempts": 1}}, 1)):
        job = submit(jobDefinition="twice", **more)
        batch.wait_for(job)
        assert len(batch.job(job)["attempts"]) == n_attempts


def test_jobs_that_ask_for_too_little_memory_run_out_of_it(batch: FakeBatch, submit: Any) -> None:
    batch.need_memory("train*", 4096)
    small, other = submit("pass", jobName="train-1"), submit("pass", jobName="chip-1")
    large = submit(
        "pass",
        jobName="train-2",
        containerOverrides={"resourceRequirements": [{"type": "MEMORY", "value": "4096"}]},
    )
    assert [batch.wait_for(job) for job in (small, other, large)] == [
        "FAILED",
        "SUCCEEDED",
        "SUCCEEDED",
    ]
    container = batch.job(small)["container"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_running_job_can_be_made_to_run_out_of_memory_or_be_killed(
    batch: FakeBatch, submit: Any
) -> None:
    memory, killed = submit(), submit()
    batch.run_out_of_memory(memory)
    batch.kill(killed)
    batch.wait_for(memory)
    batch.wait_for(killed)
    assert batch.job(memory)["container"]["reason"].startswith("OutOfMemoryError")
    assert batch.job(killed)["container"]["exitCode"] == 137
    assert "reason" not in batch.job(killed)["container"]


def test_timed_out_job_is_asked_to_end_and_not_retried(batch: FakeBatch, submit: Any) -> None:
    job = submit(timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 3})
    assert batch.wait_for(job) == "FAILED"
    assert batch.job(job)["statusReason"] == "Job attempt duration exceeded timeout"
    assert [item["container"]["exitCode"] for item in batch.job(job)["attempts"]] == [143]


def test_container_that_ignores_the_request_to_end_is_killed(batch: FakeBatch, submit: Any) -> None:
    job = submit(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        timeout={"attemptDurationSeconds": 100},
    )
    assert batch.wait_for(job) == "FAILED"
    assert batch.job(job)["container"]["exitCode"] == 137


# ---------------------------------------------------------------- ending jobs


def test_terminate_ends_what_runs_and_what_waits(
    batch: FakeBatch, submit: Any, client_of: Callable[..., Any]
) -> None:
    client = client_of(batch)
    running = submit(retryStrategy={"attempts": 3})
    pending = submit(dependsOn=[{"jobId": running}])
    batch.wait_for(running, {"RUNNING"})
    client.terminate_job(jobId=pending, reason="not needed")
    assert batch.job(pending)["status"] == "FAILED"
    client.terminate_job(jobId=running, reason="stopped by user")
    assert batch.wait_for(running) == "FAILED"
    assert batch.job(running)["statusReason"] == "stopped by user"
    assert batch.job(running)["isTerminated"]
    assert len(batch.job(running)["attempts"]) == 1


def test_terminating_an_array_ends_all_its_children(
    batch: FakeBatch, submit: Any, client_of: Callable[..., Any]
) -> None:
    job = submit(arrayProperties={"size": 20})
    batch.wait_for(f"{job}:0", {"RUNNING"})
    client_of(batch).terminate_job(jobId=job, reason="enough")
    assert batch.wait_for(job) == "FAILED"
    assert {batch.job(f"{job}:{index}")["statusReason"] for index in range(20)} == {"enough"}


def test_cancel_leaves_alone_what_has_started(
    batch: FakeBatch, submit: Any, client_of: Callable[..., Any]
) -> None:
    job = submit("import time; time.sleep(.3)", jobQueue="gpu", arrayProperties={"size": 4})
    for index in range(2):
        batch.wait_for(f"{job}:{index}", {"RUNNING"})
    client_of(batch).cancel_job(jobId=job, reason="no more")
    batch.wait_for(job)
    states = [batch.job(f"{job}:{index}")["status"] for index in range(4)]
    assert states == ["SUCCEEDED", "SUCCEEDED", "FAILED", "FAILED"]


def test_nothing_runs_after_the_fake_is_closed(
    client_of: Callable[..., Any], has_ended: Callable[[int], bool]
) -> None:
    with FakeBatch() as batch:
        batch.add_queue("cpu", slots=3)
        batch.add_definition(
            "job",
            command=[
                "python",
                "-c",
                (
                    "import os, subprocess, time\n"
                    "print(os.getpid(), subprocess.Popen(['sleep', '60']).pid, flush=True)\n"
                    "time.sleep(60)"
                ),
            ],
        )
        client = client_of(batch)
        job = client.submit_job(
            jobName="a", jobQueue="cpu", jobDefinition="job", arrayProperties={"size": 9}
        )["jobId"]
        batch.wait_for(f"{job}:2", {"RUNNING"})
        while not batch.log(f"{job}:2"):
            time.sleep(0.01)
        pids = [int(pid) for pid in batch.log(f"{job}:2").split()]
    assert len(pids) == 2
    assert all(has_ended(pid) for pid in pids)
