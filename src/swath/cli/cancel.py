"""``swath cancel``: stop a run."""

from __future__ import annotations

import json

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.run.folder import RunFolder
from swath.run.life import cancel


@click.command("cancel")
@click.argument("run", default="latest")
@root_option
@json_option
@verbose_option
def command(run: str, root: str | None, as_json: bool, verbose: bool) -> None:
    """Stop RUN: its folder, or its id or latest with --root. What is finished stays finished."""
    folder = RunFolder.find(run, root)
    stopped = cancel(folder)
    if as_json:
        click.echo(json.dumps({"run": folder.id, "stopped": stopped}))
    elif stopped:
        click.echo(f"run {folder.id} was stopped; run the experiment again to go on.")
    else:
        click.echo(f"run {folder.id} is not running.")
