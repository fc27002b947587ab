"""``swath wait``: follow a run to its end."""

from __future__ import annotations

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.cli.progress import following
from swath.cli.run import end_of
from swath.run.folder import RunFolder
from swath.run.life import take_up
from swath.run.status import RunStatus


@click.command("wait")
@click.argument("run", default="latest")
@root_option
@json_option
@verbose_option
def command(run: str, root: str | None, as_json: bool, verbose: bool) -> int:
    """Follow RUN, its folder, or its id or latest with --root, to its end.

    If the client that started it is gone, this one takes its place. The exit code is that of
    swath run.
    """
    folder = RunFolder.find(run, root)
    status = RunStatus(folder)
    with following(status) as progress:
        outcome = take_up(folder, progress.emit, status.events)
    return end_of(folder, outcome, as_json=as_json)
