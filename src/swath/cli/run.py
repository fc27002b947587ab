"""``swath run``: run experiments with a runner."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from swath.cli.failure import failure_of
from swath.cli.options import (
    Request,
    SelectingCommand,
    config_options,
    detach_option,
    interruptible_by_signals,
    json_option,
    request,
    selection_options,
)
from swath.cli.progress import following, of_plan
from swath.cli.render import plan_text, table
from swath.experiment.check import refuse_problems
from swath.experiment.config import Declared
from swath.experiment.session import (
    execute,
    plan_experiments,
    plan_to_run,
    refuse_plan,
    requests_of,
)
from swath.plan.plan import Plan
from swath.plan.touch import touch
from swath.run.folder import RunFolder
from swath.run.life import take_up
from swath.run.prepare import last_plans, results_of_run, write_results
from swath.run.runner import Finding, Outcome
from swath.run.status import RunStatus
from swath.store import is_local, local_path, open_store


@click.command("run", cls=SelectingCommand)
@click.argument("runner")
@click.argument("config")
@click.argument("commands", nargs=-1)
@config_options
@selection_options
@click.option("--keep-going", is_flag=True, help="Finish what does not depend on a failure.")
@click.option(
    "--dry-run", is_flag=True, help="Show the plan and what would be submitted; run nothing."
)
@detach_option
@click.option("--touch", "as_touch", is_flag=True, help="Take earlier outputs over as up to date.")
@click.option("--no-check", is_flag=True, help="Do not look into the imagery before the start.")
@json_option
def command(
    runner: str,
    config: str,
    commands: tuple[str, ...],
    keep_going: bool,
    dry_run: bool,
    detach: bool,
    as_touch: bool,
    no_check: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run COMMANDS (default: all) of CONFIG with RUNNER.

    RUNNER is inprocess, local, dask, slurm, batch, sagemaker, fargate, or one of a plugin.

    CONFIG is a Python file, a dotted module, a folder of config files, or a JSON file of
    experiments. What is up to date is skipped.
    """
    interruptible_by_signals()
    asked = request(config, runner, commands, options)
    declared = [item.declared for item in asked.found]
    made = _plan(declared, runner, asked, is_to_run=not (dry_run or as_touch))
    click.echo(plan_text(made), err=not dry_run or as_json)
    if as_touch:
        return _touch(made)
    if not no_check:
        for warning in refuse_problems(declared, made):
            click.echo(f"warning: {warning}", err=True)
    if dry_run:
        return _show_requests(made, runner, asked)
    return _run(made, runner, asked, keep_going=keep_going, detach=detach, as_json=as_json)


def _show_requests(made: Plan, runner: str, asked: Request) -> int:
    """Show what would be submitted, after the checks that a run would begin with."""
    if made.is_empty:
        return 0
    for finding in refuse_plan(made, runner, asked.settings):
        _warn(finding)
    if requests := requests_of(made, runner, asked.settings):
        click.echo(json.dumps(requests, indent=1))
    return 0


def _warn(finding: Finding) -> None:
    click.echo(f"warning: {finding.what} {finding.mend}", err=True)


def _plan(declared: list[Declared], runner: str, asked: Request, *, is_to_run: bool) -> Plan:
    if not is_to_run:
        return plan_experiments(
            declared,
            runner=runner,
            selection=asked.selection,
            splits=asked.splits,
            settings=asked.settings,
        )
    return plan_to_run(
        declared,
        runner=runner,
        selection=asked.selection,
        splits=asked.splits,
        settings=asked.settings,
        tell=lambda text: click.echo(text, err=True),
        follow=_follow,
    )


def _follow(folder: RunFolder) -> None:
    """Show the progress of a run that an earlier client has left, to its end."""
    status = RunStatus(folder)
    with following(status) as progress:
        take_up(folder, progress.emit, status.events)


def _touch(made: Plan) -> int:
    touched, left = touch(made, last_plans(made.graph.pipelines))
    click.echo(f"{len(touched)} units taken over, {len(left)} without earlier outputs.")
    for unit in left:
        click.echo(f"  {made.title(unit)}: still to run")
    return 0


def _run(
    made: Plan, runner: str, asked: Request, *, keep_going: bool, detach: bool, as_json: bool
) -> int:
    def started(folder: RunFolder) -> None:
        click.echo(f"run {folder.id} in {folder.uri}", err=True)

    with of_plan(made) as progress:
        result = execute(
            made,
            runner,
            settings=asked.settings,
            keep_going=keep_going,
            is_detached=detach,
            emit=progress.emit,
            started=started,
            warn=_warn,
        )
    if result.folder is None:  # everything was up to date
        _tell(None, result.outcome or Outcome(), result.results, as_json=as_json)
        return 0
    if result.outcome is None:
        tell_detached(result.folder)
        return 0
    return end_of(result.folder, result.outcome, result.results, as_json=as_json)


def tell_detached(folder: RunFolder) -> None:
    """Say how to come back to a run that goes on by itself."""
    click.echo(
        f"run {folder.id} goes on by itself. See swath status {folder.uri}; swath wait follows "
        f"it, swath cancel stops it."
    )


def end_of(
    folder: RunFolder,
    outcome: Outcome,
    results: Mapping[str, Mapping[str, str]] | None = None,
    *,
    as_json: bool,
) -> int:
    """Show the results of a run that has ended.

    Raises
    ------
    RunError
        If it failed.
    """
    if results is None:
        results = write_results(results_of_run(folder.read_plan()))
    _tell(folder, outcome, results, as_json=as_json)
    if outcome.succeeded:
        return 0
    raise failure_of(folder, outcome)


def _tell(
    folder: RunFolder | None,
    outcome: Outcome,
    results: Mapping[str, Mapping[str, str]],
    *,
    as_json: bool,
) -> None:
    if not as_json:
        _tell_results(results)
        return
    data = {
        "run": None if folder is None else folder.uri,
        "done": list(outcome.done),
        "failed": list(outcome.failed),
        "waiting": list(outcome.waiting),
        "results": {experiment: dict(uris) for experiment, uris in results.items()},
    }
    click.echo(json.dumps(data, indent=1))


def _tell_results(results: Mapping[str, Mapping[str, str]]) -> None:
    """Show the scores, then where everything lies."""
    for experiment, uris in results.items():
        if not uris:
            continue
        click.echo(f"\n{experiment}")
        for name, uri in uris.items():
            if name == "scores.json":
                click.echo(_scores(uri))
        rows = [[name, _near(uri)] for name, uri in uris.items()]
        click.echo(table([["result", "path"], *rows]))


def _scores(uri: str) -> str:
    from swath.evaluate.scores import ScoreTable

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.json"
        path.write_bytes(open_store(uri).read(uri))
        scores = ScoreTable.read(path)
    by_class = table(scores.class_rows(), right=range(1, 6))
    by_scene = table(scores.summary_rows(), right=range(1, 7))
    return f"{by_class}\n\n{by_scene}\n"


def _near(uri: str) -> str:
    """Return a path relative to the working folder if it lies below."""
    here = Path.cwd()
    if not is_local(uri) or not (path := local_path(uri)).is_relative_to(here):
        return uri
    return str(path.relative_to(here))
