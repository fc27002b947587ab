"""The `slurm` runner: sbatch takes the whole graph, as arrays of jobs that wait for each other.

What is submitted is made by `slurm_request`, what Slurm says is read by `slurm_state`, and what has
to be there before is checked by `slurm_checks`. Here is only who asks Slurm what, and how seldom:
one call of squeue tells of all jobs of a run.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from swath.errors import SwathError, UnansweredError
from swath.run.jobs import Job
from swath.run.rounds import last_round
from swath.run.runner import (
    Abilities,
    Finding,
    JobState,
    RunContext,
    Runner,
    Seen,
    Severity,
)
from swath.run.runners.slurm_checks import (
    SINFO,
    files_finding,
    offers_in,
    partition_findings,
    trial_findings,
)
from swath.run.runners.slurm_programs import PAUSES_S, SlurmRefusedError, call, patiently
from swath.run.runners.slurm_queue import Place, Queue, Record, cancel, own_records
from swath.run.runners.slurm_request import SCRIPT, output_of, request_of
from swath.run.runners.slurm_state import NEVER, forgotten, refused, seen_of, unsubmitted
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import Settings

AT_ONCE = 100
"""Splits that a cluster is taken to run at once, for ``--splits auto``."""

UNSAID_ARRAY = 1001
"""MaxArraySize of a Slurm that does not say otherwise."""

LAG_S = 60.0
"""A shared file system shows within this time what another machine has written."""

STOP_S = 10.0
"""What is cancelled is given so long to stop before we go."""


def make_runner(settings: Settings) -> Runner:
    """Return the runner."""
    return SubmittedRunner(SlurmBackend(settings))


class SlurmBackend:
    """Jobs, arrays and their dependencies in the queue of this user.

    Parameters
    ----------
    settings
        Of the user.
    lag_s
        So long after a job has ended well, what it wrote may not be seen yet.
    """

    def __init__(self, settings: Settings, *, lag_s: float = LAG_S) -> None:
        self._settings = settings
        self._lag_s = lag_s
        self._queue = Queue()
        self._first_idle: dict[Place, float] = {}

    @property
    def abilities(self) -> Abilities:
        """Arrays with all edges, that need no client."""
        settings = self._settings
        return Abilities(
            parallelism=settings.count("slurm.tasks", AT_ONCE),
            sees_local_files=settings.is_on("slurm.shared_files"),
            shares_cores=False,
            cpus=settings.count("slurm.cpus", 1),
            memory_gib=settings.count("slurm.memory_gib", 4),
            outlives_client=True,
            array_size=_array_size(os.environ.get("SLURM_CONF")),
            has_array_edges=True,
            poll_s=settings.count("slurm.poll_s", 10),
        )

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check programs, controller, partitions and sizes, and ask Slurm what it thinks."""
        try:
            version, offers = call("sbatch", "--version").strip(), offers_in(call(*SINFO))
        except SwathError as error:
            yield Finding(Severity.ERROR, error.what, error.mend or "")
            return
        names = ", ".join(dict.fromkeys(offer.partition for offer in offers))
        yield Finding(Severity.FINE, f"{version} answers, with partitions {names}")
        yield files_finding(self._settings)
        found = list(partition_findings(splits, offers, self._settings))
        yield from found
        if not any(finding.severity is Severity.ERROR for finding in found):
            yield from trial_findings(splits, self._settings)

    def requests(self, context: RunContext, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Return the commands, with names in the place of ids, and the script that they read."""
        ids = {job.name: f"<id of {job.name}>" for job in jobs}
        return [
            {"command": self._request(context, job, ids), "input": SCRIPT.splitlines()}
            for job in jobs
        ]

    def _request(self, context: RunContext, job: Job, ids: Mapping[str, str]) -> list[str]:
        return request_of(job, ids, folder=context.folder, settings=self._settings)

    def find(
        self,
        context: RunContext,  # noqa: ARG002
        names: Collection[str],
    ) -> dict[str, str]:
        """Look for names in the queue of this user."""
        records = patiently(own_records)
        return {record.name: record.job_id for record in records if record.name in names}

    def submit(
        self, context: RunContext, jobs: Sequence[Job], known: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """Submit one job after the other.

        What waits for a job that Slurm refused, or that an earlier client had submitted and that
        has failed since, is not submitted: once Slurm has forgotten a job it takes every wait for
        it as satisfied.
        """
        hopeless = self._hopeless(context, known) if known else set()
        (context.folder.machine_path / "logs").mkdir(parents=True, exist_ok=True)
        ids = dict(known)
        for job in jobs:
            is_hopeless = any(edge.job in hopeless for edge in job.after)
            ids[job.name] = NEVER if is_hopeless else self._submit(context, job, ids)
            if unsubmitted(ids[job.name]) is not None:
                hopeless.add(job.name)
            yield job.name, ids[job.name]

    def _hopeless(self, context: RunContext, known: Mapping[str, str]) -> set[str]:
        now = last_round(context.folder)
        jobs = [job for job in now.jobs if job.name in known] if now else []
        seen = self.look(context, jobs, known)
        bad = {JobState.FAILED, JobState.GONE}
        return {job.name for job in jobs if any(seen[key].state in bad for key in job.splits)}

    def _submit(self, context: RunContext, job: Job, ids: Mapping[str, str]) -> str:
        """Submit a job and return its id, or why Slurm refuses it.

        One that was submitted unheard is found by its name.
        """
        arguments = self._request(context, job, ids)
        variables = self._settings.variables("store.")
        for pause in (*PAUSES_S, None):
            try:
                told = call(*arguments, script=SCRIPT, variables=variables)
                return told.partition(";")[0].strip()  # the name of a cluster may follow
            except SlurmRefusedError as error:
                return refused(error.what)
            except UnansweredError:
                if pause is None:
                    raise
                time.sleep(pause)
            if found := self.find(context, {job.name}):
                return found[job.name]
        raise AssertionError

    def look(
        self, context: RunContext, jobs: Sequence[Job], ids: Mapping[str, str]
    ) -> dict[str, Seen]:
        """Say what Slurm says, and of what it has forgotten what the folder of the run tells."""
        own = {record.place: record for record in own_records()}
        done = context.folder.done()
        left = {
            place
            for _, key, place in _elements(jobs, ids)
            if key not in done and unsubmitted(place[0]) is None
        }
        known = self._queue.known(own, left)
        started = _started(context) if left - known.keys() else set()
        seen: dict[str, Seen] = {}
        for job, key, place in _elements(jobs, ids):
            if key in done:
                seen[key] = Seen(JobState.DONE)
            elif place in known:
                output = functools.partial(_output, context, job, place[1])
                seen[key] = self._seen(known[place], output)
            else:
                gone = unsubmitted(place[0])
                seen[key] = gone or forgotten(place, has_started=key in started)
        return seen

    def _seen(self, record: Record, output: Callable[[], str]) -> Seen:
        """Say what has become of what is not done as far as the folder of the run shows."""
        seen = seen_of(record, output)
        if seen.state is JobState.DONE:
            since = self._first_idle.setdefault(record.place, time.monotonic())
            if time.monotonic() - since < self._lag_s:
                return Seen(JobState.RUNNING)
        return seen

    def cancel(
        self,
        context: RunContext,  # noqa: ARG002
        jobs: Sequence[Job],
        ids: Mapping[str, str],
        *,
        only_waiting: bool,
    ) -> None:
        """Cancel what waits, or everything; then what runs is given some time to stop."""
        wanted = {ids[job.name] for job in jobs}
        told: set[str] = set()
        end = time.monotonic() + STOP_S
        while True:
            active = {
                record.job_id
                for record in patiently(own_records, PAUSES_S[:4])
                if record.job_id in wanted
                and not record.has_ended
                and (record.is_waiting or not only_waiting)
            }
            if new := active - told:
                cancel(new, only_waiting=only_waiting)
                told |= new
            if only_waiting or not active or time.monotonic() > end:
                return
            time.sleep(0.2)

    def logs(
        self,
        context: RunContext,
        ids: Mapping[str, str],  # noqa: ARG002
        job: Job,
        key: str,
    ) -> str:
        """Return what Slurm wrote into the output of an element, its own words included."""
        return _output(context, job, job.splits.index(key) if job.is_array else None)


def _elements(jobs: Sequence[Job], ids: Mapping[str, str]) -> Iterator[tuple[Job, str, Place]]:
    """Yield every element of jobs, with the key of its split and its place in Slurm."""
    for job in jobs:
        for i, key in enumerate(job.splits):
            yield job, key, (ids[job.name], i if job.is_array else None)


def _output(context: RunContext, job: Job, index: int | None) -> str:
    try:
        return output_of(job, context.folder, index).read_text(errors="replace")
    except FileNotFoundError:
        return ""


@functools.cache
def _array_size(conf: str | None) -> int:  # noqa: ARG001 - another configuration, another cluster
    """Return the longest array that Slurm takes, asked once."""
    with suppress(SwathError):
        found = re.search(
            r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE
        )
        if found:
            return int(found[1])
    return UNSAID_ARRAY


def _started(context: RunContext) -> set[str]:
    """Return the keys of the splits whose workers have told anything."""
    listed = context.folder.store.list(context.folder.place("events"))
    return {name.partition(".")[0] for name, _ in listed}
