"""Rounds: what a client has submitted of a run, written down so that the next client knows.

A round is a set of jobs that is submitted together; a retry is another round. The list of its jobs
is written before the first is submitted, and the id of each as soon as there is one. A client that
is killed in between leaves at most one job without an id, which is found again by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swath.run.folder import RunFolder
from swath.run.jobs import Job

_ROUNDS = "rounds"
_JOBS = "jobs"
_ARRAYS = "arrays"


@dataclass(frozen=True, slots=True)
class Round:
    """Jobs that were submitted together.

    Attributes
    ----------
    number
        0 for the first.
    jobs
        In topological order.
    memory
        Key of a split to the GiB that it gets in this round instead of what it asks for.
    """

    number: int
    jobs: tuple[Job, ...]
    memory: Mapping[str, float]

    @property
    def keys(self) -> list[str]:
        """Keys of all splits of the round."""
        return [key for job in self.jobs for key in job.splits]


def last_round(folder: RunFolder) -> Round | None:
    """Return the last round of a run; None before the first."""
    found = sorted(n for n, _ in folder.store.list(folder.place(_ROUNDS)) if n.endswith(".json"))
    if not found:
        return None
    data = folder.read(f"{_ROUNDS}/{found[-1]}")
    return Round(int(data["number"]), tuple(map(Job.from_json, data["jobs"])), data["memory"])


def write_round(folder: RunFolder, new: Round) -> None:
    """Write a round down, with the list of the splits of every array, before it is submitted."""
    arrays = [job for job in new.jobs if job.is_array]
    for job in arrays:
        folder.write(f"{_ARRAYS}/{job.name}.json", list(job.splits))
    data = {
        "number": new.number,
        "jobs": [job.to_json() for job in new.jobs],
        "memory": dict(new.memory),
    }
    folder.write(f"{_ROUNDS}/{new.number:04d}.json", data)


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
