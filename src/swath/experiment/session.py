"""Plan and run experiments: what the command line does, for use from Python.

>>> import swath
>>> plan = swath.plan_experiments([experiment])  # doctest: +SKIP
>>> result = swath.run_experiments([experiment], "local")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swath.errors import Problems, SwathError
from swath.experiment.config import Declared
from swath.experiment.experiment import Experiment
from swath.plan.command import Pipeline
from swath.plan.plan import Plan, make_plan
from swath.plan.select import Selection
from swath.plan.split import Splits, parse_splits
from swath.run.events import Emit, ignore
from swath.run.folder import RunFolder, starting
from swath.run.prepare import last_plans, write_results, write_run
from swath.run.processes import settle_with_earlier_runs
from swath.run.refuse import refuse_full_disk, refuse_local, refuse_unwritable
from swath.run.runner import Outcome, RunContext, make_runner
from swath.settings import Settings, load_settings
from swath.store import local_path

Started = Callable[[RunFolder], None]


@dataclass(frozen=True)
class RunResult:
    """How a run ended, and where its results are.

    Attributes
    ----------
    plan
        What was planned.
    outcome
        How the splits ended.
    folder
        The run's folder; None if there was nothing to run.
    results
        Experiment id to name of the result to the link to it, of those that exist.
    """

    plan: Plan
    outcome: Outcome
    folder: RunFolder | None
    results: dict[str, dict[str, Path]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """True if everything that was planned is done."""
        return not self.outcome.failed and not self.outcome.waiting


def compile_all(declared: Sequence[Declared]) -> list[Pipeline]:
    """Compile experiments; what is wrong with several of them is told at once."""
    pipelines: list[Pipeline] = []
    errors: list[SwathError] = []
    for item in declared:
        try:
            pipelines.append(item.compile() if isinstance(item, Experiment) else item)
        except Problems as problems:
            errors += problems.errors
        except SwathError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else Problems(errors)
    return pipelines


def plan_experiments(
    declared: Sequence[Declared],
    *,
    runner: str = "local",
    selection: Selection | None = None,
    splits: Splits | None = None,
    settings: Settings | None = None,
) -> Plan:
    """Find out what must run, in which splits, and why; nothing is run.

    All that is written are the headers of images, remembered below the root.

    Parameters
    ----------
    declared
        Experiments or pipelines; what they share is planned once.
    runner
        Name of the runner that would run it.
    selection
        Which commands and scenes; default: all that is not up to date.
    splits
        Into how many splits to cut each command; default: the setting ``run.splits``.
    settings
        Default: of this user, see `swath.settings`.

    Raises
    ------
    DeclarationError
        For whatever is wrong with the declarations or the graph.
    """
    return _plan(compile_all(declared), runner, selection, splits, settings or load_settings())


def _plan(
    pipelines: Sequence[Pipeline],
    runner: str,
    selection: Selection | None,
    splits: Splits | None,
    settings: Settings,
) -> Plan:
    return make_plan(
        pipelines,
        selection=selection,
        splits=parse_splits(settings.text("run.splits")) if splits is None else splits,
        parallelism=make_runner(runner, settings).abilities.parallelism,
        memory=last_plans(pipelines),
    )


def plan_to_run(
    declared: Sequence[Declared],
    *,
    runner: str,
    selection: Selection | None = None,
    splits: Splits | None = None,
    settings: Settings,
) -> tuple[Plan, list[str]]:
    """Plan what is going to be run: nothing else works on these experiments then.

    What a killed client left running is ended before: what it has finished till then is done.

    Parameters
    ----------
    declared, runner, selection, splits, settings
        See `plan_experiments`.

    Returns
    -------
    plan
        What to run.
    ended
        Ids of the runs whose processes were ended.

    Raises
    ------
    DeclarationError
        If somebody else is running one of these experiments, and as `plan_experiments`.
    """
    pipelines = compile_all(declared)
    ended = settle_with_earlier_runs(pipelines)
    return _plan(pipelines, runner, selection, splits, settings), ended


def run_experiments(
    declared: Sequence[Declared],
    runner: str = "local",
    *,
    selection: Selection | None = None,
    splits: Splits | None = None,
    settings: Settings | None = None,
    keep_going: bool = False,
    emit: Emit = ignore,
) -> RunResult:
    """Plan and run.

    Parameters
    ----------
    declared, runner, selection, splits, settings
        See `plan_experiments`.
    keep_going
        True to finish what does not depend on a failure.
    emit
        Is called with every event as it comes.

    Raises
    ------
    DeclarationError
        Before anything runs.
    InterruptedRunError
        If the user interrupted; what was finished stays finished.
    """
    settings = settings or load_settings()
    made, _ = plan_to_run(
        declared, runner=runner, selection=selection, splits=splits, settings=settings
    )
    return execute(made, runner, settings=settings, keep_going=keep_going, emit=emit)


def execute(
    made: Plan,
    runner: str,
    *,
    settings: Settings,
    keep_going: bool = False,
    emit: Emit = ignore,
    started: Started | None = None,
) -> RunResult:
    """Carry out a plan.

    Parameters
    ----------
    made
        The plan.
    runner, settings, keep_going, emit
        See `run_experiments`.
    started
        Is called with the folder of the run before its first split starts.
    """
    pipelines = made.graph.pipelines
    if made.is_empty:
        return RunResult(made, Outcome((), (), ()), None, write_results(made))
    backend = make_runner(runner, settings)
    backend.refuse()
    refuse_local(made, backend.abilities, runner)
    refuse_unwritable(pipelines)
    refuse_full_disk(made)
    with starting(local_path(pipelines[0].root)):
        settle_with_earlier_runs(pipelines)  # again: the imagery may have been checked for long
        folder = write_run(
            made, settings=settings, keep_going=keep_going, abilities=backend.abilities
        )
        control = folder.hold("control", inherit=False)
    try:
        if started is not None:
            started(folder)
        outcome = backend.run(RunContext(folder, made, settings, keep_going, emit))
    finally:
        os.close(control)
    return RunResult(made, outcome, folder, write_results(made))
