"""The tasks of a run on ECS: started, found again, described, stopped.

Which of them are started, and when, is decided in `fargate`. Here is only who asks ECS what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from swath.run import aws
from swath.run.folder import RunFolder
from swath.run.runners.fargate_request import (
    ATTEMPT_TAG,
    SPLIT_TAG,
    definition_request,
    run_request,
)
from swath.run.runners.fargate_state import Told, log_place, waits_for_capacity
from swath.run.splits import RunSplit
from swath.run.watch import refusals
from swath.settings import Settings

LARGEST_DESCRIPTION = 100
"""Tasks that one request describes."""

NOTES = "tasks"
"""Folder of a run with a `Note` for each split that was started."""

_ASKED = "ECS"


@dataclass(frozen=True, slots=True)
class Note:
    """The last attempt at a split.

    Attributes
    ----------
    arn
        Of its task; empty if no task came of it.
    attempt
        From 0.
    is_settled
        True once a client has seen that it failed: the next start is another attempt.
    """

    arn: str
    attempt: int
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the request to start a task.

    Attributes
    ----------
    arn
        Of the task; empty if none was started.
    reason
        Why not.
    may_pass
        True if another attempt may succeed: there is no room now.
    """

    arn: str
    reason: str = ""
    may_pass: bool = False


class EcsTasks:
    """Requests to ECS, for the runs of one user.

    Parameters
    ----------
    settings
        Of the user.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._container = settings.text("fargate.container")

    @cached_property
    def client(self) -> Any:
        """Client of boto3."""
        return aws.client("ecs", self._settings)

    @cached_property
    def made_definition(self) -> Mapping[str, Any]:
        """The task definition that Swath makes; empty if the user names one."""
        if self._settings["fargate.task_definition"] is not None:
            return {}
        return definition_request(self._settings, self.client.meta.region_name)

    @property
    def _cluster(self) -> str:
        return self._settings.required("fargate.cluster", "to start and find tasks")

    @property
    def _definition(self) -> str:
        return str(self.made_definition.get("family") or self._settings["fargate.task_definition"])

    def register(self) -> None:
        """Register the definition that Swath makes, unless it is there: its name says all of it."""
        if not self.made_definition:
            return
        with aws.asked(_ASKED):
            try:
                self.client.describe_task_definition(taskDefinition=self._definition)
            except self.client.exceptions.ClientException:
                with refusals(), aws.asked(_ASKED):
                    self.client.register_task_definition(**self.made_definition)

    def request(self, folder: RunFolder, split: RunSplit, attempt: int = 0) -> dict[str, Any]:
        """Return what `run` asks for.

        Raises
        ------
        ConfigError
            If there are no tasks of such a size.
        """
        return run_request(
            folder,
            split,
            attempt,
            definition=self._definition,
            region=self.client.meta.region_name,
            settings=self._settings,
        )

    def run(self, request: Mapping[str, Any]) -> Answer:
        """Start the task of an attempt, or find the one that was started before.

        Raises
        ------
        ThrottledError, UnansweredError
            If it is to be asked again, for the same attempt.
        """
        with aws.asked(_ASKED):
            try:
                answer = self.client.run_task(**request)
            except self.client.exceptions.ConflictException:
                said = "an earlier client asked for this attempt with other settings"
                return Answer("", said, may_pass=True)
        if answer["tasks"]:
            return Answer(answer["tasks"][0]["taskArn"])
        reason = ", ".join(item["reason"] for item in answer["failures"])
        return Answer("", reason, waits_for_capacity(reason))

    def find(self, folder: RunFolder) -> dict[str, Note]:
        """Return the last attempt at each split: as noted, or as a task says that nobody noted."""
        notes = {key: Note(**data) for key, data in folder.read_all(NOTES).items()}
        place = {"cluster": self._cluster, "startedBy": folder.id}
        listed = set(aws.pages(self.client, "list_tasks", "taskArns", _ASKED, **place))
        for arn, told in self.describe(listed - {note.arn for note in notes.values()}).items():
            tags = {tag["key"]: tag["value"] for tag in told.get("tags", ())}
            if SPLIT_TAG not in tags or ATTEMPT_TAG not in tags:
                continue  # a task of somebody who took the same name
            key, attempt = tags[SPLIT_TAG], int(tags[ATTEMPT_TAG])
            if key not in notes or attempt > notes[key].attempt:
                notes[key] = Note(arn, attempt)
        return notes

    def describe(self, arns: Iterable[str]) -> dict[str, Told]:
        """Return what ECS knows of tasks, by their ARN."""
        wanted = sorted(arns)
        found: dict[str, Told] = {}
        for start in range(0, len(wanted), LARGEST_DESCRIPTION):
            part = wanted[start : start + LARGEST_DESCRIPTION]
            with aws.asked(_ASKED):
                answer = self.client.describe_tasks(
                    cluster=self._cluster, tasks=part, include=["TAGS"]
                )
            found |= {task["taskArn"]: task for task in answer["tasks"]}
        return found

    def stop(self, arn: str, reason: str) -> None:
        """Stop a task; one that ECS does not know any more has ended."""
        with aws.asked(_ASKED):
            try:
                self.client.stop_task(cluster=self._cluster, task=arn, reason=reason)
            except self.client.exceptions.InvalidParameterException:
                return

    def log(self, arn: str) -> str:
        """Return what CloudWatch has of the output of a task; empty if nothing goes there."""
        with aws.asked(_ASKED):
            answer = self.client.describe_task_definition(taskDefinition=self._definition)
        place = log_place(answer["taskDefinition"], self._container, arn)
        return aws.log_text(self._settings, *place) if place is not None else ""


def write_note(folder: RunFolder, key: str, note: Note) -> None:
    """Note an attempt in the folder of its run, for the next client."""
    folder.write(f"{NOTES}/{key}.json", asdict(note))
