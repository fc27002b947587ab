"""Plan and run experiments: what the command line does, for use from Python.

>>> import swath
>>> plan = swath.plan_experiments([experiment])  # doctest: +SKIP
>>> result = swath.run_experiments([experiment], "local")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import get_close_matches
from pkgutil import iter_modules
from typing import Any

import swath.commands
from swath.errors import DeclarationError, Problems, SwathError
from swath.experiment.config import Declared
from swath.plan.command import Pipeline
from swath.plan.plan import Plan, make_plan
from swath.plan.select import Selection
from swath.plan.split import Splits, parse_splits
from swath.run.earlier import settle_with_earlier_runs
from swath.run.events import Emit, ignore
from swath.run.folder import RunFolder
from swath.run.lease import in_hand, starting
from swath.run.life import Life, hand_over, take_up
from swath.run.prepare import last_plans, results_of, write_results, write_run
from swath.run.refuse import refuse_full_disk, refuse_run, refuse_unwritable
from swath.run.runner import (
    NOTHING_TO_DO,
    Finding,
    Outcome,
    RunContext,
    Severity,
    make_runner,
)
from swath.run.splits import splits_of
from swath.settings import Settings, load_settings

Started = Callable[[RunFolder], None]
Warn = Callable[[Finding], None]


@dataclass(frozen=True)
class RunResult:
    """How a run ended, and where its results are.

    Attributes
    ----------
    plan
        What was planned.
    outcome
        How the splits ended; None if the run goes on without us.
    folder
        The run's folder; None if there was nothing to run.
    results
        Experiment id to name of the result to the path of the link to it, or to its URI on an
        object store, of those that exist.
    """

    plan: Plan
    outcome: Outcome | None
    folder: RunFolder | None
    results: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """True if everything that was planned is done."""
        return self.outcome is not None and self.outcome.succeeded


def compile_all(declared: Sequence[Declared]) -> list[Pipeline]:
    """Compile experiments; what is wrong with several of them is told at once."""
    pipelines: list[Pipeline] = []
    errors: list[SwathError] = []
    for item in declared:
        try:
            pipelines.append(item if isinstance(item, Pipeline) else item.compile())
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
    settings = settings or load_settings()
    settings.make_known()
    return _plan(compile_all(declared), runner, selection, splits, settings)


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
    tell: Callable[[str], None] = lambda _: None,
    follow: Callable[[RunFolder], object] = take_up,
) -> Plan:
    """Plan what is going to be run: nothing else works on these experiments then.

    What a killed client left running on this machine is ended before, and what goes on elsewhere
    is followed to its end: what is finished till then is done.

    Parameters
    ----------
    declared, runner, selection, splits, settings
        See `plan_experiments`.
    tell
        Is told, in words, of each earlier run that had to be settled with.
    follow
        Follows to its end a run that goes on elsewhere.

    Raises
    ------
    DeclarationError
        If somebody else is running one of these experiments, and as `plan_experiments`.
    """
    settings.make_known()
    pipelines = compile_all(declared)
    earlier = settle_with_earlier_runs(pipelines)
    for run in earlier.ended:
        tell(f"ended what a killed client had left running: {run}")
    for folder in earlier.going_on:
        tell(
            f"run {folder.id} is still going on; following it (swath cancel {folder.uri} stops it)"
        )
        follow(folder)
    return _plan(pipelines, runner, selection, splits, settings)


def run_experiments(
    declared: Sequence[Declared],
    runner: str = "local",
    *,
    selection: Selection | None = None,
    splits: Splits | None = None,
    settings: Settings | None = None,
    keep_going: bool = False,
    is_detached: bool = False,
    emit: Emit = ignore,
) -> RunResult:
    """Plan and run.

    Parameters
    ----------
    declared, runner, selection, splits, settings
        See `plan_experiments`.
    keep_going
        True to finish what does not depend on a failure.
    is_detached
        True to return once everything is started; see `swath.run.life.take_up`.
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
    made = plan_to_run(
        declared, runner=runner, selection=selection, splits=splits, settings=settings
    )
    return execute(
        made,
        runner,
        settings=settings,
        keep_going=keep_going,
        is_detached=is_detached,
        emit=emit,
    )


def execute(
    made: Plan,
    runner: str,
    *,
    settings: Settings,
    keep_going: bool = False,
    is_detached: bool = False,
    emit: Emit = ignore,
    started: Started | None = None,
    warn: Warn = lambda _: None,
) -> RunResult:
    """Carry out a plan.

    Parameters
    ----------
    made
        The plan.
    runner, settings, keep_going, is_detached, emit
        See `run_experiments`.
    started
        Is called with the folder of the run before its first split starts.
    warn
        Is called with each warning of the checks that the runner does first.

    Raises
    ------
    SwathError
        If the runner refuses something half way; what it had started is stopped then.
    """
    if made.is_empty:
        return RunResult(made, NOTHING_TO_DO, None, write_results(results_of(made)))
    for finding in refuse_plan(made, runner, settings):
        warn(finding)
    pipelines = made.graph.pipelines
    refuse_unwritable(pipelines)
    refuse_full_disk(made)
    abilities = make_runner(runner, settings).abilities
    with ExitStack() as held:
        with starting(pipelines[0].root):
            # Again: the imagery may have been checked for long.
            for folder in settle_with_earlier_runs(pipelines).going_on:
                raise DeclarationError(
                    f"run {folder.id} of the same experiment has just been started.",
                    where=folder.uri,
                    mend="Run again to follow it.",
                )
            folder = write_run(
                made, runner=runner, settings=settings, keep_going=keep_going, abilities=abilities
            )
            confirm = held.enter_context(in_hand(folder))
        if started is not None:
            started(folder)
        life = Life.of(folder, emit, confirm=confirm)
        life.start()
        outcome = None if is_detached else life.follow()
        client = life.detach() if is_detached else None
    hand_over(folder, client)
    return RunResult(made, outcome, folder, write_results(results_of(made)))


def refuse_plan(made: Plan, runner: str, settings: Settings) -> list[Finding]:
    """Refuse a plan that this runner cannot carry out, before anything is written or paid for.

    Returns
    -------
    list of Finding
        Warnings.

    Raises
    ------
    DeclarationError
        Missing settings and extras, files out of reach, what the runner itself finds: all of it.
    """
    carrier = make_runner(runner, settings)
    warnings = refuse_run(made, runner, carrier, splits_of(made.to_json(), settings))
    return [*_settings_of_no_kind(made, settings), *warnings]


def _settings_of_no_kind(made: Plan, settings: Settings) -> Iterator[Finding]:
    """Warn of settings of kinds that neither Swath nor the plan has; another plan may have them."""
    planned = {node.command.kind for node in made.graph.nodes}
    known = {*planned, *(module.name for module in iter_modules(swath.commands.__path__))}
    for name, (kind, origin) in settings.of_commands().items():
        if kind not in known:
            close = get_close_matches(kind, known, n=1)
            yield Finding(
                Severity.WARNING,
                f"{name} is set ({origin}), and this plan has no command of the kind {kind!r}.",
                f"Did you mean {close[0]!r}?"
                if close
                else f"It has: {', '.join(sorted(planned))}.",
            )


def requests_of(made: Plan, runner: str, settings: Settings) -> list[dict[str, Any]]:
    """Return what a run of this plan would submit; nothing is sent, nothing written."""
    splits = splits_of(made.to_json(), settings)
    folder = RunFolder.named(made.graph.pipelines[0].root)
    context = RunContext(folder, splits, settings, keep_going=False, emit=ignore)
    return make_runner(runner, settings).requests(context)
