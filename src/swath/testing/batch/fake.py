"""AWS Batch on loopback."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from swath.testing.batch.attempts import LOG_GROUP, OUT_OF_MEMORY
from swath.testing.batch.definitions import INVALID, JobDefinitions
from swath.testing.batch.jobs import EXITED, FINAL, Ending, Job
from swath.testing.batch.queues import Queue, Queues
from swath.testing.batch.requests import JobRequests
from swath.testing.batch.scheduler import Scheduler
from swath.testing.containers import Machine, Programs
from swath.testing.logs import LogBook
from swath.testing.model import Json
from swath.testing.service import FakeService


class FakeBatch(FakeService):
    """AWS Batch that runs the commands of its jobs as processes of this machine.

    Known are DescribeJobQueues, DescribeComputeEnvironments, RegisterJobDefinition,
    DeregisterJobDefinition, DescribeJobDefinitions, SubmitJob, DescribeJobs, ListJobs, CancelJob
    and TerminateJob. Anything else, and any parameter that would be ignored, is an error.

    Parameters
    ----------
    programs
        What runs in place of a program of the image, by default `swath` and `python` of this
        interpreter; see `swath.testing.containers.Machine`.
    environment
        Variables that every container sees beside its own; by default those of this process.
    folder
        Where containers stand and print; by default a temporary folder.
    second_s
        How long a second of the service's time limits lasts here: 0.01 makes a timeout of 60 s
        one of 0.6 s.

    Examples
    --------
    >>> import boto3
    >>> with FakeBatch() as batch:
    ...     batch.add_queue("cpu", slots=2)
    ...     hello = batch.add_definition("hello", command=["python", "-c", "print('hello')"])
    ...     client = boto3.client(
    ...         "batch",
    ...         endpoint_url=batch.endpoint,
    ...         region_name="us-east-1",
    ...         aws_access_key_id="a",
    ...         aws_secret_access_key="b",
    ...     )
    ...     job = client.submit_job(jobName="one", jobQueue="cpu", jobDefinition=hello)
    ...     batch.wait_for(job["jobId"])
    ...     print(batch.log(job["jobId"]), end="")
    'SUCCEEDED'
    hello
    """

    service = "batch"
    invalid = INVALID
    throttling = ("TooManyRequestsException", 429)

    def __init__(
        self,
        *,
        programs: Programs | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        second_s: float = 1.0,
    ) -> None:
        super().__init__()
        self._queues = Queues()
        self._definitions = JobDefinitions()
        self._machine = Machine(programs=programs, environment=environment, folder=folder)
        self.logs = LogBook(self._machine.folder)
        self._memory_needed: dict[str, int] = {}
        self._scheduler = Scheduler(
            self.changed,
            self._machine,
            self.logs,
            second_s=second_s,
            memory_needed=self._needed_by,
        )
        jobs = JobRequests(self._queues, self._definitions, self._scheduler)
        self.handlers = {
            "DescribeJobQueues": self._queues.describe,
            "DescribeComputeEnvironments": self._queues.describe_environments,
            "RegisterJobDefinition": self._definitions.register,
            "DeregisterJobDefinition": self._definitions.deregister,
            "DescribeJobDefinitions": self._definitions.describe,
            "SubmitJob": jobs.submit,
            "DescribeJobs": jobs.describe,
            "ListJobs": jobs.list,
            "CancelJob": jobs.cancel,
            "TerminateJob": jobs.terminate,
        }

    def close(self) -> None:
        """Stop listening, and end every container."""
        super().close()
        self._scheduler.attempts.close()
        self._machine.close()
        self._scheduler.attempts.join()
        self._machine.remove()

    # ------------------------------------------------------------ what is there

    def add_queue(
        self,
        name: str,
        *,
        slots: int = 2,
        gpus: int = 0,
        vcpus: int = 16,
        memory_mib: int = 65_536,
        instance_types: Sequence[str] = ("optimal",),
        spot: bool = True,
        state: str = "ENABLED",
    ) -> None:
        """Declare a job queue, with a compute environment called ``<name>-environment``.

        Parameters
        ----------
        slots
            Containers that run at once.
        gpus
            Devices, shared by the containers that run at once.
        vcpus, memory_mib
            Of the largest instance. A job that asks for more stays RUNNABLE for ever, with a
            reason, as one that asks for more GPUs than there are.
        spot
            Whether the environment says that it is of type SPOT.
        state
            ``"DISABLED"`` takes no jobs.
        """
        queue = Queue(name, slots, gpus, vcpus, memory_mib, instance_types, spot, state)
        with self.changed:
            self._queues.add(queue)

    def add_definition(
        self,
        name: str,
        *,
        command: Sequence[str] = (),
        image: str = "swath",
        vcpus: int = 1,
        memory_mib: int = 2048,
        gpus: int = 0,
        environment: Mapping[str, str] | None = None,
        properties: Json | None = None,
        **more: object,
    ) -> str:
        """Register a job definition, or a new revision of one, and return its ARN.

        Parameters
        ----------
        properties
            More of ``containerProperties``: ``jobRoleArn`` and so on.
        **more
            More of RegisterJobDefinition: ``retryStrategy``, ``timeout`` and so on.
        """
        amounts = {"VCPU": vcpus, "MEMORY": memory_mib, "GPU": gpus}
        container = {
            "image": image,
            "command": list(command),
            "environment": [
                {"name": key, "value": value} for key, value in (environment or {}).items()
            ],
            "resourceRequirements": [
                {"type": kind, "value": str(value)} for kind, value in amounts.items() if value
            ],
        }
        request: Json = {
            "jobDefinitionName": name,
            "type": "container",
            "containerProperties": container | (properties or {}),
            **more,
        }
        with self.changed:
            return str(self._definitions.register(request)["jobDefinitionArn"])

    # ------------------------------------------------------------ what happens

    def reclaim(self, job_id: str) -> None:
        """Take the spot instance away on which a job runs."""
        reason = f"Host EC2 (instance i-{secrets.token_hex(8)}) terminated."
        self._end(job_id, Ending(reason, is_lost=True))

    def run_out_of_memory(self, job_id: str) -> None:
        """End the container of a job as if it had used more memory than it asked for."""
        self._end(job_id, OUT_OF_MEMORY)

    def need_memory(self, name: str, memory_mib: int) -> None:
        """Let jobs run out of memory as long as they ask for less than this.

        Parameters
        ----------
        name
            Glob pattern for the name of a job; ``<name>:<index>`` for a child of an array.
        memory_mib
            What they need.
        """
        with self.changed:
            self._memory_needed[name] = memory_mib

    def kill(self, job_id: str) -> None:
        """End the container of a job with SIGKILL, as any fault inside it might: exit code 137."""
        self._end(job_id, Ending(EXITED))

    def _end(self, job_id: str, ending: Ending) -> None:
        """End the attempt of a job that runs, or is about to."""
        self.wait_for(job_id, FINAL | {"RUNNING"})
        with self.changed:
            if not self._scheduler.attempts.end(
                self._scheduler.jobs[job_id], ending, patience_s=0.0
            ):
                raise RuntimeError(f"job {job_id} does not run: {self.job(job_id)['status']}")

    # ------------------------------------------------------------ what is seen

    def wait_for(
        self, job_id: str, states: Collection[str] = FINAL, *, timeout_s: float = 30.0
    ) -> str:
        """Wait until a job is in one of some states, by default the last ones; return it.

        Raises
        ------
        TimeoutError
            If it does not get there.
        """
        jobs = self._scheduler.jobs
        with self.changed:
            if not self.changed.wait_for(
                lambda: job_id in jobs and jobs[job_id].status in states, timeout_s
            ):
                told = jobs[job_id].detail() if job_id in jobs else "no such job"
                raise TimeoutError(f"job {job_id} after {timeout_s} s: {told}")
            return jobs[job_id].status

    def job(self, job_id: str) -> Json:
        """Return what DescribeJobs tells about a job, without a request."""
        with self.changed:
            return self._scheduler.jobs[job_id].detail()

    def log(self, job_id: str) -> str:
        """Return what the last attempt of a job printed so far."""
        with self.changed:
            stream = self._scheduler.jobs[job_id].container_detail.get("logStreamName")
            return "" if stream is None else self.logs.text(LOG_GROUP, stream)

    def _needed_by(self, job: Job) -> int:
        name = job.name if job.index is None else f"{job.name}:{job.index}"
        return max(
            (mib for pattern, mib in self._memory_needed.items() if fnmatchcase(name, pattern)),
            default=0,
        )
