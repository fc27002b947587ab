"""A diamond of commands, as a config: numbers are made, doubled and squared apart, and added up.

Its kinds live in Swath, so that workers on any machine can import them. Units misbehave as files of
their names in the folder `faults` tell them, whose content is one of `FAULTS`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from swath.errors import UnitError
from swath.experiment.kind import command
from swath.plan.command import Pipeline, Resources
from swath.run.work import Work

FAULTS = ("fail", "hang", "kill")
"""What a unit of `double` can do instead of its work: fail; wait until the file is gone; kill its
process, once."""

HANG_S = 120.0
"""A unit does not hang longer than this: whatever goes wrong, a test leaves nothing behind."""


@command(outputs={"number": "number.txt"})
def source(work: Work) -> None:
    """Write the number of the unit."""
    work.output("number").write_text(work.unit.removeprefix("u"))


@command(outputs={"number": "number.txt"})
def double(work: Work) -> None:
    """Write twice the number, unless the unit was told to do something else."""
    print(f"doubling {work.unit}", flush=True)  # noqa: T201 - for the test of logs
    misbehave(Path(work.params["faults"]) / work.unit)
    work.output("number").write_text(str(2 * int(Path(work.input("number")).read_text())))


@command(outputs={"number": "number.txt"})
def square(work: Work) -> None:
    """Write the square of the number."""
    work.output("number").write_text(str(int(Path(work.input("number")).read_text()) ** 2))


@command(outputs={"total": "total.txt"})
def join(work: Work) -> None:
    """Add everything up."""
    numbers = [int(Path(path).read_text()) for path in work.inputs("numbers")]
    work.output("total").write_text(str(sum(numbers)))


def misbehave(told: Path) -> None:
    """Do what the file says, if there is one."""
    try:
        fault = told.read_text().strip()
    except FileNotFoundError:
        return
    if fault == "fail":
        raise UnitError(f"{told.name} was told to fail.")
    if fault == "kill":
        told.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    (told.parent / f"{told.name}.hangs").touch()
    end = time.monotonic() + HANG_S
    while told.exists() and time.monotonic() < end:
        time.sleep(0.05)


def total(n: int) -> int:
    """Return what `join` writes for the numbers 0 to n-1."""
    return sum(2 * i + i**2 for i in range(n))


def get_config(root_uri: str, faults: Path, n: int = 6, n_gpus: int = 0) -> Pipeline:
    """Declare the diamond over the numbers 0 to n-1; doubling asks for `n_gpus`."""
    names = [f"u{i}" for i in range(n)]
    numbers = source.each(root_uri, {name: {} for name in names})
    inputs = {name: {"number": numbers.ref(name, "number")} for name in names}
    doubling = replace(double, resources=Resources(gpus=n_gpus))
    doubled = doubling.each(root_uri, inputs, faults=str(faults))
    squared = square.each(root_uri, inputs)
    both = (*doubled.refs("number"), *squared.refs("number"))
    added = join.once(root_uri, {"numbers": both})
    return Pipeline(
        "diamond",
        root_uri,
        (added, squared, doubled, numbers),
        results={"total.txt": added.ref("all", "total")},
    )
