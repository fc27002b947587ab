"""ListJobs of AWS Batch: by queue and status, by array, by filter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from swath.testing.batch.definitions import INVALID
from swath.testing.batch.jobs import Job
from swath.testing.batch.queues import Queues
from swath.testing.model import Json
from swath.testing.paging import page
from swath.testing.protocol import ServiceError, refuse_beyond

_KNOWN = ("jobQueue", "arrayJobId", "jobStatus", "maxResults", "nextToken", "filters")
LARGEST_PAGE = 1000
LARGEST_FILTERED_PAGE = 100


def list_jobs(jobs: Mapping[str, Job], queues: Queues, request: Json) -> Json:
    """Answer ListJobs.

    Of a queue the jobs that nobody spawned are listed, of an array its children. Without a status
    only those are listed that are RUNNING; with a filter the status does not count, as documented.
    The latest come first.

    Parameters
    ----------
    jobs
        By id, in the order of their creation.
    """
    refuse_beyond(_KNOWN, request, "ListJobs")
    if ("jobQueue" in request) == ("arrayJobId" in request):
        raise ServiceError(INVALID, "one of jobQueue and arrayJobId must be given")
    filters = request.get("filters", [])
    largest = LARGEST_FILTERED_PAGE if filters else LARGEST_PAGE
    size = request.get("maxResults", largest)
    if size < 1:
        raise ServiceError(INVALID, f"maxResults must be at least 1, not {size}")
    if "arrayJobId" in request:
        if filters:
            raise ServiceError(INVALID, "filters do not apply to the children of an array")
        parent = jobs.get(request["arrayJobId"])
        candidates = [] if parent is None else parent.children
    else:
        queue = queues.find(request["jobQueue"])
        candidates = [
            job
            for job in reversed(list(jobs.values()))
            if job.parent is None and job.queue is queue
        ]
    matches = _filter(filters)
    status = request.get("jobStatus", "RUNNING")
    found = [job for job in candidates if (matches(job) if matches else job.status == status)]
    shown, token = page(found, request.get("nextToken"), min(size, largest), invalid=INVALID)
    answer: Json = {"jobSummaryList": [job.summary() for job in shown]}
    return answer if token is None else answer | {"nextToken": token}


def _filter(filters: list[Json]) -> Callable[[Job], bool] | None:
    if not filters:
        return None
    if len(filters) > 1:
        raise ServiceError(INVALID, "only one filter can be used at a time")
    name, values = filters[0].get("name"), filters[0].get("values", [])
    if not values:
        raise ServiceError(INVALID, f"filter {name} has no values")
    if name == "JOB_NAME":
        return lambda job: any(_named(job.name.lower(), value.lower()) for value in values)
    if name == "JOB_DEFINITION":
        return lambda job: any(
            value == job.definition.arn or _named(job.definition.name, value) for value in values
        )
    if name == "AFTER_CREATED_AT":
        return lambda job: job.created_ms > int(values[0])
    if name == "BEFORE_CREATED_AT":
        return lambda job: job.created_ms < int(values[0])
    raise ServiceError(INVALID, f"there is no filter {name}")


def _named(name: str, value: str) -> bool:
    return name.startswith(value[:-1]) if value.endswith("*") else name == value
