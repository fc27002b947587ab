"""The life of a run over several clients."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from uuid import uuid4

import pytest
from click.testing import CliRunner

from swath.cli.status import command as status
from swath.errors import (
    DeclarationError,
    InterruptedRunError,
    RefusedError,
    RunError,
    ThrottledError,
)
from swath.experiment.arguments import gather
from swath.experiment.config import load_config
from swath.experiment.session import run_experiments
from swath.run.earlier import Earlier, settle_with_earlier_runs
from swath.run.folder import CANCELLED, OUTCOME, PLAN, RUN, RunFolder, runs_of
from swath.run.lease import client_of, is_in_hand, is_locked, lock
from swath.run.life import (
    Life,
    cancel,
    goes_on,
    hand_over,
    take_up,
    try_again,
    why_stopped,
)
from swath.run.machine import is_elsewhere, this_machine
from swath.run.rounds import last_round
from swath.settings import load_settings


def test_client_counts_before_its_workers_are_there(lab):
    """Also a run in one process, which has no workers: it is not done twice at once."""
    pipeline = lab.pipeline(lab.copies("a"))
    folder = lab.run(pipeline).folder
    descriptor = lock(folder, "control", inherit=False)
    with pytest.raises(DeclarationError, match="is being run now"):
        settle_with_earlier_runs([pipeline])
    os.close(descriptor)
    assert settle_with_earlier_runs([pipeline]) == Earlier([], [])


# ------------------------------------------------------------------ a service, as a plugin

TOY = '''
"""A runner whose service is a folder: a file for each job, which runs as long as it is there."""

import time
from pathlib import Path

from swath.errors import RunError, ThrottledError
from swath.run.runner import Abilities, Cause, JobState, Seen
from swath.run.submit import SubmittedRunner


class Backend:
    abilities = Abilities(
        outlives_client=True, shares_cores=False, is_in_client=True, poll_s=0.05
    )

    def __init__(self, settings):
        self.place = Path(str(settings["toy.place"]))

    def has(self, name):
        return (self.place / name).exists()

    def findings(self, splits):
        return iter(())

    def requests(self, context, jobs):
        return []

    def find(self, context, names):
        return {name: name for name in names if self.has(f"jobs/{name}")}

    def submit(self, context, jobs, known):
        for number, job in enumerate(jobs):
            if number and self.has("refuse"):
                raise RunError("only one job is allowed.", mend="Name another queue.")
            if number and self.has("throttle"):
                raise ThrottledError("come slower.")
            (self.place / "jobs" / job.name).touch()
            while self.has("slow"):
                time.sleep(0.01)
            yield job.name, job.name

    def look(self, context, jobs, ids):
        if self.has("reclaim"):
            lost = Seen(JobState.FAILED, "the machine is lost", Cause.RECLAIMED)
            return {key: lost for job in jobs for key in job.splits}
        there = {True: Seen(JobState.RUNNING), False: Seen(JobState.GONE, "cancelled")}
        return {key: there[self.has(f"jobs/{job.name}")] for job in jobs for key in job.splits}

    def cancel(self, context, jobs, ids, *, only_waiting):
        if self.has("stuck"):
            raise RunError("nobody may cancel here.")
        for job in jobs:
            (self.place / "jobs" / job.name).unlink(missing_ok=True)

    def logs(self, context, ids, job, key):
        return ""


def make_runner(settings):
    return SubmittedRunner(Backend(settings))
'''


class Service:
    """The service of the plugin `toy`, and diamonds that run there."""

    def __init__(self, folder):
        self.place = folder / "service"
        (self.place / "jobs").mkdir(parents=True)
        self.root = f"memory://{uuid4().hex}/root"
        self.faults = folder

    def tell(self, word):
        (self.place / word).touch()

    def forget(self, word):
        (self.place / word).unlink()

    @property
    def jobs(self):
        return {path.name for path in (self.place / "jobs").iterdir()}

    def detach(self, *overrides):
        pairs = [("root_uri", self.root), ("faults", str(self.faults))]
        (found,) = load_config("swath.testing.diamond", runner="toy", arguments=gather(pairs))
        settings = load_settings([f"toy.place={self.place}", *overrides], environment={})
        return run_experiments([found.declared], "toy", settings=settings, is_detached=True).folder

    @property
    def last(self):
        return list(runs_of(self.root))[-1]


@pytest.fixture
def service(tmp_path, monkeypatch):
    """Install the plugin as pip would."""
    site = tmp_path / "site"
    about = site / "toy_runner-1.dist-info"
    about.mkdir(parents=True)
    module = f"toy_{uuid4().hex}"
    (site / f"{module}.py").write_text(TOY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-runner\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[swath.runners]\ntoy = {module}:make_runner\n")
    monkeypatch.syspath_prepend(str(site))
    return Service(tmp_path)


# ------------------------------------------------------------------ submissions that are refused


def test_submission_refused_half_way_is_stopped_and_the_next_run_has_its_own_settings(service):
    service.tell("refuse")
    with pytest.raises(RunError, match=r"only one job is allowed\. Name another queue"):
        service.detach("run.reclaim_retries=7")
    refused = service.last
    assert service.jobs == set()
    assert refused.read(OUTCOME)["stopped"]
    assert not goes_on(refused)
    service.forget("refuse")
    folder = service.detach("run.reclaim_retries=8")
    assert folder.uri != refused.uri
    assert service.jobs
    assert Life.of(folder).context.settings["run.reclaim_retries"] == 8


def test_reason_of_a_refusal_is_told_by_every_later_client(service):
    service.tell("refuse")
    with pytest.raises(RunError):
        service.detach()
    folder = service.last
    assert why_stopped(folder) == "only one job is allowed. Name another queue."
    with pytest.raises(InterruptedRunError, match="only one job is allowed"):
        take_up(folder)
    shown = CliRunner().invoke(status, [folder.uri]).output
    assert "stopped\nonly one job is allowed. Name another queue." in shown


def test_retry_that_is_refused_is_over_too_and_may_be_tried_again(service):
    service.tell("refuse")
    with pytest.raises(RunError):
        service.detach()
    with pytest.raises(RunError, match="only one job"):
        try_again(service.last)
    assert service.last.has(OUTCOME)
    assert service.jobs == set()
    service.forget("refuse")
    assert try_again(service.last, is_detached=True) is None
    assert len(service.jobs) == len(last_round(service.last).jobs)


def test_what_is_refused_while_a_run_is_followed_ends_it_with_the_reason(service):
    folder = service.detach()
    service.tell("reclaim")
    service.tell("refuse")
    with pytest.raises(RefusedError, match=r"^only one job is allowed\. Name another queue\.$"):
        take_up(folder)
    assert last_round(folder).number == 1
    assert not {job.name for job in last_round(folder).jobs} & service.jobs
    assert why_stopped(folder) == "only one job is allowed. Name another queue."
    assert not goes_on(folder)


def test_service_that_asks_to_come_slower_while_a_run_is_followed_does_not_end_it(service):
    folder = service.detach()
    service.tell("reclaim")
    service.tell("throttle")
    with pytest.raises(RunError, match=r"come slower\. The jobs of the run go on"):
        take_up(folder)
    assert not folder.has(OUTCOME)


def test_refused_submission_that_cannot_be_stopped_is_not_over(service):
    service.tell("refuse")
    service.tell("stuck")
    with pytest.raises(
        RunError,
        match=r"only one job .* could not be stopped: nobody may cancel here.*swath cancel",
    ):
        service.detach()
    assert len(service.jobs) == 1
    assert goes_on(service.last)
    service.forget("stuck")
    assert cancel(service.last)
    assert service.jobs == set()


def test_submission_that_was_not_answered_is_gone_on_with_by_the_next_client(service):
    service.tell("throttle")
    with pytest.raises(ThrottledError):
        service.detach()
    assert len(service.jobs) == 1
    assert goes_on(service.last)
    service.forget("throttle")
    Life.of(service.last).start()
    assert len(service.jobs) == len(last_round(service.last).jobs)


# ------------------------------------------------------------------ cancelling


def test_client_that_is_still_submitting_when_another_one_cancels_stops_all_of_it(service):
    service.tell("slow")
    raised = []

    def submit():
        try:
            service.detach()
        except InterruptedRunError as error:
            raised.append(error)

    client = threading.Thread(target=submit)
    client.start()
    until(lambda: service.jobs)
    # As a client on another machine does it that has no more patience.
    service.last.write(CANCELLED, {})
    service.last.write(OUTCOME, {"stopped": True})
    service.forget("slow")
    client.join()
    assert len(raised) == 1
    assert service.jobs == set()


def test_cancel_of_a_stopped_run_asks_the_service_once_more(service):
    folder = service.detach()
    names = [job.name for job in last_round(folder).jobs]
    assert cancel(folder)
    assert service.jobs == set()
    service.tell(f"jobs/{names[-1]}")  # somebody came too late
    assert cancel(folder)
    assert service.jobs == set()
    assert not cancel(folder)


def test_cancel_is_written_down_for_a_client_that_is_just_coming(lab):
    folder = lab.run(lab.pipeline(lab.copies("a", function="fail", params={"bad": ["a"]}))).folder
    folder.remove(OUTCOME)
    assert not goes_on(folder)
    assert cancel(folder)
    folder.remove(OUTCOME)  # the client had looked before it was there
    with pytest.raises(InterruptedRunError):
        take_up(folder)
    assert lab.ran == {"a": 1}


# ------------------------------------------------------------------ clients in the background


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def detach(runner, root, faults):
    """Start a diamond that hangs, from a process that goes; return the folder of the run."""
    (faults / "u1").write_text("hang")
    words = ("-a", "root_uri", root, "-a", "faults", faults, "--splits", "2", "--detach")
    subprocess.run(
        [sys.executable, "-m", "swath", "run", runner, "swath.testing.diamond", *map(str, words)],
        check=True,
        capture_output=True,
    )
    return list(runs_of(root))[-1]


def test_detached_run_is_never_without_a_client(tmp_path):
    folder = detach("inprocess", tmp_path / "root", tmp_path)
    assert is_in_hand(folder)
    assert goes_on(folder)
    assert cancel(folder)
    assert folder.read(OUTCOME)["stopped"]
    assert not is_in_hand(folder)


def test_client_in_the_background_that_cannot_start_is_told_of(tmp_path):
    folder = RunFolder.create(tmp_path)
    client = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(RunError, match=r"ended with exit code 3.*swath wait") as caught:
        hand_over(folder, client)
    assert caught.value.where == str(folder.path / "client.log")
    hand_over(folder, None)
    folder.write(OUTCOME, {})
    hand_over(folder, client)


def test_detached_processes_hear_of_a_cancel_on_another_machine(s3_bucket, tmp_path, monkeypatch):
    """Their locks are here and the folder of the run is on a store, so a client stands for them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
    folder = detach("local", f"s3://{s3_bucket}/root", tmp_path)
    until((tmp_path / "u1.hangs").exists)
    assert is_locked(folder, "alive")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert not is_locked(folder, "alive")
    assert goes_on(folder)
    assert cancel(folder, patience_s=60)
    with pytest.raises(InterruptedRunError):
        take_up(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
    assert not is_locked(folder, "alive")
    assert (tmp_path / "u1").exists()  # it was still hanging


def test_processes_that_a_killed_client_left_elsewhere_are_not_declared_stopped(
    s3_bucket, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
    folder = detach("local", f"s3://{s3_bucket}/root", tmp_path)
    until((tmp_path / "u1.hangs").exists)
    assert folder.read(RUN)["machine"] == this_machine()
    os.kill(client_of(folder), signal.SIGKILL)
    until(lambda: not is_in_hand(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    folder.write(RUN, folder.read(RUN) | {"machine": "node7 boot pid:[1]"})  # seen from another
    with pytest.raises(RunError, match=r"on .node7. cannot be stopped") as caught:
        cancel(folder)
    assert f"Stop them there: swath cancel {folder.uri}" in str(caught.value)
    assert not folder.has(OUTCOME)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "here"))
    assert is_locked(folder, "alive")
    folder.write(RUN, folder.read(RUN) | {"machine": this_machine()})
    assert cancel(folder)
    assert not is_locked(folder, "alive")


def test_run_of_which_all_is_done_can_be_cancelled_from_anywhere(lab):
    folder = lab.run(lab.pipeline(lab.copies("a"))).folder
    folder.remove(OUTCOME)  # its client was killed at the last moment
    about = folder.read(RUN) | {"runner": "local", "machine": "node7 boot pid:[1]"}
    folder.write(RUN, about)
    assert cancel(folder)
    assert folder.has(OUTCOME)


def test_processes_that_were_started_elsewhere_are_not_declared_over(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    folder.write(PLAN, {"nodes": [], "splits": [], "experiments": []})
    folder.write(RUN, {"runner": "local", "settings": {}, "keep_going": False})
    with pytest.raises(RunError, match="was not started on this machine"):
        take_up(folder)
    assert not folder.has(OUTCOME)


def test_host_that_was_started_anew_has_lost_its_processes():
    host, boot, *rest = this_machine().split(" ")
    assert not is_elsewhere(this_machine())
    assert not is_elsewhere(" ".join([host, "another-boot", *rest]))
    assert is_elsewhere(" ".join([host, boot, "pid:[1]"]))  # another container
    assert is_elsewhere(" ".join([host + "2", boot, *rest]))
