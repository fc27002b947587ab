"""Processing and training jobs of SageMaker: one process for each instance.

A real container finds its files under ``/opt/ml``, which is not ours. Here each container has a
folder of its own in its place, named by the variable `OPT_ML`::

    config/resourceconfig.json          of a processing job
    input/config/resourceconfig.json    of a training job
    output/                             `message` or `failure`: what the job says why it failed
    checkpoints/                        of a training job with CheckpointConfig: the same folder for
                                        every job with the same S3Uri
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from swath.testing.containers import STOP_PATIENCE_S, Container, Machine
from swath.testing.logs import LogBook
from swath.testing.model import Json
from swath.testing.protocol import ACCOUNT, REGION

OPT_ML = "SWATH_OPT_ML"
"""Variable with the folder that stands for ``/opt/ml``."""

OUT_OF_MEMORY = (
    "Please use an instance type with more memory, or reduce the size of job data processed on an "
    "instance."
)


@dataclass(eq=False)
class Job:
    """One processing or training job.

    Attributes
    ----------
    kind
        ``"Processing"`` or ``"Training"``.
    step
        Name of its step.
    arguments
        Of the step, variables replaced.
    status
        ``InProgress``, ``Stopping``, ``Completed``, ``Failed`` or ``Stopped``.
    secondary
        The finer status that training jobs have.
    failure
        Why it failed.
    """

    log_groups: ClassVar = {
        "Processing": "/aws/sagemaker/ProcessingJobs",
        "Training": "/aws/sagemaker/TrainingJobs",
    }

    kind: str
    step: str
    arguments: Json
    name: str = ""
    status: str = "InProgress"
    secondary: str = "Starting"
    failure: str | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    containers: list[Container] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    is_interrupted: bool = False
    is_out_of_time: bool = False

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{self.kind.lower()}-job/{self.name}"

    @property
    def command(self) -> list[str]:
        """Entry point and arguments of the container."""
        key = "AppSpecification" if self.kind == "Processing" else "AlgorithmSpecification"
        specification = self.arguments[key]
        return [
            *specification.get("ContainerEntrypoint", ()),
            *specification.get("ContainerArguments", ()),
        ]

    @property
    def resources(self) -> Json:
        """Instance type and count."""
        if self.kind == "Processing":
            return dict(self.arguments["ProcessingResources"]["ClusterConfig"])
        return dict(self.arguments["ResourceConfig"])

    @property
    def log_group(self) -> str:
        """Log group of its kind."""
        return self.log_groups[self.kind]

    @property
    def is_spot(self) -> bool:
        """Whether it runs on spot instances."""
        return bool(self.arguments.get("EnableManagedSpotTraining"))

    @property
    def limit_s(self) -> int:
        """Seconds that it may run; a day if nothing is said."""
        return int(self.arguments.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))

    def detail(self) -> Json:
        """Return what DescribeProcessingJob or DescribeTrainingJob tells."""
        told = {key: value for key, value in self.arguments.items() if key != "Tags"}
        told |= {
            f"{self.kind}JobName": self.name,
            f"{self.kind}JobArn": self.arn,
            f"{self.kind}JobStatus": self.status,
            f"{self.kind}StartTime": self.started,
            f"{self.kind}EndTime": self.ended,
            "CreationTime": self.created,
            "LastModifiedTime": self.ended or self.started or self.created,
            "FailureReason": self.failure,
        }
        if self.kind == "Training":
            told["SecondaryStatus"] = self.secondary
            output = self.arguments["OutputDataConfig"]["S3OutputPath"].rstrip("/")
            artifact = f"{output}/{self.name}/output/model.tar.gz"
            told["ModelArtifacts"] = {"S3ModelArtifacts": artifact}
        return {key: value for key, value in told.items() if value is not None}

    def fail(self, reason: str) -> None:
        """Note that the job has failed."""
        self.status, self.secondary = "Failed", "Failed"
        self.failure, self.ended = reason, time.time()


class JobRunner:
    """Runs jobs; what changes about a job happens under the lock of the fake.

    Parameters
    ----------
    changed
        The lock; notified when a job changes its state.
    machine
        Where containers run.
    logs
        Where they print.
    second_s
        How long a second of the service's time limits lasts here.
    is_too_small
        Whether a step, by name, runs out of memory on a type of instance.
    """

    def __init__(
        self,
        changed: threading.Condition,
        machine: Machine,
        logs: LogBook,
        *,
        second_s: float,
        is_too_small: Callable[[str, str], bool],
    ) -> None:
        self._changed = changed
        self._machine = machine
        self._logs = logs
        self._second_s = second_s
        self._is_too_small = is_too_small

    def run(self, job: Job) -> None:
        """Run a job from start to end; interrupted spot instances are replaced."""
        timer = threading.Timer(job.limit_s * self._second_s, self._time_out, (job,))
        timer.daemon = True
        timer.start()
        try:
            while True:
                code = self._run_once(job)
                with self._changed:
                    if not job.is_interrupted or job.status != "InProgress":
                        self._close(job, code)
                        return
                    job.is_interrupted, job.failure = False, None
                    job.secondary = "Starting"
        finally:
            timer.cancel()

    def stop(self, job: Job) -> None:
        """Ask the containers of a job to end, and end them later; call it under the lock."""
        if job.status == "InProgress":
            job.status = job.secondary = "Stopping"
            for container in job.containers:
                container.stop(4 * STOP_PATIENCE_S * self._second_s)
            self._changed.notify_all()

    def _run_once(self, job: Job) -> int:
        """Run a container on each instance; return 0 or the first code that is another."""
        n_instances = job.resources["InstanceCount"]
        codes: list[int] = []
        now_ms = time.time_ns() // 1_000_000
        with self._changed:
            job.containers = []
            job.streams = [f"{job.name}/algo-{n + 1}-{now_ms}" for n in range(n_instances)]
            logs = [self._logs.open(job.log_group, stream) for stream in job.streams]
            job.started, job.secondary = job.started or time.time(), "Training"
        threads = [
            threading.Thread(target=self._run_instance, args=(job, n, logs[n], codes), daemon=True)
            for n in range(n_instances)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return next((code for code in codes if code), 0)

    def _run_instance(self, job: Job, index: int, log: Path, codes: list[int]) -> None:
        """Run the container of one instance; when it fails, the others are ended too."""
        folder = self._folder(job, index)
        environment = {**job.arguments.get("Environment", {}), OPT_ML: str(folder)}
        if job.kind == "Training":
            environment |= {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn}
        try:
            container = self._machine.start(job.command, environment, log)
        except OSError as error:
            log.write_text(f"{error.filename}: {error.strerror}\n")
            codes.append(127)
            return
        if container is None:  # the fake is being closed
            codes.append(137)
            return
        with self._changed:
            job.containers.append(container)
            too_small = self._is_too_small(job.step, job.resources["InstanceType"])
            if too_small or job.status != "InProgress" or any(codes):
                container.signal(signal.SIGKILL)
            self._changed.notify_all()
        code = self._machine.wait(container)
        if too_small:  # also if it was quicker than the signal
            code = 137
        with self._changed:
            codes.append(code)
            if code and job.failure is None:
                job.failure = _said(folder)
            if code:
                for other in job.containers:
                    other.signal(signal.SIGKILL)

    def _close(self, job: Job, code: int) -> None:
        job.containers, job.ended = [], time.time()
        if job.is_out_of_time:
            # DescribeTrainingJob: MaxRuntimeExceeded is a secondary status of Stopped.
            job.status, job.secondary = "Stopped", "MaxRuntimeExceeded"
        elif job.status == "Stopping":
            job.status = job.secondary = "Stopped"
        elif code == 0:
            job.status = job.secondary = "Completed"
        elif code == 137:
            job.fail(f"ClientError: {OUT_OF_MEMORY}, exit code: 137")
        else:
            job.fail(f"AlgorithmError: {job.failure or ''}, exit code: {code}")
        self._changed.notify_all()

    def _time_out(self, job: Job) -> None:
        with self._changed:
            if job.status == "InProgress":
                job.is_out_of_time = True
                self.stop(job)

    def _folder(self, job: Job, index: int) -> Path:
        """Make the folder that stands for /opt/ml on one instance."""
        folder = self._machine.folder / "ml" / uuid.uuid4().hex
        hosts = [f"algo-{number + 1}" for number in range(job.resources["InstanceCount"])]
        place = "config" if job.kind == "Processing" else "input/config"
        (folder / place).mkdir(parents=True)
        (folder / "output").mkdir()
        configuration = {
            "current_host": hosts[index],
            "hosts": hosts,
            "network_interface_name": "lo",
        }
        (folder / place / "resourceconfig.json").write_text(json.dumps(configuration))
        uri = job.arguments.get("CheckpointConfig", {}).get("S3Uri")
        if uri is not None:
            name = hashlib.sha256(uri.encode()).hexdigest()
            shared = self._machine.folder / "checkpoints" / name
            shared.mkdir(parents=True, exist_ok=True)
            (folder / "checkpoints").symlink_to(shared)
        return folder


def _said(folder: Path) -> str | None:
    """Return what a container left to say about its failure, as much as is shown of it."""
    for name in ("failure", "message"):
        path = folder / "output" / name
        if path.is_file():
            return path.read_text(errors="replace")[:900]
    return None
