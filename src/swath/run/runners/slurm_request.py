"""What a job of Slurm is submitted with: pure functions from a `Job` to the arguments of sbatch.

Options are those of the manual page of sbatch. Nothing of the user's is ever read by a shell: the
script is one fixed line, and what it executes comes as its arguments.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from swath.errors import ConfigError
from swath.plan.command import Resources
from swath.run.folder import RunFolder
from swath.run.jobs import Job
from swath.run.worker_arguments import job_arguments
from swath.settings import Settings

SCRIPT = '#!/bin/sh\nexec "$@"\n'
"""The batch script: it becomes the worker, which so gets the signals that Slurm sends."""

INDEX = "SLURM_ARRAY_TASK_ID"
"""Variable that tells an element of an array its index."""


def request_of(
    job: Job, ids: Mapping[str, str], *, folder: RunFolder, settings: Settings
) -> list[str]:
    """Return the command that submits a job; `SCRIPT` is its input.

    Parameters
    ----------
    job
        What to submit.
    ids
        Name of every job that it waits for to its id.
    folder
        The run.
    settings
        Of the run.

    Raises
    ------
    ConfigError
        If Slurm cannot write to the folder of the run.
    """
    return [
        "sbatch",
        "--parsable",
        f"--job-name={job.name}",
        f"--comment=swath {folder.uri}",
        *_places(job, folder, settings),
        "--export=ALL",
        "--requeue",  # what loses its node is started again by Slurm, where the cluster allows it
        *_array(job, settings),
        *_dependency(job, ids),
        *options_of(job.kind, job.resources, settings),
        "/dev/stdin",
        python_of(settings),
        "-m",
        "swath",
        *job_arguments(folder, job, INDEX),
    ]


def options_of(kind: str, needs: Resources, settings: Settings) -> list[str]:
    """Return the options that say what a split of this kind gets, and where."""
    memory_gib = needs.memory_gib or settings["slurm.memory_gib"]
    limit_s = needs.time_limit_s or settings["slurm.time_limit_s"]
    options = {
        "partition": partition_of(kind, needs.gpus, settings)[0],
        "account": settings["slurm.account"],
        "qos": settings["slurm.qos"],
        "mem": memory_gib and f"{mib(float(memory_gib))}M",
        "time": limit_s and minutes(int(limit_s)),
        "gres": needs.gpus and f"gpu:{needs.gpus}",
    }
    chosen = [f"--{name}={value}" for name, value in options.items() if value]
    return ["--nodes=1", "--ntasks=1", f"--cpus-per-task={cpus_of(needs, settings)}", *chosen]


def partition_of(kind: str, gpus: int, settings: Settings) -> tuple[str | None, str]:
    """Return the partition of a kind of command, None for the usual one, and its setting."""
    own = f"commands.{kind}.partition"
    if (named := settings.of_command(kind).get("partition")) is not None:
        return str(named), own
    if gpus and settings["slurm.gpu_partition"] is not None:
        return settings.text("slurm.gpu_partition"), "slurm.gpu_partition"
    usual = settings["slurm.partition"]
    name = "slurm.gpu_partition" if gpus else "slurm.partition"
    return None if usual is None else str(usual), name


def python_of(settings: Settings) -> str:
    """Return the interpreter on the nodes."""
    own = settings["slurm.python"]
    return sys.executable if own is None else str(own)


def cpus_of(needs: Resources, settings: Settings) -> int:
    """Return the cores of a split."""
    return needs.cpus or settings.count("slurm.cpus", 1)


def mib(gib: float) -> int:
    """Return GiB in MiB, which is what Slurm means by M."""
    return math.ceil(gib * 1024)


def minutes(seconds: int) -> int:
    """Return seconds in minutes, Slurm's unit of time limits."""
    return math.ceil(seconds / 60)


def output_of(job: Job, folder: RunFolder, index: int | None) -> Path:
    """Return where Slurm puts what a job, or the element `index` of an array, prints."""
    ending = "" if index is None else f"-{index}"
    return folder.machine_path / "logs" / f"slurm-{job.name}{ending}.out"


def _places(job: Job, folder: RunFolder, settings: Settings) -> list[str]:
    """Return where the job stands and prints.

    Nodes that do not see our files keep nothing: the worker copies what it prints to the store.
    """
    if not settings.is_on("slurm.shared_files"):
        return ["--chdir=/", "--output=/dev/null"]
    path = output_of(job, folder, None)
    if "\\" in str(path):
        raise ConfigError(
            f"Slurm writes no file below a folder with a backslash: {path.parent}.",
            mend="Choose another root_uri.",
        )
    # Slurm's own patterns begin with a per cent sign, also in the name of a folder.
    place = str(path).replace("%", "%%").removesuffix(".out")
    element = "-%a" if job.is_array else ""
    return [
        f"--chdir={folder.machine_path}",
        f"--output={place}{element}.out",
        "--open-mode=append",
    ]


def _array(job: Job, settings: Settings) -> list[str]:
    if not job.is_array:
        return []
    n, at_once = len(job.splits), settings.count("slurm.tasks", 0)
    limit = f"%{at_once}" if 0 < at_once < n else ""
    return [f"--array=0-{n - 1}{limit}"]


def _dependency(job: Job, ids: Mapping[str, str]) -> list[str]:
    if not job.after:
        return []
    waits = [f"{'aftercorr' if e.is_each else 'afterok'}:{ids[e.job]}" for e in job.after]
    return [f"--dependency={','.join(waits)}", "--kill-on-invalid-dep=yes"]
