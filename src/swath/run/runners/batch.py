"""The `batch` runner: AWS Batch takes the whole graph, as arrays of jobs that wait for each other.

What is sent is made by `batch_request`, what comes back is read by `batch_state`, and what has to
be there before is checked by `batch_check`. Here is only who asks AWS what, and how seldom.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any

from swath.errors import ThrottledError, UnansweredError
from swath.run import aws
from swath.run.jobs import Job, jobs_of
from swath.run.runner import Abilities, Finding, RunContext, Runner, Seen, Severity
from swath.run.runners.batch_check import (
    definition_findings,
    limit_findings,
    queue_findings,
    targets,
)
from swath.run.runners.batch_request import ARRAY_SIZE, DEPENDENCIES, queue_of, request_of
from swath.run.runners.batch_state import (
    STOPPED,
    Told,
    blamed_on_relays,
    elements,
    forgotten,
    n_failed,
    seen_of,
)
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import Settings

AT_ONCE = 100
"""Splits that a queue is taken to run at once, for ``--splits auto``."""

LARGEST_DESCRIPTION = 100
"""Jobs that one request describes."""

LOG_GROUP = "/aws/batch/job"
"""Where Batch puts the output of jobs whose definition does not say."""

UNHEARD_S = 1.0
"""Seconds that a job is given to show up in lists before it is taken not to have been submitted."""

_ASKED = "AWS Batch"


def make_runner(settings: Settings) -> Runner:
    """Return the runner."""
    return SubmittedRunner(BatchBackend(settings))


class BatchBackend:
    """Jobs, arrays and their dependencies on AWS Batch.

    Parameters
    ----------
    settings
        Of the user.
    array_size
        Longest array; longer ones become several.
    """

    def __init__(self, settings: Settings, *, array_size: int = ARRAY_SIZE) -> None:
        self._settings = settings
        self._array_size = array_size
        self._failed: dict[str, dict[int, Seen]] = {}

    @property
    def abilities(self) -> Abilities:
        """Arrays with all edges, on other machines, that need no client."""
        settings = self._settings
        return Abilities(
            parallelism=AT_ONCE,
            sees_local_files=False,
            shares_cores=False,
            cpus=settings.count("batch.cpus", 2),
            memory_gib=settings.count("batch.memory_gib", 7),
            outlives_client=True,
            array_size=self._array_size,
            has_array_edges=True,
            max_after=DEPENDENCIES,
            poll_s=settings.count("aws.poll_s", 10),
        )

    @cached_property
    def _client(self) -> Any:
        return aws.client("batch", self._settings)

    @cached_property
    def _careful_client(self) -> Any:
        """A client that tries each request once."""
        return aws.client("batch", self._settings, attempts=1)

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check settings, credentials, queues, definitions and images."""
        abilities = self.abilities
        jobs = jobs_of(
            splits,
            prefix="check",
            array_size=abilities.array_size,
            has_array_edges=abilities.has_array_edges,
            max_after=abilities.max_after,
        )
        found, missing = targets(jobs, self._settings)
        yield from missing
        yield from limit_findings(jobs, self._settings)
        identity = aws.identity_finding(self._settings)
        yield identity
        if identity.severity is not Severity.ERROR and found:
            yield from queue_findings(self._client, found)
            yield from definition_findings(self._client, found, self._settings)

    def requests(self, context: RunContext, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Return the parameters of SubmitJob, with names in the place of ids."""
        ids = {job.name: f"<id of {job.name}>" for job in jobs}
        return [self._request(context, job, ids) for job in jobs]

    def _request(self, context: RunContext, job: Job, ids: Mapping[str, str]) -> dict[str, Any]:
        return request_of(
            job,
            ids,
            folder=context.folder,
            settings=self._settings,
            region=self._client.meta.region_name,
        )

    def find(self, context: RunContext, names: Collection[str]) -> dict[str, str]:
        """List the jobs of this run in each queue; of several of one name the first counts."""
        values = [f"{context.folder.id}-*"]
        found: dict[str, str] = {}
        for queue in self._queues(context):
            listed = aws.pages(
                self._client,
                "list_jobs",
                "jobSummaryList",
                _ASKED,
                jobQueue=queue,
                filters=[{"name": "JOB_NAME", "values": values}],
            )
            found |= {item["jobName"]: item["jobId"] for item in listed}  # the latest come first
        return {name: found[name] for name in names if name in found}

    def _queues(self, context: RunContext) -> list[str]:
        """Return the queues that jobs of this run are in, those of relays included."""
        kinds = {(split.kind, split.resources.gpus) for split in context.splits}
        found = {queue_of(kind, gpus, self._settings) for kind, gpus in kinds}
        if self._settings["batch.cpu_queue"] is not None:
            found.add(queue_of("", 0, self._settings))
        return sorted(found)

    def submit(
        self, context: RunContext, jobs: Sequence[Job], known: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """Submit one job after the other."""
        ids = dict(known)
        for job in jobs:
            ids[job.name] = self._submit(context, self._request(context, job, ids))
            yield job.name, ids[job.name]

    def _submit(self, context: RunContext, request: Mapping[str, Any]) -> str:
        """Submit a job and return its id; a job that was submitted unheard is found by its name.

        AWS cannot tell a second try from a second job: SubmitJob takes no token.
        """
        name, is_unheard = request["jobName"], False
        for attempt in count(1):
            try:
                with aws.asked(_ASKED):
                    return str(self._careful_client.submit_job(**request)["jobId"])
            except (ThrottledError, UnansweredError) as error:
                if attempt == aws.ATTEMPTS:
                    raise
                is_unheard = is_unheard or isinstance(error, UnansweredError)
            time.sleep(random.random() * min(2**attempt, aws.LONGEST_PAUSE_S))
            if is_unheard:
                time.sleep(UNHEARD_S)
                if found := self.find(context, {name}):
                    return found[name]
        raise AssertionError("counting has no end")

    def look(
        self,
        context: RunContext,  # noqa: ARG002 - ids say all
        jobs: Sequence[Job],
        ids: Mapping[str, str],
    ) -> dict[str, Seen]:
        """Describe jobs and arrays by 100, and list the children of arrays that failed."""
        firsts = [f"{ids[job.name]}:0" for job in jobs if job.is_array]
        told = self._describe([*(ids[job.name] for job in jobs), *firsts])
        seen: dict[str, Seen] = {}
        relays: dict[str, Seen] = {}
        for job in jobs:
            job_id = ids[job.name]
            if job_id not in told:
                seen |= dict.fromkeys(job.splits, forgotten(job_id))
            elif job.is_relay:
                relays[job.name] = seen_of(told[job_id])
            elif job.is_array:
                known = self._failed_children(told[job_id]) | _blocked(told.get(f"{job_id}:0"))
                seen |= elements(job, told[job_id], known)
            else:
                seen[job.splits[0]] = seen_of(told[job_id])
        return seen | blamed_on_relays(jobs, relays, seen)

    def _describe(self, ids: Sequence[str]) -> dict[str, Told]:
        """Return what AWS says of jobs, by id; without those that it does not know."""
        found: dict[str, Told] = {}
        for start in range(0, len(ids), LARGEST_DESCRIPTION):
            some = list(ids[start : start + LARGEST_DESCRIPTION])
            with aws.asked(_ASKED):
                answer = self._client.describe_jobs(jobs=some)
            found |= {item["jobId"]: item for item in answer["jobs"]}
        return found

    def _failed_children(self, parent: Told) -> dict[int, Seen]:
        """Return what is said of each child of an array that failed, by index.

        They are listed again only when there are more of them.
        """
        job_id = parent["jobId"]
        if len(self._failed.get(job_id, ())) != n_failed(parent):
            listed = aws.pages(
                self._client,
                "list_jobs",
                "jobSummaryList",
                _ASKED,
                arrayJobId=job_id,
                jobStatus="FAILED",
            )
            self._failed[job_id] = {
                item["arrayProperties"]["index"]: seen_of(item) for item in listed
            }
        return self._failed.get(job_id, {})

    def cancel(
        self,
        context: RunContext,  # noqa: ARG002
        jobs: Sequence[Job],
        ids: Mapping[str, str],
        *,
        only_waiting: bool,
    ) -> None:
        """Stop jobs, the last ones first; what is asked of an array is asked of its children.

        CancelJob leaves alone what has started.
        """
        told = self._describe([ids[job.name] for job in reversed(jobs)])
        stop = self._client.cancel_job if only_waiting else self._client.terminate_job
        for job_id, item in told.items():
            if not seen_of(item).has_ended:
                with aws.asked(_ASKED):
                    stop(jobId=job_id, reason=STOPPED)

    def logs(
        self,
        context: RunContext,  # noqa: ARG002
        ids: Mapping[str, str],
        job: Job,
        key: str,
    ) -> str:
        """Return what CloudWatch has of the last attempt."""
        if job.name not in ids:
            return ""
        job_id = ids[job.name]
        if job.is_array:
            job_id += f":{job.splits.index(key)}"
        container = self._describe([job_id]).get(job_id, {}).get("container", {})
        if "logStreamName" not in container:
            return ""
        options = container.get("logConfiguration", {}).get("options", {})
        group = options.get("awslogs-group", LOG_GROUP)
        return aws.log_text(self._settings, group, container["logStreamName"])


def _blocked(first: Told | None) -> dict[int, Seen]:
    """Return what is said of the first child of an array if it waits for what will not come."""
    seen = None if first is None else seen_of(first)
    return {0: seen} if seen is not None and seen.reason and not seen.has_ended else {}
