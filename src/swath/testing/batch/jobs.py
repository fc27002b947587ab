"""One job of AWS Batch: its state, and how the service tells it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from swath.testing.batch.definitions import ContainerSettings, JobDefinition
from swath.testing.batch.queues import Queue
from swath.testing.containers import Container
from swath.testing.model import Json
from swath.testing.protocol import ACCOUNT, REGION

STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
FINAL = frozenset({"SUCCEEDED", "FAILED"})
EXITED = "Essential container in task exited"


def now_ms() -> int:
    """Return milliseconds since the epoch."""
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Ending:
    """Why a container was ended from outside, as the attempt tells it afterwards.

    Attributes
    ----------
    status_reason
        Of the job.
    reason
        Of the container.
    exit_code
        Of the container, in place of the process's own.
    is_lost
        Nobody is left to tell an exit code.
    final
        No retry strategy is asked.
    """

    status_reason: str
    reason: str | None = None
    exit_code: int | None = None
    is_lost: bool = False
    final: bool = False


@dataclass(eq=False)
class Job:
    """A job: a single one, an array's parent, or an array's child.

    Attributes
    ----------
    request
        SubmitJob's parameters; those of the parent for a child.
    parent, index
        For a child.
    waiting
        What has to come before: ids of jobs that have to succeed.
    ending
        Why the present attempt is being ended from outside, if it is.
    devices
        Numbers of the GPUs that the present attempt has.
    """

    id: str
    request: Json
    queue: Queue
    definition: JobDefinition
    settings: ContainerSettings
    parent: Job | None = None
    index: int | None = None
    status: str = "SUBMITTED"
    status_reason: str | None = None
    created_ms: int = field(default_factory=now_ms)
    started_ms: int | None = None
    stopped_ms: int | None = None
    attempts: list[Json] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    children: list[Job] = field(default_factory=list)
    n_unfinished: int = 0
    container: Container | None = None
    container_detail: Json = field(default_factory=dict)
    ending: Ending | None = None
    is_cancelled: bool = False
    is_terminated: bool = False
    devices: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the job."""
        return str(self.request["jobName"])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:batch:{REGION}:{ACCOUNT}:job/{self.id}"

    @property
    def size(self) -> int | None:
        """Number of children, None if this is no parent."""
        if self.parent is not None:
            return None
        size: int | None = self.request.get("arrayProperties", {}).get("size")
        return size

    @property
    def is_finished(self) -> bool:
        """Whether the state is a last one."""
        return self.status in FINAL

    @property
    def strategy(self) -> Json:
        """The retry strategy: the job's own, or the definition's."""
        found = self.request.get("retryStrategy", self.definition.request.get("retryStrategy"))
        return dict(found or {"attempts": 1})

    @property
    def timeout_s(self) -> int | None:
        """Seconds that an attempt may take."""
        found = self.request.get("timeout", self.definition.request.get("timeout"))
        return None if found is None else int(found["attemptDurationSeconds"])

    def summary(self) -> Json:
        """Return what ListJobs tells."""
        told: Json = {
            "jobArn": self.arn,
            "jobId": self.id,
            "jobName": self.name,
            "createdAt": self.created_ms,
            "status": self.status,
            "jobDefinition": self.definition.arn,
            "statusReason": self.status_reason,
            "startedAt": self.started_ms,
            "stoppedAt": self.stopped_ms,
            "isCancelled": self.is_cancelled or None,
            "isTerminated": self.is_terminated or None,
            "arrayProperties": self._array(),
        }
        ended = {key: self.container_detail.get(key) for key in ("exitCode", "reason")}
        told["container"] = without_none(ended) or None
        return without_none(told)

    def detail(self) -> Json:
        """Return what DescribeJobs tells."""
        told = self.summary() | {
            "jobQueue": self.queue.arn,
            "dependsOn": self.request.get("dependsOn", []),
            "parameters": self.definition.request.get("parameters", {})
            | self.request.get("parameters", {}),
            "retryStrategy": self.strategy,
            "timeout": None
            if self.timeout_s is None
            else {"attemptDurationSeconds": self.timeout_s},
            "attempts": list(self.attempts),
            "tags": self.request.get("tags"),
            "propagateTags": self.request.get("propagateTags"),
            "platformCapabilities": self.definition.request.get("platformCapabilities", ["EC2"]),
            "container": self.settings.detail | self.container_detail,
        }
        return without_none(told)

    def _array(self) -> Json | None:
        if self.index is not None:
            return {"index": self.index}
        if self.size is None:
            return None
        counted = Counter(child.status for child in self.children)
        return {
            "size": self.size,
            "statusSummary": {state: counted[state] for state in STATES},
            "statusSummaryLastUpdatedAt": now_ms(),
        }


def without_none(told: Json) -> Json:
    """Return what is told, less what there is nothing to tell about."""
    return {key: value for key, value in told.items() if value is not None}
