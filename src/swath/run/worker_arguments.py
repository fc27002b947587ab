"""The words after ``swath`` that make a process the worker of a split, or of an array of them."""

from __future__ import annotations

from swath.run.folder import RunFolder
from swath.run.jobs import Job
from swath.run.rounds import array_uri


def split_arguments(folder: RunFolder, key: str) -> list[str]:
    """Return the arguments of the worker of one split."""
    return ["run-command", "--copy-output", folder.assignment_uri(key)]


def job_arguments(folder: RunFolder, job: Job, variable: str) -> list[str]:
    """Return the arguments of the workers of a job.

    Parameters
    ----------
    folder
        The run.
    job
        One split, or an array of them; no relay.
    variable
        Environment variable that tells an element of an array its index, from 0.
    """
    if not job.is_array:
        return split_arguments(folder, job.splits[0])
    return ["run-command", "--copy-output", "--array-index", variable, array_uri(folder, job)]
