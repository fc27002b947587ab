"""``swath retry``: run again what of a run failed."""

from __future__ import annotations

import click

from swath.cli.options import (
    detach_option,
    interruptible_by_signals,
    json_option,
    root_option,
    verbose_option,
)
from swath.cli.progress import following
from swath.cli.run import end_of, tell_detached
from swath.run.folder import RunFolder
from swath.run.life import try_again
from swath.run.status import RunStatus, SplitState


@click.command("retry")
@click.argument("run", default="latest")
@root_option
@detach_option
@json_option
@verbose_option
def command(run: str, root: str | None, detach: bool, as_json: bool, verbose: bool) -> int:
    """Run again the splits of RUN that failed, and those that waited for them.

    Nothing is planned anew: changed files or parameters need swath run. What ran out of memory
    gets twice as much where the runner gives memory.
    """
    interruptible_by_signals()
    folder = RunFolder.find(run, root)
    status = RunStatus(folder)
    with following(status) as progress:
        had_succeeded = all(s.state is SplitState.DONE for s in status.splits.values())
        outcome = try_again(folder, progress.emit, status.events, is_detached=detach)
    if had_succeeded:
        click.echo(f"everything of the run {folder.id} is done already.", err=True)
    if outcome is None:
        tell_detached(folder)
        return 0
    return end_of(folder, outcome, as_json=as_json)
