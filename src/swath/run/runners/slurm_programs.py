"""Slurm's programs: called with lists of arguments, their failures told in our words."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from swath.errors import ConfigError, RunError, UnansweredError

CALL_S = 120.0
"""A program that has not answered by then is taken for unanswered."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0)
"""Pauses between tries while the controller is busy or restarts, about three minutes in all."""

_Result = TypeVar("_Result")

_UNANSWERED = re.compile(
    "unable to contact|timed out|temporarily|connect|standby mode|zero bytes|unexpected message",
    re.IGNORECASE,
)
"""What a program says if the controller is away, busy, or was lost while it was asked."""

_NOT_OURS = re.compile("SLURM_(?!CONF|JWT$)|(SQUEUE|SCANCEL|SACCT|SINFO)_|SBATCH_(WAIT|ARRAY_INX)$")
"""Variables of the job that we run in, if any, and the user's habits that change what is printed.

Those that choose where jobs go stay: SBATCH_CONSTRAINT, SBATCH_RESERVATION and so on."""


_PROGRAM = re.compile(r"^s[a-z]+: ")
_FAILED = re.compile("(error|fatal|allocation failure): ")


class SlurmRefusedError(RunError):
    """Slurm does not do what it was asked, in Slurm's words."""


def call(*arguments: str, script: str = "", variables: Mapping[str, str] | None = None) -> str:
    """Call a program of Slurm and return what it prints.

    Parameters
    ----------
    arguments
        The program and its arguments.
    script
        What it reads.
    variables
        Of its environment, beside ours.

    Raises
    ------
    ConfigError
        If it is not installed.
    UnansweredError
        If the controller does not answer.
    SlurmRefusedError
        If Slurm refuses what it is asked.
    """
    program = arguments[0]
    try:
        told = subprocess.run(
            arguments,
            input=script,
            env=environment(os.environ) | dict(variables or {}),
            capture_output=True,
            text=True,
            timeout=CALL_S,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigError(
            f"there is no {program} on the path; the runner slurm needs Slurm's programs.",
            mend="Run Swath where you would call sbatch, on a login node of the cluster.",
        ) from None
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"{program} has not ended within {CALL_S:.0f} s.") from None
    if told.returncode == 0:
        return told.stdout
    said = _said(told.stderr) or f"exit code {told.returncode}"
    if _UNANSWERED.search(told.stderr):
        raise UnansweredError(f"Slurm does not answer: {said}", mend="See sinfo and scontrol ping.")
    raise SlurmRefusedError(said)


def _said(stderr: str) -> str:
    r"""Return the errors of a program without its name; all that it says if it names none so.

    Sites have their programs greet, warn and advise on the same stream.

    Examples
    --------
    >>> _said("sbatch: welcome\nsbatch: error: Batch job submission failed: Invalid account")
    'Batch job submission failed: Invalid account'
    """
    lines = [_PROGRAM.sub("", line.strip()) for line in stderr.splitlines()]
    errors = [line for line in lines if _FAILED.match(line)]
    return " ".join(" ".join(errors or lines).replace("error: ", "").split())


def patiently(action: Callable[[], _Result], pauses_s: Iterable[float] = PAUSES_S) -> _Result:
    """Return what an action returns that asks Slurm, tried again while nobody answers."""
    for pause in pauses_s:
        try:
            return action()
        except UnansweredError:
            time.sleep(pause)
    return action()


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Slurm's programs, and so of the jobs."""
    result = {name: value for name, value in ours.items() if not _NOT_OURS.match(name)}
    if search := result.get("PYTHONPATH"):  # workers start in another folder
        folders = [os.path.abspath(item) for item in search.split(os.pathsep) if item]  # noqa: PTH100
        result["PYTHONPATH"] = os.pathsep.join(folders)
    return result
