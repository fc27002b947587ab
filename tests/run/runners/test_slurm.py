"""The runner `slurm` on a Slurm of one node; a script stands for the worker.

Whole runs with real workers are in `test_slurm_runs.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from swath.errors import InterruptedRunError
from swath.plan.command import Resources
from swath.run.events import ignore
from swath.run.folder import CANCELLED, RunFolder
from swath.run.jobs import jobs_of
from swath.run.rounds import Round, last_round, note_id, write_round
from swath.run.runner import Cause, JobState, Outcome, RunContext
from swath.run.runners.slurm import SlurmBackend
from swath.run.runners.slurm_queue import Queue, queued
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import load_settings
from swath.testing.slurm import OneNodeSlurm

WORKER = """\
#!/bin/sh
for uri; do :; done
run=${uri%/*/*}
key=${uri##*/}
key=${key%.json}
if [ "${uri%/*}" = "$run/arrays" ]; then
  read -r list < "$uri"
  IFS='[]", '
  for each in $list; do
    [ -n "$each" ] || continue
    [ $((n += 1)) -le "$SLURM_ARRAY_TASK_ID" ] || break
  done
  key=$each
fi
echo "worker of $key in $SLURM_JOB_PARTITION with GPU ${CUDA_VISIBLE_DEVICES-none}"
echo '[0, "started", {}]' >> "$run/events/$key.jsonl"
what() { [ -f "$run/told/$key" ] && read -r told < "$run/told/$key"; [ "$told" = "$1" ]; }
while what hang; do sleep 0.02; told=; done
if what eat; then (head -c 90000000 /dev/zero; sleep 4) | tail; fi
if what fail; then exit 7; fi
if what idle; then exit 0; fi
: > "$run/done/$key"
"""
"""Marks its split as done. A file may tell it to hang before that, to eat 90 MB for some seconds,
to fail, or to say that all is well without having done it."""

REFUSING = """\
#!/bin/sh
# The first calls fail as if the controller were away; if told so, after they did what was asked.
n=$(cat "{count}")
echo $((n - 1)) > "{count}"
[ "$n" -gt 0 ] || exec "{program}" "$@"
if [ "{does}" = yes ]; then "{program}" "$@" > /dev/null; fi
echo "{name}: error: Unable to contact slurm controller (connect failure)" >&2
exit 1
"""


def split(key: str, *upstream: int, **resources: Any) -> RunSplit:
    kind = key.partition("-")[0]
    return RunSplit(key, kind, kind, 1, f"{key}-print", Resources(**resources), upstream)


def chips_train_predict(n: int = 3) -> list[RunSplit]:
    chips = [split(f"chip-{i}") for i in range(n)]
    train = split("train-0", *range(n), gpus=1)
    return [*chips, train, *(split(f"predict-{i}", n) for i in range(n))]


def chips_predict(n: int = 3) -> list[RunSplit]:
    """Return splits of which each reads from one."""
    return [
        *(split(f"chip-{i}") for i in range(n)),
        *(split(f"predict-{i}", i) for i in range(n)),
    ]


class Run:
    """A run of splits in a folder of its own, by a client that can be taken up by another."""

    def __init__(self, slurm: OneNodeSlurm, root: Path, splits: list[RunSplit], *overrides: str):
        self.slurm = slurm
        python = root.parent / "bin" / "python"
        python.parent.mkdir(exist_ok=True)
        python.write_text(WORKER)
        python.chmod(0o755)
        self.folder = RunFolder.create(root)
        (self.folder.path / "told").mkdir()
        given = (f"slurm.python={python}", "slurm.gpu_partition=gpu", "slurm.poll_s=1", *overrides)
        self.settings = load_settings([o for o in given if o != "keep_going"], environment={})
        keep_going = "keep_going" in overrides
        self.context = RunContext(self.folder, tuple(splits), self.settings, keep_going, ignore)
        self.backend = SlurmBackend(self.settings)
        self.runner = SubmittedRunner(self.backend)

    def start(self) -> None:
        self.runner.start(self.context)

    def follow(self) -> Outcome:
        return self.runner.follow(self.context)

    def run(self) -> Outcome:
        self.start()
        return self.follow()

    def another_client(self) -> SubmittedRunner:
        return SubmittedRunner(SlurmBackend(self.settings))

    def tell(self, key: str, what: str) -> None:
        (self.folder.path / "told" / key).write_text(what)

    def mend(self, key: str) -> None:
        (self.folder.path / "told" / key).unlink()

    def wait_until_running(self, *keys: str, starts: int = 1) -> None:
        def n_starts(key: str) -> int:
            path = self.folder.path / "events" / f"{key}.jsonl"
            return len(path.read_text().splitlines()) if path.exists() else 0

        until(lambda: all(n_starts(key) >= starts for key in keys))

    def queue(self, *columns: str, states: str = "all") -> list[tuple[str, ...]]:
        """Return columns of squeue about all elements of this run, in order of submission."""
        names = ",".join(f"{name}:|" for name in ("JobID", "Name", *columns))
        words = ("--noheader", "--array", f"--states={states}", "--sort=i", f"--Format={names}")
        lines = self.slurm.asked("squeue", *words).splitlines()
        rows = [tuple(line.strip().split("|")[1:-1]) for line in lines]
        return [(name.partition("-r")[2], *rest) for name, *rest in rows if self.folder.id in name]

    def job_id(self, kind: str) -> str:
        """Return the id of the first job of a kind in the last round."""
        now = last_round(self.folder)
        assert now is not None
        name = next(job.name for job in now.jobs if job.kind == kind)
        return str(self.folder.read(f"jobs/{name}.json")["id"])

    def of_job(self, job_id: str, what: str) -> str:
        """Return a field of ``scontrol show job``."""
        lines = self.slurm.asked("scontrol", "show", "job", job_id).splitlines()
        found = [line.strip() for line in lines if line.strip().startswith(f"{what}=")]
        return found[0].removeprefix(f"{what}=")


@pytest.fixture
def run_of(slurm: OneNodeSlurm, tmp_path: Path) -> Callable[..., Run]:
    def make(splits: list[RunSplit], *overrides: str) -> Run:
        return Run(slurm, tmp_path / "root", splits, *overrides)

    return make


@pytest.fixture
def unanswered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets the next calls of a program fail."""

    def make(name: str, n: int, *, does: bool = False) -> None:
        folder = tmp_path / "refusing"
        folder.mkdir(exist_ok=True)
        count, script = folder / f"{name}.count", folder / name
        count.write_text(f"{n}\n")
        program = shutil.which(name)
        fields = {"count": count, "program": program, "does": "yes" if does else "no", "name": name}
        script.write_text(REFUSING.format(**fields))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return make


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread while the body runs."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(action)
        yield
        other.result()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# ---------------------------------------------------------------- order and outcome


def test_graph_runs_as_arrays_in_order_and_where_it_belongs(run_of):
    run = run_of(chips_train_predict())
    outcome = run.run()
    assert outcome.succeeded
    assert len(outcome.done) == 7
    places = Counter((name.split("-")[1], where) for name, where in run.queue("Partition"))
    assert places == {("chip", "cpu"): 3, ("train", "gpu"): 1, ("predict", "cpu"): 3}
    printed = run.runner.logs(run.context, "train-0")
    assert printed == "worker of train-0 in gpu with GPU 0\n"
    assert "worker of chip-2 in cpu with GPU none" in run.runner.logs(run.context, "chip-2")


def test_job_tells_which_run_and_which_work_it_is(run_of):
    run = run_of([split("chip-0")])
    run.run()
    job_id = run.job_id("chip")
    assert run.queue() == [(f"0-chip-0-{'chip-0-print'[:8]}",)]
    assert run.of_job(job_id, "Comment") == f"swath {run.folder.uri}"
    assert run.of_job(job_id, "StdOut").startswith(f"{run.folder.path}/logs/slurm-")


def test_element_waits_for_its_own_alone(run_of):
    run = run_of(chips_predict())
    run.tell("chip-1", "hang")
    run.start()
    until(lambda: run.folder.done() == {"chip-0", "chip-2", "predict-0", "predict-2"})
    run.mend("chip-1")
    assert run.follow().succeeded


def test_failed_element_fails_its_dependants_with_the_reason(run_of):
    run = run_of(chips_train_predict())
    run.tell("chip-1", "fail")
    outcome = run.run()
    assert outcome.failed == ("chip-1",)
    assert outcome.causes == {"chip-1": Cause.WORK}
    chip = run.job_id("chip")
    assert outcome.reasons["chip-1"] == f"exit code 7 (Slurm job {chip}_1)"
    assert outcome.waiting == ("train-0", "predict-0", "predict-1", "predict-2")
    events = {path.stem for path in (run.folder.path / "events").iterdir()}
    assert not events & set(outcome.waiting)


def test_failure_starts_nothing_more_and_lets_finish_what_has_started(run_of):
    keys = [f"chip-{i}" for i in range(8)]
    run = run_of([split(key) for key in keys])
    for key in keys:
        run.tell(key, "hang")
    run.start()
    run.wait_until_running(*keys[:4])  # there are four cores
    run.tell("chip-0", "fail")

    def go_on_once_the_rest_is_cancelled() -> None:
        until(lambda: not run.queue(states="PENDING"))
        for key in keys[1:]:
            run.mend(key)

    with meanwhile(go_on_once_the_rest_is_cancelled):
        outcome = run.follow()
    assert outcome.failed == ("chip-0",)
    assert set(keys[1:4]) <= set(outcome.done)
    assert set(keys[6:]) <= set(outcome.waiting)


def test_keep_going_finishes_what_does_not_depend_on_a_failure(run_of):
    run = run_of(chips_predict(), "keep_going")
    run.tell("chip-1", "fail")
    outcome = run.run()
    assert outcome.done == ("chip-0", "chip-2", "predict-0", "predict-2")
    assert outcome.failed == ("chip-1",)
    assert outcome.waiting == ("predict-1",)
    assert "what it waits for has failed" in outcome.reasons["predict-1"]


def test_retry_submits_only_what_failed_and_what_waited(run_of):
    run = run_of(chips_train_predict())
    run.tell("chip-1", "fail")
    run.run()
    run.mend("chip-1")
    runner = run.another_client()
    runner.start(run.context)
    assert runner.follow(run.context).succeeded
    again = Counter(name.split("-")[1] for (name,) in run.queue() if name.startswith("1-"))
    assert again == {"chip": 1, "train": 1, "predict": 3}


def test_array_over_the_limit_becomes_several(tmp_path, monkeypatch):
    with OneNodeSlurm(options={"MaxArraySize": "4"}) as small:
        monkeypatch.setenv("SLURM_CONF", small.environment["SLURM_CONF"])
        run = Run(small, tmp_path / "root", chips_train_predict(5))
        assert run.run().succeeded
        now = last_round(run.folder)
        assert now is not None
        assert [len(job.splits) for job in now.jobs] == [4, 1, 1, 4, 1]


def test_limit_of_elements_at_once_holds(run_of):
    run = run_of([split(f"chip-{i}") for i in range(4)], "slurm.tasks=1")
    for i in range(4):
        run.tell(f"chip-{i}", "hang")
    run.start()
    run.wait_until_running("chip-0")
    (reasons,) = {reason for (_, reason) in run.queue("Reason", states="PENDING")}
    assert reasons == "JobArrayTaskLimit"
    assert len(run.queue(states="RUNNING")) == 1


# ---------------------------------------------------------------- nodes, memory, time


def test_what_ran_out_of_memory_alone_gets_twice_as_much(run_of):
    chips = [split(f"chip-{i}", memory_gib=0.05) for i in range(2)]
    run = run_of([*chips, split("train-0", 0, 1)])
    run.tell("chip-1", "eat")
    assert run.run().succeeded
    asked = [(name.split("-")[1], memory) for name, memory in run.queue("MinMemory")]
    assert Counter(asked)["chip", "52M"] == 2
    assert Counter(asked)["chip", "103M"] == 1


def test_more_memory_than_any_node_has_ends_the_tries(tmp_path, monkeypatch):
    with OneNodeSlurm(memory_mib=80) as small:
        monkeypatch.setenv("SLURM_CONF", small.environment["SLURM_CONF"])
        chip, train = split("chip-0", memory_gib=0.05), split("train-0", 0, memory_gib=0.05)
        run = Run(small, tmp_path / "root", [chip, train])
        run.tell("chip-0", "eat")
        outcome = run.run()
    assert outcome.failed == ("chip-0",)
    assert "Memory specification can not be satisfied" in outcome.reasons["chip-0"]
    assert outcome.waiting == ("train-0",)


def test_what_lost_its_node_is_submitted_again(run_of, slurm):
    run = run_of([split("chip-0"), split("train-0", 0)])
    run.tell("chip-0", "hang")
    run.start()
    run.wait_until_running("chip-0")

    def lose_the_node() -> None:
        node = slurm.asked("squeue", "--noheader", "--states=RUNNING", "--format=%N")
        # Slurm itself starts it again, unless somebody forbids it.
        slurm.asked("scontrol", "update", f"JobId={run.job_id('chip')}", "Requeue=0")
        slurm.asked("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        slurm.asked("scontrol", "update", f"NodeName={node}", "State=IDLE")
        run.wait_until_running("chip-0", starts=2)
        run.mend("chip-0")

    with meanwhile(lose_the_node):
        assert run.follow().succeeded
    until(lambda: not run.queue(states="RUNNING,COMPLETING"))
    states = Counter((name[:2], state) for name, state in run.queue("State"))
    assert states["0-", "NODE_FAIL"] == 1
    assert states["1-", "COMPLETED"] == 2


def test_what_slurm_starts_again_is_waited_for_and_not_submitted_again(run_of, slurm):
    run = run_of([split("chip-0"), split("train-0", 0)])
    run.tell("chip-0", "hang")
    run.start()
    run.wait_until_running("chip-0")
    job_id = run.job_id("chip")
    slurm.asked("scontrol", "requeue", job_id)
    time.sleep(2)  # the node takes no new credential of the second in which it revoked the old one
    until(lambda: ("BeginTime",) in {row[1:] for row in run.queue("Reason", states="PENDING")})
    run.mend("chip-0")
    slurm.asked("scontrol", "update", f"JobId={job_id}", "StartTime=now")
    assert run.follow().succeeded
    assert len(run.queue()) == 2
    assert run.runner.logs(run.context, "chip-0").count("worker of chip-0") == 2


def test_element_that_somebody_cancels_has_failed_and_the_others_finish(run_of, slurm):
    run = run_of([split(f"chip-{i}") for i in range(3)], "keep_going")
    for i in range(3):
        run.tell(f"chip-{i}", "hang")
    run.start()
    run.wait_until_running("chip-0", "chip-1", "chip-2")
    slurm.asked("scancel", f"{run.job_id('chip')}_1")
    run.mend("chip-0")
    run.mend("chip-2")
    outcome = run.follow()
    assert outcome.done == ("chip-0", "chip-2")
    assert outcome.failed == ("chip-1",)
    assert outcome.reasons["chip-1"] == f"it was cancelled (Slurm job {run.job_id('chip')}_1)"


# ---------------------------------------------------------------- clients


def test_submission_that_nobody_heard_of_is_found_by_its_name(run_of, unanswered):
    run = run_of([split("chip-0"), split("train-0", 0)])
    unanswered("sbatch", 1, does=True)
    assert run.run().succeeded
    assert len(run.queue()) == 2


def test_submission_is_tried_again_while_the_controller_is_away(run_of, unanswered):
    run = run_of([split("chip-0"), split("train-0", 0)])
    unanswered("sbatch", 1)
    assert run.run().succeeded
    assert len(run.queue()) == 2


def test_queue_that_cannot_be_asked_ends_no_run(run_of, unanswered):
    run = run_of(chips_train_predict())
    run.start()
    unanswered("squeue", 2)
    assert run.follow().succeeded


def test_run_outlives_the_controller(run_of, slurm):
    run = run_of(chips_train_predict())
    run.tell("chip-0", "hang")
    run.start()
    run.wait_until_running("chip-0")
    with meanwhile(lambda: run.mend("chip-0")), slurm.controller_away():
        time.sleep(0.2)
    assert run.follow().succeeded
    assert len(run.queue()) == 7


def test_what_slurm_refuses_has_failed_in_its_words_and_what_waits_is_not_submitted(run_of):
    run = run_of(chips_train_predict(), "slurm.gpu_partition=nowhere", "keep_going")
    outcome = run.run()
    assert outcome.done == ("chip-0", "chip-1", "chip-2")
    assert outcome.failed == ("train-0",)
    assert "Slurm refuses it: invalid partition" in outcome.reasons["train-0"]
    assert outcome.waiting == ("predict-0", "predict-1", "predict-2")
    assert len(run.queue()) == 3


# ---------------------------------------------------------------- what Slurm forgets


def forget(run: Run, kind: str) -> None:
    """Make a job one that Slurm does not know any more, as after MinJobAge."""
    now = last_round(run.folder)
    assert now is not None
    for job in now.jobs:
        if job.kind == kind:
            run.folder.write(f"jobs/{job.name}.json", {"id": "4000000"})


def test_what_slurm_has_forgotten_is_told_by_the_folder_of_the_run(run_of):
    run = run_of(chips_train_predict(), "keep_going")
    run.tell("chip-1", "fail")
    run.run()
    for kind in ("chip", "train"):
        forget(run, kind)
    seen = run.another_client().look(run.context)
    assert seen["chip-0"].state is JobState.DONE
    assert (seen["chip-1"].state, seen["chip-1"].cause) == (JobState.FAILED, Cause.WORK)
    assert "Slurm has forgotten its job 4000000_1" in seen["chip-1"].reason
    assert (seen["train-0"].state, seen["train-0"].cause) == (JobState.GONE, Cause.UPSTREAM)


def test_queue_remembers_what_slurm_forgets(slurm):
    (record,) = queued("4000000|2|FAILED|NonZeroExitCode|vm|768|1:00|chip\n")
    place, other = record.place, ("4000000", 3)
    queue = Queue()
    assert queue.known({place: record}, {place}) == {place: record}
    assert queue.known({}, {place, other}) == {place: record}


def test_jobs_of_other_users_are_found(run_of):
    run = run_of([split("chip-0")])
    run.tell("chip-0", "fail")
    run.run()
    place = (run.job_id("chip"), None)
    assert Queue().known({}, {place})[place].exit_code == 7


def test_hazard_wait_for_a_forgotten_job_is_no_wait(run_of):
    """Slurm takes a dependency on a job that it does not know for satisfied."""
    run = run_of(chips_train_predict())
    run.tell("chip-1", "fail")
    jobs = jobs_of(run.context.splits, prefix=f"{run.folder.id}-r0", array_size=10)
    write_round(run.folder, Round(0, tuple(jobs)))
    note_id(run.folder, *next(run.backend.submit(run.context, jobs, {})))  # and it is killed
    until(lambda: not run.queue(states="PENDING,RUNNING"))
    forget(run, "chip")
    outcome = run.another_client().follow(run.context)
    assert outcome.failed == ("chip-1",)
    assert outcome.waiting == ("train-0", "predict-0", "predict-1", "predict-2")
    assert not (run.folder.path / "events" / "train-0.jsonl").exists()


def test_job_that_ended_well_without_doing_its_work_has_failed(run_of):
    run = run_of([split("chip-0")])
    run.tell("chip-0", "idle")
    outcome = SubmittedRunner(SlurmBackend(run.settings, lag_s=0.5)).follow(run.context)
    assert outcome.failed == ("chip-0",)
    assert "its work is not done" in outcome.reasons["chip-0"]


def test_mark_that_a_shared_disk_shows_late_is_waited_for(run_of):
    run = run_of([split("chip-0")])
    run.tell("chip-0", "idle")
    run.start()
    until(lambda: not run.queue(states="PENDING,RUNNING"))
    assert run.runner.look(run.context)["chip-0"].state is JobState.RUNNING
    run.folder.mark_done("chip-0")
    assert run.follow().succeeded


# ---------------------------------------------------------------- cancel, dry run


def test_cancelled_run_leaves_nothing_in_the_queue(run_of):
    run = run_of(chips_train_predict())
    run.tell("chip-0", "hang")
    run.start()
    run.wait_until_running("chip-0")
    run.folder.write(CANCELLED, {})
    with pytest.raises(InterruptedRunError):
        run.follow()
    assert not run.queue(states="PENDING,RUNNING,COMPLETING")
    assert not {"train-0", "predict-0"} & run.folder.done()


def test_dry_run_shows_commands_that_can_be_copied(run_of):
    run = run_of(chips_train_predict(), "slurm.account=maps")
    chip, train, predict = run.runner.requests(run.context)
    assert chip["command"][0] == "sbatch"
    assert "--array=0-2" in chip["command"]
    assert "--account=maps" in chip["command"]
    assert "--gres=gpu:1" in train["command"]
    (wait,) = [word for word in predict["command"] if word.startswith("--dependency=")]
    (name,) = [word for word in train["command"] if word.startswith("--job-name=")]
    assert wait == f"--dependency=afterok:<id of {name.removeprefix('--job-name=')}>"
    assert chip["input"] == ["#!/bin/sh", 'exec "$@"']
    assert json.dumps([chip, train, predict])
    assert not run.queue()
