"""The runner `batch` against an AWS Batch on loopback; a script stands for the worker.

Whole runs with real workers are in `test_batch_runs.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from swath.errors import ForbiddenError, InterruptedRunError, ThrottledError
from swath.plan.command import Resources
from swath.run.events import ignore
from swath.run.folder import RunFolder
from swath.run.rounds import last_round
from swath.run.runner import Cause, JobState, Outcome, RunContext
from swath.run.runners.batch import BatchBackend
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import load_settings
from swath.testing import FakeBatch, FakeLogs, ServiceError

WORKER = """\
for uri; do :; done
run=${uri%/*/*}
key=${uri##*/}
key=${key%.json}
if [ -n "$AWS_BATCH_JOB_ARRAY_INDEX" ]; then
  read -r list < "$uri"
  IFS='[]", '
  for each in $list; do
    [ -n "$each" ] || continue
    [ $((n += 1)) -le "$AWS_BATCH_JOB_ARRAY_INDEX" ] || break
  done
  key=$each
fi
echo "worker of $key"
what() { [ -f "$run/told/$key" ] && read -r told < "$run/told/$key"; [ "$told" = "$1" ]; }
while what hang; do sleep 0.02; told=; done
if what fail; then exit 1; fi
: > "$run/done/$key"
while what linger; do sleep 0.02; told=; done
"""
"""Marks its split as done; a file may tell it to hang or fail before that, or to linger after."""


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBatch]:
    worker = tmp_path / "worker.sh"
    worker.write_text(WORKER)
    shell = tmp_path / "sh"
    shell.symlink_to("/bin/sh")
    programs = {"swath": [str(shell), str(worker)]}
    with FakeBatch(programs=programs, second_s=0.01) as fake, FakeLogs(fake.logs) as logs:
        fake.add_queue("cpu", slots=4)
        fake.add_queue("gpu", slots=2, gpus=1, instance_types=["g5"])
        fake.add_definition("worker")
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_BATCH", fake.endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", logs.endpoint)
        fake.log_service = logs
        yield fake


def split(key: str, *upstream: int, **resources: Any) -> RunSplit:
    kind = key.partition("-")[0]
    return RunSplit(key, kind, kind, 1, f"{key}-print", Resources(**resources), upstream)


def chips_train_predict(n: int = 3) -> list[RunSplit]:
    chips = [split(f"chip-{i}") for i in range(n)]
    train = split("train-0", *range(n), gpus=1)
    return [*chips, train, *(split(f"predict-{i}", n) for i in range(n))]


class Run:
    """A run of splits in a folder of its own, by a client that can be taken up by another."""

    def __init__(self, root: Path, splits: list[RunSplit], *overrides: str, **options: Any) -> None:
        self.folder = RunFolder.create(root)
        (self.folder.path / "told").mkdir()
        places = [f"batch.{d}_queue={d}" for d in ("cpu", "gpu")]
        places += [f"batch.{d}_definition=worker" for d in ("cpu", "gpu")]
        self.settings = load_settings([*places, "aws.poll_s=1", *overrides], environment={})
        keep_going = options.pop("keep_going", False)
        self.context = RunContext(self.folder, tuple(splits), self.settings, keep_going, ignore)
        self.backend = BatchBackend(self.settings, **options)
        self.runner = SubmittedRunner(self.backend)

    def run(self) -> Outcome:
        self.runner.start(self.context)
        return self.runner.follow(self.context)

    def another_client(self) -> SubmittedRunner:
        return SubmittedRunner(BatchBackend(self.settings))

    def tell(self, key: str, what: str) -> None:
        (self.folder.path / "told" / key).write_text(what)

    def mend(self, key: str) -> None:
        (self.folder.path / "told" / key).unlink()

    def n_submitted(self) -> int:
        """Return how many jobs have an id."""
        return len(list((self.folder.path / "jobs").glob("*.json")))

    def job_id(self, kind: str) -> str:
        """Return the id of the first job of a kind, empty for relays, in the last round."""
        now = last_round(self.folder)
        assert now is not None
        name = next(job.name for job in now.jobs if job.kind == kind)
        return str(self.folder.read(f"jobs/{name}.json")["id"])


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., Run]:
    def make(splits: list[RunSplit], *overrides: str, **options: Any) -> Run:
        return Run(tmp_path / "root", splits, *overrides, **options)

    return make


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread while the body runs."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(action)
        yield
        other.result()


def memory_of(request: dict[str, Any]) -> int:
    needs = request["containerOverrides"]["resourceRequirements"]
    return int({item["type"]: item["value"] for item in needs}["MEMORY"])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# ---------------------------------------------------------------- order and outcome


def test_graph_runs_as_arrays_in_order(batch, run_of):
    run = run_of(chips_train_predict(5))
    outcome = run.run()
    assert outcome.succeeded
    assert len(outcome.done) == 11
    chip, train, predict = batch.received("SubmitJob")
    assert [item.get("arrayProperties", {}).get("size") for item in (chip, train, predict)] == [
        5,
        None,
        5,
    ]
    assert [item["jobQueue"] for item in (chip, train, predict)] == ["cpu", "gpu", "cpu"]
    assert train["dependsOn"] == [{"jobId": run.job_id("chip")}]
    assert predict["dependsOn"] == [{"jobId": run.job_id("train")}]


def test_failed_child_fails_its_dependants_with_the_reason(batch, run_of):
    run = run_of(chips_train_predict())
    run.tell("chip-1", "fail")
    outcome = run.run()
    assert outcome.failed == ("chip-1",)
    assert outcome.causes == {"chip-1": Cause.WORK}
    assert outcome.waiting == ("train-0", "predict-0", "predict-1", "predict-2")
    chip, train = run.job_id("chip"), run.job_id("train")
    assert (
        outcome.reasons["chip-1"] == f"Essential container in task exited, exit code 1 ({chip}:1)"
    )
    assert outcome.reasons["train-0"] == f"Dependent Job failed ({train})"
    assert outcome.reasons["predict-2"].startswith("Dependent Job failed (")
    assert len(batch.job(f"{chip}:1")["attempts"]) == 1


def test_failure_starts_nothing_more_and_lets_finish_what_has_started(batch, run_of):
    run = run_of([split(f"chip-{i}") for i in range(8)])
    run.tell("chip-0", "fail")
    for i in (1, 2, 3, 4):  # four at a time
        run.tell(f"chip-{i}", "hang")
    run.runner.start(run.context)

    def go_on_once_the_rest_is_cancelled() -> None:
        until(lambda: batch.count("CancelJob") == 1)
        for i in (1, 2, 3, 4):
            run.mend(f"chip-{i}")

    with meanwhile(go_on_once_the_rest_is_cancelled):
        outcome = run.runner.follow(run.context)
    assert outcome.done == ("chip-1", "chip-2", "chip-3", "chip-4")
    assert outcome.failed == ("chip-0",)
    assert outcome.waiting == ("chip-5", "chip-6", "chip-7")


def test_keep_going_finishes_what_does_not_depend_on_a_failure(batch, run_of):
    chips = [split(f"chip-{i}") for i in range(3)]
    predicts = [split(f"predict-{i}", i) for i in range(3)]
    run = run_of([*chips, *predicts], keep_going=True)
    run.tell("chip-1", "fail")
    outcome = run.run()
    assert outcome.done == ("chip-0", "chip-2", "predict-0", "predict-2")
    assert outcome.failed == ("chip-1",)
    assert outcome.waiting == ("predict-1",)
    assert batch.received("SubmitJob")[1]["dependsOn"][0]["type"] == "N_TO_N"


def test_retry_submits_only_what_failed_and_what_waited(batch, run_of):
    run = run_of(chips_train_predict())
    run.tell("chip-1", "fail")
    run.run()
    run.mend("chip-1")
    runner = run.another_client()
    runner.start(run.context)
    assert runner.follow(run.context).succeeded
    again = batch.received("SubmitJob")[3:]
    assert [item.get("arrayProperties") for item in again] == [None, None, {"size": 3}]
    assert [item["tags"]["swath-kind"] for item in again] == ["chip", "train", "predict"]


def test_array_over_the_limit_becomes_several(batch, run_of):
    run = run_of(chips_train_predict(7), array_size=3)
    assert run.run().succeeded
    made = batch.received("SubmitJob")
    sizes = [item.get("arrayProperties", {}).get("size", 1) for item in made]
    assert sizes == [3, 3, 1, 1, 3, 3, 1]
    assert len(made[3]["dependsOn"]) == 3


def test_fan_in_of_more_than_twenty_jobs_goes_through_relays(batch, run_of):
    sources = [split(f"s{i}-0") for i in range(23)]
    run = run_of([*sources, split("join-0", *range(23))])
    run.tell("s22-0", "hang")
    run.runner.start(run.context)
    kinds = [item["tags"]["swath-kind"] for item in batch.received("SubmitJob")]
    assert "relay" in kinds
    until(lambda: len(run.folder.done()) == 22)
    assert batch.job(run.job_id("join"))["status"] == "PENDING"
    run.mend("s22-0")
    assert run.runner.follow(run.context).succeeded


def test_failure_of_a_relay_is_told_of_what_waits_for_it(batch, run_of):
    run = run_of([*(split(f"s{i}-0") for i in range(21)), split("join-0", *range(21))])
    run.tell("s0-0", "hang")
    run.runner.start(run.context)
    relay = run.job_id("")
    boto3.client("batch").terminate_job(jobId=relay, reason="No more relays")
    run.mend("s0-0")
    outcome = run.runner.follow(run.context)
    assert outcome.failed == ("join-0",)
    assert outcome.reasons["join-0"] == f"No more relays ({relay})"


# ---------------------------------------------------------------- machines and memory


def test_reclaimed_machine_is_tried_again_by_batch_itself(batch, run_of):
    run = run_of([split("train-0", gpus=1)])
    run.tell("train-0", "hang")
    run.runner.start(run.context)
    job_id = run.job_id("train")

    def reclaim_then_go_on() -> None:
        batch.reclaim(job_id)
        batch.wait_for(job_id, {"RUNNING"})
        run.mend("train-0")

    with meanwhile(reclaim_then_go_on):
        assert run.runner.follow(run.context).succeeded
    assert batch.count("SubmitJob") == 1
    assert len(batch.job(job_id)["attempts"]) == 2


def test_what_lost_every_machine_is_submitted_again_as_often_as_set(batch, run_of):
    run = run_of([split("train-0")], "batch.attempts=1", "run.reclaim_retries=1")
    run.tell("train-0", "hang")
    run.runner.start(run.context)
    first = run.job_id("train")

    def reclaim_twice() -> None:
        batch.reclaim(first)
        until(lambda: run.n_submitted() == 2)
        batch.reclaim(run.job_id("train"))

    with meanwhile(reclaim_twice):
        outcome = run.runner.follow(run.context)
    assert outcome.failed == ("train-0",)
    assert outcome.causes == {"train-0": Cause.RECLAIMED}
    assert outcome.reasons["train-0"].startswith("Host EC2 (instance i-")
    assert batch.count("SubmitJob") == 2


def test_what_ran_out_of_memory_alone_gets_twice_as_much(batch, run_of):
    batch.need_memory("*-r0-chip-*:1", 20_000)
    batch.need_memory("*-r[12]-chip-*", 20_000)
    run = run_of([*(split(f"chip-{i}") for i in range(3)), split("train-0", 0, 1, 2)])
    run.tell("chip-1", "hang")

    def go_on_with_memory() -> None:
        until(lambda: any(memory_of(item) > 20_000 for item in batch.received("SubmitJob")))
        run.mend("chip-1")

    with meanwhile(go_on_with_memory):
        assert run.run().succeeded
    made = batch.received("SubmitJob")
    chips = [item for item in made if item["tags"]["swath-kind"] == "chip"]
    assert [memory_of(item) for item in chips] == [7168, 14_336, 28_672]
    assert [item.get("arrayProperties", {}).get("size", 1) for item in chips] == [3, 1, 1]


def test_split_that_is_done_though_its_job_failed_holds_nothing_up(batch, run_of):
    run = run_of(chips_train_predict(2))
    run.tell("chip-1", "linger")
    run.runner.start(run.context)
    until(lambda: "chip-1" in run.folder.done())
    batch.kill(f"{run.job_id('chip')}:1")
    outcome = run.runner.follow(run.context)
    assert outcome.succeeded
    kinds = [item["tags"]["swath-kind"] for item in batch.received("SubmitJob")]
    assert kinds == ["chip", "train", "predict", "train", "predict"]


def test_memory_is_given_as_often_as_set(batch, run_of):
    batch.need_memory("*", 2**20)
    run = run_of([split("chip-0", memory_gib=1.0)], "run.memory_retries=1")
    run.tell("chip-0", "hang")
    outcome = run.run()
    assert outcome.causes == {"chip-0": Cause.MEMORY}
    assert "OutOfMemoryError" in outcome.reasons["chip-0"]
    assert [memory_of(item) for item in batch.received("SubmitJob")] == [1024, 2048]


def test_time_limit_ends_a_split_with_the_reason(batch, run_of):
    run = run_of([split("chip-0", time_limit_s=60)])
    run.tell("chip-0", "hang")
    outcome = run.run()
    assert outcome.causes == {"chip-0": Cause.WORK}
    assert outcome.reasons["chip-0"].startswith("Job attempt duration exceeded timeout")


def test_container_that_cannot_start_is_tried_again_and_told(batch, run_of, tmp_path):
    (tmp_path / "sh").unlink()
    run = run_of([split("chip-0")])
    outcome = run.run()
    assert outcome.failed == ("chip-0",)
    assert "CannotStartContainerError" in outcome.reasons["chip-0"]
    assert len(batch.job(run.job_id("chip"))["attempts"]) == 3


def test_what_no_machine_can_hold_says_so_while_it_waits(batch, run_of):
    run = run_of([split(f"chip-{i}", memory_gib=100.0) for i in range(2)])
    run.runner.start(run.context)
    seen = run.runner.look(run.context)
    assert {item.state for item in seen.values()} == {JobState.WAITING}
    assert seen["chip-0"].reason.startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")


# ---------------------------------------------------------------- clients and their end


def test_submission_without_an_answer_is_not_repeated(batch, run_of):
    run = run_of(chips_train_predict())
    batch.lose_answers("SubmitJob", n=2)
    assert run.run().succeeded
    assert batch.count("SubmitJob") == 3


def test_submission_that_never_arrived_is_repeated(batch, run_of):
    run = run_of(chips_train_predict())
    batch.fail_next("SubmitJob", n=2, error=ServiceError("ServerException", "broken", 500))
    assert run.run().succeeded
    assert len(batch.received("SubmitJob")) == 3


def test_throttled_run_ends_right(batch, run_of):
    run = run_of(chips_train_predict())
    batch.throttle_share(0.4, seed=3)
    assert run.run().succeeded
    assert len(batch.received("SubmitJob")) == 3


def test_backend_that_cannot_answer_for_long_does_not_end_a_run(batch, run_of):
    run = run_of(chips_train_predict())
    run.runner.start(run.context)
    # Codes that boto3 does not try again stand for those after which it gave up.
    for code, status in (("ThrottledForLong", 400), ("ServerException", 507)):
        batch.fail_next("DescribeJobs", error=ServiceError(code, "later", status))
    assert run.runner.follow(run.context).succeeded


def test_status_of_a_throttled_backend_is_an_error(batch, run_of):
    run = run_of([split("chip-0")])
    run.runner.start(run.context)
    batch.fail_next("DescribeJobs", error=ServiceError("ThrottledForLong", "later", 400))
    with pytest.raises(ThrottledError, match="AWS Batch: DescribeJobs answers ThrottledForLong"):
        run.runner.look(run.context)


def test_job_that_was_submitted_unnoticed_is_found_by_its_name(batch, run_of):
    run = run_of(chips_train_predict())
    run.tell("chip-0", "hang")
    run.runner.start(run.context)
    known = sorted((run.folder.path / "jobs").glob("*.json"))
    ids = {path.name: path.read_text() for path in known}
    for path in known[1:]:
        path.unlink()
    other = run.another_client()
    other.start(run.context)
    run.mend("chip-0")
    assert other.follow(run.context).succeeded
    assert batch.count("SubmitJob") == 3
    assert {path.name: path.read_text() for path in known} == ids


def test_cancelled_run_leaves_nothing_at_work(batch, run_of):
    run = run_of(chips_train_predict())
    for i in range(3):
        run.tell(f"chip-{i}", "hang")
    run.runner.start(run.context)
    chip = run.job_id("chip")
    batch.wait_for(f"{chip}:0", {"RUNNING"})
    run.another_client().cancel(run.context)
    for kind in ("chip", "train", "predict"):
        assert batch.wait_for(run.job_id(kind)) == "FAILED"
    seen = run.runner.look(run.context)
    assert {item.state for item in seen.values()} == {JobState.GONE}
    run.folder.write("cancelled.json", {})
    with pytest.raises(InterruptedRunError):
        run.runner.follow(run.context)
    n_stopped = batch.count("TerminateJob")
    run.runner.cancel(run.context)
    assert batch.count("TerminateJob") == n_stopped, "what has ended is left alone"


def test_job_that_batch_has_forgotten_is_submitted_again_by_a_retry(batch, run_of):
    run = run_of([split("chip-0")])
    run.tell("chip-0", "fail")
    run.run()
    (path,) = (run.folder.path / "jobs").glob("*.json")
    path.write_text('{"id": "forgotten"}')
    seen = run.runner.look(run.context)
    assert seen["chip-0"].state is JobState.FAILED
    assert "no longer knows the job forgotten" in seen["chip-0"].reason
    run.mend("chip-0")
    assert run.run().succeeded


def test_thousand_splits_take_few_requests(batch, run_of):
    chips = [split(f"chip-{i}") for i in range(333)]
    both = [split(f"{kind}-{i}", i) for kind in ("double", "square") for i in range(333)]
    run = run_of([*chips, *both, split("join-0", *range(333, 999))])
    outcome = run.run()
    assert outcome.succeeded
    assert len(outcome.done) == 1000
    polls = batch.count("DescribeJobs")
    assert batch.count() - polls == batch.count("SubmitJob") == 4
    assert all(len(item["jobs"]) <= 100 for item in batch.received("DescribeJobs"))


def test_many_failures_are_listed_once(batch, run_of):
    run = run_of([split(f"chip-{i}") for i in range(120)], keep_going=True)
    for i in range(110):
        run.tell(f"chip-{i}", "fail")
    outcome = run.run()
    assert len(outcome.failed) == 110
    assert len(outcome.done) == 10
    before = batch.count("ListJobs")
    run.runner.look(run.context)
    assert batch.count("ListJobs") == before


# ---------------------------------------------------------------- logs


def test_logs_are_those_of_the_element(batch, run_of):
    run = run_of(chips_train_predict())
    assert run.runner.logs(run.context, "train-0") == ""
    run.run()
    assert run.runner.logs(run.context, "chip-2") == "worker of chip-2\n"
    assert run.runner.logs(run.context, "train-0") == "worker of train-0\n"


def test_logs_that_may_not_be_read_say_what_is_missing(batch, run_of):
    run = run_of([split("chip-0")])
    run.run()
    denied = ServiceError("AccessDeniedException", "not authorized", 400)
    batch.log_service.fail_next("GetLogEvents", error=denied)
    with pytest.raises(ForbiddenError, match=r"GetLogEvents.*Let your user do GetLogEvents"):
        run.runner.logs(run.context, "chip-0")
