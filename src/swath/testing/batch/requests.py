"""What AWS Batch answers to requests about jobs."""

from __future__ import annotations

import uuid

from swath.testing.batch.definitions import INVALID, JobDefinitions
from swath.testing.batch.jobs import Job
from swath.testing.batch.limits import submit_problems
from swath.testing.batch.listing import list_jobs
from swath.testing.batch.queues import Queues
from swath.testing.batch.scheduler import Scheduler
from swath.testing.model import Json
from swath.testing.protocol import ServiceError, refuse_beyond

_KNOWN = (
    "jobName",
    "jobQueue",
    "arrayProperties",
    "dependsOn",
    "jobDefinition",
    "parameters",
    "containerOverrides",
    "retryStrategy",
    "propagateTags",
    "timeout",
    "tags",
)
LARGEST_DESCRIPTION = 100
_KNOWN_OVERRIDES = ("command", "environment", "resourceRequirements")


class JobRequests:
    """SubmitJob, DescribeJobs, ListJobs, CancelJob and TerminateJob.

    Parameters
    ----------
    queues, definitions
        What jobs may name.
    scheduler
        What knows and runs the jobs.
    """

    def __init__(self, queues: Queues, definitions: JobDefinitions, scheduler: Scheduler) -> None:
        self._queues = queues
        self._definitions = definitions
        self._scheduler = scheduler

    def submit(self, request: Json) -> Json:
        """SubmitJob."""
        refuse_beyond(_KNOWN, request, "SubmitJob")
        overrides = request.get("containerOverrides", {})
        refuse_beyond(_KNOWN_OVERRIDES, overrides, "containerOverrides")
        problems = submit_problems(request)
        if problems:
            raise ServiceError(INVALID, "Error executing request: " + "; ".join(problems))
        queue = self._queues.find(request["jobQueue"])
        if queue.state != "ENABLED":
            raise ServiceError(INVALID, f"JobQueue {queue.name} is not ENABLED")
        definition = self._definitions.find(request["jobDefinition"])
        settings = definition.container(overrides, request.get("parameters", {}))
        if not settings.command:
            raise ServiceError(
                "NotImplementedByFake", "The fake has no images: a command must be given.", 501
            )
        self._check_dependencies(request)
        job = Job(str(uuid.uuid4()), request, queue, definition, settings)
        self._scheduler.submit(job)
        return {"jobArn": job.arn, "jobName": job.name, "jobId": job.id}

    def _check_dependencies(self, request: Json) -> None:
        size = request.get("arrayProperties", {}).get("size")
        for item in request.get("dependsOn", ()):
            if "jobId" not in item:
                continue
            other = self._scheduler.jobs.get(item["jobId"])
            if other is None:
                raise ServiceError(INVALID, f"Job {item['jobId']} does not exist")
            if item.get("type") == "N_TO_N" and other.size != size:
                raise ServiceError(
                    INVALID, f"N_TO_N needs arrays of one size, not {size} and {other.size}"
                )

    def describe(self, request: Json) -> Json:
        """DescribeJobs; ids that there are not are left out."""
        if len(request["jobs"]) > LARGEST_DESCRIPTION:
            raise ServiceError(
                INVALID, f"at most {LARGEST_DESCRIPTION} jobs, not {len(request['jobs'])}"
            )
        found = [self._scheduler.jobs.get(job_id) for job_id in request["jobs"]]
        return {"jobs": [job.detail() for job in found if job is not None]}

    def list(self, request: Json) -> Json:
        """ListJobs."""
        return list_jobs(self._scheduler.jobs, self._queues, request)

    def cancel(self, request: Json) -> Json:
        """CancelJob."""
        self._scheduler.cancel(self._existing(request["jobId"]), request["reason"])
        return {}

    def terminate(self, request: Json) -> Json:
        """TerminateJob."""
        self._scheduler.terminate(self._existing(request["jobId"]), request["reason"])
        return {}

    def _existing(self, job_id: str) -> Job:
        job = self._scheduler.jobs.get(job_id)
        if job is None:
            raise ServiceError(INVALID, f"Job {job_id} does not exist")
        return job
