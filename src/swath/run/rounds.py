"""Rounds: what a client has submitted of a run, written down so that the next client knows.

A round is a set of jobs that is submitted together; a retry is another round. The list of its jobs
is written before the first is submitted, and the id of each as soon as there is one. A client that
is killed in between leaves at most one job without an id, which is found again by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from swath.errors import RunError
from swath.run.folder import RunFolder
from swath.run.jobs import Job
from swath.run.runner import Cause, JobState, Seen

_ROUNDS = "rounds"
_JOBS = "jobs"
_ARRAYS = "arrays"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rounds before have shown, since somebody last asked for a retry.

    Attributes
    ----------
    memory
        Key of a split to the GiB that it gets instead of what it asks for.
    tries
        Key of a split to how often it was submitted again, by why.
    given_up
        Key of a split that is not submitted again to what became of it.
    """

    memory: Mapping[str, float] = field(default_factory=dict)
    tries: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    given_up: Mapping[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Round:
    """Jobs that were submitted together.

    Attributes
    ----------
    number
        0 for the first.
    jobs
        In topological order.
    standing
        What the rounds before have shown.
    """

    number: int
    jobs: tuple[Job, ...]
    standing: Standing = field(default_factory=Standing)


def last_round(folder: RunFolder) -> Round | None:
    """Return the last round of a run; None before the first."""
    found = sorted(n for n, _ in folder.store.list(folder.place(_ROUNDS)) if n.endswith(".json"))
    if not found:
        return None
    data = folder.read(f"{_ROUNDS}/{found[-1]}")
    jobs = tuple(map(Job.from_json, data["jobs"]))
    given_up = {key: _seen(item) for key, item in data["given_up"].items()}
    standing = Standing(data["memory"], data["tries"], given_up)
    return Round(data["number"], jobs, standing)


def write_round(folder: RunFolder, new: Round) -> None:
    """Write a round down, with the list of the splits of every array, before it is submitted.

    Raises
    ------
    RunError
        If another client has written one of the same number: it submits it, not we.
    """
    for job in new.jobs:
        if job.is_array:
            folder.write(f"{_ARRAYS}/{job.name}.json", list(job.splits))
    data = {
        "number": new.number,
        "jobs": [job.to_json() for job in new.jobs],
        "memory": new.standing.memory,
        "tries": new.standing.tries,
        "given_up": {key: asdict(item) for key, item in new.standing.given_up.items()},
    }
    place = folder.place(_ROUNDS, f"{new.number:04d}.json")
    if not folder.store.create(place, json.dumps(data).encode()):
        raise RunError(
            f"another client goes on with the run {folder.id}.",
            where=folder.uri,
            mend=f"Follow it with: swath wait {folder.uri}",
        )


def _seen(data: Mapping[str, Any]) -> Seen:
    cause = data["cause"]
    return Seen(JobState(data["state"]), data["reason"], None if cause is None else Cause(cause))


def array_uri(folder: RunFolder, job: Job) -> str:
    """Return where the list of the splits of an array lies, see `swath.cli.run_command`."""
    return folder.place(_ARRAYS, f"{job.name}.json")


def note_id(folder: RunFolder, name: str, job_id: str) -> None:
    """Write down the id that the backend gave to a job."""
    folder.write(f"{_JOBS}/{name}.json", {"id": job_id})


def ids_of(folder: RunFolder, jobs: Sequence[Job]) -> dict[str, str]:
    """Return the ids, as far as they are written down, of these jobs."""
    wanted = {job.name for job in jobs}
    found = folder.read_all(_JOBS)
    return {name: data["id"] for name, data in found.items() if name in wanted}
