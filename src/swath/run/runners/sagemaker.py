"""The `sagemaker` runner: a run is a SageMaker Pipeline, and each round of it an execution.

The definition is plain JSON (`sagemaker_request`), so the SageMaker SDK is not needed. Splits of a
command are the instances of one step (`swath.run.hosts`), since SageMaker knows no arrays. What it
can only do to a whole step or a whole execution, it does to the whole: see `elements` and `cancel`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from swath.errors import RunError
from swath.run import aws
from swath.run.folder import RunFolder
from swath.run.hosts import failures, forget_failures, host_name
from swath.run.jobs import Job
from swath.run.runner import Abilities, Finding, RunContext, Runner, Seen, Severity
from swath.run.runners.sagemaker_check import (
    image_findings,
    instance_findings,
    limit_findings,
    role_findings,
)
from swath.run.runners.sagemaker_request import (
    INSTANCES,
    definition_of,
    pipeline_name,
    round_of,
    step_name,
    token,
)
from swath.run.runners.sagemaker_state import Told, elements, job_of, seen_of, unstarted
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import Settings

LOG_GROUPS = {
    "Processing": "/aws/sagemaker/ProcessingJobs",
    "Training": "/aws/sagemaker/TrainingJobs",
}
"""Where SageMaker puts the output of jobs."""

_ASKED = "SageMaker"


def make_runner(settings: Settings) -> Runner:
    """Return the runner."""
    return SubmittedRunner(SageMakerBackend(settings))


class SageMakerBackend:
    """A pipeline for each run, with a step for each job.

    The id of a job is the ARN of the execution and the name of the step: ``<arn>#<step>``.

    Parameters
    ----------
    settings
        Of the user.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def abilities(self) -> Abilities:
        """Steps of several instances, each a machine of its own, that need no client."""
        n_instances = self._settings.count("sagemaker.instances", 8)
        return Abilities(
            parallelism=n_instances,
            sees_local_files=False,
            shares_cores=False,
            outlives_client=True,
            array_size=min(n_instances, INSTANCES),
            poll_s=self._settings.count("aws.poll_s", 10),
        )

    @cached_property
    def _client(self) -> Any:
        return aws.client("sagemaker", self._settings)

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check limits, role, images, credentials and instance types."""
        settings = self._settings
        yield from limit_findings(splits, settings)
        identity = aws.identity_finding(settings)
        yield identity
        is_known = identity.severity is not Severity.ERROR
        yield from role_findings(settings, is_asked=is_known)
        yield from image_findings(splits, settings, is_asked=is_known)
        if is_known:
            yield from instance_findings(self._client, splits, settings)

    def requests(self, context: RunContext, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """Return the parameters of CreatePipeline, with the definition as an object, and so on."""
        create = self._create(context.folder, jobs)
        create["PipelineDefinition"] = json.loads(create["PipelineDefinition"])
        return [create, self._start(context.folder, jobs)]

    def find(self, context: RunContext, names: Collection[str]) -> dict[str, str]:
        """List the executions of the run's pipeline: each is named for its round."""
        name = pipeline_name(context.folder)
        if not names or not self._exists(name):
            return {}
        listed = aws.pages(
            self._client,
            "list_pipeline_executions",
            "PipelineExecutionSummaries",
            _ASKED,
            PipelineName=name,
        )
        arns = {
            item.get("PipelineExecutionDisplayName"): item["PipelineExecutionArn"]
            for item in listed
        }
        folder = context.folder
        return {
            job: f"{arns[round_of(job, folder)]}#{step_name(job, folder)}"
            for job in names
            if round_of(job, folder) in arns
        }

    def submit(
        self,
        context: RunContext,
        jobs: Sequence[Job],
        known: Mapping[str, str],  # noqa: ARG002
    ) -> Iterator[tuple[str, str]]:
        """Make the pipeline, or change it for another round, and start it: all jobs at once."""
        if not jobs:
            return
        folder = context.folder
        forget_failures(folder, {key for job in jobs for key in job.splits})
        create = self._create(folder, jobs)
        is_there = self._exists(create["PipelineName"])
        with aws.asked(_ASKED):
            try:
                if is_there:
                    kept = ("PipelineName", "PipelineDefinition", "RoleArn")
                    self._client.update_pipeline(**{key: create[key] for key in kept})
                else:
                    self._client.create_pipeline(**create)
                answer = self._client.start_pipeline_execution(**self._start(folder, jobs))
            except self._client.exceptions.ResourceLimitExceeded as error:
                raise RunError(
                    f"a quota of SageMaker is exceeded: {error}",
                    mend="If it is that of steps, make fewer splits (--splits) or steps of more "
                    "instances (sagemaker.instances), or ask AWS for more; a pipeline that is no "
                    "longer needed can be deleted.",
                ) from None
        for job in jobs:
            yield job.name, f"{answer['PipelineExecutionArn']}#{step_name(job.name, folder)}"

    def look(
        self, context: RunContext, jobs: Sequence[Job], ids: Mapping[str, str]
    ) -> dict[str, Seen]:
        """Ask about each execution, then about its steps: what is missing then has not started."""
        statuses: dict[str, str] = {}
        steps: dict[str, Told] = {}
        for arn in {job_id.partition("#")[0] for job_id in ids.values()}:
            statuses[arn] = self._status(arn)
            steps |= {f"{arn}#{told['StepName']}": told for told in self._steps(arn)}
        done, failed = context.folder.done(), failures(context.folder)
        result: dict[str, Seen] = {}
        for job in jobs:
            job_id = ids[job.name]
            whole = (
                seen_of(steps[job_id], job.kind)
                if job_id in steps
                else unstarted(statuses[job_id.partition("#")[0]])
            )
            result |= elements(job, whole, done, failed)
        return result

    def cancel(
        self,
        context: RunContext,
        jobs: Sequence[Job],
        ids: Mapping[str, str],
        *,
        only_waiting: bool,  # noqa: ARG002
    ) -> None:
        """Stop the executions as a whole, which is all that SageMaker can do.

        What runs when another split has failed is stopped with what waits. It loses little: what is
        finished is on record, and a training goes on from its last checkpoint.
        """
        names = {job.name for job in jobs}
        arns = {job_id.partition("#")[0] for name, job_id in ids.items() if name in names}
        for arn in arns:
            if self._status(arn) != "Executing":
                continue
            try:
                with aws.asked(_ASKED):
                    self._client.stop_pipeline_execution(
                        PipelineExecutionArn=arn,
                        ClientRequestToken=token(context.folder, "stop", arn),
                    )
            except RunError:
                if self._status(arn) == "Executing":
                    raise  # it has not just ended by itself

    def logs(self, context: RunContext, ids: Mapping[str, str], job: Job, key: str) -> str:  # noqa: ARG002
        """Read the output of an instance from CloudWatch, that of its last attempt."""
        arn, _, step = ids.get(job.name, "").partition("#")
        told = next((item for item in self._steps(arn) if item["StepName"] == step), None)
        found = job_of(told) if told is not None else None
        if found is None:
            return ""
        group = LOG_GROUPS[found[0]]
        host = host_name(job.splits.index(key), len(job.splits))
        stream = aws.newest_stream(self._settings, group, f"{found[1]}/{host}-")
        return aws.log_text(self._settings, group, stream) if stream is not None else ""

    # ---------------------------------------------------------------- requests

    def _create(self, folder: RunFolder, jobs: Sequence[Job]) -> dict[str, Any]:
        settings = self._settings
        tags = aws.tags(settings) | {"swath-run": folder.id}
        return {
            "PipelineName": pipeline_name(folder),
            "PipelineDescription": f"Run {folder.id} of Swath",
            "PipelineDefinition": definition_of(jobs, folder, settings),
            "RoleArn": settings.required("sagemaker.role", "to make a pipeline"),
            "ClientRequestToken": token(folder, "create"),
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }

    def _start(self, folder: RunFolder, jobs: Sequence[Job]) -> dict[str, Any]:
        number = round_of(jobs[0].name, folder)
        return {
            "PipelineName": pipeline_name(folder),
            "PipelineExecutionDisplayName": number,
            "ClientRequestToken": token(folder, "start", number),
        }

    def _exists(self, name: str) -> bool:
        with aws.asked(_ASKED):
            try:
                self._client.describe_pipeline(PipelineName=name)
            except self._client.exceptions.ResourceNotFound:
                return False
        return True

    def _status(self, arn: str) -> str:
        with aws.asked(_ASKED):
            answer = self._client.describe_pipeline_execution(PipelineExecutionArn=arn)
        return str(answer["PipelineExecutionStatus"])

    def _steps(self, arn: str) -> Iterator[Told]:
        return aws.pages(
            self._client,
            "list_pipeline_execution_steps",
            "PipelineExecutionSteps",
            _ASKED,
            PipelineExecutionArn=arn,
            PaginationConfig={"PageSize": 100},
        )
