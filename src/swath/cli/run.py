"""``swath run``: run experiments with a runner."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import click

from swath.cli.options import (
    Request,
    SelectingCommand,
    config_options,
    json_option,
    request,
    selection_options,
)
from swath.cli.progress import Progress
from swath.cli.render import plan_text, table
from swath.errors import RunError
from swath.experiment.check import refuse_problems
from swath.experiment.config import Declared
from swath.experiment.session import RunResult, execute, plan_experiments, plan_to_run
from swath.plan.plan import Plan
from swath.plan.touch import touch
from swath.run.folder import RunFolder
from swath.run.prepare import last_plans
from swath.run.status import RunStatus


@click.command("run", cls=SelectingCommand)
@click.argument("runner")
@click.argument("config")
@click.argument("commands", nargs=-1)
@config_options
@selection_options
@click.option("--keep-going", is_flag=True, help="Finish what does not depend on a failure.")
@click.option("--dry-run", is_flag=True, help="Show the plan and run nothing.")
@click.option("--touch", "as_touch", is_flag=True, help="Take earlier outputs over as up to date.")
@click.option("--no-check", is_flag=True, help="Do not look into the imagery before the start.")
@json_option
def command(
    runner: str,
    config: str,
    commands: tuple[str, ...],
    keep_going: bool,
    dry_run: bool,
    as_touch: bool,
    no_check: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run COMMANDS (default: all) of CONFIG with RUNNER: inprocess, local.

    CONFIG is a Python file, a dotted module, a folder of config files, or a JSON file of
    experiments. What is up to date is skipped.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us in background
        signal.signal(number, _interrupt)
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
        return 0
    return _run(made, runner, asked, keep_going=keep_going, as_json=as_json)


def _plan(declared: list[Declared], runner: str, asked: Request, *, is_to_run: bool) -> Plan:
    if not is_to_run:
        return plan_experiments(
            declared,
            runner=runner,
            selection=asked.selection,
            splits=asked.splits,
            settings=asked.settings,
        )
    made, ended = plan_to_run(
        declared,
        runner=runner,
        selection=asked.selection,
        splits=asked.splits,
        settings=asked.settings,
    )
    for run in ended:
        click.echo(f"ended what a killed client had left running: {run}", err=True)
    return made


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _touch(made: Plan) -> int:
    touched, left = touch(made, last_plans(made.graph.pipelines))
    click.echo(f"{len(touched)} units taken over, {len(left)} without earlier outputs.")
    for unit in left:
        click.echo(f"  {made.title(unit)}: still to run")
    return 0


def _run(made: Plan, runner: str, asked: Request, *, keep_going: bool, as_json: bool) -> int:
    def started(folder: RunFolder) -> None:
        click.echo(f"run {folder.id} in {folder.path}", err=True)

    with Progress(made) as progress:
        result = execute(
            made,
            runner,
            settings=asked.settings,
            keep_going=keep_going,
            emit=progress.emit,
            started=started,
        )
    if as_json:
        click.echo(json.dumps(_as_json(result), indent=1))
    else:
        _tell_results(result)
    if result.succeeded:
        return 0
    raise _failure(result)


def _as_json(result: RunResult) -> dict[str, Any]:
    return {
        "run": None if result.folder is None else str(result.folder.path),
        "done": list(result.outcome.done),
        "failed": list(result.outcome.failed),
        "waiting": list(result.outcome.waiting),
        "results": {
            experiment: {name: str(path) for name, path in paths.items()}
            for experiment, paths in result.results.items()
        },
    }


def _tell_results(result: RunResult) -> None:
    """Show the scores, then where everything lies."""
    for experiment, paths in result.results.items():
        if not paths:
            continue
        click.echo(f"\n{experiment}")
        for name, path in paths.items():
            if name == "scores.json":
                click.echo(_scores(path))
        rows = [[name, _near(path)] for name, path in paths.items()]
        click.echo(table([["result", "path"], *rows]))


def _scores(path: Path) -> str:
    from swath.evaluate.scores import ScoreTable

    scores = ScoreTable.read(path)
    by_class = table(scores.class_rows(), right=range(1, 6))
    by_scene = table(scores.summary_rows(), right=range(1, 7))
    return f"{by_class}\n\n{by_scene}\n"


def _near(path: Path) -> str:
    """Return the path relative to the working folder if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _failure(result: RunResult) -> RunError:
    """Name the failed units, the reason and what to do."""
    assert result.folder is not None
    status = RunStatus(result.folder)
    status.update()
    lines = []
    for split in status.splits.values():
        for unit, error, _ in split.failures:
            lines.append(f"{split.kind} {unit}: {error}")
        if not split.failures and split.key in result.outcome.failed:
            lines.append(f"{split.kind} ({split.key}): {split.error or 'it was killed'}")
    if not lines:
        lines.append(f"it ended before any split did; see {result.folder.logs / 'make.txt'}")
    waiting = len(result.outcome.waiting)
    after = f"\n  {waiting} splits that depend on it did not start." if waiting else ""
    return RunError(
        "the run failed:\n  " + "\n  ".join(lines) + after,
        where=str(result.folder.path),
        mend=f"See swath logs {result.folder.path}; the same command runs exactly what is left.",
    )
