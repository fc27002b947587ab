"""What earlier clients left of the same experiments, before anything new is planned.

Not for what is done with a run once it is taken up, see `swath.run.life`. One idea: a client that
was killed cannot tidy up, so the next one ends its processes on this machine, and follows what goes
on elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swath.errors import DeclarationError
from swath.plan.command import Pipeline
from swath.run.folder import OUTCOME, RUN, RunFolder, last_run, runs_of
from swath.run.lease import is_in_hand, is_locked
from swath.run.life import goes_on
from swath.run.processes import end_processes
from swath.store import is_local


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier clients left of the same experiments.

    Attributes
    ----------
    ended
        Ids of runs whose left-over processes on this machine were ended.
    going_on
        Runs that go on without a client; followed to their end before anything is planned.
    """

    ended: list[str]
    going_on: list[RunFolder]


def settle_with_earlier_runs(pipelines: Sequence[Pipeline]) -> Earlier:
    """End what a killed client left on this machine, and find what goes on elsewhere.

    Raises
    ------
    DeclarationError
        If somebody has one of these experiments in hand now.
    """
    earlier = Earlier([], [])
    ids = {pipeline.id for pipeline in pipelines}
    for folder in _earlier_runs(pipelines):
        is_alive, is_followed = is_locked(folder, "alive"), is_in_hand(folder)
        if folder.has(OUTCOME) and not is_alive and not is_followed:
            continue
        about = folder.read(RUN)
        same = ids & set(about["experiments"]) if about is not None else set()
        if is_followed:
            if same:
                raise DeclarationError(
                    f"experiment {min(same)!r} is being run now, by run {folder.id}.",
                    where=folder.root,
                    mend=f"Wait for it, or stop it with: swath cancel {folder.uri}",
                )
        elif is_alive and not (about and about["detached"]):
            end_processes(folder)
            earlier.ended.append(folder.id)
        elif same and goes_on(folder):
            earlier.going_on.append(folder)
    return earlier


def _earlier_runs(pipelines: Sequence[Pipeline]) -> list[RunFolder]:
    """Return the runs of every local root, and the last run of each experiment, wherever it lies.

    A run of experiments with several roots has its folder below the first of them.
    """
    roots = dict.fromkeys(pipeline.root for pipeline in pipelines)
    found = {folder.uri: folder for root in roots if is_local(root) for folder in runs_of(root)}
    for pipeline in pipelines:
        folder = last_run(pipeline)
        if folder is not None and folder.uri not in found and folder.has(RUN):
            found[folder.uri] = folder
    return list(found.values())
